"""What models on features share: chunks by logistic regression, whole recordings by a support vector classifier."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from mea.arrays.events import SpikeEvents
from mea.models.base import Fit, Model, TrainingSide
from mea.models.estimators import load_estimator, save_estimator
from mea.models.recording_svc import RecordingSVC
from mea.models.spec import ModelSpec
from mea.splitting.groups import group_recordings

MOST_CHUNKS = 50_000  # that the logistic regression of chunks learns from
CHUNKS_FILE, RECORDINGS_FILE = "chunks.skops", "recordings.skops"


class FeatureModel(Model):
    """A model on features of chunks and of whole recordings; a subclass computes them.

    Attributes
    ----------
    chunk_C
        Inverse regularisation of the logistic regression of chunks: small where features outnumber recordings.
    chunk_classifier, recording_svc
        Fitted.
    """

    chunk_C: ClassVar[float]
    chunk_classifier: Pipeline
    recording_svc: RecordingSVC

    @abstractmethod
    def summarise_recordings(
        self, chunks: pd.DataFrame, events: Mapping[str, SpikeEvents], values: np.ndarray
    ) -> np.ndarray:
        """(n_recordings, n_recording_features), sorted by name, NaN where undefined; only what chunks cover counts.

        ``values`` are the features of the chunks, (n_chunks, n_features): :meth:`compute_features`.
        """

    @abstractmethod
    def name_recording_features(self, has_waveforms: bool) -> list[str]:
        """Names of the features of recordings, in order."""

    def name_families(self, has_waveforms: bool) -> list[str]:
        """Family of each feature of recordings, in order; empty where features cannot be left out by family."""
        return []

    def fit_features(self, data: TrainingSide) -> None:
        """Learn what the features themselves need; nothing, unless a network computes them."""

    @classmethod
    def fit(cls, data: TrainingSide, params: Any) -> Fit:
        """Fit the features, then both classifiers on them."""
        model = cls(data.make_spec(params))
        model.fit_features(data)
        values = model.compute_features(data.chunks, data.events)
        drawn = draw_chunks(len(values), data.seed)
        labels = data.chunks["label"].to_numpy()
        model.chunk_classifier = build_chunk_classifier(cls.chunk_C, data.seed).fit(values[drawn], labels[drawn])
        recordings = data.list_recordings()
        has_waveforms = data.events[recordings["recording"].iloc[0]].has_waveforms
        model.recording_svc, oof = RecordingSVC.fit(
            model.summarise_recordings(data.chunks, data.events, values),
            data.number_labels(recordings),
            group_recordings(recordings, "culture"),
            data.assign_inner_folds(recordings),
            len(data.labels),
            model.name_recording_features(has_waveforms),
        )
        return Fit(model, data.tabulate_oof(recordings[: len(oof)], oof))

    def predict_proba(self, chunks: pd.DataFrame, events: Mapping[str, SpikeEvents]) -> np.ndarray:
        """(n_chunks, n_labels) by logistic regression."""
        return self.chunk_classifier.predict_proba(self.compute_features(chunks, events))

    def predict_recordings(
        self, chunks: pd.DataFrame, events: Mapping[str, SpikeEvents], without: str = ""
    ) -> np.ndarray:
        """(n_recordings, n_labels) by the support vector classifier; a family left out becomes the median."""
        values = self.summarise_recordings(chunks, events, self.compute_features(chunks, events))
        if without:  # undefined features are imputed as the median of the training recordings
            for row, name in enumerate(sorted(set(chunks["recording"]))):
                values[row, np.array(self.name_families(events[name].has_waveforms)) == without] = np.nan
        return self.recording_svc.predict_proba(values)

    def permute_families(
        self, chunks: pd.DataFrame, events: Mapping[str, SpikeEvents], orders: Sequence[np.ndarray]
    ) -> Iterator[tuple[str, np.ndarray]]:
        """By the support vector classifier; the features are computed once."""
        values = self.summarise_recordings(chunks, events, self.compute_features(chunks, events))
        families = np.array(self.name_families(events[min(chunks["recording"])].has_waveforms))
        for family in dict.fromkeys(families.tolist()):
            own, predicted = families == family, []
            for order in orders:
                permuted = values.copy()
                permuted[:, own] = values[order][:, own]
                predicted.append(self.recording_svc.predict_proba(permuted))
            yield family, np.array(predicted)

    def list_feature_families(self, has_waveforms: bool) -> list[str]:
        """Families of its features, in the order of the features."""
        return list(dict.fromkeys(self.name_families(has_waveforms)))

    def list_limits(self) -> list[str]:
        """That the kernel is approximated, and that chunks learned from a part, where it is so."""
        limits = self.recording_svc.list_limits()
        if np.max(self.chunk_classifier["standardscaler"].n_samples_seen_) >= MOST_CHUNKS:
            limits = [*limits, f"single chunks are classified by a model of {MOST_CHUNKS:,} of the training chunks."]
        return [f"{self.name}: {limit}" for limit in limits]

    def save(self, folder: Path) -> None:
        """Both classifiers."""
        save_estimator(folder / CHUNKS_FILE, self.chunk_classifier)
        self.recording_svc.save(folder / RECORDINGS_FILE)

    @classmethod
    def load(cls, folder: Path, spec: ModelSpec) -> Self:
        """Read what :meth:`save` wrote."""
        model = cls(spec)
        model.chunk_classifier = load_estimator(folder / CHUNKS_FILE)
        model.recording_svc = RecordingSVC.load(folder / RECORDINGS_FILE)
        return model


def draw_chunks(count: int, seed: int) -> slice | np.ndarray:
    """Which chunks the logistic regression learns from: all, or ``MOST_CHUNKS`` drawn at random, in their order.

    More would hardly change it, and fitting takes four times the memory of the features.
    """
    if count <= MOST_CHUNKS:
        return slice(None)
    return np.sort(np.random.default_rng(seed).choice(count, MOST_CHUNKS, replace=False))


def build_chunk_classifier(C: float, seed: int) -> Pipeline:
    """Logistic regression on standardised features, undefined ones at the median; classes are weighted equally."""
    return make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True),
        StandardScaler(),
        LogisticRegression(C=C, class_weight="balanced", max_iter=2000, random_state=seed),
    )
