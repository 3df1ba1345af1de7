"""The audit of a split: no group and no second of a recording may be in two folds."""

import hashlib

import pandas as pd

from mea.runtime.errors import MeaError
from mea.splitting.groups import SPLIT_LEVELS


def audit_split(chunks: pd.DataFrame, split_level: str) -> str:
    """Check that no group and no second of a recording is in two folds.

    :func:`mea.splitting.duplicates.check_duplicates` checks whether two recordings hold the same measurement.

    Parameters
    ----------
    chunks
        The chunks with their fold.
    split_level
        The level that was split by.

    Returns
    -------
    str
        An empty string for an honest split, else the warning that goes beside every metric.

    Raises
    ------
    MeaError
        If a group of the split level is in two folds, or chunks overlap.

    Examples
    --------
    >>> import pandas as pd
    >>> chunks = pd.DataFrame({"chunk": ["r1@0000", "r2@0000"], "recording": ["r1", "r2"], "culture": ["c1", "c2"],
    ...                        "batch": ["b1", "b1"], "start_s": 0.0, "stop_s": 2.0, "fold": [0, 1]})
    >>> audit_split(chunks, "culture")
    'leaky: split by culture, so recordings of the same batch are in the training and the test set'
    """
    _check_overlaps(chunks)
    if split_level == "chunk":
        return "leaky: split by chunk, so chunks of the same recording are in the training and the test set"
    place = SPLIT_LEVELS.index(split_level)
    for name in SPLIT_LEVELS[place:-1]:
        divided = _find_divided(chunks, name)
        if divided:
            raise MeaError(
                f"{name} {divided[0]!r} is in two folds although the split is by {split_level}. Report this."
            )
    coarser = [name for name in SPLIT_LEVELS[:place] if _find_divided(chunks, name)]
    if coarser:
        same = " or ".join(coarser)
        return f"leaky: split by {split_level}, so recordings of the same {same} are in the training and the test set"
    return ""


def _find_divided(chunks: pd.DataFrame, name: str) -> list[str]:
    """The groups of one kind whose chunks are in more than one fold."""
    known = chunks[chunks[name] != ""]
    counts = known.groupby(name)["fold"].nunique()
    return list(counts[counts > 1].index)


def _check_overlaps(chunks: pd.DataFrame) -> None:
    ordered = chunks.sort_values(["recording", "start_s"])
    before = ordered.groupby("recording")["stop_s"].shift()
    overlapping = ordered[ordered["start_s"] < before]
    if len(overlapping):
        raise MeaError(f"chunk {overlapping['chunk'].iloc[0]} overlaps the one before it. Report this.")


def hash_split(chunks: pd.DataFrame) -> str:
    """SHA-256 of the chunks and their folds: a model is scored on the split it was trained on, or not at all."""
    return hashlib.sha256(chunks.to_csv(index=False).encode()).hexdigest()
