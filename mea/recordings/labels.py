"""Who a recording is: its label, culture and batch, from ``recordings.csv`` or from patterns on its file name."""

import csv
import io
import re
import unicodedata
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Annotated

import pandas as pd
from pydantic import AfterValidator, Field

from mea.recordings.recording import Identity, Recording
from mea.runtime.errors import BadRecording, MeaError

COLUMNS = ("recording", "label", "culture", "batch")
UNSEEN = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")  # soft hyphen, zero-width blanks and joiners, marks
AGE = "; if the class changes with time, as age does, this is as it should be"


#: Called with a recording's id and the path of its file; raises BadRecording when it has no label, or two.
Identify = Callable[[str, str], Identity]


def read_recordings_csv(path: Path) -> pd.DataFrame:
    """Read the lab's own table of its recordings.

    Separated by commas, semicolons (a German Excel) or tabs, in UTF-8 with or without byte order mark. Upper and lower
    case of the column names do not matter; columns other than the four below are ignored; blanks around values are
    stripped; empty rows are skipped.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``recording``, with ``label``, ``culture`` and ``batch``, all text. An empty culture or batch means
        unknown.

    Raises
    ------
    MeaError
        If it cannot be read, has no column ``recording`` or ``label`` (or one twice), lists nothing, has a row of
        another length, a row without recording or label, or a recording twice.
    """
    header, rows = _read_rows(path)
    columns = _find_columns(header, path)
    values: dict[str, dict[str, str]] = {}
    for line, row in rows:
        if len(row) > len(header) and any(row[len(header) :]):
            raise MeaError(
                f"{path}, line {line}: {len(row)} values under {len(header)} columns. "
                "Put values that hold the separator in double quotes."
            )
        cells = dict.fromkeys(COLUMNS, "") | {name: row[at] for name, at in columns.items() if at < len(row)}
        cells = {column: normalise_text(value) for column, value in cells.items()}
        name = cells.pop("recording")
        if not name:
            raise MeaError(f"{path}, line {line}: no recording. Give its id, or remove the line.")
        if not cells["label"]:
            raise MeaError(
                f"{path}, line {line}: {name} has no label. Give it one, or remove the recording altogether."
            )
        if name in values:
            raise MeaError(f"{path}, line {line}: {name} is listed twice. Keep one of the two lines.")
        values[name] = cells
    if not values:
        raise MeaError(f"{path}: lists no recording. Fill it in, or remove it to take labels from the file names.")
    return pd.DataFrame.from_dict(values, orient="index", dtype=object).rename_axis("recording")


def normalise_text(text: str) -> str:
    """A text as it is compared: composed (NFC), without characters that nobody sees, without blanks around it.

    macOS decomposes an umlaut in a file's name, and a table from elsewhere does not: the same group, spelt in two ways,
    would be two groups, one on either side of the split.

    >>> normalise_text("Gro\u0308\u00dfe\u200b ") == "Gr\u00f6\u00dfe"
    True
    """
    return UNSEEN.sub("", unicodedata.normalize("NFC", text)).strip()


def match_label(path: str, patterns: Mapping[str, Sequence[str]]) -> str:
    """Find the one label with a pattern that occurs in the file name, the last part of a path; case-sensitive.

    >>> match_label("batch1/ctl_c3_0.h5", {"control": ["ctl", "control"], "exposed": ["exp"]})
    'control'

    Raises
    ------
    BadRecording
        If no label matches, or more than one.
    """
    name = normalise_text(PurePosixPath(path).name)
    found = {label: [text for text in texts if normalise_text(text) in name] for label, texts in patterns.items()}
    found = {label: texts for label, texts in found.items() if texts}
    if len(found) == 1:
        return next(iter(found))
    remedy = "Rename it, change h5.labels, or give its label in a recordings.csv beside the archives."
    if not found:
        known = "; ".join(f"{label}: {', '.join(texts)}" for label, texts in patterns.items())
        raise BadRecording(f"{path}: no label: its name holds none of the patterns of h5.labels ({known}). {remedy}")
    shown = "; ".join(f"{label} by {', '.join(map(repr, texts))}" for label, texts in found.items())
    raise BadRecording(f"{path}: {len(found)} labels match its name ({shown}). {remedy}")


