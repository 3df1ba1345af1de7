"""Is a new recording like those the classifier learned from? Plain checks, and a distance in feature space.

A classifier gives one of its labels to anything. What lies outside of its experience is told by

- ranges that anyone can check: gain, noise floor, firing rate, silent and dead electrodes, length. Each reaches beyond
  the training recordings' own by half of theirs on either side, and by a least slack where they are all alike;
- activity: how far the summary features of :mod:`mea.features` lie from the training recordings
  (:mod:`mea.classification.feature_space`). What only 1 in 20 ordinary recordings should exceed is flagged; what 1 in
  100, refused.

Recordings of spike times have no voltages: their gain, noise floor and dead electrodes are unknown, and not checked.
"""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mea.arrays.cleaning import measure_noise
from mea.arrays.events import Events
from mea.classification.feature_space import Space, find_space, foretell_distance, measure_held_out
from mea.features.cached import fetch_features
from mea.features.families import list_families
from mea.runtime.errors import MeaError
from mea.runtime.files import fresh_file
from mea.runtime.parallel import run_parallel

FILE = "novelty.npz"
DEAD_SHARE = 0.3  # an electrode with less than this share of the usual noise measures nothing
FLAGGED, REFUSED = 0.05, 0.01  # share of ordinary recordings that may be


@dataclass(frozen=True)
class Check:
    """A number that anyone can measure, and how far beyond the range of the training recordings it may lie.

    Attributes
    ----------
    words
        What it is called in a sentence.
    unit
        Behind the number; of shares, percent.
    log
        Whether ratios count, rather than differences.
    least
        Least slack on either side: a ratio where ratios count, else a difference.
    remedy
        What to look at.
    grave
        Whether no call means anything beyond the range.
    """

    words: str
    unit: str
    log: bool
    least: float
    remedy: str
    grave: bool = False


CHECKS = {
    "gain_uv": Check("gain", "µV per count", True, 1.01, "check the rig's input range"),
    "noise_uv": Check("noise floor", "µV", True, 1.25, "check the amplifier's gain and the electrodes' contact"),
    "firing_rate_hz": Check("firing rate", "spikes per second and electrode", True, 2.0, "look at the traces"),
    "silent_share": Check("electrodes without a spike", "%", False, 0.1, "look at the traces"),
    "dead_share": Check("dead electrodes", "%", False, 0.05, "without noise: clean or replace them", grave=True),
    "length_s": Check("length", "s", True, 1.5, "record as long as for training"),
}
OF_SILENCE = ("gain_uv", "noise_uv", "dead_share", "length_s")  # what there is to check without a spike


@dataclass(frozen=True)
class Measured:
    """What is measured of a recording.

    Attributes
    ----------
    values
        The number of each of :data:`CHECKS`; NaN where it is not known.
    features
        (n_features,) float64 as :func:`mea.features.compute.compute_features` gives them; NaN where one is undefined.
    """

    values: dict[str, float]
    features: np.ndarray


@dataclass(frozen=True)
class Experience:
    """What the training recordings are like.

    Attributes
    ----------
    ranges
        For each check the lowest and highest value that is not strange.
    space
        Where they lie.
    common
        Median distance of a recording whose group is held out. The next two are multiples of it.
    flagged_from, refused_from
        From where on a recording is flagged, and refused; infinite where there were too few recordings to tell.
    """

    ranges: dict[str, tuple[float, float]]
    space: Space
    common: float
    flagged_from: float
    refused_from: float


def measure_recording(events: Events, used_s: float, threshold: float) -> Measured:
    """Measure what is checked.

    Parameters
    ----------
    events
        The recording.
    used_s
        Only so much of it.
    threshold
        Of the spike detection, in robust standard deviations.
    """
    used_s = min(used_s, events.n_samples / events.sampling_rate_hz)
    spikes = events.count_events(0.0, used_s)
    values = {"firing_rate_hz": spikes.mean() / used_s, "silent_share": (spikes == 0).mean(), "length_s": used_s}
    values |= dict.fromkeys(("gain_uv", "noise_uv", "dead_share"), np.nan)
    if events.has_waveforms:
        noise = measure_noise(events, threshold)
        # Compared with the noisier half, for the dead may be many.
        dead = noise <= DEAD_SHARE * np.quantile(noise, 0.75)
        values |= {"gain_uv": np.median(events.volts_per_count) * 1e6, "dead_share": dead.mean()}
        values |= {"noise_uv": np.nan if dead.all() else np.median(noise[~dead])}
    return Measured({name: float(values[name]) for name in CHECKS}, fetch_features(events, [(0.0, float(used_s))])[0])


def gain_experience(measured: list[Measured], groups: np.ndarray) -> Experience:
    """Learn from the training recordings.

    Parameters
    ----------
    measured
        (n_recordings,) what was measured of each.
    groups
        (n_recordings,) number of the group of each: recordings of one group are alike.
    """
    ranges = {name: _find_range(np.array([one.values[name] for one in measured]), CHECKS[name]) for name in CHECKS}
    features = np.array([one.features for one in measured])
    distances, count = measure_held_out(features, np.asarray(groups))
    common = float(np.median(distances)) if len(distances) else 0.0
    common = common or 1.0
    flagged, refused = (foretell_distance(distances / common, count, share) for share in (FLAGGED, REFUSED))
    return Experience(ranges, find_space(features), common, flagged, refused)


