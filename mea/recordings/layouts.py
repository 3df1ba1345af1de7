"""From electrode labels to rows and columns of the grid, for the known layouts."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mea.runtime.errors import BadRecording

LETTERS = "ABCDEFGHJKLMNOPR"  # the vendor skips I and Q
CORNERS_60 = {"11", "18", "81", "88"}
CORNERS_120 = set(
    "A1 B1 C1 A2 B2 A3 K1 L1 M1 L2 M2 M3 A10 A11 B11 A12 B12 C12 M10 L11 M11 K12 L12 M12".split()  # noqa: SIM905
)
NO_ELECTRODE = {("256MEA", corner) for corner in ("A1", "A16", "R1", "R16")}  # grounds; there are 252 electrodes
# One well of a plate: electrodes in a row and column, and the labels that are not there.
WELLS: dict[str, tuple[int, set[str]]] = {
    "Axion8x8": (8, set()),
    "Axion4x4": (4, set()),
    "Axion3x3": (3, {"22"}),
    "MCSWell4x4": (4, {"11", "14", "41", "44"}),
}
# The labels of the rows of ChannelData, 0 to 119, as the predecessor's 120-electrode rig wrote them.
RIG_ROW_ORDER = tuple(
    """
    F7 F8 F12 F11 F10 F9 E12 E11 E10 E9 D12 D11 D10 D9 C11 C10 B10 E8 C9 B9 A9 D8 C8 B8 A8 D7 C7 B7 A7 E7
    F6 E6 A6 B6 C6 D6 A5 B5 C5 D5 A4 B4 C4 D4 B3 C3 C2 E5 D3 D2 D1 E4 E3 E2 E1 F4 F3 F2 F1 F5
    G6 G5 G1 G2 G3 G4 H1 H2 H3 H4 J1 J2 J3 J4 K2 K3 L3 H5 K4 L4 M4 J5 K5 L5 M5 J6 K6 L6 M6 H6
    G7 H7 M7 L7 K7 J7 M8 L8 K8 J8 M9 L9 K9 J9 L10 K10 K11 H8 J10 J11 J12 H9 H10 H11 H12 G9 G10 G11 G12 G8
    """.split()  # noqa: SIM905
)


@dataclass(frozen=True)
class Layout:
    """Where the electrodes of a lab's own layout stand: one of ``layouts.csv`` (:mod:`mea.recordings.lab_layouts`).

    Attributes
    ----------
    name
        As the recordings name it.
    places
        Row and column of each electrode label.
    positions_um
        x and y of each label whose position is stated, µm, whatever their direction.
    """

    name: str
    places: dict[str, tuple[int, int]]
    positions_um: dict[str, tuple[float, float]] = field(default_factory=dict)


Layouts = Mapping[str, Layout]
NO_LAYOUTS: Layouts = {}


@dataclass(frozen=True)
class Grid:
    """Where each of ``n`` channels stands.

    Attributes
    ----------
    layout
        Name of the layout without pitch and material: ``120MEA``, ``60MEA``, ``256MEA``, ``MCS_8x8``, ``Linear<N>``; or
        one of the lab's own.
    rows, cols
        Size of the grid.
    row, col
        (n,) int, from 0, row 0 on top; -1 for a channel without a place.
    used
        (n,) bool: False for a reference, which has no place.
    names
        (n,) electrode labels, blanks removed; those deduced where the file has none.
    pitch_um
        Distance between neighbours, as the layout's name states it; NaN where it does not.
    x_um, y_um
        (n,) float64 positions: by the pitch, or as the lab's layout states them; else NaN.
    notes
        What had to be assumed, in words.
    """

    layout: str
    rows: int
    cols: int
    row: np.ndarray
    col: np.ndarray
    used: np.ndarray
    names: tuple[str, ...]
    pitch_um: float
    x_um: np.ndarray
    y_um: np.ndarray
    notes: tuple[str, ...]

    def sort_used(self) -> np.ndarray:
        """Numbers of the channels that have a place, sorted by row and column."""
        used = np.flatnonzero(self.used)
        return used[np.lexsort((self.col[used], self.row[used]))]

    def build_fields(self, channels: np.ndarray | slice = slice(None)) -> dict[str, Any]:
        """What a :class:`mea.recordings.recording.RawRecording` has of it, of some channels or of all."""
        return {
            "layout": self.layout,
            "rows": self.rows,
            "cols": self.cols,
            "names": np.array(self.names, object)[channels],
            **{name: getattr(self, name)[channels] for name in ("row", "col", "x_um", "y_um")},
        }


def map_labels_to_grid(layout: str, labels: Sequence[str], where: str, layouts: Layouts = NO_LAYOUTS) -> Grid:
    """Find each channel's row and column on the grid.

    Parameters
    ----------
    layout
        The layout's name, padded or with suffixes as in a file: ``120MEA200/30iR-Ti``. One that is empty or unknown
        is deduced from the labels: the smallest grid whose naming fits them all.
    labels
        (n,) electrode labels in the order of the samples' rows. When 120 labels are all empty, that order is
        taken to be the 120-electrode rig's.
    where
        File and stream, for messages.
    layouts
        The lab's own, by name; one of these names means that layout and no other.

    Examples
    --------
    >>> grid = map_labels_to_grid("60MEA200/30iR-Ti", ["12", "21", "Ref"], "one.h5")
    >>> grid.row.tolist(), grid.col.tolist(), grid.pitch_um, grid.notes
    ([1, 0, -1], [0, 1, -1], 200.0, ('reference left out: Ref',))

    Raises
    ------
    BadRecording
        If the layout is unknown, a label is not one of it, or two channels stand on one electrode.
    """
    names = tuple(label.strip("\0 \t\r\n") for label in labels)
    notes: list[str] = []
    name = _recognise_layout(layout, layouts)
    if not any(names):
        names = _name_rows(layout, name, len(names), where, notes)
    places_wanted = [label for label in names if not (_is_reference(label) or _is_auxiliary(label))]
    if name is None:
        name = _deduce_layout(layout, places_wanted, where, layouts)
        notes.append(f"layout {layout.strip()!r} is not one we know; {name} deduced from the electrode labels")
    places = _map_labels(name, layouts)
    _check_labels(places_wanted, places, name, where)
    for what, is_one in (("reference", _is_reference), ("no electrode,", _is_auxiliary)):
        if left_out := [label for label in names if is_one(label)]:
            notes.append(f"{what} left out: {', '.join(left_out)}")
    found = np.array([places.get(label, (-1, -1)) for label in names], np.int64).reshape(-1, 2)
    rows, cols = np.max(list(places.values()), axis=0) + 1
    used, pitch_um = found[:, 0] >= 0, read_pitch(layout)
    x_um, y_um = found[:, 1] * pitch_um, found[:, 0] * pitch_um
    if name in layouts:
        positions = layouts[name].positions_um
        x_um, y_um = np.array([positions.get(label, (np.nan, np.nan)) for label in names]).reshape(-1, 2).T
    return Grid(name, int(rows), int(cols), found[:, 0], found[:, 1], used, names, pitch_um, x_um, y_um, tuple(notes))


def electrode_labels(layout: str, layouts: Layouts = NO_LAYOUTS) -> dict[str, tuple[int, int]]:
    """The (row, col) of every electrode label of a layout, sorted by (row, col).

    >>> electrode_labels("Linear3")
    {'E1': (0, 0), 'E2': (1, 0), 'E3': (2, 0)}

    Raises
    ------
    BadRecording
        If the layout is not one we know.
    """
    name = _recognise_layout(layout, layouts)
    if name is None:
        raise BadRecording(
            f"layout {layout.strip()!r} is unknown; known are {_list_layouts(layouts)}. Describe it in layouts.csv, "
            "beside the recordings (docs/formats.md)."
        )
    found = _map_labels(name, layouts)
    places = {label: place for label, place in found.items() if (name, label) not in NO_ELECTRODE}
    return dict(sorted(places.items(), key=lambda item: item[1]))


def is_known(layout: str) -> bool:
    """Whether a layout is one whose electrodes are all known here; a lab's own and a routed one are not."""
    return _recognise_layout(layout, NO_LAYOUTS) is not None


