"""Variations of a stretch of spikes that change the recording and not the class: what a network is to overlook."""

from dataclasses import replace

import numpy as np

from mea.features.trains import Trains, slice_trains

MOST_DROPPED = 0.3  # share of the electrodes that fall silent, at most
MOST_THINNED = 0.2  # share of the spikes that are missed, at most
MOST_STRETCHED = 0.1  # of the logarithm of time, either way
CROP = 0.8  # share of the stretch that is looked at
FEWEST = 4  # electrodes that are left


def vary_trains(trains: Trains, generator: np.random.Generator) -> Trains:
    """A part of the stretch with fewer electrodes, fewer spikes and another clock.

    Electrodes drop out of the layout, as if they had not been there; spikes are missed at random, whoever fired them;
    time runs up to a tenth faster or slower; and four fifths of the whole are kept, from anywhere in it.
    """
    trains = _drop_electrodes(trains, generator)
    kept = generator.random(len(trains.sample)) >= generator.uniform(0, MOST_THINNED)
    trains = _keep_spikes(trains, kept)
    length = int(trains.n_samples * CROP)
    factor = np.exp(generator.uniform(-MOST_STRETCHED, MOST_STRETCHED))
    n_samples = max(int(trains.n_samples * factor), length)
    trains = replace(trains, sample=(trains.sample * factor).astype(np.int64), n_samples=n_samples)
    first = int(generator.integers(0, n_samples - length + 1))
    return slice_trains(trains, first, first + length)


def turn_grid(row: np.ndarray, col: np.ndarray, rows: int, cols: int, generator: np.random.Generator):
    """The places of the electrodes on the grid mirrored and, on a square one, turned at random: (rows, cols)."""
    mirror_rows, mirror_cols, turn = generator.random(3) < 0.5
    row = rows - 1 - row if mirror_rows else row
    col = cols - 1 - col if mirror_cols else col
    return (col, row) if turn and rows == cols else (row, col)


def _drop_electrodes(trains: Trains, generator: np.random.Generator) -> Trains:
    kept = generator.random(trains.n_electrodes) >= generator.uniform(0, MOST_DROPPED)
    if kept.sum() < FEWEST:
        return trains
    number = np.cumsum(kept) - 1
    trains = _keep_spikes(trains, kept[trains.electrode])
    return replace(trains, row=trains.row[kept], col=trains.col[kept], electrode=number[trains.electrode])


def _keep_spikes(trains: Trains, kept: np.ndarray) -> Trains:
    event = trains.event[kept]
    return replace(trains, sample=trains.sample[kept], electrode=trains.electrode[kept], event=event)
