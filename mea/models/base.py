"""What a model is: one class in one file of this room, listed in :mod:`mea.models.registry`.

A model is fitted on the training side of a fold, predicts chunks and recordings, shows the features by which it
decides, says which recordings it cannot take, and lies on disk in one folder. ``docs/extending.md`` adds one.
"""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from pydantic import TypeAdapter, ValidationError

from mea.arrays.events import SpikeEvents
from mea.models.params import ModelParams
from mea.models.spec import ModelSpec, explain_invalid
from mea.networks.curves import tabulate_curves
from mea.runtime.errors import MeaError
from mea.runtime.files import read_json, write_json
from mea.splitting.aggregation import add_predictions, average_chunks
from mea.splitting.folds import assign_inner_folds
from mea.splitting.groups import IDENTITY, list_recordings

MODEL_FILE = "model.json"


@dataclass(frozen=True)
class TrainingSide:
    """All that a fold does not hold out: what a model may learn from.

    Attributes
    ----------
    fold
        Number of the fold.
    chunks
        (n_chunks, ...) columns recording, start_s, stop_s, label, culture, batch, fold.
    test_chunks
        Those that the fold holds out. Only ``validation: test_fold``, the predecessor's, may look at them.
    events
        Of every recording.
    labels, rows, cols
        The classes, sorted; the grid.
    split_level
        Groups of which level are held out together.
    inner_folds, seed
        Number of folds inside the training side; seed of these folds and of the models.
    data_key
        What identifies chunks and events in a cache key.
    threads
        Threads of this process; part of what decides the bits of a network.
    live_folder
        Where curves go while a network trains; None for nowhere.
    """

    fold: int
    chunks: pd.DataFrame
    test_chunks: pd.DataFrame
    events: Mapping[str, SpikeEvents]
    labels: list[str]
    rows: int
    cols: int
    split_level: str
    inner_folds: int
    seed: int
    data_key: dict[str, Any] = field(default_factory=dict)
    threads: int = 1
    live_folder: Path | None = None

    def make_spec(self, params: ModelParams) -> ModelSpec:
        """What a model fitted here must know."""
        return ModelSpec(self.labels, self.rows, self.cols, params)

    def assign_inner_folds(self, table: pd.DataFrame | None = None) -> np.ndarray | None:
        """(n,) inner fold of each chunk, or of each recording of a table: whole groups, as outside.

        None, with a warning, where there are too few groups.
        """
        try:
            if table is None:
                return draw_inner_folds(self.chunks, self.split_level, self.inner_folds, self.seed)
            return draw_recording_folds(table, self.split_level, self.inner_folds, self.seed)
        except MeaError as error:
            warnings.warn(f"fold {self.fold}: {error}", stacklevel=1)
            return None

    def list_recordings(self) -> pd.DataFrame:
        """One row a recording, sorted by name: recording, label, culture, batch."""
        return list_recordings(self.chunks).sort_values("recording", ignore_index=True)

    def number_labels(self, table: pd.DataFrame) -> np.ndarray:
        """(n,) int, number of each row's label."""
        return table["label"].map(self.labels.index).to_numpy(int)

    def tabulate_oof(self, recordings: pd.DataFrame, probabilities: np.ndarray) -> pd.DataFrame:
        """Out-of-fold predictions: recording, label, culture, batch and ``p_<label>``, (n, n_labels) each."""
        table = add_predictions(recordings, probabilities, self.labels)
        return table[[*IDENTITY, *(f"p_{label}" for label in self.labels)]]

    def tabulate_chunk_oof(self, chunks: pd.DataFrame, probabilities: np.ndarray) -> pd.DataFrame:
        """The same from (n_chunks, n_labels) predictions of chunks: their mean for each recording."""
        recordings = list_recordings(chunks).sort_values("recording", ignore_index=True)
        return self.tabulate_oof(recordings, average_chunks(chunks, probabilities).to_numpy())


