"""The rigs' file formats, one module each. ``docs/formats.md`` says how to add another."""

from pathlib import Path

import numpy as np

from mea.recordings.formats import mcs, spike_times
from mea.recordings.formats.hdf5 import explain_damage, open_hdf5
from mea.recordings.recording import RawRecording
from mea.runtime.errors import BadRecording

FORMATS = (mcs, spike_times)


def read_raw_recordings(path: Path, stream: str) -> list[RawRecording | BadRecording]:
    """Describe every recording in a file, whatever rig wrote it; the format is recognised by its content.

    Parameters
    ----------
    path
        The rig's file.
    stream
        ``raw`` or ``filtered``: which electrode stream to take, where the format has several.

    Returns
    -------
    list
        One entry for each recording, in the file's order: what it holds, or the error that says why that recording
        cannot be used while its neighbours in the file can. At least one entry.

    Examples
    --------
    >>> from mea.recordings.formats.mcs_layout import Stream
    >>> from mea.recordings.formats.mcs_writer import write_mcs
    >>> counts = np.arange(2000, dtype=np.int32).reshape(2, 1000)
    >>> write_mcs(Path("one.h5"), Stream(counts, ["G7", "F7"], tick_us=40))
    >>> (recording,) = read_raw_recordings(Path("one.h5"), "raw")
    >>> recording.names.tolist(), recording.row.tolist(), recording.col.tolist(), recording.duration_s
    (['F7', 'G7'], [6, 6], [5, 6], 0.04)

    Its samples, in the order of its electrodes:

    >>> read_counts(Path("one.h5"), recording, first=0, last=3).tolist()
    [[1000, 1001, 1002], [0, 1, 2]]

    Raises
    ------
    BadRecording
        If the file as a whole cannot be used: missing, no HDF5, truncated, of no known format, with links that
        leave it, or without recordings.
    """
    with open_hdf5(path) as h5:
        for module in FORMATS:
            if module.matches(h5):
                return module.read(h5, path, stream)
    raise _refuse_format(path)


def explain_streams(path: Path, stream: str) -> list[str]:
    """Of every recording in a file, which stream :func:`read_raw_recordings` takes and why, and what others there are.

    Empty for a recording without such a stream. Parameters and errors as there, with which the order is shared.
    """
    with open_hdf5(path) as h5:
        for module in FORMATS:
            if module.matches(h5):
                return module.explain_streams(h5, path, stream)
    raise _refuse_format(path)


def read_counts(path: Path, source: RawRecording, first: int = 0, last: int | None = None) -> np.ndarray:
    """The samples of a recording: (n_electrodes, n_samples) int16, or int32 where int16 cannot hold them.

    Electrodes are in the order of ``source``. Samples are those from ``first`` to ``last``, last excluded.

    Raises
    ------
    BadRecording
        If the file is damaged, is not the one ``source`` describes, or its format has no samples.
    """
    modules = {module.__name__.rpartition(".")[2]: module for module in FORMATS}
    module = modules.get(source.format)
    if module is None or not hasattr(module, "read_counts"):
        raise BadRecording(f"{path}: format {source.format!r} holds no samples. Take events from its spike times.")
    with open_hdf5(path) as h5, explain_damage(f"{path}: {source.dataset}"):
        return module.read_counts(h5, path, source, first, last)


def _refuse_format(path: Path) -> BadRecording:
    return BadRecording(
        f"{path}: HDF5 of no known format; known are {' and '.join(module.NAME for module in FORMATS)}. "
        "docs/formats.md says how to add one."
    )
