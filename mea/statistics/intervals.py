"""Intervals that stay true when the recordings of one group are alike.

All three figures are means over recordings (of right or not; of its rank among the other class), so one way serves
them: the variance of the mean is measured between groups, the effective sample size is the number of independent
recordings that would have that variance, and the interval is the exact binomial one (Clopper and Pearson) at that
size: Korn and Graubard, "Confidence intervals for proportions with small expected number of positive counts estimated
from survey data", Survey Methodology 24 (1998).

Few groups with few errors happen to look as if they were not alike at all. So the variance counts at least as much as
with an intraclass correlation of 1 / (1 + g), g the effective number of groups among which the errors are spread: with
no error nothing is known of how alike recordings are, and each group counts once; with errors in 19 groups, .05. And
the factor of Student's t, squared, allows for a variance known from few groups; with several classes its degrees of
freedom are Satterthwaite's, for a class of three batches brings three batches' worth.

What they cover is the figure of these models on new groups of the same kind, not how it would change with training.
Simulated coverage at a nominal 95 %, for ten groups or more and an intraclass correlation up to .3: at least 93 %
(``tests/statistics/test_intervals.py``), 95 to 99 % in most cases. What it costs where recordings are not alike: half
as wide again as the naive interval at ten groups, a quarter at twenty, a seventh at forty.
"""

import numpy as np
from scipy.special import betaincinv, stdtrit
from scipy.stats import rankdata

Interval = tuple[float, float]
NOTHING = (float("nan"), float("nan"))


def bound_share(hits: float, size: float, confidence_level: float = 0.95) -> Interval:
    """Exact (Clopper-Pearson) interval of a share of ``hits`` in ``size`` independent trials; neither need be whole.

    Clopper and Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial", Biometrika
    26 (1934), doi 10.1093/biomet/26.4.404.
    """
    misses, tail = size - hits, (1 - confidence_level) / 2
    low = betaincinv(hits, misses + 1, tail) if hits > 0 else 0.0
    high = betaincinv(hits + 1, misses, 1 - tail) if misses > 0 else 1.0
    return float(low), float(high)


def measure_mean_variance(values: np.ndarray, groups: np.ndarray) -> float:
    """Variance of a mean over recordings whose groups, not themselves, were drawn independently; two groups or more.

    Parameters
    ----------
    values
        (n,) one number a recording.
    groups
        (n,) group of each.
    """
    sums = np.bincount(_number(groups), weights=values - np.mean(values))
    return float(len(sums) / (len(sums) - 1) * (sums**2).sum() / len(values) ** 2)


def bound_accuracy(correct: np.ndarray, groups: np.ndarray, confidence_level: float = 0.95) -> Interval:
    """Interval of an accuracy.

    Parameters
    ----------
    correct
        (n,) bool.
    groups
        (n,) group of each; all different for the naive (Clopper-Pearson) interval.
    confidence_level
        Confidence level.

    Returns
    -------
    low, high
        Both NaN for fewer than two groups.
    """
    return bound_balanced_accuracy(np.zeros(len(correct), int), correct, groups, confidence_level)


def bound_balanced_accuracy(
    actual: np.ndarray, correct: np.ndarray, groups: np.ndarray, confidence_level: float = 0.95
) -> Interval:
    """Interval of the mean over the classes of the share that is right.

    Parameters
    ----------
    actual
        (n,) label of each.
    correct
        (n,) bool.
    groups
        (n,) group of each; a group may hold several classes.
    confidence_level
        Confidence level.

    Returns
    -------
    low, high
        Both NaN if a class stands in one group only.
    """
    classes, group, right = _number(actual), _number(groups), np.asarray(correct, float)
    freedom = _count_freedom(classes, group)
    if not freedom:
        return NOTHING
    sizes = np.bincount(classes)
    recalls = np.bincount(classes, weights=right) / sizes
    share, weights = float(recalls.mean()), 1 / (len(sizes) * sizes)[classes]
    variance = (_sum_groups(weights * (right - recalls[classes]), classes, group) ** 2).sum()
    alike = _suppose_alike(weights * np.abs(right - float(share > 0.5)), group)
    once, together = (weights**2).sum(), (np.bincount(group, weights=weights) ** 2).sum()
    return _bound_mean(share, variance, once + alike * (together - once), classes, freedom, confidence_level)


