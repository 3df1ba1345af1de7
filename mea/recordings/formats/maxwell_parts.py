"""What a MaxWell file consists of: recordings of wells, their routed electrodes, scale and clock."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

import h5py
import numpy as np

from mea.recordings.formats.hdf5 import read_dataset
from mea.recordings.plates import PlateLayout
from mea.runtime.errors import BadRecording

LAYOUT, ROWS, COLS, PITCH_UM = "MaxWell", 120, 220, 17.5
PLATES = (PlateLayout(2, 3, LAYOUT), PlateLayout(4, 6, LAYOUT))  # MaxTwo plates of 6 and 24 wells
RATE_2016_HZ, RANGE_2016_V, STEPS_2016 = 20_000.0, 3.3, 1024


@dataclass(frozen=True)
class Part:
    """One recording of one well, whichever layout the file has.

    Attributes
    ----------
    where
        File and group, for messages.
    mapping
        Which electrode is routed to which channel, and where it stands.
    sampling_rate_hz, lsb_v
        Sampling rate; volts per count.
    raw, rows
        (rows, samples) voltages, and the row of each channel; None where there are none.
    frames
        Number of each sample; None where the file does not say.
    spikes
        What the software found; None where there is nothing.
    start
        ISO 8601, UTC; empty where it is unknown.
    """

    where: str
    mapping: np.ndarray
    sampling_rate_hz: float
    lsb_v: float
    raw: h5py.Dataset | None
    rows: dict[int, int]
    frames: h5py.Dataset | None
    spikes: h5py.Dataset | None
    start: str


def list_groups(h5: h5py.File) -> list[tuple[int, h5py.Group]]:
    """The group of each recording, with the number of its well."""
    if "mapping" in h5:
        return [(0, h5["/"])]
    if "wells" in h5:
        wells = sorted(name for name in h5["wells"] if re.fullmatch(r"well\d{3}", name))
        return [(int(well[4:]), h5["wells"][well][rec]) for well in wells for rec in sorted(h5["wells"][well])]
    stored = [h5["data_store"][name] for name in sorted(h5["data_store"])]
    return [(int(np.ravel(group["well_id"])[0]) if "well_id" in group else 0, group) for group in stored]


def name_wells(numbers: list[int], where: str) -> list[str]:
    """Names of wells that are counted row by row from 0; none for a file of one well, the first, as MaxOne writes it.

    >>> name_wells([0], ""), name_wells([0, 5], ""), name_wells([0, 6], "")
    ([''], ['A1', 'B3'], ['A1', 'B1'])

    Raises
    ------
    BadRecording
        If no plate has so many.
    """
    if set(numbers) == {0}:
        return [""] * len(numbers)
    plate = next((one for one in PLATES if max(numbers) < one.rows * one.cols), None)
    if plate is None:
        raise BadRecording(f"{where}: well {max(numbers)} is on no plate of MaxTwo (6 or 24 wells). Export it again.")
    return [plate.list_wells()[number] for number in numbers]


def open_part(group: h5py.Group, where: str) -> Part:
    """What a recording's group holds.

    Raises
    ------
    BadRecording
        If mapping, sampling rate or gain are missing.
    """
    settings = group.get("settings")
    if not isinstance(settings, h5py.Group):
        raise BadRecording(f"{where}: has no group 'settings'. It is incomplete: export it again.")
    is_2016 = "mapping" in group
    mapping = read_dataset(group if is_2016 else settings, "mapping", where)
    if missing := [name for name in ("channel", "electrode") if name not in (mapping.dtype.names or ())]:
        raise BadRecording(f"{where}: mapping has no field {missing[0]!r}. It is incomplete: export it again.")
    mapping = mapping[(mapping["channel"] >= 0) & (mapping["electrode"] >= 0)]
    if is_2016:
        raw, frames = group.get("sig"), None
        channels = np.arange(raw.shape[0] if raw is not None else 0)
        sampling_rate_hz = RATE_2016_HZ
        spikes = group.get("proc0/spikeTimes")
    else:
        raw, frames = group.get("groups/routed/raw"), group.get("groups/routed/frame_nos")
        listed = group.get("groups/routed/channels")
        channels = mapping["channel"] if listed is None else np.ravel(listed[...])
        sampling_rate_hz = _read_value(settings, "sampling", where)
        spikes = group.get("spikes")
    rows = {int(channel): row for row, channel in enumerate(channels)}
    start = _read_start(group)
    return Part(where, mapping, sampling_rate_hz, _read_lsb(settings, where), raw, rows, frames, spikes, start)


def place_electrodes(mapping: np.ndarray, where: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Number, row, column and channel of each routed electrode, sorted by place.

    Electrode ``220 * row + col`` stands at x = 17.5 µm times its column and y = 17.5 µm times its row.

    Raises
    ------
    BadRecording
        If there are none, two channels share an electrode, or a position contradicts the electrode's number.
    """
    order = np.argsort(mapping["electrode"], kind="stable")
    electrode, channel = (mapping[name][order].astype(np.int64) for name in ("electrode", "channel"))
    if not len(electrode):
        raise BadRecording(f"{where}: no electrode is routed. Record with a configuration of electrodes.")
    if (twice := electrode[1:][np.diff(electrode) == 0]).size:
        raise BadRecording(f"{where}: two channels on electrode {twice[0]}. It is damaged: export it again.")
    if electrode[-1] >= ROWS * COLS:
        raise BadRecording(f"{where}: electrode {electrode[-1]} is beyond the array's {ROWS * COLS}. Export it again.")
    row, col = np.divmod(electrode, COLS)
    for name, place in (("x", col), ("y", row)):
        if name not in (mapping.dtype.names or ()):
            continue
        given = mapping[name][order].astype(np.float64)
        if (wrong := ~(np.abs(given - place * PITCH_UM) < PITCH_UM / 2)).any():
            number = int(np.argmax(wrong))
            raise BadRecording(
                f"{where}: electrode {electrode[number]} is said to stand at {name} = {given[number]:g} µm, where an "
                f"array of {ROWS} x {COLS} at {PITCH_UM} µm has it at {place[number] * PITCH_UM:g}: another array."
            )
    return electrode, row, col, channel


def _read_lsb(settings: h5py.Group, where: str) -> float:
    """Volts per count: ``lsb``, or by the amplifier's gain. A file with neither is not guessed at."""
    if "lsb" in settings:
        return _read_value(settings, "lsb", where)
    if "gain" in settings:
        return RANGE_2016_V / (STEPS_2016 * _read_value(settings, "gain", where))
    raise BadRecording(f"{where}: settings have neither lsb nor gain, so that volts are unknown. Export it again.")


def _read_value(group: h5py.Group, name: str, where: str) -> float:
    """A number above 0."""
    value = np.ravel(read_dataset(group, name, where))
    if value.size != 1 or value.dtype.kind not in "fiu" or not 0 < value[0] < np.inf:
        raise BadRecording(f"{where}: {name} is {value.tolist()[:3]}; it must be one number above 0. Export it again.")
    return float(value[0])


def _read_start(group: h5py.Group) -> str:
    """``start_time``, milliseconds since 1970."""
    try:
        stamp = int(np.ravel(group["start_time"][...])[0]) / 1000
        return datetime.fromtimestamp(stamp, UTC).replace(tzinfo=None).isoformat(timespec="microseconds")
    except (KeyError, TypeError, ValueError, IndexError, OverflowError, OSError):
        return ""
