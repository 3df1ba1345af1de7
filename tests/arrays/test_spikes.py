"""The cleaning on integers against the literal predecessor in float64, to the bit."""

from dataclasses import replace

import numpy as np
import pytest
from builders import predecessor
from builders.recordings import GAIN_V, make_source
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mea.arrays.resampling import resample_counts
from mea.arrays.spikes import (
    SCAN_BLOCK,
    detect_events,
)
from mea.arrays.thresholds import (
    VALUES,
    _count_values,
    _find_middle_magnitudes,
    add_to_histogram,
    find_histogram_threshold,
    find_least_count,
    find_threshold,
)
from mea.recordings.formats import read_counts, read_raw_recordings
from mea.runtime.errors import BadRecording


def assert_same_as_predecessor(counts, factor=5.0, **source_options):
    """Events, thresholds and the whole float32 array equal the predecessor's, to the bit."""
    counts = np.atleast_2d(counts)
    source = make_source(counts, **source_options)
    places = (source.adc_zero, source.gain_v, source.row, source.col, source.rows, source.cols)
    array, peaks, thresholds = predecessor.clean_recording(counts, *places, source.sampling_rate_hz, factor)
    events = detect_events(counts, source, factor)
    np.testing.assert_array_equal(events.threshold_uv, thresholds)
    for electrode, expected in enumerate(peaks):
        np.testing.assert_array_equal(events.peak_sample[events.electrode == electrode], expected)
    keys = list(zip(events.first_sample.tolist(), events.electrode.tolist(), strict=True))
    assert keys == sorted(keys)
    if counts.shape[1]:
        np.testing.assert_array_equal(events.dense(0, counts.shape[1]), array.astype(np.float32))
        exact = events.waveform_counts.astype(np.float64)
        exact *= np.repeat(events.gain_v[events.electrode], np.diff(events.offset))
        kept = [
            array[source.row[unit], source.col[unit], first : first + length]
            for unit, first, length in zip(events.electrode, events.first_sample, np.diff(events.offset), strict=True)
        ]
        np.testing.assert_array_equal(exact * 1e6, np.concatenate([np.zeros(0), *kept]))
    return events


samples = st.one_of(
    st.lists(st.integers(-4, 4), max_size=300),  # plateaus and ties everywhere
    st.lists(st.sampled_from([0, 0, 0, 0, 0, 0, 0, 1, -1, 9, -9, 32767, -32768]), max_size=300),  # mostly silent
    st.lists(st.integers(-32768, 32767), max_size=120),
    st.lists(st.integers(-(2**31), 2**31 - 1), max_size=60),
    st.lists(st.tuples(st.integers(-3000, 3000), st.integers(1, 9)), max_size=60).map(
        lambda runs: [value for value, length in runs for _ in range(length)]
    ),
)


