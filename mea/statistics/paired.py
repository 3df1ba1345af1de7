"""Do two versions differ on the same recordings? Paired differences with intervals that account for groups."""

from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.stats import norm, t

from mea.statistics.intervals import UNDEFINED, Interval, measure_mean_variance
from mea.statistics.scores import METRICS, Predictions, score_predictions

MIN_GROUPS = 6  # fewer groups that differ cannot reach p < 0.05 even if all go one way: 2 / 2**5 = 0.06
MAX_EXACT_GROUPS = 12  # up to here all sign patterns are tried
N_DRAWS = 9999
IDENTICAL, NOISE, REAL = "identical", "within noise", "a real difference"


@dataclass(frozen=True)
class Difference:
    """One metric of two versions on the same recordings.

    Attributes
    ----------
    metric
        As :func:`mea.statistics.scores.score_predictions` names it.
    a, b
        Its value in each version; NaN where undefined.
    low, high
        Interval of b - a; NaN where there is none.
    verdict
        ``identical``, ``within noise``, ``a real difference``, or ``undefined`` where there is no interval.
    """

    metric: str
    a: float
    b: float
    low: float
    high: float
    verdict: str

    @property
    def value(self) -> float:
        """B - a."""
        return self.b - self.a

    @property
    def better(self) -> str:
        """The better version, ``A`` or ``B``, where the difference is real; else empty."""
        if self.verdict != REAL:
            return ""
        return "B" if (self.value > 0) == METRICS[self.metric].higher_is_better else "A"


def compare_accuracy(
    labels: list[str],
    actual: np.ndarray,
    groups: np.ndarray,
    a: np.ndarray,
    b: np.ndarray,
    confidence_level: float = 0.95,
) -> Difference:
    """The accuracy's difference alone, with :func:`bound_difference`; parameters as of :func:`compare_predictions`."""
    change = find_changes(labels, actual, a, b)
    bounds = UNDEFINED  # if every probability is the same, there is nothing to bound
    if not np.array_equal(a, b):
        bounds = bound_difference(change, groups, confidence_level)
    first, second = (float((np.array(labels)[version.argmax(1)] == actual).mean()) for version in (a, b))
    return Difference("accuracy", first, second, *bounds, name_verdict(*bounds, not change.any()))


def compare_predictions(
    labels: list[str],
    actual: np.ndarray,
    groups: np.ndarray,
    a: np.ndarray,
    b: np.ndarray,
    bins: int,
    confidence_level: float = 0.95,
) -> list[Difference]:
    """Every metric's difference between two versions' predictions of the same recordings.

    The accuracy's interval is :func:`bound_difference`; the others' are delete-one-group jackknife intervals with
    Student's t (MacKinnon, Nielsen, Webb, "Fast and reliable jackknife and bootstrap methods for cluster-robust
    inference", J. Appl. Econometrics 38, 2023, doi:10.1002/jae.2969). If predicted labels differ in few groups, the
    jackknife underestimates how much they vary; the interval of a fraction is then at least as wide, to both sides, as
    the accuracy's.

    Parameters
    ----------
    labels
        The classes, sorted.
    actual
        (n,) label of each recording.
    groups
        (n,) int group of each recording, from 0 without gaps.
    a, b
        (n, n_labels) probabilities of each version.
    bins
        Of the expected calibration error.
    confidence_level
        Confidence level.

    Returns
    -------
    list of Difference
        In the order of ``mea.statistics.scores.METRICS``.

    Examples
    --------
    >>> import numpy as np
    >>> actual, groups = np.tile(["ko", "wt"], 20), np.repeat(np.arange(10), 4)
    >>> good = np.where(actual == "wt", 0.8, 0.2)
    >>> guess = np.full(40, 0.4)  # always says ko
    >>> a, b = (np.column_stack([1 - p, p]) for p in (guess, good))
    >>> accuracy = compare_predictions(["ko", "wt"], actual, groups, a, b, bins=10)[0]
    >>> accuracy.metric, accuracy.value, accuracy.verdict, accuracy.better
    ('accuracy', 0.5, 'a real difference', 'B')
    """
    first, second = (Predictions(labels, actual, version, bins) for version in (a, b))
    accuracy = compare_accuracy(labels, actual, groups, a, b, confidence_level)
    reach = (accuracy.value - accuracy.low, accuracy.high - accuracy.value)
    few = _count_changed(first.predicted != second.predicted, groups) < MIN_GROUPS
    halves = _jackknife(labels, actual, groups, a, b, bins, confidence_level)
    scores = [score_predictions(labels, actual, version, bins) for version in (a, b)]
    differences = []
    for name, half in halves.items():
        if name == accuracy.metric:
            differences.append(accuracy)
            continue
        is_fraction = METRICS[name].is_fraction
        sides = (half, half) if not few or not is_fraction else np.maximum(half, reach)  # NaN stays NaN
        bounds = UNDEFINED  # if every probability is the same, there is nothing to bound
        if not np.array_equal(a, b):
            bounds = _bound(scores[1][name] - scores[0][name], sides, is_fraction)
        same = np.array_equal(*(getattr(version, METRICS[name].decided_by) for version in (first, second)))
        differences.append(Difference(name, scores[0][name], scores[1][name], *bounds, name_verdict(*bounds, same)))
    return differences


def _bound(value: float, sides: tuple[float, float] | np.ndarray, is_fraction: bool) -> Interval:
    low, high = value - sides[0], value + sides[1]
    return (float(np.clip(low, -1, 1)), float(np.clip(high, -1, 1))) if is_fraction else (float(low), float(high))


