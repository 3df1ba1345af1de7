"""The compiled loops behind ``read_inflated``: samples put together from the planes of bytes that HDF5 shuffles."""

import numpy as np

from mea.runtime.compiled import compiled


@compiled
def place_int16(chunk, place, counts, begin):
    """Put the samples of a chunk at their places, rows without one left out; whether all fit into 16 bits.

    The chunk begins at column ``begin`` of the counts, or before them where that is negative.
    """
    skip, width = max(0, -begin), min(chunk.shape[2], counts.shape[1] - begin)
    lost = np.uint8(0)
    for row in range(min(chunk.shape[1], len(place))):
        if place[row] < 0:
            continue
        low, high = chunk[0, row, skip:width], chunk[1, row, skip:width]
        third, fourth = chunk[2, row, skip:width], chunk[3, row, skip:width]
        target = counts[place[row], begin + skip : begin + width]
        for index in range(width - skip):
            sign = np.uint8(255) * np.uint8(high[index] >> 7)  # what both upper bytes are when 16 bits are enough
            lost |= np.uint8(np.uint8(third[index] ^ sign) | np.uint8(fourth[index] ^ sign))
            target[index] = np.int16(low[index] | (high[index] << 8))
    return lost == 0


@compiled
def place_int32(chunk, place, counts, begin):
    """As :func:`place_int16`, where everything fits."""
    skip, width = max(0, -begin), min(chunk.shape[2], counts.shape[1] - begin)
    for row in range(min(chunk.shape[1], len(place))):
        if place[row] >= 0:
            low, high = chunk[0, row, skip:width], chunk[1, row, skip:width]
            third, fourth = chunk[2, row, skip:width], chunk[3, row, skip:width]
            target = counts[place[row], begin + skip : begin + width]
            for index in range(width - skip):
                target[index] = np.int32(
                    low[index] | (high[index] << 8) | (third[index] << 16) | (np.int32(fourth[index]) << 24)
                )
    return True
