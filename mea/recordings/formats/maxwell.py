"""Read MaxWell files (MaxOne, MaxTwo): voltages of the routed electrodes, or the spikes that the software found.

Two layouts of the file are known from public readers (neo's ``MaxwellRawIO``, SpikeInterface): that of 2016, with
``sig`` and ``mapping`` at its root, and the later one, with a group for each recording of each well.
"""

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mea.recordings.formats.blocks import check_storage, choose_width, read_samples, round_rate
from mea.recordings.formats.hdf5 import check_expansion, decode_text, explain_damage, find_dataset
from mea.recordings.formats.maxwell_parts import (
    COLS,
    LAYOUT,
    PITCH_UM,
    ROWS,
    Part,
    list_groups,
    name_wells,
    open_part,
    place_electrodes,
)
from mea.recordings.formats.spike_trains import assemble, bound_by_spikes, check_window, find_electrodes
from mea.recordings.layouts import Grid, Layouts
from mea.recordings.plates import name_plate
from mea.recordings.recording import SPIKES, RawRecording
from mea.runtime.errors import BadRecording

NAME = "MaxWell"
OFFSET_S = 1.0  # of which the median is taken for 0 V
FRAMES_AT_ONCE = 4_000_000
OWN_FILTER = (
    "needs MaxWell's plugin for HDF5 (HDF5_PLUGIN_PATH). To take the spikes it found instead: h5.stream: spikes"
)


def matches(h5: h5py.File) -> bool:
    """Whether the file has MaxWell's groups."""
    later = any(isinstance(h5.get(name), h5py.Group) for name in ("wells", "data_store"))
    return later or ("mapping" in h5 and ("sig" in h5 or "proc0" in h5))


def read(h5: h5py.File, path: Path, stream: str, layouts: Layouts) -> list[RawRecording | BadRecording]:
    """Each recording of each well; ``layouts`` play no part. See :func:`mea.recordings.formats.read_raw_recordings`."""
    groups = list_groups(h5)
    if not groups:
        raise BadRecording(f"{path}: no recording in it (no group wells/well000/rec0000). Export it again.")
    wells = name_wells([well for well, _ in groups], str(path))
    version = decode_text(h5["version"][...]) if isinstance(h5.get("version"), h5py.Dataset) else ""
    rig = f"MaxWell, file of version {version}" if version else "MaxWell"
    found: list[RawRecording | BadRecording] = []
    for (_, group), well in zip(groups, wells, strict=True):
        where = f"{path}: {group.name}"
        try:
            with explain_damage(where):
                about: dict[str, Any] = {"rig": rig, "well": well, "plate": name_plate(path.name) if well else ""}
                found.append(_read_part(open_part(group, where), stream, about))
        except BadRecording as error:
            found.append(error)
    return found


def read_counts(h5: h5py.File, path: Path, source: RawRecording, first: int = 0, last: int | None = None) -> np.ndarray:
    """(n_electrodes, n_samples) int16 or int32; see :func:`mea.recordings.formats.read_counts`."""
    data = find_dataset(h5, source.dataset, str(path))
    if data.ndim != 2 or data.shape[1] != source.n_samples or data.shape[0] <= source.source_row.max():
        raise BadRecording(f"{path}: {source.dataset} has changed, {data.shape}: run the h5 stage again.")
    rows, width = source.source_row, choose_width(data, 1, data.shape[0])
    where = f"{path}: {source.dataset}"
    return read_samples(lambda start, stop: data[:, start:stop][rows], source, width, first, last, where)


def _read_part(part: Part, stream: str, about: dict[str, Any]) -> RawRecording:
    electrode, row, col, channel = place_electrodes(part.mapping, part.where)
    wanted = part.spikes if stream == SPIKES or part.raw is None else part.raw
    if wanted is None:
        held = "spikes" if stream == SPIKES else "voltages of the group 'routed', and no spikes"
        raise BadRecording(f"{part.where}: holds no {held}. Record or export it with them.")
    names = tuple(map(str, electrode.tolist()))
    x_um, y_um = col * PITCH_UM, row * PITCH_UM
    used = np.ones(len(row), bool)
    grid = Grid(LAYOUT, ROWS, COLS, row, col, used, names, PITCH_UM, x_um, y_um, ())
    if wanted is part.spikes:
        return _read_spikes(part, grid, channel, about)
    return _read_voltages(part, grid, channel, about)


