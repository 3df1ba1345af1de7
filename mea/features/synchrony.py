"""How many electrodes are active at the same time."""

import numpy as np

from mea.features.nan_statistics import NAN, divide, log10_offset, min_active_electrodes, nanquantile
from mea.features.trains import Trains

BINS_MS = (10, 50, 200)
ACTIVE_FRACTIONS = (0.1, 0.25, 0.5)  # shares of all electrodes
SMALL_FRACTION = 1e-4


def compute_synchrony(trains: Trains) -> dict[str, float]:
    """Share of the electrodes active in one bin of 10, 50 and 200 ms: ``together_<bin>_ms_...``.

    - ``mean``: of the other electrodes, the share that is active in a spike's bin; mean over the spikes, and their
      standard deviation ``spread``. 0 where no two electrodes ever meet.
    - ``q50``, ``q90``, ``q99``: quantiles of the share of other electrodes over the bins with any spike.
    - ``max``: the largest of them.
    - ``log10_share_above_<percent>``: log10(share of all bins in which at least so many of all electrodes, and at
      least two, are active + 0.0001).

    Undefined without spikes or with a single electrode. In the spirit of the network activity of Van Pelt, Wolters,
    Corner, Rutten and Ramakers, IEEE Transactions on Biomedical Engineering 51:2051 (2004),
    doi:10.1109/TBME.2004.827936.
    """
    features: dict[str, float] = {}
    for bin_ms in BINS_MS:
        measures = measure_synchrony(trains.count_active(bin_ms), trains.count_population(bin_ms), trains.n_electrodes)
        features |= {f"together_{bin_ms}_ms_{name}": value for name, value in measures.items()}
    return features


def measure_synchrony(active: np.ndarray, spikes: np.ndarray, n_electrodes: int) -> dict[str, float]:
    """What :func:`compute_synchrony` says of one bin width.

    Parameters
    ----------
    active, spikes
        (bins,) electrodes with a spike, and spikes, in each bin.
    n_electrodes
        All electrodes of the layout.
    """
    filled = active > 0
    others = divide(active[filled] - 1, n_electrodes - 1)
    weights = spikes[filled]
    mean = divide((others * weights).sum(), weights.sum())
    variance = divide(((others - mean) ** 2 * weights).sum(), weights.sum())
    names = {"q50": 0.5, "q90": 0.9, "q99": 0.99, "max": 1.0}
    features = {"mean": float(mean), "spread": float(np.sqrt(variance))}
    features |= dict(zip(names, nanquantile(others, names.values())))
    for crowd in ACTIVE_FRACTIONS:
        above = (
            (active >= min_active_electrodes(crowd, n_electrodes)).mean() if len(active) and n_electrodes > 1 else NAN
        )
        features[f"log10_share_above_{round(crowd * 100)}"] = float(log10_offset(above, SMALL_FRACTION))
    return features
