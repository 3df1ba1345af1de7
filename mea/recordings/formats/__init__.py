"""The rigs' file formats, one module each. ``docs/formats.md`` says how to add another."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import ModuleType

import h5py
import numpy as np

from mea.recordings.formats import axion_csv, biocam, maxwell, mcs, neo_bridge, nwb, spike_table, spike_times
from mea.recordings.formats.hdf5 import explain_damage, open_hdf5
from mea.recordings.formats.text_files import decode_head, read_head
from mea.recordings.layouts import NO_LAYOUTS, Layouts
from mea.recordings.recording import RawRecording
from mea.runtime.errors import BadRecording
from mea.runtime.guarded import Failure, call_guarded

HDF5_FORMATS = (mcs, spike_times, maxwell, biocam, nwb)
TEXT_FORMATS = (axion_csv, spike_table)
READ_AS = {  # formats without a choice of streams, most of them without voltages, and what is said of them
    "spike_times": "the spike times are read: the file holds no voltages",
    "mcs_spikes": "the spikes' time stamps are read: the file holds no voltages",
    "maxwell": "the voltages of the routed electrodes are read",
    "maxwell_spikes": "the spikes that the rig's software found are read",
    "biocam": "the voltages of the stored channels are read",
    "biocam_spikes": "the spikes that the rig's software found are read",
    "nwb": "the voltages of its ElectricalSeries are read",
    "nwb_spikes": "the spikes of its units are read: no voltages are taken",
    "neo": "the voltages of its largest stream are read, by neo",
    "neo_spikes": "its spikes are read, by neo",
    "axion_csv": "a table of spike times is read",
    "spike_table": "a table of spike times is read",
}
OWN = "own"  # reader
LIMIT_S, MOST_BYTES = 60, 4_000_000_000  # for describing one HDF5 file: on damaged ones HDF5 itself crashes or hangs


def read_raw_recordings(
    path: Path, stream: str, layouts: Layouts = NO_LAYOUTS, reader: str = OWN
) -> list[RawRecording | BadRecording]:
    """Describe every recording in a file, whatever rig wrote it; the format is recognised by its content.

    Parameters
    ----------
    path
        The rig's file.
    stream
        ``raw`` or ``filtered``: which electrode stream to take, where the format has several; ``spikes``: those that
        the rig's software found.
    layouts
        The lab's own layouts, by name.
    reader
        ``own``: a file of no known format is refused; ``neo``: it is left to neo.

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
    read, who = partial(_read_hdf5, path, stream, layouts, reader), "HDF5"
    if path.is_file() and not h5py.is_hdf5(path):
        lines = decode_head(read_head(path))
        if module := find_text_format(lines):
            return module.read(path, lines, layouts)
        if reader == "neo":
            read, who = partial(neo_bridge.read, path, stream, layouts), "neo"
    try:
        return call_guarded(read, LIMIT_S, MOST_BYTES)
    except Failure as error:
        raise BadRecording(f"{path}: {who} {error} on it. It is truncated or damaged: copy it again.") from None


def _read_hdf5(path: Path, stream: str, layouts: Layouts, reader: str) -> list[RawRecording | BadRecording]:
    with open_hdf5(path) as h5:
        for module in HDF5_FORMATS:
            if module.matches(h5):
                return module.read(h5, path, stream, layouts)
    if reader == "neo":
        return neo_bridge.read(path, stream, layouts)
    raise _refuse_format(path)


def find_text_format(lines: list[str]) -> ModuleType | None:
    """The format of a table of spikes that begins with these lines; None if it is none."""
    return next((module for module in TEXT_FORMATS if module.matches(lines)), None)


def is_spike_table(head: bytes) -> bool:
    """Whether a file that begins with these bytes is a table of spikes."""
    return find_text_format(decode_head(head)) is not None


def explain_streams(path: Path, sources: Sequence[RawRecording | BadRecording], stream: str) -> list[str]:
    """Of each recording that :func:`read_raw_recordings` found in a file, what is read of it and why.

    Parameters
    ----------
    path, stream
        As there.
    sources
        What it gave; for one that cannot be used the text is empty.
    """
    usable = [source for source in sources if isinstance(source, RawRecording)]
    told = {id(source): READ_AS.get(source.format, "") for source in usable}
    if not all(told.values()):
        with open_hdf5(path) as h5:
            told |= {id(one): mcs.explain_stream(h5, path, one, stream) for one in usable if not told[id(one)]}
    return [told.get(id(source), "") for source in sources]


def read_counts(path: Path, source: RawRecording, first: int = 0, last: int | None = None) -> np.ndarray:
    """The samples of a recording: (n_electrodes, n_samples) int16, or int32 where int16 cannot hold them.

    Electrodes are in the order of ``source``. Samples are those from ``first`` to ``last``, last excluded.

    Raises
    ------
    BadRecording
        If the file is damaged, is not the one ``source`` describes, or its format has no samples.
    """
    if source.format == "neo":
        return neo_bridge.read_counts(path, source, first, last)
    modules = {module.__name__.rpartition(".")[2]: module for module in HDF5_FORMATS}
    module = modules.get(source.format)
    if module is None or not hasattr(module, "read_counts"):
        raise BadRecording(f"{path}: format {source.format!r} holds no samples. Take events from its spike times.")
    with open_hdf5(path) as h5, explain_damage(f"{path}: {source.dataset}"):
        return module.read_counts(h5, path, source, first, last)


def _refuse_format(path: Path) -> BadRecording:
    return BadRecording(
        f"{path}: HDF5 of no known format; known are {' and '.join(module.NAME for module in HDF5_FORMATS)}. "
        "What neo reads, h5.reader: neo reads; docs/formats.md says how to add a format."
    )
