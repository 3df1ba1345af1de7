"""Correlations between the electrodes' spike counts."""

from itertools import pairwise

import numpy as np

from mea.features.nan_statistics import MIN_SPIKES, NAN, divide, nanmean, nanquantile, nanskew, nanstd
from mea.features.trains import Trains

BINS_MS = (20, 200)
SHARES = {"q10": 0.1, "q25": 0.25, "median": 0.5, "q75": 0.75, "q90": 0.9}
DISTANCES = (1.0, 1.5, 2.5, 4.5, 7.5)  # edges, steps of the grid


def compute_correlations(trains: Trains) -> dict[str, float]:
    """Pearson correlations of the electrodes' counts in bins of 20 and 200 ms: ``correlation_<bin>_ms_...``.

    - ``mean_all``: mean over all pairs of electrodes; a silent one correlates 0 with every other.
    - ``q10`` to ``q90``, ``spread``, ``skew``: over the pairs of which both fire, with at least 5 spikes each.
    - ``eigenvalue_<k>_share``: the three largest eigenvalues of the correlation matrix of all electrodes, over their
      sum; ``dimension_share``: its participation ratio (Σλ)² / Σλ² over the number of electrodes, 1 where nothing
      correlates; ``entropy``: of the eigenvalues' shares, over its largest possible value. Mazzucato, Fontanini and La
      Camera, Frontiers in Systems Neuroscience 10:11 (2016), doi:10.3389/fnsys.2016.00011.
    - ``distance_<from>_to_<to>_steps``: mean over the firing pairs at a distance in steps of the grid, upper end
      excluded; ``distance_trend``: correlation of a pair's correlation with its distance. Cutts and Eglen, Journal of
      Neuroscience 34:14288 (2014), doi:10.1523/JNEUROSCI.2767-14.2014, for correlation against distance.
    """
    features: dict[str, float] = {}
    distance = np.hypot(np.subtract.outer(trains.row, trains.row), np.subtract.outer(trains.col, trains.col))
    upper = np.triu_indices(trains.n_electrodes, 1)
    for bin_ms in BINS_MS:
        matrix = correlate_counts(trains.count_electrodes(bin_ms))
        enough = trains.counts >= MIN_SPIKES
        firing = (enough[:, None] & enough[None, :] & ~np.isnan(matrix))[upper]
        pairs = matrix[upper][firing]
        measures = {"mean_all": nanmean(np.nan_to_num(matrix[upper]))} | _compute_pairs(pairs)
        measures |= _compute_eigenvalues(matrix) | _compute_distance(pairs, distance[upper][firing])
        features |= {f"correlation_{bin_ms}_ms_{name}": value for name, value in measures.items()}
    return features


def correlate_counts(counts: np.ndarray) -> np.ndarray:
    """(n, n) Pearson correlations of (n, bins) counts; NaN where an electrode's are constant.

    Counts are whole numbers, so that the sums are exact in float64, whatever order BLAS adds them in.
    """
    total = counts.sum(axis=1)
    covariance = counts.shape[1] * (counts @ counts.T) - np.outer(total, total)
    variance = np.diag(covariance)
    spread = np.sqrt(np.where(variance > 0, variance, NAN))
    return np.clip(covariance / np.outer(spread, spread), -1, 1)


def _compute_pairs(pairs: np.ndarray) -> dict[str, float]:
    quantiles = dict(zip(SHARES, nanquantile(pairs, SHARES.values())))
    return quantiles | {"spread": nanstd(pairs), "skew": nanskew(pairs)}


def _compute_eigenvalues(matrix: np.ndarray) -> dict[str, float]:
    n = len(matrix)
    names = [f"eigenvalue_{number}_share" for number in (1, 2, 3)]
    if n < len(names) or np.isnan(matrix).all():
        return dict.fromkeys([*names, "dimension_share", "entropy"], NAN)
    whole = np.nan_to_num(matrix)
    np.fill_diagonal(whole, 1.0)
    shares = np.maximum(np.linalg.eigvalsh(whole)[::-1], 0) / n
    entropy = -np.sum(shares * np.log(np.maximum(shares, 1e-300))) / np.log(n)
    measures = {"dimension_share": float(n / np.sum(whole**2)), "entropy": float(entropy)}
    return dict(zip(names, shares[:3].tolist())) | measures


def _compute_distance(pairs: np.ndarray, distance: np.ndarray) -> dict[str, float]:
    features: dict[str, float] = {}
    for low, high in pairwise(DISTANCES):
        name = f"distance_{low:g}_to_{high:g}_steps".replace(".", "p")
        features[name] = nanmean(pairs[(distance >= low) & (distance < high)])
    return features | {"distance_trend": correlate(pairs, distance)}


def correlate(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson correlation of two (k,) arrays; NaN where one is constant or there are fewer than three values."""
    if len(one) < 3 or not (np.ptp(one) > 0 and np.ptp(other) > 0):
        return NAN
    one, other = one - one.mean(), other - other.mean()
    return float(divide(one @ other, np.sqrt((one @ one) * (other @ other))))
