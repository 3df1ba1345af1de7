"""Predictions of what each fold held out, chunk by chunk and recording by recording, of one model or of several."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mea.arrays.events import SpikeEvents
from mea.evaluation.choice import Choice
from mea.evaluation.rules import Rules, RuleSettings, learn_rules
from mea.models.pool import pool_probabilities
from mea.runtime.command import print_line
from mea.runtime.errors import MeaError
from mea.runtime.files import remove_folder
from mea.runtime.parallel import PATIENCE_S, show_progress
from mea.splitting.aggregation import add_predictions, aggregate_recordings, average_chunks, get_probabilities
from mea.splitting.audit import hash_split
from mea.training.classifier import DESCRIPTION, Classifier, load_classifier


@dataclass(frozen=True)
class RawPredictions:
    """Probabilities of everything that the folds held out, each by the model of its own fold, before calibration.

    Attributes
    ----------
    by_chunk
        (n_chunks, ...) the scored chunks with predicted, confidence and ``p_<label>``, of the chunk.
    by_fold
        The same rows with the probabilities of the chunk's recording, by the model of the chunk's fold.
    """

    by_chunk: pd.DataFrame
    by_fold: pd.DataFrame

    def list_recordings(self, labels: list[str]) -> pd.DataFrame:
        """One row a recording: :func:`mea.splitting.aggregation.aggregate_recordings`.

        A recording whose chunks stand in several folds, which only a split by chunk allows, has the mean over them.
        """
        return aggregate_recordings(self.by_fold, labels)


@dataclass(frozen=True)
class HeldOut:
    """Predictions of everything that the folds held out, with what was learned inside each fold applied to them.

    Attributes
    ----------
    by_chunk
        Of chunks, before calibration.
    raw
        Of recordings, before calibration.
    by_recording
        Of recordings, as :func:`apply_fold_rules` gives them: calibrated, with threshold and prediction set.
    fold_rules
        The rules of each fold.
    """

    by_chunk: pd.DataFrame
    raw: pd.DataFrame
    by_recording: pd.DataFrame
    fold_rules: list[Rules]


def predict_held_out(classifier: Classifier, chunks: pd.DataFrame, events: Mapping[str, SpikeEvents]) -> RawPredictions:
    """Chunks and recordings by the models of the folds that held them out.

    Parameters
    ----------
    classifier
        Its folds are the scored ones.
    chunks
        All chunks with their fold.
    events
        Of each recording.
    """
    by_chunk, by_fold = [], []
    for fold, part in _list_held_out(classifier, chunks):
        model = classifier.open_model(fold)
        of_chunks = model.predict_proba(part, events)
        if model.averages_chunks:
            of_recordings = average_chunks(part, of_chunks).to_numpy()
        else:
            of_recordings = model.predict_recordings(part, events)
        number = np.unique(part["recording"].to_numpy(str), return_inverse=True)[1]
        by_chunk.append(add_predictions(part, of_chunks, classifier.labels))
        by_fold.append(add_predictions(part, of_recordings[number], classifier.labels))
    return RawPredictions(*(pd.concat(parts).sort_index(ignore_index=True) for parts in (by_chunk, by_fold)))


def predict_baseline(classifier: Classifier, chunks: pd.DataFrame, events: Mapping[str, SpikeEvents]) -> pd.DataFrame:
    """Recordings by the baseline on firing rates of the fold that held them out, one row a recording."""
    parts = [
        add_predictions(part, classifier.open_baseline(fold).predict_proba(part, events), classifier.labels)
        for fold, part in _list_held_out(classifier, chunks)
    ]
    return aggregate_recordings(pd.concat(parts).sort_index(ignore_index=True), classifier.labels)


def _list_held_out(classifier: Classifier, chunks: pd.DataFrame) -> Iterable[tuple[int, pd.DataFrame]]:
    held_out = list(chunks[chunks["fold"].isin(classifier.folds)].groupby("fold"))
    return show_progress(held_out, desc="folds predicted", delay=PATIENCE_S)


def combine_predictions(
    predictions: dict[str, RawPredictions], choices: dict[int, Choice], labels: list[str]
) -> RawPredictions:
    """The predictions of what was chosen in each fold.

    Parameters
    ----------
    predictions
        Of every model, by its name.
    choices
        Of each fold.
    labels
        The classes, sorted.
    """
    return RawPredictions(
        _combine([one.by_chunk for one in predictions.values()], list(predictions), choices, labels),
        _combine([one.by_fold for one in predictions.values()], list(predictions), choices, labels),
    )


def _combine(
    tables: list[pd.DataFrame], names: list[str], choices: dict[int, Choice], labels: list[str]
) -> pd.DataFrame:
    stacked = np.stack([get_probabilities(table, labels) for table in tables])
    folds = tables[0]["fold"].to_numpy()
    combined = np.empty(stacked.shape[1:])
    for fold, choice in choices.items():
        weights = np.array([choice.weights.get(name, 0.0) for name in names])
        combined[folds == fold] = pool_probabilities(stacked[:, folds == fold], weights)
    return add_predictions(tables[0], combined, labels)


def apply_rules(
    predictions: RawPredictions, load_oof: Callable[[int], pd.DataFrame], labels: list[str], settings: RuleSettings
) -> HeldOut:
    """Raw predictions with the rules that were learned inside each fold's training set applied to them."""
    raw = predictions.list_recordings(labels)
    by_recording, fold_rules = apply_fold_rules(load_oof, raw, labels, settings)
    return HeldOut(predictions.by_chunk, raw, by_recording, fold_rules)


