"""What is kept of a training: the models of each fold and all that is needed to classify a new recording."""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import pandas as pd
from pydantic import (
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    TypeAdapter,
    ValidationError,
)

from mea.arrays.events import SpikeEvents
from mea.models.base import Model
from mea.models.pool import Pool
from mea.models.registry import open_model
from mea.models.spec import Labels, Side, explain_invalid
from mea.runtime.checksums import check_checksums
from mea.runtime.errors import MeaError
from mea.runtime.files import read_json, write_json
from mea.runtime.tables import read_table

FORMAT_VERSION = 4
DESCRIPTION = "classifier.json"
MOST_FOLDS = 1_000_000
BASELINE, OOF = "baseline", "oof.csv"  # in the folder of a fold, beside a folder for each model


@dataclass(frozen=True)
class Classifier:
    """A trained classifier.

    Attributes
    ----------
    folder
        Where its files are.
    weights
        Of each model, by its name; a single one has the weight 1, several are a :class:`mea.models.pool.Pool`.
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

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    folder: Path
    weights: Annotated[dict[str, NonNegativeFloat], Field(min_length=1)]
    labels: Labels
    rows: Side
    cols: Side
    sampling_rate_hz: PositiveInt
    format: str
    chunk_s: PositiveFloat
    first_s: PositiveFloat | None
    folds: Annotated[list[Annotated[int, Field(ge=0, le=MOST_FOLDS)]], Field(min_length=1)]
    leaky: Annotated[int, Field(ge=0, le=1)]
    warning: str
    params: dict[str, Any]
    facts: dict[str, Any]

    @property
    def model(self) -> str:
        """Its models in words, such as ``features`` or ``features + cnn_lstm``."""
        return " + ".join(self.weights)

    @property
    def used_s(self) -> float:
        """How much of a recording is used, at most."""
        return self.first_s or float("inf")

    @property
    def threshold(self) -> float:
        """Of the spike detection, in robust standard deviations of the noise."""
        return self.params["array"]["threshold"]

    def open_model(self, fold: int) -> Model | Pool:
        """The model of one fold, or several as one."""
        return _weigh([self._open(fold, name) for name in self.weights], self.weights)

    def open_baseline(self, fold: int) -> Model:
        """The firing-rate baseline of one fold."""
        return self._open(fold, BASELINE)

    def _open(self, fold: int, name: str) -> Model:
        model, own = open_model(self.folder / name_fold(fold) / name), (self.labels, self.rows, self.cols)
        if (model.spec.labels, model.spec.rows, model.spec.cols) != own:
            raise MeaError(
                f"{self.folder / name_fold(fold) / name}: a model of other classes or another grid than "
                f"{DESCRIPTION} says. Copy the whole folder again, or train it again: dvc repro train."
            )
        return model

    def check_input(self, events: SpikeEvents) -> str:
        """Why no probabilities can be computed for a recording; an empty string where they can."""
        return self.open_model(self.folds[0]).check_input(events)

    def list_limits(self) -> list[str]:
        """What is approximated in its models, in sentences; each once."""
        return list(dict.fromkeys(limit for fold in self.folds for limit in self.open_model(fold).list_limits()))

    def load_oof(self, fold: int) -> pd.DataFrame:
        """Out-of-fold predictions of one fold's training side: recording, label, culture, batch and ``p_<label>``.

        Each recording was predicted by a model that had not seen its group: these choose calibration and thresholds.
        The table is empty where nothing was held out inside.
        """
        return read_table(self.folder / name_fold(fold) / OOF)


def name_fold(fold: int) -> str:
    """Name of the folder of one fold."""
    return f"fold_{fold}"


def save_classifier(classifier: Classifier) -> None:
    """Write the description beside the fold files; :func:`mea.runtime.checksums.write_checksums` comes last."""
    values = {name: value for name, value in vars(classifier).items() if name != "folder"}
    write_json(classifier.folder / DESCRIPTION, {"format_version": FORMAT_VERSION, **values})


def open_weighted(trained: dict[str, Classifier], weights: dict[str, float], fold: int) -> Model | Pool:
    """The models of a fold that have a weight, each from its own classifier, as one."""
    return _weigh([trained[name].open_model(fold) for name in weights], weights)


def _weigh(models: list[Any], weights: dict[str, float]) -> Model | Pool:
    return models[0] if len(models) == 1 else Pool(models, np.array(list(weights.values())))


def join_warnings(trained: Iterable[Classifier]) -> str:
    """What makes scores of classifiers not honest; what several of them say is said once."""
    return "; ".join(dict.fromkeys(part for one in trained for part in one.warning.split("; ") if part))


def join_classifiers(trained: Iterable[Classifier], weights: dict[str, float], folder: Path) -> Classifier:
    """Copy what classifies new recordings, the models of every fold, into another folder, with their description.

    Parameters
    ----------
    trained
        Classifiers of one model each, trained in the same folds. The parameters of all are kept, and what makes the
        scores of any not honest: the choice was made among all of them.
    weights
        Of those that are kept, by the name of their model.
    folder
        Where they go; it exists.
    """
    trained = list(trained)
    kept = [classifier for classifier in trained if classifier.model in weights]
    for classifier in kept:
        for name in map(name_fold, classifier.folds):
            shutil.copytree(classifier.folder / name / classifier.model, folder / name / classifier.model)
    first = kept[0]
    train: dict[str, Any] = {}
    for classifier in trained:
        train |= classifier.params["train"]
    joined = replace(
        first,
        folder=folder,
        weights={classifier.model: weights[classifier.model] for classifier in kept},
        leaky=max(classifier.leaky for classifier in trained),
        warning=join_warnings(trained),
        params=first.params | {"train": train},
    )
    save_classifier(joined)
    return joined


def load_classifier(folder: Path) -> Classifier:
    """Read the description of a classifier.

    Raises
    ------
    MeaError
        If there is none in the folder, it is of another version, or a file of it is missing, changed or not readable.
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
    check_checksums(folder)
    try:
        return TypeAdapter(Classifier).validate_python({"folder": folder, **values})
    except ValidationError as error:
        raise explain_invalid(path, error) from None
