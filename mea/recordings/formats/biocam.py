"""Read 3Brain files: voltages (``.brw``, versions 3 and 4) and spikes (``.bxr``, versions 2 and 3) of BioCAM systems.

The layouts are those of public readers (neo's ``BiocamRawIO``) and of 3Brain's documentation of its HDF5 files.
"""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mea.recordings.formats.biocam_parts import (
    EXPORT,
    Scale,
    find_size,
    place_old,
    read_number,
    read_scale_old,
    read_settings,
    read_stored,
    sort_places,
)
from mea.recordings.formats.blocks import (
    BLOCK_VALUES,
    check_storage,
    choose_width,
    read_samples,
    round_rate,
)
from mea.recordings.formats.hdf5 import check_expansion, explain_damage, find_dataset, read_dataset
from mea.recordings.formats.spike_trains import assemble, bound_by_spikes, check_window, find_electrodes
from mea.recordings.layouts import Grid, Layouts
from mea.recordings.plates import name_plate
from mea.recordings.recording import SPIKES, RawRecording
from mea.runtime.errors import BadRecording

NAME = "3Brain"
SPARSE = "EventsBasedSparseRaw"
WELL = re.compile(r"Well_[A-P]\d{1,2}")


def matches(h5: h5py.File) -> bool:
    """Whether the file has 3Brain's groups."""
    return "3BRecInfo" in h5 or "3BResults" in h5 or any(WELL.fullmatch(name) for name in h5)


def read(h5: h5py.File, path: Path, stream: str, layouts: Layouts) -> list[RawRecording | BadRecording]:
    """The recording, or each well's, without ``layouts``. See :func:`mea.recordings.formats.read_raw_recordings`."""
    wells = sorted((name for name in h5 if WELL.fullmatch(name)), key=lambda name: (name[5], int(name[6:])))
    version = h5.attrs.get("Version", h5["3BData"].attrs.get("Version") if "3BData" in h5 else None)
    rig = "3Brain" if version is None else f"3Brain, file of version {version}"
    if not wells:
        with explain_damage(str(path)):
            return [replace(_read_old(h5, path, stream), rig=rig)]
    found: list[RawRecording | BadRecording] = []
    for name in wells:
        try:
            with explain_damage(f"{path}: {name}"):
                plate = {} if wells == ["Well_A1"] else {"well": name[5:], "plate": name_plate(path.name)}
                about = {"rig": rig, **plate}
                found.append(_read_well(h5, h5[name], f"{path}: {name}", stream, about))
        except BadRecording as error:
            found.append(error)
    return found


