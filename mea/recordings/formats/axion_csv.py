"""Read Axion's spike lists: the CSV of a whole plate that AxIS Navigator exports, every well a recording of its own.

The settings of the rig stand above the spikes or in the first two columns beside them; a table of the wells may follow.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np

from mea.recordings.encodings import SEPARATORS
from mea.recordings.formats.spike_trains import SpikeTrains, bound_by_spikes, build_recording
from mea.recordings.formats.text_files import read_cells, read_number, split_line
from mea.recordings.layouts import Layouts, electrode_labels
from mea.recordings.plates import (
    AXION,
    WELL,
    PlateLayout,
    find_axion_plate,
    name_plate,
    normalise_well,
    split_electrode_name,
)
from mea.recordings.recording import RawRecording
from mea.runtime.errors import BadRecording

NAME = "Axion spike list"
TIME, ELECTRODE = ("time (s)", "time(s)", "time"), "electrode"
SECTIONS = ("actual file section run", "requested file section")
STARTS = ("original file time", "experiment start time")
OFF = {"false", "0", "no"}
SLACK_S = 1.0  # by which the last spike may lie beyond the end that the settings state


@dataclass
class SpikeList:
    """What the file holds.

    Attributes
    ----------
    settings
        Of the rig, by their names in small letters.
    times_s
        Of all spikes.
    electrode
        Number of each spike's electrode among ``names``.
    names
        ``A1_24``, in the order of their first spikes.
    wells
        Table of the wells: by property in small letters, then by well.
    """

    settings: dict[str, str] = field(default_factory=dict)
    times_s: list[float] = field(default_factory=list)
    electrode: list[int] = field(default_factory=list)
    names: dict[str, int] = field(default_factory=dict)
    wells: dict[str, dict[str, str]] = field(default_factory=dict)


def matches(lines: list[str]) -> bool:
    """Whether among the first lines is the head of a spike list of wells."""
    return _find_separator(lines) is not None


def read(path: Path, lines: list[str], layouts: Layouts) -> list[RawRecording | BadRecording]:
    """One recording for each well; see :func:`mea.recordings.formats.read_raw_recordings`.

    Wells that fired are listed, and silent ones of the plate unless the table of the wells says that they were not
    active: silence is a result.
    """
    separator = _find_separator(lines)
    assert separator is not None
    where = str(path)
    found = _read_list(read_cells(path, separator), where)
    own = [split_electrode_name(name, where) for name in found.names]
    plate, notes = _find_plate(found, own, where)
    wells = plate.list_wells()
    if outside := [well for well, _ in own if well not in wells]:
        raise BadRecording(
            f"{where}: well {outside[0]!r} is not on this plate (A1 to {wells[-1]}). Correct Plate Type."
        )
    times = np.array(found.times_s, np.float64)
    window, note = _read_window(found, times, where)
    notes += [note] if note else []
    trains = SpikeTrains([electrode for _, electrode in own], np.array(found.electrode, np.int64), times, window)
    start, undated = _read_start(found.settings)
    rig = ", ".join(filter(None, ("Axion", found.settings.get("plate type", ""))))
    off = {well for well, text in found.wells.get("active", {}).items() if text.casefold() in OFF}
    well_of = np.array([well for well, _ in own], dtype=object)
    used = [well for well in wells if well not in off or well in set(well_of)]
    return [
        build_recording(
            trains.select(np.flatnonzero(well_of == well)),
            plate.layout,
            f"{where}: {well}",
            format="axion_csv",
            dataset="",
            notes=[*notes, *undated],
            start=start,
            plate=name_plate(path.name),
            well=well,
            rig=rig,
        )
        for well in used
    ]


def _find_separator(lines: list[str]) -> str | None:
    """What separates the cells of the table's head and of the electrodes in wells below it; None without a table."""
    for line in lines:
        lower = line.casefold()
        if "time" not in lower or ELECTRODE not in lower:
            continue
        for separator in SEPARATORS:
            columns = _find_columns(split_line(line, separator))
            if columns and _holds_wells(lines, separator, columns[1]):
                return separator
    return None


def _find_columns(row: list[str]) -> tuple[int, int] | None:
    """Columns of time and electrode, if the row is the head of the table."""
    lower = [cell.casefold() for cell in row]
    time = next((place for place, cell in enumerate(lower) if cell in TIME), None)
    return (time, lower.index(ELECTRODE)) if time is not None and ELECTRODE in lower else None


def _holds_wells(lines: list[str], separator: str, column: int) -> bool:
    """Whether names in a column look like those of electrodes in wells."""
    for line in lines:
        cells = split_line(line, separator)
        if len(cells) > column and re.fullmatch(r"[A-Pa-p]\d{1,2}_\d{2}", cells[column]):
            return True
    return False


