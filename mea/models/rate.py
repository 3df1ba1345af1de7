"""Firing rate alone: the baseline every network must beat."""

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from mea.arrays.events import Events
from mea.networks.chunks import measure_rates


def describe_chunks(chunks: pd.DataFrame, events: dict[str, Events]) -> np.ndarray:
    """(n_chunks, 1): log(1 + spikes per second and electrode)."""
    return np.log1p(measure_rates(chunks, events))[:, None]


def build_estimator(seed: int) -> Pipeline:
    """Logistic regression on the standardised rate; classes weighted to count alike. Takes milliseconds."""
    return make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", random_state=seed))
