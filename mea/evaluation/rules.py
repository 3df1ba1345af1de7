"""Decision rules learned from predictions of held-out recordings: calibration, when to reject, prediction sets.

The same rules are learned twice: for each fold from the out-of-fold predictions of its training set, to be scored on
its test set; and from all recordings that the folds held out, to be applied to new ones. The second are never scored.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mea.runtime.errors import MeaError
from mea.runtime.files import read_json, write_json
from mea.splitting.aggregation import get_probabilities
from mea.splitting.groups import group_recordings
from mea.statistics.calibration import Calibrator, fit_calibrator, fit_method
from mea.statistics.conformal import ConformalSets, fit_conformal
from mea.statistics.permutation import SIGNIFICANCE
from mea.statistics.prior import TRAINING, resolve_prior, weigh_recordings
from mea.statistics.selective import choose_threshold, count_needed, explain_threshold

FILE = "rules.json"


@dataclass(frozen=True)
class RuleSettings:
    """What is asked of the rules.

    Attributes
    ----------
    target_error
        Fraction of wrong predictions that is acceptable.
    confidence_level
        Fraction of prediction sets that shall hold the actual label.
    seed
        Of the assignment of groups to folds, where methods of calibration are compared.
    prior
        Shares of the classes for which they are learned: :func:`mea.statistics.prior.resolve_prior`.
    """

    target_error: float
    confidence_level: float
    seed: int
    prior: str | Mapping[str, float] = TRAINING


@dataclass(frozen=True)
class Rules:
    """How to turn a classifier's raw probabilities of recordings into predictions, rejections and prediction sets.

    Attributes
    ----------
    recordings
        Number of recordings these rules were learned from.
    calibrator
        Raw to calibrated probabilities; everything below is about calibrated ones.
    prior
        Share of each class for which they hold.
    uncalibrated
        Why nothing could be calibrated, in words; empty if it could.
    target_error
        Fraction of wrong predictions that is acceptable.
    threshold
        Least confidence that reaches the target; NaN if none does.
    too_few
        Why there is no threshold, in words; empty if there is one.
    conformal
        The labels that cannot be excluded.
    flags
        What every prediction is flagged with, because there is too little evidence for the classifier itself.
    """

    recordings: int
    calibrator: Calibrator
    prior: tuple[float, ...]
    uncalibrated: str
    target_error: float
    threshold: float
    too_few: str
    conformal: ConformalSets
    flags: tuple[str, ...] = ()

    @property
    def labels(self) -> list[str]:
        """The classes."""
        return list(self.conformal.labels)

    @property
    def confidence_threshold(self) -> float:
        """Least confidence of a prediction: the threshold, and NaN (all are rejected) if none reaches the target.

        0 (none is rejected) if too few recordings were held out to find a threshold at all.
        """
        return 0.0 if self.has_no_threshold else self.threshold

    @property
    def has_no_threshold(self) -> bool:
        """Whether too few recordings were held out to find a threshold."""
        return self.recordings < count_needed(self.target_error)

    def explain_rejection(self, confidence: float) -> str:
        """Why a new recording is rejected, in words; empty for one that is not."""
        if confidence >= self.confidence_threshold:
            return ""
        if np.isnan(self.threshold):
            return f"unsure: {self.too_few} ({self._name_target()})"
        return (
            f"unsure: confidence {confidence:.2f} is below {self.threshold:.2f}, the least at which no more than "
            f"{100 * self.target_error:.3g} % of predictions were wrong ({self._name_target()})"
        )

    def _name_target(self) -> str:
        return f"evaluate.target_error = {self.target_error:g}"

    def add_flags(self, p_value: float, leaky: bool) -> "Rules":
        """The same rules with the flags of :meth:`list_flags`."""
        return replace(self, flags=tuple(self.list_flags(p_value, leaky)))

    def list_flags(self, p_value: float, leaky: bool) -> list[str]:
        """What every prediction must be flagged with.

        Parameters
        ----------
        p_value
            Of the test against labels that were permuted between groups.
        leaky
            Whether the metrics are not honest.
        """
        needed = f"{self.recordings} recordings held out, {count_needed(self.target_error)} are needed"
        flags = {
            f"not calibrated: {self.uncalibrated}": self.uncalibrated,
            f"no threshold: {needed} ({self._name_target()})": self.has_no_threshold,
            (chance := explain_chance(p_value)): chance,
            "leaky: the confidence is too high, as the metrics on the card are": leaky,
        }
        return [flag for flag, is_due in flags.items() if is_due]

    def format_sets(self, probabilities: np.ndarray) -> list[str]:
        """The prediction set of each row of calibrated probabilities: its labels, joined by ``|``.

        A label that is in every set, because its class has too few recordings, is in parentheses. What is a bar, a
        parenthesis or a backslash in a label itself follows a backslash.
        """
        always = self.conformal.list_always()
        names = [escape_label(label) for label in self.labels]
        labels = np.array([f"({name})" if stays else name for name, stays in zip(names, always)], dtype=object)
        return ["|".join(labels[row]) for row in self.conformal.predict_sets(probabilities)]


def escape_label(label: str) -> str:
    """A label as it stands in a prediction set."""
    return re.sub(r"([\\|()])", r"\\\1", label)


def split_set(row: str) -> list[str]:
    """The labels of a prediction set, as they stand there.

    >>> split_set(r"a\\|b|(c)")
    ['a\\\\|b', '(c)']
    """
    return re.findall(r"(?:[^|\\]|\\.)+", row)


def read_sets(names: pd.Series, labels: list[str]) -> np.ndarray:
    """(n, n_labels) bool of what :meth:`Rules.format_sets` wrote."""
    sets, written = [split_set(row) for row in names], [escape_label(label) for label in labels]
    held = [[label in row or f"({label})" in row for label in written] for row in sets]
    return np.array(held, bool).reshape(-1, len(labels))


def learn_rules(held_out: pd.DataFrame, labels: list[str], settings: RuleSettings) -> Rules:
    """Learn from recordings that were predicted by models which had not seen their group.

    Parameters
    ----------
    held_out
        Columns recording, label, culture, batch and ``p_<label>``, the raw probabilities. May be empty; if a class is
        missing, nothing is calibrated.
    labels
        The classes, sorted.
    settings
        Acceptable error, confidence level, seed.
    """
    raw_proba = get_probabilities(held_out, labels)
    targets = held_out["label"].map({label: k for k, label in enumerate(labels)}).to_numpy(int)
    groups = group_recordings(held_out, "batch")
    counts = np.bincount(targets, minlength=len(labels))
    prior = resolve_prior(settings.prior, labels, counts)
    uncalibrated = explain_uncalibrated(labels, counts, groups)
    if uncalibrated:  # a bias would learn that a missing class never occurs
        calibrator = fit_method("none", raw_proba, targets, prior)
    else:
        calibrator = fit_calibrator(raw_proba, targets, groups, settings.seed, prior)
    probabilities = calibrator.calibrate(raw_proba)
    confidence, correct = probabilities.max(1, initial=0), probabilities.argmax(1) == targets
    selected = confidence, correct, settings.target_error, weigh_recordings(targets, prior)
    return Rules(
        recordings=len(held_out),
        calibrator=calibrator,
        prior=tuple(prior.tolist()),
        uncalibrated=uncalibrated,
        target_error=settings.target_error,
        threshold=choose_threshold(*selected),
        too_few=explain_threshold(*selected),
        conformal=fit_conformal(probabilities, targets, labels, settings.confidence_level, groups),
    )


def explain_uncalibrated(labels: list[str], counts: np.ndarray, groups: np.ndarray) -> str:
    """Why held-out recordings cannot calibrate, in words; an empty string where they can."""
    if not len(groups):
        return "no recording was held out inside the training set"
    missing = [label for label, count in zip(labels, counts) if not count]
    if missing:
        return f"no recording of {', '.join(missing)} was held out inside the training set"
    return "all held-out recordings are of one group" if len(np.unique(groups)) < 2 else ""


def explain_chance(p_value: float) -> str:
    """That a classifier was not told from chance, in words; an empty string where it was."""
    told = p_value < SIGNIFICANCE
    return "" if told else f"not told from chance: p = {p_value:.2g} with labels permuted between groups"


def explain_doubts(fold_rules: list[Rules], p_value: float) -> list[str]:
    """What the rules of the folds and the test against chance leave in doubt, in sentences."""
    reasons = [rules.uncalibrated for rules in fold_rules if rules.uncalibrated]
    where = "" if len(reasons) == len(fold_rules) else f" in {len(reasons)} of {len(fold_rules)} folds"
    uncalibrated = f"not calibrated{where}: {reasons[0]}" if reasons else ""
    return list(filter(None, [uncalibrated, explain_chance(p_value)]))


def save_rules(folder: Path, rules: Rules) -> None:
    """Write the rules beside the models they are about."""
    values: dict[str, Any] = dict(vars(rules))
    values |= {"calibrator": rules.calibrator.to_dict(), "conformal": rules.conformal.to_dict()}
    write_json(folder / FILE, values, digits=17)  # a threshold with fewer would reject the recording it was read from


def load_rules(folder: Path) -> Rules | None:
    """Read what :func:`save_rules` wrote; None for models that were trained but not evaluated.

    Raises
    ------
    MeaError
        If the file is not readable, or does not hold what it should.
    """
    if not (folder / FILE).exists():
        return None
    values = read_json(folder / FILE)
    try:
        values["calibrator"] = Calibrator.from_dict(values["calibrator"])
        values["conformal"] = ConformalSets.from_dict(values["conformal"])
        values["threshold"] = float("nan") if values["threshold"] is None else values["threshold"]
        values |= {name: tuple(values[name]) for name in ("prior", "flags")}
        return Rules(**values)
    except (KeyError, TypeError, ValueError) as error:
        raise MeaError(
            f"{folder / FILE}: not written by the evaluate stage ({error!r}). Run dvc repro evaluate."
        ) from None
