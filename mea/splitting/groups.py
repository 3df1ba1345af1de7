"""Groups of recordings that must be held out together: those of one batch, or of one culture."""

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

LEVELS = ("batch", "culture", "recording", "chunk")  # from the coarsest to the finest
IDENTITY = ["recording", "label", "culture", "batch"]


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
    recordings = list_recordings(chunks)
    unknown = recordings.loc[recordings[level] == "", "recording"]
    if unknown.empty:
        return ""
    shown = ", ".join(unknown[:3]) + ("…" if len(unknown) > 3 else "")
    own = "its own group" if level == "culture" else "its own group, or its culture's where that is known"
    return (
        f"{level} unknown for {len(unknown)} of {len(recordings)} recordings ({shown}): each of these is {own}, and "
        "recordings alike may stand on both sides. State it in recordings.csv."
    )


def list_recordings(chunks: pd.DataFrame) -> pd.DataFrame:
    """Recording, label, culture and batch of each recording, in the order of first appearance."""
    return chunks[IDENTITY].drop_duplicates("recording").reset_index(drop=True)
