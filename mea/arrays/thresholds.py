"""The height of a spike: a multiple of the noise's robust standard deviation, from how often each count occurs.

Multiplying counts by a positive factor changes no order, so the median of the µV values is that of the counts. Only two
things are decided in float64, exactly as the predecessor did: the threshold, from the two middle values, and the
smallest count that reaches it.
"""

import math

import numpy as np

from mea.runtime.compiled import compiled

MEDIAN_OF_NORMAL = 0.6745  # the median of |x| is this many standard deviations of normally distributed noise
VALUES = 1 << 16  # that 16 bits can have
WIDEST_HISTOGRAM = 1 << 22  # values between the lowest and the highest count: 16 MB; beyond, counts are sorted


def find_threshold(row: np.ndarray, adc_zero: int, gain_v: float, factor: float) -> float:
    """Least height of a peak on one electrode, µV: median(abs(x) / 0.6745) * factor; NaN without samples.

    Parameters
    ----------
    row
        (samples,) integer counts.
    adc_zero
        The count that means 0 V.
    gain_v
        Volts per count.
    factor
        Height of a peak, in robust standard deviations of the noise.

    Examples
    --------
    Counts of 1 µV, whose magnitudes have the median 2:

    >>> row = np.array([1, -2, 2, 3, -1], np.int16)
    >>> round(find_threshold(row, adc_zero=0, gain_v=1e-6, factor=5.0), 2)  # 2 / 0.6745 * 5
    14.83

    References
    ----------
    Quian Quiroga, Nadasdy, Ben-Shaul (2004), Neural Computation 16:1661, doi:10.1162/089976604774201631.
    """
    return _scale_middles(*_count_values(row), adc_zero, gain_v, factor)


def find_histogram_threshold(histogram: np.ndarray, adc_zero: int, gain_v: float, factor: float) -> float:
    """As :func:`find_threshold`, from (65536,) how often each 16-bit value occurs, the lowest value first."""
    values = np.flatnonzero(histogram)
    return _scale_middles(values - VALUES // 2, histogram[values], adc_zero, gain_v, factor)


def find_least_count(threshold_uv: float, gain_v: float) -> int:
    """The smallest magnitude in counts whose µV value, computed in float64, is at least the threshold.

    Examples
    --------
    >>> find_least_count(threshold_uv=20.0, gain_v=0.0596e-6)
    336
    """
    if math.isnan(threshold_uv):
        return 0
    scale = abs(gain_v)
    count = round(threshold_uv / 1e6 / scale)
    while (count * scale) * 1e6 >= threshold_uv:
        count -= 1
    while (count * scale) * 1e6 < threshold_uv:
        count += 1
    return count


def _count_values(row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The values that occur in a row, in ascending order, and how often each does."""
    lowest, highest = (int(row.min()), int(row.max())) if len(row) else (0, 0)
    if len(row) == 0 or highest - lowest >= WIDEST_HISTOGRAM:
        return np.unique(row, return_counts=True)
    histogram = np.zeros(highest - lowest + 1, np.uint32)
    add_to_histogram(row, histogram, lowest)
    values = np.flatnonzero(histogram)
    return values + lowest, histogram[values]


def _scale_middles(values: np.ndarray, occurrences: np.ndarray, adc_zero: int, gain_v: float, factor: float) -> float:
    """The threshold, from each value and how often it occurs."""
    n_samples = int(occurrences.sum())
    if n_samples == 0:
        return math.nan
    scale = abs(gain_v)
    middles = _find_middle_magnitudes(values, occurrences, adc_zero)
    below, above = ((middle * scale) * 1e6 / MEDIAN_OF_NORMAL for middle in middles)
    median = (below + above) / 2 if n_samples % 2 == 0 else above
    return median * factor


def _find_middle_magnitudes(values: np.ndarray, occurrences: np.ndarray, adc_zero: int) -> tuple[int, int]:
    """The values at ranks (n - 1) // 2 and n // 2 of the n sorted magnitudes abs(value - adc_zero)."""
    magnitudes = np.abs(values.astype(np.int64) - adc_zero)
    order = np.argsort(magnitudes)
    reached = np.cumsum(occurrences[order].astype(np.int64))
    low, high = np.searchsorted(reached, [(reached[-1] - 1) // 2, reached[-1] // 2], side="right")
    return int(magnitudes[order][low]), int(magnitudes[order][high])


@compiled
def add_to_histogram(row, histogram, lowest):
    """Add to a histogram how often each value of a row occurs; its first bin counts the value ``lowest``."""
    for sample in row:
        histogram[np.int64(sample) - lowest] += 1
