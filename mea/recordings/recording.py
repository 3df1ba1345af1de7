"""A recording: who it is, how it was made, and where its samples or spike times are; its small HDF5 file."""

from dataclasses import dataclass, field, fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mea.runtime.errors import MeaError
from mea.runtime.files import redo

FORMAT_VERSION = 6
SPIKES = "spikes"  # the stream of spikes that the rig's software found
LONG = 1000  # values from which on a dataset is compressed; only spike times reach it
OF_ELECTRODES = ("names", "row", "col", "x_um", "y_um", "source_row", "gain_v", "adc_zero")


@dataclass(frozen=True)
class Identity:
    """Who a recording is.

    Attributes
    ----------
    recording
        Its id: unique in the project, safe as a file name.
    label, culture, batch
        Its class, network and preparation; an empty string where unknown.
    """

    recording: str
    label: str
    culture: str
    batch: str


@dataclass(frozen=True)
class RecordingInfo:
    """How a recording was made: what its raw samples and its detected spikes have in common. ``n`` electrodes.

    Attributes
    ----------
    format
        Name of the module under ``mea.recordings.formats`` that reads it.
    start
        When it began, ISO 8601, or an empty string.
    sampling_rate_hz
        Samples per second; 0 for a file of spike times, which has none.
    n_samples
        Samples of each electrode; 0 for a file of spike times.
    duration_s
        Length of the recording.
    rows, cols
        Size of the grid.
    row, col
        (n,) int place of each electrode on the grid, from 0, row 0 on top.
    pauses
        (k,) int64 samples before which the recording paused, in order. Nothing is measured across a pause.
    """

    format: str
    start: str
    sampling_rate_hz: int
    n_samples: int
    duration_s: float
    rows: int
    cols: int
    row: np.ndarray
    col: np.ndarray
    pauses: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64), kw_only=True)

    @property
    def n_electrodes(self) -> int:
        return len(self.row)

    @property
    def parts(self) -> list[tuple[int, int]]:
        """First sample of each uninterrupted part, and the one after its last."""
        return list(pairwise([0, *self.pauses.tolist(), self.n_samples]))


def format_pauses(info: RecordingInfo) -> str:
    """Seconds recorded before each pause, with blanks between, as the catalogue has them; empty without a pause."""
    return " ".join(repr(sample / info.sampling_rate_hz) for sample in info.pauses.tolist())


def pack_places(info: RecordingInfo, recorded: np.ndarray) -> str:
    """Places of the grid whose electrode recorded, row by row, one bit each, as the catalogue has them: hexadecimal.

    ``recorded`` is (n,) bool, of each electrode.
    """
    grid = np.zeros((info.rows, info.cols), bool)
    grid[info.row, info.col] = recorded
    return np.packbits(grid).tobytes().hex()


@dataclass(frozen=True)
class RawRecording(RecordingInfo):
    """What a rig's file holds, in the same terms whatever rig wrote it; electrodes sorted by (row, col).

    Attributes
    ----------
    dataset
        Path inside the file to the samples, or to the spike times.
    layout
        Name of the electrode layout, such as ``120MEA``.
    stream
        Label of the stream chosen, such as ``Electrode Raw Data``.
    names
        (n,) electrode names as in the file.
    x_um, y_um
        (n,) float64 positions, NaN where the file and the layout give none.
    source_row
        (n,) int, the electrode's row in the samples' dataset.
    gain_v
        (n,) float64, volts per count: volts = (count - adc_zero) * gain_v.
    adc_zero
        (n,) int64 count that means 0 V.
    segments
        (k, 3) int64: start in µs, first sample, last sample of each segment. Between two there can be a pause.
    spike_times_s
        (m,) float64, for spike times only: sorted within each electrode, electrodes one after the other.
    spike_electrode
        (m,) int64 index of the electrode of each spike time.
    notes
        What was odd about the file and how it was read, in words.
    plate, well
        Of a plate, one of whose wells this is: the plate's name, and the well's, such as ``A1``; else empty.
    rig
        Maker and software, as far as the file names them; else empty.
    """

    dataset: str
    layout: str
    stream: str
    names: np.ndarray
    x_um: np.ndarray
    y_um: np.ndarray
    source_row: np.ndarray
    gain_v: np.ndarray
    adc_zero: np.ndarray
    segments: np.ndarray = field(default_factory=lambda: np.zeros((0, 3), np.int64))
    spike_times_s: np.ndarray = field(default_factory=lambda: np.zeros(0))
    spike_electrode: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    notes: tuple[str, ...] = ()
    plate: str = ""
    well: str = ""
    rig: str = ""

    def take(self, electrodes: np.ndarray | slice) -> "RawRecording":
        """Some of the electrodes of a recording of samples, as if the file had no others."""
        return replace(self, **{name: getattr(self, name)[electrodes] for name in OF_ELECTRODES})