def read_counts(h5: h5py.File, path: Path, source: RawRecording, first: int = 0, last: int | None = None) -> np.ndarray:
    """(n_electrodes, n_samples) int16 or int32; see :func:`mea.recordings.formats.read_counts`.

    The samples of all channels at one time stand side by side, so that blocks of time are read.
    """
    data = find_dataset(h5, source.dataset, str(path))
    channels = data.size // source.n_samples
    if data.size != channels * source.n_samples or channels <= source.source_row.max():
        raise BadRecording(f"{path}: {source.dataset} has changed, {data.shape}: run the h5 stage again.")
    rows, top = source.source_row, read_scale_old(h5, str(path)).inverted_from if "3BRecInfo" in h5 else 0

    def load(start: int, stop: int) -> np.ndarray:
        block = data[start:stop] if data.ndim == 2 else data[channels * start : channels * stop].reshape(-1, channels)
        counts = block[:, rows].T
        return top - counts.astype(np.int32) if top else counts

    width = choose_width(data, 0, channels) if data.ndim == 2 else max(1, BLOCK_VALUES // channels)
    return read_samples(load, source, width, first, last, f"{path}: {source.dataset}")


def _read_old(h5: h5py.File, path: Path, stream: str) -> RawRecording:
    """A .brw of version 3, or a .bxr of version 2."""
    where = str(path)
    events, raw = h5.get("3BResults/3BChEvents"), h5.get("3BData/Raw")
    sampling_rate_hz = read_number(h5, "3BRecInfo/3BRecVars/SamplingRate", where)
    grid, number = place_old(h5, where)
    if raw is not None and stream != SPIKES:
        notes = []
        if (frames := int(read_number(h5, "3BRecInfo/3BRecVars/NRecFrames", where))) != raw.size // len(number):
            notes.append(f"{frames} frames are stated, {raw.size // len(number)} are there")
        return _build_voltages(raw, grid, number, sampling_rate_hz, read_scale_old(h5, where), where, {"notes": notes})
    if events is None:
        raise BadRecording(f"{where}: holds neither voltages nor spikes that are read. {EXPORT}")
    frames = int(read_number(h5, "3BRecInfo/3BRecVars/NRecFrames", where))
    times = read_dataset(events, "SpikeTimes", where), read_dataset(events, "SpikeChIDs", where)
    return _build_spikes(
        times, grid, number, sampling_rate_hz, (0, frames), where, {"dataset": f"{events.name}/SpikeTimes"}
    )


def _read_well(h5: h5py.File, well: h5py.Group, where: str, stream: str, about: dict[str, Any]) -> RawRecording:
    """A well, or the chip, of a .brw of version 4 or a .bxr of version 3."""
    sampling_rate_hz, scale = read_settings(h5, where)
    stored = read_stored(well, where)
    size = find_size(stored, where)
    row, col = np.divmod(stored, size)
    grid, column = sort_places(row, col, np.arange(len(stored)), size, size, where)
    toc = read_dataset(h5, "TOC", where).astype(np.int64) if "TOC" in h5 else np.zeros((0, 2), np.int64)
    if toc.ndim != 2 or toc.shape[1] != 2 or (np.diff(toc.ravel()) < 0).any():
        raise BadRecording(f"{where}: TOC {toc.shape} must be the first and last frame of each piece. Export it again.")
    apart = np.flatnonzero(toc[1:, 0] != toc[:-1, 1]) + 1
    if "Raw" in well and stream != SPIKES:
        pauses = np.cumsum(toc[:, 1] - toc[:, 0])[apart - 1]
        notes = [f"pause before sample {sample}" for sample in pauses.tolist()]
        about = about | {"pauses": pauses, "notes": notes}
        return _build_voltages(well["Raw"], grid, column, sampling_rate_hz, scale, where, about)
    if "SpikeTimes" not in well:
        packed = f"only voltages of which quiet parts were dropped ({SPARSE})" if SPARSE in well else "no spikes"
        raise BadRecording(f"{where}: holds {packed}. {EXPORT}")
    if len(apart):
        raise BadRecording(f"{where}: its spikes were recorded in {len(apart) + 1} pieces. Export each by itself.")
    times = read_dataset(well, "SpikeTimes", where), read_dataset(well, "SpikeChIdxs", where)
    window = (int(toc[0, 0]), int(toc[-1, 1])) if len(toc) else None
    about = about | {"dataset": f"{well.name}/SpikeTimes"}
    return _build_spikes(times, grid, stored[column], sampling_rate_hz, window, where, about)


def _build_voltages(
    raw: h5py.Dataset,
    grid: Grid,
    number: np.ndarray,
    sampling_rate_hz: float,
    scale: Scale,
    where: str,
    about: dict[str, Any],
) -> RawRecording:
    """``number`` is the channel of each electrode among those that stand side by side in the samples."""
    flat = raw.ndim == 1 and not raw.size % len(number)
    if raw.dtype.kind not in "iu" or not raw.size or not (flat or (raw.ndim == 2 and raw.shape[1] == len(number))):
        raise BadRecording(
            f"{where}: voltages are {raw.dtype} {raw.shape}; they must be integers, frames x {len(number)} channels."
        )
    check_expansion(raw, f"{where}: Raw")
    check_storage(raw, where)
    whole_hz, notes = round_rate(sampling_rate_hz)
    samples = raw.size // len(number)
    if (pauses := about.get("pauses", np.zeros(0))).size and pauses.max() >= samples:
        raise BadRecording(f"{where}: TOC lists more frames than the {samples} that are there. Export it again.")
    return RawRecording(
        format="biocam",
        dataset=raw.name,
        sampling_rate_hz=whole_hz,
        n_samples=samples,
        duration_s=samples / whole_hz,
        start="",
        stream="Raw",
        **grid.build_fields(),
        source_row=number,
        gain_v=np.full(len(number), scale.gain_v),
        adc_zero=np.full(len(number), scale.adc_zero),
        **(about | {"notes": (*about.get("notes", ()), *notes)}),
    )


def _build_spikes(
    found: tuple[np.ndarray, np.ndarray],
    grid: Grid,
    number: np.ndarray,
    sampling_rate_hz: float,
    window: tuple[int, int] | None,
    where: str,
    about: dict[str, Any],
) -> RawRecording:
    """``found`` are the spikes' frames and channels, ``number`` the channel of each electrode, ``window`` in frames."""
    frames, channels = (np.ravel(one) for one in found)
    if len(frames) != len(channels) or frames.dtype.kind not in "iu" or channels.dtype.kind not in "iu":
        raise BadRecording(
            f"{where}: {len(frames)} spike times and {len(channels)} channels do not match. Export again."
        )
    electrode = find_electrodes(channels, number)
    if (electrode < 0).any():
        lost = int(channels[np.argmax(electrode < 0)])
        raise BadRecording(f"{where}: a spike of channel {lost}, which is none of those stored. Export it again.")
    times_s, notes = frames.astype(np.float64) / sampling_rate_hz, list[str]()
    if window is None:
        bounds, note = bound_by_spikes(times_s, "recording", where)
        notes.append(note)
    else:
        bounds = window[0] / sampling_rate_hz, window[1] / sampling_rate_hz
    check_window(times_s, bounds, where)
    return assemble(grid, electrode, times_s, bounds, notes, **({"format": "biocam_spikes"} | about))
