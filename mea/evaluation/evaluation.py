"""Predictions of what each fold held out, chunk by chunk and recording by recording, and their metrics."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mea.arrays.events import SpikeEvents
from mea.evaluation.rules import Rules, RuleSettings, learn_rules, read_sets
from mea.models.base import Model
from mea.runtime.errors import MeaError
from mea.runtime.parallel import PATIENCE_S, show_progress
from mea.splitting.aggregation import add_predictions, aggregate_recordings, get_probabilities
from mea.splitting.audit import hash_split
from mea.splitting.groups import group_recordings, list_recordings
from mea.statistics.conformal import measure_coverage
from mea.statistics.intervals import bound_accuracy
from mea.statistics.scores import Predictions, bound_scores, score_predictions
from mea.statistics.selective import measure_aurc, score_selective
from mea.training.classifier import Classifier


@dataclass(frozen=True)
class HeldOut:
    """Predictions of everything that the folds held out, each by the model of its own fold.

    Attributes
    ----------
    by_chunk
        As :func:`predict_chunks` gives them.
    by_rate
        Of recordings, by the baseline on firing rates.
    raw
        Of recordings, before calibration.
    by_recording
        Of recordings, as :func:`apply_fold_rules` gives them: calibrated, with threshold and prediction set.
    fold_rules
        The rules of each fold.
    """

    by_chunk: pd.DataFrame
    by_rate: pd.DataFrame
    raw: pd.DataFrame
    by_recording: pd.DataFrame
    fold_rules: list[Rules]


@dataclass(frozen=True)
class ScoreSettings:
    """How a table of predictions is scored.

    Attributes
    ----------
    labels
        The classes, sorted.
    bins
        Bins of equal width of the calibration error.
    confidence_level
        Of the intervals.
    """

    labels: list[str]
    bins: int
    confidence_level: float


def predict_all(
    classifier: Classifier, chunks: pd.DataFrame, events: dict[str, SpikeEvents], settings: RuleSettings
) -> HeldOut:
    """Chunks and recordings by the models that did not see them.

    Parameters
    ----------
    classifier
        Its folds are the scored ones.
    chunks
        All chunks with their fold.
    events
        Of each recording.
    settings
        Of the rules that are learned inside each fold's training set.
    """
    by_chunk = predict_chunks(classifier.open_model, classifier, chunks, events)
    by_rate = predict_chunks(classifier.open_baseline, classifier, chunks, events)
    raw = predict_recordings(classifier, chunks, events, by_chunk)
    by_recording, fold_rules = apply_fold_rules(classifier, raw, settings)
    return HeldOut(by_chunk, aggregate_recordings(by_rate, classifier.labels), raw, by_recording, fold_rules)


def predict_chunks(
    open_model: Callable[[int], Model], classifier: Classifier, chunks: pd.DataFrame, events: dict[str, SpikeEvents]
) -> pd.DataFrame:
    """Every scored chunk's probabilities, by the model of the fold that held it out.

    Parameters
    ----------
    open_model
        ``classifier.open_model`` or ``classifier.open_baseline``.
    classifier
        Its folds are the scored ones.
    chunks
        All chunks with their fold.
    events
        Of each recording.

    Returns
    -------
    pd.DataFrame
        The scored chunks' rows with predicted, confidence and ``p_<label>`` for every label.
    """
    parts = [
        add_predictions(part, open_model(fold).predict_proba(part, events), classifier.labels)
        for fold, part in _list_held_out(classifier, chunks)
    ]
    return pd.concat(parts).sort_index(ignore_index=True)


def predict_recordings(
    classifier: Classifier, chunks: pd.DataFrame, events: dict[str, SpikeEvents], by_chunk: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Every scored recording's raw probabilities, by the model of the fold that held it out, one row a recording.

    A recording whose chunks stand in several folds, which only a split by chunk allows, has the mean over its chunks.
    ``by_chunk`` are the predictions of chunks, if they are known: a model that averages them is not run again.
    """
    if by_chunk is not None and classifier.open_model(classifier.folds[0]).averages_chunks:
        return aggregate_recordings(by_chunk, classifier.labels)
    parts = []
    for fold, part in _list_held_out(classifier, chunks):
        proba = classifier.open_model(fold).predict_recordings(part, events)
        number = np.unique(part["recording"].to_numpy(str), return_inverse=True)[1]
        parts.append(add_predictions(part, proba[number], classifier.labels))
    return aggregate_recordings(pd.concat(parts).sort_index(ignore_index=True), classifier.labels)


def _list_held_out(classifier: Classifier, chunks: pd.DataFrame) -> Iterable[tuple[int, pd.DataFrame]]:
    held_out = list(chunks[chunks["fold"].isin(classifier.folds)].groupby("fold"))
    return show_progress(held_out, desc="folds predicted", delay=PATIENCE_S)


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


