"""Resampling span by span: SciPy's of the whole trace, to the bit, whatever the spans."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from builders.recordings import make_source
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import resample_poly

from mea.arrays import resampling
from mea.arrays.resampling import resample, resample_source

RATES = [8_000, 10_000, 12_500, 20_000, 24_000, 25_000, 30_000, 44_100]


def resample_whole(counts, zero, rate, wanted):
    ratio = Fraction(wanted, rate)
    values = counts.astype(np.float64) - zero
    return np.stack([np.rint(resample_poly(row, ratio.numerator, ratio.denominator)) for row in values])


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    rate=st.sampled_from(RATES),
    wanted=st.sampled_from(RATES),
    n_samples=st.integers(1, 5000),
    bits=st.sampled_from([8, 15, 24]),
    zero=st.integers(-1000, 1000),
    data=st.data(),
)
def test_any_part_is_that_of_the_whole(seed, rate, wanted, n_samples, bits, zero, data):
    random = np.random.default_rng(seed)
    counts = random.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (2, n_samples)).astype(np.int32)
    source = make_source(counts, sampling_rate_hz=rate, adc_zero=zero)
    at_rate = resample_source(source, wanted)
    expected = resample_whole(counts, zero, rate, wanted)
    assert at_rate.n_samples == expected.shape[1] and at_rate.sampling_rate_hz == wanted
    first = data.draw(st.integers(0, at_rate.n_samples - 1))
    last = data.draw(st.integers(first + 1, at_rate.n_samples))
    asked = []

    def read(start, stop):
        assert 0 <= start < stop <= n_samples
        asked.append(stop - start)
        return counts[:, start:stop]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resampling, "SPAN_BYTES", data.draw(st.integers(1, 20_000)))
        found = resample(read, source, wanted, first, last)
        step = max(1, int(resampling.SPAN_BYTES / 4 * Fraction(wanted, rate)))
    np.testing.assert_array_equal(found, expected[:, first:last])
    fits = found.min() >= -(2**15) and found.max() < 2**15
    assert found.dtype == (np.int16 if fits else np.int32)
    reach = 2 * (10 * max(wanted, rate) / wanted + 10 * max(rate, wanted) / rate + 1000)
    assert max(asked) <= min(n_samples, step * rate / wanted + reach), "no more is read than the filter needs"


def test_pauses_and_segments_keep_their_place_in_time():
    """20 kHz to 30 kHz: the sample that is there, or the one before, as a whole number."""
    source = replace(make_source(np.zeros((1, 101), np.int32), sampling_rate_hz=20_000), pauses=np.array([20, 61]))
    source = replace(source, segments=np.array([[0, 0, 19], [5_000, 20, 60], [9_000, 61, 100]]))
    at_rate = resample_source(source, 30_000)
    assert at_rate.pauses.tolist() == [30, 91] and at_rate.pauses.dtype == source.pauses.dtype
    assert at_rate.segments.tolist() == [[0, 0, 28], [5_000, 30, 90], [9_000, 91, 150]]
    assert at_rate.n_samples == 152 and source.segments[0, 2] == 19
