"""Tables as a lab keeps them: CSV from a spreadsheet of any country, in any of its encodings."""

import csv
import io
import re
import unicodedata
import warnings
from pathlib import Path

from mea.recordings.encodings import SEPARATORS, find_encoding
from mea.runtime.errors import MeaError

UNSEEN = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")  # soft hyphen, zero-width blanks and joiners, marks
LONE_MU = re.compile("(?<![\u0370-\u03ff])\u03bc(?![\u0370-\u03ff])")  # a Greek letter that stands in no Greek word


def read_rows(path: Path) -> list[tuple[int, list[str]]]:
    """The rows of a table that are not empty, with their line numbers; values stripped and composed.

    Separated by commas, semicolons (a German Excel) or tabs, whichever the first row has most of, or what a first line
    ``sep=;`` says. In UTF-8 or UTF-16, with or without byte order mark, else in Windows-1252; lines ended as anywhere.

    Raises
    ------
    MeaError
        If it cannot be read, or is empty.
    """
    try:
        lines = decode_table(path.read_bytes(), path).splitlines(keepends=True)
        skipped = 0
        separator = max(SEPARATORS, key=next((line for line in lines if line.strip()), "").count)
        if lines and (declared := re.fullmatch(r"sep=(.)\s*", lines[0])):
            separator, skipped = declared[1], 1
        reader = csv.reader(io.StringIO("".join(lines[skipped:]), newline=""), delimiter=separator, strict=True)
        rows = [(skipped + reader.line_num, [normalise_text(value) for value in row]) for row in reader]
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise MeaError(f"{path}: cannot be read ({error}). Save it as CSV in UTF-8 (Excel: CSV UTF-8).") from None
    if line := next((line for line, row in rows for value in row if re.search("[\x00-\x08\x0e-\x1f]", value)), 0):
        raise MeaError(f"{path}, line {line}: holds a control character. Remove it, or save the table as CSV UTF-8.")
    rows = [(line, row) for line, row in rows if any(row)]
    if not rows:
        raise MeaError(f"{path}: is empty. Fill it in, or remove it to take labels from the file names.")
    return rows


def decode_table(content: bytes, path: Path) -> str:
    """Text in UTF-8 or UTF-16, else in Windows-1252, which is said: it may be another old encoding.

    >>> decode_table("10 µM".encode("utf-16-le"), Path("a.csv"))
    '10 µM'
    """
    encoding = find_encoding(content, is_whole=True)
    text = content.decode(encoding)
    if encoding == "cp1252":
        warnings.warn(
            f"{path}: not in UTF-8, and read as Windows-1252. Where letters are wrong, save it as CSV UTF-8.",
            stacklevel=2,
        )
    return text


def normalise_text(text: str) -> str:
    """A text as it is compared: composed (NFC), without characters that nobody sees, without blanks around it.

    macOS decomposes an umlaut in a file's name, and a table from elsewhere does not; the Greek letter and the micro
    sign look the same. The same group, spelt in two ways, would be two groups, one on either side of the split.

    >>> normalise_text("Gro\u0308\u00dfe\u200b ") == "Gr\u00f6\u00dfe" and normalise_text("1 \u03bcM") == "1 \u00b5M"
    True
    """
    composed = LONE_MU.sub("\u00b5", unicodedata.normalize("NFC", text))
    return UNSEEN.sub("", composed).strip()


def find_columns(header: list[str], wanted: tuple[str, ...], needed: tuple[str, ...], path: Path) -> dict[str, int]:
    """Where the columns wanted stand; upper and lower case do not matter.

    Raises
    ------
    MeaError
        If one is there twice, or one that is needed is not.
    """
    names = [name.casefold() for name in header]
    for name in wanted:
        if names.count(name) > 1:
            raise MeaError(f"{path}: has the column {name!r} twice. Keep one of the two.")
        if name not in names and name in needed:
            found = ", ".join(header)
            raise MeaError(f"{path}: has no column {name!r}; it has: {found}. Name the columns {', '.join(wanted)}.")
    return {name: names.index(name) for name in wanted if name in names}


def list_cells(
    rows: list[tuple[int, list[str]]], wanted: tuple[str, ...], needed: tuple[str, ...], path: Path
) -> list[tuple[int, dict[str, str]]]:
    """Of every row below the header its line number, and its values by column; those that are not there are empty.

    Raises
    ------
    MeaError
        As :func:`find_columns`; and if a row has more values than there are columns.
    """
    (_, header), *rest = rows
    columns = find_columns(header, wanted, needed, path)
    for line, row in rest:
        if len(row) > len(header) and any(row[len(header) :]):
            raise MeaError(
                f"{path}, line {line}: {len(row)} values under {len(header)} columns. "
                "Put values that hold the separator in double quotes."
            )
    empty = dict.fromkeys(wanted, "")
    return [(line, empty | {name: row[at] for name, at in columns.items() if at < len(row)}) for line, row in rest]
