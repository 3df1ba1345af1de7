"""Novelty detection: is a new recording like those the classifier was trained on?

A classifier gives a label to any recording. Recordings unlike the training data are found in two ways:

- ranges that anyone can check: gain, noise floor, firing rate, silent and dead electrodes, length
  (:mod:`mea.classification.measurements`). Each reaches beyond the training recordings by half of their own range on
  either side, and by a minimum margin where they hardly differ;
- activity: how far the summary features of :mod:`mea.features` lie from the training recordings
  (:mod:`mea.classification.feature_space`). A distance that only 1 in 20 ordinary recordings should exceed is flagged;
  one that only 1 in 100 should exceed is a reason to reject.

Recordings of spike times have no voltages: their gain, noise floor and dead electrodes are unknown, and not checked.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mea.classification.feature_space import FeatureSpace, measure_held_out, prediction_limit
from mea.classification.measurements import CHECKS, CHECKS_OF_SILENCE, Measured
from mea.features.families import list_families
from mea.runtime.files import refuse_damage
from mea.runtime.npz import save_npz

FILE = "novelty.npz"
FLAG_FRACTION, REJECT_FRACTION = 0.05, 0.01  # of ordinary recordings may exceed the limits
SILENT = "silent: not one spike"


@dataclass(frozen=True)
class NoveltyDetector:
    """Tells whether a recording is unlike the training recordings.

    Attributes
    ----------
    ranges
        For each check the lowest and highest value that is not unusual.
    space
        Where the training recordings lie.
    median_distance
        Of training recordings whose group is held out. The two limits are multiples of it.
    flag_limit, reject_limit
        Distances above which a recording is flagged, and rejected; infinite where there were too few recordings.
    """

    ranges: dict[str, tuple[float, float]]
    space: FeatureSpace
    median_distance: float
    flag_limit: float
    reject_limit: float

    @classmethod
    def fit(cls, measured: list[Measured], groups: np.ndarray) -> "NoveltyDetector":
        """Learn from the training recordings.

        Parameters
        ----------
        measured
            (n_recordings,) what was measured of each.
        groups
            (n_recordings,) number of the group of each; recordings of one group are not independent.
        """
        ranges = {
            name: check.find_range(np.array([one.values[name] for one in measured])) for name, check in CHECKS.items()
        }
        features = np.array([one.features for one in measured])
        distances, n_groups = measure_held_out(features, np.asarray(groups))
        median = (float(np.median(distances)) if len(distances) else 0.0) or 1.0
        flag, reject = (prediction_limit(distances / median, n_groups, f) for f in (FLAG_FRACTION, REJECT_FRACTION))
        return cls(ranges, FeatureSpace.fit(features), median, flag, reject)

    def measure_distance(self, features: np.ndarray) -> float:
        """Distance of (n_features,) from the training recordings; 1 is the median of held-out ones."""
        return float(self.space.measure_distances(features[None])[0] / self.median_distance)

    def check(self, measured: Measured) -> tuple[list[str], list[str]]:
        """Compare a recording with the training recordings.

        Returns
        -------
        reasons, flags
            Sentences. Reasons to reject it: dead electrodes, no spike, a distance above the limit. Flags: what should
            be looked at before the prediction is trusted.
        """
        found: dict[str, list[str]] = {"reject": [], "flag": []}
        silent = measured.values["firing_rate_hz"] == 0
        for name, check in CHECKS.items():
            low, high = self.ranges[name]
            value = measured.values[name]
            if (value < low or value > high) and not (silent and name not in CHECKS_OF_SILENCE):
                found[check.severity].append(check.explain(value, low, high))
        distance = self.measure_distance(measured.features)
        if silent:
            found["reject"].append(SILENT)
        elif distance > self.reject_limit:
            found["reject"].append(self._explain_distance(measured.features, REJECT_FRACTION, self.reject_limit))
        elif distance > self.flag_limit:
            found["flag"].append(self._explain_distance(measured.features, FLAG_FRACTION, self.flag_limit))
        return found["reject"], found["flag"]

    def _explain_distance(self, features: np.ndarray, fraction: float, limit: float) -> str:
        """The distance in words, and the family of features that contributes most."""
        deviations = self.space.scale_features(features) - self.space.mean
        families = np.array(list_families(has_waveforms=len(features) == len(list_families(True))))
        most = max(pd.unique(families), key=lambda name: (deviations[families == name] ** 2).mean())
        return (
            f"activity: distance to the training data {self.measure_distance(features):.1f} (1 = median of held-out "
            f"recordings), largest in {most.replace('_', ' ')}; only {fraction:.0%} of ordinary recordings exceed "
            f"{limit:.1f}"
        )


def count_false_alarms(measured: list[Measured], groups: np.ndarray, folds: np.ndarray) -> dict[str, float]:
    """Fractions of training recordings that a detector fitted without their fold rejects, and flags."""
    found = []
    for fold in pd.unique(folds):
        held_out = folds == fold
        others = [one for one, out in zip(measured, held_out) if not out]
        if others:
            detector = NoveltyDetector.fit(others, groups[~held_out])
            found += [detector.check(one) for one, out in zip(measured, held_out) if out]
    rejected, flagged = (
        float(np.mean([bool(one[side]) for one in found])) if found else float("nan") for side in (0, 1)
    )
    return {"rejected_fraction": rejected, "flagged_fraction": flagged}


def save_detector(folder: Path, detector: NoveltyDetector) -> None:
    """Write it beside the models: the same bytes for the same detector."""
    values = {name: value for name, value in vars(detector).items() if name not in ("ranges", "space")}
    ranges = np.array([detector.ranges[name] for name in CHECKS])
    save_npz(folder / FILE, {"checks": np.array(list(CHECKS)), "ranges": ranges, **values, **vars(detector.space)})


def load_detector(folder: Path) -> NoveltyDetector | None:
    """Read what :func:`save_detector` wrote; None where there is none.

    Raises
    ------
    MeaError
        If the file is damaged or of another version.
    """
    path = folder / FILE
    if not path.exists():
        return None
    with refuse_damage(path, "a file written by the evaluate stage", "Run dvc repro evaluate."):
        with np.load(path, allow_pickle=False) as file:
            values: dict[str, Any] = {name: file[name] for name in file.files}
        names, pairs = values.pop("checks").tolist(), values.pop("ranges")
        if names != list(CHECKS):
            raise ValueError(f"checks {', '.join(names)}")
        limits = {name: float(values.pop(name)) for name in ("median_distance", "flag_limit", "reject_limit")}
        space = FeatureSpace(**values | {"residual_std": float(values["residual_std"])})
    return NoveltyDetector({name: (low, high) for name, (low, high) in zip(names, pairs.tolist())}, space, **limits)