@settings(max_examples=600, deadline=None)
@given(
    samples=samples,
    sampling_rate_hz=st.sampled_from([500, 1000, 2500, 3333, 10_000, 25_000, 50_000]),
    factor=st.sampled_from([0.25, 1.0, 1.349, 5.0]),
    adc_zero=st.sampled_from([0, 1, -3, 32768, 2**31 - 1, -(2**31)]),
    gain_v=st.sampled_from([GAIN_V, 1e-6, 0.08170526e-6, 1e-6 / 3, -1e-7, 2e-5]),
)
@example(samples=[], sampling_rate_hz=25_000, factor=5.0, adc_zero=0, gain_v=1e-6)
@example(samples=[5], sampling_rate_hz=25_000, factor=5.0, adc_zero=0, gain_v=1e-6)
@example(samples=[0, 7, 0], sampling_rate_hz=500, factor=5.0, adc_zero=0, gain_v=1e-6)
@example(samples=[0, 7, 7, 0, 0, -7, -7, -7, 0], sampling_rate_hz=500, factor=1.0, adc_zero=0, gain_v=1e-6)
def test_equals_the_predecessor_on_adversarial_samples(samples, sampling_rate_hz, factor, adc_zero, gain_v):
    options = dict(sampling_rate_hz=sampling_rate_hz, gain_v=gain_v, adc_zero=adc_zero)
    assert_same_as_predecessor(np.array(samples, np.int32), factor, **options)
    if not samples or max(map(abs, samples)) < 32768:
        assert_same_as_predecessor(np.array(samples, np.int16), factor, **options)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    sigma=st.sampled_from([0.4, 3, 100, 40_000, 3e7]),
    n_samples=st.integers(0, 4000),
    sampling_rate_hz=st.sampled_from([500, 10_000, 25_000]),
    factor=st.sampled_from([1.0, 2.5, 5.0]),
)
def test_equals_the_predecessor_on_noise_with_spikes(seed, sigma, n_samples, sampling_rate_hz, factor):
    random = np.random.default_rng(seed)
    values = random.normal(0, sigma, (3, n_samples))
    for _ in range(n_samples // 100):
        first = random.integers(0, n_samples)
        values[random.integers(0, 3), first : first + 12] += random.normal(0, 12 * sigma)
    counts = np.clip(np.rint(values), -(2**31), 2**31 - 1).astype(np.int32)
    assert_same_as_predecessor(
        counts, factor, sampling_rate_hz=sampling_rate_hz, gain_v=[1e-7, 3e-7, 1e-9], adc_zero=[0, 5, -70_000]
    )


def test_known_answer_single_spike():
    """One spike of -100 counts in ±1 noise at 25 kHz: threshold 5 / 0.6745 µV, kept from 15 before to 35 after."""
    counts = np.tile([1, -1], 500).astype(np.int16)
    counts[400] = -100
    events = detect_events(counts[None], make_source(counts[None], gain_v=1e-6), 5.0)
    assert events.threshold_uv.tolist() == [1 / 0.6745 * 5.0]
    assert (events.peak_sample.tolist(), events.first_sample.tolist()) == ([400], [385])
    np.testing.assert_array_equal(events.waveform_counts, counts[385:436])
    assert events.waveform_counts.dtype == np.int16


@pytest.mark.parametrize("volts", [1e-6, GAIN_V, 1e-6 / 3])
def test_heights_at_the_threshold_are_decided_as_the_predecessor_did(volts):
    """Real ties: 5 / 0.6745 = 10000 / 1349, so a median of 1349 m counts makes a threshold of 10000 m counts."""
    for median in range(1, 40):
        for height in (10_000 * median - 1, 10_000 * median, 10_000 * median + 1):
            halves = np.full(40, 1349 * median), np.full(40, -1349 * median)
            counts = np.concatenate([halves[0], [0, height, 0, -height, 0], halves[1]])
            assert_same_as_predecessor(counts.astype(np.int32), gain_v=volts)


def test_a_tie_that_is_exact_in_float64_counts():
    """Median exactly 0.6745 * 2: the threshold is exactly 10 µV; 10 µV is a peak and 9 µV is none."""
    volts = 0.6745e-6 * 2
    counts = np.tile([1, -1], 100).astype(np.int32)
    threshold = find_threshold(counts, 0, volts, 5.0)
    least = find_least_count(threshold, volts)
    assert (least * volts) * 1e6 >= threshold > ((least - 1) * volts) * 1e6
    counts[50], counts[150] = least, -(least - 1)
    events = assert_same_as_predecessor(counts, gain_v=volts)
    assert events.peak_sample.tolist() == [50]


@settings(max_examples=300, deadline=None)
@given(count=st.integers(0, 2**32), volts=st.floats(1e-12, 1e-2), nudge=st.sampled_from([-np.inf, None, np.inf]))
def test_least_count_is_decided_in_float64(count, volts, nudge):
    threshold = (count * volts) * 1e6
    threshold = threshold if nudge is None else float(np.nextafter(threshold, nudge))
    threshold = max(0.0, threshold)
    least = find_least_count(threshold, volts)
    assert (least * volts) * 1e6 >= threshold
    assert least == 0 or ((least - 1) * volts) * 1e6 < threshold


def test_least_count_of_no_threshold():
    assert find_least_count(float("nan"), 1e-6) == 0
    assert find_least_count(0.0, 1e-6) == 0


def test_silent_electrode_keeps_flat_zeros_between_others():
    """Median 0, threshold 0: a zero plateau between two negatives is a maximum of height 0."""
    counts = np.zeros(400, np.int16)
    counts[100:110] = [-3, -3, 0, 0, 0, -3, -3, 4, 4, -1]
    events = assert_same_as_predecessor(counts, sampling_rate_hz=500)
    assert 103 in events.peak_sample and events.threshold_uv.tolist() == [0.0]
    for constant in (0, 7, -32768):
        assert len(assert_same_as_predecessor(np.full(50, constant, np.int16))) == 0


@pytest.mark.parametrize("dtype", [np.int16, np.int32])
def test_clipped_at_the_limits_of_the_type(dtype):
    limits = np.iinfo(dtype)
    counts = np.tile([1, -1, 2, -2], 200).astype(dtype)
    counts[200:205], counts[400:402], counts[600] = limits.min, limits.max, limits.min
    for adc_zero in (0, limits.min, limits.max):
        assert_same_as_predecessor(counts, adc_zero=adc_zero)


def test_waveform_wider_than_its_type_is_widened():
    counts = np.tile([1, -1], 300).astype(np.int32)
    counts[300] = -(2**31)
    for adc_zero, dtype in ((0, np.int32), (2**31 - 1, np.int64)):
        assert assert_same_as_predecessor(counts, 0.5, adc_zero=adc_zero).waveform_counts.dtype == dtype


@pytest.mark.parametrize("sampling_rate_hz", [10_000, 25_000])
def test_windows_are_cut_at_both_ends(sampling_rate_hz):
    counts = np.tile([1, -1], 500).astype(np.int16)
    for peak in (1, 2, 998, 997):
        spiked = counts.copy()
        spiked[peak] = 300
        events = assert_same_as_predecessor(spiked, sampling_rate_hz=sampling_rate_hz)
        assert events.peak_sample.tolist() == [peak]
        assert events.first_sample[0] >= 0 and events.first_sample[0] + events.offset[1] <= 1000


def test_adjacent_groups():
    """Peaks at every distance around the window of 75 samples, growing and shrinking, before and after the best."""
    for distance in range(60, 90):
        for heights in ([50, 60, 70, 80], [80, 70, 60, 50], [50, 80, 50, 80], [60, 60, 60, 60], [50, -80, 80, 50]):
            counts = np.tile([1, -1], 400).astype(np.int32)
            counts[100 + distance * np.arange(4)] = heights
            assert_same_as_predecessor(counts)


def test_counts_that_are_no_contiguous_block():
    counts = np.random.default_rng(0).normal(0, 50, (3000, 4)).round().astype(np.int32)
    assert_same_as_predecessor(counts.T, 2.0)
    assert_same_as_predecessor(counts[::3].T, 2.0)


def test_real_voltages(shared_data):
    """Beating cardiac tissue: 64 electrodes, int16, 10 kHz."""
    with np.load(shared_data / "med64_raw" / "cardio.npz") as file:
        counts, volts, sampling_rate_hz = file["voltages"], float(file["scale"]) * 1e-6, int(file["sampling_rate"])
    events = assert_same_as_predecessor(counts, sampling_rate_hz=sampling_rate_hz, gain_v=volts)
    assert len(events) > 100


def test_the_vendors_own_file(shared_data):
    """Eight channels at 500 Hz, where the window is 0 samples: raw and filtered stream, from the file itself."""
    (path,) = (shared_data / "mcs_vendor").glob("*.h5")
    for stream in ("raw", "filtered"):
        (source,) = read_raw_recordings(path, stream)
        counts = read_counts(path, source)
        options = dict(sampling_rate_hz=source.sampling_rate_hz, gain_v=source.gain_v, adc_zero=source.adc_zero)
        for factor in (1.0, 5.0):
            assert_same_as_predecessor(counts, factor, **options)


def test_resampling_keeps_a_sine_and_whole_counts():
    """A 300 Hz sine of 10000 counts at 10 kHz is the same sine at 25 kHz, away from the ends."""
    seconds = np.arange(10_000) / 10_000
    counts = np.rint(10_000 * np.sin(2 * np.pi * 300 * seconds)).astype(np.int16)[None] + np.int16(100)
    source = replace(make_source(counts, sampling_rate_hz=10_000, adc_zero=100), segments=np.array([[0, 0, 9999]]))
    resampled, at_25 = resample_counts(counts, source, 25_000)
    assert (at_25.sampling_rate_hz, at_25.n_samples, at_25.duration_s) == (25_000, 25_000, 1.0)
    assert resampled.dtype == np.int16 and resampled.shape == (1, 25_000) and at_25.adc_zero.tolist() == [0]
    assert at_25.segments.tolist() == [[0, 0, 24_997]]
    expected = 10_000 * np.sin(2 * np.pi * 300 * np.arange(25_000) / 25_000)
    np.testing.assert_allclose(resampled[0, 500:-500], expected[500:-500], atol=30)
    assert counts.max() <= 10_100  # the input is left alone


def test_resampling_that_leaves_int32_is_refused():
    counts = np.tile(np.repeat([2**31 - 1, -(2**31)], 20), 10).astype(np.int32)[None]
    with pytest.raises(BadRecording, match=r"electrode E0: counts beyond ±2147483647 after resampling to 25000 Hz"):
        resample_counts(counts, make_source(counts, sampling_rate_hz=10_000), 25_000)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([10, 15, 24, 31]).flatmap(
        lambda bits: st.lists(st.integers(-(2**bits), 2**bits - 1), min_size=1, max_size=60)
    ),
    st.integers(-(2**17), 2**17),
)
def test_counting_the_values_finds_the_two_middle_magnitudes(values, adc_zero):
    """Of narrow ranges by a histogram, of wide ones by sorting."""
    row = np.array(values, np.int32)
    expected = np.sort(abs(row.astype(np.int64) - adc_zero))[[(len(row) - 1) // 2, len(row) // 2]]
    assert _find_middle_magnitudes(*_count_values(row), adc_zero) == tuple(expected)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(-(2**15), 2**15 - 1), min_size=1, max_size=60), st.integers(-(2**17), 2**17))
