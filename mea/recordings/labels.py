"""Who a recording is: its label, culture and batch, from ``recordings.csv`` or from patterns on its file name."""

import difflib
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

import pandas as pd
from pydantic import AfterValidator, Field

from mea.recordings.lab_tables import list_cells, normalise_text, read_rows
from mea.recordings.plate_map import PlateMap, look_up_well
from mea.recordings.recording import Identity, LabelledRecording
from mea.runtime.errors import BadRecording, MeaError

COLUMNS = ("recording", "label", "culture", "batch")
SUFFIX = re.compile(r"\.(h5|hdf5|csv|csv\.gz)$", re.IGNORECASE)  # of a file, which its recording's id lacks
NEAR = 0.75  # likeness of a word and a pattern that were probably meant to be the same
AGE = "; if the class changes with time, as age does, this is as it should be"


Part = Literal["auto", "name", "folder"]  # of a path: where labels stand


@dataclass(frozen=True)
class Place:
    """Where a recording is in its file: of a well, the id of the file, the plate and the well; else empty."""

    file_id: str = ""
    plate: str = ""
    well: str = ""


#: Called with a recording's id, the path of its file and its place in it; raises BadRecording when it has no label, or
#: two.
Identify = Callable[[str, str, Place], Identity]


def read_recordings_csv(path: Path) -> pd.DataFrame:
    """Read the lab's own table of its recordings; see :func:`build_recordings`."""
    return build_recordings(read_rows(path), path)


