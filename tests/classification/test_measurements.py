"""What is measured of a recording, and the ranges that training recordings give."""

from dataclasses import replace

import numpy as np
import pytest
from builders.arrays import make_events
from builders.novelty import NAMES

from mea.classification.measurements import CHECKS, measure_recording


@pytest.fixture(autouse=True)
def one_process(monkeypatch):
    monkeypatch.setenv("MEA_WORKERS", "1")


def test_numbers_of_a_recording_are_the_known_ones():
    """Electrodes 0 to 35 are flat, 36 to 39 hum faintly; only the other 104 fire, 10 spikes each in the first 2 s."""
    events = make_events(duration_s=4.0, spikes_per_s=0.0)
    electrode = np.repeat(np.arange(40, 144), 11)
    sample = np.tile([*range(2500, 27_500, 2500), 60_000], 104)  # the last in the third second
    order = np.lexsort((electrode, sample))
    threshold_uv = np.concatenate([np.zeros(36), np.full(4, 5.5), np.full(104, 20.0)])
    events = replace(
        events, electrode=electrode[order], first_sample=sample[order], peak_sample=sample[order],
        offset=np.arange(len(order) + 1), waveform_counts=np.full(len(order), -300, np.int16),
        threshold_uv=threshold_uv,
    )  # fmt: skip
    values = measure_recording(events, used_s=2.0, threshold=5.0).values
    expected = {
        "gain_uv": 0.1,
        "noise_uv": 4.0,  # of the living
        "firing_rate_hz": 104 * 10 / 144 / 2,
        "silent_fraction": 40 / 144,
        "dead_fraction": 40 / 144,
        "length_s": 2.0,
    }
    assert values == pytest.approx(expected)
    whole = measure_recording(events, used_s=np.inf, threshold=5.0)
    assert whole.values["length_s"] == 4.0 and whole.values["firing_rate_hz"] == pytest.approx(104 * 11 / 144 / 4)
    assert whole.features.shape == (len(NAMES),)


def test_most_electrodes_may_be_dead():
    for many in (30, 100):  # more than half, too: the noise of the living is what counts
        threshold_uv = np.where(np.arange(144) < many, 0.0, 20.0)
        values = measure_recording(replace(make_events(), threshold_uv=threshold_uv), np.inf, 5.0).values
        assert (values["dead_fraction"], values["noise_uv"]) == (many / 144, 4.0)
    values = measure_recording(replace(make_events(), threshold_uv=np.zeros(144)), np.inf, 5.0).values
    assert values["dead_fraction"] == 1 and np.isnan(values["noise_uv"])


@pytest.mark.parametrize(
    ("name", "values", "low", "high"),
    [
        ("firing_rate_hz", [1.0, 16.0, 4.0], 0.25, 64.0),  # a range of 16 to 1: half of it again is 4 to 1
        ("firing_rate_hz", [3.0, 3.0, 3.0], 1.5, 6.0),  # all alike: the least slack
        ("noise_uv", [4.0, 4.0, 4.0], 3.2, 5.0),
        ("length_s", [120.0, 120.0, 120.0], 80.0, 180.0),
        ("silent_fraction", [0.2, 0.6, 0.3], 0.0, 0.8),
        ("dead_fraction", [0.0, 0.0, 0.0], -0.05, 0.05),
        ("gain_uv", [np.nan, 1.0, 1.0], 1 / 1.01, 1.01),
        ("gain_uv", [np.nan] * 3, -np.inf, np.inf),
    ],
)
def test_ranges(name, values, low, high):
    assert CHECKS[name].find_range(np.array(values)) == pytest.approx((low, high))
