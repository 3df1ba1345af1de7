"""Summary features of recordings and of their chunks: a minute or two to train, and hard to beat.

It sees what :mod:`mea.features` measures (intervals, bursts, synchrony, network bursts, spread over electrodes) and no
single spike. A recording is judged as a whole, by a support vector machine that looks away from what differs between
cultures (:mod:`mea.models.machine`); single chunks, by logistic regression. Take it first, with chunks long enough to
hold bursts (split.chunk_s of 10 s and more).
"""

import numpy as np
import pandas as pd
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from mea.arrays.events import Events
from mea.features.cached import fetch_features, fetch_long_window_features
from mea.features.compute import summarise_recording
from mea.features.families import list_summary_families


def describe_chunks(chunks: pd.DataFrame, events: dict[str, Events]) -> np.ndarray:
    """(n_chunks, n_features), named by :func:`mea.features.families.list_features`; NaN where one is undefined.

    Measured once for every recording and length of chunk, and kept.
    """
    parts = {}
    for name, part in chunks.groupby("recording", sort=False):
        lengths = (part["stop_s"] - part["start_s"]).to_numpy()
        number = (part["start_s"] / lengths).round().astype(int)
        parts[name] = pd.DataFrame(_describe_recording(events[name], lengths[0])[number], index=part.index)
    return pd.concat(parts.values()).loc[chunks.index].to_numpy()


def describe_recordings(chunks: pd.DataFrame, events: dict[str, Events]) -> tuple[np.ndarray, np.ndarray]:
    """Features of whole recordings.

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
    values
        (n, n_summaries), named by :func:`mea.features.families.list_summaries`; NaN where a feature is undefined.
    """
    parts = dict(list(chunks.groupby("recording", sort=True)))
    return np.array(list(parts)), np.array([_summarise(part, events[name]) for name, part in parts.items()])


def list_families(has_waveforms: bool) -> list[str]:
    """Family of each feature of a recording."""
    return list_summary_families(has_waveforms)


def _summarise(chunks: pd.DataFrame, events: Events) -> np.ndarray:
    """(n_summaries,) of the stretch that a recording's chunks cover."""
    window = [(float(chunks["start_s"].min()), float(chunks["stop_s"].max()))]
    pieces = describe_chunks(chunks, {chunks["recording"].iloc[0]: events})
    return summarise_recording(fetch_features(events, window)[0], pieces, fetch_long_window_features(events, window)[0])


def _describe_recording(events: Events, chunk_s: float) -> np.ndarray:
    """(n, n_features) of all chunks of a recording, from its beginning."""
    chunk_s = round(float(chunk_s), 6)
    count = int(round(events.duration_s / chunk_s, 6))
    return fetch_features(events, [(k * chunk_s, (k + 1) * chunk_s) for k in range(count)])


def build_estimator(seed: int) -> Pipeline:
    """Logistic regression on standardised features, undefined ones at the median; classes weighted to count alike."""
    return make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True),
        StandardScaler(),
        LogisticRegression(C=0.1, class_weight="balanced", max_iter=2000, random_state=seed),
    )
