"""The pipeline's CSV files: names stay text, empty means unknown, the same bytes for the same table."""

from pathlib import Path

import pandas as pd

from mea.errors import MeaError
from mea.files import fresh_file

TEXT = ("recording", "label", "culture", "batch", "predicted", "chunk", "status", "reason", "format", "start")

WRITTEN_BY = {"catalogue.csv": "array", "chunks.csv": "split"}


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table: floats with 9 digits, lines ended as on Linux."""
    with fresh_file(path) as work:
        table.to_csv(work, index=False, float_format="%.9g", lineterminator="\n")


def read_table(path: Path) -> pd.DataFrame:
    """Read what :func:`write_table` wrote.

    Raises
    ------
    MeaError
        If there is no such file.
    """
    try:
        return pd.read_csv(path, dtype=dict.fromkeys(TEXT, str), na_filter=True, keep_default_na=False, na_values={})
    except FileNotFoundError:
        stage = WRITTEN_BY.get(path.name, "evaluate")
        raise MeaError(f"{path}: no such file. It is written by the stage {stage}: dvc repro {stage}.") from None


def list_used(path: Path) -> pd.DataFrame:
    """The recordings of a catalogue that were not set aside, in their order."""
    catalogue = read_table(path)
    return catalogue[catalogue["status"] == "used"].reset_index(drop=True)
