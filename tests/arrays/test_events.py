"""The stored array and its views, against the predecessor's dense array and against brute force on it."""

import json
from dataclasses import fields, replace
from fractions import Fraction

import numpy as np
import pytest
from builders import predecessor
from builders.recordings import make_small_counts, make_source
from builders.zips import ZIP_FAULTS
from hypothesis import given, settings
from hypothesis import strategies as st

from mea.arrays.events import SpikeEvents, events_from_spike_times
from mea.arrays.events_file import load_events, save_events
from mea.arrays.spikes import detect_events
from mea.runtime.errors import MeaError

SAMPLING_RATE_HZ = 25_000
N_SAMPLES = 20_000


def make_own_source(n=20, **changes):
    """``n`` electrodes on a 4 × 6 grid from the second place on; every electrode with its own gain and zero."""
    place = np.arange(n) + 1
    source = replace(
        make_source(np.zeros((n, N_SAMPLES)), SAMPLING_RATE_HZ, 59605e-12 * (1 + np.arange(n) / 7), np.arange(n)),
        start="2024-03-05T10:20:30",
        layout="",
        rows=4,
        cols=6,
        names=np.array([f"E{number}" for number in place]),
        row=place // 6,
        col=place % 6,
        source_row=place,
    )
    return replace(source, **{"duration_s": changes.get("n_samples", N_SAMPLES) / SAMPLING_RATE_HZ} | changes)


def make_spike_times(times_s, electrode, duration_s=10.0, n=3):
    return make_own_source(
        n,
        format="spike_times",
        sampling_rate_hz=0,
        n_samples=0,
        duration_s=duration_s,
        spike_times_s=np.array(times_s, float),
        spike_electrode=np.array(electrode, np.int64),
    )


@pytest.fixture(scope="module")
def cleaned():
    """Events, and the predecessor's dense array cast to float32, of the same counts."""
    source = make_own_source()
    counts = make_small_counts(20, N_SAMPLES, seed=3)
    counts[4] = 0
    counts[4, 100:104] = [0, -5, 0, -5]  # a silent electrode
    counts[5, [1, N_SAMPLES - 2]] = 9000  # windows cut at both ends
    places = (source.adc_zero, source.gain_v, source.row, source.col, source.rows, source.cols)
    array, _, _ = predecessor.clean_recording(counts, *places, SAMPLING_RATE_HZ)
    return replace(detect_events(counts, source, 5.0), recording="a"), array.astype(np.float32)