def find_changes(labels: list[str], actual: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(n,) int: 1 where only ``b`` predicts the actual label, -1 where only ``a`` does, else 0."""
    correct_a, correct_b = (np.array(labels)[version.argmax(1)] == actual for version in (a, b))
    return correct_b.astype(int) - correct_a.astype(int)


def name_verdict(low: float, high: float, same: bool) -> str:
    """The verdict of an interval of a difference, in words.

    Parameters
    ----------
    low, high
        The interval.
    same
        Whether the two versions agree on every single recording, which is not the same as a difference of zero.
    """
    if same:
        return IDENTICAL
    if not (np.isfinite(low) and np.isfinite(high)):
        return "undefined"
    return NOISE if low <= 0 <= high else REAL


def bound_difference(change: np.ndarray, groups: np.ndarray, confidence_level: float = 0.95) -> Interval:
    """Interval of a paired difference of accuracies, if recordings of one group are similar.

    The adjusted Wald interval of Bonett and Price ("Adjusted Wald confidence interval for a difference of binomial
    proportions based on paired data", J. Educ. Behav. Stat. 37, 2012, doi:10.3102/1076998611411915) at the effective
    number of recordings: the number of independent recordings that would vary as much as the groups do, reduced as in
    Korn and Graubard because it is estimated from few groups. If the versions differ in fewer than ``MIN_GROUPS``
    groups, the similarity of recordings cannot be estimated, and each group counts at most once.

    Parameters
    ----------
    change
        (n,) int: 1 where only the second version is right, -1 where only the first is, else 0.
    groups
        (n,) int group of each recording, from 0 without gaps.
    confidence_level
        Confidence level.

    Returns
    -------
    low, high
        Both NaN for fewer than two groups.

    Examples
    --------
    >>> import numpy as np
    >>> change = np.repeat([1] * 8 + [0] * 12, 2)  # the second version is better in 8 of 20 cultures
    >>> np.round(bound_difference(change, groups=np.repeat(np.arange(20), 2)), 2).tolist()
    [0.09, 0.62]
    """
    n, k, value = len(change), len(set(groups)), float(np.mean(change))
    if k < 2:
        return UNDEFINED
    won, lost = float(np.mean(change > 0)), float(np.mean(change < 0))
    variance = measure_mean_variance(change, groups)
    independent = (won + lost - value**2) / n
    size = n * min(1.0, independent / variance) if variance > 0 else float(n)
    if _count_changed(change != 0, groups) < MIN_GROUPS:
        size = min(size, float(k))
    z = norm.ppf((1 + confidence_level) / 2)
    size *= (z / t.ppf((1 + confidence_level) / 2, k - 1)) ** 2
    won, lost = (won * size + 1) / (size + 2), (lost * size + 1) / (size + 2)
    half = z * np.sqrt((won + lost - (won - lost) ** 2) / (size + 2))
    return max(-1.0, won - lost - half), min(1.0, won - lost + half)


def flip_signs(change: np.ndarray, groups: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """Permutation test of equal accuracies: the two versions are swapped in whole groups.

    Two-sided. All patterns of signs are tried if few groups differ, else ``N_DRAWS`` random ones.

    Parameters
    ----------
    change
        As in :func:`bound_difference`.
    groups
        (n,) int group of each recording, from 0 without gaps.
    seed
        Of the random patterns.

    Returns
    -------
    p_value, min_attainable_p
        The p-value, and the smallest one that this number of groups can reach.

    Examples
    --------
    >>> import numpy as np
    >>> flip_signs(np.ones(6, int), groups=np.arange(6))  # all six groups favour the second version: 2 / 2**6
    (0.03125, 0.03125)
    """
    sums = np.bincount(groups, weights=change).astype(int)
    sums = sums[sums != 0]  # the others' signs change nothing
    observed = abs(sums.sum())
    if len(sums) <= MAX_EXACT_GROUPS:
        signs = np.array(list(product((-1, 1), repeat=len(sums))), dtype=int).reshape(2 ** len(sums), len(sums))
        return float((abs(signs @ sums) >= observed).mean()), min(1.0, 2.0 / len(signs))
    signs = np.random.default_rng(seed).choice((-1, 1), size=(N_DRAWS, len(sums)))
    reached = int((abs(signs @ sums) >= observed).sum())
    return (reached + 1) / (N_DRAWS + 1), 1 / (N_DRAWS + 1)


def _count_changed(changed: np.ndarray, groups: np.ndarray) -> int:
    return len(set(groups[changed]))


def _jackknife(labels, actual, groups, a, b, bins, confidence_level) -> dict[str, float]:
    """Half the width of each metric's interval; NaN if leaving out a group makes a metric undefined."""

    def subtract(rows: np.ndarray) -> dict[str, float]:
        first, second = (score_predictions(labels, actual[rows], version[rows], bins) for version in (a, b))
        return {name: second[name] - first[name] for name in first}

    numbers = sorted(set(groups))
    k, whole = len(numbers), subtract(np.ones(len(actual), bool))
    if k < 2 or np.array_equal(a, b):
        return dict.fromkeys(whole, float("nan"))
    parts = [subtract(groups != number) for number in numbers]
    factor = t.ppf((1 + confidence_level) / 2, k - 1) * np.sqrt((k - 1) / k)
    return {name: factor * np.sqrt(sum((part[name] - whole[name]) ** 2 for part in parts)) for name in whole}
