"""Read spike times from a table: one row a spike (``electrode``, ``time``), or one column an electrode.

Lines that begin with ``#`` state what the numbers mean: ``# unit: ms`` (s, ms, us or samples), ``# sampling_rate:
25000``, ``# duration: 600`` (s), ``# layout: 60MEA``. The unit may also stand in the head: ``time (ms)``.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mea.recordings.encodings import SEPARATORS
from mea.recordings.formats.spike_trains import SpikeTrains, bound_by_spikes, build_recording
from mea.recordings.formats.text_files import read_cells, read_number, split_line
from mea.recordings.layouts import Layouts, map_labels_to_grid
from mea.recordings.recording import RawRecording
from mea.runtime.errors import BadRecording

NAME = "table of spike times"
ELECTRODES = ("electrode", "channel")
TIME = re.compile(r"(?:spike[ _]?)?times?\s*[\[(]?\s*(s|ms|us|µs|samples?)?\s*[\])]?", re.IGNORECASE)
UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6}
LABEL = re.compile(r"[A-R]?\d{1,3}|E\d{1,4}")
FLAG = re.compile(r"#\s*(\w+)\s*[:=]\s*(.*)")


def matches(lines: list[str]) -> bool:
    """Whether the first lines are such a table: a head that names electrodes, and numbers below it."""
    return _find_head(lines) is not None


def read(path: Path, lines: list[str], layouts: Layouts) -> list[RawRecording | BadRecording]:
    """The recording of the file; see :func:`mea.recordings.formats.read_raw_recordings`."""
    head = _find_head(lines)
    assert head is not None
    separator, names, flags = head
    where = str(path)
    rows = (row for row in read_cells(path, separator) if any(row) and not row[0].startswith("#"))
    next(rows)  # the head
    place = _find_long(names)
    trains, unit = _read_long(rows, names, place, where) if place else (_read_wide(rows, names, where), None)
    scale = _find_scale(flags, unit, where)
    labels = list(trains)
    times = np.concatenate([np.zeros(0), *(np.sort(np.array(trains[label])) for label in labels)]) * scale
    channel = np.repeat(np.arange(len(labels)), [len(trains[label]) for label in labels])
    grid = map_labels_to_grid(flags.get("layout", ""), labels, where, layouts)
    window, note = _read_window(flags, times, where)
    found = SpikeTrains(labels, channel, times, window).select(np.flatnonzero(grid.used))
    notes = [*grid.notes, *([note] if note else [])]
    return [build_recording(found, grid.layout, where, layouts, format="spike_table", dataset="", notes=notes)]


def _find_head(lines: list[str]) -> tuple[str, list[str], dict[str, str]] | None:
    """Separator and names of the columns, and what is stated above them; None where it is no such table."""
    flags: dict[str, str] = {}
    rest = [line for line in lines if line.strip()]
    while rest and rest[0].lstrip().startswith("#"):
        found = FLAG.match(rest.pop(0).lstrip())
        if found:
            flags[found[1].casefold()] = found[2].strip().strip(SEPARATORS)
    if len(rest) < 2:
        return None
    for separator in SEPARATORS:
        names, below = split_line(rest[0], separator), split_line(rest[1], separator)
        numbers = [cell for cell in below if cell]
        if _find_long(names) and len(below) >= 2:
            return separator, names, flags
        all_labels = len(names) > 1 and all(LABEL.fullmatch(name) for name in names)
        if all_labels and numbers and all(read_number(cell) is not None for cell in numbers):
            return separator, names, flags
    return None


def _find_long(names: list[str]) -> tuple[int, int] | None:
    """Columns of electrode and time, of a table with one row a spike."""
    electrode = next((number for number, name in enumerate(names) if name.casefold() in ELECTRODES), None)
    time = next((number for number, name in enumerate(names) if TIME.fullmatch(name)), None)
    return None if electrode is None or time is None else (electrode, time)


def _read_long(
    rows: Iterator[list[str]], names: list[str], place: tuple[int, int], where: str
) -> tuple[dict[str, list[float]], str | None]:
    electrode, time = place
    trains: dict[str, list[float]] = {}
    for number, row in enumerate(rows, start=1):
        value = read_number(row[time]) if len(row) > max(place) else None
        if value is None or not row[electrode]:
            raise BadRecording(f"{where}: row {number} below the head holds no electrode with a time: {row[:4]}.")
        trains.setdefault(row[electrode], []).append(value)
    found = TIME.fullmatch(names[time])
    return trains, found[1] if found else None


def _read_wide(rows: Iterator[list[str]], names: list[str], where: str) -> dict[str, list[float]]:
    trains: dict[str, list[float]] = {name: [] for name in names}
    for number, row in enumerate(rows, start=1):
        for name, cell in zip(names, row):
            value = read_number(cell) if cell else None
            if cell and value is None:
                raise BadRecording(f"{where}: row {number} below the head holds {cell!r} of {name}, which is no time.")
            if value is not None:
                trains[name].append(value)
    return trains


def _find_scale(flags: dict[str, str], unit: str | None, where: str) -> float:
    """Seconds of a unit of time, as the head or a flag states it.

    Raises
    ------
    BadRecording
        If neither does: a unit is not guessed.
    """
    named = (flags.get("unit") or unit or "").casefold()
    rate = read_number(flags.get("sampling_rate", "").split(" ")[0])
    if named in UNITS:
        return UNITS[named]
    if named in ("sample", "samples") and rate is not None and rate > 0:
        return 1 / rate
    raise BadRecording(
        f"{where}: the unit of its times is not stated, or unknown ({named!r}). Write a line '# unit: s' (ms, us, or "
        "samples with '# sampling_rate: 25000') above the head."
    )


def _read_window(flags: dict[str, Any], times_s: np.ndarray, where: str) -> tuple[tuple[float, float], str]:
    if "duration" not in flags:
        return bound_by_spikes(times_s, "file", where)
    duration_s = read_number(flags["duration"].split(" ")[0])
    if duration_s is None or not 0 < duration_s < np.inf or (len(times_s) and not times_s.min() >= 0):
        raise BadRecording(f"{where}: duration {flags['duration']!r} must be seconds above 0, and times from 0.")
    if times_s.max(initial=0.0) > duration_s:
        raise BadRecording(f"{where}: a spike at {times_s.max():g} s lies beyond the duration of {duration_s:g} s.")
    return (0.0, duration_s), ""
