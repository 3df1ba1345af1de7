"""Folds: which chunks are held out together, for testing and, inside a training set, for validation."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from mea.runtime.errors import MeaError
from mea.splitting.groups import group_recordings, list_recordings

AUTO = "auto"
MOST_AUTO = 5  # folds; more cost as many trainings and change little
MAX_DRAWS = 20
CHANGE_SEED = "Lower split.folds, or change split.seed."
BOTH_SETS = "similar recordings may then be in both the training and the test set"
WITHOUT_INNER_FOLDS = (
    "Networks then learn for all of their epochs, and no model is calibrated or has a confidence threshold."
)


def assign_folds(chunks: pd.DataFrame, split_level: str, folds: int, seed: int) -> np.ndarray:
    """Assign every chunk to the fold in which it is held out, stratified by label.

    Whole groups of recordings are held out together (scikit-learn's ``StratifiedGroupKFold``). At ``chunk``, single
    chunks are (``StratifiedKFold``), as in the predecessor's second version.

    Parameters
    ----------
    chunks
        Columns recording, label, culture, batch; an empty string where unknown.
    split_level
        One of ``mea.splitting.groups.SPLIT_LEVELS``.
    folds
        Number of folds.
    seed
        Decides which groups share a fold.

    Returns
    -------
    np.ndarray
        (n_chunks,) int, 0 to ``folds`` - 1.

    Raises
    ------
    MeaError
        If there is one class only, fewer groups than folds, or a fold that would leave a class out of training.

    Examples
    --------
    >>> import pandas as pd
    >>> chunks = pd.DataFrame({"recording": ["r1", "r1", "r2", "r3", "r4"], "label": ["a", "a", "b", "a", "b"],
    ...                        "culture": "", "batch": ["b1", "b1", "b1", "b2", "b2"]})
    >>> fold = assign_folds(chunks, "batch", folds=2, seed=0)
    >>> bool(fold[0] == fold[1] == fold[2] != fold[3])
    True
    """
    reason, remedy = find_obstacle(chunks, split_level, folds)
    if reason:
        raise MeaError(f"{reason} {remedy}")
    if split_level == "chunk":
        splitter = StratifiedKFold(folds, shuffle=True, random_state=seed).split(chunks, chunks["label"])
        return _number_folds(splitter, len(chunks))
    recordings = list_recordings(chunks)
    groups = group_recordings(recordings, split_level)
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    fold = _number_folds(splitter.split(recordings, recordings["label"], groups), len(recordings))
    _check_training_sets(recordings["label"].to_numpy(), fold, split_level)
    return chunks["recording"].map(dict(zip(recordings["recording"], fold))).to_numpy()


def count_folds(chunks: pd.DataFrame, split_level: str, folds: int | str, seed: int) -> int:
    """The number of folds: that asked for or, with ``auto``, as many as the groups allow, at most 5.

    2 where no number is possible: :func:`assign_folds` then says why.

    Parameters
    ----------
    chunks, split_level, seed
        As for :func:`assign_folds`.
    folds
        A number, or ``auto``.

    Examples
    --------
    >>> import pandas as pd
    >>> chunks = pd.DataFrame({"recording": [f"r{k}" for k in range(6)], "label": ["a", "b"] * 3, "culture": "",
    ...                        "batch": ["b1", "b1", "b2", "b2", "b3", "b3"]})
    >>> count_folds(chunks, "batch", "auto", seed=0), count_folds(chunks, "batch", 2, seed=0)
    (3, 2)
    """
    if folds != AUTO:
        return int(folds)
    for number in range(MOST_AUTO, 2, -1):
        try:
            assign_folds(chunks, split_level, number, seed)
        except MeaError:
            continue
        return number
    return 2


def check_folds(folds: Any) -> int | str:
    """``split.folds`` as parameters hold it.

    Raises
    ------
    ValueError
        If it is neither ``auto`` nor a whole number of at least 2.
    """
    if folds == AUTO or (isinstance(folds, int) and not isinstance(folds, bool) and folds >= 2):
        return folds
    raise ValueError("must be auto, or a whole number of at least 2")


def assign_inner_folds(chunks: pd.DataFrame, split_level: str, folds: int, seed: int) -> np.ndarray:
    """Folds inside a training set, again of whole groups: at most ``folds``, fewer if there are fewer groups.

    A draw in which one fold holds every group of a class is repeated with the next seed.

    Parameters
    ----------
    chunks, split_level, seed
        As for :func:`assign_folds`.
    folds
        The most folds to make.

    Returns
    -------
    np.ndarray
        (n_chunks,) int, from 0.

    Raises
    ------
    MeaError
        If a class occurs in one group only, or no draw leaves every class in every training set.
    """
    reason = find_obstacle(chunks, split_level, 2)[0]
    if split_level == "chunk":
        count = chunks["label"].value_counts().min()
    else:
        recordings = list_recordings(chunks)
        count = min(len(set(group_recordings(recordings, split_level))), recordings["label"].value_counts().max())
    for draw in range(0 if reason else MAX_DRAWS):
        try:
            return assign_folds(chunks, split_level, max(2, min(folds, count)), seed + draw)
        except MeaError as error:
            reason = str(error).removesuffix(f" {CHANGE_SEED}")
    raise MeaError(
        f"no inner folds are possible in the training set: {reason} {WITHOUT_INNER_FOLDS} {_advise(split_level)}"
    )


def explain_inner_folds(chunks: pd.DataFrame, split_level: str, score: list[int]) -> tuple[str, str]:
    """What follows if the training set of a fold has too few groups for inner folds, and the remedy.

    Empty strings where inner folds are possible.

    Parameters
    ----------
    chunks
        The chunks with their fold.
    split_level
        The level that was split by.
    score
        The folds to be scored.
    """
    for fold in score:
        reason = find_obstacle(chunks[chunks["fold"] != fold], split_level, 2)[0]
        if reason:
            what = f"no inner folds are possible in fold {fold}: in its training set, {reason} {WITHOUT_INNER_FOLDS}"
            return what, _advise(split_level)
    return "", ""


def _number_folds(splits: Iterable[tuple[Any, np.ndarray]], n: int) -> np.ndarray:
    fold = np.full(n, -1)
    for number, (_, held_out) in enumerate(splits):
        fold[held_out] = number
    return fold


def find_obstacle(chunks: pd.DataFrame, split_level: str, folds: int) -> tuple[str, str]:
    """Why these chunks cannot be split into that many folds, whatever the seed, and the remedy; else empty strings."""
    labels = sorted(set(chunks["label"]))
    if len(labels) < 2:
        return f"only one class, {labels}: a classifier needs recordings of two or more.", "Check the labels."
    if split_level == "chunk":
        smallest = chunks["label"].value_counts().min()
        few = f"{smallest} chunks of one class are fewer than {folds} folds." if smallest < folds else ""
        return few, "Lower split.folds."
    recordings = list_recordings(chunks)
    groups = group_recordings(recordings, split_level)
    count = len(set(groups))
    if count < folds:
        remedy = f"Lower split.folds, record more, or choose a finer split.by (culture, recording); {BOTH_SETS}."
        return f"{count} groups by {split_level} are fewer than {folds} folds.", remedy
    largest = recordings["label"].value_counts().max()
    if largest < folds:
        return f"{largest} recordings of the largest class are fewer than {folds} folds.", "Lower split.folds."
    for label in labels:
        if len(set(groups[recordings["label"] == label])) < 2:
            return (
                f"class {label!r} occurs in one group by {split_level} only; when that group is the test fold, no "
                "training example of the class is left.",
                "Record the class in another group, or choose a finer split.by.",
            )
    return "", ""


def _advise(split_level: str) -> str:
    """What makes inner folds possible; fewer outer folds do not."""
    finer = {"batch": "(culture, recording)", "culture": "(recording)"}.get(split_level)
    choose = f", or choose a finer split.by {finer} ({BOTH_SETS})" if finer else ""
    more_groups = f"Record every class in at least three groups by {split_level}"
    record = "Record longer" if split_level == "chunk" else more_groups
    return f"{record}{choose}."


def _check_training_sets(labels: np.ndarray, fold: np.ndarray, split_level: str) -> None:
    for number in sorted(set(fold)):
        missing = set(labels) - set(labels[fold != number])
        if missing:
            raise MeaError(
                f"fold {number} holds every group of {sorted(missing)} by {split_level}; when it is the test fold, no "
                f"training example is left. {CHANGE_SEED}"
            )


def list_scored(score: str | list[int], folds: int) -> list[int]:
    """Numbers of the folds to score.

    Raises
    ------
    MeaError
        If one of them is no fold.
    """
    if isinstance(score, str):  # all
        return list(range(folds))
    if not score or not set(score) <= set(range(folds)):
        raise MeaError(
            f"split.score = {score}: must be all, or numbers from 0 to {folds - 1}: there are {folds} folds."
        )
    return sorted(set(score))
