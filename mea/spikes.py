"""The predecessor's cleaning: counts to events, found on the integers.

Multiplying counts by a positive factor changes no order, so the median, the maxima and the minima of the µV values are
those of the counts. Only two things are decided in float64, exactly as the predecessor did: the threshold, from the two
middle values, and the smallest count that reaches it.
"""

import hashlib
import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numba
import numpy as np
from scipy.signal import resample_poly

from mea.events import Events, describe_source
from mea.recording import Source

MEDIAN_OF_NORMAL = 0.6745  # the median of |x| is this many standard deviations of normally distributed noise
LOW_BITS = 16


def detect_events(counts: np.ndarray, source: Source, threshold: float) -> Events:
    """Find the spikes of all electrodes; the same events, to the bit, as the predecessor's.

    A peak is a local maximum or minimum at least ``threshold`` robust standard deviations (median(abs(x)) / 0.6745)
    away from zero; a flat top counts once, at its middle. Peaks within 3 ms form one event, at the largest of them, and
    the waveform is kept from 0.6 ms before it to 1.4 ms after it.

    Parameters
    ----------
    counts
        (n_electrodes, n_samples) int16 or int32, as the rig wrote them, in the electrodes' order.
    source
        Zero, volts per count, rate and place of each electrode.
    threshold
        Height of a peak, in robust standard deviations; the predecessor's was 5.

    Returns
    -------
    Events
        With empty recording, label, culture and batch.

    References
    ----------
    Quian Quiroga, Nadasdy, Ben-Shaul (2004), Neural Computation 16:1661, doi:10.1162/089976604774201631.
    """
    pulse = int(0.001 * source.rate_hz)
    thresholds = np.zeros(len(counts))
    peaks = []
    for electrode, row in enumerate(counts):
        row = np.ascontiguousarray(row)
        zero, volts = int(source.zero[electrode]), float(source.volts_per_count[electrode])
        thresholds[electrode] = find_threshold(row, zero, volts, threshold)
        least = find_least_count(thresholds[electrode], volts)
        peaks.append(_find_best_peaks(row, zero, least, 3 * pulse))
    return Events(
        **describe_source(source, hash_counts(counts), source.rate_hz, counts.shape[1]),
        threshold_uv=thresholds,
        volts_per_count=np.asarray(source.volts_per_count, np.float64),
        **_cut_waveforms(counts, np.asarray(source.zero, np.int64), peaks, pulse),
    )


def find_threshold(row: np.ndarray, zero: int, volts_per_count: float, factor: float) -> float:
    """Least height of a peak of one electrode, µV: median(abs(x) / 0.6745) * factor; NaN for no samples."""
    if len(row) == 0:
        return math.nan
    low, high = _find_middle_magnitudes(row, zero)
    scale = abs(volts_per_count)
    below, above = ((int(middle) * scale) * 1e6 / MEDIAN_OF_NORMAL for middle in (low, high))
    median = (below + above) / 2 if len(row) % 2 == 0 else above
    return median * factor


def find_least_count(threshold_uv: float, volts_per_count: float) -> int:
    """The smallest magnitude in counts whose µV value, computed in float64, is at least the threshold."""
    if math.isnan(threshold_uv):
        return 0
    scale = abs(volts_per_count)
    count = round(threshold_uv / 1e6 / scale)
    while count > 0 and (count * scale) * 1e6 >= threshold_uv:
        count -= 1
    while (count * scale) * 1e6 < threshold_uv:
        count += 1
    return count


def resample_counts(counts: np.ndarray, source: Source, rate_hz: int) -> tuple[np.ndarray, Source]:
    """The recording at another rate: polyphase filter of each electrode, rounded back to whole counts.

    Parameters
    ----------
    counts
        (n_electrodes, n_samples) integers.
    source
        What they mean.
    rate_hz
        The rate wanted.

    Returns
    -------
    counts
        (n_electrodes, ceil(n_samples * rate_hz / source.rate_hz)) int32, with 0 as zero (int64 where they need it).
    source
        The same source at the new rate.
    """
    ratio = Fraction(int(rate_hz), int(source.rate_hz))
    n_samples = math.ceil(counts.shape[1] * ratio)
    resampled = np.zeros((len(counts), n_samples), np.int64)
    for electrode, row in enumerate(counts):
        values = (row.astype(np.int64) - int(source.zero[electrode])).astype(np.float64)
        resampled[electrode] = np.rint(resample_poly(values, ratio.numerator, ratio.denominator))
    segments = source.segments.copy()
    segments[:, 1:] = segments[:, 1:] * ratio.numerator // ratio.denominator
    zero = np.zeros_like(source.zero)
    return _shrink(resampled, (np.int32,)), replace(
        source, rate_hz=rate_hz, n_samples=n_samples, zero=zero, segments=segments
    )