def apply_fold_rules(
    classifier: Classifier, recordings: pd.DataFrame, settings: RuleSettings
) -> tuple[pd.DataFrame, list[Rules]]:
    """Calibrate each fold's recordings, and decide which to reject, by rules learned inside the fold's training set.

    Parameters
    ----------
    classifier
        Holds each fold's out-of-fold predictions.
    recordings
        As :func:`mea.splitting.aggregation.aggregate_recordings` gives them, with raw probabilities.
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
        oof = classifier.load_oof(fold) if fold != "mixed" else recordings[:0]
        rules = learn_rules(oof, classifier.labels, settings)
        probabilities = rules.calibrator.calibrate(get_probabilities(part, classifier.labels))
        part = add_predictions(part, probabilities, classifier.labels)
        part["threshold"] = rules.confidence_threshold
        part["prediction_set"] = rules.format_sets(probabilities)
        parts.append(part)
        learned.append(rules)
    return pd.concat(parts).sort_index(), learned


def score_selection(recordings: pd.DataFrame, shipped: Rules, confidence_level: float) -> dict[str, Any]:
    """Selective prediction on held-out recordings: area under the risk-coverage curve, error at the folds' thresholds.

    Parameters
    ----------
    recordings
        As :func:`apply_fold_rules` gives them.
    shipped
        The rules for new recordings; only their threshold is written down, it is not scored.
    confidence_level
        Of the interval of the error.
    """
    correct = (recordings["label"] == recordings["predicted"]).to_numpy()
    groups = group_recordings(recordings, "batch")
    scores = score_selective(recordings, recordings["threshold"].to_numpy(float), groups, confidence_level)
    aurc = measure_aurc(recordings["confidence"].to_numpy(), correct)
    return {"aurc": aurc, "threshold": shipped.threshold} | {
        name: scores[name] for name in ("coverage", "error", "error_low", "error_high")
    }


def score_sets(recordings: pd.DataFrame, fold_rules: list[Rules]) -> dict[str, Any]:
    """Coverage and size of the folds' prediction sets, and the fewest recordings that one was calibrated on."""
    labels = list(fold_rules[0].conformal.labels)
    targets = recordings["label"].map(labels.index).to_numpy(int)
    measured = measure_coverage(read_sets(recordings["prediction_set"], labels), targets)
    fewest = {"calibration_recordings": min(rules.recordings for rules in fold_rules)}
    return {name: measured[name] for name in ("coverage", "mean_size")} | fewest


def score_table(table: pd.DataFrame, settings: ScoreSettings) -> dict[str, Any]:
    """All metrics of a table of recordings or chunks, with intervals that account for groups.

    Parameters
    ----------
    table
        Columns recording, label, culture, batch, predicted and ``p_<label>``.
    settings
        Classes, bins and confidence level.

    Returns
    -------
    dict
        Each metric of ``mea.statistics.scores.METRICS``, followed by its ``_low`` and ``_high`` if it has an interval;
        ``accuracy_low_naive`` and ``accuracy_high_naive``, as if all rows were independent; count.
    """
    actual, correct = table["label"].to_numpy(), (table["label"] == table["predicted"]).to_numpy()
    probabilities = get_probabilities(table, settings.labels)
    scores = score_predictions(settings.labels, actual, probabilities, settings.bins)
    recordings = list_recordings(table)
    by_recording = dict(zip(recordings["recording"], group_recordings(recordings, "batch")))
    groups = table["recording"].map(by_recording).to_numpy()
    predictions = Predictions(settings.labels, actual, probabilities, settings.bins)
    intervals = bound_scores(predictions, groups, settings.confidence_level)
    found: dict[str, Any] = {}
    for name, value in scores.items():
        found[name] = value
        if name in intervals:
            found |= dict(zip((f"{name}_low", f"{name}_high"), intervals[name]))
        if name == "accuracy":
            naive = bound_accuracy(correct, np.arange(len(correct)), settings.confidence_level)
            found |= dict(zip(("accuracy_low_naive", "accuracy_high_naive"), naive))
    return found | {"count": len(table)}


def score_majority(chunks: pd.DataFrame, scored: pd.DataFrame) -> float:
    """Accuracy over recordings of the majority class: the most frequent label of the training set (first of equals)."""
    correct = []
    for fold, part in scored.groupby("fold"):
        training = chunks[chunks["fold"] != fold] if fold != "mixed" else chunks
        counts = training.drop_duplicates("recording")["label"].value_counts().sort_index()
        correct.append((part["label"] == counts.idxmax()).to_numpy())
    return float(np.concatenate(correct).mean())


def list_fold_scores(recordings: pd.DataFrame, chunks: pd.DataFrame) -> pd.DataFrame:
    """Accuracy of each fold, by recording and by chunk."""
    rows = []
    for fold, part in chunks.groupby("fold"):
        held_out = recordings[recordings["fold"] == fold]
        by_recording = (held_out["label"] == held_out["predicted"]).mean() if len(held_out) else float("nan")
        rows.append((fold, len(held_out), by_recording, len(part), (part["label"] == part["predicted"]).mean()))
    names = ["fold", "recordings", "recording_accuracy", "chunks", "chunk_accuracy"]
    return pd.DataFrame(rows, columns=names)
