"""What is kept of a training: one model per fold and all that is needed to classify a new recording."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mea.arrays.events import Events
from mea.models import rate
from mea.models.estimators import load_estimator
from mea.runtime.errors import MeaError
from mea.runtime.files import read_json, write_json
from mea.runtime.tables import read_table
from mea.training.fold_models import FoldModel, open_model

FORMAT_VERSION = 1
DESCRIPTION = "classifier.json"


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
    sampling_rate_hz
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
    sampling_rate_hz: int
    format: str
    chunk_s: float
    first_s: float | None
    folds: list[int]
    leaky: int
    warning: str
    params: dict[str, Any]
    facts: dict[str, Any]

    @property
    def used_s(self) -> float:
        """How much of a recording is used, at most."""
        return self.first_s or float("inf")

    @property
    def threshold(self) -> float:
        """Of the spike detection, in robust standard deviations of the noise."""
        return self.params["array"]["threshold"]

    def open_fold(self, fold: int) -> FoldModel:
        """The model of one fold."""
        train = self.params["train"] | {"model": self.model}
        return open_model(self.folder, fold, train, self.labels, self.rows, self.cols)

    def predict(self, chunks: pd.DataFrame, events: dict[str, Events], fold: int) -> np.ndarray:
        """(n_chunks, n_labels) probabilities by the model of one fold."""
        return self.open_fold(fold).predict(chunks, events)

    def predict_whole(self, chunks: pd.DataFrame, events: dict[str, Events], fold: int) -> np.ndarray:
        """(n_chunks, n_labels) the same for all chunks of a recording: what one fold's model says of them together."""
        return self.open_fold(fold).predict_whole(chunks, events)

    def describe(self, chunks: pd.DataFrame, events: dict[str, Events], fold: int) -> np.ndarray:
        """(n_chunks, n_features) what the model of one fold decides by."""
        return self.open_fold(fold).describe(chunks, events)

    @property
    def judges_recordings(self) -> bool:
        """Whether its models say more of a recording than the mean over its chunks."""
        return self.open_fold(self.folds[0]).judges_recordings

    def find_obstacle(self, events: Events) -> str:
        """Why no probabilities can be computed for a recording; an empty string where they can."""
        return self.open_fold(self.folds[0]).find_obstacle(events)

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


def inner_file(fold: int) -> str:
    """Name of the table of one fold's inner predictions."""
    return f"fold_{fold}_inner.csv"


def baseline_file(fold: int) -> str:
    """Name of the file of one fold's firing-rate baseline."""
    return f"fold_{fold}_rate.skops"


def save_classifier(classifier: Classifier) -> None:
    """Write the description beside the fold files."""
    values = {name: value for name, value in vars(classifier).items() if name != "folder"}
    write_json(classifier.folder / DESCRIPTION, {"format_version": FORMAT_VERSION, **values})


def copy_models(classifier: Classifier, folder: Path) -> None:
    """Copy the description and what classifies new recordings, the folds' models, into another folder."""
    paths = [classifier.folder / DESCRIPTION]
    for fold in classifier.folds:
        paths += [*classifier.open_fold(fold).list_files(), classifier.folder / baseline_file(fold)]
    for path in paths:
        target = folder / path.relative_to(classifier.folder)
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(path, target)


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
