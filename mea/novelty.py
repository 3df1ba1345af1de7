"""Is a new recording like those the classifier learned from? Plain checks, and a distance in feature space.

A classifier gives one of its labels to anything. What lies outside of its experience is told by ranges that anyone can
check (noise floor, gain, firing rate, silent and dead electrodes), and by the distance to the nearest recordings it
learned from (Ramaswamy, Rastogi, Shim, "Efficient algorithms for mining outliers from large data sets", SIGMOD 2000,
doi:10.1145/342009.335437), in the main directions of the summary features of :mod:`mea.features`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mea.events import Events
from mea.features import describe_piece
from mea.files import read_json, write_json
from mea.parallel import run_parallel

FILE = "novelty.json"
DEAD_SHARE = 0.3  # an electrode with less than this share of the median noise measures nothing
CLIP = 10.0  # robust standard deviations; beyond, how far does not matter
SPREAD = 1.349  # interquartile range of a normal distribution of standard deviation 1
MOST_DIRECTIONS = 12
NEIGHBOURS = 3
SLACK = 1.5  # how much farther than any recording from its nearest others a new one may lie


@dataclass(frozen=True)
class Check:
    """A number that anyone can measure, and how far beyond the range of the training recordings it may lie.

    Attributes
    ----------
    words
        What it is called in a sentence.
    unit
        Behind the number.
    log
        Whether ratios count, rather than differences.
    least
        Least slack on either side: a ratio where ratios count, else a difference.
    """

    words: str
    unit: str
    log: bool
    least: float


CHECKS = {
    "gain_uv": Check("gain", "µV per count", True, 1.01),
    "noise_uv": Check("noise floor", "µV", True, 1.25),
    "rate_hz": Check("firing rate", "spikes per second and electrode", True, 2.0),
    "silent_share": Check("share of electrodes without a spike", "", False, 0.1),
    "dead_share": Check("share of dead electrodes", "", False, 0.05),
}


@dataclass(frozen=True)
class Experience:
    """What the training recordings are like.

    Attributes
    ----------
    ranges
        For each check the lowest and highest value that is not strange.
    centre, scale
        (n_features,) median and robust standard deviation of each feature; scale 0 for one that is not used.
    directions
        (n_directions, n_features) main directions of the scaled features, each divided by the spread along it.
    places
        (n_recordings, n_directions) the training recordings.
    limit
        Largest distance that is not strange.
    """

    ranges: dict[str, tuple[float, float]]
    centre: np.ndarray
    scale: np.ndarray
    directions: np.ndarray
    places: np.ndarray
    limit: float


def measure_recording(events: Events, used_s: float, threshold: float) -> dict[str, float]:
    """The checked numbers of a recording, NaN where they are not known, and its features.

    Parameters
    ----------
    events
        The recording.
    used_s
        Only so much of it.
    threshold
        Of the spike detection, in robust standard deviations.

    Returns
    -------
    dict
        gain_uv, noise_uv, rate_hz, silent_share, dead_share; ``features``: (n_features,) float64.
    """
    used_s = min(used_s, events.duration_s)
    spikes = events.count_events(0.0, used_s)
    noise = events.threshold_uv / threshold
    known = not np.isnan(noise).all()
    typical = np.nanmedian(noise) if known else np.nan
    return {
        "gain_uv": float(np.nanmedian(events.volts_per_count) * 1e6) if known else np.nan,
        "noise_uv": float(typical),
        "rate_hz": float(spikes.mean() / used_s),
        "silent_share": float((spikes == 0).mean()),
        "dead_share": float((noise < DEAD_SHARE * typical).mean()) if known else np.nan,
        "features": describe_piece(events, 0.0, used_s),
    }


def gain_experience(measured: list[dict[str, Any]]) -> Experience:
    """Ranges and feature space of the training recordings, as :func:`measure_recording` gave them."""
    ranges = {name: _find_range(np.array([one[name] for one in measured]), CHECKS[name]) for name in CHECKS}
    features = np.array([one["features"] for one in measured])
    low, centre, high = _quartiles(features)
    scale = np.where(np.isfinite(high - low), (high - low) / SPREAD, 0.0)
    scaled = _scale(features, centre, scale)
    middle = scaled.mean(0)
    _, spread, directions = np.linalg.svd(scaled - middle, full_matrices=False)
    spread = spread / np.sqrt(max(len(features) - 1, 1))
    kept = min(MOST_DIRECTIONS, max(1, len(features) // 4), int((spread > 1e-9 * spread.max(initial=1)).sum()) or 1)
    directions = directions[:kept] / np.maximum(spread[:kept, None], 1e-9)
    places = scaled @ directions.T
    own = [_measure_distance(place, np.delete(places, index, axis=0)) for index, place in enumerate(places)]
    return Experience(ranges, centre, scale, directions, places, SLACK * max(own))


def _quartiles(features: np.ndarray) -> np.ndarray:
    known = np.where(np.isfinite(features).any(0), features, 0.0)  # a feature nobody has is no feature
    return np.nanquantile(known, [0.25, 0.5, 0.75], axis=0)


def _scale(features: np.ndarray, centre: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Robust standard deviations from the median, bounded; an undefined feature counts as typical."""
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = np.where(scale > 0, (features - centre) / scale, 0.0)
    return np.clip(np.nan_to_num(scaled, nan=0.0), -CLIP, CLIP)


