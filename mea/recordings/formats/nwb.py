"""Read Neurodata Without Borders files: voltages (``ElectricalSeries``), or spikes (``Units``).

By h5py alone; what is read is described in the NWB schema (Rübel and others 2022, doi:10.7554/eLife.78362).
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mea.recordings.formats.blocks import check_storage, choose_width, read_samples, round_rate
from mea.recordings.formats.hdf5 import check_expansion, decode_text, explain_damage, find_dataset, read_dataset
from mea.recordings.formats.nwb_electrodes import count_electrodes, place_electrodes
from mea.recordings.formats.spike_trains import assemble, bound_by_spikes, check_window
from mea.recordings.layouts import Layouts
from mea.recordings.recording import SPIKES, RawRecording
from mea.runtime.errors import BadRecording

NAME = "Neurodata Without Borders"
SERIES = "ElectricalSeries"
DEEPEST = 3  # groups between the place where series are looked for and a series
GAP = 0.5  # of a sample, by which two time stamps may differ from their distance


@dataclass(frozen=True)
class Clock:
    """When samples were taken: their rate, the samples before which it paused, and what had to be assumed."""

    sampling_rate_hz: int
    pauses: np.ndarray
    notes: list[str]


def matches(h5: h5py.File) -> bool:
    """Whether the file says which version of NWB it has."""
    return "nwb_version" in h5.attrs


def read(h5: h5py.File, path: Path, stream: str, layouts: Layouts) -> list[RawRecording | BadRecording]:
    """The recording of the file; see :func:`mea.recordings.formats.read_raw_recordings`."""
    where = str(path)
    with explain_damage(where):
        about = {
            "start": _read_start(h5),
            "rig": f"NWB {decode_text(h5.attrs['nwb_version'])}",
        }
        series, notes = _choose_series(h5, stream)
        if stream == SPIKES or series is None:
            return [_read_units(h5, layouts, where, about)]
        return [_read_voltages(h5, series, layouts, notes, f"{where}: {series.name}", about)]


def read_counts(h5: h5py.File, path: Path, source: RawRecording, first: int = 0, last: int | None = None) -> np.ndarray:
    """(n_electrodes, n_samples) int16 or int32; see :func:`mea.recordings.formats.read_counts`."""
    data = find_dataset(h5, source.dataset, str(path))
    if data.ndim != 2 or data.shape[0] != source.n_samples or data.shape[1] <= source.source_row.max():
        raise BadRecording(f"{path}: {source.dataset} has changed, {data.shape}: run the h5 stage again.")
    rows, width = source.source_row, choose_width(data, 0, data.shape[1])
    where = f"{path}: {source.dataset}"
    return read_samples(lambda start, stop: data[start:stop][:, rows].T, source, width, first, last, where)


def list_series(group: h5py.Group | None, depth: int = 0) -> list[h5py.Group]:
    """Every ElectricalSeries in a group and in the groups in it."""
    if not isinstance(group, h5py.Group) or depth > DEEPEST:
        return []
    if decode_text(group.attrs.get("neurodata_type")) == SERIES:
        return [group]
    return [one for name in sorted(group) for one in list_series(group.get(name), depth + 1)]


def _choose_series(h5: h5py.File, stream: str) -> tuple[h5py.Group | None, list[str]]:
    """What was acquired, or else what was processed; in the other order where the filtered stream is wanted.

    Of several, the one with the most channels, and of those the first; a note says so.
    """
    kinds = [list_series(h5.get("acquisition")), list_series(h5.get("processing"))]
    found: list[h5py.Group] = next(filter(None, reversed(kinds) if stream == "filtered" else kinds), [])
    if not found:
        return None, []
    chosen = max(found, key=lambda one: one["data"].shape[1] if "data" in one and one["data"].ndim == 2 else 1)
    return chosen, [f"several {SERIES}: {chosen.name} is read"] if len(found) > 1 else []


def _read_voltages(
    h5: h5py.File, series: h5py.Group, layouts: Layouts, notes: list[str], where: str, about: dict[str, Any]
) -> RawRecording:
    data = find_dataset(series, "data", where)
    if data.ndim != 2 or data.dtype.kind not in "iu" or not data.size:
        raise BadRecording(
            f"{where}: data are {data.dtype} {data.shape}; they must be integers, samples x channels, with a "
            "conversion to volts. Convert them, or read its spikes: h5.stream: spikes."
        )
    check_expansion(data, f"{where}: data")
    check_storage(data, where)
    region = np.ravel(read_dataset(series, "electrodes", where)).astype(np.int64)
    if len(region) != data.shape[1]:
        raise BadRecording(f"{where}: {len(region)} electrodes for {data.shape[1]} channels. Export it again.")
    grid, channel, told = place_electrodes(h5, region, layouts, where)
    clock = read_clock(series, data.shape[0], where)
    gain_v, adc_zero = _read_scale(series, data, where)
    return RawRecording(
        format="nwb",
        dataset=data.name,
        sampling_rate_hz=clock.sampling_rate_hz,
        n_samples=data.shape[0],
        duration_s=data.shape[0] / clock.sampling_rate_hz,
        stream=series.name.rpartition("/")[2],
        **grid.build_fields(),
        source_row=channel,
        gain_v=gain_v[channel],
        adc_zero=adc_zero[channel],
        pauses=clock.pauses,
        notes=(*notes, *told, *clock.notes),
        **about,
    )


def _read_scale(series: h5py.Group, data: h5py.Dataset, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Volts per count of each channel, and the count of 0 V: V = data * conversion * channel_conversion + offset."""
    gain_v = np.full(data.shape[1], float(data.attrs.get("conversion", 1.0)))
    if "channel_conversion" in series:
        gain_v = gain_v * np.ravel(read_dataset(series, "channel_conversion", where)).astype(np.float64)
    offset_v = float(data.attrs.get("offset", 0.0))
    if not ((gain_v > 0) & np.isfinite(gain_v)).all() or not np.isfinite(offset_v):
        raise BadRecording(f"{where}: conversion {gain_v[:3].tolist()} V must be above 0. Export it again.")
    return gain_v, np.rint(-offset_v / gain_v).astype(np.int64)


