"""Confidence intervals for recordings that come in groups (batches, cultures), similar inside each group.

Accuracy, balanced accuracy and AUC are all means over recordings (of correct or not; for the AUC, of the fraction of
the other class that a recording is ranked above). One method serves all three: measure the variance of the mean between
groups, find the effective sample size (the number of independent recordings that would have this variance), and take
the exact binomial interval (Clopper and Pearson) at that size: Korn and Graubard, "Confidence intervals for proportions
with small expected number of positive counts estimated from survey data", Survey Methodology 24 (1998).

Two corrections are needed where groups or errors are few:

- With few errors in few groups, the groups may look independent by chance. So the variance is at least the one with an
  intraclass correlation of 1 / (1 + g), where g is the effective number of groups that the errors are spread over. With
  no error, nothing is known of how similar recordings are, and each group counts once; with errors in 19 groups the
  correlation is at least .05.
- A variance estimated from few groups is uncertain. The squared ratio of Student's t for the groups to Student's t for
  the recordings allows for that. With several classes its degrees of freedom are Satterthwaite's: a class of three
  batches has the certainty of three batches.

The interval is for these models on new groups of the same kind; it does not cover how results vary with training.
Simulated coverage at a nominal 95 %, for ten groups or more and an intraclass correlation up to .3: at least 93 %
(``tests/statistics/test_intervals.py``), 95 to 99 % in most cases. If recordings are in fact independent, the interval
is half as wide again as the naive one at ten groups, a quarter wider at twenty, a seventh at forty.

A worked example: 40 recordings of 10 cultures, all four recordings wrong in one culture and all correct in nine others.

>>> import numpy as np
>>> culture = np.repeat(np.arange(10), 4)
>>> correct = culture > 0
>>> float(correct.mean())
0.9

The naive interval takes all 40 recordings as independent:

>>> np.round(bound_accuracy(correct, np.arange(40)), 2).tolist()
[0.76, 0.97]

But the recordings of a culture go wrong together. The variance of the mean between the cultures is 0.01 where 40
independent recordings would have 0.9 * 0.1 / 40 = 0.00225:

>>> round(measure_mean_variance(correct, culture), 4)
0.01

So the 40 recordings are worth 0.9 * 0.1 / 0.01 = 9 independent ones. Ten groups have 9 degrees of freedom and 40
recordings 39, which makes the effective size smaller by this factor:

>>> from scipy.stats import t
>>> factor = (t.ppf(0.975, 9) / t.ppf(0.975, 39)) ** 2
>>> round(float(factor), 2)
1.25

The interval is the exact binomial one of 90 % correct among 9 / 1.25 = 7.2 recordings. :func:`bound_accuracy` finds
7.4, because the 40 recordings are a sample, too: its variance is 39 / 40 of the one above.

>>> np.round(bound_fraction(0.9 * 7.4, 7.4), 2).tolist()
[0.48, 1.0]
>>> np.round(bound_accuracy(correct, culture), 2).tolist()
[0.48, 1.0]
"""

import numpy as np
from scipy.special import betaincinv, stdtrit
from scipy.stats import rankdata

Interval = tuple[float, float]
UNDEFINED = (float("nan"), float("nan"))


def bound_fraction(successes: float, trials: float, confidence_level: float = 0.95) -> Interval:
    """Exact (Clopper-Pearson) interval of a binomial fraction; the counts need not be whole numbers.

    Clopper and Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial", Biometrika
    26 (1934), doi:10.1093/biomet/26.4.404. SciPy's ``binomtest`` takes whole numbers only, and an effective sample size
    is none.

    Parameters
    ----------
    successes, trials
        Counts, or effective counts.
    confidence_level
        For instance 0.95.

    Examples
    --------
    >>> low, high = bound_fraction(9, 10)
    >>> round(low, 3), round(high, 3)
    (0.555, 0.997)
    """
    failures, tail = trials - successes, (1 - confidence_level) / 2
    low = betaincinv(successes, failures + 1, tail) if successes > 0 else 0.0
    high = betaincinv(successes + 1, failures, 1 - tail) if failures > 0 else 1.0
    return float(low), float(high)


