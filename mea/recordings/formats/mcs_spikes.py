"""Files of Multi Channel Systems without voltages: time stamps are read; of what is no recording, its name is said."""

from datetime import datetime, timedelta
from pathlib import Path

import h5py
import numpy as np

from mea.recordings.formats.hdf5 import decode_text, read_dataset
from mea.recordings.formats.mcs_streams import list_numbered
from mea.recordings.formats.spike_trains import SpikeTrains, bound_by_spikes, build_recording
from mea.recordings.layouts import Layouts, map_labels_to_grid
from mea.recordings.recording import RawRecording
from mea.runtime.errors import BadRecording

SPIKE_STAMPS = "NeuralSpike"
OTHER_STREAMS = {
    "SegmentStream": "cut-outs or averages",
    "FrameStream": "frames of a CMOS array",
    "EventStream": "events",
    "TimeStampStream": "time stamps of something else than spikes",
}
EXPORT = "Export it with 'Electrode Raw Data' (Analog Streams) or with the spikes' time stamps ticked."


def read_spikes(data: h5py.Group, name: str, path: Path, layouts: Layouts) -> RawRecording:
    """A recording of which the file holds the spikes' time stamps.

    Raises
    ------
    BadRecording
        If there are none, with what there is instead.
    """
    where = f"{path}: {name}"
    streams = data[name].get("TimeStampStream")
    for stream in list_numbered(streams, "Stream"):
        group = streams[stream]
        if decode_text(group.attrs.get("DataSubType")) == SPIKE_STAMPS:
            return _read_stamps(data, name, group, f"{where}/TimeStampStream/{stream}", layouts)
    found = [what for kind, what in OTHER_STREAMS.items() if kind in data[name]]
    if "AnalogStream" in data[name]:
        raise BadRecording(f"{where}: holds no time stamps of spikes. {EXPORT} To read its voltages: h5.stream: raw.")
    held = f"only {' and '.join(found)}" if found else "nothing that was measured"
    raise BadRecording(f"{where}: holds {held}, and neither voltages nor spikes. {EXPORT}")


def _read_stamps(data: h5py.Group, name: str, group: h5py.Group, where: str, layouts: Layouts) -> RawRecording:
    info = read_dataset(group, "InfoTimeStamp", where)
    entities = {int(entity.rpartition("_")[2]): entity for entity in list_numbered(group, "TimeStampEntity")}
    labels, channels, times = [], [], []
    for number, line in enumerate(info):
        label = decode_text(line["SourceChannelLabels"]).strip()
        entity = entities.get(int(line["TimeStampEntityID"]))
        exponent = int(line["Exponent"])
        if entity is None or decode_text(line["Unit"]) != "s" or not -12 <= exponent <= 0:
            raise BadRecording(f"{where}: time stamps of {label!r} are missing, or not in seconds. Export it again.")
        stamps = read_dataset(group, entity, where).ravel().astype(np.float64) * 10.0**exponent
        labels.append(label)
        channels.append(np.full(len(stamps), number))
        times.append(stamps)
    layout = decode_text(data.attrs.get("MeaLayout"))
    grid = map_labels_to_grid(layout, labels, where, layouts)
    channel = np.concatenate([np.zeros(0, np.int64), *channels])
    time_s = np.concatenate([np.zeros(0), *times])
    trains = SpikeTrains(labels, channel, time_s, (0.0, 0.0)).select(np.flatnonzero(grid.used))
    window, note = _read_window(data[name], trains.times_s, where)
    start, undated = read_start(data, data[name], 0)
    bounded = SpikeTrains(trains.label, trains.channel, trains.times_s, window)
    notes = [*grid.notes, *([note] if note else []), *undated]
    about = {"format": "mcs_spikes", "dataset": group.name, "notes": notes, "start": start, "rig": read_rig(data)}
    return build_recording(bounded, grid.layout, where, layouts, **about)


def _read_window(recording: h5py.Group, times_s: np.ndarray, where: str) -> tuple[tuple[float, float], str]:
    """From 0 to the duration that the recording states, if all spikes lie in it; else from the first to the last."""
    duration_s = float(recording.attrs.get("Duration", 0)) / 1e6
    if duration_s > 0 and (not len(times_s) or (times_s.min() >= 0 and times_s.max() <= duration_s)):
        return (0.0, duration_s), ""
    return bound_by_spikes(times_s, "recording", where)


def read_rig(data: h5py.Group) -> str:
    """The maker, and the program with its version, as the group ``Data`` names them."""
    program = " ".join(decode_text(data.attrs.get(name)) for name in ("ProgramName", "ProgramVersion")).strip()
    return ", ".join(filter(None, ("Multi Channel Systems", program)))


def read_start(data: h5py.Group, recording: h5py.Group, first_us: int) -> tuple[str, list[str]]:
    """When the first sample was taken, ISO 8601; and a note where the file does not tell.

    The date is that of the file. Time stamps go on from one recording in it to the next.
    """
    try:
        offset_us = max(first_us, int(recording.attrs.get("TimeStamp", 0)))
        date = datetime(1, 1, 1) + timedelta(microseconds=int(data.attrs["DateInTicks"]) // 10 + offset_us)
    except (KeyError, OverflowError, TypeError, ValueError):
        return "", ["no usable date (DateInTicks) in the file"]
    return date.isoformat(timespec="microseconds"), []
