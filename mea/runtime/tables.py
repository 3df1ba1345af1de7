"""The pipeline's CSV files: names stay text, empty means unknown, the same bytes for the same table; and Markdown."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from mea.runtime.errors import MeaError
from mea.runtime.files import fresh_file, redo

TEXT = (
    "recording", "label", "culture", "batch", "predicted", "chunk", "status", "reason", "format", "start", "pauses_s",
    "places", "quality",
)  # fmt: skip

WRITTEN_BY = {
    "h5/catalogue.csv": "h5", "catalogue.csv": "array", "chunks.csv": "split", "features.csv": "features",
    "dictionary.csv": "features",
}  # fmt: skip


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table: floats with 9 digits, lines ended as on Linux."""
    with fresh_file(path) as work:
        table.to_csv(work, index=False, float_format="%.9g", lineterminator="\n")


def read_table(path: Path) -> pd.DataFrame:
    """Read what :func:`write_table` wrote.

    Raises
    ------
    MeaError
        If there is no such file, or it is no table.
    """
    stage = WRITTEN_BY.get(f"{path.parent.name}/{path.name}") or WRITTEN_BY.get(path.name, "evaluate")
    try:
        return pd.read_csv(path, dtype=dict.fromkeys(TEXT, str), na_filter=True, keep_default_na=False, na_values={})
    except FileNotFoundError:
        raise MeaError(f"{path}: no such file. It is written by the stage {stage}: dvc repro {stage}.") from None
    except (OSError, ValueError) as error:  # pandas' own are ValueErrors
        raise MeaError(f"{path}: not a table written by a stage ({error}). {redo(stage)}") from None


def list_used(path: Path) -> pd.DataFrame:
    """The recordings of a catalogue that were not set aside, in their order."""
    catalogue = read_table(path)
    return catalogue[catalogue["status"] == "used"].reset_index(drop=True)


def draw_markdown(header: Iterable[str], rows: Iterable[Iterable[Any]]) -> list[str]:
    """The lines of a table in GitHub's Markdown."""
    lines = [list(header), *([escape_markdown(str(cell)) for cell in row] for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return [f"| {' | '.join(line)} |" for line in lines]


def draw_table(header: Iterable[str], rows: Iterable[Iterable[str]], markdown: bool) -> str:
    """A table in GitHub's Markdown, or in columns of even width."""
    if markdown:
        return "\n".join(draw_markdown(header, rows))
    lines = [list(header), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)


def escape_markdown(text: str) -> str:
    """Plain text in one line, whatever signs of Markdown stand in it."""
    return re.sub(r"([\\`*|<>\[\]])", r"\\\1", text.replace("\n", " "))


def flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested mapping as one level: ``{"a": {"b": 1}}`` becomes ``{"a.b": 1}``. Lists stay whole."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
