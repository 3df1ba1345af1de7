"""Read the HDF5 files of Multi Channel Systems. Their writer is :mod:`mea.recordings.formats.mcs_writer`."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mea.recordings.formats.blocks import check_storage, choose_width, read_blocks, read_narrow
from mea.recordings.formats.hdf5 import check_expansion, decode_text, explain_damage, find_dataset, read_dataset
from mea.recordings.formats.inflate import can_inflate, read_inflated
from mea.recordings.formats.mcs_spikes import read_rig, read_spikes, read_start
from mea.recordings.formats.mcs_streams import choose_stream, explain_choice, list_numbered, list_streams
from mea.recordings.formats.mcs_wells import divide_by_well
from mea.recordings.layouts import Grid, Layouts, map_labels_to_grid
from mea.recordings.plates import name_plate
from mea.recordings.recording import SPIKES, RawRecording
from mea.runtime.errors import BadRecording

NAME = "Multi Channel Systems raw data"
FIELDS = ("RowIndex", "Label", "Unit", "Exponent", "ADZero", "Tick", "ConversionFactor")


def matches(h5: h5py.File) -> bool:
    """Whether the file says it is raw data of Multi Channel Systems or, where it says nothing, looks like it."""
    if "McsHdf5ProtocolType" in h5.attrs:
        return decode_text(h5.attrs["McsHdf5ProtocolType"]) == "RawData"
    data = h5.get("Data")
    return isinstance(data, h5py.Group) and any(name.startswith("Recording_") for name in data)


def read(h5: h5py.File, path: Path, stream: str, layouts: Layouts) -> list[RawRecording | BadRecording]:
    """Each recording in the file, or what is wrong with it; see :func:`mea.recordings.formats.read_raw_recordings`."""
    data = h5.get("Data")
    names = list_numbered(data, "Recording")
    if not names:
        raise BadRecording(f"{path}: no recording in it (no group Data/Recording_<number>). Export it again.")
    found: list[RawRecording | BadRecording] = []
    for name in names:
        try:
            with explain_damage(f"{path}: {name}"):
                found += _read_recording(data, name, path, stream, layouts)
        except BadRecording as error:
            found.append(error)
    return found


def explain_stream(h5: h5py.File, path: Path, source: RawRecording, stream: str) -> str:
    """Which stream of a recording is read and why; see :func:`mea.recordings.formats.explain_streams`."""
    _, data, name, *_ = source.dataset.split("/")
    where = f"{path}: {name}"
    return explain_choice(list_streams(h5[data][name], where), stream, where)


def read_counts(h5: h5py.File, path: Path, source: RawRecording, first: int = 0, last: int | None = None) -> np.ndarray:
    """(n_electrodes, n_samples) int16 or int32; see :func:`mea.recordings.formats.read_counts`.

    Every chunk it needs is inflated once, and memory holds the result and a chunk or block a thread.
    """
    data = find_dataset(h5, source.dataset, str(path))
    if data.ndim != 2 or data.shape[1] != source.n_samples or data.shape[0] <= source.source_row.max():
        raise BadRecording(
            f"{path}: {source.dataset} has the shape {data.shape}, not the {source.n_samples} samples read before. "
            "The file has changed: run the h5 stage again."
        )
    last = source.n_samples if last is None else min(last, source.n_samples)
    rows = source.source_row
    if can_inflate(data):
        read = partial(read_inflated, data, rows)
    else:  # chunks span all channels, so that blocks of time are read
        width = choose_width(data, 1, data.shape[0])
        read = partial(read_blocks, lambda start, stop: data[:, start:stop][rows], len(rows), width)
    return read_narrow(read, first, last, f"{path}: {source.dataset}")


def _read_recording(data: h5py.Group, name: str, path: Path, stream: str, layouts: Layouts) -> list[RawRecording]:
    """The recording of that name; of a plate, one for each well."""
    if stream == SPIKES or "AnalogStream" not in data[name]:
        return [read_spikes(data, name, path, layouts)]
    chosen, notes = choose_stream(list_streams(data[name], f"{path}: {name}"), stream, f"{path}: {name}")
    where = f"{path}: {name}/AnalogStream/{chosen.name}"
    channels = _read_channels(chosen.group, where)
    samples = _check_samples(chosen.group, channels, where)
    layout = decode_text(data.attrs.get("MeaLayout"))
    wells = divide_by_well(layout, channels, where)
    placed = [_place_channels(well.layout, well.channels, f"{where} {well.name}".strip(), layouts) for well in wells]
    tick_us = _check_scales(np.concatenate([one.channels for one in placed]), where)
    segments, pauses, notes_on_pauses = _read_segments(chosen.group, samples.shape[1], tick_us, where)
    start, undated = read_start(data, data[name], int(segments[0, 0]))
    common = {
        "format": "mcs",
        "dataset": f"/Data/{name}/AnalogStream/{chosen.name}/ChannelData",
        "sampling_rate_hz": round(1e6 / tick_us),
        "n_samples": samples.shape[1],
        "duration_s": samples.shape[1] * tick_us / 1e6,
        "start": start,
        "stream": chosen.label or chosen.name,
        "segments": segments,
        "pauses": pauses,
        "rig": read_rig(data),
    }
    plate, told = name_plate(path.name), [*notes, *notes_on_pauses, *undated]
    return [
        _build_recording(one, common | {"well": well.name, "plate": plate if well.name else ""}, told)
        for one, well in zip(placed, wells)
    ]


@dataclass(frozen=True)
class Placed:
    """Channels of one recording that have a place, sorted by it; ``order`` are their numbers on the grid."""

    grid: Grid
    order: np.ndarray
    channels: np.ndarray


def _build_recording(one: Placed, common: dict[str, Any], notes: list[str]) -> RawRecording:
    channels = one.channels
    return RawRecording(
        **common,
        **one.grid.build_fields(one.order),
        source_row=channels["RowIndex"].astype(np.int64),
        gain_v=_measure_scales(channels),
        adc_zero=channels["ADZero"].astype(np.int64),
        notes=(*one.grid.notes, *notes),
    )


def _read_channels(group: h5py.Group, where: str) -> np.ndarray:
    """``InfoChannel``, sorted by the channels' rows in the data."""
    channels = read_dataset(group, "InfoChannel", where)
    missing = [field for field in FIELDS if field not in (channels.dtype.names or ())]
    if missing:
        raise BadRecording(f"{where}: InfoChannel has no field {missing[0]!r}. It is incomplete: export it again.")
    if channels.ndim != 1 or not len(channels):
        raise BadRecording(f"{where}: no channels. Export it with the electrodes' data.")
    return channels[np.argsort(channels["RowIndex"], kind="stable")]


