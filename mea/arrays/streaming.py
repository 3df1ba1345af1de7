"""The spikes of a recording too long for memory, read block by block, twice: for the thresholds, then for the peaks.

Each electrode's samples are divided into windows of 5 ms. The second reading keeps only those in which a sample reaches
the threshold, and their neighbours. The spikes are those of :func:`mea.arrays.spikes.find_spikes`, to the bit.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from mea.arrays.resampling import Read
from mea.arrays.spikes import (
    DIGEST_STRIDE,
    ElectrodeSpikes,
    KeptSamples,
    count_samples_per_ms,
    cut_spikes,
    digest_counts,
    join_parts,
)
from mea.arrays.thresholds import VALUES, add_to_histogram, find_histogram_threshold, find_least_count
from mea.recordings.recording import RawRecording
from mea.runtime.compiled import compiled
from mea.runtime.parallel import count_threads

BLOCK_BYTES = 200_000_000
MOST_PENDING = 400_000_000  # bytes of windows that are suprathreshold without a pause
WINDOW_MS = 5  # groups of peaks reach over 3 ms, waveforms over 2
NEVER = 1 << 62  # counts from zero


class Electrode:
    """One electrode in the second reading: its spikes so far, and the windows since its last pause."""

    def __init__(
        self, source: RawRecording, number: int, threshold: float, histogram: np.ndarray, digest_samples: np.ndarray
    ):
        self.adc_zero, self.gain_v = int(source.adc_zero[number]), float(source.gain_v[number])
        self.per_ms, self.width = count_samples_per_ms(source.sampling_rate_hz), count_window_samples(source)
        self.n_samples = source.n_samples
        self.threshold_uv = find_histogram_threshold(histogram, self.adc_zero, self.gain_v, threshold)
        constant = np.count_nonzero(histogram) == 1  # a dead electrode: its threshold is as low as its samples
        self.least = NEVER if constant else find_least_count(self.threshold_uv, self.gain_v)
        self.digest = digest_counts(histogram, digest_samples)
        self.windows, self.counts = np.zeros(0, np.int64), np.zeros((0, self.width), np.int16)
        self.found: list[ElectrodeSpikes] = []

    def add(self, windows: np.ndarray, counts: np.ndarray) -> None:
        """Take the next suprathreshold windows, by number, and find the spikes of those before the last pause."""
        self.windows, self.counts = np.concatenate([self.windows, windows]), np.concatenate([self.counts, counts])
        pauses = np.flatnonzero(np.diff(self.windows) > 1)
        if len(pauses):
            self._cut(pauses[-1] + 1)

    def end(self) -> ElectrodeSpikes:
        """All that was found, when there is no further window."""
        self._cut(len(self.windows))
        return join_parts(self.found)

    def _cut(self, count: int) -> None:
        beyond = max(0, (self.windows[count - 1] + 1) * self.width - self.n_samples)  # the recording's end
        counts = self.counts[:count].reshape(-1)[: count * self.width - beyond]
        kept = KeptSamples(counts, self.windows[:count] * self.width, self.width, self.n_samples)
        self.found.append(cut_spikes(kept, self.adc_zero, self.gain_v, self.per_ms, self.threshold_uv, self.digest))
        self.windows, self.counts = self.windows[count:], self.counts[count:].copy()


def stream_spikes(read: Read, source: RawRecording, threshold: float) -> list[ElectrodeSpikes] | None:
    """The spikes of each electrode of a source.

    Parameters
    ----------
    read
        Gives the samples (n_electrodes, last - first) from ``first`` to ``last``, last excluded.
    source
        What is read; it has samples.
    threshold
        Height of a peak, in robust standard deviations.

    Returns
    -------
    list of ElectrodeSpikes or None
        Those of :func:`mea.arrays.spikes.find_spikes`; None where a sample needs more than 16 bits, or electrodes are
        suprathreshold for so long without a pause that memory would not hold it.
    """
    with ThreadPoolExecutor(count_threads()) as pool:
        electrodes = _find_thresholds(read, source, threshold, pool)
        if not electrodes or not _find_spikes(read, source, electrodes, pool):
            return None
        return list(pool.map(Electrode.end, electrodes))


def count_window_samples(source: RawRecording) -> int:
    """Samples in a window of 5 ms."""
    return WINDOW_MS * max(1, count_samples_per_ms(source.sampling_rate_hz))


def _read_blocks(read: Read, source: RawRecording) -> Iterator[tuple[int, np.ndarray]]:
    """The first sample of each block, a multiple of a window, and its samples."""
    width = count_window_samples(source)
    step = width * max(1, BLOCK_BYTES // (2 * width * source.n_electrodes))
    for first in range(0, source.n_samples, step):
        yield first, read(first, min(first + step, source.n_samples))


def _find_thresholds(
    read: Read, source: RawRecording, threshold: float, pool: ThreadPoolExecutor
) -> list[Electrode] | None:
    """The first reading; None as soon as 16 bits are not enough."""
    numbers = range(source.n_electrodes)
    histograms, digest_samples = np.zeros((len(numbers), VALUES), np.uint32), []
    for first, block in _read_blocks(read, source):
        if block.dtype != np.int16:
            return None
        digest_samples.append(block[:, -first % DIGEST_STRIDE :: DIGEST_STRIDE].copy())
        list(pool.map(partial(add_to_histogram, lowest=-VALUES // 2), block, histograms))
    return [
        Electrode(source, number, threshold, *own)
        for number, *own in zip(numbers, histograms, np.hstack(digest_samples))
    ]


def _find_spikes(read: Read, source: RawRecording, electrodes: list[Electrode], pool: ThreadPoolExecutor) -> bool:
    """The second reading; False as soon as too much is suprathreshold without a pause."""
    width = count_window_samples(source)
    for first, block in _read_blocks(read, source):
        list(pool.map(partial(_add_row, first // width), electrodes, block))
        if sum(electrode.counts.nbytes for electrode in electrodes) > MOST_PENDING:
            return False
    return True


def _add_row(number: int, electrode: Electrode, row: np.ndarray) -> None:
    """Give an electrode the suprathreshold windows of a block, their neighbours, and the block's first and last window.

    The other neighbour of the first and the last is in another block. ``number`` is the first's in the recording.
    """
    width = electrode.width
    suprathreshold = np.zeros(-(-len(row) // width), np.bool_)
    _find_suprathreshold(row, electrode.adc_zero, electrode.least, width, suprathreshold)
    keep = suprathreshold.copy()
    keep[1:] |= suprathreshold[:-1]
    keep[:-1] |= suprathreshold[1:]
    keep[[0, -1]] = True
    windows = np.flatnonzero(keep)
    whole = np.pad(row, (0, len(keep) * width - len(row))).reshape(-1, width)
    electrode.add(number + windows, whole[windows])


@compiled
def _find_suprathreshold(row, adc_zero, least, width, suprathreshold):
    """Mark the windows with a sample at least so many counts from zero."""
    for window in range(len(suprathreshold)):
        part = row[window * width : (window + 1) * width]
        low, high = part[0], part[0]
        for value in part:
            low, high = min(low, value), max(high, value)
        suprathreshold[window] = max(np.int64(high) - adc_zero, adc_zero - np.int64(low)) >= least