def bound_auc(
    labels: list[str], actual: np.ndarray, probabilities: np.ndarray, groups: np.ndarray, confidence_level: float = 0.95
) -> Interval:
    """Interval of the area under the ROC curve; with more than two labels of the mean over one against the rest.

    A recording's part is the share of the other class that it stands on the right side of: DeLong, DeLong and
    Clarke-Pearson, Biometrics 44 (1988), doi:10.2307/2531595, summed by group as Obuchowski, "Nonparametric analysis
    of clustered ROC curve data", Biometrics 53 (1997), doi:10.2307/2533958. The least variance is that of Hanley and
    McNeil, Radiology 143 (1982), doi:10.1148/radiology.143.1.7063747, the mean of its two directions.

    Parameters
    ----------
    labels
        The classes; with two, the second is the positive one.
    actual
        (n,) label of each.
    probabilities
        (n, n_labels) float.
    groups
        (n,) group of each; a group may hold several classes.
    confidence_level
        Confidence level.

    Returns
    -------
    low, high
        Both NaN if a class is missing, or it or the rest stands in one group only.
    """
    if set(actual) != set(labels) or len(labels) < 2:
        return NOTHING
    group = _number(groups)
    sides = [(np.asarray(actual) == labels[k]).astype(int) for k in range(len(labels))]
    numbers = [1] if len(labels) == 2 else list(range(len(labels)))
    freedoms = [_count_freedom(sides[k], group) for k in numbers]
    if not all(freedoms):
        return NOTHING
    parts = [_rank_against(sides[k], probabilities[:, k]) for k in numbers]
    areas = np.array([part[sides[k] == 1].mean() for k, part in zip(numbers, parts)])
    sums = [
        _sum_groups((part - area) / np.bincount(sides[k])[sides[k]], sides[k], group)
        for k, part, area in zip(numbers, parts, areas)
    ]
    variance = (np.mean(sums, axis=0) ** 2).sum()
    least = max(_invert_pairs(sides[k], part, area, group) for k, part, area in zip(numbers, parts, areas))
    worst = int(np.argmin(freedoms))
    return _bound_mean(float(areas.mean()), variance, least, sides[numbers[worst]], freedoms[worst], confidence_level)


def _number(values: np.ndarray) -> np.ndarray:
    return np.unique(values, return_inverse=True)[1].ravel()


def _count_freedom(classes: np.ndarray, group: np.ndarray) -> float:
    """Satterthwaite's degrees of freedom, as if all classes varied alike; 0 if a class stands in one group only."""
    counts = np.zeros((classes.max() + 1, group.max() + 1))
    np.add.at(counts, (classes, group), 1)
    held = (counts > 0).sum(1)
    if held.min() < 2:
        return 0.0
    spread = ((counts / counts.sum(1, keepdims=True)) ** 2).sum(1)
    return float(spread.sum() ** 2 / (spread**2 / (held - 1)).sum())


def _sum_groups(residuals: np.ndarray, classes: np.ndarray, group: np.ndarray) -> np.ndarray:
    """(n_groups,) sums of residuals, each class's scaled up for its few groups, beside its recordings."""
    total = np.zeros(group.max() + 1)
    for k in range(classes.max() + 1):
        own = classes == k
        n, held = own.sum(), len(np.unique(group[own]))
        scale = np.sqrt(held / (held - 1) * (n - 1) / n)
        total += scale * np.bincount(group[own], weights=residuals[own], minlength=len(total))
    return total


def _suppose_alike(errors: np.ndarray, group: np.ndarray) -> float:
    """The least intraclass correlation to reckon with: 1 / (1 + effective number of groups that hold the errors)."""
    held = np.bincount(group, weights=errors)
    return 1 / (1 + held.sum() ** 2 / (held**2).sum()) if held.any() else 1.0


def _rank_against(side: np.ndarray, score: np.ndarray) -> np.ndarray:
    """(n,) share of the other class on whose right side each recording stands; a tie counts half."""
    rank, part = rankdata(score), np.empty(len(score))
    for k in (0, 1):
        own = side == k
        below = (rank[own] - rankdata(score[own])) / (~own).sum()
        part[own] = below if k else 1 - below
    return part


def _invert_pairs(side: np.ndarray, part: np.ndarray, area: float, group: np.ndarray) -> float:
    """The least variance of an area, over area (1 - area): Hanley and McNeil's, at the effective numbers."""
    sizes = np.bincount(side)
    alike = _suppose_alike(np.abs(part - float(area > 0.5)) / sizes[side], group)
    per_group = np.array([np.bincount(group[side == k], minlength=group.max() + 1) for k in (0, 1)])
    effective = sizes / (1 + alike * ((per_group**2).sum(1) / sizes - 1))
    share = ((1 - area) / (2 - area) + area / (1 + area)) / 2
    return float((1 + (effective.sum() - 2) * share) / effective.prod())


def _bound_mean(
    share: float, variance: float, least: float, classes: np.ndarray, freedom: float, confidence_level: float
) -> Interval:
    """Clopper and Pearson's interval at the size 1 / least, or smaller if the variance says so."""
    inverse, tail = least, (1 - confidence_level) / 2
    if 0 < share < 1:
        alone = _count_freedom(classes, np.arange(len(classes)))
        factor = (stdtrit(freedom, 1 - tail) / stdtrit(max(alone, freedom), 1 - tail)) ** 2
        inverse = factor * max(least, variance / (share * (1 - share)))
    return bound_share(share / inverse, 1 / inverse, confidence_level)
