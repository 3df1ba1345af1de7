"""Read what neo reads (NeuroExplorer, Intan, Plexon, Blackrock, Spike2, …), where ``h5.reader: neo`` asks for it.

Needs the package neo. Every segment of a file is a recording of its own. Voltages are those of the streams of one rate
with the most channels; a file without voltages, or ``h5.stream: spikes``, gives its spikes. The names of the channels
say where they stand, in the lab's layout or in a known one.
"""

from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from mea.recordings.formats.blocks import BLOCK_VALUES, read_samples, round_rate
from mea.recordings.formats.spike_trains import SpikeTrains, build_recording, check_window
from mea.recordings.layouts import Layouts, map_labels_to_grid
from mea.recordings.recording import SPIKES, RawRecording
from mea.runtime.errors import BadRecording

NAME = "neo"
VOLTS = {"V": 1.0, "mV": 1e-3, "uV": 1e-6, "µV": 1e-6, "nV": 1e-9}
MISSING = "h5.reader: neo needs the package neo, which is not installed: pip install neo"


def read(path: Path, stream: str, layouts: Layouts) -> list[RawRecording | BadRecording]:
    """Each segment of a file; see :func:`mea.recordings.formats.read_raw_recordings`."""
    rawio = open_rawio(path)
    found: list[RawRecording | BadRecording] = []
    for block in range(rawio.block_count()):
        for segment in range(rawio.segment_count(block)):
            try:
                found.append(_read_segment(rawio, block, segment, stream, layouts, path))
            except BadRecording as error:
                found.append(error)
    if not found:
        raise BadRecording(f"{path}: neo finds no recording in it. Export it again.")
    return found


