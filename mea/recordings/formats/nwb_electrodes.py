"""Where the electrodes of an NWB file stand."""

import h5py
import numpy as np

from mea.recordings.formats.hdf5 import decode_text, read_dataset
from mea.recordings.layouts import Grid, Layouts
from mea.runtime.errors import BadRecording

TABLE = "general/extracellular_ephys/electrodes"
POSITIONS = (("rel_x", "rel_y"), ("x", "y"))
LABELS = ("label", "electrode_name", "channel_name")
MOST_EMPTY = 16  # places of the grid for each electrode: more, and positions are no grid


def place_electrodes(
    h5: h5py.File, region: np.ndarray, layouts: Layouts, where: str
) -> tuple[Grid, np.ndarray, list[str]]:
    """The places of some lines of the table of electrodes, sorted by them.

    By the columns ``row`` and ``col``; by labels that the only fitting layout of the lab has; or by positions, whose
    distinct values make the columns (x) and rows (y) of the grid, which a note says.

    Returns
    -------
    grid
        The places, sorted by row and column.
    channel
        (n,) which of ``region`` stands at each place.
    notes
        What was assumed.

    Raises
    ------
    BadRecording
        If they have no places, or two share one.
    """
    count, table = count_electrodes(h5, where), h5[TABLE]
    if not len(region) or region.min() < 0 or region.max() >= count:
        raise BadRecording(f"{where}: its electrodes are not among the {count} of the table. Export it again.")
    x_um, y_um = _read_positions(table, where)
    names = _read_names(table, count, where)
    layout, notes = "NWB", list[str]()
    if "row" in table and "col" in table:
        row, col = (read_dataset(table, name, where).astype(np.int64) for name in ("row", "col"))
        rows, cols = int(row.max(initial=0)) + 1, int(col.max(initial=0)) + 1
    elif own := [one for one in layouts.values() if set(names) <= set(one.places)]:
        if len(own) > 1:
            raise BadRecording(f"{where}: several layouts of layouts.csv have its electrodes. Label them differently.")
        layout = own[0].name
        row, col = np.array([own[0].places[name] for name in names], np.int64).T
        rows, cols = (int(size) + 1 for size in np.max(list(own[0].places.values()), axis=0))
    else:
        columns, col = np.unique(x_um, return_inverse=True)
        lines, row = np.unique(y_um, return_inverse=True)
        rows, cols = len(lines), len(columns)
        if not np.isfinite(x_um + y_um).all() or rows * cols > MOST_EMPTY * count:
            raise BadRecording(
                f"{where}: its electrodes have no places: give row and col, or x and y on a grid, in the table of "
                "electrodes, or describe the layout in layouts.csv, by its labels."
            )
        notes.append(f"places are those of the positions: {cols} columns by x, {rows} rows by y")
    row, col = row[region], col[region]
    order = np.lexsort((col, row))
    if ((np.diff(row[order]) == 0) & (np.diff(col[order]) == 0)).any() or row.min() < 0 or col.min() < 0:
        raise BadRecording(f"{where}: two electrodes at one place, or one at none. Correct the table of electrodes.")
    at = region[order]
    used, own_names = np.ones(len(at), bool), tuple(names[one] for one in at.tolist())
    grid = Grid(layout, rows, cols, row[order], col[order], used, own_names, float("nan"), x_um[at], y_um[at], ())
    return grid, order, notes


def count_electrodes(h5: h5py.File, where: str) -> int:
    """Lines of the table of electrodes.

    Raises
    ------
    BadRecording
        If there is none.
    """
    table = h5.get(TABLE)
    if not isinstance(table, h5py.Group):
        raise BadRecording(f"{where}: has no table of electrodes ({TABLE}). Export it again.")
    return len(read_dataset(table, "id", where))


def _read_positions(table: h5py.Group, where: str) -> tuple[np.ndarray, np.ndarray]:
    """x and y of every electrode, µm; NaN where the file has none."""
    for pair in POSITIONS:
        if all(name in table for name in pair):
            x_um, y_um = (read_dataset(table, name, where).astype(np.float64) for name in pair)
            if np.isfinite(x_um).any():
                return x_um, y_um
    unknown = np.full(len(table["id"]), np.nan)
    return unknown, unknown


def _read_names(table: h5py.Group, count: int, where: str) -> list[str]:
    """Labels of the electrodes, or else their ids."""
    for name in LABELS:
        if name in table:
            return [decode_text(one) for one in read_dataset(table, name, where)]
    return [str(one) for one in read_dataset(table, "id", where).tolist()]
