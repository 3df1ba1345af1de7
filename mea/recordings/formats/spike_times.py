"""Read spike-time HDF5 files: the layout of Eglen et al. (2014), doi:10.1186/2047-217X-3-3."""

import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mea.recordings.formats.hdf5 import decode_text, explain_damage, read_dataset
from mea.recordings.formats.spike_trains import SpikeTrains, bound_by_spikes, build_recording
from mea.recordings.layouts import Layout, Layouts, electrode_labels, read_pitch
from mea.recordings.plates import PlateLayout, find_axion_plate, name_plate, normalise_well, split_electrode_name
from mea.recordings.recording import RawRecording
from mea.runtime.errors import BadRecording

NAME = "spike times"
LONGEST_S = 1e7  # almost four months
ABOUT: dict[str, Any] = {"format": "spike_times", "dataset": "/spikes"}
UNUSED = {"unused", "not used", "empty", "no cells"}  # treatments of a well in which nothing grew
MOST_OFF_UM = 1.0  # by which a position may miss that of a lab's layout
OFF_PITCH = 0.1  # pitches by which a position may miss its place


def matches(h5: h5py.File) -> bool:
    """Whether the file has spikes, and counts or names of channels, at its root."""
    return "spikes" in h5 and ("sCount" in h5 or "names" in h5)


def read(h5: h5py.File, path: Path, stream: str, layouts: Layouts) -> list[RawRecording | BadRecording]:
    """Describe the recording of the file, or each well's of a plate; ``stream`` plays no part. See
    :func:`mea.recordings.formats.read_raw_recordings`.

    Every electrode of the layout is listed, silent ones too: which of them fired must not change what a model sees.
    Units of one electrode are put together. ``meta`` stays unread, for it states the class.
    """
    try:
        with explain_damage(str(path)):
            return _read_recordings(h5, path, layouts)
    except BadRecording as error:
        return [error]


def _read_recordings(h5: h5py.File, path: Path, layouts: Layouts) -> list[RawRecording | BadRecording]:
    where = str(path)
    layout = decode_text(read_dataset(h5, "array", where))
    names = _read_names(h5, where)
    counts = _read_spike_counts(h5, names, where)
    times = _read_times(h5, where, names, counts)
    window, note = _read_window(h5, times, "plate" if "well" in layout.lower() else "file", where)
    _check_times(times, names, counts, window, where)
    channel = np.repeat(np.arange(len(counts)), counts)
    notes = [note] if note else []
    if "well" in layout.lower() and layout not in layouts:
        if names is None:
            raise BadRecording(f"{where}: no names, so that the wells of its electrodes cannot be told. Give names.")
        return _read_wells(h5, find_axion_plate(layout, where), names, (channel, times, window), notes, path)
    places = _read_layout(layout, where, layouts)
    own = layouts.get(layout)
    if own and "epos" in h5 and not (names and all(find_digits(name) in own.places for name in names)):
        labels = place_by_position(_read_positions(h5, len(counts), where), own, where)
        notes.append(f"electrodes are found by their positions (epos) in the layout {layout}")
    elif names is not None:
        labels = [_find_label(name, places, where) for name in names]
    else:
        labels = _place_by_epos(h5, layout, places, len(counts), where)
        notes.append("no electrode names: places are those of epos, x to the right and y upwards")
    trains = SpikeTrains(labels, channel, times, window)
    return [build_recording(trains, layout, where, layouts, notes=notes, **ABOUT)]


def _read_wells(
    h5: h5py.File,
    plate: PlateLayout,
    names: list[str],
    spikes: tuple[np.ndarray, np.ndarray, tuple[float, float]],
    notes: list[str],
    path: Path,
) -> list[RawRecording | BadRecording]:
    """One recording for each well that was used: those the file lists, silent ones too, else all of the plate."""
    where = str(path)
    found = [split_electrode_name(name, where) for name in names]
    trains = SpikeTrains([electrode for _, electrode in found], *spikes)
    own = np.array([well for well, _ in found], dtype=object)
    used = _list_wells(h5, where) or plate.list_wells()
    wells = [well for well in plate.list_wells() if well in used or well in own]
    if outside := sorted((set(own) | set(used)) - set(wells)):
        last = plate.list_wells()[-1]
        raise BadRecording(f"{where}: well {outside[0]!r} is not on this plate (A1 to {last}). Correct array.")
    about = ABOUT | {"plate": name_plate(path.name), "notes": notes}
    return [
        build_recording(
            trains.select(np.flatnonzero(own == well)), plate.layout, f"{where}: {well}", well=well, **about
        )
        for well in wells
    ]


