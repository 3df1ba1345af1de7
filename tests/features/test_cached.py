"""Features computed once and kept: what the key holds, and who shares them."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from builders.arrays import make_events

from mea.classification.measurements import measure_recording
from mea.features.cached import fetch_features
from mea.features.compute import compute_features
from mea.features.families import list_features
from mea.models.features import FeaturesModel


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("MEA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def count_kept(folder: Path) -> int:
    return len(list(folder.rglob("*.npy")))


def test_windows_are_computed_once(own_cache):
    events, windows = make_events(), [(0.0, 1.0), (1.0, 4.0)]
    expected = np.stack([compute_features(events, [window])[0] for window in windows])
    for _ in range(2):
        np.testing.assert_array_equal(fetch_features(events, windows), expected)
    assert count_kept(own_cache) == 1


def test_the_same_counts_at_another_gain_are_computed_anew():
    """The planted fault: a key of the counts alone would give the amplitudes of the first."""
    events = make_events()
    louder = dataclasses.replace(events, gain_v=events.gain_v * 2)
    assert events.content_sha256 == louder.content_sha256
    one, other = (fetch_features(both, [(0.0, 4.0)])[0] for both in (events, louder))
    place = list_features(True).index("amplitude_log10_median_uv")
    assert other[place] - one[place] == pytest.approx(np.log10(2))


def test_novelty_finds_what_the_model_has_computed(own_cache):
    events = make_events()
    chunks = pd.DataFrame({"recording": "r1", "start_s": [0.0, 2.0], "stop_s": [2.0, 4.0]})
    FeaturesModel.precompute(chunks, {"r1": events}, None)
    kept = count_kept(own_cache)
    assert kept > 0
    measure_recording(events, np.inf, 5.0)
    assert count_kept(own_cache) == kept
