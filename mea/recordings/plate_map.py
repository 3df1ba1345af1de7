"""What is in the wells of a plate: ``plates.csv``, as a list or as the table that labs keep in a spreadsheet."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from mea.recordings.lab_tables import list_cells, normalise_text, read_rows
from mea.recordings.plates import ROW_LETTERS
from mea.runtime.errors import MeaError

COLUMNS = ("plate", "well", "label", "culture", "batch")
ANY_PLATE = ("", "*")
LAST_COLUMN = 24  # of a plate of 384 wells


@dataclass(frozen=True)
class WellContent:
    """What is known of a well; an empty text where nothing is said."""

    label: str = ""
    culture: str = ""
    batch: str = ""


#: By plate (``*`` for every plate) and well.
PlateMap = dict[tuple[str, str], WellContent]


def read_plate_map(path: Path) -> PlateMap:
    """Read ``plates.csv``.

    As a list, with the columns plate, well, label, culture and batch. A well is ``A1``; several are ``A1:B6`` (a
    rectangle), ``A`` or ``A:C`` (rows), ``1`` or ``1:6`` (columns), or some of these with blanks between. A plate is
    named as its files are, without the day; an empty one or ``*`` means every plate.

    Or as tables: a row with the plate's name and the numbers of the columns, and below it the rows of the plate, each
    with its letter and the labels of its wells. Several plates stand one below the other.

    Raises
    ------
    MeaError
        If it is neither, names no well, or says two things of one.
    """
    rows = read_rows(path)
    found = _read_tables(rows, path) if _is_column_row(rows[0][1]) else _read_list(rows, path)
    if not found:
        raise MeaError(f"{path}: names no well. Fill it in, or remove it.")
    return found


def look_up_well(plates: PlateMap, plate: str, well: str) -> WellContent | None:
    """What is said of a well of a plate, else of that well of every plate; None where nothing is."""
    return plates.get((plate.casefold(), well)) or plates.get(("*", well))


def list_named_wells(text: str, where: str) -> list[str]:
    """The wells that a text names.

    >>> list_named_wells("A1:B2 C 12", "")[:6], len(list_named_wells("A:C", ""))
    (['A1', 'A2', 'B1', 'B2', 'C1', 'C2'], 72)

    Raises
    ------
    MeaError
        If it names none.
    """
    wells: dict[str, None] = {}
    for part in re.split(r"[\s,;]+", re.sub(r"\s*[:\u2013-]\s*", ":", text.strip().upper())):
        first, _, last = part.partition(":")
        rows, cols = zip(*(_read_corner(corner, part, where) for corner in (first, last or first)))
        for row in range(min(rows)[0], max(rows)[1] + 1):
            for col in range(min(cols)[0], max(cols)[1] + 1):
                wells[f"{ROW_LETTERS[row]}{col}"] = None
    return list(wells)


def _read_corner(corner: str, part: str, where: str) -> tuple[tuple[int, int], tuple[int, int]]:
    """First and last row, and first and last column, of one end of a range."""
    found = re.fullmatch(r"([A-P]?)(\d{0,2})", corner)
    if not found or not corner or part.endswith(":") or (found[2] and not 1 <= int(found[2]) <= LAST_COLUMN):
        raise MeaError(f"{where}: well {part!r} must be like A1, A1:B6, A (a row) or 1 (a column).")
    row = ROW_LETTERS.index(found[1]) if found[1] else None
    col = int(found[2]) if found[2] else None
    return (
        (0, len(ROW_LETTERS) - 1) if row is None else (row, row),
        (1, LAST_COLUMN) if col is None else (col, col),
    )


def _read_list(rows: list[tuple[int, list[str]]], path: Path) -> PlateMap:
    found: PlateMap = {}
    for line, cells in list_cells(rows, COLUMNS, ("well",), path):
        content = WellContent(cells["label"], cells["culture"], cells["batch"])
        for well in list_named_wells(cells["well"], f"{path}, line {line}"):
            _add(found, cells["plate"], well, content, f"{path}, line {line}")
    return found


def _read_tables(rows: list[tuple[int, list[str]]], path: Path) -> PlateMap:
    found: PlateMap = {}
    plate, numbers = "", list[str]()
    for line, row in rows:
        where = f"{path}, line {line}"
        if _is_column_row(row):
            plate, numbers = row[0], [value for value in row[1:] if value]
        elif not re.fullmatch("[A-Pa-p]", row[0]):
            raise MeaError(f"{where}: begins with {row[0]!r}, which is no row of a plate (A, B, …).")
        else:
            for number, label in zip(numbers, row[1:]):
                if label:
                    _add(found, plate, f"{row[0].upper()}{int(number)}", WellContent(label), where)
    return found


def _is_column_row(row: list[str]) -> bool:
    """Whether a row is the head of a plate's table: the columns 1, 2, 3 and so on."""
    numbers = [value for value in row[1:] if value]
    return len(numbers) > 1 and numbers == [str(number) for number in range(1, len(numbers) + 1)]


def _add(found: PlateMap, plate: str, well: str, content: WellContent, where: str) -> None:
    """Add what is said of a well to what was said before."""
    key = ("*" if plate in ANY_PLATE else normalise_text(plate).casefold(), well)
    known = found.get(key, WellContent())
    for name, value in vars(content).items():
        before = getattr(known, name)
        if value and before and value != before:
            raise MeaError(f"{where}: well {well} has the {name} {value!r}, and {before!r} above. Keep one of the two.")
        known = replace(known, **{name: value or before})
    found[key] = known
