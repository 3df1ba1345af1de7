"""Tables of spikes as text: plain or gzipped, in any of the usual encodings, separators and line ends."""

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from mea.recordings.encodings import find_encoding
from mea.runtime.errors import BadRecording

LOOKED_AT_BYTES, LOOKED_AT_LINES = 1 << 16, 200  # among which the head of a table stands
GZIP_MAGIC = b"\x1f\x8b"


def read_head(path: Path) -> bytes:
    """The first bytes of a file, as they are stored; none of one that cannot be read."""
    try:
        with path.open("rb") as stream:
            return stream.read(LOOKED_AT_BYTES)
    except OSError:
        return b""


def decode_head(head: bytes) -> list[str]:
    """The first lines of a text, plain or gzipped, that begins with these bytes; none where it is no text."""
    if head.startswith(GZIP_MAGIC):
        try:
            head = zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(head, LOOKED_AT_BYTES)
        except zlib.error:
            return []
    encoding = find_encoding(head, is_whole=False)
    if encoding.startswith("utf-16"):
        head = head[: len(head) // 2 * 2]
    text = head.decode(encoding, errors="replace")
    if "\0" in text:
        return []
    return io.StringIO(text, newline=None).read().split("\n")[:LOOKED_AT_LINES]


def read_cells(path: Path, separator: str) -> Iterator[list[str]]:
    """The rows of a table, one after the other; values stripped.

    Raises
    ------
    BadRecording
        If the file ends too early, or is no text.
    """
    try:
        with _open(path) as stream:
            encoding = find_encoding(stream.read(LOOKED_AT_BYTES), is_whole=False)
        with _open(path) as stream, io.TextIOWrapper(stream, encoding, newline=None) as text:
            for row in csv.reader(text, delimiter=separator):
                yield [cell.strip() for cell in row]
    except UnicodeDecodeError:
        if encoding == "cp1252":
            raise BadRecording(f"{path}: cannot be read as text. Save it as CSV UTF-8.") from None
        raise BadRecording(f"{path}: not all of it is in {encoding}. Save it as CSV UTF-8.") from None
    except (OSError, EOFError, zlib.error, csv.Error) as error:
        raise BadRecording(f"{path}: cannot be read ({error}). It is truncated or damaged: copy it again.") from None


def _open(path: Path) -> IO[bytes]:
    is_gzip = read_head(path).startswith(GZIP_MAGIC)
    return gzip.open(path, "rb") if is_gzip else path.open("rb")  # type: ignore[return-value]


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