def bin_by_hand(array, first, bins, length):
    """Brute force on the dense array: for every bin, the earliest sample of largest magnitude."""
    binned = np.zeros((*array.shape[:2], bins), np.float32)
    for place in range(bins):
        start = -(-(length * place).numerator // (length * place).denominator)
        stop = -(-(length * (place + 1)).numerator // (length * (place + 1)).denominator)
        piece = array[:, :, first + start : min(first + stop, array.shape[2])]
        if piece.shape[2]:
            best = np.abs(piece).argmax(axis=2)[..., None]
            binned[:, :, place] = np.take_along_axis(piece, best, axis=2)[..., 0]
    return binned


@settings(max_examples=200, deadline=None)
@given(first=st.integers(0, N_SAMPLES - 1), length=st.integers(1, 3000))
def test_dense_equals_the_predecessor_in_any_window(cleaned, first, length):
    events, array = cleaned
    last = min(first + length, N_SAMPLES)
    dense = events.dense(first, last)
    assert dense.dtype == np.float32
    np.testing.assert_array_equal(dense, array[:, :, first:last])


def test_windows_whose_border_cuts_a_waveform(cleaned):
    """Every way to cut one event in two, one sample windows included."""
    events, array = cleaned
    begin, length = int(events.first_sample[50]), int(np.diff(events.offset)[50])
    for cut in range(begin - 1, begin + length + 2):
        for first, last in ((cut, cut + 1), (cut, cut + 400), (max(0, cut - 400), cut)):
            np.testing.assert_array_equal(events.dense(first, last), array[:, :, first:last])


def test_the_whole_equals_its_pieces(cleaned):
    events, array = cleaned
    np.testing.assert_array_equal(events.dense(0, N_SAMPLES), array)
    pieces = [events.dense(first, first + 2500) for first in range(0, N_SAMPLES, 2500)]
    np.testing.assert_array_equal(np.concatenate(pieces, axis=2), array)
    counts = [events.count_events(start / 10, (start + 1) / 10) for start in range(8)]
    np.testing.assert_array_equal(np.sum(counts, axis=0), events.count_events(0, 0.8))
    assert events.count_events(0, 0.8).sum() == len(events)
    assert events.binned(0, 0.8, 1.0, "count").sum() == len(events)


@settings(max_examples=100, deadline=None)
@given(
    first=st.integers(0, N_SAMPLES - 200),
    length=st.integers(100, 5000),
    bin_ms=st.sampled_from([0.01, 0.04, 0.1, 0.3, 1.0, 1 / 3, 2.7, 4.0]),
)
def test_binned_equals_brute_force(cleaned, first, length, bin_ms):
    events, array = cleaned
    start_s, stop_s = first / SAMPLING_RATE_HZ, min(first + length, N_SAMPLES) / SAMPLING_RATE_HZ
    samples = Fraction(bin_ms).limit_denominator(10**6) * SAMPLING_RATE_HZ / 1000
    bins = round((stop_s - start_s) * 1000 / bin_ms)
    if bins == 0:
        return
    binned = events.binned(start_s, stop_s, bin_ms, "peak")
    assert binned.dtype == np.float32 and binned.shape == (4, 6, bins)
    np.testing.assert_array_equal(binned, bin_by_hand(array, first, bins, samples))
    expected = np.zeros_like(binned)
    for electrode, peak in zip(events.electrode, events.peak_sample, strict=True):
        place = int((int(peak) - first) // samples)
        if 0 <= place < bins:
            expected[events.row[electrode], events.col[electrode], place] += 1
    np.testing.assert_array_equal(events.binned(start_s, stop_s, bin_ms, "count"), expected)


def test_bins_do_not_suffer_from_rounding():
    """At 10 Hz, bins of 300 ms: samples 0-2, 3-5, ... although 0.3 * 10 is no whole number in float64."""
    times = [0.0, 0.2, 0.3, 0.5, 0.6, 0.8, 0.9]
    events = events_from_spike_times(make_spike_times(times, [0] * 7), 10)
    assert events.binned(0, 1.2, 300, "count")[0, 1].tolist() == [2, 2, 2, 1]
    assert events.binned(0.3, 1.2, 300, "count")[0, 1].tolist() == [2, 2, 1]
    assert events.binned(0, 3, 0.1 * 3 * 1000, "count").shape[2] == 10


def test_binned_peak_takes_the_earliest_of_equals():
    counts = np.tile([1, -1], 500).astype(np.int32)[None]
    counts[0, 500:504] = [-50, 50, -50, 50]
    events = detect_events(counts, make_own_source(1, n_samples=1000), 5.0)
    value = np.float32(50 * events.gain_v[0] * 1e6)
    assert events.binned(0, 0.04, 20.04, "peak")[0, 1, 0] == -value
    assert events.binned(501 / SAMPLING_RATE_HZ, 0.04, 19, "peak")[0, 1, 0] == value


def test_round_trip_and_equal_bytes(cleaned, tmp_path):
    events, array = cleaned
    events = replace(events, recording="Wé_1")
    save_events(tmp_path / "one.npz", events)
    loaded = load_events(tmp_path / "one.npz")
    for item in fields(SpikeEvents):
        before, after = getattr(events, item.name), getattr(loaded, item.name)
        np.testing.assert_array_equal(before, after)
        assert getattr(before, "dtype", type(before)) == getattr(after, "dtype", type(after)), item.name
    assert loaded.content_sha256 == events.content_sha256
    np.testing.assert_array_equal(loaded.dense(0, N_SAMPLES), array)
    save_events(tmp_path / "two.npz", loaded)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.npz", "two.npz"]


def test_a_recording_is_far_smaller_than_its_array(tmp_path):
    """120 s, 120 electrodes, 0.2 % of the array not zero: 1,300 times smaller than float64 (12, 12, 3000000)."""
    random, n, m, n_samples = np.random.default_rng(0), 120, 17_000, 3_000_000
    electrode, peak = random.integers(0, n, m), np.sort(random.integers(20, n_samples - 40, m))
    base = detect_events(np.zeros((20, 10), np.int32), make_own_source(n_samples=10), 5.0)
    events = replace(
        base,
        n_samples=n_samples,
        electrode=electrode,
        peak_sample=peak,
        first_sample=peak - 15,
        offset=51 * np.arange(m + 1),
        waveform_counts=random.integers(-3000, 3000, 51 * m).astype(np.int16),
    )
    save_events(tmp_path / "a.npz", events)
    assert 12 * 12 * n_samples * 8 / (tmp_path / "a.npz").stat().st_size > 1300


def test_silent_recording_round_trip(tmp_path):
    counts = np.zeros((20, 1000), np.int16)
    events = detect_events(counts, make_own_source(n_samples=1000), 5.0)
    save_events(tmp_path / "a.npz", events)
    loaded = load_events(tmp_path / "a.npz")
    assert len(loaded) == 0 and loaded.has_waveforms and loaded.firing_rates_hz.tolist() == [0.0] * 20
    assert not loaded.dense(0, 1000).any() and not loaded.binned(0, 0.04, 1, "peak").any()


def test_spike_times(tmp_path):
    """Samples are rounded; rates count silent electrodes; a spike at the very end belongs to the last sample."""
    source = make_spike_times([1.00003, 5.0, 10.0, 5.0, 0.5], [0, 0, 0, 2, 2])
    events = events_from_spike_times(source, SAMPLING_RATE_HZ)
    save_events(tmp_path / "a.npz", events)
    loaded = load_events(tmp_path / "a.npz")
    for one in (events, loaded):
        assert one.peak_sample.tolist() == [12_500, 25_001, 125_000, 125_000, 249_999]
        assert one.electrode.tolist() == [2, 0, 0, 2, 0]
        assert one.firing_rates_hz.tolist() == [0.3, 0.0, 0.2]
        assert one.spike_times_s[0] == 0.5 and not one.has_waveforms
        assert one.count_events(0, 5).tolist() == [1, 0, 1] and one.count_events(5, 10).tolist() == [2, 0, 1]
        binned = one.binned(0, 10, 1000, "count")
        assert binned.shape == (4, 6, 10) and binned[0, 3].tolist() == [1, 0, 0, 0, 0, 1, 0, 0, 0, 0]


def test_content_digest_sees_every_difference(cleaned):
    events, _ = cleaned
    moved = events.peak_sample.copy()
    moved[3] += 1
    louder = events.waveform_counts.copy()
    louder[7] += 1
    changed = [
        replace(events, peak_sample=moved),
        replace(events, waveform_counts=louder),
        replace(events, row=events.col),
    ]
    digests = {one.content_sha256 for one in (events, *changed)}
    assert len(digests) == 4
    renamed = replace(events, recording="other", gain_v=2 * events.gain_v)
    assert renamed.content_sha256 == events.content_sha256


@pytest.mark.parametrize("window", [(-1, 5), (5, 5), (7, 5), (0, N_SAMPLES + 1)])
def test_dense_outside_the_recording(cleaned, window):
    with pytest.raises(MeaError, match=rf"recording a: samples {window[0]} to {window[1]} asked for.*0 to 20000"):
        cleaned[0].dense(*window)


@pytest.mark.parametrize("window", [(-0.1, 0.5), (0.5, 0.5), (0, 0.9)])
def test_window_outside_the_recording(cleaned, window):
    message = rf"recording a: {window[0]} s to {window[1]} s asked for.*within 0 s to 0.8 s"
    with pytest.raises(MeaError, match=message):
        cleaned[0].binned(*window, 1.0, "peak")
    with pytest.raises(MeaError, match=message):
        cleaned[0].count_events(*window)


@pytest.mark.parametrize("bin_ms", [0, -1.0, 1001])
def test_bins_that_do_not_fit(cleaned, bin_ms):
    with pytest.raises(MeaError, match=f"recording a: bins of {bin_ms} ms in a window of 0.5 s"):
        cleaned[0].binned(0, 0.5, bin_ms, "peak")


def test_unknown_how(cleaned):
    with pytest.raises(MeaError, match="how = 'mean': must be 'peak' or 'count'"):
        cleaned[0].binned(0, 0.5, 1.0, "mean")


def test_waveforms_asked_of_spike_times():
    events = replace(events_from_spike_times(make_spike_times([], []), SAMPLING_RATE_HZ), recording="s")
    for ask, what in (
        (lambda: events.dense(0, 10), "the dense array"),
        (lambda: events.binned(0, 1, 1, "peak"), "how="),
    ):
        with pytest.raises(MeaError, match=rf"recording s: {what}.*needs voltages.*Use binned\(..., how='count'\)"):
            ask()


def test_files_that_are_no_events(cleaned, tmp_path):
    path = tmp_path / "a.npz"
    for write in (
        lambda: None,
        lambda: path.write_bytes(b"no npz"),
        lambda: path.write_bytes(b""),
        lambda: np.savez(path, other=np.zeros(3)),
        lambda: np.savez(path, about=np.zeros(3, np.uint8)),
        lambda: np.savez(path, about=np.array([{}], dtype=object)),
        lambda: path.write_bytes(truncate(cleaned[0], path)),
        lambda: path.write_bytes(damage(cleaned[0], path)),
        lambda: (np.save(tmp_path / "array.npy", np.zeros(3)), (tmp_path / "array.npy").replace(path)),
    ):
        write()
        with pytest.raises(
            MeaError,
            match=r"a\.npz: not a file written by the array stage .* Run dvc repro --force",
        ):
            load_events(path)


@pytest.mark.parametrize("fault", ZIP_FAULTS)
def test_damaged_files(cleaned, tmp_path, fault):
    path = tmp_path / "a.npz"
    save_events(path, cleaned[0])
    path.write_bytes(ZIP_FAULTS[fault](path.read_bytes()))
    with pytest.raises(MeaError, match=r"a\.npz: not a file written by the array stage \(.+\)\. Run dvc repro --force"):
        load_events(path)


def truncate(events, path):
    save_events(path, events)
    return path.read_bytes()[:-200]


def damage(events, path):
    save_events(path, events)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    return bytes(content)


def test_another_version(cleaned, tmp_path):
    path = tmp_path / "a.npz"
    save_events(path, cleaned[0])
    with np.load(path) as file:
        arrays = dict(file)
    about = json.loads(arrays.pop("about").tobytes()) | {"format_version": 99}
    np.savez(path, about=np.frombuffer(json.dumps(about).encode(), np.uint8), **arrays)
    with pytest.raises(MeaError, match=r"a\.npz: format version 99, this code reads 4. Run dvc repro array"):
        load_events(path)
