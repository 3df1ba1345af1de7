"""Decision rules learned from predictions of held-out recordings: calibration, when to reject, prediction sets.

The same rules are learned twice: for each fold from the out-of-fold predictions of its training set, to be scored on
its test set; and from all recordings that the folds held out, to be applied to new ones. The second are never scored.
"""

from dataclasses import dataclass
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
    """

    target_error: float
    confidence_level: float
    seed: int


@dataclass(frozen=True)
class Rules:
    """How to turn a classifier's raw probabilities of recordings into predictions, rejections and prediction sets.

    Attributes
    ----------
    recordings
        Number of recordings these rules were learned from.
    calibrator
        Raw to calibrated probabilities; everything below is about calibrated ones.
    target_error
        Fraction of wrong predictions that is acceptable.
    threshold
        Least confidence that reaches the target; NaN if none does.
    too_few
        Why there is no threshold, in words; empty if there is one.
    conformal
        The labels that cannot be excluded.
    """

    recordings: int
    calibrator: Calibrator
    target_error: float
    threshold: float
    too_few: str
    conformal: ConformalSets

    @property
    def confidence_threshold(self) -> float:
        """Least confidence of a prediction: the threshold, and NaN (all are rejected) if none reaches the target.

        0 (none is rejected) if too few recordings were held out to find a threshold at all.
        """
        return 0.0 if self.recordings < count_needed(self.target_error) else self.threshold

    def explain_rejection(self, confidence: float) -> str:
        """Why a new recording is rejected, in words; empty for one that is not."""
        if confidence >= self.confidence_threshold:
            return ""
        if np.isnan(self.threshold):
            return f"unsure: {self.too_few}"
        return (
            f"unsure: confidence {confidence:.2f} is below {self.threshold:.2f}, the least at which no more than "
            f"{100 * self.target_error:.3g} % of predictions were wrong"
        )

    def format_sets(self, probabilities: np.ndarray) -> list[str]:
        """The prediction set of each row of calibrated probabilities: its labels, joined by ``|``."""
        labels = np.array(self.conformal.labels)
        return ["|".join(labels[row]) for row in self.conformal.predict_sets(probabilities)]


def read_sets(names: pd.Series, labels: list[str]) -> np.ndarray:
    """(n, n_labels) bool of what :meth:`Rules.format_sets` wrote."""
    return np.array([[label in row.split("|") for label in labels] for row in names], bool).reshape(-1, len(labels))


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
    if len(np.unique(targets)) == len(labels):
        calibrator = fit_calibrator(raw_proba, targets, groups, settings.seed)
    else:  # a bias would learn that the missing class never occurs
        calibrator = fit_method("none", raw_proba, targets)
    probabilities = calibrator.calibrate(raw_proba)
    confidence, correct = probabilities.max(1, initial=0), probabilities.argmax(1) == targets
    return Rules(
        recordings=len(held_out),
        calibrator=calibrator,
        target_error=settings.target_error,
        threshold=choose_threshold(confidence, correct, settings.target_error),
        too_few=explain_threshold(confidence, correct, settings.target_error),
        conformal=fit_conformal(probabilities, targets, labels, settings.confidence_level, groups),
    )


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
        values["threshold"] = float("nan") if values["threshold"] == "undefined" else values["threshold"]
        return Rules(**values)
    except (KeyError, TypeError, ValueError) as error:
        raise MeaError(
            f"{folder / FILE}: not written by the evaluate stage ({error!r}). Run dvc repro evaluate."
        ) from None
