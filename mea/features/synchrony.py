"""Synchrony: how many electrodes are active at the same time."""

import numpy as np

from mea.features.feature import Family, list_measures
from mea.features.nan_statistics import NAN, divide, log10_offset, min_active_electrodes, nanquantile
from mea.features.trains import Trains

BINS_MS = (10, 50, 200)
ACTIVE_FRACTIONS = (0.1, 0.25, 0.5)  # of all electrodes
OFFSET_FRACTION = 1e-4
OTHERS = "fraction of the other electrodes that is active in the same bin"
QUANTILES = {"q50": 0.5, "q90": 0.9, "q99": 0.99, "max": 1.0}
MEASURES = {
    "mean": ("", f"{OTHERS}, mean over the spikes"),
    "std": ("", f"{OTHERS}, standard deviation over the spikes"),
    "q50": ("", f"{OTHERS}, median over the bins with a spike"),
    "q90": ("", f"{OTHERS}, 90 % quantile over the bins with a spike"),
    "q99": ("", f"{OTHERS}, 99 % quantile over the bins with a spike"),
    "max": ("", f"{OTHERS}, largest over the bins"),
    **{
        f"log10_fraction_above_{round(active * 100)}": (
            "log10",
            f"fraction of the bins in which at least {round(active * 100)} % of all electrodes are active, + 0.0001",
        )
        for active in ACTIVE_FRACTIONS
    },
}
FEATURES = tuple(
    feature
    for bin_ms in BINS_MS
    for feature in list_measures(f"synchrony_{bin_ms}_ms", MEASURES, f"bins of {bin_ms} ms")
)


def compute_synchrony(trains: Trains) -> dict[str, float]:
    """Fraction of the electrodes active in one bin of 10, 50 and 200 ms: ``synchrony_<bin>_ms_...``.

    - ``mean``, ``std``: over the spikes, the fraction of the other electrodes that is active in the spike's bin. 0 if
      no two electrodes are ever active in one bin.
    - ``q50``, ``q90``, ``q99``, ``max``: the fraction of other electrodes, over the bins with a spike.
    - ``log10_fraction_above_<percent>``: fraction of the bins in which at least this percentage of all electrodes, and
      at least two, are active, + 0.0001.

    Undefined without spikes or with a single electrode. In the spirit of the network activity of Van Pelt, Wolters,
    Corner, Rutten and Ramakers, IEEE Transactions on Biomedical Engineering 51:2051 (2004),
    doi:10.1109/TBME.2004.827936.

    >>> from mea.features.trains import build_trains
    >>> features = compute_synchrony(build_trains([[0.101, 0.5], [0.102], []], duration_s=1))
    >>> features["synchrony_10_ms_max"]  # one of the two other electrodes
    0.5
    """
    features: dict[str, float] = {}
    for bin_ms in BINS_MS:
        measures = measure_synchrony(trains.count_active(bin_ms), trains.count_population(bin_ms), trains.n_electrodes)
        features |= {f"synchrony_{bin_ms}_ms_{name}": value for name, value in measures.items()}
    return features


def measure_synchrony(active: np.ndarray, spikes: np.ndarray, n_electrodes: int) -> dict[str, float]:
    """The features of one bin width, by what follows ``synchrony_<bin>_ms_``.

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
    features = {"mean": float(mean), "std": float(np.sqrt(variance))}
    features |= dict(zip(QUANTILES, nanquantile(others, QUANTILES.values())))
    for fraction in ACTIVE_FRACTIONS:
        enough = active >= min_active_electrodes(fraction, n_electrodes)
        above = enough.mean() if len(active) and n_electrodes > 1 else NAN
        features[f"log10_fraction_above_{round(fraction * 100)}"] = float(log10_offset(above, OFFSET_FRACTION))
    return features


FAMILY = Family("synchrony", FEATURES, compute_synchrony)
