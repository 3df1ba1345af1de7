"""Whether two versions differ on the same recordings: differences with intervals that respect groups."""

from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.stats import norm, t

from mea.statistics.intervals import measure_mean_variance
from mea.statistics.scores import score_predictions

SHARES = ("accuracy", "balanced_accuracy", "f1", "roc_auc")  # between 0 and 1, higher is better
LOWER_IS_BETTER = ("log_loss", "brier", "ece")
FEWEST_GROUPS = 6  # with fewer that differ, not even all of them going one way has p below 0.05: 2 / 2**5 = 0.06
EXACT_GROUPS = 12  # up to here all sign patterns are tried
DRAWS = 9999
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
        return "B" if (self.value > 0) != (self.metric in LOWER_IS_BETTER) else "A"


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
    inference", J. Appl. Econometrics 38, 2023, doi:10.1002/jae.2969). Where calls differ in few groups the jackknife
    cannot see how much they vary; a share's interval then reaches as far to both sides as the accuracy's.

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
        In the order of :func:`mea.statistics.scores.score_predictions`.
    """
    names = np.array(labels)
    calls_a, calls_b = names[a.argmax(1)], names[b.argmax(1)]
    change = find_changes(labels, actual, a, b)
    low, high = bound_difference(change, groups, confidence_level)
    reach = (change.mean() - low, high - change.mean())
    few = _count_changed(calls_a != calls_b, groups) < FEWEST_GROUPS
    halves = _jackknife(labels, actual, groups, a, b, bins, confidence_level)
    scores = [score_predictions(labels, actual, version, bins) for version in (a, b)]
    differences = []
    for name, half in halves.items():
        same = np.array_equal(a, b)
        sides = (half, half) if not few or name not in SHARES else np.maximum(half, reach)  # NaN stays NaN
        if name == "accuracy":
            sides = reach
        bounds = _surround(scores[1][name] - scores[0][name], sides, name in SHARES, same)
        if name in ("accuracy", "balanced_accuracy"):
            same = not change.any()
        elif name == "f1":
            same = bool((calls_a == calls_b).all())
        differences.append(Difference(name, scores[0][name], scores[1][name], *bounds, judge_interval(*bounds, same)))
    return differences


def _surround(value: float, sides, share: bool, same: bool) -> tuple[float, float]:
    """Bounds around a difference; none where every probability is the same, for then there is nothing to bound."""
    if same:
        return float("nan"), float("nan")
    low, high = value - sides[0], value + sides[1]
    return (float(np.clip(low, -1, 1)), float(np.clip(high, -1, 1))) if share else (float(low), float(high))


def find_changes(labels: list[str], actual: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(n,) int: 1 where only ``b`` calls a recording rightly, -1 where only ``a`` does, else 0."""
    right_a, right_b = (np.array(labels)[version.argmax(1)] == actual for version in (a, b))
    return right_b.astype(int) - right_a.astype(int)


def judge_interval(low: float, high: float, same: bool) -> str:
    """What an interval of a difference says in words.

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


def bound_difference(change: np.ndarray, groups: np.ndarray, confidence_level: float = 0.95) -> tuple[float, float]:
    """Interval of a paired difference of accuracies that stays true when the recordings of one group are alike.

    The adjusted Wald interval of Bonett and Price ("Adjusted Wald confidence interval for a difference of binomial
    proportions based on paired data", J. Educ. Behav. Stat. 37, 2012, doi:10.3102/1076998611411915) at the effective
    number of recordings: the number that, drawn independently, would vary as much as the groups do, made smaller as
    Korn and Graubard do for the few groups it is estimated from. Where the versions differ in fewer than
    ``FEWEST_GROUPS`` groups, how alike recordings are cannot be seen, and each group counts at most once.

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
    """
    n, k, value = len(change), len(set(groups)), float(np.mean(change))
    if k < 2:
        return float("nan"), float("nan")
    won, lost = float(np.mean(change > 0)), float(np.mean(change < 0))
    variance = measure_mean_variance(change, groups)
    independent = (won + lost - value**2) / n
    size = n * min(1.0, independent / variance) if variance > 0 else float(n)
    if _count_changed(change != 0, groups) < FEWEST_GROUPS:
        size = min(size, float(k))
    z = norm.ppf((1 + confidence_level) / 2)
    size *= (z / t.ppf((1 + confidence_level) / 2, k - 1)) ** 2
    won, lost = (won * size + 1) / (size + 2), (lost * size + 1) / (size + 2)
    half = z * np.sqrt((won + lost - (won - lost) ** 2) / (size + 2))
    return max(-1.0, won - lost - half), min(1.0, won - lost + half)


def flip_signs(change: np.ndarray, groups: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """Permutation test of equal accuracies: which version is which is swapped in whole groups.

    Two-sided. All patterns of signs are tried where few groups differ, else ``DRAWS`` random ones.

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
    p_value, smallest
        The p-value, and the smallest that so many groups could have reached.
    """
    sums = np.bincount(groups, weights=change).astype(int)
    sums = sums[sums != 0]  # the others' signs change nothing
    observed = abs(sums.sum())
    if len(sums) <= EXACT_GROUPS:
        signs = np.array(list(product((-1, 1), repeat=len(sums))), dtype=int).reshape(2 ** len(sums), len(sums))
        return float((abs(signs @ sums) >= observed).mean()), min(1.0, 2.0 / len(signs))
    signs = np.random.default_rng(seed).choice((-1, 1), size=(DRAWS, len(sums)))
    reached = int((abs(signs @ sums) >= observed).sum())
    return (reached + 1) / (DRAWS + 1), 1 / (DRAWS + 1)


def _count_changed(changed: np.ndarray, groups: np.ndarray) -> int:
    return len(set(groups[changed]))


def _jackknife(labels, actual, groups, a, b, bins, confidence_level) -> dict[str, float]:
    """Half the width of each metric's interval; NaN where leaving a group out leaves a metric undefined."""

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
