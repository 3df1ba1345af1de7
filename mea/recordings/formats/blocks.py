"""Samples read block by block, and kept in the narrowest integers that hold them."""

from collections.abc import Callable
from functools import partial

import h5py
import numpy as np

from mea.recordings.recording import RawRecording
from mea.runtime.errors import BadRecording

BLOCK_VALUES = 4_000_000
NARROW = (np.dtype(np.int16), np.dtype(np.int32))

Load = Callable[[int, int], np.ndarray]
Read = Callable[[np.dtype, int, int], np.ndarray | None]


def read_narrow(
    read: Callable[[np.dtype, int, int], np.ndarray | None], first: int, last: int, where: str
) -> np.ndarray:
    """(n_electrodes, last - first) int16, or int32 where int16 cannot hold them.

    Parameters
    ----------
    read
        Gives the samples in a type, or None where it cannot hold them.
    first, last
        Samples, last excluded.
    where
        File and dataset, for messages.

    Raises
    ------
    BadRecording
        If 32 bits are not enough.
    """
    for dtype in NARROW:
        if (counts := read(dtype, first, last)) is not None:
            return counts
    raise BadRecording(f"{where}: holds counts beyond int32. It is damaged: export it again.")


def read_blocks(load: Load, n_electrodes: int, width: int, dtype: np.dtype, first: int, last: int) -> np.ndarray | None:
    """Samples in a type, or None where it cannot hold them; memory holds them and one block.

    Parameters
    ----------
    load
        Gives the electrodes' samples (n_electrodes, stop - start) from ``start`` to ``stop``.
    n_electrodes
        Of the result.
    width
        Samples to read at a time, a multiple of the file's own blocks.
    dtype, first, last
        As in :func:`read_narrow`.
    """
    limits = np.iinfo(dtype)
    counts = np.empty((n_electrodes, last - first), dtype)
    for start in range(first, last, width):
        block = load(start, min(start + width, last))
        if block.min() < limits.min or block.max() > limits.max:
            return None
        counts[:, start - first : start - first + width] = block
    return counts


def read_samples(load: Load, source: RawRecording, width: int, first: int, last: int | None, where: str) -> np.ndarray:
    """(n_electrodes, n_samples) int16 or int32; see :func:`mea.recordings.formats.read_counts`.

    Parameters
    ----------
    load, width
        As in :func:`read_blocks`.
    source
        The recording.
    first, last
        Samples, last excluded; None: to the end.
    where
        File and dataset, for messages.
    """
    last = source.n_samples if last is None else min(last, source.n_samples)
    return read_narrow(partial(read_blocks, load, source.n_electrodes, width), first, last, where)


def choose_width(data: h5py.Dataset, time_axis: int, channels: int) -> int:
    """Samples of all channels to read at a time: some of the file's blocks, and four million values at most."""
    width = max(1, data.chunks[time_axis]) if data.chunks else 2048
    return width * max(1, BLOCK_VALUES // (width * max(1, channels)))


def check_storage(data: h5py.Dataset, where: str) -> None:
    """Refuse samples that were never written, as after a crash of the rig's computer: HDF5 gives zeros for them.

    Raises
    ------
    BadRecording
        If a block of the dataset is missing.
    """
    if data.chunks:
        expected = int(np.prod([-(-size // width) for size, width in zip(data.shape, data.chunks)]))
        stored = data.id.get_num_chunks()
    else:
        expected, stored = 1, int(data.id.get_storage_size() > 0)
    if stored < expected:
        name = data.name.rpartition("/")[2]
        raise BadRecording(
            f"{where}: samples are missing: {stored} of {expected} blocks of {name} were written. "
            "The recording was cut short: export it again."
        )


def round_rate(sampling_rate_hz: float) -> tuple[int, list[str]]:
    """A sampling rate in whole samples per second, and a note where that changes it.

    >>> round_rate(20000.0), round_rate(17852.8)
    ((20000, []), (17853, ['17852.8 samples per second are taken as 17853']))
    """
    whole = round(sampling_rate_hz)
    return whole, [] if whole == sampling_rate_hz else [f"{sampling_rate_hz:g} samples per second are taken as {whole}"]
