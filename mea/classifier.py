"""What is kept of a training: one model per fold and all that is needed to classify a new recording."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader

from mea.chunks import ChunkDataset, ChunkView
from mea.errors import MeaError
from mea.estimators import load_estimator
from mea.events import Events
from mea.files import read_json, write_json
from mea.models import ESTIMATORS, JUDGES, find_network, rate
from mea.models.machine import Judge, judge_recordings
from mea.tables import read_table

FORMAT_VERSION = 1
DESCRIPTION = "classifier.json"
WEIGHTS = "network."  # prefix of the network's tensors in a fold's file; its curves lie beside them


@dataclass(frozen=True)
class Classifier:
    """A trained classifier.

    Attributes
    ----------
    folder
        Where its files are.
    model
        Name of the model: ``train.model``.
    labels
        The classes, sorted; column ``k`` of every probability is ``labels[k]``.
    rows, cols
        Grid of the recordings it learned from.
    rate_hz
        Their samples per second.
    format
        Their format, such as ``mcs``.
    chunk_s, first_s
        Length of a chunk; how much of a recording is used (None: all).
    folds
        Numbers of the folds there is a model for.
    leaky, warning
        1 and why, when its scores are not honest; else 0 and an empty string.
    params
        Sections h5, array, split, train as they were used.
    facts
        Device, threads, versions and counts, for the record.
    """

    folder: Path
    model: str
    labels: list[str]
    rows: int
    cols: int
    rate_hz: int
    format: str
    chunk_s: float
    first_s: float | None
    folds: list[int]
    leaky: int
    warning: str
    params: dict[str, Any]
    facts: dict[str, Any]

    @property
    def view(self) -> ChunkView:
        """How chunks are shown to the network."""
        return find_network(self.params["train"]).make_view(self.params["train"])

    @property
    def used_s(self) -> float:
        """How much of a recording is used, at most."""
        return self.first_s or float("inf")

    @property
    def threshold(self) -> float:
        """Of the spike detection, in robust standard deviations of the noise."""
        return self.params["array"]["threshold"]

    def predict(self, chunks: pd.DataFrame, events: dict[str, Events], fold: int) -> np.ndarray:
        """(n_chunks, n_labels) probabilities by the model of one fold."""
        if self.model in ESTIMATORS:
            estimator = load_estimator(self.folder / estimator_file(fold))
            return estimator.predict_proba(ESTIMATORS[self.model].describe_chunks(chunks, events))
        return self._run_members(chunks, events, fold).softmax(1).numpy()

    @property
    def judges_recordings(self) -> bool:
        """Whether it says more of a recording than the mean over its chunks."""
        return self.model in JUDGES or self._bags

    @property
    def _bags(self) -> bool:
        """Whether it is a network that learned from bags of chunks."""
        return self.model not in ESTIMATORS and find_network(self.params["train"]).RECIPE.bag > 0

    def predict_whole(self, chunks: pd.DataFrame, events: dict[str, Events], fold: int) -> np.ndarray:
        """(n_chunks, n_labels) the same for all chunks of a recording: what the model says of them together.

        A network that learned from bags of chunks says it by the mean of its logits over the chunks; another model
        that knows chunks only, by the mean of its probabilities.
        """
        recordings = chunks["recording"].to_numpy()
        if not self.judges_recordings:
            return average_recordings(self.predict(chunks, events, fold), recordings)
        if self._bags:
            logits = average_recordings(self._run_members(chunks, events, fold).numpy(), recordings)
            return torch.from_numpy(logits).softmax(1).numpy()
        names, looks = JUDGES[self.model].describe_recordings(chunks, events)
        judged = judge_recordings(load_judge(self.folder / judge_file(fold)), looks, len(self.labels))
        return judged[np.searchsorted(names, chunks["recording"].to_numpy(str))]

    def describe(self, chunks: pd.DataFrame, events: dict[str, Events], fold: int) -> np.ndarray:
        """(n_chunks, n_features) what the model of one fold decides by: its last layer's input, or its features.

        Of a model with several members, what the first decides by.
        """
        if self.model in ESTIMATORS:
            return ESTIMATORS[self.model].describe_chunks(chunks, events)
        return run_network(self._load_members(fold)[0].describe, self._show(chunks, events)).numpy()

    def predict_baseline(self, chunks: pd.DataFrame, events: dict[str, Events], fold: int) -> np.ndarray:
        """(n_chunks, n_labels) probabilities by the firing rate alone."""
        estimator = load_estimator(self.folder / baseline_file(fold))
        return estimator.predict_proba(rate.describe_chunks(chunks, events))

    def load_inner(self, fold: int) -> pd.DataFrame:
        """Recordings of one fold's training side with their label, groups and ``p_<label>``.

        Each was predicted by a model that had not seen its group: these choose calibration and thresholds. The table
        is empty where nothing was held out inside.
        """
        return read_table(self.folder / inner_file(fold))

    def _run_members(self, chunks: pd.DataFrame, events: dict[str, Events], fold: int) -> Tensor:
        """(n_chunks, n_labels) logits, the mean of those of the fold's networks."""
        shown = self._show(chunks, events)
        return torch.stack([run_network(network, shown) for network in self._load_members(fold)]).mean(0)

    def _load_members(self, fold: int) -> list[nn.Module]:
        train = self.params["train"]
        return [
            load_network(path, train, self.rows, self.cols, len(self.labels))
            for path in find_members(self.folder, fold)
        ]

    def _show(self, chunks: pd.DataFrame, events: dict[str, Events]) -> ChunkDataset:
        return ChunkDataset(chunks.assign(label=self.labels[0]), events, self.view, self.labels)

    def find_obstacle(self, events: Events) -> str:
        """Why no probabilities can be computed for a recording; an empty string where they can."""
        if self.model in ESTIMATORS:
            return ""
        network = find_network(self.params["train"])
        if not network.fits_grid((self.rows, self.cols), (events.rows, events.cols)):
            return f"a grid of {events.rows} × {events.cols} does not fit the network"
        try:
            self.view.check(events)
        except MeaError as error:
            return str(error)
        return ""


