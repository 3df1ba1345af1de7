"""Summary features of recordings and of their chunks: a minute or two to train, and hard to beat.

It sees what :mod:`mea.features` computes (inter-spike intervals, bursts, synchrony, network bursts, how all this varies
over electrodes) and no single spike. Whole recordings are classified by a support vector classifier after within-class
covariance normalisation (:mod:`mea.models.recording_svc`), single chunks by logistic regression. Take it first, with
chunks long enough to hold bursts (split.chunk_s of 10 s and more).
"""

from typing import Any

import numpy as np
import pandas as pd

from mea.arrays.events import SpikeEvents
from mea.features.cached import fetch_features, fetch_long_window_features
from mea.features.compute import summarise_recording
from mea.features.families import list_summaries, list_summary_families
from mea.models.feature_model import FeatureModel


class FeaturesModel(FeatureModel):
    """Summary features of :mod:`mea.features`."""

    name = "features"
    shares_features = True
    is_quick = True
    chunk_C = 0.1

    def compute_features(self, chunks: pd.DataFrame, events: dict[str, SpikeEvents]) -> np.ndarray:
        """(n_chunks, n_features), named by :func:`mea.features.families.list_features`; NaN where one is undefined.

        They are computed once for every recording and length of chunk, and cached.
        """
        return compute_chunks(chunks, events)

    def summarise_recordings(
        self, chunks: pd.DataFrame, events: dict[str, SpikeEvents], values: np.ndarray
    ) -> np.ndarray:
        """(n_recordings, n_summaries), named by :func:`mea.features.families.list_summaries`; NaN if undefined."""
        return summarise_recordings(chunks, events, values)

    def name_recording_features(self, has_waveforms: bool) -> list[str]:
        """Those of :func:`mea.features.families.list_summaries`."""
        return list_summaries(has_waveforms)

    def name_families(self, has_waveforms: bool) -> list[str]:
        """Those of :func:`mea.features.families.list_summary_families`."""
        return list_summary_families(has_waveforms)

    @classmethod
    def precompute(cls, chunks: pd.DataFrame, events: dict[str, SpikeEvents], params: Any) -> None:
        """All features of one recording."""
        summarise_recordings(chunks, events, compute_chunks(chunks, events))


def compute_chunks(chunks: pd.DataFrame, events: dict[str, SpikeEvents]) -> np.ndarray:
    """(n_chunks, n_features) of chunks."""
    parts = []
    for name, part in chunks.groupby("recording", sort=False):
        lengths = (part["stop_s"] - part["start_s"]).to_numpy()
        number = (part["start_s"] / lengths).round().astype(int)
        parts.append(pd.DataFrame(_fetch_chunks(events[name], lengths[0])[number], index=part.index))
    return pd.concat(parts).loc[chunks.index].to_numpy()


def summarise_recordings(chunks: pd.DataFrame, events: dict[str, SpikeEvents], values: np.ndarray) -> np.ndarray:
    """(n_recordings, n_summaries) of the parts of recordings that chunks cover, sorted by name.

    ``values`` are the features of the chunks, (n_chunks, n_features).
    """
    rows = []
    for name, number in sorted(chunks.groupby("recording").indices.items()):
        part = chunks.iloc[number]
        window = [(float(part["start_s"].min()), float(part["stop_s"].max()))]
        whole, long_window = fetch_features(events[name], window), fetch_long_window_features(events[name], window)
        rows.append(summarise_recording(whole[0], values[number], long_window[0]))
    return np.array(rows)


def _fetch_chunks(events: SpikeEvents, chunk_s: float) -> np.ndarray:
    """(n, n_features) of all chunks of a recording, from its beginning."""
    chunk_s = round(float(chunk_s), 6)
    count = int(round(events.duration_s / chunk_s, 6))
    return fetch_features(events, [(k * chunk_s, (k + 1) * chunk_s) for k in range(count)])
