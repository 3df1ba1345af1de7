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
from mea.features.compute import average, summarise_recording
from mea.features.families import list_summaries, list_summary_families
from mea.models.feature_model import FeatureModel
from mea.splitting.chunks import place_chunks


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
        start_s, values = _fetch_chunks(events[name], lengths[0])
        number = np.searchsorted(start_s, part["start_s"] - lengths / 2)  # both are rounded
        parts.append(pd.DataFrame(values[number], index=part.index))
    return pd.concat(parts).loc[chunks.index].to_numpy()


def summarise_recordings(chunks: pd.DataFrame, events: dict[str, SpikeEvents], values: np.ndarray) -> np.ndarray:
    """(n_recordings, n_summaries) of the parts of recordings that chunks cover, sorted by name.

    ``values`` are the features of the chunks, (n_chunks, n_features).
    """
    rows = []
    for name, number in sorted(chunks.groupby("recording").indices.items()):
        part = chunks.iloc[number]
        windows = _find_windows(part, events[name])
        whole, long_window = fetch_features(events[name], windows), fetch_long_window_features(events[name], windows)
        length = np.array([stop - start for start, stop in windows])
        rows.append(summarise_recording(average(whole, length), values[number], average(long_window, length)))
    return np.array(rows)


def _find_windows(chunks: pd.DataFrame, events: SpikeEvents) -> list[tuple[float, float]]:
    """From the first to the last chunk of each uninterrupted part of a recording: start and stop, s."""
    middle = (chunks["start_s"] + chunks["stop_s"]).to_numpy() / 2
    part = np.searchsorted(events.pauses / events.sampling_rate_hz, middle)
    return [
        (float(chunks["start_s"][part == one].min()), float(chunks["stop_s"][part == one].max()))
        for one in np.unique(part)
    ]


def _fetch_chunks(events: SpikeEvents, chunk_s: float) -> tuple[np.ndarray, np.ndarray]:
    """(n,) start, s, and (n, n_features) of all chunks of a recording."""
    rate = events.sampling_rate_hz
    length = round(chunk_s * rate)
    first = place_chunks(events.parts, length)
    windows = list(zip((first / rate).tolist(), ((first + length) / rate).tolist()))
    return first / rate, fetch_features(events, windows)
