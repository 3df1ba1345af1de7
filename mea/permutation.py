"""Is it more than chance? Labels permuted between groups, never between recordings that are alike.

Recordings of one culture, and cultures of one batch, are alike whatever their class (a fingerprint). Were labels
permuted recording by recording, the null would break up what the real labels leave whole, and look narrower than it
is. So the permuted labels keep the design: batches exchange their profiles (the shares of the labels among their
cultures), and inside each batch the cultures are dealt labels by it. See `permute_labels`.
"""

import math
import warnings
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mea.splits import group_recordings


def permute_labels(recordings: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
    """Labels permuted between groups, the design kept.

    Three steps, each inside the one before it:

    1. Batches exchange their profiles: which shares of their cultures are of which kind.
    2. Inside a batch, its cultures are dealt those kinds at random. A culture's kind is which shares of its recordings
       carry which label; most cultures carry one label as a whole.
    3. Inside a culture of several labels, its recordings are dealt them at random.

    Where every batch holds one label, whole batches exchange theirs; where all batches have the same shares, cultures
    permute inside their batch. Batches linked by a culture are one, as in `mea.splits.group_recordings`. A recording
    of unknown batch forms a group with its culture only, so where no batch is known, cultures exchange labels; one of
    unknown culture is a culture of its own, so where neither is known, recordings do.

    A profile that meets a group of another size is rounded: each label gets the whole part of its share, and what is
    left over goes to labels drawn by the remainders. So a group keeps its size, but how many recordings a label has in
    all may change a little; a draw in which a label has none is thrown away. With equal sizes, or only one label in
    each group, nothing is rounded.

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


@dataclass(frozen=True)
class _Level:
    """Groups and their members, each of a kind; a group's profile is how many of its members are of which kind."""

    group: np.ndarray  # (n_members,) int
    profile: np.ndarray  # (n_groups,) int, rows of the table
    table: np.ndarray  # (n_profiles, n_kinds) int, each row without a common divisor: shares, not counts

    def deal(self, profile: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(n_members,) int: kinds for all members, when the groups have these profiles (n_groups,)."""
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
        """In how many ways the members can be dealt the kinds that their groups have."""
        return math.prod(_count_orders(counts) for counts in self.allot(self.profile)[0].tolist())


def _build_level(group: np.ndarray, kind: np.ndarray) -> _Level:
    counts = np.zeros((group.max() + 1, kind.max() + 1), int)
    np.add.at(counts, (group, kind), 1)
    table, profile = np.unique(counts // np.gcd.reduce(counts, axis=1, keepdims=True), axis=0, return_inverse=True)
    return _Level(group, profile.ravel(), table)


def _count_orders(counts: list[int]) -> int:
    """In how many orders things of several kinds can stand: the multinomial coefficient."""
    return math.prod(math.comb(sum(counts[: k + 1]), counts[k]) for k in range(len(counts)))


@dataclass(frozen=True)
class _Design:
    labels: np.ndarray  # the classes, sorted
    batches: _Level  # of cultures
    cultures: _Level  # of recordings

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
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # split has said what is unknown
        batch = group_recordings(recordings, "batch")
        culture = group_recordings(recordings, "culture")
    cultures = _build_level(culture, label)
    batch_of_culture = np.zeros(len(cultures.profile), int)
    batch_of_culture[culture] = batch
    return _Design(labels, _build_level(batch_of_culture, cultures.profile), cultures)


def count_permutations(recordings: pd.DataFrame) -> float:
    """How many different outcomes `permute_labels` has; infinite beyond 1e308.

    Where profiles have to be rounded the number inside the groups depends on which group got which profile; it is
    counted for the profiles as they are.
    """
    design = _read_design(recordings)
    exchanges = _count_orders(list(Counter(design.batches.profile.tolist()).values()))
    try:
        return float(exchanges * design.batches.count_deals() * design.cultures.count_deals())
    except OverflowError:
        return math.inf
