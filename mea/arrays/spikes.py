"""The predecessor's cleaning: counts to events, found on the integers.

Multiplying counts by a positive factor changes no order, so the median, the maxima and the minima of the µV values are
those of the counts. Only two things are decided in float64, exactly as the predecessor did: the threshold, from the two
middle values, and the smallest count that reaches it.
"""

import hashlib
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numba
import numpy as np

from mea.arrays.events import Events, describe_source
from mea.recordings.recording import Source

MEDIAN_OF_NORMAL = 0.6745  # the median of |x| is this many standard deviations of normally distributed noise
LOW_BITS = 16
VALUES = 1 << 16  # that 16 bits can have
TOLD_APART = 997  # every so-many-th sample is part of a recording's digest
QUIET = 256  # samples that are looked at together: most hold no spike


@dataclass(frozen=True)
class Spikes:
    """What is found on one electrode.

    Attributes
    ----------
    counts_sha256
        Of how often each count occurs and of every 997th, or, where 16 bits are not enough, of the counts themselves.
    threshold_uv
        Least height of a peak.
    peak_sample, first_sample
        (m,) int64: sample of each event's peak, and the first of its waveform.
    offset
        (m + 1,) int64: the waveform of event i is ``waveform_counts[offset[i]:offset[i + 1]]``.
    waveform_counts
        Counts minus zero, in the narrowest of int16, int32 and int64.
    """

    counts_sha256: bytes
    threshold_uv: float
    peak_sample: np.ndarray
    first_sample: np.ndarray
    offset: np.ndarray
    waveform_counts: np.ndarray


