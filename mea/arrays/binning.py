"""The compiled loops behind ``SpikeEvents.dense`` and ``SpikeEvents.binned``: events to float32 (row, col, time)."""

from typing import NamedTuple

import numpy as np

from mea.runtime.compiled import compiled


class Waveforms(NamedTuple):
    """The waveforms of events, as :class:`mea.arrays.events.SpikeEvents` describes its arrays."""

    electrode: np.ndarray
    first_sample: np.ndarray
    offset: np.ndarray
    counts: np.ndarray
    row: np.ndarray
    col: np.ndarray
    gain_v: np.ndarray


class Bins(NamedTuple):
    """Bins of numerator / denominator samples each, the first of which begins at the sample ``start``."""

    start: int
    numerator: int
    denominator: int


@compiled
def place_waveforms(array, waveforms, low, high, start):
    """Write the waveforms of the events low to high into the array that begins at sample ``start``."""
    electrode, offset = waveforms.electrode, waveforms.offset
    for event in range(low, high):
        unit = electrode[event]
        trace = array[waveforms.row[unit], waveforms.col[unit]]
        shift = waveforms.first_sample[event] - start - offset[event]
        first = max(offset[event], -shift)
        last = min(offset[event + 1], len(trace) - shift)
        for index in range(first, last):
            trace[index + shift] = np.float32((waveforms.counts[index] * waveforms.gain_v[unit]) * 1e6)


@compiled
def bin_peaks(array, waveforms, low, high, bins):
    """Write the float32 sample of largest magnitude among the events low to high into each bin."""
    electrode, first_sample, offset = waveforms.electrode, waveforms.first_sample, waveforms.offset
    for event in range(low, high):
        unit = electrode[event]
        trace = array[waveforms.row[unit], waveforms.col[unit]]
        first = max(first_sample[event], bins.start)
        position = (first - bins.start) * bins.denominator
        place = position // bins.numerator
        phase = position - place * bins.numerator  # carried along: a division at every sample is slow
        for index in range(offset[event] + first - first_sample[event], offset[event + 1]):
            if place >= len(trace):
                break
            value = np.float32((waveforms.counts[index] * waveforms.gain_v[unit]) * 1e6)
            if abs(value) > abs(trace[place]):
                trace[place] = value
            phase += bins.denominator
            while phase >= bins.numerator:
                phase -= bins.numerator
                place += 1


@compiled
def bin_counts(array, row, col, peak_sample, bins):
    """Count the peaks in each bin; ``row`` and ``col`` are each peak's place on the grid."""
    for peak in range(len(peak_sample)):
        place = (peak_sample[peak] - bins.start) * bins.denominator // bins.numerator
        if 0 <= place < array.shape[2]:
            array[row[peak], col[peak], place] += np.float32(1)
