"""Summary features of recordings and of their chunks: a minute or two to train, and hard to beat.

It sees what :mod:`mea.features` measures (intervals, bursts, synchrony, network bursts, spread over electrodes) and no
single spike. A recording is judged as a whole, by a support vector machine that looks away from what differs between
cultures (:mod:`mea.models.machine`); single chunks, by logistic regression. Take it first, with chunks long enough to
hold bursts (split.chunk_s of 10 s and more).
"""

from itertools import pairwise

import numpy as np
import pandas as pd
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from mea.descriptions import describe_lasting, describe_windows
from mea.events import Events
from mea.features import summarise_stretch

FEWEST = 6  # chunks of a recording whose thirds are looked at


def describe_chunks(chunks: pd.DataFrame, events: dict[str, Events]) -> np.ndarray:
    """(n_chunks, n_features), named by :func:`mea.features.list_features`; NaN where one is undefined.

    Measured once for every recording and length of chunk, and kept.
    """
    parts = {}
    for name, part in chunks.groupby("recording", sort=False):
        lengths = (part["stop_s"] - part["start_s"]).to_numpy()
        number = (part["start_s"] / lengths).round().astype(int)
        parts[name] = pd.DataFrame(_describe_recording(events[name], lengths[0])[number], index=part.index)
    return pd.concat(parts.values()).loc[chunks.index].to_numpy()


def describe_recordings(chunks: pd.DataFrame, events: dict[str, Events]) -> tuple[np.ndarray, np.ndarray]:
    """Features of whole recordings, and of the thirds of each.

    Parameters
    ----------
    chunks
        Of the recordings; what they do not cover is not looked at.
    events
        Of each recording.

    Returns
    -------
    names
        (n,) the recordings, sorted.
    looks
        (n, 4, n_summaries): whole, first, second and last third of its chunks, each named by
        :func:`mea.features.list_summaries`; NaN where a feature is undefined. With fewer than six chunks a third says
        too little, and the whole stands in its place.
    """
    names, looks = [], []
    for name, part in chunks.groupby("recording", sort=True):
        edges = [0, len(part) // 3, 2 * len(part) // 3, len(part)]
        thirds = list(pairwise(edges)) if len(part) >= FEWEST else [(0, len(part))] * 3
        names.append(name)
        looks.append(_look(part, events[name], [(0, len(part)), *thirds]))
    return np.array(names), np.array(looks)


def _look(part: pd.DataFrame, events: Events, spans: list[tuple[int, int]]) -> np.ndarray:
    """(n_spans, n_summaries) of spans of a recording's chunks."""
    start_s, stop_s = part["start_s"].tolist(), part["stop_s"].tolist()
    windows = [(start_s[first], stop_s[last - 1]) for first, last in spans]
    pieces = describe_chunks(part, {part["recording"].iloc[0]: events})
    # The whole by itself, for novelty asks for it too.
    whole = np.concatenate([describe_windows(events, windows[:1]), describe_windows(events, windows[1:])])
    lasting = describe_lasting(events, windows)
    return np.array(
        [
            summarise_stretch(whole[number], pieces[first:last], lasting[number])
            for number, (first, last) in enumerate(spans)
        ]
    )


def _describe_recording(events: Events, chunk_s: float) -> np.ndarray:
    """(n, n_features) of all chunks of a recording, from its beginning."""
    chunk_s = round(float(chunk_s), 6)
    count = int(round(events.duration_s / chunk_s, 6))
    return describe_windows(events, [(k * chunk_s, (k + 1) * chunk_s) for k in range(count)])


def build_estimator(seed: int) -> Pipeline:
    """Logistic regression on standardised features, undefined ones at the median; classes weighted to count alike."""
    return make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True),
        StandardScaler(),
        LogisticRegression(C=0.1, class_weight="balanced", max_iter=2000, random_state=seed),
    )
