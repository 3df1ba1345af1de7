"""Attributions by occlusion: how the log odds of the predicted class change when a part of the input is left out.

Three kinds of parts, for any model. Electrodes: the recording as if one had been silent (occlusion: Zeiler and Fergus,
"Visualizing and understanding convolutional networks", ECCV 2014, doi:10.1007/978-3-319-10590-1_53); of an array of
more than 128, all electrodes of a twenty-fifth of the array together, as those authors covered squares of a picture.
Windows: one of them alone. And, of a model on summary features, families of features: as in the median training
recording.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from mea.arrays.events import SpikeEvents
from mea.runtime.parallel import run_parallel
from mea.training.classifier import Classifier

MAX_WINDOWS = 30
MOST_ALONE = 128  # electrodes that are left out one by one
BANDS = 5  # of rows, and of columns, of a larger array
MIN_PROBABILITY = 1e-6  # log odds end at ±14
COLUMNS = ("kind", "row", "col", "last_row", "last_col", "start_s", "stop_s", "family", "log_odds")


@dataclass(frozen=True)
class Occlusion:
    """A recording, whole or with a part left out, and the models that score it.

    Attributes
    ----------
    classifier, folds
        The models of these folds; their log odds are averaged.
    chunks
        Of the recording.
    events
        Of the recording.
    family
        A family of features that is left out; empty for none.
    """

    classifier: Classifier
    folds: list[int]
    chunks: pd.DataFrame
    events: SpikeEvents
    family: str = ""

    def score(self) -> np.ndarray:
        """(n_labels,) log odds of each class against the others."""
        one = {self.events.recording: self.events}
        log_odds = []
        for fold in self.folds:
            proba = self.classifier.open_model(fold).predict_recordings(self.chunks, one, self.family)[0]
            proba = np.clip(proba, MIN_PROBABILITY, 1 - MIN_PROBABILITY)
            log_odds.append(np.log(proba / (1 - proba)))
        return np.mean(log_odds, axis=0)


def compute_attributions(whole: Occlusion) -> tuple[str, pd.DataFrame]:
    """Leave out every part of a recording in turn.

    Parameters
    ----------
    whole
        The recording with nothing left out.

    Returns
    -------
    label
        The predicted class.
    attributions
        One row a part: kind (``whole``, ``electrode``, ``window`` or ``family``), row, col, last_row, last_col (of a
        part of a large array; else the same as row and col), start_s, stop_s, family (those that apply), and log_odds
        of the predicted class. Of the whole recording and of a window alone, the log odds themselves. Of an electrode
        and a family, how far they fall without it: above 0 it is evidence for the class, below 0 against it.
    """
    log_odds = whole.score()
    best = int(log_odds.argmax())
    parts, changes = zip(*_list_parts(whole))
    scored = run_parallel(_ScorePart(whole), changes, f"{whole.events.recording} explained", begin_here=True)
    scores = np.concatenate([log_odds[[best]], np.array(scored)[:, best]])
    table = pd.DataFrame([{"kind": "whole"}, *parts])
    table["log_odds"] = np.where(table["kind"].isin(["whole", "window"]), scores, log_odds[best] - scores)
    return whole.classifier.labels[best], table.reindex(columns=list(COLUMNS))


class _ScorePart:
    """Scores the recording with one thing changed; an object, so that it can be sent to worker processes."""

    def __init__(self, whole: Occlusion):
        self.whole = whole

    def __call__(self, change: dict[str, Any]) -> np.ndarray:
        if "silent" in change:
            change = {"events": self.whole.events.silence(change["silent"])}
        return replace(self.whole, **change).score()


def _list_parts(whole: Occlusion) -> Iterator[tuple[dict, dict[str, Any]]]:
    """Each part, and what changes without it (of windows: with nothing else)."""
    events, chunks = whole.events, whole.chunks
    for place, electrodes in _part_array(events):
        yield {"kind": "electrode", **place}, {"silent": electrodes}
    for part in np.array_split(np.arange(len(chunks)), min(len(chunks), MAX_WINDOWS)):
        window = chunks.iloc[part]
        times = {"start_s": window["start_s"].iloc[0], "stop_s": window["stop_s"].iloc[-1]}
        yield {"kind": "window", **times}, {"chunks": window}
    for family in whole.classifier.open_model(whole.folds[0]).list_feature_families(events.has_waveforms):
        yield {"kind": "family", "family": family}, {"family": family}


def _part_array(events: SpikeEvents) -> Iterator[tuple[dict[str, int], np.ndarray]]:
    """Rows and columns of each part of the array, and the numbers of its electrodes."""
    if events.n_electrodes <= MOST_ALONE:
        for number, (row, col) in enumerate(zip(events.row.tolist(), events.col.tolist())):
            yield {"row": row, "col": col, "last_row": row, "last_col": col}, np.array([number])
        return
    bands = [np.array_split(np.arange(count), min(count, BANDS)) for count in (events.rows, events.cols)]
    for rows, cols in product(*bands):
        there = np.isin(events.row, rows) & np.isin(events.col, cols)
        if there.any():
            place = {"row": rows[0], "col": cols[0], "last_row": rows[-1], "last_col": cols[-1]}
            yield {name: int(value) for name, value in place.items()}, np.flatnonzero(there)