def measure_mean_variance(values: np.ndarray, groups: np.ndarray) -> float:
    """Variance of a mean over recordings, if the groups and not the recordings were drawn independently.

    Parameters
    ----------
    values
        (n,) one number a recording.
    groups
        (n,) group of each; two groups or more.
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
        For instance 0.95.

    Returns
    -------
    low, high
        Both NaN for fewer than two groups.

    Examples
    --------
    >>> import numpy as np
    >>> correct = np.array([True] * 18 + [False] * 2)
    >>> low, high = bound_accuracy(correct, groups=np.repeat(np.arange(10), 2))
    >>> round(low, 2), round(high, 2)
    (0.5, 1.0)
    """
    return bound_balanced_accuracy(np.zeros(len(correct), int), correct, groups, confidence_level)


def bound_balanced_accuracy(
    actual: np.ndarray, correct: np.ndarray, groups: np.ndarray, confidence_level: float = 0.95
) -> Interval:
    """Interval of a balanced accuracy: the mean, over the classes, of the fraction that is correct.

    Parameters
    ----------
    actual
        (n,) label of each.
    correct
        (n,) bool.
    groups
        (n,) group of each; a group may hold several classes.
    confidence_level
        For instance 0.95.

    Returns
    -------
    low, high
        Both NaN if a class occurs in one group only.
    """
    classes, group, right = _number(actual), _number(groups), np.asarray(correct, float)
    dof = _count_degrees_of_freedom(classes, group)
    if not dof:
        return UNDEFINED
    sizes = np.bincount(classes)
    recalls = np.bincount(classes, weights=right) / sizes
    fraction, weights = float(recalls.mean()), 1 / (len(sizes) * sizes)[classes]
    variance = (_sum_groups(weights * (right - recalls[classes]), classes, group) ** 2).sum()
    correlation = _find_least_correlation(weights * np.abs(right - float(fraction > 0.5)), group)
    independent, identical = (weights**2).sum(), (np.bincount(group, weights=weights) ** 2).sum()
    least = independent + correlation * (identical - independent)
    return _bound_mean(fraction, variance, least, classes, dof, confidence_level)


def bound_auc(
    labels: list[str],
    actual: np.ndarray,
    probabilities: np.ndarray,
    groups: np.ndarray,
    confidence_level: float = 0.95,
) -> Interval:
    """Interval of the area under the ROC curve; with more than two labels, of the mean over one against the rest.

    The placement of a recording is the fraction of the other class that it is ranked on the correct side of: DeLong,
    DeLong and Clarke-Pearson, Biometrics 44 (1988), doi:10.2307/2531595, summed by group as in Obuchowski,
    "Nonparametric analysis of clustered ROC curve data", Biometrics 53 (1997), doi:10.2307/2533958. The least variance
    is that of Hanley and McNeil, Radiology 143 (1982), doi:10.1148/radiology.143.1.7063747, the mean of its two
    directions.

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
        For instance 0.95.

    Returns
    -------
    low, high
        Both NaN if a class is missing, or if it or the rest occurs in one group only.

    Examples
    --------
    >>> import numpy as np
    >>> actual = np.repeat(["ko", "wt"], 10)
    >>> p = np.linspace(0.1, 0.9, 20)
    >>> low, high = bound_auc(["ko", "wt"], actual, np.column_stack([1 - p, p]), groups=np.arange(20))
    >>> low < 0.9 and high == 1.0  # the ranking is perfect, but 20 recordings cannot prove an AUC of 1
    True
    """
    if set(actual) != set(labels) or len(labels) < 2:
        return UNDEFINED
    group = _number(groups)
    sides = [(np.asarray(actual) == labels[k]).astype(int) for k in range(len(labels))]
    numbers = [1] if len(labels) == 2 else list(range(len(labels)))
    dofs = [_count_degrees_of_freedom(sides[k], group) for k in numbers]
    if not all(dofs):
        return UNDEFINED
    placements = [_compute_placements(sides[k], probabilities[:, k]) for k in numbers]
    areas = np.array([placement[sides[k] == 1].mean() for k, placement in zip(numbers, placements)])
    sums = [
        _sum_groups((placement - area) / np.bincount(sides[k])[sides[k]], sides[k], group)
        for k, placement, area in zip(numbers, placements, areas)
    ]
    variance = (np.mean(sums, axis=0) ** 2).sum()
    least = max(
        _find_least_auc_variance(sides[k], placement, area, group)
        for k, placement, area in zip(numbers, placements, areas)
    )
    worst = int(np.argmin(dofs))
    return _bound_mean(float(areas.mean()), variance, least, sides[numbers[worst]], dofs[worst], confidence_level)