def read_pitch(layout: str) -> float:
    """Distance between neighbouring electrodes in µm as the layout's name says: 200 of ``60MEA200/30``; else NaN."""
    found = re.search(r"MEA(\d+)/|MCS_8x8_(\d+)um", layout)
    return float(found[1] or found[2]) if found else float("nan")


def _recognise_layout(layout: str, layouts: Layouts) -> str | None:
    if layout.strip() in layouts or layout.strip() in WELLS:
        return layout.strip()
    found = re.match(r"(60MEA|120MEA|256MEA|MCS_8x8(?=_\d+um\s*$)|Linear[1-9]\d{0,3}(?!\d))", layout.strip())
    return found[0] if found else None


def _map_labels(name: str, layouts: Layouts = NO_LAYOUTS) -> dict[str, tuple[int, int]]:
    if name in layouts:
        return layouts[name].places
    if name.startswith("Linear"):
        return {f"E{place + 1}": (place, 0) for place in range(int(name.removeprefix("Linear")))}
    if name in WELLS:
        size, missing = WELLS[name]
        places = {f"{col + 1}{row + 1}": (row, col) for row in range(size) for col in range(size)}
        return {label: place for label, place in places.items() if label not in missing}
    if name in ("60MEA", "MCS_8x8"):
        labels = {f"{col + 1}{row + 1}": (row, col) for row in range(8) for col in range(8)}
        return {label: place for label, place in labels.items() if label not in CORNERS_60}
    size = {"120MEA": 12, "256MEA": 16}[name]
    labels = {f"{LETTERS[col]}{row + 1}": (row, col) for row in range(size) for col in range(size)}
    return {label: place for label, place in labels.items() if size != 12 or label not in CORNERS_120}


