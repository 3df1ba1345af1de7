"""Spikes found block by block against those found with all samples in memory, to the bit."""

from dataclasses import fields

import numpy as np
import pytest
from builders.recordings import make_source
from hypothesis import given, settings
from hypothesis import strategies as st

from mea.arrays.spikes import find_spikes
from mea.arrays.streaming import count_window_samples, stream_spikes

KINDS = ("spikes", "bursts", "dead", "almost dead", "saturated", "waves")


def make_row(kind, n_samples, random):
    row = random.normal(0, 20, n_samples).round()
    starts = random.integers(0, n_samples, 1 + n_samples // 500)
    if kind == "spikes":
        row[starts] += random.choice([-1, 1], len(starts)) * random.integers(50, 900, len(starts))
    elif kind == "bursts":
        for start in starts[:3]:
            row[start : start + 700 : 7] += 300
    elif kind == "dead":
        row[:] = random.integers(-50, 50)
    elif kind == "almost dead":  # the median is 0, so that everything reaches the threshold
        row = np.where(random.random(n_samples) < 0.7, 0, row)
    elif kind == "saturated":
        for start in starts[:2]:
            row[start : start + random.integers(1, 2000)] = random.choice([-(2**15), 2**15 - 1])
    else:
        row += 400 * np.sin(np.arange(n_samples) / random.uniform(5, 300))
    return row.astype(np.int16)


def stream(counts, source, threshold=5.0):
    return stream_spikes(lambda first, last: counts[:, first:last], source, threshold)


def assert_equal(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected):
        for item in fields(other):
            ours, theirs = getattr(one, item.name), getattr(other, item.name)
            if isinstance(theirs, np.ndarray):
                assert ours.dtype == theirs.dtype, item.name
                np.testing.assert_array_equal(ours, theirs, item.name)
            else:
                assert ours == theirs, item.name


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=4),
    n_samples=st.integers(1, 12_000),
    windows=st.integers(1, 30),
    sampling_rate_hz=st.sampled_from([500, 1000, 10_000, 25_000]),
    threshold=st.sampled_from([2.0, 5.0]),
    adc_zero=st.sampled_from([0, 7, -70_000]),
)
def test_blocks_of_any_length_give_the_same_spikes(
    seed, kinds, n_samples, windows, sampling_rate_hz, threshold, adc_zero
):
    random = np.random.default_rng(seed)
    counts = np.stack([make_row(kind, n_samples, random) for kind in kinds])
    source = make_source(counts, sampling_rate_hz=sampling_rate_hz, adc_zero=adc_zero)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mea.arrays.streaming.BLOCK_BYTES", 2 * windows * count_window_samples(source) * len(kinds))
        found = stream(counts, source, threshold)
    assert_equal(found, find_spikes(counts, source, threshold))


@pytest.mark.parametrize("distance", [70, 74, 75, 76, 77, 110, 124, 125, 126, 127, 135])
def test_groups_and_waveforms_across_the_border_of_two_blocks(monkeypatch, distance):
    """Two peaks about as far apart as groups (75) and windows (125) reach, the blocks' border anywhere around them."""
    monkeypatch.setattr("mea.arrays.streaming.BLOCK_BYTES", 2 * 10 * 125)
    counts = np.tile([1, -1], 2000).astype(np.int16)[None]
    for first in range(1250 - distance - 40, 1250 + 40):
        spiked = counts.copy()
        spiked[0, [first, first + distance]] = [60, 70]
        source = make_source(spiked)
        assert_equal(stream(spiked, source), find_spikes(spiked, source, 5.0))


def make_long(n_samples=500_000):
    random = np.random.default_rng(0)
    return np.stack([make_row(kind, n_samples, random) for kind in ("spikes", "bursts", "dead")])


def test_windows_before_a_pause_are_released(monkeypatch):
    """Twenty blocks, and memory for a tenth of one: less than is suprathreshold in all."""
    counts = make_long()
    source = make_source(counts)
    monkeypatch.setattr("mea.arrays.streaming.BLOCK_BYTES", counts.nbytes // 20)
    monkeypatch.setattr("mea.arrays.streaming.MOST_PENDING", counts.nbytes // 200)
    assert_equal(stream(counts, source), find_spikes(counts, source, 5.0))


def test_what_is_suprathreshold_without_a_pause_is_not_streamed(monkeypatch):
    counts = make_long()
    monkeypatch.setattr("mea.arrays.streaming.MOST_PENDING", counts.nbytes // 200)
    assert stream(counts, make_source(counts), 0.01) is None


def test_samples_of_more_than_16_bits_are_not_streamed():
    counts = make_long().astype(np.int32)
    assert stream(counts, make_source(counts)) is None
