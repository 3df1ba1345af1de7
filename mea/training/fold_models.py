"""The model of one fold, of whatever kind: what it says of chunks and of recordings, and by what it decides."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from mea.arrays.events import Events
from mea.models import ESTIMATORS, JUDGES, ensemble, find_network, is_describer
from mea.models.estimators import load_estimator
from mea.models.machine import judge_recordings, load_judge
from mea.networks.chunks import ChunkDataset
from mea.runtime.errors import MeaError
from mea.runtime.files import read_json
from mea.splitting.aggregation import average_recordings, summarise_chunks
from mea.training.networks import find_members, fold_file, load_network, run_network


@dataclass(frozen=True)
class FoldModel(ABC):
    """The model of one fold, read from its files when it is asked.

    Attributes
    ----------
    folder, fold
        Where its files are, and which are its own.
    train
        Parameters of the training; ``train["model"]`` decides the kind.
    labels
        The classes, sorted.
    rows, cols
        Grid of the recordings it learned from.
    """

    folder: Path
    fold: int
    train: dict[str, Any]
    labels: list[str]
    rows: int
    cols: int

    @property
    def judges_recordings(self) -> bool:
        """Whether it says more of a recording than the mean over its chunks."""
        return False

    @abstractmethod
    def predict(self, chunks: pd.DataFrame, events: dict[str, Events]) -> np.ndarray:
        """(n_chunks, n_labels) probabilities."""

    def predict_whole(self, chunks: pd.DataFrame, events: dict[str, Events], without: str = "") -> np.ndarray:
        """(n_chunks, n_labels) the same for all chunks of a recording: what it says of them together.

        ``without`` names a family of features (:meth:`list_families`) that is then as in the median recording.
        """
        return average_recordings(chunks, self.predict(chunks, events))

    @abstractmethod
    def describe(self, chunks: pd.DataFrame, events: dict[str, Events]) -> np.ndarray:
        """(n_chunks, n_features) what it decides by: its features, or its last layer's input."""

    def list_families(self, has_waveforms: bool) -> list[str]:
        """Families of features that it can do without; none for a model that sees no features of recordings."""
        return []

    def find_obstacle(self, events: Events) -> str:
        """Why it can say nothing of a recording; an empty string where it can."""
        return ""

    @abstractmethod
    def list_files(self) -> list[Path]:
        """All that has to be kept of it."""


class EstimatorModel(FoldModel):
    """A scikit-learn model on features of chunks."""

    def predict(self, chunks: pd.DataFrame, events: dict[str, Events]) -> np.ndarray:
        """(n_chunks, n_labels) probabilities."""
        return load_estimator(self.folder / estimator_file(self.fold)).predict_proba(self.describe(chunks, events))

    def describe(self, chunks: pd.DataFrame, events: dict[str, Events]) -> np.ndarray:
        """(n_chunks, n_features)."""
        return ESTIMATORS[self.train["model"]].describe_chunks(chunks, events)

    def list_files(self) -> list[Path]:
        """The scikit-learn model's."""
        return [self.folder / estimator_file(self.fold)]


class JudgeModel(EstimatorModel):
    """The same, and a support vector machine on features of whole recordings: :mod:`mea.models.machine`."""

    @property
    def judges_recordings(self) -> bool:
        """It does."""
        return True

    def predict_whole(self, chunks: pd.DataFrame, events: dict[str, Events], without: str = "") -> np.ndarray:
        """(n_chunks, n_labels) what the machine says of each chunk's recording."""
        names, values = self.describe_recordings(chunks, events)
        if without:  # what is undefined stands at the median of the training recordings
            for number, name in enumerate(names):
                values[number, np.array(self._name_families(events[name].has_waveforms)) == without] = np.nan
        judged = judge_recordings(load_judge(self.folder / judge_file(self.fold)), values, len(self.labels))
        return judged[np.searchsorted(names, chunks["recording"].to_numpy(str))]

    def describe_recordings(self, chunks: pd.DataFrame, events: dict[str, Events]) -> tuple[np.ndarray, np.ndarray]:
        """Names of the recordings (n,), sorted, and (n, n_features) what the machine decides by."""
        return JUDGES[self.train["model"]].describe_recordings(chunks, events)

    def list_families(self, has_waveforms: bool) -> list[str]:
        """Families of its features, in the order of the features."""
        return list(dict.fromkeys(self._name_families(has_waveforms)))

    def _name_families(self, has_waveforms: bool) -> list[str]:
        return JUDGES[self.train["model"]].list_families(has_waveforms)

    def list_files(self) -> list[Path]:
        """The scikit-learn model's and the machine's."""
        return [*super().list_files(), self.folder / judge_file(self.fold)]