def hash_counts(counts: np.ndarray) -> str:
    """SHA-256 of the samples as they were read, electrode after electrode."""
    digest = hashlib.sha256(str(counts.shape).encode())
    for row in counts:
        digest.update(np.ascontiguousarray(row).data)
    return digest.hexdigest()


def _cut_waveforms(counts: np.ndarray, zero: np.ndarray, peaks: list[np.ndarray], pulse: int) -> dict[str, Any]:
    electrode = np.repeat(np.arange(len(peaks)), [len(found) for found in peaks])
    peak = np.concatenate([np.zeros(0, np.int64), *peaks])
    first = np.maximum(0, peak - 0.6 * pulse).astype(np.int64)  # in float64, cut off: the predecessor's rounding
    last = np.minimum(counts.shape[1], peak + 1.4 * pulse).astype(np.int64)
    stop = np.minimum(counts.shape[1], last + 1)
    order = np.lexsort((electrode, first))
    electrode, peak, first, stop = (values[order] for values in (electrode, peak, first, stop))
    offset = np.concatenate([[0], np.cumsum(stop - first)])
    waveform = _gather_waveforms(counts, zero, electrode, first, offset)
    return dict(
        electrode=electrode,
        first_sample=first,
        peak_sample=peak,
        offset=offset,
        waveform_counts=_shrink(waveform, (np.int16, np.int32)),
    )


def _shrink(values: np.ndarray, choices: tuple[type, ...]) -> np.ndarray:
    """The same integers in the first of the types that holds them all."""
    for choice in choices:
        limits = np.iinfo(choice)
        if values.size == 0 or (values.min() >= limits.min and values.max() <= limits.max):
            return values.astype(choice)
    return values


@numba.njit(cache=True, nogil=True)
def _find_middle_magnitudes(row, zero):
    """The values at ranks (n - 1) // 2 and n // 2 of |row - zero|, by counting: first the high bits, then the low."""
    n = len(row)
    rank = (n - 1) // 2
    largest = np.int64(0)
    for sample in row:
        largest = max(largest, abs(np.int64(sample) - zero))
    tally = np.zeros((largest >> LOW_BITS) + 1, np.int64)
    for sample in row if len(tally) > 1 else row[:0]:
        tally[abs(np.int64(sample) - zero) >> LOW_BITS] += 1
    high, below = 0, 0
    while len(tally) > 1 and below + tally[high] <= rank:
        below += tally[high]
        high += 1
    tally = np.zeros(min(largest, (1 << LOW_BITS) - 1) + 1, np.int64)
    for sample in row:
        magnitude = abs(np.int64(sample) - zero)
        if magnitude >> LOW_BITS == high:
            tally[magnitude & ((1 << LOW_BITS) - 1)] += 1
    low = 0
    while below + tally[low] <= rank:
        below += tally[low]
        low += 1
    middle = (np.int64(high) << LOW_BITS) + low
    if n % 2 == 1 or below + tally[low] > rank + 1:
        return middle, middle
    following = largest
    for sample in row:
        magnitude = abs(np.int64(sample) - zero)
        if middle < magnitude < following:
            following = magnitude
    return middle, following


@numba.njit(cache=True, nogil=True)
def _find_best_peaks(row, zero, least, window):
    """Sample of the best peak of each group; one pass, keeping only the group at hand."""
    best_peaks = np.empty(max(0, len(row) - 2) // (window + 1) + 1, np.int64)
    found = 0
    opener, best, best_height = np.int64(-1), np.int64(-1), np.int64(-1)
    last = len(row) - 1
    sample = 1
    while sample < last:
        value = np.int64(row[sample]) - zero
        if abs(value) < least:  # almost every sample: nothing else may be asked before
            sample += 1
            continue
        rises = row[sample - 1] < row[sample]
        height = value if rises else -value
        if height < least or row[sample - 1] == row[sample]:
            sample += 1
            continue
        ahead = sample + 1
        while ahead < last and row[ahead] == row[sample]:
            ahead += 1
        turns = row[ahead] < row[sample] if rises else row[ahead] > row[sample]
        peak = (sample + ahead - 1) // 2
        sample = ahead
        if not turns:
            continue
        if best < 0 or peak > best + window:
            found += best >= 0
            opener, best, best_height = peak, peak, height
            best_peaks[found] = best
        elif peak <= opener + window and height > best_height:
            best, best_height = peak, height
            best_peaks[found] = best
    return best_peaks[: found + (best >= 0)].copy()


@numba.njit(cache=True, nogil=True)
def _gather_waveforms(counts, zero, electrode, first_sample, offset):
    """(offset[-1],) int64 counts minus zero of all events, one after the other."""
    waveforms = np.empty(offset[-1], np.int64)
    for event in range(len(electrode)):
        unit = electrode[event]
        for index in range(offset[event], offset[event + 1]):
            waveforms[index] = np.int64(counts[unit, first_sample[event] + index - offset[event]]) - zero[unit]
    return waveforms
