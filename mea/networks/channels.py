"""Channels over time bins: what the networks of spike trains see of a window of a recording.

Every channel is a fraction or a rate over all electrodes of the layout, silent ones included. The networks therefore
see neither the order of the electrodes, nor their number, nor the absolute clock. An inter-spike interval (ISI) belongs
to the bin of its second spike; spikes before the window are not used.
"""

from dataclasses import dataclass

import numpy as np

from mea.arrays.events import SpikeEvents
from mea.features.trains import Trains, cut_trains
from mea.runtime.compiled import compiled
from mea.runtime.errors import MeaError

EDGES_MS = (3, 10, 30, 100, 300, 1000, 3000)  # between the classes of ISIs
FINE_MS = 10  # electrodes with spikes in the same 10 ms are active together
SILENCE_S = 10.0  # longer silence counts as 10 s

POPULATION = [
    "log_firing_rate",
    "active_fraction",
    "log_count_std",
    "filled_fraction",
    "synchrony",
    "active_neighbours",
    *(f"isi_{k}" for k in range(len(EDGES_MS) + 1)),
    *(f"isi_electrodes_{k}" for k in range(len(EDGES_MS) + 1)),
]
ELECTRODE = ["log_count", "coactivity", "silence", *(f"isi_{k}" for k in range(len(EDGES_MS) + 1))]


@dataclass(frozen=True)
class PopulationView:
    """The population as a whole: :func:`compute_population_channels`.

    Attributes
    ----------
    bin_ms
        Length of a bin.
    min_bins
        Bins that a chunk must have at least.
    """

    bin_ms: float
    min_bins: int = 1

    def check(self, events: SpikeEvents) -> None:
        """Check that the bin is a multiple of 10 ms.

        Raises
        ------
        MeaError
            If it is not.
        """
        if self.bin_ms % FINE_MS:
            raise MeaError(
                f"bin_ms = {self.bin_ms:g} ms: this network counts in steps of {FINE_MS} ms within each bin "
                f"({events.recording} and all others). Choose a multiple of {FINE_MS}."
            )

    def show(self, events: SpikeEvents, start_s: float, stop_s: float) -> np.ndarray:
        """(22, bins) float32.

        Raises
        ------
        MeaError
            If the chunk has too few bins.
        """
        return compute_population_channels(self._take(events, start_s, stop_s), int(self.bin_ms))

    def _take(self, events: SpikeEvents, start_s: float, stop_s: float) -> Trains:
        trains = cut_trains(events, start_s, stop_s)
        if trains.count_bins(int(self.bin_ms)) < self.min_bins:
            raise MeaError(
                f"split.chunk_s = {stop_s - start_s:g} s: this network needs chunks of {self.min_bins} bins of "
                f"bin_ms = {self.bin_ms:g} ms at least. Lengthen the chunks or shorten the bins."
            )
        return trains


class GridView(PopulationView):
    """Each electrode in its place on the grid: :func:`compute_electrode_channels`, and where there are electrodes."""

    def show(self, events: SpikeEvents, start_s: float, stop_s: float) -> np.ndarray:
        """(12, rows, cols, bins) float32; the last channel is 1 where there is an electrode."""
        trains = self._take(events, start_s, stop_s)
        values = compute_electrode_channels(trains, int(self.bin_ms))
        return place_electrodes(values, trains.row, trains.col, events.rows, events.cols)


def place_electrodes(values: np.ndarray, row: np.ndarray, col: np.ndarray, rows: int, cols: int) -> np.ndarray:
    """(c, n, bins) values of electrodes → (c + 1, rows, cols, bins); the last channel is 1 where an electrode is."""
    grid = np.zeros((len(values) + 1, rows, cols, values.shape[2]), np.float32)
    grid[:-1, row, col] = values
    grid[-1, row, col] = 1
    return grid


def compute_population_channels(trains: Trains, bin_ms: int) -> np.ndarray:
    """(22, bins) float32, the population as a whole; a remainder shorter than a bin is dropped.

    In this order, each in every bin:

    - ``log_firing_rate``: log(1 + spikes per second and electrode);
    - ``active_fraction``: fraction of the electrodes with a spike;
    - ``log_count_std``: standard deviation over the electrodes of log(1 + spikes);
    - ``filled_fraction``: fraction of the bin's 10 ms steps with a spike;
    - ``synchrony``: largest fraction of the electrodes active in one of these steps;
    - ``active_neighbours``: fraction of the pairs of touching electrodes of which both are active;
    - ``isi_<k>``: log(1 + ISIs per second and electrode) of each class of length, up to 3, 10, 30, 100, 300, 1000,
      3000 ms and longer;
    - ``isi_electrodes_<k>``: fraction of the electrodes with an ISI of each class.
    """
    n, n_bins = trains.n_electrodes, trains.count_bins(bin_ms)
    fine = bin_ms // FINE_MS
    edges = np.array(EDGES_MS) * trains.sampling_rate_hz // 1000
    pairs = find_touching_pairs(trains.row, trains.col)
    bin_samples = bin_ms * trains.sampling_rate_hz / 1000
    counts = _count_population(trains.sample, trains.electrode, n, n_bins, fine, bin_samples, edges, pairs)
    spikes, active, log_std, filled, synchrony, neighbours, isi, electrodes = counts
    per_s = 1 / max(n * bin_ms / 1000, 1e-12)
    per_electrode = 1 / max(n, 1)
    single = [np.log1p(spikes * per_s), active * per_electrode, log_std, filled / fine, synchrony * per_electrode]
    single.append(neighbours / max(len(pairs), 1))
    return np.concatenate([np.stack(single), np.log1p(isi * per_s), electrodes * per_electrode]).astype(np.float32)