def _deduce_layout(layout: str, names: Sequence[str], where: str, layouts: Layouts) -> str:
    own = [name for name, one in layouts.items() if set(names) <= set(one.places)]
    if names and len(own) == 1:
        return own[0]
    numbers = [re.fullmatch(r"E([1-9]\d{0,3})", name) for name in names]
    length = max((int(number[1]) for number in numbers if number), default=0)
    candidates = ["60MEA", "120MEA", "256MEA"]
    candidates += [f"Linear{length}"] if length and not layout.strip() else []  # one that has a name is no mere line
    fitting = [name for name in candidates if set(names) <= set(_map_labels(name))]
    if not fitting or not names:
        shown = ", ".join(repr(name) for name in names[:5])
        raise BadRecording(
            f"{where}: layout {layout.strip()!r} is unknown, and its electrode labels ({shown}, ...) fit none of "
            f"{_list_layouts(layouts)}. Describe it in layouts.csv, beside the recordings (docs/formats.md)."
        )
    return min(fitting, key=lambda name: len(_map_labels(name)))


def _name_rows(layout: str, name: str | None, count: int, where: str, notes: list[str]) -> tuple[str, ...]:
    if count != len(RIG_ROW_ORDER) or name not in (None, "120MEA"):
        raise BadRecording(
            f"{where}: layout {layout.strip()!r} of {count} channels is unknown without electrode labels, and every "
            f"label is empty. The order of the rows is known for 120 channels only; export the file with labels."
        )
    notes.append("no electrode labels in the file: the rows are taken to be in the 120-electrode rig's order")
    return RIG_ROW_ORDER


def _check_labels(names: Sequence[str], places: dict[str, tuple[int, int]], layout: str, where: str) -> None:
    unknown = [name for name in names if name not in places]
    if unknown:
        raise BadRecording(
            f"{where}: electrode label {unknown[0]!r} is unknown in the layout {layout} ({len(places)} electrodes, "
            f"{next(iter(places))} to {list(places)[-1]}). Correct the label or the layout's name in the file."
        )
    twice = [name for name in dict.fromkeys(names) if list(names).count(name) > 1]
    if twice:
        raise BadRecording(f"{where}: two channels on one electrode, {twice[0]!r}. Give each channel its own label.")


def _is_reference(label: str) -> bool:
    return re.fullmatch(r"ref\d*", label, re.IGNORECASE) is not None


def _is_auxiliary(label: str) -> bool:
    """Whether a channel is an analog or digital input of the rig, which some software writes among the electrodes."""
    return re.fullmatch(r"(an|ai|analog|di|dig|digital|aux|trig|trigger)[\s_]*\d*", label, re.IGNORECASE) is not None


def _list_layouts(layouts: Layouts) -> str:
    return ", ".join(["60MEA, 120MEA, 256MEA, MCS_8x8_<pitch>um, Linear<N>", *sorted(layouts)])
