"""A recording: who it is, and where its samples or spike times are. One small HDF5 file, written and read here."""

from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import h5py
import numpy as np

from mea.runtime.errors import MeaError

FORMAT_VERSION = 2
LONG = 1000  # values from which on a dataset is compressed; only spike times are so many
OF_ELECTRODES = ("names", "row", "col", "x_um", "y_um", "source_row", "volts_per_count", "zero")
IDENTITY = ("recording", "label", "culture", "batch", "file", "sha256")


@dataclass(frozen=True)
class Source:
    """What a rig's file holds, in the same terms whatever rig wrote it. ``n`` electrodes, sorted by (row, col).

    Attributes
    ----------
    format
        Name of the module under ``mea.recordings.formats`` that reads it.
    dataset
        Path inside the file to the samples, or to the spike times.
    sampling_rate_hz
        Samples per second; 0 for spike times, which have none.
    n_samples
        Samples of each electrode; 0 for spike times.
    duration_s
        Length of the recording.
    start
        When it began, ISO 8601, or an empty string.
    layout
        Name of the electrode layout, such as ``120MEA``.
    rows, cols
        Size of the grid.
    stream
        Label of the stream chosen, such as ``Electrode Raw Data``.
    names
        (n,) electrode names as in the file.
    row, col
        (n,) int, from 0, row 0 on top.
    x_um, y_um
        (n,) float64 positions, NaN where the file and the layout give none.
    source_row
        (n,) int, the electrode's row in the samples' dataset.
    volts_per_count
        (n,) float64: volts = (count - zero) * volts_per_count.
    zero
        (n,) int64 count that means 0 V.
    segments
        (k, 3) int64: start in µs, first sample, last sample of each uninterrupted piece. More than one: a gap.
    spike_times_s
        (m,) float64, for spike times only: sorted within each electrode, electrodes one after the other.
    spike_electrode
        (m,) int64 index of the electrode of each spike time.
    notes
        What was odd about the file and how it was read, in words.
    """

    format: str
    dataset: str
    sampling_rate_hz: int
    n_samples: int
    duration_s: float
    start: str
    layout: str
    rows: int
    cols: int
    stream: str
    names: np.ndarray
    row: np.ndarray
    col: np.ndarray
    x_um: np.ndarray
    y_um: np.ndarray
    source_row: np.ndarray
    volts_per_count: np.ndarray
    zero: np.ndarray
    segments: np.ndarray = field(default_factory=lambda: np.zeros((0, 3), np.int64))
    spike_times_s: np.ndarray = field(default_factory=lambda: np.zeros(0))
    spike_electrode: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    notes: tuple[str, ...] = ()

    @property
    def n_electrodes(self) -> int:
        return len(self.row)

    def take(self, electrodes: np.ndarray | slice) -> "Source":
        """Some of the electrodes of a source of samples, as if the file had no others."""
        return replace(self, **{name: getattr(self, name)[electrodes] for name in OF_ELECTRODES})


@dataclass(frozen=True)
class Recording:
    """One uninterrupted measurement of one culture.

    Attributes
    ----------
    recording
        Its id: unique in the project, safe as a file name.
    label, culture, batch
        Its class, network and preparation; an empty string where unknown.
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
    label: str
    culture: str
    batch: str
    file: str
    sha256: str
    source: Source
    file_bytes: int = 0


def write_recording(path: Path, recording: Recording) -> None:
    """Write the small uniform HDF5 file of a recording: the same bytes for the same recording."""
    with h5py.File(path, "w") as h5:
        h5.attrs["format_version"] = FORMAT_VERSION
        for name in IDENTITY:
            h5.attrs[name] = getattr(recording, name)
        h5.attrs["file_bytes"] = recording.file_bytes
        group = h5.create_group("source")
        for item in fields(Source):
            value = getattr(recording.source, item.name)
            if item.name == "notes":
                group.attrs[item.name] = "\n".join(value)
            elif item.name == "names":
                group.create_dataset(item.name, data=[str(name).encode() for name in value], dtype=h5py.string_dtype())
            elif isinstance(value, np.ndarray):
                packed = {"compression": "gzip", "shuffle": True} if value.size > LONG else {}
                group.create_dataset(item.name, data=value, **packed)
            else:
                group.attrs[item.name] = value


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
            identity = {name: str(h5.attrs[name]) for name in IDENTITY}
            return Recording(**identity, source=_read_source(h5["source"]), file_bytes=int(h5.attrs["file_bytes"]))
    except (OSError, KeyError) as error:
        raise MeaError(f"{path}: not a recording written by the h5 stage ({error}). Run dvc repro h5.") from None


def _read_source(group: h5py.Group) -> Source:
    values = {name: value.item() if hasattr(value, "item") else value for name, value in group.attrs.items()}
    values["notes"] = tuple(values["notes"].split("\n")) if values["notes"] else ()
    for name, dataset in group.items():
        values[name] = dataset.asstr()[...] if name == "names" else dataset[...]
    return Source(**values)