def _measure_distance(place: np.ndarray, others: np.ndarray) -> float:
    if not len(others):
        return 0.0
    return float(np.sort(np.linalg.norm(others - place, axis=1))[:NEIGHBOURS].mean())


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


def list_strange(experience: Experience, measured: dict[str, Any]) -> tuple[list[str], list[str]]:
    """In which ways a recording is unlike the training recordings, in sentences.

    Returns
    -------
    grave, slight
        What makes a call meaningless: activity like none learned from, or dead electrodes. And what should be looked
        at: noise floor, gain, firing rate, silent electrodes.
    """
    grave, slight = [], []
    for name, check in CHECKS.items():
        low, high = experience.ranges[name]
        value = measured[name]
        if value < low or value > high:
            unit = f" {check.unit}" if check.unit else ""
            sentence = f"{check.words}: {value:.3g}{unit}, but {_show_range(low, high)} is usual in the training data"
            (grave if name == "dead_share" else slight).append(sentence)
    distance = measure_novelty(experience, measured["features"])
    if distance > 1:
        grave.append(f"activity: {distance:.1f} times as far from all training recordings as is usual at most")
    return grave, slight


def _show_range(low: float, high: float) -> str:
    return f"up to {high:.3g}" if low <= 0 else f"{low:.3g} to {high:.3g}"


def measure_novelty(experience: Experience, features: np.ndarray) -> float:
    """Distance to the nearest training recordings in feature space, over the largest that is not strange."""
    place = _scale(features, experience.centre, experience.scale) @ experience.directions.T
    return _measure_distance(place, experience.places) / max(experience.limit, 1e-9)


def count_false_alarms(measured: list[dict[str, Any]], folds: np.ndarray) -> dict[str, float]:
    """Share of training recordings refused or flagged as strange by a classifier which had not seen their fold."""
    found = []
    for fold in pd.unique(folds):
        held = folds == fold
        others = [one for one, out in zip(measured, held) if not out]
        if others:
            experience = gain_experience(others)
            found += [list_strange(experience, one) for one, out in zip(measured, held) if out]
    refused, flagged = ([bool(one[side]) for one in found] or [float("nan")] for side in (0, 1))
    return {"refused_share": float(np.mean(refused)), "flagged_share": float(np.mean(flagged))}


def measure_recordings(events: list[Events], used_s: float, threshold: float) -> list[dict[str, Any]]:
    """:func:`measure_recording` of many, on all cores."""
    return run_parallel(_Measure(used_s, threshold), events, "recordings measured")


class _Measure:
    """An object, so that worker processes can be sent it."""

    def __init__(self, used_s: float, threshold: float):
        self.used_s, self.threshold = used_s, threshold

    def __call__(self, events: Events) -> dict[str, Any]:
        return measure_recording(events, self.used_s, self.threshold)


def save_experience(folder: Path, experience: Experience) -> None:
    """Write it beside the models."""
    values = {
        name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in vars(experience).items()
    }
    values["ranges"] = {name: [low, high] for name, (low, high) in experience.ranges.items() if np.isfinite(high)}
    write_json(folder / FILE, values)


def load_experience(folder: Path) -> Experience | None:
    """Read what :func:`save_experience` wrote; None where there is none."""
    if not (folder / FILE).exists():
        return None
    values = read_json(folder / FILE)
    unknown = (-np.inf, np.inf)
    ranges = {name: tuple(values["ranges"].get(name, unknown)) for name in CHECKS}
    arrays = {name: np.array(values[name], float) for name in ("centre", "scale", "directions", "places")}
    return Experience(ranges=ranges, limit=values["limit"], **arrays)
