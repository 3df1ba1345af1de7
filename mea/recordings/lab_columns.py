"""Further columns of the lab's ``recordings.csv``, such as ``days_in_vitro`` or ``operator``, carried along.

They go beside the catalogues as ``lab.csv`` (:data:`FILE`), from stage to stage: the audit of confounds looks at them,
the table of features and the report show them.
"""

import shutil
from pathlib import Path

import pandas as pd

from mea.recordings.lab_tables import find_columns, read_rows
from mea.recordings.labels import COLUMNS, SUFFIX
from mea.recordings.recording import Recording
from mea.runtime.errors import MeaError
from mea.runtime.tables import read_table, write_table

FILE = "lab.csv"
PREFIX = "lab: "  # of these columns where they stand beside others


def read_lab_columns(path: Path) -> pd.DataFrame:
    """The further columns of ``recordings.csv``, all text, by recording.

    Raises
    ------
    MeaError
        If one of them is there twice.
    """
    (_, header), *rows = read_rows(path)
    names = [name for name in header if name and name.casefold() not in COLUMNS]
    if twice := [name for name in names if names.count(name) > 1]:
        raise MeaError(f"{path}: has the column {twice[0]!r} twice. Keep one of the two.")
    place = find_columns(header, COLUMNS, ("recording",), path)["recording"]
    columns = {name: header.index(name) for name in names}
    lines = [
        [SUFFIX.sub("", row[place]), *(row[at] if at < len(row) else "" for at in columns.values())]
        for _, row in rows
        if place < len(row)
    ]
    return pd.DataFrame(lines, columns=["recording", *names], dtype=object).set_index("recording")


def write_lab_columns(folder: Path, listed: pd.DataFrame, files: dict[str, str], recordings: list[Recording]) -> None:
    """Write them for the recordings that are used; nothing where there are none.

    Parameters
    ----------
    folder
        Of the catalogue.
    listed
        As :func:`read_lab_columns` gives them.
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


def read_passed_on(folder: Path) -> pd.DataFrame:
    """The further columns in a stage's folder, all text, by recording; without columns where there are none."""
    if not (folder / FILE).exists():
        return pd.DataFrame(index=pd.Index([], name="recording", dtype=object))
    return pd.read_csv(folder / FILE, dtype=str, keep_default_na=False, encoding="utf-8").set_index("recording")
