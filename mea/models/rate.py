"""Firing rate alone: the baseline every model must beat."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from mea.arrays.events import SpikeEvents
from mea.models.base import Fit, Model, TrainingSide
from mea.models.estimators import load_estimator, save_estimator
from mea.models.spec import ModelSpec

FILE = "rate.skops"


class RateModel(Model):
    """Logistic regression on the log firing rate of each chunk. Takes milliseconds.

    Attributes
    ----------
    classifier
        Fitted.
    """

    name = "rate"
    is_quick = True
    classifier: Pipeline

    @classmethod
    def fit(cls, data: TrainingSide, params: Any) -> Fit:
        """Fit on all chunks; out-of-fold predictions come from one more fit for each inner fold."""
        model, folds = fit_rate(data, params), data.assign_inner_folds()
        if folds is None:
            return Fit(model, data.tabulate_oof(data.list_recordings()[:0], np.zeros((0, len(data.labels)))))
        values, targets = model.compute_features(data.chunks, data.events), data.chunks["label"].to_numpy()
        oof = np.zeros((len(values), len(data.labels)))
        for fold in set(folds):
            val_mask = folds == fold
            classifier = build_classifier(data.seed).fit(values[~val_mask], targets[~val_mask])
            oof[val_mask] = classifier.predict_proba(values[val_mask])
        return Fit(model, data.tabulate_chunk_oof(data.chunks, oof))

    def predict_proba(self, chunks: pd.DataFrame, events: Mapping[str, SpikeEvents]) -> np.ndarray:
        """(n_chunks, n_labels)."""
        return self.classifier.predict_proba(self.compute_features(chunks, events))

    def compute_features(self, chunks: pd.DataFrame, events: Mapping[str, SpikeEvents]) -> np.ndarray:
        """(n_chunks, 1): log(1 + spikes per second and electrode)."""
        return np.log1p(measure_rates(chunks, events))[:, None]

    def save(self, folder: Path) -> None:
        """The classifier."""
        save_estimator(folder / FILE, self.classifier)

    @classmethod
    def load(cls, folder: Path, spec: ModelSpec) -> Self:
        """Read what :meth:`save` wrote."""
        model = cls(spec)
        model.classifier = load_estimator(folder / FILE)
        return model


def fit_rate(data: TrainingSide, params: Any) -> RateModel:
    """The baseline of a fold: the model without out-of-fold predictions."""
    model = RateModel(data.make_spec(params))
    values = model.compute_features(data.chunks, data.events)
    model.classifier = build_classifier(data.seed).fit(values, data.chunks["label"])
    return model


def measure_rates(chunks: pd.DataFrame, events: Mapping[str, SpikeEvents]) -> np.ndarray:
    """(n_chunks,) spikes per second and electrode in each chunk, over all electrodes of the layout."""
    rows = chunks[["recording", "start_s", "stop_s"]].itertuples(index=False, name=None)
    return np.array([events[name].count_events(start, stop).mean() / (stop - start) for name, start, stop in rows])


def build_classifier(seed: int) -> Pipeline:
    """Logistic regression on the standardised log rate; classes are weighted equally."""
    return make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", random_state=seed))