def _check_samples(group: h5py.Group, channels: np.ndarray, where: str) -> h5py.Dataset:
    data = find_dataset(group, "ChannelData", where)
    if data.ndim != 2 or data.dtype.kind not in "iu":
        raise BadRecording(
            f"{where}: ChannelData is {data.dtype} {data.shape}; it must be integers, channels x samples."
        )
    if not data.shape[1]:
        raise BadRecording(f"{where}: empty recording, 0 samples. Leave it out or record again.")
    check_expansion(data, f"{where}: ChannelData")
    rows = channels["RowIndex"].astype(np.int64)
    outside = (rows < 0) | (rows >= data.shape[0])
    if outside.any():
        raise BadRecording(
            f"{where}: row index {rows[outside][0]} of channel {decode_text(channels['Label'][outside][0])!r} is "
            f"outside the data, which has {data.shape[0]} rows. It is damaged: export it again."
        )
    if len(set(rows)) < len(rows):
        twice = rows[1:][np.diff(rows) == 0][0]
        raise BadRecording(f"{where}: row index {twice} is used by two channels. It is damaged: export it again.")
    check_storage(data, where)
    return data


def _place_channels(layout: str, channels: np.ndarray, where: str, layouts: Layouts) -> Placed:
    labels = [decode_text(label) for label in channels["Label"]]
    grid = map_labels_to_grid(layout, labels, where, layouts)
    if not any(labels) and channels["RowIndex"][-1] != len(channels) - 1:
        raise BadRecording(f"{where}: no electrode labels, and rows without channel. Export the file with labels.")
    if not grid.used.any():
        raise BadRecording(f"{where}: no channels but references. Export it with the electrodes' data.")
    order = grid.sort_used()
    return Placed(grid, order, channels[order])


def _check_scales(channels: np.ndarray, where: str) -> int:
    """Check unit, gain and tick of each electrode; give the tick, µs per sample, that all share."""
    for channel in channels:
        name = decode_text(channel["Label"])
        unit, tick_us = decode_text(channel["Unit"]), int(channel["Tick"])
        if unit != "V":
            raise BadRecording(
                f"{where}: unit {unit!r} of electrode {name!r}; it must be 'V'. Export the electrodes' data."
            )
        exponent = float(channel["Exponent"])
        gain_v = float(channel["ConversionFactor"]) * 10.0**exponent if abs(exponent) <= 100 else np.nan
        if not 0 < gain_v < np.inf:
            gain = f"{channel['ConversionFactor']} x 10^{channel['Exponent']}"
            raise BadRecording(
                f"{where}: gain {gain} V per count of electrode {name!r}; it must be above 0. Export it again."
            )
        if not abs(float(channel["ADZero"])) < 2**31:
            raise BadRecording(
                f"{where}: zero (ADZero) {channel['ADZero']} of electrode {name!r} is beyond 32 bits. Export it again."
            )
        if not 0 < tick_us <= 1_000_000:
            raise BadRecording(
                f"{where}: tick {tick_us} µs of electrode {name!r}; it must be 1 to 1000000. Export it again."
            )
    ticks = sorted(set(channels["Tick"].tolist()))
    if len(ticks) > 1:
        raise BadRecording(f"{where}: channels with different ticks, {ticks[0]} and {ticks[-1]} µs. Export them apart.")
    return ticks[0]


def _measure_scales(channels: np.ndarray) -> np.ndarray:
    # One by one: NumPy's vectorised power may differ from the predecessor's in the last bit.
    return np.array([float(one["ConversionFactor"]) * 10.0 ** int(one["Exponent"]) for one in channels])


def _read_segments(
    group: h5py.Group, n_samples: int, tick_us: int, where: str
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """(k, 3) start in µs, first and last sample of each segment; the samples before which it paused; these in words."""
    segments = read_dataset(group, "ChannelDataTimeStamps", where).astype(np.int64)
    if segments.ndim != 2 or segments.shape[1] != 3 or not len(segments):
        raise BadRecording(
            f"{where}: ChannelDataTimeStamps has the shape {segments.shape}, not segments x 3. Export it again."
        )
    start, first, last = segments.T
    borders = np.array_equal(first, [0, *(last[:-1] + 1)]) and last[-1] == n_samples - 1
    if not borders or (last < first).any() or (np.diff(start) <= 0).any():
        raise BadRecording(
            f"{where}: ChannelDataTimeStamps {segments.tolist()[:4]} do not cover the samples 0 to {n_samples - 1} "
            "one segment after the other. It is damaged: export it again."
        )
    gaps_us = start[1:] - start[:-1] - (last[:-1] - first[:-1] + 1) * tick_us
    notes = [f"pause of {gap / 1e6:g} s before sample {sample}" for gap, sample in zip(gaps_us, first[1:]) if gap]
    return segments, first[1:][gaps_us != 0], notes