class DescriberModel(JudgeModel):
    """A network that describes chunks, and the same judges on its descriptions: :mod:`mea.training.describers`."""

    def describe(self, chunks: pd.DataFrame, events: dict[str, Events]) -> np.ndarray:
        """(n_chunks, n_features) states of the network's last layer, and the features that it names."""
        path = self.folder / fold_file(self.fold)
        network = load_network(path, self.train, self.rows, self.cols, len(self.labels))
        return run_network(network.describe, show_chunks(self, chunks, events)).numpy()

    def describe_recordings(self, chunks: pd.DataFrame, events: dict[str, Events]) -> tuple[np.ndarray, np.ndarray]:
        """Names of the recordings (n,), sorted, and (n, 2 * n_features) mean and spread over their chunks."""
        return summarise_chunks(chunks, self.describe(chunks, events))

    def list_families(self, has_waveforms: bool) -> list[str]:
        """None: what it names is one description."""
        return []

    def find_obstacle(self, events: Events) -> str:
        """A recording that cannot be shown to the network."""
        return find_network_obstacle(self, events)

    def list_files(self) -> list[Path]:
        """The judges', and the network's."""
        return [*super().list_files(), self.folder / fold_file(self.fold)]


class NetworkModel(FoldModel):
    """One network, or the mean of the logits of several."""

    @property
    def judges_recordings(self) -> bool:
        """Where it learned from bags of chunks: by the mean of its logits over all of them."""
        return find_network(self.train).RECIPE.bag > 0

    def predict(self, chunks: pd.DataFrame, events: dict[str, Events]) -> np.ndarray:
        """(n_chunks, n_labels) probabilities."""
        return self._run(chunks, events).softmax(1).numpy()

    def predict_whole(self, chunks: pd.DataFrame, events: dict[str, Events], without: str = "") -> np.ndarray:
        """(n_chunks, n_labels) of each chunk's recording."""
        if not self.judges_recordings:
            return super().predict_whole(chunks, events)
        logits = average_recordings(chunks, self._run(chunks, events).numpy())
        return torch.from_numpy(logits).softmax(1).numpy()

    def describe(self, chunks: pd.DataFrame, events: dict[str, Events]) -> np.ndarray:
        """(n_chunks, n_features) the input of its last layer; of several networks, that of the first."""
        network = self._load(find_members(self.folder, self.fold)[0])
        return run_network(network.describe, show_chunks(self, chunks, events)).numpy()

    def find_obstacle(self, events: Events) -> str:
        """A grid it was not made for, or a recording that cannot be shown to it."""
        return find_network_obstacle(self, events)

    def list_files(self) -> list[Path]:
        """One a network."""
        return find_members(self.folder, self.fold)

    def _run(self, chunks: pd.DataFrame, events: dict[str, Events]) -> Tensor:
        """(n_chunks, n_labels) logits."""
        networks = [self._load(path) for path in self.list_files()]
        return run_network(  # each batch of chunks is shown once, to all of them
            lambda shown: torch.stack([network(shown).double() for network in networks]).mean(0),
            show_chunks(self, chunks, events),
        )

    def _load(self, path: Path) -> Any:
        return load_network(path, self.train, self.rows, self.cols, len(self.labels))


