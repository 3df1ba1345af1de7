"""Which chunks are held out together: groups, folds, and the audit that no group stands on two sides."""

import hashlib
from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from mea.runtime.errors import BadRecording, MeaError

LEVELS = ("batch", "culture", "recording", "chunk")  # from the coarsest to the finest
IDENTITY = ["recording", "label", "culture", "batch"]
DRAWINGS = 20
CHANGE_SEED = "Lower split.folds, or change split.seed."


def choose_level(recordings: pd.DataFrame, by: str) -> str:
    """The level to split by: as asked, or with ``auto`` the coarsest that is known for any recording."""
    if by != "auto":
        return by
    return next(level for level in LEVELS if (recordings[level] != "").any())


def group_recordings(recordings: pd.DataFrame, level: str) -> np.ndarray:
    """Number the groups of recordings that must stay on one side.

    At ``batch``, recordings that share a batch or a culture are one group; at ``culture``, those that share a
    culture. A recording of which neither is known is its own group; :func:`explain_unknown` says how many there are.

    Returns
    -------
    np.ndarray
        (n_recordings,) int group numbers, in the order of first appearance.
    """
    levels = [name for name in LEVELS[LEVELS.index(level) :] if name in ("batch", "culture")]
    n = len(recordings)
    links = coo_array((n, n), dtype=bool)
    for name in levels:
        number, values = pd.factorize(recordings[name])
        known = np.flatnonzero((values != "")[number])
        first = np.unique(number, return_index=True)[1]  # linked to the first of its group, which links all of them
        links = links + coo_array((np.ones(len(known), bool), (known, first[number[known]])), shape=(n, n))
    _, numbers = connected_components(links, directed=False)
    return pd.factorize(numbers)[0]


def explain_unknown(chunks: pd.DataFrame, level: str) -> str:
    """A warning where the group of some recordings is not known at the level split by; else an empty string."""
    if level not in ("batch", "culture"):
        return ""
    recordings = _list_recordings(chunks)
    unknown = recordings.loc[recordings[level] == "", "recording"]
    if unknown.empty:
        return ""
    shown = ", ".join(unknown[:3]) + ("…" if len(unknown) > 3 else "")
    own = "its own group" if level == "culture" else "its own group, or its culture's where that is known"
    return (
        f"{level} unknown for {len(unknown)} of {len(recordings)} recordings ({shown}): each of these is {own}, and "
        "recordings alike may stand on both sides. State it in recordings.csv."
    )


def cut_chunks(
    recordings: pd.DataFrame, chunk_s: float, first_s: float | None
) -> tuple[pd.DataFrame, dict[str, BadRecording]]:
    """Cut every recording into pieces of ``chunk_s`` from its beginning; a remainder is dropped.

    Parameters
    ----------
    recordings
        Columns recording, label, culture, batch, rate_hz, duration_s.
    chunk_s
        Length of a chunk in seconds; a whole number of samples at every recording's rate.
    first_s
        Use only this much of each recording, so that its length cannot tell its class; None for all.

    Returns
    -------
    chunks
        Columns chunk, recording, label, culture, batch, start_s, stop_s.
    refused
        The recordings shorter than one chunk, with the reason.

    Raises
    ------
    MeaError
        If a chunk is no whole number of samples.
    """
    tables, refused = [], {}
    for recording in recordings.itertuples():
        usable_s = min(recording.duration_s, first_s or np.inf)
        chunk_samples = round(chunk_s * recording.rate_hz)
        if chunk_samples < 1 or abs(chunk_s * recording.rate_hz - chunk_samples) > 1e-6 * chunk_samples:
            raise MeaError(
                f"split.chunk_s = {chunk_s:g} s: {chunk_s * recording.rate_hz:g} samples of {recording.recording} at "
                f"{recording.rate_hz:g} Hz; a chunk must be a whole number of samples, at least one. Choose another."
            )
        count = round(usable_s * recording.rate_hz) // chunk_samples
        if count == 0:
            refused[recording.recording] = BadRecording(
                f"{recording.recording}: {usable_s:g} s are shorter than one chunk (split.chunk_s = {chunk_s:g} s). "
                "Choose a shorter chunk, remove the recording, or set split.on_bad_recording: skip."
            )
            continue
        index = np.arange(count)
        table = pd.DataFrame({"chunk": [f"{recording.recording}@{number:04d}" for number in index]})
        for name in IDENTITY:
            table[name] = getattr(recording, name)
        table["start_s"] = (index * chunk_samples / recording.rate_hz).round(6)
        table["stop_s"] = ((index + 1) * chunk_samples / recording.rate_hz).round(6)
        tables.append(table)
    columns = ["chunk", *IDENTITY, "start_s", "stop_s"]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns), refused


def explain_refused(refused: Mapping[str, BadRecording]) -> str:
    """What :func:`cut_chunks` refused, in one line: the first one's reason, and how many there are more."""
    (_, reason), *others = refused.items()
    if not others:
        return str(reason)
    names = ", ".join(name for name, _ in others[:3]) + ("…" if len(others) > 3 else "")
    return f"{reason} The same holds for {len(others)} more: {names}"


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
    recordings = _list_recordings(chunks)
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
        recordings = _list_recordings(chunks)
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


def _list_recordings(chunks: pd.DataFrame) -> pd.DataFrame:
    return chunks[IDENTITY].drop_duplicates("recording").reset_index(drop=True)


def _find_obstacle(chunks: pd.DataFrame, level: str, folds: int) -> tuple[str, str]:
    """Why these chunks cannot be held out in so many folds, whatever the seed, and what helps; else empty strings."""
    labels = sorted(set(chunks["label"]))
    if len(labels) < 2:
        return f"only one class, {labels}: a classifier needs recordings of two or more.", "Check the labels."
    if level == "chunk":
        smallest = chunks["label"].value_counts().min()
        few = f"{smallest} chunks of one class are fewer than {folds} folds." if smallest < folds else ""
        return few, "Lower split.folds."
    recordings = _list_recordings(chunks)
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


def audit_split(chunks: pd.DataFrame, level: str) -> str:
    """Check that no group and no second of a recording stands on two sides.

    Whether two recordings hold the same is for :func:`mea.splitting.duplicates.check_contents`.

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
