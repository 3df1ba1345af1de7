"""The audit of a split: no group and no second of a recording may be in two folds."""

import hashlib

import pandas as pd

from mea.runtime.errors import MeaError
from mea.splitting.groups import LEVELS


def audit_split(chunks: pd.DataFrame, level: str) -> str:
    """Check that no group and no second of a recording stands on two sides.

    Whether two recordings hold the same is for :func:`mea.splitting.duplicates.check_duplicates`.

    Parameters
    ----------
    chunks
        The chunks with their fold.
    level
        The level split by.

    Returns
    -------
    str
        An empty string for an honest split, else the warning that goes beside every metric.

    Raises
    ------
    MeaError
        If a group of the chosen level stands in two folds, or chunks overlap.
    """
    _check_overlaps(chunks)
    if level == "chunk":
        return "leaky: split by chunk; pieces of one recording stand on both sides"
    finer = [name for name in LEVELS[:-1] if LEVELS.index(name) >= LEVELS.index(level)]
    for name in finer:
        spread = _find_spread(chunks, name)
        if spread:
            raise MeaError(f"{name} {spread[0]!r} stands in two folds although the split is by {level}. Report this.")
    coarser = [name for name in LEVELS[: LEVELS.index(level)] if _find_spread(chunks, name)]
    if coarser:
        return f"leaky: split by {level}, and recordings of one {' or '.join(coarser)} stand on both sides"
    return ""


def _find_spread(chunks: pd.DataFrame, name: str) -> list[str]:
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
