"""From the probabilities of chunks to those of their recordings, and tables of both."""

import numpy as np
import pandas as pd

from mea.splitting.groups import IDENTITY


def add_predictions(table: pd.DataFrame, probabilities: np.ndarray, labels: list[str]) -> pd.DataFrame:
    """The table with the columns predicted, confidence (largest probability) and ``p_<label>``."""
    table = table.copy()
    table["predicted"] = np.array(labels)[probabilities.argmax(1)]
    table["confidence"] = probabilities.max(1)
    for k, label in enumerate(labels):
        table[f"p_{label}"] = probabilities[:, k]
    return table


def get_probabilities(table: pd.DataFrame, labels: list[str]) -> np.ndarray:
    """(n, n_labels) from the columns ``p_<label>``."""
    return table[[f"p_{label}" for label in labels]].to_numpy(float)


def average_chunks(chunks: pd.DataFrame, values: np.ndarray) -> pd.DataFrame:
    """Mean of each recording over its chunks, indexed by recording."""
    table = pd.DataFrame(values, index=chunks["recording"].to_numpy())
    return table.groupby(level=0, sort=True).mean()


def average_recordings(chunks: pd.DataFrame, values: np.ndarray) -> np.ndarray:
    """(n_chunks, n_values): of each chunk, the mean over all chunks of its recording."""
    return average_chunks(chunks, values).loc[chunks["recording"]].to_numpy(copy=True)  # writable, as torch wants it


def aggregate_recordings(chunks: pd.DataFrame, labels: list[str]) -> pd.DataFrame:
    """One row a recording: the mean probability of its scored chunks.

    Parameters
    ----------
    chunks
        Columns recording, label, culture, batch, fold and ``p_<label>``.
    labels
        The classes, sorted.

    Returns
    -------
    pd.DataFrame
        recording, label, culture, batch, fold, predicted, confidence and ``p_<label>``. ``fold`` is ``mixed`` for a
        recording whose chunks are in several folds, which happens in a split by chunk only.

    Examples
    --------
    >>> import pandas as pd
    >>> chunks = pd.DataFrame({"recording": ["r1", "r1"], "label": "ko", "culture": "", "batch": "b1", "fold": 0,
    ...                        "p_ko": [0.9, 0.6], "p_wt": [0.1, 0.4]})
    >>> aggregate_recordings(chunks, ["ko", "wt"])[["recording", "predicted", "p_ko"]].to_numpy().tolist()
    [['r1', 'ko', 0.75]]
    """
    probabilities = average_chunks(chunks, get_probabilities(chunks, labels))
    table = chunks.drop_duplicates("recording").set_index("recording").loc[probabilities.index, IDENTITY[1:]]
    folds = chunks.groupby("recording")["fold"].agg(lambda fold: fold.iloc[0] if fold.nunique() == 1 else "mixed")
    table["fold"] = folds
    table = table.rename_axis("recording").reset_index()
    return add_predictions(table, probabilities.to_numpy(), labels)


def summarise_chunks(chunks: pd.DataFrame, descriptions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Names of the recordings (n,), sorted, and (n, 2 * n_values) mean and standard deviation over their chunks."""
    groups = pd.DataFrame(descriptions).groupby(chunks["recording"].to_numpy(str), sort=True)
    mean = groups.mean()
    return mean.index.to_numpy(str), np.concatenate([mean.to_numpy(), groups.std(ddof=0).to_numpy()], axis=1)
