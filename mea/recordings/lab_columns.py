"""Further columns of the lab's ``recordings.csv``, such as ``days_in_vitro`` or ``operator``, carried along.

They go beside the catalogues as ``lab.csv`` (:data:`FILE`), from stage to stage: the audit of confounds looks at them,
the table of features and the report show them.
"""

import shutil
from pathlib import Path

import pandas as pd

from mea.recordings.lab_tables import list_cells
from mea.recordings.labels import COLUMNS, SUFFIX
from mea.recordings.recording import LabelledRecording
from mea.runtime.errors import MeaError
from mea.runtime.files import redo
from mea.runtime.tables import read_table, write_table

FILE = "lab.csv"
PREFIX = "lab: "  # of these columns where they stand beside others
MOST_CATEGORIES = 12  # distinct values of a column by which recordings are grouped and filtered


def build_lab_columns(rows: list[tuple[int, list[str]]], path: Path) -> pd.DataFrame:
    """The further columns of ``recordings.csv``, all text, by recording.

    Raises
    ------
    MeaError
        If one of them is there twice.
    """
    names = {name.casefold(): name for name in rows[0][1] if name and name.casefold() not in COLUMNS}
    lines = [cells for _, cells in list_cells(rows, ("recording", *names), ("recording",), path)]
    table = pd.DataFrame(lines, columns=["recording", *names], dtype=object).rename(columns=names)
    return table.assign(recording=table["recording"].str.replace(SUFFIX, "", regex=True)).set_index("recording")


def write_lab_columns(
    folder: Path, listed: pd.DataFrame, files: dict[str, str], recordings: list[LabelledRecording]
) -> None:
    """Write them for the recordings that are used; nothing where there are none.

    Parameters
    ----------
    folder
        Of the catalogue.
    listed
        As :func:`build_lab_columns` gives them.
    files
        Id of the file of each recording: a plate may be listed as its file.
    recordings
        Those that are used.
    """
    if not len(listed.columns):
        return
    names = sorted(one.recording for one in recordings)
    lines = listed.reindex([name if name in listed.index else files.get(name, name) for name in names]).fillna("")
    write_table(folder / FILE, lines.reset_index(drop=True).assign(recording=names)[["recording", *listed.columns]])


def pass_on(source: Path, target: Path) -> None:
    """Copy them from one stage's folder to the next's."""
    if (source / FILE).exists():
        shutil.copyfile(source / FILE, target / FILE)


def read_catalogue(folder: Path) -> pd.DataFrame:
    """The catalogue of a stage and, where the lab has further columns, these with :data:`PREFIX`."""
    catalogue = read_table(folder / "catalogue.csv")
    return catalogue.merge(read_passed_on(folder).add_prefix(PREFIX), how="left", left_on="recording", right_index=True)


def list_categories(table: pd.DataFrame) -> list[str]:
    """Those of these columns, with :data:`PREFIX`, that have few enough values to group recordings by them.

    >>> table = pd.DataFrame({"lab: dose": ["0", "5"], "lab: rig": ["one", "one"], "label": ["a", "b"]})
    >>> list_categories(table)
    ['lab: dose']
    """
    own = [name for name in table.columns if name.startswith(PREFIX)]
    return [name for name in own if 2 <= table[name].nunique() <= MOST_CATEGORIES]


def order_value(value: str) -> tuple[int, float, str]:
    """A key that puts numbers first, by size, and words after them.

    >>> sorted(["10", "9", "2,5", "none"], key=order_value)
    ['2,5', '9', '10', 'none']
    """
    try:
        return 0, float(value.replace(",", ".")), value
    except ValueError:
        return 1, 0.0, value


def read_passed_on(folder: Path) -> pd.DataFrame:
    """The further columns in a stage's folder, all text, by recording; without columns where there are none.

    Raises
    ------
    MeaError
        If the file is damaged.
    """
    path = folder / FILE
    if not path.exists():
        return pd.DataFrame(index=pd.Index([], name="recording", dtype=object))
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8").set_index("recording")
    except (KeyError, ValueError) as error:  # of pandas, and of text that is not UTF-8
        raise MeaError(f"{path}: not a table written by a stage ({error}). {redo(folder.name)}") from None
