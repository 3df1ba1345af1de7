"""Tables of spikes as text: plain or gzipped, in any of the usual encodings, separators and line ends."""

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path

from mea.runtime.errors import BadRecording

SEPARATORS = ",;\t"
LOOKED_AT = 200  # lines among which the head of the table stands
GZIP_MAGIC = b"\x1f\x8b"


def read_table_head(path: Path) -> list[str]:
    """The first lines of a file; none where it is no text."""
    try:
        with _open(path) as stream:
            head = stream.read(1 << 16)
    except (OSError, EOFError, zlib.error):
        return []
    return decode_head(head)


def decode_head(head: bytes) -> list[str]:
    """The first lines of a text that begins with these bytes; none where it is no text."""
    encoding = _find_encoding(head)
    if encoding.startswith("utf-16"):
        head = head[: len(head) // 2 * 2]
    text = head.decode(encoding, errors="replace")
    if "\0" in text:
        return []
    return io.StringIO(text, newline=None).read().split("\n")[:LOOKED_AT]


def read_cells(path: Path, separator: str) -> Iterator[list[str]]:
    """The rows of a table, one after the other; values stripped.

    Raises
    ------
    BadRecording
        If the file ends too early, or is no text.
    """
    try:
        with _open(path) as stream:
            encoding = _find_encoding(stream.read(1 << 16))
        with _open(path) as stream, io.TextIOWrapper(stream, encoding, newline=None) as text:
            for row in csv.reader(text, delimiter=separator):
                yield [cell.strip() for cell in row]
    except UnicodeDecodeError:
        if encoding == "cp1252":
            raise BadRecording(f"{path}: cannot be read as text. Save it as CSV UTF-8.") from None
        raise BadRecording(f"{path}: not all of it is in {encoding}. Save it as CSV UTF-8.") from None
    except (OSError, EOFError, zlib.error, csv.Error) as error:
        raise BadRecording(f"{path}: cannot be read ({error}). It is truncated or damaged: copy it again.") from None


def _open(path: Path):
    with path.open("rb") as stream:
        is_gzip = stream.read(2) == GZIP_MAGIC
    return gzip.open(path, "rb") if is_gzip else path.open("rb")


def _find_encoding(head: bytes) -> str:
    """UTF-8 or UTF-16 where the first bytes are that, else Windows-1252, in which a micro sign is one byte."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if b"\0" in head[:100]:
        return "utf-16-be" if head[:1] == b"\0" else "utf-16-le"
    try:
        head[:-4].decode("utf-8")  # the last letter may be cut
    except UnicodeDecodeError as error:
        if error.start < len(head) - 8:
            return "cp1252"
    return "utf-8-sig"


def split_line(line: str, separator: str) -> list[str]:
    """The cells of one line; values stripped."""
    return [cell.strip() for cell in next(csv.reader([line], delimiter=separator), [])]


def read_number(text: str) -> float | None:
    """A number with a decimal point or comma; None if it is none.

    >>> read_number("12,5"), read_number("1.5e3"), read_number("A1")
    (12.5, 1500.0, None)
    """
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return None
