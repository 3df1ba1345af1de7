"""Attributions by occlusion: how the log odds of the predicted class change when a part of the input is left out.

Three kinds of parts, for any model. Electrodes: the recording as if one had been silent (occlusion: Zeiler and Fergus,
"Visualizing and understanding convolutional networks", ECCV 2014, doi:10.1007/978-3-319-10590-1_53). Windows: one of
them alone. And, of a model on summary features, families of features: as in the median training recording.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from mea.arrays.events import SpikeEvents
from mea.runtime.parallel import run_parallel
from mea.training.classifier import Classifier

MAX_WINDOWS = 30
MIN_PROBABILITY = 1e-6  # log odds end at ±14
COLUMNS = ("kind", "row", "col", "start_s", "stop_s", "family", "log_odds")


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
        One row a part: kind (``whole``, ``electrode``, ``window`` or ``family``), row, col, start_s, stop_s, family
        (those that apply), and log_odds of the predicted class. Of the whole recording and of a window alone, the log
        odds themselves. Of an electrode and a family, how far they fall without it: above 0 it is evidence for the
        class, below 0 against it.
    """
    log_odds = whole.score()
    best = int(log_odds.argmax())
    parts, occlusions = zip(*_leave_out(whole))
    scored = run_parallel(Occlusion.score, occlusions, f"{whole.events.recording} explained", begin_here=True)
    scores = np.concatenate([log_odds[[best]], np.array(scored)[:, best]])
    table = pd.DataFrame([{"kind": "whole"}, *parts])
    table["log_odds"] = np.where(table["kind"].isin(["whole", "window"]), scores, log_odds[best] - scores)
    return whole.classifier.labels[best], table.reindex(columns=list(COLUMNS))


def _leave_out(whole: Occlusion) -> Iterator[tuple[dict, Occlusion]]:
    """Each part, and the recording without it (of windows: with nothing else)."""
    events, chunks = whole.events, whole.chunks
    for number, (row, col) in enumerate(zip(events.row.tolist(), events.col.tolist())):
        yield {"kind": "electrode", "row": row, "col": col}, replace(whole, events=events.silence(number))
    for part in np.array_split(np.arange(len(chunks)), min(len(chunks), MAX_WINDOWS)):
        window = chunks.iloc[part]
        times = {"start_s": window["start_s"].iloc[0], "stop_s": window["stop_s"].iloc[-1]}
        yield {"kind": "window", **times}, replace(whole, chunks=window)
    for family in whole.classifier.open_model(whole.folds[0]).list_feature_families(events.has_waveforms):
        yield {"kind": "family", "family": family}, replace(whole, family=family)