def _list_wells(h5: h5py.File, where: str) -> list[str]:
    """The wells that the file lists, without those whose treatment says that they were not used."""
    if "well" not in h5:
        return []
    wells = [normalise_well(decode_text(well), where) for well in np.ravel(read_dataset(h5, "well", where))]
    given: np.ndarray | list = np.ravel(read_dataset(h5, "treatment", where)) if "treatment" in h5 else []
    treatment = [decode_text(one).casefold() for one in given] if len(given) == len(wells) else [""] * len(wells)
    return [well for well, what in zip(wells, treatment) if what not in UNUSED]


def _read_names(h5: h5py.File, where: str) -> list[str] | None:
    """Names of the channels; None where the file has none but says where they are."""
    if "names" not in h5 and "epos" in h5:
        return None
    return [decode_text(name) for name in np.ravel(read_dataset(h5, "names", where))]


def _place_by_epos(h5: h5py.File, layout: str, places: dict[str, tuple[int, int]], count: int, where: str) -> list[str]:
    """Labels of the electrodes at positions (2, n) or (n, 2) in µm: column from x; row from y, which points upwards."""
    position, pitch_um = _read_positions(h5, count, where), read_pitch(layout)
    if not pitch_um > 0:
        raise BadRecording(
            f"{where}: no names, and the layout {layout!r} does not state its pitch, so that epos does not place its "
            "channels. Give names, or describe the layout in layouts.csv, with x_um and y_um."
        )
    col, row = position[0] / pitch_um, position[1] / pitch_um
    size = max(row for row, _ in places.values()) + 1
    label = {place: name for name, place in places.items()}
    found = [label.get((size - round(y), round(x) - 1), "") for x, y in zip(col.tolist(), row.tolist())]
    exact = np.abs(position / pitch_um - np.rint(position / pitch_um)).max(0, initial=0.0) < OFF_PITCH
    if wrong := [number for number, name in enumerate(found) if not name or not exact[number]]:
        raise BadRecording(
            f"{where}: no names, and epos {position[:, wrong[0]].tolist()} is no place of {layout} (x to the right, y "
            f"upwards, from {pitch_um:g} µm in steps of {pitch_um:g}). Give names."
        )
    return found


def _read_positions(h5: h5py.File, count: int, where: str) -> np.ndarray:
    """(2, n) x and y of each channel, µm."""
    position = read_dataset(h5, "epos", where)
    position = position if position.shape == (2, count) else position.T
    if position.shape != (2, count) or position.dtype.kind not in "fiu":
        raise BadRecording(f"{where}: epos {position.shape} must be x and y, µm, of {count} channels. Give names.")
    return position


def place_by_position(position: np.ndarray, layout: Layout, where: str) -> list[str]:
    """Labels of the electrodes of a lab's layout that stand at positions (2, n) in µm, as its x_um and y_um say.

    >>> place_by_position(np.array([[30.2], [0.0]]), Layout("two", {}, {"a": (0, 0), "b": (30, 0)}), "")
    ['b']

    Raises
    ------
    BadRecording
        If a position is not within 1 µm of one of the layout's.
    """
    labels, known = list(layout.positions_um), np.array(list(layout.positions_um.values())).reshape(-1, 2)
    found = []
    for own in position.T:
        distance = np.hypot(*(known - own).T)
        if not len(labels) or not distance.min() <= MOST_OFF_UM:
            raise BadRecording(
                f"{where}: epos {own.tolist()} is no electrode of the layout {layout.name!r}: none of its x_um and "
                f"y_um is within {MOST_OFF_UM:g} µm. Correct layouts.csv."
            )
        found.append(labels[int(distance.argmin())])
    return found


def _read_layout(layout: str, where: str, layouts: Layouts) -> dict[str, tuple[int, int]]:
    try:
        return electrode_labels(layout, layouts)
    except BadRecording as error:
        raise BadRecording(f"{where}: array: {error}") from None


