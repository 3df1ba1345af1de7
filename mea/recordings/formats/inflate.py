"""Samples of a compressed HDF5 dataset, its chunks inflated on several threads by ISA-L.

HDF5 inflates one chunk at a time, with zlib, while it keeps every other thread waiting. Here it only hands out the
chunks as they are stored: rigs write them with the byte shuffle and gzip filters, or gzip alone, and anything else is
left to h5py. Intel's Intelligent Storage Acceleration Library: https://github.com/intel/isa-l.
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import h5py
import numpy as np
from isal import igzip_lib, isal_zlib

from mea.recordings.formats.byte_planes import place_int16, place_int32
from mea.runtime.parallel import count_threads

GZIP, SHUFFLE = h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE
LEAST_BYTES = 1 << 14  # of a chunk: below, handing chunks around costs more than it saves


def can_inflate(data: h5py.Dataset) -> bool:
    """Whether a dataset is what :func:`read_inflated` reads: (channels, samples) int32 in gzipped chunks."""
    if data.dtype != np.dtype("<i4") or data.ndim != 2 or not data.chunks:
        return False
    return _list_filters(data) in ([SHUFFLE, GZIP], [GZIP]) and 4 * int(np.prod(data.chunks)) >= LEAST_BYTES


def read_inflated(data: h5py.Dataset, rows: np.ndarray, dtype: np.dtype, first: int, last: int) -> np.ndarray | None:
    """Some rows of a dataset, as ``data[:, first:last][rows]`` would give them.

    Parameters
    ----------
    data
        (channels, samples) int32, see :func:`can_inflate`.
    rows
        (n,) the channels wanted, in the order wanted.
    dtype
        int16 or int32.
    first, last
        Samples wanted, last excluded.

    Returns
    -------
    np.ndarray or None
        (n, last - first) of ``dtype``; None as soon as a sample does not fit.

    Raises
    ------
    OSError
        If a chunk is damaged.
    """
    place = np.full(data.shape[0], -1)
    place[rows] = np.arange(len(rows))
    counts = np.empty((len(rows), last - first), dtype)
    shuffled = SHUFFLE in _list_filters(data)
    high, wide = data.chunks

    def fill(origin: tuple[int, int]) -> bool:
        return _place_chunk(_inflate_chunk(data, origin, shuffled), place[origin[0] :], counts, origin[1] - first)

    wanted = [row for row in range(0, data.shape[0], high) if (place[row : row + high] >= 0).any()]
    origins = product(wanted, range(first // wide * wide, last, wide))
    return counts if _all_on_threads(fill, origins) else None


def _all_on_threads(work, items: Iterable) -> bool:
    """Whether ``work`` is true for all items; after the first for which it is not, no further one is begun."""
    with ThreadPoolExecutor(count_threads()) as pool:
        try:
            return all(pool.map(work, items))
        finally:
            pool.shutdown(cancel_futures=True)


def _list_filters(data: h5py.Dataset) -> list[int]:
    settings = data.id.get_create_plist()
    return [settings.get_filter(number)[0] for number in range(settings.get_nfilters())]


def _inflate_chunk(data: h5py.Dataset, origin: tuple[int, int], shuffled: bool) -> np.ndarray:
    """(4, channels, samples) uint8: the lowest bytes of all samples of a chunk, the second lowest, and so on."""
    unfiltered, stored = data.id.read_direct_chunk(origin)
    if unfiltered:  # HDF5 leaves a filter out where it would make a chunk larger
        return _split_bytes(_read_chunk(data, origin))
    try:
        values = isal_zlib.decompress(stored)
    except igzip_lib.IsalError as error:  # type: ignore[misc]  # its stubs do not say that it is an exception
        raise OSError(f"chunk at {origin}: {error}") from error
    if len(values) != 4 * np.prod(data.chunks):
        raise OSError(f"chunk at {origin}: {len(values)} bytes, not {4 * np.prod(data.chunks)}")
    if shuffled:
        return np.frombuffer(values, np.uint8).reshape(4, *data.chunks)
    return _split_bytes(np.frombuffer(values, "<i4").reshape(data.chunks))


def _read_chunk(data: h5py.Dataset, origin: tuple[int, int]) -> np.ndarray:
    (row, first), (rows, width) = origin, data.chunks
    chunk = np.zeros((rows, width), "<i4")
    block = data[row : row + rows, first : first + width]
    chunk[: block.shape[0], : block.shape[1]] = block
    return chunk


def _split_bytes(chunk: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(chunk.view(np.uint8).reshape(*chunk.shape, 4), -1, 0))


def _place_chunk(chunk: np.ndarray, place: np.ndarray, counts: np.ndarray, begin: int) -> bool:
    place_rows = place_int16 if counts.dtype == np.int16 else place_int32
    return bool(place_rows(chunk, place, counts, begin))