def fold_file(fold: int) -> str:
    """Name of the file of one fold's network, where it is a single one."""
    return f"fold_{fold}.safetensors"


def member_file(fold: int, member: int | str) -> str:
    """Name of the file of one of a fold's networks, where there are several."""
    return f"fold_{fold}_member_{member}.safetensors"


def find_members(folder: Path, fold: int) -> list[Path]:
    """Files of a fold's networks: its members, or the only one."""
    return sorted(folder.glob(member_file(fold, "*"))) or [folder / fold_file(fold)]


def estimator_file(fold: int) -> str:
    """Name of the file of one fold's scikit-learn model."""
    return f"fold_{fold}.skops"


def judge_file(fold: int) -> str:
    """Name of the file of what one fold's model judges whole recordings by."""
    return f"fold_{fold}_judge.safetensors"


def inner_file(fold: int) -> str:
    """Name of the table of one fold's inner predictions."""
    return f"fold_{fold}_inner.csv"


def baseline_file(fold: int) -> str:
    """Name of the file of one fold's firing-rate baseline."""
    return f"fold_{fold}_rate.skops"


def load_network(path: Path, train: dict[str, Any], rows: int, cols: int, n_labels: int) -> nn.Module:
    """A network as the training's parameters say, with the weights of a file, ready to judge.

    Raises
    ------
    MeaError
        If the file is missing or not readable.
    """
    network = find_network(train).build_network(train, rows, cols, n_labels)
    network.load_state_dict(load_fold(path)[0])
    return network.eval()


def average_recordings(values: np.ndarray, names: np.ndarray) -> np.ndarray:
    """(n_chunks, n_values): of each chunk, the mean over all chunks of its recording."""
    return pd.DataFrame(values).groupby(names).transform("mean").to_numpy()


def run_network(layers: Callable[[Tensor], Tensor], dataset: ChunkDataset, batch_size: int = 8) -> Tensor:
    """(n_chunks, n_values) float64: what a network in evaluation mode, or the first part of one, makes of chunks."""
    with torch.inference_mode():
        return torch.cat([layers(chunks).double() for chunks, _ in DataLoader(dataset, batch_size)])


def save_fold(path: Path, weights: dict[str, Tensor], curves: pd.DataFrame) -> None:
    """Write one fold's weights and curves as safetensors without metadata: the same bytes for the same numbers."""
    tensors = {WEIGHTS + name: value.contiguous() for name, value in weights.items()}
    tensors["curves"] = torch.tensor(curves.drop(columns="epoch").to_numpy(np.float64)).contiguous()
    save_file(tensors, path)


def load_fold(path: Path) -> tuple[dict[str, Tensor], np.ndarray]:
    """Read what :func:`save_fold` wrote: weights, and curves as (epochs, 4).

    Raises
    ------
    MeaError
        If the file is missing or not readable.
    """
    try:
        tensors = load_file(path)
        curves = tensors.pop("curves").numpy()
    except (OSError, KeyError, SafetensorError) as error:
        raise MeaError(
            f"{path}: not readable as a fold's network ({error}). Train it again: dvc repro train."
        ) from None
    return {name.removeprefix(WEIGHTS): value for name, value in tensors.items()}, curves


def save_judge(path: Path, judge: Judge) -> None:
    """Write what whole recordings are judged by."""
    save_file({name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in judge.items()}, path)


def load_judge(path: Path) -> Judge:
    """Read what :func:`save_judge` wrote.

    Raises
    ------
    MeaError
        If the file is missing or not readable.
    """
    try:
        return {name: value.numpy() for name, value in load_file(path).items()}
    except (OSError, SafetensorError) as error:
        raise MeaError(f"{path}: not readable as a fold's judge ({error}). Train it again: dvc repro train.") from None


def save_classifier(classifier: Classifier) -> None:
    """Write the description beside the fold files."""
    values = {name: value for name, value in vars(classifier).items() if name != "folder"}
    write_json(classifier.folder / DESCRIPTION, {"format_version": FORMAT_VERSION, **values})


def copy_models(classifier: Classifier, folder: Path) -> None:
    """Copy the description and what classifies new recordings, the folds' models, into another folder."""
    paths = [classifier.folder / DESCRIPTION]
    for fold in classifier.folds:
        paths += find_members(classifier.folder, fold)
        paths += [classifier.folder / name(fold) for name in (estimator_file, judge_file, baseline_file)]
    for path in paths:
        if path.exists():
            shutil.copyfile(path, folder / path.name)


def load_classifier(folder: Path) -> Classifier:
    """Read the description of a classifier.

    Raises
    ------
    MeaError
        If there is none in the folder, it is not readable, or it is of another version.
    """
    path = folder / DESCRIPTION
    if not path.is_file():
        raise MeaError(
            f"{path}: no such file; no classifier was trained there. Run dvc repro or dvc pull, or name one by --model."
        )
    values = read_json(path)
    version = values.pop("format_version", None)
    if version != FORMAT_VERSION:
        raise MeaError(f"{path}: format version {version}, but {FORMAT_VERSION} is read. Train it again.")
    try:
        return Classifier(folder=folder, **values)
    except TypeError as error:
        raise MeaError(f"{path}: not a classifier written by the train stage ({error}). Train it again.") from None