def read_counts(path: Path, source: RawRecording, first: int = 0, last: int | None = None) -> np.ndarray:
    """(n_electrodes, n_samples) int16 or int32; see :func:`mea.recordings.formats.read_counts`."""
    rawio = open_rawio(path)
    block, segment = map(int, source.dataset.split("/"))
    streams = list_streams(rawio, block, segment)

    def load(start: int, stop: int) -> np.ndarray:
        try:
            chunks = [rawio.get_analogsignal_chunk(block, segment, start, stop, stream) for stream in streams]
            return np.concatenate(chunks, axis=1)[:, source.source_row].T
        except Exception as error:  # neo has none of its own, and one for each of its formats
            raise BadRecording(f"{path}: neo cannot read its samples ({_shorten(error)}). Copy it again.") from None

    width = max(1, BLOCK_VALUES // source.n_electrodes)
    return read_samples(load, source, width, first, last, f"{path}: {source.dataset}")


def open_rawio(path: Path) -> Any:
    """neo's reader of a file, its header read.

    Raises
    ------
    BadRecording
        If neo is not installed, has no reader of such files, or cannot read this one.
    """
    if find_spec("neo") is None:
        raise BadRecording(f"{path}: {MISSING}.")
    from neo.rawio import get_rawio

    try:
        rawio = get_rawio(path)
        if rawio is not None:
            rawio = rawio(str(path))
            rawio.parse_header()
            return rawio
    except Exception as error:  # neo has none of its own, and one for each of its formats
        raise BadRecording(
            f"{path}: neo cannot read it ({_shorten(error)}). If it is damaged, copy it again."
        ) from None
    raise BadRecording(f"{path}: neo reads no such file. Export it in a format of docs/formats.md.")


def list_streams(rawio: Any, block: int, segment: int) -> list[int]:
    """The streams of one rate and length with the most channels together: neo divides some files by channel."""
    channels = Counter[tuple[float, int]]()
    alike: dict[tuple[float, int], list[int]] = {}
    for number, one in enumerate(rawio.header["signal_streams"]["id"].tolist()):
        clock = float(rawio.get_signal_sampling_rate(number)), int(rawio.get_signal_size(block, segment, number))
        channels[clock] += int(np.count_nonzero(rawio.header["signal_channels"]["stream_id"] == one))
        alike.setdefault(clock, []).append(number)
    return alike[max(channels, key=lambda clock: channels[clock])] if channels else []


def _read_segment(rawio: Any, block: int, segment: int, stream: str, layouts: Layouts, path: Path) -> RawRecording:
    where = f"{path}: segment {segment} of block {block}"
    channels = rawio.header["signal_channels"]
    streams = list_streams(rawio, block, segment)
    rig = f"read by neo ({type(rawio).__name__.removesuffix('RawIO')})"
    if stream == SPIKES or not streams:
        return _read_spikes(rawio, block, segment, layouts, where, rig)
    ids = rawio.header["signal_streams"]["id"]
    own = np.concatenate([channels[channels["stream_id"] == ids[number]] for number in streams])
    grid = map_labels_to_grid("", own["name"].tolist(), where, layouts)
    order = grid.sort_used()
    if not len(order):
        raise BadRecording(f"{where}: no channel of it is an electrode. Export it with them.")
    gain_v, adc_zero = _read_scale(own[order], where)
    sampling_rate_hz, notes = round_rate(float(rawio.get_signal_sampling_rate(streams[0])))
    samples = int(rawio.get_signal_size(block, segment, streams[0]))
    if samples < 1:
        raise BadRecording(f"{where}: empty recording, 0 samples. Leave it out or record again.")
    if len(streams) < len(ids):
        notes.append(f"{len(streams)} of {len(ids)} streams are read: those of one rate with the most channels")
    return RawRecording(
        format="neo",
        dataset=f"{block}/{segment}",
        sampling_rate_hz=sampling_rate_hz,
        n_samples=samples,
        duration_s=samples / sampling_rate_hz,
        start="",
        stream=str(rawio.header["signal_streams"]["name"][streams[0]]),
        **grid.build_fields(order),
        source_row=order,
        gain_v=gain_v,
        adc_zero=adc_zero,
        notes=(*grid.notes, *notes),
        rig=rig,
    )


def _read_scale(channels: np.ndarray, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Volts per count, and the count of 0 V: V = (count * gain + offset) in the channel's unit."""
    units = set(channels["units"].tolist())
    if foreign := sorted(units - set(VOLTS)):
        raise BadRecording(f"{where}: its channels are in {foreign[0]!r}, not in volts. Export the electrodes' data.")
    if not {np.dtype(one).kind for one in channels["dtype"]} <= {"i", "u"}:
        raise BadRecording(f"{where}: its samples are no integers. Read its spikes: h5.stream: spikes.")
    gain = channels["gain"].astype(np.float64)
    if not ((gain > 0) & np.isfinite(gain)).all():
        raise BadRecording(f"{where}: a gain of {gain.min():g} must be above 0. Export it again.")
    volts = np.array([VOLTS[unit] for unit in channels["units"]])
    return gain * volts, np.rint(-channels["offset"] / gain).astype(np.int64)


def _read_spikes(rawio: Any, block: int, segment: int, layouts: Layouts, where: str, rig: str) -> RawRecording:
    """Spikes of the file's units, on the electrodes that they are called after."""
    units = rawio.header["spike_channels"]["name"].tolist()
    if not units:
        raise BadRecording(f"{where}: holds neither voltages nor spikes that neo reads. Export one of the two.")
    trains = []
    for number in range(len(units)):
        stamps = rawio.get_spike_timestamps(block, segment, number)
        trains.append(np.sort(rawio.rescale_spike_timestamp(stamps, dtype="float64")))
    times_s = np.concatenate([np.zeros(0), *trains])
    channel = np.repeat(np.arange(len(units)), [len(train) for train in trains])
    grid = map_labels_to_grid("", units, where, layouts)
    window = float(rawio.segment_t_start(block, segment)), float(rawio.segment_t_stop(block, segment))
    check_window(times_s, window, where)
    found = SpikeTrains(units, channel, times_s, window).select(np.flatnonzero(grid.used))
    about: dict[str, Any] = {"format": "neo_spikes", "dataset": f"{block}/{segment}", "notes": grid.notes, "rig": rig}
    return build_recording(found, grid.layout, where, layouts, **about)


def _shorten(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:200]