@dataclass(frozen=True)
class Recording:
    """One uninterrupted measurement, whoever was measured.

    Attributes
    ----------
    recording
        Its id: unique in the project, safe as a file name.
    file
        The rig's file, relative to the folder of unpacked files.
    sha256
        Of that file.
    source
        What the file holds.
    file_bytes
        Size of that file, which can tell recordings of two classes apart.
    """

    recording: str
    file: str
    sha256: str
    source: RawRecording
    file_bytes: int = 0


@dataclass(frozen=True)
class LabelledRecording(Recording):
    """A recording, and who was measured, as far as that is known.

    Attributes
    ----------
    label, culture, batch
        As in :class:`Identity`; all are empty of a recording that is to be classified.
    assumed
        What of it had to be assumed, in words; empty where nothing.
    """

    label: str = ""
    culture: str = ""
    batch: str = ""
    assumed: str = ""


TEXTS = ("recording", "file", "sha256")


def write_recording(path: Path, recording: Recording) -> None:
    """Write the small uniform HDF5 file of a recording: the same bytes for the same recording, whatever its label.

    It is built in memory first: where the disk is full, HDF5 can neither write its file nor close it.
    """
    with h5py.File(path.name, "w", driver="core", backing_store=False) as h5:
        h5.attrs["format_version"] = FORMAT_VERSION
        for name in TEXTS:
            h5.attrs[name] = getattr(recording, name)
        h5.attrs["file_bytes"] = recording.file_bytes
        group = h5.create_group("source")
        for item in fields(RawRecording):
            _write_value(group, item.name, getattr(recording.source, item.name))
        h5.flush()
        path.write_bytes(h5.id.get_file_image())


def _write_value(group: h5py.Group, name: str, value: Any) -> None:
    if name == "notes":
        group.attrs[name] = "\n".join(value)
    elif name == "names":
        group.create_dataset(name, data=[str(one).encode() for one in value], dtype=h5py.string_dtype())
    elif isinstance(value, np.ndarray):
        packed = {"compression": "gzip", "shuffle": True} if value.size > LONG else {}
        group.create_dataset(name, data=value, **packed)
    else:
        group.attrs[name] = value


def read_recording(path: Path) -> Recording:
    """Read what :func:`write_recording` wrote.

    Raises
    ------
    MeaError
        If the file is not one of these, or of another version of the format.
    """
    try:
        with h5py.File(path, "r") as h5:
            version = h5.attrs.get("format_version")
            if version != FORMAT_VERSION:
                raise MeaError(f"{path}: format version {version}, but {FORMAT_VERSION} is read. Run dvc repro h5.")
            texts = {name: str(h5.attrs[name]) for name in TEXTS}
            return Recording(**texts, source=_read_source(h5["source"]), file_bytes=int(h5.attrs["file_bytes"]))
    except (OSError, KeyError) as error:
        raise MeaError(f"{path}: not a recording written by the h5 stage ({error}). {redo('h5')}") from None


def _read_source(group: h5py.Group) -> RawRecording:
    values = {name: value.item() if hasattr(value, "item") else value for name, value in group.attrs.items()}
    values["notes"] = tuple(values["notes"].split("\n")) if values["notes"] else ()
    for name, dataset in group.items():
        values[name] = dataset.asstr()[...] if name == "names" else dataset[...]
    return RawRecording(**values)