def _number(values: np.ndarray) -> np.ndarray:
    return np.unique(values, return_inverse=True)[1].ravel()


def _count_degrees_of_freedom(classes: np.ndarray, group: np.ndarray) -> float:
    """Satterthwaite's degrees of freedom, as if all classes varied equally; 0 if a class occurs in one group only."""
    counts = np.zeros((classes.max() + 1, group.max() + 1))
    np.add.at(counts, (classes, group), 1)
    n_groups = (counts > 0).sum(1)
    if n_groups.min() < 2:
        return 0.0
    variances = ((counts / counts.sum(1, keepdims=True)) ** 2).sum(1)
    return float(variances.sum() ** 2 / (variances**2 / (n_groups - 1)).sum())


def _sum_groups(residuals: np.ndarray, classes: np.ndarray, group: np.ndarray) -> np.ndarray:
    """(n_groups,) sums of residuals; each class's are scaled up for its few groups, in relation to its recordings."""
    total = np.zeros(group.max() + 1)
    for k in range(classes.max() + 1):
        own = classes == k
        n, n_groups = own.sum(), len(np.unique(group[own]))
        scale = np.sqrt(n_groups / (n_groups - 1) * (n - 1) / n)
        total += scale * np.bincount(group[own], weights=residuals[own], minlength=len(total))
    return total


def _find_least_correlation(errors: np.ndarray, group: np.ndarray) -> float:
    """The least intraclass correlation to assume: 1 / (1 + effective number of groups with errors)."""
    by_group = np.bincount(group, weights=errors)
    return 1 / (1 + by_group.sum() ** 2 / (by_group**2).sum()) if by_group.any() else 1.0


def _compute_placements(side: np.ndarray, score: np.ndarray) -> np.ndarray:
    """(n,) fraction of the other class that each recording is ranked on the correct side of; a tie counts half."""
    rank, placement = rankdata(score), np.empty(len(score))
    for k in (0, 1):
        own = side == k
        below = (rank[own] - rankdata(score[own])) / (~own).sum()
        placement[own] = below if k else 1 - below
    return placement


def _find_least_auc_variance(side: np.ndarray, placement: np.ndarray, area: float, group: np.ndarray) -> float:
    """The least variance of an area over area (1 - area): Hanley and McNeil's, at the effective numbers."""
    sizes = np.bincount(side)
    correlation = _find_least_correlation(np.abs(placement - float(area > 0.5)) / sizes[side], group)
    per_group = np.array([np.bincount(group[side == k], minlength=group.max() + 1) for k in (0, 1)])
    effective = sizes / (1 + correlation * ((per_group**2).sum(1) / sizes - 1))
    pairs = ((1 - area) / (2 - area) + area / (1 + area)) / 2
    return float((1 + (effective.sum() - 2) * pairs) / effective.prod())


def _bound_mean(
    fraction: float, variance: float, least: float, classes: np.ndarray, dof: float, confidence_level: float
) -> Interval:
    """Clopper and Pearson's interval at the effective size 1 / least, or a smaller one if the variance says so."""
    inverse_size, tail = least, (1 - confidence_level) / 2
    if 0 < fraction < 1:
        dof_alone = _count_degrees_of_freedom(classes, np.arange(len(classes)))
        factor = (stdtrit(dof, 1 - tail) / stdtrit(max(dof_alone, dof), 1 - tail)) ** 2
        inverse_size = factor * max(least, variance / (fraction * (1 - fraction)))
    return bound_fraction(fraction / inverse_size, 1 / inverse_size, confidence_level)