def compute_electrode_channels(trains: Trains, bin_ms: int) -> np.ndarray:
    """(11, n, bins) float32, each electrode by itself; a remainder shorter than a bin is dropped.

    In this order, each in every bin:

    - ``log_count``: log(1 + spikes);
    - ``coactivity``: fraction of all other electrodes active in the same 10 ms as a spike, mean over its spikes;
    - ``silence``: log(1 + seconds since its last spike) at the bin's end, scaled to 1 for 10 s and more;
    - ``isi_<k>``: log(1 + ISIs) of each class of length, as for the population.
    """
    n_bins = trains.count_bins(bin_ms)
    edges = np.array(EDGES_MS) * trains.sampling_rate_hz // 1000
    bin_samples = bin_ms * trains.sampling_rate_hz / 1000
    longest = SILENCE_S * trains.sampling_rate_hz
    values = _count_electrodes(
        trains.sample, trains.electrode, trains.n_electrodes, n_bins, bin_ms // FINE_MS, bin_samples, edges, longest
    )
    values[1] /= np.maximum(values[0], 1) * max(trains.n_electrodes - 1, 1)
    values[2] = np.log1p(values[2] / trains.sampling_rate_hz) / np.log1p(SILENCE_S)
    for k in (0, *range(3, len(values))):
        np.log1p(values[k], out=values[k])
    return values


def find_touching_pairs(row: np.ndarray, col: np.ndarray) -> np.ndarray:
    """(pairs, 2) electrodes at most one row and one column apart: the 8 neighbours of a place, diagonal ones included.

    Moran's I of the firing rates uses the 4 neighbours along rows and columns only:
    :func:`mea.features.firing_rates.compute_morans_i`.

    >>> find_touching_pairs(np.array([0, 1, 5]), np.array([0, 1, 5])).tolist()  # the first two touch at a corner
    [[0, 1]]
    """
    first, second = np.triu_indices(len(row), 1)
    near = np.maximum(abs(row[first] - row[second]), abs(col[first] - col[second])) <= 1
    return np.stack([first[near], second[near]], axis=1)


@compiled
def _find_class(interval, edges):
    for k in range(len(edges)):
        if interval <= edges[k]:
            return k
    return len(edges)


@compiled
def _count_population(sample, electrode, n, n_bins, fine, bin_samples, edges, pairs):
    spikes, active, neighbours = np.zeros(n_bins), np.zeros(n_bins), np.zeros(n_bins)
    log_std, filled, synchrony = np.zeros(n_bins), np.zeros(n_bins), np.zeros(n_bins)
    classes = len(edges) + 1
    isi, electrodes = np.zeros((classes, n_bins)), np.zeros((classes, n_bins))
    last, seen = np.full(n, -1, np.int64), np.full((classes, n), -1, np.int64)
    last_fine, count = np.full(n, -1, np.int64), np.zeros(n, np.int64)
    spike = 0
    for place in range(n_bins):
        first, active_now, step = spike, 0, -1
        while spike < len(sample) and int(sample[spike] / bin_samples) <= place:
            unit, now = electrode[spike], sample[spike]
            active[place] += count[unit] == 0
            count[unit] += 1
            own = int(now * fine / bin_samples)
            if own != step:
                step, active_now = own, 0
                filled[place] += 1
            if last_fine[unit] != own:
                last_fine[unit] = own
                active_now += 1
                synchrony[place] = max(synchrony[place], active_now)
            if last[unit] >= 0:
                k = _find_class(now - last[unit], edges)
                isi[k, place] += 1
                if seen[k, unit] != place:
                    seen[k, unit] = place
                    electrodes[k, place] += 1
            last[unit] = now
            spike += 1
        spikes[place] = spike - first
        if active[place] > 1:
            for pair in range(len(pairs)):
                neighbours[place] += count[pairs[pair, 0]] > 0 and count[pairs[pair, 1]] > 0
        log_std[place] = _clear_counts(count, electrode[first:spike])
    return spikes, active, log_std, filled, synchrony, neighbours, isi, electrodes


@compiled
def _clear_counts(count, touched):
    """Standard deviation of log(1 + count) over all electrodes; sets the counts of those touched back to 0."""
    total, squares = 0.0, 0.0
    for unit in touched:
        if count[unit]:
            value = np.log1p(count[unit])
            total += value
            squares += value * value
            count[unit] = 0
    n = max(len(count), 1)
    return np.sqrt(max(squares / n - (total / n) ** 2, 0.0))


@compiled
def _count_electrodes(sample, electrode, n, n_bins, fine, bin_samples, edges, longest):
    values = np.zeros((4 + len(edges), n, n_bins), np.float32)
    n_active = np.zeros(n_bins * fine, np.int64)
    last = np.full(n, -1, np.int64)
    for spike in range(len(sample)):
        own = int(sample[spike] * fine / bin_samples)
        unit = electrode[spike]
        if own < len(n_active) and (last[unit] < 0 or int(last[unit] * fine / bin_samples) != own):
            n_active[own] += 1
        last[unit] = sample[spike]
    last[:] = -1
    for spike in range(len(sample)):
        unit, now = electrode[spike], sample[spike]
        place = int(now / bin_samples)
        if place >= n_bins:
            break
        values[0, unit, place] += 1
        values[1, unit, place] += n_active[int(now * fine / bin_samples)] - 1
        values[2, unit, place] = now + 1  # the last spike of the bin; what follows makes it a silence
        if last[unit] >= 0:
            values[3 + _find_class(now - last[unit], edges), unit, place] += 1
        last[unit] = now
    for unit in range(n):
        before = 0.0
        for place in range(n_bins):
            if values[2, unit, place] > 0:
                before = values[2, unit, place] - 1
            values[2, unit, place] = min((place + 1) * bin_samples - before, longest)
    return values