def draw_inner_folds(table: pd.DataFrame, split_level: str, inner_folds: int, seed: int) -> np.ndarray:
    """:func:`mea.splitting.folds.assign_inner_folds` without scikit-learn's warning of small folds."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")  # scikit-learn, of small inner folds
        return assign_inner_folds(table, split_level, inner_folds, seed)


def draw_recording_folds(recordings: pd.DataFrame, split_level: str, inner_folds: int, seed: int) -> np.ndarray:
    """The same for a table of recordings; they cannot be split by chunk, and are then split by recording."""
    return draw_inner_folds(recordings, "recording" if split_level == "chunk" else split_level, inner_folds, seed)


@dataclass(frozen=True)
class Fit:
    """What fitting gives.

    Attributes
    ----------
    model
        The fitted model.
    oof
        Out-of-fold predictions of recordings of the training side: :meth:`TrainingSide.tabulate_oof`. Each comes from a
        model that has not seen the recording's group. Empty where none could be held out.
    curves
        Learning curves, one row an epoch (:func:`mea.networks.curves.tabulate_curves`); empty for a model without.
    """

    model: "Model"
    oof: pd.DataFrame
    curves: pd.DataFrame = field(default_factory=lambda: tabulate_curves([]))


class Model(ABC):
    """A model of one fold.

    ``chunks`` are tables with the columns recording, start_s, stop_s; ``events`` hold each recording's spikes.

    Attributes
    ----------
    name
        In ``train.models`` and the registry.
    Params
        Model of its section of the parameters.
    shares_features
        Whether folds share features of recordings, which :meth:`precompute` puts into the cache.
    takes_baseline
        Whether it sees features relative to a recording before treatment (``features.baseline``).
    is_quick
        Whether a fold is fitted in about a second, so that worker processes may not be worth starting.
    uses_torch
        Whether it computes with PyTorch, whose threads and device are then set and recorded.
    spec
        Classes, grid and parameters it was fitted with.
    """

    name: ClassVar[str]
    Params: ClassVar[type[ModelParams]] = ModelParams
    shares_features: ClassVar[bool] = False
    takes_baseline: ClassVar[bool] = False
    is_quick: ClassVar[bool] = False
    uses_torch: ClassVar[bool] = False

    def __init__(self, spec: ModelSpec):
        self.spec = spec

    @classmethod
    @abstractmethod
    def fit(cls, data: TrainingSide, params: Any) -> Fit:
        """Fit on the training side; ``params`` are of this class's ``Params``."""

    @abstractmethod
    def predict_proba(self, chunks: pd.DataFrame, events: Mapping[str, SpikeEvents]) -> np.ndarray:
        """(n_chunks, n_labels) probabilities of chunks."""

    def predict_recordings(
        self, chunks: pd.DataFrame, events: Mapping[str, SpikeEvents], without: str = ""
    ) -> np.ndarray:
        """(n_recordings, n_labels) probabilities of the recordings of these chunks, sorted by name.

        Here the mean over their chunks. ``without`` names a family of features (:meth:`list_feature_families`) that is
        to be as in the median recording.
        """
        return average_chunks(chunks, self.predict_proba(chunks, events)).to_numpy()

    @property
    def averages_chunks(self) -> bool:
        """Whether recordings are the mean over their chunks, so that predictions of chunks need no second look."""
        return type(self).predict_recordings is Model.predict_recordings

    @abstractmethod
    def compute_features(self, chunks: pd.DataFrame, events: Mapping[str, SpikeEvents]) -> np.ndarray:
        """(n_chunks, n_features) by which it decides: its features, or the input of its last layer."""

    def list_feature_families(self, has_waveforms: bool) -> list[str]:
        """Families of features that can be left out one by one; none for a model without features of recordings."""
        return []

    def permute_families(
        self, chunks: pd.DataFrame, events: Mapping[str, SpikeEvents], orders: Sequence[np.ndarray]
    ) -> Iterator[tuple[str, np.ndarray]]:
        """Predictions of recordings that have the values of one family of features of other recordings.

        Parameters
        ----------
        orders
            Each (n_recordings,): the number of the recording whose values each one gets.

        Yields
        ------
        family
            Its name: each of :meth:`list_feature_families`; nothing for a model without.
        probabilities
            (n_orders, n_recordings, n_labels).
        """
        yield from ()

    def check_input(self, events: SpikeEvents) -> str:
        """Why it cannot take a recording; an empty string where it can."""
        return ""

    def list_limits(self) -> list[str]:
        """What is approximated in it, in sentences for the model card; nothing in most models."""
        return []

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write all that was learned into a folder that exists."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path, spec: ModelSpec) -> Self:
        """Read what :meth:`save` wrote; a MeaError if a file is missing or not readable."""

    @classmethod  # noqa: B027
    def precompute(cls, chunks: pd.DataFrame, events: Mapping[str, SpikeEvents], params: Any) -> None:
        """Put what every fold needs of one recording into the cache, for a model that ``shares_features``."""


def save_model(model: Model, folder: Path) -> None:
    """Write a model and its spec into a new folder."""
    folder.mkdir(parents=True)
    model.save(folder)
    write_json(folder / MODEL_FILE, {"model": model.name, **vars(model.spec), "params": model.spec.params.model_dump()})


def load_model(folder: Path, find: Callable[[str], type[Model]]) -> Model:
    """Read what :func:`save_model` wrote; ``find`` gives the class of a name, or a KeyError.

    Raises
    ------
    MeaError
        If a file is missing, not readable, or of a model that is not known.
    """
    values = read_json(folder / MODEL_FILE)
    try:
        kind = find(values.pop("model"))
        spec = TypeAdapter(ModelSpec).validate_python(values | {"params": kind.Params(**values["params"])})
    except ValidationError as error:
        raise explain_invalid(folder / MODEL_FILE, error) from None
    except (KeyError, TypeError) as error:
        raise MeaError(
            f"{folder / MODEL_FILE}: not written by the train stage of this version ({error!r}). Train it again: "
            "dvc repro train."
        ) from None
    return kind.load(folder, spec)