def _read_voltages(part: Part, grid: Grid, channel: np.ndarray, about: dict[str, Any]) -> RawRecording:
    raw, where = part.raw, part.where
    assert raw is not None
    if raw.ndim != 2 or raw.dtype.kind not in "iu" or not raw.shape[1]:
        raise BadRecording(f"{where}: voltages are {raw.dtype} {raw.shape}; they must be integers, channels x times.")
    check_expansion(raw, f"{where}: raw")
    check_storage(raw, where)
    if lost := [int(one) for one in channel if part.rows.get(int(one), raw.shape[0]) >= raw.shape[0]]:
        raise BadRecording(f"{where}: channel {lost[0]} is routed, but not among the voltages. Export it again.")
    rows = np.array([part.rows[int(one)] for one in channel], np.int64)
    sampling_rate_hz, notes = round_rate(part.sampling_rate_hz)
    try:
        begin = raw[:, : max(1, round(OFFSET_S * sampling_rate_hz))][rows]
    except OSError as error:
        if "filter" in str(error) or "open directory" in str(error):
            raise BadRecording(f"{where}: {OWN_FILTER}.") from None
        raise
    pauses = find_pauses(part.frames, raw.shape[1], where) if part.frames is not None else np.zeros(0, np.int64)
    notes += [f"pause before sample {sample}: frames are missing" for sample in pauses.tolist()]
    return RawRecording(
        format="maxwell",
        dataset=raw.name,
        sampling_rate_hz=sampling_rate_hz,
        n_samples=raw.shape[1],
        duration_s=raw.shape[1] / sampling_rate_hz,
        start=part.start,
        stream="routed",
        **grid.build_fields(),
        source_row=rows,
        gain_v=np.full(len(rows), part.lsb_v),
        adc_zero=np.rint(np.median(begin, axis=1)).astype(np.int64),
        pauses=pauses,
        notes=("0 V is each electrode's median over its first second", *notes),
        **about,
    )


def _read_spikes(part: Part, grid: Grid, channel: np.ndarray, about: dict[str, Any]) -> RawRecording:
    where, spikes = part.where, part.spikes
    assert spikes is not None
    check_expansion(spikes, f"{where}: spikes")
    table = spikes[...]
    if missing := [name for name in ("frameno", "channel") if name not in (table.dtype.names or ())]:
        raise BadRecording(f"{where}: spikes have no field {missing[0]!r}. Export it again.")
    electrode = find_electrodes(table["channel"], channel)
    there = electrode >= 0
    times_s = table["frameno"][there].astype(np.float64) / part.sampling_rate_hz
    notes = [f"{np.count_nonzero(~there)} spikes of channels without an electrode left out"] if not there.all() else []
    if part.frames is not None and part.frames.ndim == 1 and len(part.frames):
        window = float(part.frames[0]) / part.sampling_rate_hz, (float(part.frames[-1]) + 1) / part.sampling_rate_hz
    else:
        window, note = bound_by_spikes(times_s, "recording", where)
        notes.append(note)
    check_window(times_s, window, where)
    about = {"format": "maxwell_spikes", "dataset": spikes.name, "start": part.start, **about}
    return assemble(grid, electrode[there], times_s, window, notes, **about)


def find_pauses(frames: h5py.Dataset, n_samples: int, where: str) -> np.ndarray:
    """Samples before which frames are missing; the numbers of the frames are read block by block.

    Raises
    ------
    BadRecording
        If there is not one number for each sample.
    """
    if frames.shape != (n_samples,):
        raise BadRecording(f"{where}: {frames.shape} frame numbers for {n_samples} samples. Export it again.")
    found = []
    for first in range(0, n_samples, FRAMES_AT_ONCE):
        block = frames[first : first + FRAMES_AT_ONCE + 1].astype(np.int64)
        found.append(first + 1 + np.flatnonzero(np.diff(block) != 1))
    return np.concatenate(found).astype(np.int64)
