"""The spikes of one window of a recording, in the orders that the features need."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from mea.arrays.events import SpikeEvents
from mea.runtime.compiled import compiled

BASE_MS = 5  # every bin is a whole number of these


@dataclass(frozen=True)
class Trains:
    """Spikes of a window: ``n`` electrodes, silent ones included, ``m`` spikes.

    Attributes
    ----------
    sampling_rate_hz
        Samples per second.
    n_samples
        Length of the window.
    row, col
        (n,) int64 place of each electrode on the grid.
    sample
        (m,) int64 samples since the start of the window, in order of time.
    electrode
        (m,) int64 electrode of each, in the same order.
    event
        (m,) int64 index of each among the recording's events, in the same order.
    """

    sampling_rate_hz: int
    n_samples: int
    row: np.ndarray
    col: np.ndarray
    sample: np.ndarray
    electrode: np.ndarray
    event: np.ndarray

    @property
    def n_electrodes(self) -> int:
        return len(self.row)

    @property
    def duration_s(self) -> float:
        return self.n_samples / self.sampling_rate_hz

    @cached_property
    def counts(self) -> np.ndarray:
        """(n,) int64 spikes of each electrode."""
        return np.bincount(self.electrode, minlength=self.n_electrodes)

    @cached_property
    def first(self) -> np.ndarray:
        """(n + 1,) int64: the train of electrode i is ``train[first[i]:first[i + 1]]``."""
        return np.concatenate([[0], np.cumsum(self.counts)])

    @cached_property
    def train(self) -> np.ndarray:
        """(m,) int64 samples, one electrode after the other, each in order of time."""
        return _split_trains(self.sample, self.electrode, self.first)

    @cached_property
    def train_bin(self) -> np.ndarray:
        """(m,) int64 base bin of each spike, in the order of ``train``."""
        return self.train * 1000 // (BASE_MS * self.sampling_rate_hz)

    def count_bins(self, bin_ms: int) -> int:
        """Whole bins of the window; the remainder is dropped."""
        return self.n_samples * 1000 // (bin_ms * self.sampling_rate_hz)

    @cached_property
    def _kept(self) -> dict[int, np.ndarray]:
        return {}

    @cached_property
    def _base_counts(self) -> np.ndarray:
        n_bins = self.count_bins(BASE_MS)
        return np.bincount(self.train_bin, minlength=n_bins)[:n_bins]

    def count_population(self, bin_ms: int) -> np.ndarray:
        """(bins,) int64 spikes of all electrodes in each bin."""
        n_bins, many = self.count_bins(bin_ms), bin_ms // BASE_MS
        return self._base_counts[: n_bins * many].reshape(n_bins, many).sum(axis=1)

    def count_active(self, bin_ms: int) -> np.ndarray:
        """(bins,) int64 electrodes with a spike in each bin."""
        return _count_active(self.train_bin, self.first, bin_ms // BASE_MS, self.count_bins(bin_ms))

    def count_electrodes(self, bin_ms: int) -> np.ndarray:
        """(n, bins) float64 spikes of each electrode in each bin; kept, because several families use it."""
        if bin_ms not in self._kept:
            many, n_bins = bin_ms // BASE_MS, self.count_bins(bin_ms)
            self._kept[bin_ms] = _count_electrodes(self.train_bin, self.first, many, n_bins)
        return self._kept[bin_ms]


def cut_trains(events: SpikeEvents, start_s: float, stop_s: float) -> Trains:
    """The spikes of a recording whose peak lies in [start_s, stop_s), each rounded to a sample.

    Raises
    ------
    MeaError
        If the window is empty or leaves the recording.
    """
    found = events.find_events(start_s, stop_s)
    # Events are in the order of their first sample; the peaks of two electrodes may follow the other way round.
    found = found[np.argsort(events.peak_sample[found], kind="stable")]
    first, last = round(start_s * events.sampling_rate_hz), round(stop_s * events.sampling_rate_hz)
    sample, electrode = events.peak_sample[found] - first, events.electrode[found]
    return Trains(events.sampling_rate_hz, last - first, events.row, events.col, sample, electrode, found)


def list_intervals(train: np.ndarray, first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Inter-spike intervals: (k,) int64 samples in the order of :attr:`Trains.train`, and (k,) electrode of each."""
    one, other, electrode = pair_successive(train, np.repeat(np.arange(len(first) - 1), np.diff(first)))
    return other - one, electrode


def pair_successive(values: np.ndarray, electrode: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each value and the next one of the same electrode, and the electrode of each pair.

    ``values`` are (m,), one electrode after the other, and ``electrode`` is that of each.
    """
    same = electrode[1:] == electrode[:-1]
    return values[:-1][same], values[1:][same], electrode[1:][same]


def build_trains(
    times_s: Sequence[ArrayLike], duration_s: float, n_cols: int = 8, sampling_rate_hz: int = 10_000
) -> Trains:
    """Spike trains given as times, one of each electrode; the grid is filled row by row.

    Parameters
    ----------
    times_s
        Of each electrode's spikes, s; empty for a silent electrode.
    duration_s
        Length of the window, s.
    n_cols
        Columns of the grid.
    sampling_rate_hz
        Each time is rounded to a sample.

    >>> trains = build_trains([[0.2, 0.1], [0.15], []], duration_s=1)
    >>> trains.counts.tolist(), trains.sample.tolist(), trains.electrode.tolist()
    ([2, 1, 0], [1000, 1500, 2000], [0, 1, 0])
    """
    samples = [np.round(np.asarray(times) * sampling_rate_hz).astype(np.int64) for times in times_s]
    sample = np.concatenate(samples)
    electrode = np.repeat(np.arange(len(samples)), [len(train) for train in samples])
    order = np.lexsort((electrode, sample))
    row, col = np.divmod(np.arange(len(samples)), n_cols)
    n_samples = round(duration_s * sampling_rate_hz)
    return Trains(sampling_rate_hz, n_samples, row, col, sample[order], electrode[order], np.arange(len(order)))


@compiled
def _split_trains(sample, electrode, first):
    place = first[:-1].copy()
    train = np.empty_like(sample)
    for spike in range(len(sample)):
        train[place[electrode[spike]]] = sample[spike]
        place[electrode[spike]] += 1
    return train


@compiled
def _count_active(train_bin, first, many, n_bins):
    active = np.zeros(n_bins, np.int64)
    for electrode in range(len(first) - 1):
        before = -1
        for spike in range(first[electrode], first[electrode + 1]):
            place = train_bin[spike] // many
            if place != before and place < n_bins:
                active[place] += 1
                before = place
    return active


@compiled
def _count_electrodes(train_bin, first, many, n_bins):
    counts = np.zeros((len(first) - 1, n_bins), np.float64)
    for electrode in range(len(first) - 1):
        for spike in range(first[electrode], first[electrode + 1]):
            place = train_bin[spike] // many
            if place < n_bins:
                counts[electrode, place] += 1.0
    return counts
