"""Spike detection on the counts of one recording: from samples to events, to the bit as the predecessor found them."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from mea.arrays.events import SpikeEvents, share_info
from mea.arrays.thresholds import (
    VALUES,
    add_to_histogram,
    find_histogram_threshold,
    find_least_count,
    find_threshold,
)
from mea.recordings.recording import RawRecording
from mea.runtime.compiled import compiled
from mea.runtime.parallel import count_threads

DIGEST_STRIDE = 997  # every 997th sample is part of a recording's digest
SCAN_BLOCK = 256  # samples that are scanned together: most blocks hold no spike


@dataclass(frozen=True)
class ElectrodeSpikes:
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
        Counts minus ``adc_zero``, in the narrowest of int16, int32 and int64.
    """

    counts_sha256: bytes
    threshold_uv: float
    peak_sample: np.ndarray
    first_sample: np.ndarray
    offset: np.ndarray
    waveform_counts: np.ndarray


@dataclass(frozen=True)
class KeptSamples:
    """The samples of one electrode that are kept: all, or the windows that can be part of an event.

    Attributes
    ----------
    counts
        (k,) int16 or int32: windows of the electrode's samples, one after the other.
    starts
        (m,) int64: the sample at which each window begins.
    width
        Samples in a window; the last one may be shorter.
    n_samples
        Of the electrode, in all.
    """

    counts: np.ndarray
    starts: np.ndarray
    width: int
    n_samples: int

    def find_samples(self, index: np.ndarray) -> np.ndarray:
        """The electrode's sample numbers of these elements of ``counts``."""
        return self.starts[index // self.width] + index % self.width


def detect_events(counts: np.ndarray, source: RawRecording, threshold: float) -> SpikeEvents:
    """Find the spikes of all electrodes; the same events, to the bit, as the predecessor's.

    A peak is a local maximum or minimum at least ``threshold`` robust standard deviations (median(abs(x)) / 0.6745)
    away from zero; a flat top counts once, at its middle. Peaks within 3 ms form one event, at the largest of them. The
    waveform is kept from 0.6 ms before the peak to 1.4 ms after it.

    Parameters
    ----------
    counts
        (n_electrodes, n_samples) int16 or int32, as the rig wrote them, in the electrodes' order.
    source
        Zero, gain, sampling rate and place of each electrode.
    threshold
        Height of a peak, in robust standard deviations; the predecessor's was 5.

    Returns
    -------
    SpikeEvents
        With empty recording, label, culture and batch.

    References
    ----------
    Quian Quiroga, Nadasdy, Ben-Shaul (2004), Neural Computation 16:1661, doi:10.1162/089976604774201631.
    """
    return join_spikes(source, counts.shape[1], find_spikes(counts, source, threshold))


def find_spikes(counts: np.ndarray, source: RawRecording, threshold: float) -> list[ElectrodeSpikes]:
    """The spikes of each electrode, on as many threads as there are cores; parameters as in :func:`detect_events`.

    Examples
    --------
    One electrode at 1 kHz whose counts are 1 µV: noise of ±2 µV, and a spike 30 µV deep at sample 500.

    >>> counts = np.tile(np.array([2, -2], np.int16), (1, 500))
    >>> counts[0, 500] = -30
    >>> one = np.zeros(1, np.int64)
    >>> source = RawRecording(
    ...     format="mcs", start="", sampling_rate_hz=1000, n_samples=1000, duration_s=1.0, rows=1, cols=1, row=one,
    ...     col=one, dataset="", layout="", stream="", names=np.array(["A1"]), x_um=one, y_um=one, source_row=one,
    ...     gain_v=np.array([1e-6]), adc_zero=one)
    >>> (spikes,) = find_spikes(counts, source, threshold=5.0)
    >>> round(spikes.threshold_uv, 2), spikes.peak_sample.tolist(), spikes.waveform_counts.tolist()
    (14.83, [500], [-2, -30, -2])
    """
    find = partial(_find_electrode_spikes, per_ms=count_samples_per_ms(source.sampling_rate_hz), threshold=threshold)
    with ThreadPoolExecutor(count_threads()) as pool:
        return list(pool.map(find, counts, source.adc_zero.tolist(), source.gain_v.tolist()))


def count_samples_per_ms(sampling_rate_hz: int) -> int:
    """Whole samples in a millisecond, in which the predecessor measured every time."""
    return int(0.001 * sampling_rate_hz)


def join_spikes(source: RawRecording, n_samples: int, spikes: Sequence[ElectrodeSpikes]) -> SpikeEvents:
    """The events of all electrodes of a raw recording, in the order of (first_sample, electrode)."""
    digest = hashlib.sha256(f"{len(spikes)} {n_samples}".encode())
    for found in spikes:
        digest.update(found.counts_sha256)
    return SpikeEvents(
        **share_info(source, source.sampling_rate_hz, n_samples),
        samples_sha256=digest.hexdigest(),
        threshold_uv=np.array([found.threshold_uv for found in spikes], np.float64),
        gain_v=np.asarray(source.gain_v, np.float64),
        **_sort_spikes(spikes),
    )


def _find_electrode_spikes(
    row: np.ndarray, adc_zero: int, gain_v: float, per_ms: int, threshold: float
) -> ElectrodeSpikes:
    row = _shrink(np.ascontiguousarray(row), (np.int16, np.int32))
    if row.dtype == np.int16 and len(row):
        digested = np.zeros(VALUES, np.uint32)
        add_to_histogram(row, digested, -VALUES // 2)
        threshold_uv = find_histogram_threshold(digested, adc_zero, gain_v, threshold)
    else:
        digested, threshold_uv = row, find_threshold(row, adc_zero, gain_v, threshold)
    whole = KeptSamples(row, np.zeros(1, np.int64), max(1, len(row)), len(row))
    digest = digest_counts(digested, row[::DIGEST_STRIDE])
    return cut_spikes(whole, adc_zero, gain_v, per_ms, threshold_uv, digest)


def digest_counts(counts: np.ndarray, every_nth: np.ndarray) -> bytes:
    """SHA-256 of an electrode's histogram, or of all its counts, and of every 997th sample.

    The histogram alone is the same for a recording played backwards.
    """
    digest = hashlib.sha256(counts.data)
    digest.update(every_nth.tobytes())
    return digest.digest()


def cut_spikes(
    kept: KeptSamples, adc_zero: int, gain_v: float, per_ms: int, threshold_uv: float, digest: bytes
) -> ElectrodeSpikes:
    """The spikes of one electrode whose threshold is known; ``per_ms`` are its samples per millisecond."""
    place = _find_best_peaks(kept.counts, adc_zero, find_least_count(threshold_uv, gain_v), 3 * per_ms)
    peak = kept.find_samples(place)
    first = np.maximum(0, peak - 0.6 * per_ms).astype(np.int64)  # in float64, cut off: the predecessor's rounding
    last = np.minimum(kept.n_samples, peak + 1.4 * per_ms).astype(np.int64)
    stop = np.minimum(kept.n_samples, last + 1)
    offset = np.concatenate([[0], np.cumsum(stop - first)])
    waveforms = np.empty(offset[-1], np.int64)
    _gather_waveforms(kept.counts, adc_zero, place - (peak - first), offset, waveforms)
    return ElectrodeSpikes(digest, threshold_uv, peak, first, offset, _shrink(waveforms, (np.int16, np.int32)))


def join_parts(parts: Sequence[ElectrodeSpikes]) -> ElectrodeSpikes:
    """The spikes of one electrode that were found in parts, one after the other in time."""
    length = np.concatenate([np.diff(part.offset) for part in parts])
    return replace(
        parts[0],
        peak_sample=np.concatenate([part.peak_sample for part in parts]),
        first_sample=np.concatenate([part.first_sample for part in parts]),
        offset=np.concatenate([[0], np.cumsum(length)]),
        waveform_counts=np.concatenate([part.waveform_counts for part in parts]),
    )


def _sort_spikes(spikes: Sequence[ElectrodeSpikes]) -> dict[str, Any]:
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


@compiled
def _find_best_peaks(row, adc_zero, least, window):
    """Sample of the best peak of each group; one pass, keeping only the group at hand."""
    best_peaks = np.empty(max(0, len(row) - 2) // (window + 1) + 1, np.int64)
    found = 0
    group_start, best, best_height = np.int64(-1), np.int64(-1), np.int64(-1)
    last = len(row) - 1
    sample, scanned = 1, 1
    while sample < last:
        if sample >= scanned:  # almost every block is quiet, and so is almost every sample of the others
            scanned = min(sample + SCAN_BLOCK, last)
            block = row[sample:scanned]
            if max(np.int64(block.max()) - adc_zero, adc_zero - np.int64(block.min())) < least:
                sample = scanned
                continue
        value = np.int64(row[sample]) - adc_zero
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
            group_start, best, best_height = peak, peak, height
            best_peaks[found] = best
        elif peak <= group_start + window and height > best_height:
            best, best_height = peak, height
            best_peaks[found] = best
    return best_peaks[: found + (best >= 0)].copy()


@compiled
def _gather_waveforms(row, adc_zero, begin, offset, waveforms):
    """Fill in the counts minus zero of all events, one after the other; each begins at a place in the row."""
    for event in range(len(begin)):
        for index in range(offset[event], offset[event + 1]):
            waveforms[index] = np.int64(row[begin[event] + index - offset[event]]) - adc_zero
