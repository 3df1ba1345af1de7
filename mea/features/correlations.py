"""Correlations between the electrodes' spike counts."""

from itertools import pairwise

import numpy as np

from mea.features.feature import QUANTILES, Family, format_quantile, format_range, list_measures
from mea.features.nan_statistics import MIN_SPIKES, NAN, divide, nanmean, nanquantile, nanskew, nanstd
from mea.features.trains import Trains

BINS_MS = (20, 200)
DISTANCE_EDGES = (1.0, 1.5, 2.5, 4.5, 7.5)  # steps of the grid
DISTANCES = [f"{low:g}_to_{high:g}_steps".replace(".", "p") for low, high in pairwise(DISTANCE_EDGES)]
N_EIGENVALUES = 3
EIGENVALUES = [f"eigenvalue_{number}_fraction" for number in range(1, N_EIGENVALUES + 1)]
MEASURES = {
    "mean_all": ("", "mean over all pairs of electrodes, 0 for a silent one"),
    **{name: ("", f"{format_quantile(name)} over the pairs that fire") for name in QUANTILES},
    "std": ("", "standard deviation over the pairs that fire"),
    "skew": ("", "third standardised moment over the pairs that fire"),
    **{name: ("", f"{name.replace('_', ' ')} of the sum of all") for name in EIGENVALUES},
    "participation_ratio": ("", "(Σλ)² / Σλ² of the eigenvalues λ, over the number of electrodes"),
    "entropy": ("", "entropy of the eigenvalues' fractions, over its largest possible value"),
    **{f"distance_{name}": ("", f"mean over the firing pairs {format_range(name)} apart") for name in DISTANCES},
    "distance_trend": ("", "correlation of a pair's correlation with its distance"),
}
FEATURES = tuple(
    feature
    for bin_ms in BINS_MS
    for feature in list_measures(
        f"correlation_{bin_ms}_ms", MEASURES, f"Pearson correlations of counts in bins of {bin_ms} ms"
    )
)


def compute_correlations(trains: Trains) -> dict[str, float]:
    """Pearson correlations of the electrodes' counts in bins of 20 and 200 ms: ``correlation_<bin>_ms_...``.

    - ``mean_all``: over all pairs of electrodes; a silent electrode correlates 0 with every other.
    - ``q10`` to ``q90``, ``std``, ``skew``: over the pairs in which both electrodes have at least 5 spikes.
    - ``eigenvalue_<k>_fraction``: the three largest eigenvalues of the correlation matrix of all electrodes, over their
      sum. ``participation_ratio``: (Σλ)² / Σλ² over the number of electrodes, 1 where nothing correlates. ``entropy``:
      of the eigenvalues' fractions, over its largest possible value. Mazzucato, Fontanini and La Camera, Frontiers in
      Systems Neuroscience 10:11 (2016), doi:10.3389/fnsys.2016.00011.
    - ``distance_<from>_to_<to>_steps``: mean over the firing pairs at this distance on the grid, upper end excluded.
      ``distance_trend``: correlation of a pair's correlation with its distance. Cutts and Eglen, Journal of
      Neuroscience 34:14288 (2014), doi:10.1523/JNEUROSCI.2767-14.2014.

    >>> from mea.features.trains import build_trains
    >>> train = [0.1, 0.3, 0.5, 0.8, 0.9]
    >>> features = compute_correlations(build_trains([train, train], duration_s=2))
    >>> round(features["correlation_20_ms_median"], 6)
    1.0
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
    """(n, n) Pearson correlations of (n, bins) counts; NaN where an electrode's counts are constant.

    Counts are whole numbers, so the sums are exact in float64 in any order that BLAS adds them. ``np.corrcoef`` rounds.
    """
    total = counts.sum(axis=1)
    covariance = counts.shape[1] * (counts @ counts.T) - np.outer(total, total)
    variance = np.diag(covariance)
    std = np.sqrt(np.where(variance > 0, variance, NAN))
    return np.clip(covariance / np.outer(std, std), -1, 1)


def _compute_pairs(pairs: np.ndarray) -> dict[str, float]:
    quantiles = dict(zip(QUANTILES, nanquantile(pairs, QUANTILES.values())))
    return quantiles | {"std": nanstd(pairs), "skew": nanskew(pairs)}


def _compute_eigenvalues(matrix: np.ndarray) -> dict[str, float]:
    n = len(matrix)
    if n < N_EIGENVALUES or np.isnan(matrix).all():
        return dict.fromkeys([*EIGENVALUES, "participation_ratio", "entropy"], NAN)
    whole = np.nan_to_num(matrix)
    np.fill_diagonal(whole, 1.0)
    fractions = np.maximum(np.linalg.eigvalsh(whole)[::-1], 0) / n
    entropy = -np.sum(fractions * np.log(np.maximum(fractions, 1e-300))) / np.log(n)
    measures = {"participation_ratio": float(n / np.sum(whole**2)), "entropy": float(entropy)}
    return dict(zip(EIGENVALUES, fractions[:N_EIGENVALUES].tolist())) | measures


def _compute_distance(pairs: np.ndarray, distance: np.ndarray) -> dict[str, float]:
    features: dict[str, float] = {}
    for name, (low, high) in zip(DISTANCES, pairwise(DISTANCE_EDGES)):
        features[f"distance_{name}"] = nanmean(pairs[(distance >= low) & (distance < high)])
    return features | {"distance_trend": correlate(pairs, distance)}


def correlate(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson correlation of two (k,) arrays; NaN where one is constant or there are fewer than three values."""
    if len(one) < 3 or not (np.ptp(one) > 0 and np.ptp(other) > 0):
        return NAN
    one, other = one - one.mean(), other - other.mean()
    return float(divide(one @ other, np.sqrt((one @ one) * (other @ other))))


FAMILY = Family("correlations", FEATURES, compute_correlations)