def _find_range(values: np.ndarray, check: Check) -> tuple[float, float]:
    """From the lowest to the highest, and on either side half of that again, or the least slack where that is more."""
    values = values[np.isfinite(values)]
    if not len(values):
        return (-np.inf, np.inf)
    if not check.log:
        slack = max((values.max() - values.min()) / 2, check.least)
        return (float(values.min() - slack), float(values.max() + slack))
    values = np.maximum(values, 1e-9)
    ratio = max(np.sqrt(values.max() / values.min()), check.least)
    return (float(values.min() / ratio), float(values.max() * ratio))


def measure_novelty(experience: Experience, features: np.ndarray) -> float:
    """How far a recording lies from the training recordings; 1 is the median of those whose group is held out."""
    return float(experience.space.measure_distances(features[None])[0] / experience.common)


def list_strange(experience: Experience, measured: Measured) -> tuple[list[str], list[str]]:
    """In which ways a recording is unlike the training recordings, in sentences.

    Returns
    -------
    grave, slight
        What makes a call meaningless: activity like none learned from, dead electrodes. And what should be looked at.
    """
    grave: list[str] = []
    slight: list[str] = []
    silent = measured.values["firing_rate_hz"] == 0
    for name, check in CHECKS.items():
        low, high = experience.ranges[name]
        value = measured.values[name]
        if (value < low or value > high) and not (silent and name not in OF_SILENCE):
            (grave if check.grave else slight).append(_explain_check(check, value, low, high))
    distance = measure_novelty(experience, measured.features)
    if silent:
        grave.append("silent: not one spike")
    elif distance > experience.refused_from:
        grave.append(_explain_activity(experience, measured.features, distance, REFUSED, experience.refused_from))
    elif distance > experience.flagged_from:
        slight.append(_explain_activity(experience, measured.features, distance, FLAGGED, experience.flagged_from))
    return grave, slight


def _explain_check(check: Check, value: float, low: float, high: float) -> str:
    times = 100 if check.unit == "%" else 1
    unit = "%" if check.unit == "%" else f" {check.unit}"
    usual = f"at most {high * times:.3g}" if low <= 0 else f"{low * times:.3g} to {high * times:.3g}"
    return f"{check.words}: {value * times:.3g}{unit}, expected {usual}{'%' * (unit == '%')} ({check.remedy})"


def _explain_activity(experience: Experience, features: np.ndarray, distance: float, share: float, limit: float) -> str:
    space = experience.space
    apart = space.scale_features(features) - space.middle
    families = np.array(list_families(has_waveforms=len(features) == len(list_families(True))))
    most = max(pd.unique(families), key=lambda name: (apart[families == name] ** 2).mean())
    return (
        f"activity: {distance:.1f} times as far from the training data as is common, above all in "
        f"{most.replace('_', ' ')} ({share:.0%} of ordinary recordings lie beyond {limit:.1f})"
    )


def count_false_alarms(measured: list[Measured], groups: np.ndarray, folds: np.ndarray) -> dict[str, float]:
    """Share of training recordings refused or flagged as strange by what is learned without their fold."""
    found = []
    for fold in pd.unique(folds):
        held = folds == fold
        others = [one for one, out in zip(measured, held) if not out]
        if others:
            experience = gain_experience(others, groups[~held])
            found += [list_strange(experience, one) for one, out in zip(measured, held) if out]
    shares = [float(np.mean([bool(one[side]) for one in found])) if found else float("nan") for side in (0, 1)]
    return {"refused_share": shares[0], "flagged_share": shares[1]}


def measure_recordings(events: list[Events], used_s: float, threshold: float) -> list[Measured]:
    """:func:`measure_recording` of many, on all cores."""
    return run_parallel(_Measure(used_s, threshold), events, "recordings measured")


class _Measure:
    """An object, so that worker processes can be sent it."""

    def __init__(self, used_s: float, threshold: float):
        self.used_s, self.threshold = used_s, threshold

    def __call__(self, events: Events) -> Measured:
        return measure_recording(events, self.used_s, self.threshold)


def save_experience(folder: Path, experience: Experience) -> None:
    """Write it beside the models: the same bytes for the same experience."""
    values = {name: value for name, value in vars(experience).items() if name not in ("ranges", "space")}
    ranges = np.array([experience.ranges[name] for name in CHECKS])
    with fresh_file(folder / FILE) as work, work.open("wb") as stream:
        np.savez(stream, checks=np.array(list(CHECKS)), ranges=ranges, **values, **vars(experience.space))


def load_experience(folder: Path) -> Experience | None:
    """Read what :func:`save_experience` wrote; None where there is none.

    Raises
    ------
    MeaError
        If the file is damaged or of another version.
    """
    path = folder / FILE
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            values: dict[str, Any] = {name: file[name] for name in file.files}
        names, pairs = values.pop("checks").tolist(), values.pop("ranges")
        if names != list(CHECKS):
            raise ValueError(f"checks {', '.join(names)}")
        limits = {name: float(values.pop(name)) for name in ("common", "flagged_from", "refused_from")}
        space = Space(**values | {"rest": float(values["rest"])})
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise MeaError(f"{path}: not a file written by the evaluate stage ({error}). Run dvc repro evaluate.") from None
    return Experience({name: (low, high) for name, (low, high) in zip(names, pairs.tolist())}, space, **limits)