@dataclass(frozen=True)
class Kept:
    """What is kept of one electrode's samples: whatever can be part of an event, or all.

    Attributes
    ----------
    counts
        (k,) int16 or int32: stretches of the electrode's samples, one after the other.
    starts
        (m,) int64: the sample at which each stretch begins.
    width
        Samples in a stretch; the last one may be shorter.
    n_samples
        Of the electrode, in all.
    """

    counts: np.ndarray
    starts: np.ndarray
    width: int
    n_samples: int

    def find_samples(self, index: np.ndarray) -> np.ndarray:
        """Which of the electrode's samples these of ``counts`` are."""
        return self.starts[index // self.width] + index % self.width


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
    return join_spikes(source, counts.shape[1], find_spikes(counts, source, threshold))


def find_spikes(counts: np.ndarray, source: Source, threshold: float) -> list[Spikes]:
    """The spikes of each electrode, on as many threads as numba is given; parameters as in :func:`detect_events`."""
    find = partial(_find_electrode_spikes, pulse=find_pulse(source.sampling_rate_hz), threshold=threshold)
    with ThreadPoolExecutor(numba.get_num_threads()) as pool:
        return list(pool.map(find, counts, source.zero.tolist(), source.volts_per_count.tolist()))


def find_pulse(sampling_rate_hz: int) -> int:
    """Whole samples in a millisecond, the predecessor's measure of all windows."""
    return int(0.001 * sampling_rate_hz)


def join_spikes(source: Source, n_samples: int, spikes: Sequence[Spikes]) -> Events:
    """The events of all electrodes of a source, in the order of (first_sample, electrode)."""
    digest = hashlib.sha256(f"{len(spikes)} {n_samples}".encode())
    for found in spikes:
        digest.update(found.counts_sha256)
    return Events(
        **describe_source(source, digest.hexdigest(), source.sampling_rate_hz, n_samples),
        threshold_uv=np.array([found.threshold_uv for found in spikes], np.float64),
        volts_per_count=np.asarray(source.volts_per_count, np.float64),
        **_sort_spikes(spikes),
    )


def _find_electrode_spikes(row: np.ndarray, zero: int, volts: float, pulse: int, threshold: float) -> Spikes:
    row = _shrink(np.ascontiguousarray(row), (np.int16, np.int32))
    if row.dtype == np.int16 and len(row):
        known = np.zeros(VALUES, np.uint32)
        add_to_tally(row, known)
        threshold_uv = find_tallied_threshold(known, zero, volts, threshold)
    else:
        known, threshold_uv = row, find_threshold(row, zero, volts, threshold)
    whole = Kept(row, np.zeros(1, np.int64), max(1, len(row)), len(row))
    return cut_spikes(whole, zero, volts, pulse, threshold_uv, digest_counts(known, row[::TOLD_APART]))


def digest_counts(known: np.ndarray, told: np.ndarray) -> bytes:
    """Of the tally or all counts of an electrode, and every 997th: the tally is the same for one played backwards."""
    digest = hashlib.sha256(known.data)
    digest.update(told.tobytes())
    return digest.digest()


def cut_spikes(kept: Kept, zero: int, volts: float, pulse: int, threshold_uv: float, digest: bytes) -> Spikes:
    """The spikes of one electrode whose threshold is known; ``pulse`` is a millisecond in samples."""
    place = _find_best_peaks(kept.counts, zero, find_least_count(threshold_uv, volts), 3 * pulse)
    peak = kept.find_samples(place)
    first = np.maximum(0, peak - 0.6 * pulse).astype(np.int64)  # in float64, cut off: the predecessor's rounding
    last = np.minimum(kept.n_samples, peak + 1.4 * pulse).astype(np.int64)
    stop = np.minimum(kept.n_samples, last + 1)
    offset = np.concatenate([[0], np.cumsum(stop - first)])
    waveforms = np.empty(offset[-1], np.int64)
    _gather_waveforms(kept.counts, zero, place - (peak - first), offset, waveforms)
    return Spikes(digest, threshold_uv, peak, first, offset, _shrink(waveforms, (np.int16, np.int32)))


def join_pieces(pieces: Sequence[Spikes]) -> Spikes:
    """The spikes of one electrode, found piece by piece."""
    length = np.concatenate([np.diff(piece.offset) for piece in pieces])
    return replace(
        pieces[0],
        peak_sample=np.concatenate([piece.peak_sample for piece in pieces]),
        first_sample=np.concatenate([piece.first_sample for piece in pieces]),
        offset=np.concatenate([[0], np.cumsum(length)]),
        waveform_counts=np.concatenate([piece.waveform_counts for piece in pieces]),
    )


def find_threshold(row: np.ndarray, zero: int, volts_per_count: float, factor: float) -> float:
    """Least height of a peak of one electrode, µV: median(abs(x) / 0.6745) * factor; NaN for no samples."""
    if len(row) == 0:
        return math.nan
    return _scale_middles(_find_middle_magnitudes(row, zero), len(row), volts_per_count, factor)


def find_tallied_threshold(tally: np.ndarray, zero: int, volts_per_count: float, factor: float) -> float:
    """As :func:`find_threshold`, from (65536,) how often each value of 16 bits occurs, the lowest first."""
    return _scale_middles(_find_tallied_middles(tally, zero), int(tally.sum()), volts_per_count, factor)


def _scale_middles(middles: tuple[int, int], n_samples: int, volts_per_count: float, factor: float) -> float:
    scale = abs(volts_per_count)
    below, above = ((int(middle) * scale) * 1e6 / MEDIAN_OF_NORMAL for middle in middles)
    median = (below + above) / 2 if n_samples % 2 == 0 else above
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


def _sort_spikes(spikes: Sequence[Spikes]) -> dict[str, Any]:
    none = np.zeros(0, np.int64)
    electrode = np.repeat(np.arange(len(spikes)), [len(found.peak_sample) for found in spikes])
    first = np.concatenate([none, *(found.first_sample for found in spikes)])
    peak = np.concatenate([none, *(found.peak_sample for found in spikes)])
    length = np.concatenate([none, *(np.diff(found.offset) for found in spikes)])
    waveform = np.concatenate([np.zeros(0, np.int16), *(found.waveform_counts for found in spikes)])
    order = np.lexsort((electrode, first))
    begin = (np.cumsum(length) - length)[order]
    offset = np.concatenate([[0], np.cumsum(length[order])])
    sorted_waveform = np.empty_like(waveform)
    _gather_waveforms(waveform, 0, begin, offset, sorted_waveform)
    return dict(
        electrode=electrode[order],
        first_sample=first[order],
        peak_sample=peak[order],
        offset=offset,
        waveform_counts=sorted_waveform,
    )


def _shrink(values: np.ndarray, choices: tuple[type, ...]) -> np.ndarray:
    """The same integers in the first of the types that holds them all."""
    for choice in choices:
        limits = np.iinfo(choice)
        if values.dtype == choice or values.size == 0 or (values.min() >= limits.min and values.max() <= limits.max):
            return values.astype(choice, copy=False)
    return values


def _find_tallied_middles(tally: np.ndarray, zero: int) -> tuple[int, int]:
    """As :func:`_find_middle_magnitudes`, from how often each value occurs."""
    values = np.flatnonzero(tally)
    magnitudes = np.abs(values - VALUES // 2 - zero)
    order = np.argsort(magnitudes)
    reached = np.cumsum(tally[values][order])
    low, high = np.searchsorted(reached, [(reached[-1] - 1) // 2, reached[-1] // 2], side="right")
    return int(magnitudes[order][low]), int(magnitudes[order][high])


@numba.njit(cache=True, nogil=True)
def add_to_tally(row, tally):
    """Add to (65536,) how often each value of 16 bits occurs, the lowest first."""
    for sample in row:
        tally[np.int64(sample) + VALUES // 2] += 1


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
    sample, looked = 1, 1
    while sample < last:
        if sample >= looked:  # almost every stretch is quiet, and so is almost every sample of the others
            looked = min(sample + QUIET, last)
            stretch = row[sample:looked]
            if max(np.int64(stretch.max()) - zero, zero - np.int64(stretch.min())) < least:
                sample = looked
                continue
        value = np.int64(row[sample]) - zero
        if abs(value) < least:
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
def _gather_waveforms(row, zero, begin, offset, waveforms):
    """Fill in the counts minus zero of all events, one after the other; each begins at a place in the row."""
    for event in range(len(begin)):
        for index in range(offset[event], offset[event + 1]):
            waveforms[index] = np.int64(row[begin[event] + index - offset[event]]) - zero
