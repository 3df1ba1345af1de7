"""The lab's own layouts of electrodes: ``layouts.csv``, beside ``recordings.csv``."""

import math
from pathlib import Path

from mea.recordings.formats.text_files import read_number
from mea.recordings.lab_tables import list_cells, read_rows
from mea.recordings.layouts import NO_LAYOUTS, Layout, Layouts
from mea.recordings.manifest import LAYOUTS_CSV
from mea.runtime.errors import MeaError

COLUMNS = ("layout", "electrode", "row", "col", "x_um", "y_um")
NEEDED = ("layout", "electrode", "row", "col")
LARGEST = 4096  # rows or columns of a grid


def find_layouts(folder: Path) -> Layouts:
    """The layouts of a folder's ``layouts.csv``; none where it has none.

    Raises
    ------
    MeaError
        As :func:`read_layouts`.
    """
    path = folder / LAYOUTS_CSV
    return read_layouts(path) if path.is_file() else NO_LAYOUTS


def read_layouts(path: Path) -> Layouts:
    """Read ``layouts.csv``: the columns layout, electrode, row, col and, where they are known, x_um and y_um.

    Rows and columns count from 0, row 0 on top; places may be empty, so that a hexagonal array takes every second
    column. Positions are in µm.

    Raises
    ------
    MeaError
        If a column or a value is missing or no number, or if two electrodes share a label or a place.
    """
    layouts: dict[str, Layout] = {}
    taken = set[tuple[str, int, int]]()
    for line, cells in list_cells(read_rows(path), COLUMNS, NEEDED, path):
        where = f"{path}, line {line}"
        if not cells["layout"] or not cells["electrode"]:
            raise MeaError(f"{where}: names no layout or no electrode. Fill both in.")
        layout = layouts.setdefault(cells["layout"], Layout(cells["layout"], {}))
        place = _read_place(cells["row"], "row", where), _read_place(cells["col"], "col", where)
        if cells["electrode"] in layout.places:
            raise MeaError(f"{where}: electrode {cells['electrode']!r} of {layout.name!r} stands there twice.")
        if (layout.name, *place) in taken:
            raise MeaError(f"{where}: row {place[0]}, col {place[1]} of {layout.name!r} holds an electrode already.")
        taken.add((layout.name, *place))
        layout.places[cells["electrode"]] = place
        if cells["x_um"] or cells["y_um"]:
            position = _read_position(cells["x_um"], "x_um", where), _read_position(cells["y_um"], "y_um", where)
            layout.positions_um[cells["electrode"]] = position
    return layouts


def _read_place(text: str, name: str, where: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) >= LARGEST:
        raise MeaError(
            f"{where}: {name} {text!r} must be a whole number from 0 to {LARGEST - 1}, counted from the top left."
        )
    return int(text)


def _read_position(text: str, name: str, where: str) -> float:
    value = read_number(text)
    if value is None or not math.isfinite(value):
        raise MeaError(f"{where}: {name} {text!r} must be a number, in µm; give both x_um and y_um, or neither.")
    return value