def apply_fold_rules(
    load_oof: Callable[[int], pd.DataFrame], recordings: pd.DataFrame, labels: list[str], settings: RuleSettings
) -> tuple[pd.DataFrame, list[Rules]]:
    """Calibrate each fold's recordings, and decide which to reject, by rules learned inside the fold's training set.

    Parameters
    ----------
    load_oof
        Gives a fold's out-of-fold predictions.
    recordings
        As :func:`mea.splitting.aggregation.aggregate_recordings` gives them, with raw probabilities.
    labels
        The classes, sorted.
    settings
        Of :func:`mea.evaluation.rules.learn_rules`.

    Returns
    -------
    recordings
        With calibrated probabilities, and the columns threshold (least confidence of a prediction; NaN if all are
        rejected) and prediction_set (labels that cannot be excluded, joined by ``|``).
    rules
        Of each fold, in the order of their first recordings.
    """
    parts, learned = [], []
    for fold, part in recordings.groupby("fold", sort=False):
        # A recording with chunks in several folds has no training set without it: nothing is learned.
        oof = load_oof(fold) if fold != "mixed" else recordings[:0]
        rules = learn_rules(oof, labels, settings)
        probabilities = rules.calibrator.calibrate(get_probabilities(part, labels))
        part = add_predictions(part, probabilities, labels)
        part["threshold"] = rules.confidence_threshold
        part["prediction_set"] = rules.format_sets(probabilities)
        parts.append(part)
        learned.append(rules)
    return pd.concat(parts).sort_index(), learned


def load_models(folder: Path, names: Iterable[str], chunks: pd.DataFrame) -> dict[str, Classifier]:
    """The classifiers that the train stage wrote, by the name of their model.

    Raises
    ------
    MeaError
        If one is missing or not readable, or they were not trained in the folds of these chunks, or not in the same.
    """
    trained = {name: load_classifier(folder / name) for name in names}
    first = next(iter(trained.values()))
    for one in trained.values():
        check_split(one, chunks)
        if one.folds != first.folds:
            raise MeaError(f"{one.folder}: trained in other folds than {first.folder}. Train both: dvc repro train.")
    return trained


def remove_unlisted(folder: Path, names: Iterable[str]) -> None:
    """Remove the folders of other models that the train stage wrote there, and say so."""
    for path in sorted(folder.glob("*")):
        if path.name not in names and (path / DESCRIPTION).is_file():
            remove_folder(path)
            print_line(f"{path} removed: train.models does not list it")


def check_split(classifier: Classifier, chunks: pd.DataFrame) -> None:
    """Check that the chunks and folds are those the classifier was trained with; else it may score what it has seen.

    Raises
    ------
    MeaError
        If they are not.
    """
    if classifier.facts.get("split_sha256") != hash_split(chunks):
        raise MeaError(
            f"{classifier.folder}: was trained with another split than this one, so it may have seen what it would be "
            "scored on. Train it with this split (dvc repro train), or name the split it was trained with (--split)."
        )