def build_recordings(rows: list[tuple[int, list[str]]], path: Path) -> pd.DataFrame:
    """The recordings that the rows of ``recordings.csv`` list.

    As spreadsheets write it (:func:`mea.recordings.lab_tables.read_rows`). Upper and lower case of the column names do
    not matter; columns other than the four below are ignored; blanks around values are stripped; empty rows are
    skipped; a recording may be named as its file, with ``.h5``.

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
    values: dict[str, dict[str, str]] = {}
    for line, cells in list_cells(rows, COLUMNS, ("recording", "label"), path):
        name = SUFFIX.sub("", cells.pop("recording"))
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


def match_label(path: str, patterns: Mapping[str, Sequence[str]], part: Part = "auto") -> str:
    """Find the one label with a pattern that occurs in a path; case-sensitive.

    Parameters
    ----------
    path
        Of the file, with its folders and its archive.
    patterns
        For each label the texts that mark it.
    part
        ``name``: in the file name; ``folder``: in the folders and the archive, the nearest that holds one; ``auto``: in
        the file name and, where it holds none, in the folders.

    >>> match_label("batch1/ctl_c3_0.h5", {"control": ["ctl", "control"], "exposed": ["exp"]})
    'control'
    >>> match_label("week.zip/exposed/ctl_dish/rec_1.h5", {"control": ["ctl"], "exposed": ["exp"]})
    'control'

    Raises
    ------
    BadRecording
        If no label matches, or more than one.
    """
    *folders, name = normalise_text(path).split("/")
    wanted = {"auto": [name, *reversed(folders)], "name": [name], "folder": folders[::-1]}[part]
    found: dict[str, list[str]] = {}
    for text in wanted:
        found = {label: [one for one in texts if normalise_text(one) in text] for label, texts in patterns.items()}
        found = {label: texts for label, texts in found.items() if texts}
        if found:
            break
    if len(found) == 1:
        return next(iter(found))
    remedy = "Rename it, change h5.labels, or give its label in a recordings.csv beside the archives."
    if not any(patterns.values()):
        raise BadRecording(
            f"{path}: no label: h5.labels holds no patterns. Give its label in a recordings.csv beside the archives, "
            "or set h5.labels."
        )
    if not found:
        known = "; ".join(f"{label}: {', '.join(texts)}" for label, texts in patterns.items())
        near = _find_near("/".join(wanted), patterns)
        raise BadRecording(
            f"{path}: no label: its name holds none of the patterns of h5.labels ({known}).{near} {remedy}"
        )
    shown = "; ".join(f"{label} by {', '.join(map(repr, texts))}" for label, texts in found.items())
    raise BadRecording(f"{path}: {len(found)} labels match its name ({shown}). {remedy}")


def _find_near(text: str, patterns: Mapping[str, Sequence[str]]) -> str:
    """A sentence that names the pattern which a path nearly holds; empty where there is none."""
    known = [one for texts in patterns.values() for one in texts]
    squeezed = re.sub(r"[\W_]", "", text).casefold()
    for one in known:
        if re.sub(r"[\W_]", "", one).casefold() in squeezed:
            return f" The nearest is {one!r}."
    words = [word for word in re.split(r"[\W_]+", text) if word]
    near = [one for one in known if difflib.get_close_matches(one, words, n=1, cutoff=NEAR)]
    return f" The nearest is {near[0]!r}." if near else ""


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


@dataclass(frozen=True)
class FilePatterns:
    """What marks label, culture and batch in the names of files: the parameters of the h5 stage."""

    labels: Mapping[str, Sequence[str]]
    culture: str = ""
    batch: str = ""
    part: Part = "auto"

    def identify(self, recording: str, path: str, place: Place) -> Identity:
        """By the patterns alone."""
        label = match_label(path, self.labels, self.part)
        return Identity(recording, label, match_group(path, self.culture), match_group(path, self.batch))


def choose_identify(table: pd.DataFrame | None, patterns: FilePatterns, plates: PlateMap | None = None) -> Identify:
    """How to tell who a recording is.

    By the table of :func:`read_recordings_csv`, where there is one; else by patterns on file names. What ``plates.csv``
    says of a well stands above both; what it leaves open, they say. The table may name each well, or the file of a
    plate for all of its wells.
    """
    if table is not None and (patterns.culture or patterns.batch):
        warnings.warn("recordings.csv decides; the patterns h5.culture and h5.batch are not used.", stacklevel=2)
    by_file = patterns.identify if table is None else partial(_look_up, table)
    return partial(_identify_well, plates, by_file) if plates else by_file


def _look_up(table: pd.DataFrame, recording: str, path: str, place: Place) -> Identity:
    name = next((one for one in (recording, place.file_id) if one in table.index), None)
    if name is None:
        raise BadRecording(
            f"{path}: no label: recordings.csv does not list {recording!r}. Add a line for it, or remove the file."
        )
    label, culture, batch = table.loc[name, ["label", "culture", "batch"]]
    if name != recording and culture:  # said of the whole plate, of which each well is a culture
        culture = f"{culture}_{place.well}"
    return Identity(recording, label, culture, batch)


def _identify_well(plates: PlateMap, by_file: Identify, recording: str, path: str, place: Place) -> Identity:
    if not place.well:
        return by_file(recording, path, place)
    content = look_up_well(plates, place.plate, place.well)
    if content is None:
        raise BadRecording(
            f"{path}: no label: plates.csv does not name well {place.well} of plate {place.plate!r}. Add it, or "
            "leave the well out with h5.on_bad_recording: skip."
        )
    try:
        known = by_file(recording, path, place)
    except BadRecording:
        if not content.label:
            raise
        known = Identity(recording, "", "", "")
    return Identity(
        recording, content.label or known.label, content.culture or known.culture, content.batch or known.batch
    )


def explain_odd_groups(recordings: Sequence[LabelledRecording]) -> list[str]:
    """At most one sentence each on cultures that have several labels, and on those that stand in several batches."""
    members: dict[str, list[LabelledRecording]] = {}
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


def warn_of_odd_groups(recordings: Sequence[LabelledRecording]) -> None:
    """Warn of what :func:`explain_odd_groups` finds."""
    for sentence in explain_odd_groups(recordings):
        warnings.warn(sentence, stacklevel=2)
