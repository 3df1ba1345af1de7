"""Does the classifier know the class or the recording? Linear probes on the features it decides by.

Alain and Bengio, "Understanding intermediate layers using linear classifier probes", arXiv:1610.01644.
"""

import warnings
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from sklearn.impute import SimpleImputer
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from mea.arrays.events import SpikeEvents
from mea.models.base import Model
from mea.models.pool import Pool
from mea.runtime.parallel import PATIENCE_S, show_progress

MAX_CHUNKS = 2000  # of either side of a fold; more chunks do not change what a probe finds
MAX_OF_ONE = 100  # chunks of a recording that is held out, where not all chunks are probed
FOLDS = 5
COLUMNS = ("recording", "chunk_split", "label", "chance")


def probe_models(
    open_model: Callable[[int], Model | Pool],
    folds: list[int],
    chunks: pd.DataFrame,
    events: Mapping[str, SpikeEvents],
    seed: int,
) -> dict[str, float]:
    """Accuracy of linear probes on each fold's features of the recordings that it held out.

    Parameters
    ----------
    open_model, folds
        Gives the model of a fold, whose features describe the chunks; the scored folds.
    chunks
        All chunks with their fold.
    events
        Of each recording.
    seed
        Of the drawing of chunks and of the probes' folds.

    Returns
    -------
    dict
        Fractions of held-out chunks that are predicted correctly; all but the last are NaN if every recording has
        one chunk only:
        ``recording``: which recording it is, by a probe that saw other chunks of the same recordings;
        ``chance``: the same by chance;
        ``chunk_split``: the class, by a probe that saw other chunks of the same recordings, as in a split by chunk;
        ``label``: the class, by a probe that saw the fold's training set only, which is the honest accuracy.
    """
    random = np.random.default_rng(seed)
    parts = []
    for fold in show_progress(folds, desc="probes", delay=PATIENCE_S):
        held_out = draw_recordings(chunks[chunks["fold"] == fold], random)
        training = draw_chunks(chunks[chunks["fold"] != fold], random)
        model = open_model(fold)
        values = model.compute_features(held_out, events)
        honest = _build_probe().fit(model.compute_features(training, events), training["label"])
        table = _probe_held_out(values, held_out, seed)
        table["label"] = honest.predict(values) == held_out["label"].to_numpy()
        parts.append(table)
    return {name: float(value) for name, value in pd.concat(parts).astype(float).mean().items()}


def summarise_optimism(probes: dict[str, float]) -> dict[str, float]:
    """Optimism of a split by chunk: its accuracy on these features, the honest accuracy, and the difference."""
    return {
        "chunk_split_accuracy": probes["chunk_split"],
        "honest_accuracy": probes["label"],
        "gap": probes["chunk_split"] - probes["label"],
    }


def summarise_identity(probes: dict[str, float]) -> dict[str, float]:
    """How well the features identify the recording, compared with chance, and how well they predict the class."""
    return {
        "recording_accuracy": probes["recording"],
        "chance": probes["chance"],
        "label_accuracy": probes["label"],
    }


def _build_probe() -> Pipeline:
    imputer = SimpleImputer(strategy="median", keep_empty_features=True)  # features may be undefined
    return make_pipeline(imputer, StandardScaler(), RidgeClassifier(class_weight="balanced"))


def draw_recordings(chunks: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    """All chunks, or those of some recordings: at most ``MAX_CHUNKS``, of each class about as many recordings.

    A probe that is to recognise a recording must have seen enough of it, so recordings are drawn whole, but for those
    of more than ``MAX_OF_ONE`` chunks. The number of chunks a recording thus does not fall with that of recordings.
    """
    if len(chunks) <= MAX_CHUNKS:
        return chunks
    shuffled = chunks.iloc[random.permutation(len(chunks))]
    shuffled = shuffled[shuffled.groupby("recording").cumcount() < MAX_OF_ONE]
    recordings = shuffled.groupby("recording", sort=False)["label"].agg(["first", "size"])
    turn = recordings.groupby("first").cumcount().to_numpy()
    size = recordings["size"].iloc[np.argsort(turn, kind="stable")]
    drawn = size.index[(size.cumsum() <= MAX_CHUNKS).to_numpy()]
    return chunks.loc[shuffled.index[shuffled["recording"].isin(drawn)].sort_values()]


def draw_chunks(chunks: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    """At most ``MAX_CHUNKS`` chunks, about the same number of each recording: of the more, the more is learned."""
    shuffled = chunks.iloc[random.permutation(len(chunks))]
    turn = shuffled.groupby("recording").cumcount().to_numpy()
    return chunks.loc[shuffled.index[np.argsort(turn, kind="stable")[:MAX_CHUNKS]].sort_values()]


def _probe_held_out(values: np.ndarray, held_out: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Chunk by chunk: did probes that saw other chunks of the same recordings predict recording and label?"""
    recordings, labels = held_out["recording"].to_numpy(), held_out["label"].to_numpy()
    table = pd.DataFrame(np.nan, index=range(len(held_out)), columns=list(COLUMNS))
    counts = held_out.groupby("recording")["recording"].transform("size").to_numpy()
    several = np.flatnonzero(counts > 1)  # of a single chunk there is no other to have seen
    if len(several) == 0:
        return table
    table.loc[several, "chance"] = 1 / len(set(recordings[several]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a recording of few chunks stands in some folds only
        folds = StratifiedKFold(min(FOLDS, counts.max()), shuffle=True, random_state=seed)
        parts = list(folds.split(several, recordings[several]))
    for training, test in parts:
        training, test = several[training], several[test]
        for column, targets in (("recording", recordings), ("chunk_split", labels)):
            if len(set(targets[training])) == 1:
                correct = targets[test] == targets[training][0]
            else:
                correct = _build_probe().fit(values[training], targets[training]).predict(values[test]) == targets[test]
            table.loc[test, column] = correct.astype(float)
    return table
