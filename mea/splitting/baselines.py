"""Recordings referred to one of the same culture before treatment: ``features.baseline``.

The lab's column ``baseline`` of ``recordings.csv`` names it. A recording that is referred is classified and contrasted
by how its features differ from those of its baseline; the baselines themselves are not.
"""

from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from mea.arrays.events_file import RecordingsOnDisk
from mea.recordings.labels import SUFFIX
from mea.runtime.errors import MeaError

How = Literal["none", "ratio", "difference"]
NONE, RATIO, DIFFERENCE = "none", "ratio", "difference"
LAB_COLUMN = "baseline"
COLUMNS = {RATIO: "ratio_to", DIFFERENCE: "difference_to"}  # of the table of chunks: each names the baseline


def find_baselines(recordings: pd.DataFrame, lab: pd.DataFrame) -> tuple[dict[str, str], dict[str, str]]:
    """The baseline of each recording that has one, and why the others have none.

    Parameters
    ----------
    recordings
        Those that are used: recording, culture.
    lab
        The lab's own columns, by recording.

    Returns
    -------
    baselines
        Its baseline, by recording.
    without
        The reason, by recording.

    Raises
    ------
    MeaError
        If there is no column ``baseline``, or no recording has a baseline.

    Examples
    --------
    >>> recordings = pd.DataFrame({"recording": ["before", "after", "other"], "culture": ["c1", "c1", "c2"]})
    >>> lab = pd.DataFrame({"baseline": ["", "before.h5", "before"]}, index=recordings["recording"])
    >>> baselines, without = find_baselines(recordings, lab)
    >>> baselines
    {'after': 'before'}
    >>> without["before"], without["other"]
    ('is the baseline of others', "its baseline before is of another culture, 'c1', not 'c2'")
    """
    if LAB_COLUMN not in lab:
        raise MeaError(
            "features.baseline: recordings.csv has no column 'baseline', which names the recording of the same culture "
            "before treatment. Add it, or set features.baseline: none."
        )
    named = read_named(lab)
    culture = dict(zip(recordings["recording"], recordings["culture"]))
    serving = {named.get(name, "") for name in culture}
    baselines, without = {}, {}
    for name, own in culture.items():
        baseline = named.get(name, "")
        if not baseline:
            without[name] = "is the baseline of others" if name in serving else "has no baseline"
        elif baseline == name:
            without[name] = "names itself as its baseline"
        elif baseline not in culture:
            without[name] = f"its baseline {baseline} is not among the recordings that are used"
        elif not own or culture[baseline] != own:
            other = f"of another culture, {culture[baseline]!r}, not {own!r}" if own else "of no known culture"
            without[name] = f"its baseline {baseline} is {other}"
        else:
            baselines[name] = baseline
    if not baselines:
        raise MeaError(
            f"features.baseline: no recording has a baseline ({next(iter(without))}: {next(iter(without.values()))}). "
            "Correct the column 'baseline' of recordings.csv, or set features.baseline: none."
        )
    return baselines, without


def read_named(lab: pd.DataFrame) -> dict[str, str]:
    """The id of the baseline that the lab's column names for each recording; empty for none."""
    if LAB_COLUMN not in lab:
        return {}
    return lab[LAB_COLUMN].str.strip().str.replace(SUFFIX, "", regex=True).to_dict()


def refer_chunks(chunks: pd.DataFrame, how: str, baselines: dict[str, str]) -> pd.DataFrame:
    """The table of chunks with the column that names the baseline of each."""
    return chunks.assign(**{COLUMNS[how]: chunks["recording"].map(baselines)})


def find_how(chunks: pd.DataFrame) -> str:
    """Whether the chunks are referred to baselines, and how."""
    return next((how for how, column in COLUMNS.items() if column in chunks), NONE)


def list_needed(chunks: pd.DataFrame) -> list[str]:
    """The recordings of chunks, and their baselines."""
    how = find_how(chunks)
    return [*dict.fromkeys([*chunks["recording"], *(chunks[COLUMNS[how]] if how != NONE else ())])]


def open_recordings(array: Path, chunks: pd.DataFrame) -> RecordingsOnDisk:
    """The events of the recordings of chunks, each with its baseline where the chunks are referred to one."""
    how = find_how(chunks)
    if how == NONE:
        return RecordingsOnDisk(array, chunks["recording"].unique())
    pairs = chunks.drop_duplicates("recording").set_index("recording")[COLUMNS[how]].to_dict()
    return RecordingsOnDisk(array, pairs, {name: (how, baseline) for name, baseline in pairs.items()})


def refer_values(values: np.ndarray, baseline: np.ndarray, is_log: np.ndarray, how: str) -> np.ndarray:
    """Features of a recording relative to those of its baseline.

    Parameters
    ----------
    values
        (…, n_features).
    baseline
        (n_features,).
    is_log
        (n_features,) bool: logarithms are subtracted in any case, which gives the logarithm of the ratio.
    how
        :data:`RATIO` or :data:`DIFFERENCE`.

    Returns
    -------
    np.ndarray
        The same shape; NaN where a feature is undefined in one of them, or is divided by 0.

    >>> is_log = np.array([True, False, False])
    >>> refer_values(np.array([2.0, 3.0, 1.0]), np.array([1.0, 2.0, 0.0]), is_log, RATIO).tolist()
    [1.0, 1.5, nan]
    """
    difference = values - baseline
    if how == DIFFERENCE:
        return difference
    ratio = np.divide(values, baseline, out=np.full(np.shape(values), np.nan), where=baseline != 0)
    return np.where(is_log, difference, ratio)