def read_clock(series: h5py.Group, n_samples: int, where: str) -> Clock:
    """By ``starting_time`` and its rate, else by ``timestamps``: a jump in these is a pause.

    Raises
    ------
    BadRecording
        If there is neither, or they tell no rate.
    """
    if "starting_time" in series:
        sampling_rate_hz = float(series["starting_time"].attrs.get("rate", 0))
        pauses, notes = np.zeros(0, np.int64), list[str]()
    else:
        stamps = read_dataset(series, "timestamps", where) if "timestamps" in series else np.zeros(0)
        steps = np.diff(stamps.astype(np.float64))
        if len(stamps) != n_samples or n_samples < 3 or not (steps > 0).all():
            raise BadRecording(f"{where}: has neither a rate nor a rising time stamp for each sample. Export it again.")
        step_s = float(np.median(steps))
        sampling_rate_hz = 1 / step_s
        pauses = np.flatnonzero(np.abs(steps - step_s) > GAP * step_s) + 1
        notes = [f"pause of {steps[sample - 1] - step_s:g} s before sample {sample}" for sample in pauses.tolist()]
        if abs(sampling_rate_hz - round(sampling_rate_hz)) < 1e-3 * sampling_rate_hz:
            sampling_rate_hz = float(round(sampling_rate_hz))
    if not 1 <= sampling_rate_hz < np.inf:
        raise BadRecording(f"{where}: a rate of {sampling_rate_hz:g} samples per second. Export it again.")
    whole_hz, rounded = round_rate(sampling_rate_hz)
    return Clock(whole_hz, pauses, [*notes, *rounded])


def _read_units(h5: h5py.File, layouts: Layouts, where: str, about: dict[str, Any]) -> RawRecording:
    units = h5.get("units")
    if not isinstance(units, h5py.Group) or "spike_times" not in units:
        raise BadRecording(f"{where}: holds neither voltages ({SERIES}) nor spikes (Units). Export one of the two.")
    if "electrodes" not in units:
        raise BadRecording(
            f"{where}: its units name no electrodes, so that they have no place. Export them with these."
        )
    times_s, unit = _read_ragged(units, "spike_times", where)
    regions, owner = _read_ragged(units, "electrodes", where)
    first = np.flatnonzero(np.r_[True, np.diff(owner) > 0]) if len(owner) else np.zeros(0, np.int64)
    n_units = int(max(unit.max(initial=-1), owner.max(initial=-1))) + 1
    region_of = np.full(n_units, -1, np.int64)
    region_of[owner[first]] = regions[first]
    if (region_of[np.unique(unit)] < 0).any():
        raise BadRecording(f"{where}: a unit with spikes names no electrode. Export it again.")
    notes = ["units of several electrodes are taken to the first"] if len(first) < len(owner) else []
    count = count_electrodes(h5, where)
    grid, channel, told = place_electrodes(h5, np.arange(count), layouts, where)
    place = np.empty(count, np.int64)
    place[channel] = np.arange(count)
    if len(region_of) and region_of.max() >= count:
        raise BadRecording(
            f"{where}: a unit names electrode {region_of.max()} of {count}. It is damaged: export it again."
        )
    window, note = _read_window(units, times_s, where)
    check_window(times_s, window, where)
    about = {"format": "nwb_spikes", "dataset": f"{units.name}/spike_times", **about}
    return assemble(grid, place[region_of[unit]], times_s, window, [*notes, *told, *note], **about)


def _read_ragged(table: h5py.Group, name: str, where: str) -> tuple[np.ndarray, np.ndarray]:
    """The values of a column with several to a row, and the row of each; ``<name>_index`` holds where rows end."""
    values = read_dataset(table, name, where)
    ends = read_dataset(table, f"{name}_index", where).astype(np.int64) if f"{name}_index" in table else None
    if ends is None:
        return values, np.arange(len(values))
    counts = np.diff(ends, prepend=0)
    if (counts < 0).any() or (ends[-1] if len(ends) else 0) != len(values):
        raise BadRecording(
            f"{where}: {name}_index does not divide the {len(values)} values of {name}. Export it again."
        )
    return values, np.repeat(np.arange(len(ends)), counts)


def _read_window(units: h5py.Group, times_s: np.ndarray, where: str) -> tuple[tuple[float, float], list[str]]:
    """From ``obs_intervals``, which must be one for all units; else from the first to the last spike."""
    if "obs_intervals" not in units:
        window, note = bound_by_spikes(times_s, "recording", where)
        return window, [note]
    intervals, _ = _read_ragged(units, "obs_intervals", where)
    different = np.unique(intervals, axis=0)
    if different.shape != (1, 2) or not 0 < different[0, 1] - different[0, 0] < np.inf:
        raise BadRecording(
            f"{where}: its units were observed in {len(different)} intervals; one recording is uninterrupted, and the "
            "same for all units. Export each interval by itself."
        )
    return (float(different[0, 0]), float(different[0, 1])), []


def _read_start(h5: h5py.File) -> str:
    """``session_start_time``, ISO 8601, without its time zone."""
    try:
        start = datetime.fromisoformat(decode_text(h5["session_start_time"][()]))
    except (KeyError, TypeError, ValueError):
        return ""
    return start.replace(tzinfo=None).isoformat(timespec="microseconds")
