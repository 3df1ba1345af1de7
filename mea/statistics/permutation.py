"""Permutation test: is the accuracy better than chance? Labels are permuted between groups of similar recordings.

Recordings of one culture, and cultures of one batch, are similar whatever their class. If labels were permuted
recording by recording, the null distribution would be too narrow, because the real labels keep whole groups together.
So the permuted labels keep the design: batches exchange their profiles (the fractions of the labels among their
cultures), and inside each batch the cultures are assigned labels in these fractions. See :func:`permute_labels`.

Ojala and Garriga, "Permutation tests for studying classifier performance", JMLR 11 (2010); Phipson and Smyth,
"Permutation p-values should never be zero", Statistical Applications in Genetics and Molecular Biology 9 (2010),
doi:10.2202/1544-6115.1585.
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mea.runtime.parallel import PATIENCE_S, show_progress
from mea.splitting.groups import group_recordings

SIGNIFICANCE = 0.05  # p-values below it count
WIDENING = math.sqrt(2)  # of the null: see run_permutation_test


@dataclass(frozen=True)
class PermutationTest:
    """The result of :func:`run_permutation_test`."""

    observed: float  # balanced accuracy over recordings
    null: np.ndarray  # (n,) the same against permuted labels, widened
    p_value: float
    min_attainable_p: float  # about what faultless predictions would get: the smallest p-value possible here
    count: float  # number of different permutations


def run_permutation_test(recordings: pd.DataFrame, predicted: np.ndarray, n: int, seed: int) -> PermutationTest:
    """Balanced accuracy of held-out predictions against labels permuted between groups; no model is trained again.

    The deviations of the null distribution from its mean are widened by the square root of 2. A prediction depends on
    the real labels of the other folds, so the folds' scores are not independent, but against permuted labels they are.
    For a classifier that is linear in the labels, the effect on a group of fold 1 of training on a group of fold 2
    equals the effect in the other direction. Each pair of groups counts twice: with the real labels as one quantity,
    with permuted labels as two, and the variance of a sum of two equal terms is twice that of two independent ones.
    Without this, 4 to 12 % of p-values are below 0.05 under the null hypothesis; with it 0 to 4 %, in simulations of
    linear and other classifiers (some of them in ``tests/statistics/test_permutation.py``). One cross-validation cannot
    show how its folds depend on one another: Bengio and Grandvalet, "No unbiased estimator of the variance of k-fold
    cross-validation", JMLR 5 (2004).

    This test cannot detect a leak: a model that saw other chunks of a recording is correct for the real labels only.

    Parameters
    ----------
    recordings
        One row a recording: recording, label, culture, batch; an empty string where unknown.
    predicted
        (n_recordings,) the label predicted by the model that did not see the recording's group.
    n
        Number of permutations.
    seed
        Of the permutations.

    Returns
    -------
    PermutationTest
        The p-value is (1 + number of permutations at least as good) / (1 + n).

    Examples
    --------
    >>> import pandas as pd
    >>> label = ["ko", "wt"] * 12  # two cultures of each class in each of six batches
    >>> recordings = pd.DataFrame({"recording": range(24), "label": label, "culture": range(24),
    ...                            "batch": [f"b{n // 4}" for n in range(24)]}).astype(str)
    >>> test = run_permutation_test(recordings, predicted=np.array(label), n=199, seed=0)
    >>> test.observed, test.p_value
    (1.0, 0.005)
    """
    design, rng = _read_design(recordings), np.random.default_rng(seed)
    actual = np.searchsorted(design.labels, recordings["label"].to_numpy(str))
    predicted = np.asarray(predicted, dtype=str)
    correct = np.array([(predicted == label) for label in design.labels])  # (n_labels, n_recordings)
    truth = np.array([actual == number for number in range(len(design.labels))])
    observed, null, best = _balance(correct, actual), np.empty(n), np.empty(n)
    for k in show_progress(range(n), desc="permutations", delay=PATIENCE_S):
        drawn = design.draw(rng)
        null[k], best[k] = _balance(correct, drawn), _balance(truth, drawn)
    null, best = _widen_null(null), _widen_null(best)
    p_value = _find_p(observed, null)
    least = min(p_value, _find_p(1.0, best))  # faultless predictions have their own, slightly wider null distribution
    return PermutationTest(observed, null, p_value, least, _count_outcomes(design))


def _balance(correct: np.ndarray, label: np.ndarray) -> float:
    """Balanced accuracy, where ``correct[k, i]`` says whether the prediction of recording i is correct if it is k."""
    right = correct[label, np.arange(len(label))]
    return float((np.bincount(label, weights=right) / np.bincount(label)).mean())


def _widen_null(null: np.ndarray) -> np.ndarray:
    return np.clip(null.mean() + WIDENING * (null - null.mean()), 0.0, 1.0)


def _find_p(observed: float, null: np.ndarray) -> float:
    return float((1 + (null >= observed - 1e-12).sum()) / (1 + len(null)))  # equal but for rounding counts


def permute_labels(recordings: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
    """Labels permuted between groups; the design is kept.

    Three steps, each inside the one before it:

    1. Batches exchange their profiles: the fractions of their cultures that are of each kind.
    2. Inside a batch, the cultures are assigned these kinds at random. A culture's kind is the fractions of its
       recordings that have each label; most cultures have one label only.
    3. Inside a culture of several labels, its recordings are assigned them at random.

    If every batch has one label, whole batches exchange theirs; if all batches have the same fractions, cultures are
    permuted inside their batch. Batches linked by a culture are one, as in
    :func:`mea.splitting.groups.group_recordings`. A recording of unknown batch forms a group with its culture only, so
    if no batch is known, cultures exchange labels; one of unknown culture is a culture of its own, so if neither is
    known, recordings exchange labels.

    A profile assigned to a group of another size is rounded: each label gets the integer part of its fraction, and the
    rest goes to labels drawn by their remainders. So a group keeps its size, but the total of each label may change a
    little; a draw without any recording of a label is discarded. With equal sizes, or one label in each group, nothing
    is rounded.

    Parameters
    ----------
    recordings
        One row a recording: recording, label, culture, batch; an empty string where unknown.
    rng
        Random generator.

    Returns
    -------
    np.ndarray
        (n,) labels in the order of the rows.
    """
    design = _read_design(recordings)
    return design.labels[design.draw(rng)]


def draw_permutations(recordings: pd.DataFrame, n: int, seed: int) -> np.ndarray:
    """(n, n_recordings) labels: :func:`permute_labels` n times; the design is read once."""
    design, rng = _read_design(recordings), np.random.default_rng(seed)
    return design.labels[np.array([design.draw(rng) for _ in range(n)])]


@dataclass(frozen=True)
class _Grouping:
    """Groups and their members, each of a kind; a group's profile is the fractions of its members of each kind."""

    group: np.ndarray  # (n_members,) int
    profile: np.ndarray  # (n_groups,) int, rows of the table
    table: np.ndarray  # (n_profiles, n_kinds) int, each row without a common divisor: fractions, not counts

    def deal(self, profile: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(n_members,) int: kinds for all members, if the groups have these profiles (n_groups,)."""
        counts, rest = self.allot(profile)
        left = rest.sum(1) // self.table.sum(1)[profile]
        if left.any():
            with np.errstate(divide="ignore"):  # a kind without remainder comes last
                keys = np.log(rng.random(rest.shape)) / rest
            counts += (-keys).argsort(1).argsort(1) < left[:, None]
        kinds = np.repeat(np.tile(np.arange(counts.shape[1]), len(counts)), counts.ravel())
        dealt = np.empty(len(self.group), int)
        dealt[np.lexsort((rng.random(len(self.group)), self.group))] = kinds
        return dealt

    def allot(self, profile: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How many members of a group get each kind, and the remainders of the division; (n_groups, n_kinds) each."""
        weights = self.table[profile] * np.bincount(self.group)[:, None]
        return np.divmod(weights, self.table.sum(1)[profile][:, None])

    def count_deals(self) -> int:
        """In how many ways the members can be assigned the kinds that their groups have."""
        return math.prod(_count_orders(counts) for counts in self.allot(self.profile)[0].tolist())


def _build_grouping(group: np.ndarray, kind: np.ndarray) -> _Grouping:
    counts = np.zeros((group.max() + 1, kind.max() + 1), int)
    np.add.at(counts, (group, kind), 1)
    table, profile = np.unique(counts // np.gcd.reduce(counts, axis=1, keepdims=True), axis=0, return_inverse=True)
    return _Grouping(group, profile.ravel(), table)


def _count_orders(counts: list[int]) -> int:
    """In how many orders objects of several kinds can be arranged: the multinomial coefficient."""
    return math.prod(math.comb(sum(counts[: k + 1]), counts[k]) for k in range(len(counts)))


@dataclass(frozen=True)
class _Design:
    labels: np.ndarray  # the classes, sorted
    batches: _Grouping  # of cultures
    cultures: _Grouping  # of recordings

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """(n,) int numbers of the permuted labels."""
        while True:
            culture_profile = self.batches.deal(rng.permutation(self.batches.profile), rng)
            label = self.cultures.deal(culture_profile, rng)
            if (np.bincount(label, minlength=len(self.labels)) > 0).all():
                return label


def _read_design(recordings: pd.DataFrame) -> _Design:
    recordings = recordings.reset_index(drop=True)
    labels, label = np.unique(recordings["label"].to_numpy(str), return_inverse=True)
    batch, culture = group_recordings(recordings, "batch"), group_recordings(recordings, "culture")
    cultures = _build_grouping(culture, label)
    batch_of_culture = np.zeros(len(cultures.profile), int)
    batch_of_culture[culture] = batch
    return _Design(labels, _build_grouping(batch_of_culture, cultures.profile), cultures)


def count_permutations(recordings: pd.DataFrame) -> float:
    """How many different outcomes :func:`permute_labels` has; infinite beyond 1e308.

    If profiles have to be rounded, the number inside the groups depends on which group got which profile; it is counted
    for the profiles as they are.
    """
    return _count_outcomes(_read_design(recordings))


def _count_outcomes(design: _Design) -> float:
    exchanges = _count_orders(np.bincount(design.batches.profile).tolist())
    try:
        return float(exchanges * design.batches.count_deals() * design.cultures.count_deals())
    except OverflowError:
        return math.inf
