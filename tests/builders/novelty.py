"""Measured recordings for tests of novelty detection."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from mea.classification.measurements import Measured
from mea.classification.novelty import NoveltyDetector, save_detector
from mea.features.families import list_features

NAMES = list_features(has_waveforms=True)
GROUPS = np.repeat(np.arange(6), 4)


def save_open_detector(folder: Path) -> None:
    """Write a detector that finds nothing unusual."""
    detector = NoveltyDetector.fit(make_measured(), GROUPS)
    everything = dict.fromkeys(detector.ranges, (-np.inf, np.inf))
    save_detector(folder, replace(detector, ranges=everything, flag_limit=np.inf, reject_limit=np.inf))


def make_measured(n: int = 24, seed: int = 0, **values: float) -> list[Measured]:
    """Recordings whose features are three hidden numbers, each seen in a third of the features, and noise."""
    random = np.random.default_rng(seed)
    hidden = np.tile(random.normal(size=(n, 3)), len(NAMES) // 3 + 1)[:, : len(NAMES)]
    usual = {
        "gain_uv": 0.1,
        "noise_uv": 4.0,
        "firing_rate_hz": 2.0,
        "silent_fraction": 0.2,
        "dead_fraction": 0.0,
        "length_s": 10.0,
    }
    return [Measured(usual | values, features) for features in hidden + 0.2 * random.normal(size=hidden.shape)]
