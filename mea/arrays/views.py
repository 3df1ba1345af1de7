"""The loops behind the views of :class:`mea.arrays.events.Events`: from events to a float32 array (row, col, time)."""

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def place_waveforms(array, low, high, start, electrode, first_sample, offset, counts, row, col, volts):
    """Write the waveforms of the events low to high into the array that begins at sample ``start``."""
    for event in range(low, high):
        unit = electrode[event]
        trace = array[row[unit], col[unit]]
        shift = first_sample[event] - start - offset[event]
        first = max(offset[event], -shift)
        last = min(offset[event + 1], len(trace) - shift)
        for index in range(first, last):
            trace[index + shift] = np.float32((counts[index] * volts[unit]) * 1e6)


@numba.njit(cache=True, nogil=True)
def bin_peaks(
    array, low, high, start, numerator, denominator, electrode, first_sample, offset, counts, row, col, volts
):
    """Largest float32 sample of each bin; a bin is numerator / denominator samples long."""
    for event in range(low, high):
        unit = electrode[event]
        trace = array[row[unit], col[unit]]
        first = max(first_sample[event], start)
        position = (first - start) * denominator
        place = position // numerator
        phase = position - place * numerator  # carried along: a division for every sample would cost more than the rest
        for index in range(offset[event] + first - first_sample[event], offset[event + 1]):
            if place >= len(trace):
                break
            value = np.float32((counts[index] * volts[unit]) * 1e6)
            if abs(value) > abs(trace[place]):
                trace[place] = value
            phase += denominator
            while phase >= numerator:
                phase -= numerator
                place += 1


@numba.njit(cache=True, nogil=True)
def bin_counts(array, start, numerator, denominator, electrode, peak_sample, row, col):
    """Number of peaks in each bin; a bin is numerator / denominator samples long."""
    for event in range(len(electrode)):
        place = (peak_sample[event] - start) * denominator // numerator
        if 0 <= place < array.shape[2]:
            array[row[electrode[event]], col[electrode[event]], place] += np.float32(1)
