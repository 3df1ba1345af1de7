"""Conformal prediction sets: the labels that cannot be excluded, which hold the actual one at a chosen frequency.

Split conformal prediction with a threshold for each class (label-conditional, or Mondrian), so that a rare class is
covered as often as a common one: Vovk, "Conditional validity of inductive conformal predictors", ACML 2012
(arXiv:1209.2673); the score, 1 - probability of the actual label, and its smallest sets: Sadinle, Lei, Wasserman,
"Least ambiguous set-valued classifiers with bounded error levels", JASA 114 (2019), doi 10.1080/01621459.2017.1395341.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from mea.statistics.intervals import bound_fraction
from mea.statistics.selective import count_needed

ALWAYS = 1.0  # the threshold of a class with too few recordings to be excluded


@dataclass(frozen=True)
class ConformalSets:
    """Which labels cannot be excluded.

    The fraction of sets that hold the actual label is at least ``confidence_level`` for every class, as long as a new
    recording is exchangeable with those used for calibration. Recordings of one culture or batch are similar and a new
    one comes from another, so the number of groups limits the guarantee; :meth:`explain` says where it is small.

    Attributes
    ----------
    confidence_level
        Fraction of sets that shall hold the actual label, for instance 0.95.
    labels
        The classes.
    thresholds
        For each class the largest 1 - probability with which it stays in the set; 1 (always) if its recordings are too
        few.
    recordings
        For each class how many recordings it was calibrated on.
    groups
        For each class the number of their groups.
    """

    confidence_level: float
    labels: tuple[str, ...]
    thresholds: tuple[float, ...]
    recordings: tuple[int, ...]
    groups: tuple[int, ...]

    def predict_sets(self, probabilities: np.ndarray) -> np.ndarray:
        """(n, n_labels) bool, whether each label stays in the set, of (n, n_labels) probabilities. May be empty."""
        return 1 - np.asarray(probabilities, float) <= np.array(self.thresholds)

    def list_always(self) -> list[bool]:
        """Of each class, whether it is in every set, because its recordings are too few to exclude it."""
        return [recordings < count_needed(1 - self.confidence_level) for recordings in self.recordings]

    def explain(self) -> str:
        """Which classes have too few recordings or groups for the confidence level, in words; else an empty string."""
        needed, percent = count_needed(1 - self.confidence_level), f"{100 * self.confidence_level:.4g} %"
        words = []
        for label, recordings, groups, always in zip(self.labels, self.recordings, self.groups, self.list_always()):
            if always:
                words.append(
                    f"too few recordings for {percent}: class {label} has {recordings} calibration recordings, "
                    f"{needed} are needed; it is in every set"
                )
            elif groups < needed:
                words.append(
                    f"too few groups for {percent}: the {recordings} calibration recordings of class {label} come from "
                    f"{groups} groups, {needed} are needed; recordings of one group are similar, so the coverage "
                    "may be lower than stated"
                )
        return "; ".join(words)

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> "ConformalSets":
        """The counterpart of :meth:`to_dict`."""
        lists = {name: tuple(value) for name, value in stored.items() if name != "confidence_level"}
        return cls(confidence_level=stored["confidence_level"], **lists)


def fit_conformal(
    probabilities: np.ndarray, targets: np.ndarray, labels: Sequence[str], confidence_level: float, groups: np.ndarray
) -> ConformalSets:
    """Calibrate prediction sets on held-out recordings.

    Parameters
    ----------
    probabilities
        (n, n_labels) of recordings, each from a model that has not seen it.
    targets
        (n,) int, index of the actual label.
    labels
        n_labels names.
    confidence_level
        Fraction of sets that shall hold the actual label, for every class.
    groups
        (n,) group of each recording; only counted, for :meth:`ConformalSets.explain`: the thresholds treat recordings
        as independent.

    Examples
    --------
    >>> import numpy as np
    >>> p = np.linspace(0.99, 0.6, 40)  # of the actual class
    >>> targets = np.tile([0, 1], 20)
    >>> probabilities = np.where(np.eye(2)[targets] == 1, p[:, None], 1 - p[:, None])
    >>> sets = fit_conformal(probabilities, targets, ["ko", "wt"], confidence_level=0.9, groups=np.arange(40))
    >>> sets.predict_sets(np.array([[0.97, 0.03], [0.5, 0.5], [0.65, 0.35]])).tolist()
    [[True, False], [False, False], [True, False]]
    >>> sets.explain()
    ''
    """
    thresholds, recordings, number = [], [], []
    for k in range(len(labels)):
        own = targets == k
        thresholds.append(_find_threshold(1 - np.asarray(probabilities, float)[own, k], confidence_level))
        recordings.append(int(own.sum()))
        number.append(len(np.unique(np.asarray(groups)[own])))
    return ConformalSets(confidence_level, tuple(labels), tuple(thresholds), tuple(recordings), tuple(number))


def _find_threshold(scores: np.ndarray, confidence_level: float) -> float:
    """The ⌈(n + 1) · level⌉-th smallest score: the new recording is one of n + 1, equally likely at any rank."""
    rank = math.ceil(round((len(scores) + 1) * confidence_level, 9))
    return float(np.sort(scores)[rank - 1]) if rank <= len(scores) else ALWAYS


def measure_coverage(sets: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """How often the sets hold the actual label, and how many labels they hold.

    Parameters
    ----------
    sets
        (n, n_labels) bool.
    targets
        (n,) int, index of the actual label.

    Returns
    -------
    dict
        coverage, mean_size (labels a set), empty_fraction, single_fraction (sets of one label, correct or not).

    Examples
    --------
    >>> import numpy as np
    >>> measure_coverage(np.array([[True, False], [True, True]]), targets=np.array([0, 1]))
    {'coverage': 1.0, 'mean_size': 1.5, 'empty_fraction': 0.0, 'single_fraction': 0.5}
    """
    sizes = sets.sum(1)
    return {
        "coverage": float(sets[np.arange(len(targets)), targets].mean()),
        "mean_size": float(sizes.mean()),
        "empty_fraction": float((sizes == 0).mean()),
        "single_fraction": float((sizes == 1).mean()),
    }


def list_coverage(
    sets: np.ndarray, targets: np.ndarray, labels: Sequence[str], confidence_level: float
) -> pd.DataFrame:
    """The same for each class that has recordings.

    Parameters
    ----------
    sets, targets
        As for :func:`measure_coverage`.
    labels
        n_labels names.
    confidence_level
        Confidence level of the coverage's interval (Clopper and Pearson, as if the recordings were independent).

    Returns
    -------
    pd.DataFrame
        label, count, coverage, coverage_low, coverage_high, mean_size, empty_fraction, single_fraction.
    """
    rows = []
    for k, label in enumerate(labels):
        own = targets == k
        if own.any():
            measured = measure_coverage(sets[own], targets[own])
            low, high = bound_fraction(int(sets[own, k].sum()), int(own.sum()), confidence_level)
            interval = {"coverage_low": low, "coverage_high": high}
            rows.append({"label": label, "count": int(own.sum())} | measured | interval)
    columns = ["label", "count", "coverage", "coverage_low", "coverage_high"]
    return pd.DataFrame(rows, columns=[*columns, "mean_size", "empty_fraction", "single_fraction"])