def _read_list(rows: Iterator[list[str]], where: str) -> SpikeList:
    found, columns = SpikeList(), None
    for number, row in enumerate(rows, start=1):
        if columns is None and (columns := _find_columns(row)):
            pass  # settings may stand beside the head
        elif row and row[0].casefold().startswith("well information"):
            found.wells = _read_wells(rows, where)
            break
        elif columns and len(row) > max(columns) and (row[columns[0]] or row[columns[1]]):
            time, name = read_number(row[columns[0]]), row[columns[1]]
            if time is None or not 0 <= time < np.inf or not name:
                raise BadRecording(
                    f"{where}, line {number}: {row[columns[0]]!r} of {name!r} is no time of a spike. Export it again."
                )
            found.times_s.append(time)
            found.electrode.append(found.names.setdefault(name, len(found.names)))
        if (columns is None or columns[0] > 1) and len(row) > 1 and row[0] and row[1]:
            found.settings.setdefault(row[0].casefold(), row[1])
    return found


def _read_wells(rows: Iterator[list[str]], where: str) -> dict[str, dict[str, str]]:
    """The table of the wells, a column or a row for each."""
    table = [row for row in rows if any(row)]
    head = table[0] if table else []
    if not head or head[0].casefold() != "well":
        return {}
    if any(WELL.fullmatch(cell.upper()) for cell in head[1:]):
        names = [normalise_well(cell, where) if cell else "" for cell in head[1:]]
        return {row[0].casefold(): dict(zip(names, row[1:])) for row in table[1:] if row[0]}
    lines = {normalise_well(row[0], where): row[1:] for row in table[1:] if WELL.fullmatch(row[0].upper())}
    return {
        what.casefold(): {well: row[place] for well, row in lines.items() if place < len(row)}
        for place, what in enumerate(head[1:])
        if what
    }


def _find_plate(found: SpikeList, own: list[tuple[str, str]], where: str) -> tuple[PlateLayout, list[str]]:
    """The plate that the settings name; else the smallest that has the wells and electrodes which fired."""
    name = found.settings.get("plate type", "")
    if name:
        return find_axion_plate(name, where), []
    for count, plate in AXION.items():
        wells, labels = set(plate.list_wells()), electrode_labels(plate.layout)
        if own and all(well in wells and electrode in labels for well, electrode in own):
            return plate, [
                f"no plate type in the file: taken as one of {count} wells, the smallest that holds all spikes"
            ]
    raise BadRecording(
        f"{where}: states no Plate Type, and its electrodes fit no plate that is known. Export it again."
    )


def _read_window(found: SpikeList, times_s: np.ndarray, where: str) -> tuple[tuple[float, float], str]:
    """From the section that was exported, such as ``0s to 18m2s``; else from the first to the last spike."""
    for name in SECTIONS:
        first, _, last = found.settings.get(name, "").partition(" to ")
        begin, end = _read_duration(first), _read_duration(last)
        if begin is not None and end is not None and begin < end:
            if len(times_s) and not begin <= times_s.min() <= times_s.max() <= end + SLACK_S:
                break
            return (begin, max(end, float(times_s.max(initial=0.0)))), ""
    return bound_by_spikes(times_s, "plate", where)


def _read_duration(text: str) -> float | None:
    """Seconds of ``1h2m3.5s``; None if it is no time.

    >>> _read_duration("18m2s")
    1082.0
    """
    found = re.fullmatch(r"(?:(\d+)h)?\s*(?:(\d+)m)?\s*(?:(\d+(?:[.,]\d+)?)s)?", text.strip())
    if not found or not any(found.groups()):
        return None
    hours, minutes, seconds = found.groups(default="0")
    return 3600 * int(hours) + 60 * int(minutes) + float(seconds.replace(",", "."))


def _read_start(settings: dict[str, str]) -> tuple[str, list[str]]:
    """When it began, ISO 8601, where day and month cannot be mistaken for each other; else a note."""
    text = next((settings[name] for name in STARTS if name in settings), "")
    readings = set()
    for pattern in ("%m/%d/%y %H:%M", "%m/%d/%Y %H:%M", "%m/%d/%Y %H:%M:%S", "%d/%m/%y %H:%M", "%d/%m/%Y %H:%M",
                    "%d/%m/%Y %H:%M:%S", "%Y-%m-%d %H:%M:%S", "%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M"):  # fmt: skip
        try:
            readings.add(datetime.strptime(text, pattern))
        except ValueError:
            continue
    if len(readings) == 1:
        return readings.pop().isoformat(timespec="seconds"), []
    return "", [f"no usable date: {text!r}" if text else "no usable date in the file"]
