"""Does the classifier know the class or the recording? Linear probes on the features it decides by.

Alain and Bengio, "Understanding intermediate layers using linear classifier probes", arXiv:1610.01644.
"""

import warnings

import numpy as np
import pandas as pd
from sklearn.impute import SimpleImputer
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from mea.arrays.events import SpikeEvents
from mea.runtime.parallel import PATIENCE_S, show_progress
from mea.training.classifier import Classifier

MOST_CHUNKS = 2000  # of either side of a fold; what a probe finds does not hang on more
FOLDS = 5
COLUMNS = ("recording", "chunk_split", "label", "chance")


def probe_classifier(
    classifier: Classifier, chunks: pd.DataFrame, events: dict[str, SpikeEvents], seed: int
) -> dict[str, float]:
    """What linear models read out of each fold's frozen features of the recordings that it held out.

    Parameters
    ----------
    classifier
        Its folds' models describe the chunks.
    chunks
        All chunks with their fold.
    events
        Of each recording.
    seed
        Of the drawing of chunks and of the probes' folds.

    Returns
    -------
    dict
        Shares of held-out chunks; NaN, but for the last, where every recording has but one chunk:
        ``recording``: named the recording they came from, by a probe that saw other chunks of the same recordings;
        ``chance``: the same by guessing;
        ``chunk_split``: named the class, by a probe that saw other chunks of the same recordings, which is what a
        split by chunk measures;
        ``label``: named the class, by a probe that saw the fold's training side only, which is the honest figure.
    """
    random = np.random.default_rng(seed)
    parts = []
    for fold in show_progress(classifier.folds, desc="probes", delay=PATIENCE_S):
        held = _draw(chunks[chunks["fold"] == fold], random)
        training = _draw(chunks[chunks["fold"] != fold], random)
        model = classifier.open_model(fold)
        values = model.compute_features(held, events)
        honest = _build_probe().fit(model.compute_features(training, events), training["label"])
        table = _probe_held_out(values, held, seed)
        table["label"] = honest.predict(values) == held["label"].to_numpy()
        parts.append(table)
    return {name: float(value) for name, value in pd.concat(parts).astype(float).mean().items()}


def summarise_optimism(probes: dict[str, float]) -> dict[str, float]:
    """What a split by chunk would have reported for these features, next to the honest figure, and the difference."""
    return {
        "chunk_split_accuracy": probes["chunk_split"],
        "honest_accuracy": probes["label"],
        "gap": probes["chunk_split"] - probes["label"],
    }


def summarise_identity(probes: dict[str, float]) -> dict[str, float]:
    """How well the features name the recording, and by guessing; and how well they name the class."""
    return {
        "recording_accuracy": probes["recording"],
        "chance": probes["chance"],
        "label_accuracy": probes["label"],
    }


def _build_probe() -> Pipeline:
    imputer = SimpleImputer(strategy="median", keep_empty_features=True)  # features may be undefined
    return make_pipeline(imputer, StandardScaler(), RidgeClassifier(class_weight="balanced"))


def _draw(chunks: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    """At most so many chunks, about as many of each recording."""
    shuffled = chunks.iloc[random.permutation(len(chunks))]
    turn = shuffled.groupby("recording").cumcount().to_numpy()
    return chunks.loc[shuffled.index[np.argsort(turn, kind="stable")[:MOST_CHUNKS]].sort_values()]


def _probe_held_out(values: np.ndarray, held: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Chunk by chunk: were recording and label named by probes that saw other chunks of the same recordings?"""
    recordings, labels = held["recording"].to_numpy(), held["label"].to_numpy()
    table = pd.DataFrame(np.nan, index=range(len(held)), columns=list(COLUMNS))
    counts = held.groupby("recording")["recording"].transform("size").to_numpy()
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
                hits = targets[test] == targets[training][0]
            else:
                hits = _build_probe().fit(values[training], targets[training]).predict(values[test]) == targets[test]
            table.loc[test, column] = hits.astype(float)
    return table
