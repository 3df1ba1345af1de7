"""Plates: files in which every well is a recording of its own, on a small grid of its own."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from mea.runtime.errors import BadRecording

ROW_LETTERS = "ABCDEFGHIJKLMNOP"
WELL = re.compile(r"([A-P])0?([1-9]\d?)")
DATE = re.compile(r"(?<!\d)(?:19|20)\d\d[-_]?[01]\d[-_]?[0-3]\d(?!\d)")
DAY = re.compile(r"[_\- ]*(?<![A-Za-z])(?:DIV|DAY)[_\- ]*\d+(?:\.\d+)?", re.IGNORECASE)


@dataclass(frozen=True)
class PlateLayout:
    """A plate: how its wells lie, and how the electrodes of each lie.

    Attributes
    ----------
    rows, cols
        Of the wells.
    layout
        Name of the wells' layout, one that :func:`mea.recordings.layouts.electrode_labels` knows.
    """

    rows: int
    cols: int
    layout: str

    def list_wells(self) -> list[str]:
        """Names of the wells, row by row: ``A1``, ``A2``, …"""
        return [f"{ROW_LETTERS[row]}{col + 1}" for row in range(self.rows) for col in range(self.cols)]


# Maestro plates by their number of wells. A label is column and row of the electrode in its well, both from 1.
AXION = {
    6: PlateLayout(2, 3, "Axion8x8"),
    12: PlateLayout(3, 4, "Axion8x8"),
    24: PlateLayout(4, 6, "Axion4x4"),
    48: PlateLayout(6, 8, "Axion4x4"),
    96: PlateLayout(8, 12, "Axion3x3"),
}
# Multiwell plates of Multi Channel Systems: 24 wells of 12 electrodes, which carry the same labels in every well.
MCS_MULTIWELL = {24: PlateLayout(4, 6, "MCSWell4x4")}


def find_axion_plate(name: str, where: str) -> PlateLayout:
    """The plate that a name such as ``Axion 48 well`` or ``Maestro 48-Well (Transparent)`` means.

    >>> find_axion_plate("Maestro 48-Well (Transparent)", "").layout
    'Axion4x4'

    Raises
    ------
    BadRecording
        If it names none that is known.
    """
    found = re.search(r"\b(\d+)[\s-]*well", name, re.IGNORECASE)
    if not found or int(found[1]) not in AXION:
        known = ", ".join(map(str, AXION))
        raise BadRecording(f"{where}: plate {name!r} is unknown; known are Axion plates of {known} wells.")
    return AXION[int(found[1])]


def split_electrode_name(name: str, where: str) -> tuple[str, str]:
    """Well and electrode of ``A1_24``; errors as :func:`normalise_well`.

    >>> split_electrode_name("A1_24", "")
    ('A1', '24')
    """
    well, bar, electrode = name.partition("_")
    if not bar:
        raise BadRecording(f"{where}: electrode name {name!r} must look like A1_24: well, column and row.")
    return normalise_well(well, where), electrode


def normalise_well(name: str, where: str) -> str:
    """``A1`` of ``a01``.

    Raises
    ------
    BadRecording
        If it is no name of a well.
    """
    found = WELL.fullmatch(name.strip().upper())
    if not found:
        raise BadRecording(f"{where}: well {name!r} must look like A1: a letter for the row, a number for the column.")
    return f"{found[1]}{found[2]}"


def find_reused_plates(names: Iterable[str]) -> dict[str, list[str]]:
    """Plates whose names differ in nothing but a date, by what they share: the dates.

    >>> find_reused_plates(["20130814_MW1010-21", "20131030_MW1010-21", "20130911_MW1007-22"])
    {'MW1010-21': ['20130814', '20131030']}
    """
    dates: dict[str, set[str]] = {}
    for name in names:
        if found := DATE.search(name):
            rest = (name[: found.start()] + name[found.end() :]).strip("_- ")
            dates.setdefault(rest, set()).add(found[0])
    return {rest: sorted(found) for rest, found in sorted(dates.items()) if len(found) > 1}


def name_plate(path: str) -> str:
    """The plate that a file is of, by its name: without its suffix and without the day, which changes.

    >>> name_plate("20130814_MW1010-21.zip/20130814_MW1010-21_DIV05.h5")
    '20130814_MW1010-21'
    """
    stem = re.sub(r"(_spike_list)?(\.csv|\.h5|\.hdf5)?(\.gz)?$", "", PurePosixPath(path).name, flags=re.IGNORECASE)
    return DAY.sub("", stem).strip("_- ") or stem
