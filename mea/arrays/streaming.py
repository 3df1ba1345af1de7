"""The spikes of a recording too long for memory, read twice, span after span: for the thresholds, then for the peaks.

In the second reading only those stretches are looked at in which, or next to which, a sample reaches the threshold. The
spikes are those of :func:`mea.arrays.spikes.find_spikes`, to the bit.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numba
import numpy as np

from mea.arrays.spikes import (
    TOLD_APART,
    VALUES,
    Kept,
    Spikes,
    add_to_tally,
    cut_spikes,
    digest_counts,
    find_least_count,
    find_pulse,
    find_tallied_threshold,
    join_pieces,
)
from mea.recordings.recording import Source

SPAN_BYTES = 200_000_000
MOST_PENDING = 400_000_000  # bytes of electrodes that are loud without a pause
PULSES = 5  # in a stretch: groups of peaks reach over 3, waveforms over 2
NEVER = 1 << 62  # counts from zero

Read = Callable[[int, int], np.ndarray]


class Electrode:
    """One electrode in the second reading: what has been found, and the loud stretches that have not ended yet."""

    def __init__(self, source: Source, number: int, threshold: float, tally: np.ndarray, told: np.ndarray):
        self.zero, self.volts = int(source.zero[number]), float(source.volts_per_count[number])
        self.pulse, self.width, self.n_samples = (
            find_pulse(source.sampling_rate_hz),
            find_width(source),
            source.n_samples,
        )
        self.threshold_uv = find_tallied_threshold(tally, self.zero, self.volts, threshold)
        constant = np.count_nonzero(tally) == 1  # a dead electrode: its threshold is as low as its samples
        self.least = NEVER if constant else find_least_count(self.threshold_uv, self.volts)
        self.digest = digest_counts(tally, told)
        self.stretch, self.counts = np.zeros(0, np.int64), np.zeros((0, self.width), np.int16)
        self.found: list[Spikes] = []

    def add(self, stretch: np.ndarray, counts: np.ndarray) -> None:
        """Take the next loud stretches, by number, and find the spikes of those before the last pause."""
        self.stretch, self.counts = np.concatenate([self.stretch, stretch]), np.concatenate([self.counts, counts])
        pauses = np.flatnonzero(np.diff(self.stretch) > 1)
        if len(pauses):
            self._cut(pauses[-1] + 1)

    def end(self) -> Spikes:
        """All that was found, when there is no further stretch."""
        self._cut(len(self.stretch))
        return join_pieces(self.found)

    def _cut(self, stretches: int) -> None:
        beyond = max(0, (self.stretch[stretches - 1] + 1) * self.width - self.n_samples)  # the recording's end
        counts = self.counts[:stretches].reshape(-1)[: stretches * self.width - beyond]
        kept = Kept(counts, self.stretch[:stretches] * self.width, self.width, self.n_samples)
        self.found.append(cut_spikes(kept, self.zero, self.volts, self.pulse, self.threshold_uv, self.digest))
        self.stretch, self.counts = self.stretch[stretches:], self.counts[stretches:].copy()


def stream_spikes(read: Read, source: Source, threshold: float) -> list[Spikes] | None:
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
    list of Spikes or None
        Those of :func:`mea.arrays.spikes.find_spikes`; None where a sample needs more than 16 bits, or electrodes are
        loud for so long without a pause that memory would not hold it.
    """
    with ThreadPoolExecutor(numba.get_num_threads()) as pool:
        electrodes = _find_thresholds(read, source, threshold, pool)
        if not electrodes or not _find_spikes(read, source, electrodes, pool):
            return None
        return list(pool.map(Electrode.end, electrodes))


def find_width(source: Source) -> int:
    """Samples in a stretch."""
    return PULSES * max(1, find_pulse(source.sampling_rate_hz))


def _read_spans(read: Read, source: Source) -> Iterator[tuple[int, np.ndarray]]:
    """The first sample of each span, a multiple of a stretch, and its samples."""
    width = find_width(source)
    step = width * max(1, SPAN_BYTES // (2 * width * source.n_electrodes))
    for first in range(0, source.n_samples, step):
        yield first, read(first, min(first + step, source.n_samples))


def _find_thresholds(read: Read, source: Source, threshold: float, pool: ThreadPoolExecutor) -> list[Electrode] | None:
    """The first reading; None as soon as 16 bits are not enough."""
    numbers = range(source.n_electrodes)
    tallies, told = np.zeros((len(numbers), VALUES), np.uint32), []
    for first, block in _read_spans(read, source):
        if block.dtype != np.int16:
            return None
        told.append(block[:, -first % TOLD_APART :: TOLD_APART].copy())
        list(pool.map(add_to_tally, block, tallies))
    return [Electrode(source, number, threshold, *own) for number, *own in zip(numbers, tallies, np.hstack(told))]


def _find_spikes(read: Read, source: Source, electrodes: list[Electrode], pool: ThreadPoolExecutor) -> bool:
    """The second reading; False as soon as too much is loud without a pause."""
    width = find_width(source)
    for first, block in _read_spans(read, source):
        list(pool.map(partial(_add_row, first // width), electrodes, block))
        if sum(electrode.counts.nbytes for electrode in electrodes) > MOST_PENDING:
            return False
    return True


def _add_row(number: int, electrode: Electrode, row: np.ndarray) -> None:
    """Hand an electrode its loud stretches of a span, those next to them, and the span's first and last.

    What is next to the first and the last is in another span. ``number`` is the first's in the recording.
    """
    width = electrode.width
    loud = np.zeros(-(-len(row) // width), np.bool_)
    _find_loud(row, electrode.zero, electrode.least, width, loud)
    keep = loud.copy()
    keep[1:] |= loud[:-1]
    keep[:-1] |= loud[1:]
    keep[[0, -1]] = True
    stretch = np.flatnonzero(keep)
    whole = np.pad(row, (0, len(loud) * width - len(row))).reshape(-1, width)
    electrode.add(number + stretch, whole[stretch])


@numba.njit(cache=True, nogil=True)
def _find_loud(row, zero, least, width, loud):
    """Mark the stretches with a sample at least so many counts from zero."""
    for stretch in range(len(loud)):
        part = row[stretch * width : (stretch + 1) * width]
        low, high = part[0], part[0]
        for value in part:
            low, high = min(low, value), max(high, value)
        loud[stretch] = max(np.int64(high) - zero, zero - np.int64(low)) >= least
