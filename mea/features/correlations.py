"""Correlations between the electrodes' spike counts."""

from itertools import pairwise

import numpy as np

from mea.features.feature import QUANTILES, Family, format_quantile, format_range, list_measures
from mea.features.nan_statistics import MIN_SPIKES, NAN, divide, nanmean, nanquantile, nanskew, nanstd
from mea.features.trains import Trains

BINS_MS = (20, 200)
DISTANCE_EDGES = (1.0, 1.5, 2.5, 4.5, 7.5)  # steps of the grid
DISTANCES = [f"{low:g}_to_{high:g}_steps".replace(".", "p") for low, high in pairwise(DISTANCE_EDGES)]
MOST_PAIRED = 1024  # electrodes; half a million pairs, and four times the electrodes would take sixteen times as long
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
    - ``q10`` to ``q90``, ``std``, ``skew``: over the pairs in which both electrodes have at least 5 spikes. Of more
      than 1,024 such electrodes, over the pairs of 1,024 that are drawn without replacement.
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
    for bin_ms in BINS_MS:
        counts = trains.count_electrodes(bin_ms)
        varying = np.flatnonzero(np.any(counts != counts[:, :1], axis=1))
        counts = counts if len(varying) == len(counts) else counts[varying]
        # All correlations where they are the smaller matrix (see _compute_all); else those of pairs alone.
        matrix = correlate_counts(counts) if len(counts) <= counts.shape[1] else None
        firing = draw_electrodes(np.flatnonzero(trains.counts[varying] >= MIN_SPIKES))
        pairs = _list_pairs(correlate_counts(counts[firing]) if matrix is None else matrix[np.ix_(firing, firing)])
        distance = _measure_distance(trains.row[varying[firing]], trains.col[varying[firing]])
        measures = _compute_all(counts, matrix, trains.n_electrodes) | _compute_pairs(pairs)
        measures |= _compute_distance(pairs, distance)
        features |= {f"correlation_{bin_ms}_ms_{name}": measures[name] for name in MEASURES}
    return features


def correlate_counts(counts: np.ndarray) -> np.ndarray:
    """(n, n) Pearson correlations of (n, bins) counts; NaN where an electrode's counts are constant.

    Counts are whole numbers, so the sums are exact in float64 in any order that BLAS adds them. ``np.corrcoef`` rounds.
    """
    total = counts.sum(axis=1)
    covariance = counts @ counts.T
    covariance *= counts.shape[1]
    covariance -= np.outer(total, total)
    variance = np.diag(covariance)
    std = np.sqrt(np.where(variance > 0, variance, NAN))
    covariance /= np.outer(std, std)
    return np.clip(covariance, -1, 1, out=covariance)


def _list_pairs(matrix: np.ndarray) -> np.ndarray:
    """(k * (k - 1) / 2,) values above the diagonal of a (k, k) matrix, row by row."""
    return np.concatenate([row[number + 1 :] for number, row in enumerate(matrix)]) if len(matrix) else np.empty(0)


def _measure_distance(row: np.ndarray, col: np.ndarray) -> np.ndarray:
    """Distance of each pair of electrodes, steps of the grid, in the order of :func:`_list_pairs`."""
    return _list_pairs(np.hypot(np.subtract.outer(row, row), np.subtract.outer(col, col)))


def _compute_pairs(pairs: np.ndarray) -> dict[str, float]:
    quantiles = dict(zip(QUANTILES, nanquantile(pairs, QUANTILES.values())))
    return quantiles | {"std": nanstd(pairs), "skew": nanskew(pairs)}


def draw_electrodes(electrodes: np.ndarray) -> np.ndarray:
    """The electrodes, or ``MOST_PAIRED`` of them, in the same order; always the same ones of as many."""
    if len(electrodes) <= MOST_PAIRED:
        return electrodes
    return electrodes[np.sort(np.random.default_rng(0).choice(len(electrodes), MOST_PAIRED, replace=False))]


def _compute_all(counts: np.ndarray, matrix: np.ndarray | None, n: int) -> dict[str, float]:
    """Measures of all n electrodes: of the (k, bins) ``counts`` that vary; every other electrode correlates 0 with all.

    The (k, k) ``matrix`` of correlations is Z Zᵀ of the standardised counts Z, and each other electrode adds an
    eigenvalue of 1. Zᵀ Z has the same eigenvalues but for zeros, and stands in where there are fewer bins than k.
    """
    k = len(counts)
    if matrix is not None:
        total = matrix.sum()
    else:
        standardised = counts - counts.mean(axis=1, keepdims=True)
        standardised /= np.linalg.norm(standardised, axis=1, keepdims=True)
        total, matrix = np.sum(standardised.sum(axis=0) ** 2), standardised.T @ standardised
    mean = float((total - k) / (n * (n - 1))) if n > 1 else NAN
    if n < N_EIGENVALUES or not k:
        return {"mean_all": mean} | dict.fromkeys([*EIGENVALUES, "participation_ratio", "entropy"], NAN)
    alone, zeros = np.ones(n - k), np.zeros(k - len(matrix))
    eigenvalues = np.sort(np.concatenate([np.maximum(np.linalg.eigvalsh(matrix), 0), alone, zeros]))[::-1]
    fractions = eigenvalues / n
    entropy = -np.sum(fractions * np.log(np.maximum(fractions, 1e-300))) / np.log(n)
    measures = {"participation_ratio": float(n / np.sum(eigenvalues**2)), "entropy": float(entropy)}
    return {"mean_all": mean} | dict(zip(EIGENVALUES, fractions[:N_EIGENVALUES].tolist())) | measures


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
