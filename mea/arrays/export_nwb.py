"""A recording as an NWB file: who it is, its electrodes, a unit for each of them, and perhaps its voltages."""

import warnings
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from hdmf.backends.hdf5 import H5DataIO
from hdmf.data_utils import GenericDataChunkIterator
from pynwb import NWBHDF5IO, NWBFile
from pynwb.ecephys import ElectricalSeries

from mea.arrays.events import SpikeEvents
from mea.recordings.formats import read_counts
from mea.recordings.recording import Identity, RawRecording, Recording
from mea.runtime.environment import read_version
from mea.runtime.errors import MeaError

UNKNOWN_START = datetime(1970, 1, 1, tzinfo=UTC)
BLOCK_BYTES, CHUNK_SAMPLES = 100_000_000, 2048


def write_nwb(path: Path, recording: Recording, who: Identity, events: SpikeEvents, file: Path | None) -> None:
    """Write one recording.

    Parameters
    ----------
    path
        The file to write.
    recording
        How its electrodes are called and stand.
    who
        Who was measured.
    events
        Its spikes.
    file
        The rig's file, whose voltages go along; None for the spikes alone.

    Raises
    ------
    MeaError
        If voltages are wanted of a recording that has none, or whose channels differ in zero.
    """
    source = recording.source
    start = datetime.fromisoformat(source.start).replace(tzinfo=UTC) if source.start else UNKNOWN_START
    known = "" if source.start else " The start is unknown, and written as 1970."
    nwb = NWBFile(
        session_description=f"class: {who.label}; culture: {who.culture}; batch: {who.batch}.{known}",
        identifier=recording.recording,
        session_start_time=start,
        session_id=recording.recording,
        source_script=f"mea {read_version()}",
        source_script_file_name="mea export",
    )
    _add_electrodes(nwb, source)
    _add_units(nwb, events)
    if file is not None:
        _add_voltages(nwb, source, file)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The file path provided")  # a half-written file has another name
        with NWBHDF5IO(str(path), "w") as io:
            io.write(nwb)


def _add_electrodes(nwb: NWBFile, source: RawRecording) -> None:
    device = nwb.create_device(name=source.layout or "array", description=source.rig or "rig not named in its file")
    group = nwb.create_electrode_group(
        "array", description="electrodes of the array", location="in vitro", device=device
    )
    for name, text in (("label", "name of the electrode"), ("row", "from 0, 0 on top"), ("col", "from 0")):
        nwb.add_electrode_column(name, text)
    for number in range(source.n_electrodes):
        nwb.add_electrode(
            location="in vitro",
            group=group,
            rel_x=float(source.x_um[number]),
            rel_y=float(source.y_um[number]),
            label=str(source.names[number]),
            row=int(source.row[number]),
            col=int(source.col[number]),
        )


def _add_units(nwb: NWBFile, events: SpikeEvents) -> None:
    """A unit for each electrode, silent ones too; its spikes were not sorted into neurons."""
    order = np.lexsort((events.peak_sample, events.electrode))
    times_s = events.spike_times_s[order]
    ends = np.searchsorted(events.electrode[order], np.arange(events.n_electrodes + 1))
    parts = [(first / events.sampling_rate_hz, last / events.sampling_rate_hz) for first, last in events.parts]
    for number in range(events.n_electrodes):
        own = times_s[ends[number] : ends[number + 1]]
        nwb.add_unit(id=number, spike_times=own, electrodes=[number], obs_intervals=parts)


class _Voltages(GenericDataChunkIterator):
    """The samples of a file, (samples, electrodes) int32, block by block."""

    def __init__(self, file: Path, source: RawRecording):
        self.file, self.source = file, source
        width = min(source.n_samples, max(1, BLOCK_BYTES // (4 * source.n_electrodes)))
        chunk = min(width, CHUNK_SAMPLES)
        shape = (width // chunk * chunk, source.n_electrodes)
        super().__init__(buffer_shape=shape, chunk_shape=(chunk, source.n_electrodes))

    def _get_data(self, selection: tuple[slice, slice]) -> np.ndarray:
        time, electrodes = selection
        return read_counts(self.file, self.source, time.start, time.stop).T[:, electrodes].astype(np.int32)

    def _get_maxshape(self) -> tuple[int, int]:
        return self.source.n_samples, self.source.n_electrodes

    def _get_dtype(self) -> np.dtype:
        return np.dtype(np.int32)


def _add_voltages(nwb: NWBFile, source: RawRecording, file: Path) -> None:
    if not source.n_samples:
        raise MeaError(f"{file}: holds spike times, and no voltages. Leave --voltages out.")
    if source.pauses.size:
        raise MeaError(f"{file}: was paused, so that its voltages have no single rate. Leave --voltages out.")
    gain_v = float(source.gain_v[0])
    offset_v = -source.adc_zero * source.gain_v
    if not (offset_v == offset_v[0]).all():
        raise MeaError(f"{file}: its channels differ in their zero, which NWB cannot say. Leave --voltages out.")
    region = nwb.create_electrode_table_region(list(range(source.n_electrodes)), "all electrodes")
    nwb.add_acquisition(
        ElectricalSeries(
            name="ElectricalSeries",
            data=H5DataIO(_Voltages(file, source), compression="gzip", shuffle=True),
            electrodes=region,
            rate=float(source.sampling_rate_hz),
            starting_time=0.0,
            conversion=gain_v,
            offset=float(offset_v[0]),
            channel_conversion=(source.gain_v / gain_v).tolist(),
        )
    )
