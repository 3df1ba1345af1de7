"""Summary features of recordings and of their chunks: a minute or two to train, and hard to beat.

It sees what :mod:`mea.features` computes (inter-spike intervals, bursts, synchrony, network bursts, how all this varies
over electrodes) and no single spike. Whole recordings are classified by a support vector classifier after within-class
covariance normalisation (:mod:`mea.models.recording_svc`), single chunks by logistic regression. Take it first, with
chunks long enough to hold bursts (split.chunk_s of 10 s and more).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from mea.arrays.events import SpikeEvents
from mea.features.families import list_summaries, list_summary_families
from mea.features.recordings import compute_chunks, summarise_recordings
from mea.models.feature_model import FeatureModel


class FeaturesModel(FeatureModel):
    """Summary features of :mod:`mea.features`."""

    name = "features"
    shares_features = True
    takes_baseline = True
    is_quick = True
    chunk_C = 0.1

    def compute_features(self, chunks: pd.DataFrame, events: Mapping[str, SpikeEvents]) -> np.ndarray:
        """(n_chunks, n_features), named by :func:`mea.features.families.list_features`; NaN where one is undefined.

        They are computed once for every recording and length of chunk, and cached.
        """
        return compute_chunks(chunks, events)

    def summarise_recordings(
        self, chunks: pd.DataFrame, events: Mapping[str, SpikeEvents], values: np.ndarray
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
    def precompute(cls, chunks: pd.DataFrame, events: Mapping[str, SpikeEvents], params: Any) -> None:
        """All features of one recording."""
        summarise_recordings(chunks, events, compute_chunks(chunks, events))