def test_the_histogram_of_16_bits_gives_the_same_threshold(values, adc_zero):
    row = np.array(values, np.int16)
    histogram = np.zeros(VALUES, np.uint32)
    add_to_histogram(row, histogram, -VALUES // 2)
    threshold = find_threshold(row.astype(np.int32), adc_zero, 59605e-12, 5.0)
    assert find_histogram_threshold(histogram, adc_zero, 59605e-12, 5.0) == threshold


def test_spikes_at_the_borders_of_quiet_blocks_are_found():
    """Blocks of quiet samples are skipped: a peak and a flat top at every place in and around a block."""
    for place in range(1, 2 * SCAN_BLOCK + 3):
        counts = np.tile([3, -3], 2 * SCAN_BLOCK).astype(np.int16)
        counts[place : place + 1 + place % 3] = 100
        assert_same_as_predecessor(counts)


def test_equal_samples_have_equal_digests():
    counts = np.random.default_rng(1).normal(0, 50, (2, 500)).round().astype(np.int32)
    source = make_source(counts)
    digest = detect_events(counts, source, 5.0).samples_sha256
    assert detect_events(np.asfortranarray(counts), source, 5.0).samples_sha256 == digest
    changed = counts.copy()
    changed[1, 499] += 1
    assert detect_events(changed, source, 5.0).samples_sha256 != digest
