"""Groups of recordings that must be held out together: those of one batch, or of one culture."""

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

SPLIT_LEVELS = ("batch", "culture", "recording", "chunk")  # from the coarsest to the finest
IDENTITY = ["recording", "label", "culture", "batch"]


def choose_split_level(recordings: pd.DataFrame, by: str) -> str:
    """The split level: ``by`` itself, or for ``auto`` the coarsest level that is known for any recording.

    Parameters
    ----------
    recordings
        Columns recording, culture, batch; an empty string where unknown.
    by
        One of ``SPLIT_LEVELS``, or ``auto``.

    Examples
    --------
    >>> import pandas as pd
    >>> recordings = pd.DataFrame({"recording": ["r1", "r2"], "culture": ["c1", "c2"], "batch": ["", ""]})
    >>> choose_split_level(recordings, "auto")
    'culture'
    """
    if by != "auto":
        return by
    return next(split_level for split_level in SPLIT_LEVELS if (recordings[split_level] != "").any())


def group_recordings(recordings: pd.DataFrame, split_level: str) -> np.ndarray:
    """Number the groups of recordings that must be held out together.

    At ``batch``, recordings that share a batch or a culture are one group; at ``culture``, those that share a
    culture. A recording whose batch and culture are both unknown is a group of its own; :func:`explain_unknown` says
    how many recordings have no known group.

    Parameters
    ----------
    recordings
        One row a recording, columns culture and batch; an empty string where unknown.
    split_level
        One of ``SPLIT_LEVELS``; at ``recording`` and ``chunk`` every recording is a group of its own.

    Returns
    -------
    np.ndarray
        (n_recordings,) int group numbers, in the order of first appearance.

    Examples
    --------
    >>> import pandas as pd
    >>> recordings = pd.DataFrame({"culture": ["c1", "c1", "c2", "c3"], "batch": ["b1", "b1", "b1", ""]})
    >>> group_recordings(recordings, "batch").tolist()
    [0, 0, 0, 1]
    >>> group_recordings(recordings, "culture").tolist()
    [0, 0, 1, 2]
    """
    names = [name for name in SPLIT_LEVELS[SPLIT_LEVELS.index(split_level) :] if name in ("batch", "culture")]
    n = len(recordings)
    links = coo_array((n, n), dtype=bool)
    for name in names:
        number, values = pd.factorize(recordings[name])
        known = np.flatnonzero((values != "")[number])
        first = np.unique(number, return_index=True)[1]  # each is linked to the first of its group: that links all
        links = links + coo_array((np.ones(len(known), bool), (known, first[number[known]])), shape=(n, n))
    _, numbers = connected_components(links, directed=False)
    return pd.factorize(numbers)[0]


def explain_unknown(chunks: pd.DataFrame, split_level: str) -> str:
    """A warning if the group of some recordings is unknown at the split level; else an empty string.

    Parameters
    ----------
    chunks
        Columns recording, label, culture, batch; one row a recording or a chunk.
    split_level
        One of ``SPLIT_LEVELS``.
    """
    if split_level not in ("batch", "culture"):
        return ""
    recordings = list_recordings(chunks)
    unknown = recordings.loc[recordings[split_level] == "", "recording"]
    if unknown.empty:
        return ""
    shown = ", ".join(unknown[:3]) + ("…" if len(unknown) > 3 else "")
    group = "a group of its own" if split_level == "culture" else "a group of its own, or with its culture if known"
    return (
        f"{split_level} unknown for {len(unknown)} of {len(recordings)} recordings ({shown}): each of them is {group}, "
        "so similar recordings may be in both the training and the test set. State it in recordings.csv."
    )


def list_recordings(chunks: pd.DataFrame) -> pd.DataFrame:
    """Recording, label, culture and batch of each recording, in the order of first appearance."""
    return chunks[IDENTITY].drop_duplicates("recording").reset_index(drop=True)