def match_group(path: str, pattern: str) -> str:
    """What the one group of a regular expression finds in the file name; empty without pattern or match.

    >>> match_group("batch1/ctl_c3_0.h5", "_c([0-9]+)_")
    '3'
    """
    match = re.search(pattern, normalise_text(PurePosixPath(path).name)) if pattern else None
    return (match.group(1) or "").strip() if match else ""


def check_group_pattern(pattern: str) -> str:
    """Give a pattern for culture or batch back if it can be used: empty, or a regular expression with one group.

    Raises
    ------
    ValueError
        If it is neither.
    """
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    if pattern and groups != 1:
        raise ValueError(f"must have exactly one group in round brackets, for instance '_c([0-9]+)_'; it has {groups}")
    return pattern


Name = Annotated[str, Field(min_length=1)]
#: Parameters of a lab's file names: for each label the texts that name it, and what finds a culture or batch.
LabelPatterns = dict[Name, Annotated[list[Name], Field(min_length=1)]]
GroupPattern = Annotated[str, AfterValidator(check_group_pattern)]


def choose_identify(
    table: pd.DataFrame | None, labels: Mapping[str, Sequence[str]], culture: str, batch: str
) -> Identify:
    """How to tell who a recording is: by the table of :func:`read_recordings_csv`, else by patterns on file names."""
    if table is None:
        return lambda recording, path: Identity(
            recording, match_label(path, labels), match_group(path, culture), match_group(path, batch)
        )
    if culture or batch:
        warnings.warn("recordings.csv decides; the patterns h5.culture and h5.batch are not used.", stacklevel=2)
    return partial(_look_up, table)


def _look_up(table: pd.DataFrame, recording: str, path: str) -> Identity:
    if recording not in table.index:
        raise BadRecording(
            f"{path}: no label: recordings.csv does not list {recording!r}. Add a line for it, or remove the file."
        )
    return Identity(recording, *table.loc[recording, ["label", "culture", "batch"]])


def explain_odd_groups(recordings: Sequence[Recording]) -> list[str]:
    """At most one sentence each on cultures that have several labels, and on those that stand in several batches."""
    members: dict[str, list[Recording]] = {}
    for recording in recordings:
        members.setdefault(recording.culture, []).append(recording)
    sentences = []
    for what in ("label", "batch"):
        values = {name: sorted({getattr(one, what) for one in members[name]}) for name in sorted(members) if name}
        odd = [name for name, found in values.items() if len(found) > 1]
        if odd:
            shown = ", ".join(value or "unknown" for value in values[odd[0]])
            others = f" (and so have {len(odd) - 1} other cultures)" if len(odd) > 1 else ""
            text = f"If these are different cultures, give them different names{AGE if what == 'label' else ''}."
            sentences.append(f"culture {odd[0]!r} has more than one {what}: {shown}{others}. {text}")
    return sentences


def warn_of_odd_groups(recordings: Sequence[Recording]) -> None:
    """Warn of what :func:`explain_odd_groups` finds."""
    for sentence in explain_odd_groups(recordings):
        warnings.warn(sentence, stacklevel=2)


def _read_rows(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header, and the other rows that are not empty with their line numbers; values stripped."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        first = next((line for line in text.splitlines() if line.strip()), "")
        separator = max(",;\t", key=first.count)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        rows = [(reader.line_num, [value.strip() for value in row]) for row in reader]
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise MeaError(f"{path}: cannot be read ({error}). Save it as CSV in UTF-8 (Excel: CSV UTF-8).") from None
    rows = [(line, row) for line, row in rows if any(row)]
    if not rows:
        raise MeaError(f"{path}: is empty. Fill it in, or remove it to take labels from the file names.")
    return rows[0][1], rows[1:]


def _find_columns(header: list[str], path: Path) -> dict[str, int]:
    names = [name.casefold() for name in header]
    for name in COLUMNS:
        if names.count(name) > 1:
            raise MeaError(f"{path}: has the column {name!r} twice. Keep one of the two.")
        if name not in names and name in ("recording", "label"):
            found = ", ".join(header)
            raise MeaError(f"{path}: has no column {name!r}; it has: {found}. Name the columns {', '.join(COLUMNS)}.")
    return {name: names.index(name) for name in COLUMNS if name in names}