def show_chunks(model: FoldModel, chunks: pd.DataFrame, events: dict[str, Events]) -> ChunkDataset:
    """Chunks as a model's network sees them; it is told no label."""
    view = find_network(model.train).make_view(model.train)
    return ChunkDataset(chunks.assign(label=model.labels[0]), events, view, model.labels)


def find_network_obstacle(model: FoldModel, events: Events) -> str:
    """Why a model's network can say nothing of a recording, by its grid or its view; an empty string where it can."""
    network = find_network(model.train)
    if not network.fits_grid((model.rows, model.cols), (events.rows, events.cols)):
        return f"a grid of {events.rows} × {events.cols} does not fit the network"
    try:
        network.make_view(model.train).check(events)
    except MeaError as error:
        return str(error)
    return ""


class EnsembleModel(FoldModel):
    """Several models, each in a folder of its own: :mod:`mea.models.ensemble`."""

    @property
    def judges_recordings(self) -> bool:
        """It does, for the weights were learned from recordings."""
        return True

    @property
    def members(self) -> list[FoldModel]:
        """The models it is made of."""
        about = (self.labels, self.rows, self.cols)
        return [
            open_model(self.folder / name, self.fold, self.train | {"model": name}, *about) for name in ensemble.MEMBERS
        ]

    def predict(self, chunks: pd.DataFrame, events: dict[str, Events]) -> np.ndarray:
        """(n_chunks, n_labels) probabilities."""
        return self._combine([member.predict(chunks, events) for member in self.members])

    def predict_whole(self, chunks: pd.DataFrame, events: dict[str, Events], without: str = "") -> np.ndarray:
        """(n_chunks, n_labels) of each chunk's recording."""
        return self._combine([member.predict_whole(chunks, events, without) for member in self.members])

    def describe(self, chunks: pd.DataFrame, events: dict[str, Events]) -> np.ndarray:
        """(n_chunks, n_features) what its members decide by, side by side."""
        return np.concatenate([member.describe(chunks, events) for member in self.members], axis=1)

    def list_families(self, has_waveforms: bool) -> list[str]:
        """Those of its members."""
        return [family for member in self.members for family in member.list_families(has_waveforms)]

    def find_obstacle(self, events: Events) -> str:
        """The first of its members'."""
        return next((said for member in self.members if (said := member.find_obstacle(events))), "")

    def list_files(self) -> list[Path]:
        """Its members', and the weights."""
        own = [self.folder / weights_file(self.fold)]
        return own + [path for member in self.members for path in member.list_files()]

    def _combine(self, stated: list[np.ndarray]) -> np.ndarray:
        weights = read_json(self.folder / weights_file(self.fold))
        return ensemble.combine(np.stack(stated), np.array([weights[name] for name in ensemble.MEMBERS]))


def open_model(folder: Path, fold: int, train: dict[str, Any], labels: list[str], rows: int, cols: int) -> FoldModel:
    """The model of one fold, of the kind that its training names; the values are :class:`FoldModel`'s."""
    name = train["model"]
    if name == "ensemble":
        kind: type[FoldModel] = EnsembleModel
    elif name in ESTIMATORS:
        kind = JudgeModel if name in JUDGES else EstimatorModel
    else:
        kind = DescriberModel if is_describer(train) else NetworkModel
    return kind(folder, fold, train, labels, rows, cols)


def weights_file(fold: int) -> str:
    """Name of the file of how much each member of one fold's ensemble counts."""
    return f"fold_{fold}_weights.json"


def estimator_file(fold: int) -> str:
    """Name of the file of one fold's scikit-learn model."""
    return f"fold_{fold}.skops"


def judge_file(fold: int) -> str:
    """Name of the file of what one fold's model judges whole recordings by."""
    return f"fold_{fold}_judge.safetensors"