def _read_window(h5: h5py.File, times: np.ndarray, whose: str, where: str) -> tuple[tuple[float, float], str]:
    """When the recording began and ended, s; and a note where the file does not state it."""
    if "recordingtime" not in h5:
        finite = times[np.isfinite(times)]
        return _read_summary(h5, where) if len(finite) < 2 else bound_by_spikes(finite, whose, where)
    window = np.ravel(read_dataset(h5, "recordingtime", where))
    if (
        len(window) != 2
        or window.dtype.kind not in "fiu"
        or not np.isfinite(window).all()
        or not 0 < window[1] - window[0] < LONGEST_S
    ):
        raise BadRecording(f"{where}: recordingtime is {window.tolist()}; it must be start and a later end, in s.")
    return (float(window[0]), float(window[1])), ""


def _read_summary(h5: h5py.File, where: str) -> tuple[tuple[float, float], str]:
    """Of a file without recordingtime and without spikes: what its summary states."""
    table = read_dataset(h5, "summary.table", where) if "summary.table" in h5 else np.zeros(0, [("none", "f8")])
    if len(table) and {"time.min", "time.max"} <= set(table.dtype.names or ()):
        low, high = float(table["time.min"][0]), float(table["time.max"][0])
        if 0 < high - low < LONGEST_S:
            return (low, high), f"no length in the file: from {low:g} to {high:g} s, as summary.table states"
    return bound_by_spikes(np.zeros(0), "file", where)


def _read_spike_counts(h5: h5py.File, names: list[str] | None, where: str) -> np.ndarray:
    counts = np.ravel(read_dataset(h5, "sCount", where))
    if names is not None and len(counts) != len(names):
        raise BadRecording(f"{where}: {len(counts)} spike counts (sCount) for {len(names)} names; give one for each.")
    if counts.dtype.kind not in "iu" or (counts < 0).any():
        raise BadRecording(
            f"{where}: spike counts (sCount) must be integers from 0; they are {counts.tolist()[:5]} ..."
        )
    return counts.astype(np.int64)


def _read_times(h5: h5py.File, where: str, names: list[str] | None, counts: np.ndarray) -> np.ndarray:
    """(spikes,) float64 s, one channel after the other."""
    times = read_dataset(h5, "spikes", where)
    if times.ndim != 1 or times.dtype.kind not in "fiu":
        raise BadRecording(f"{where}: spikes are {times.dtype} {times.shape}; they must be one row of times in s.")
    total = sum(counts.tolist())  # of Python's integers, which do not wrap
    if total != len(times):
        raise BadRecording(f"{where}: spike counts (sCount) add up to {total}, but there are {len(times)} spikes.")
    if names is not None and len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise BadRecording(f"{where}: channel name {twice!r} occurs twice. Give each unit its own name.")
    return times.astype(np.float64)


def _check_times(
    times: np.ndarray, names: list[str] | None, counts: np.ndarray, window: tuple[float, float], where: str
) -> None:
    """Each channel's times must be sorted, and lie within the recording."""
    channel = np.repeat(np.arange(len(counts)), counts)
    unsorted = np.zeros(len(times), bool)
    unsorted[1:] = (np.diff(times) < 0) & (np.diff(channel) == 0)
    rules = (
        (~np.isfinite(times), "is not a number"),
        (times < 0, "is negative"),
        ((times < window[0]) | (times > window[1]), f"lies outside recordingtime, {window[0]:g} to {window[1]:g} s"),
        (unsorted, "is earlier than the one before it; times must be sorted within a channel"),
    )
    for wrong, rule in rules:
        if wrong.any():
            place = int(np.argmax(wrong))
            name = names[channel[place]] if names is not None else f"channel {channel[place]}"
            raise BadRecording(
                f"{where}: spike time {times[place]:g} s of {name} {rule}. Correct or leave out the file."
            )


def _find_label(name: str, places: dict[str, tuple[int, int]], where: str) -> str:
    """``12`` of ``ch_12A_unit_0``: column 1, row 2."""
    label = find_digits(name)
    if label not in places:
        raise BadRecording(
            f"{where}: unknown electrode name {name!r}; it must look like ch_12A_unit_0: column 1, row 2, or be one of "
            "the layout's labels."
        )
    return label


def find_digits(name: str) -> str:
    """The electrode of a unit's name, by its two digits; of another name, all of it but the unit.

    >>> find_digits("ch_12A_unit_0"), find_digits("hex7_unit_1")
    ('12', 'hex7')
    """
    found = re.fullmatch(r"ch_(\d\d)[A-Za-z]?(_unit_\d+)?", name)
    return found[1] if found else re.sub(r"_unit_\d+$", "", name)
