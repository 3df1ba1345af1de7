"""Folds: which chunks are held out together, outside for scoring and inside a training set for validation."""

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from mea.runtime.errors import MeaError
from mea.splitting.groups import group_recordings, list_recordings

DRAWINGS = 20
CHANGE_SEED = "Lower split.folds, or change split.seed."


def assign_folds(chunks: pd.DataFrame, level: str, folds: int, seed: int) -> np.ndarray:
    """Give every chunk the fold in which it is held out, stratified by label.

    Whole groups of recordings are held out together; at ``chunk`` single chunks are, as the predecessor's second
    version did (stratified, shuffled).

    Returns
    -------
    np.ndarray
        (n_chunks,) int, 0 to ``folds`` - 1.

    Raises
    ------
    MeaError
        If there is one class only, fewer groups than folds, or a fold that would leave a class out of training.
    """
    reason, remedy = _find_obstacle(chunks, level, folds)
    if reason:
        raise MeaError(f"{reason} {remedy}")
    if level == "chunk":
        splitter = StratifiedKFold(folds, shuffle=True, random_state=seed).split(chunks, chunks["label"])
        return _number_folds(splitter, len(chunks))
    recordings = list_recordings(chunks)
    groups = group_recordings(recordings, level)
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    fold = _number_folds(splitter.split(recordings, recordings["label"], groups), len(recordings))
    _check_sides(recordings["label"].to_numpy(), fold, level)
    return chunks["recording"].map(dict(zip(recordings["recording"], fold))).to_numpy()


def assign_inner_folds(chunks: pd.DataFrame, level: str, folds: int, seed: int) -> np.ndarray:
    """Folds inside a training set, of whole groups again: at most ``folds``, fewer where there are fewer groups.

    A drawing in which a fold holds every group of a class is drawn again with the next seed.

    Returns
    -------
    np.ndarray
        (n_chunks,) int, from 0.

    Raises
    ------
    MeaError
        If a class stands in one group only, or no drawing leaves every class on both sides.
    """
    reason = _find_obstacle(chunks, level, 2)[0]
    if level == "chunk":
        count = chunks["label"].value_counts().min()
    else:
        recordings = list_recordings(chunks)
        count = min(len(set(group_recordings(recordings, level))), recordings["label"].value_counts().max())
    for drawing in range(0 if reason else DRAWINGS):
        try:
            return assign_folds(chunks, level, max(2, min(folds, count)), seed + drawing)
        except MeaError as error:
            reason = str(error).removesuffix(f" {CHANGE_SEED}")
    raise MeaError(f"no inner validation is possible on the training side: {reason} {_advise(level)}")


def explain_validation(chunks: pd.DataFrame, level: str, score: list[int]) -> str:
    """A warning where groups inside the training side of a fold are too few to choose anything; else an empty string.

    Parameters
    ----------
    chunks
        The chunks with their fold.
    level
        The level split by.
    score
        The folds to be scored.
    """
    for fold in score:
        reason = _find_obstacle(chunks[chunks["fold"] != fold], level, 2)[0]
        if reason:
            return f"train.validation: inner will stop at fold {fold}; on its training side, {reason} {_advise(level)}"
    return ""


def _number_folds(splits, n: int) -> np.ndarray:
    fold = np.full(n, -1)
    for number, (_, held_out) in enumerate(splits):
        fold[held_out] = number
    return fold


def _find_obstacle(chunks: pd.DataFrame, level: str, folds: int) -> tuple[str, str]:
    """Why these chunks cannot be held out in so many folds, whatever the seed, and what helps; else empty strings."""
    labels = sorted(set(chunks["label"]))
    if len(labels) < 2:
        return f"only one class, {labels}: a classifier needs recordings of two or more.", "Check the labels."
    if level == "chunk":
        smallest = chunks["label"].value_counts().min()
        few = f"{smallest} chunks of one class are fewer than {folds} folds." if smallest < folds else ""
        return few, "Lower split.folds."
    recordings = list_recordings(chunks)
    groups = group_recordings(recordings, level)
    count = len(set(groups))
    if count < folds:
        return f"{count} groups by {level} are fewer than {folds} folds.", (
            "Lower split.folds, record more, or choose a finer split.by (culture, recording), knowing that alike "
            "recordings may then stand on both sides."
        )
    largest = recordings["label"].value_counts().max()
    if largest < folds:
        return f"{largest} recordings of the largest class are fewer than {folds} folds.", "Lower split.folds."
    for label in labels:
        if len(set(groups[recordings["label"] == label])) < 2:
            return (
                f"label {label!r} stands in one group by {level} only: held out, nothing is left to learn it from.",
                "Record it in another, or choose a finer split.by.",
            )
    return "", ""


def _advise(level: str) -> str:
    """What makes an inner validation possible; fewer outer folds do not."""
    finer = {"batch": " (culture, recording)", "culture": " (recording)"}.get(level)
    choose = (
        f", choose a finer split.by{finer}, knowing that alike recordings may then stand on both sides" if finer else ""
    )
    record = "Record longer" if level == "chunk" else f"Record every class in three groups by {level} at least"
    return f"{record}{choose}, or set train.validation: scored, which marks every figure as leaky."


def _check_sides(labels: np.ndarray, fold: np.ndarray, level: str) -> None:
    for number in sorted(set(fold)):
        missing = set(labels) - set(labels[fold != number])
        if missing:
            raise MeaError(
                f"fold {number} holds every group of {sorted(missing)} by {level}: nothing is left to learn it from. "
                f"{CHANGE_SEED}"
            )
