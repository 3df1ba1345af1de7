"""Score a classifier on what each of its folds held out: chunks, and recordings by the vote of their chunks."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd

from mea.arrays.events import Events
from mea.evaluation.rules import Rules, learn_rules, read_sets
from mea.models.base import Model
from mea.runtime.errors import MeaError
from mea.runtime.parallel import PATIENCE_S, show_progress
from mea.splitting.aggregation import add_predictions, aggregate_recordings, get_probabilities
from mea.splitting.audit import hash_split
from mea.splitting.groups import IDENTITY, group_recordings
from mea.statistics.conformal import measure_coverage
from mea.statistics.intervals import bound_accuracy, bound_auc, bound_balanced_accuracy
from mea.statistics.scores import score_predictions
from mea.statistics.selective import measure_aurc, score_selective
from mea.training.classifier import Classifier


def predict_chunks(
    open_model: Callable[[int], Model], classifier: Classifier, chunks: pd.DataFrame, events: dict[str, Events]
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


def predict_recordings(classifier: Classifier, chunks: pd.DataFrame, events: dict[str, Events]) -> pd.DataFrame:
    """Every scored recording's raw probabilities, by the model of the fold that held it out, one row a recording.

    A recording whose chunks stand in several folds, which only a split by chunk allows, has the mean over its chunks.
    """
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
    """The chunks must be those the classifier was trained with, fold by fold; else it would score what it has seen.

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


def apply_inner_rules(
    classifier: Classifier, recordings: pd.DataFrame, target_error: float, confidence_level: float, seed: int
) -> tuple[pd.DataFrame, list[Rules]]:
    """Calibrate each fold's recordings, and decide which to call, by rules learned inside that fold's training side.

    Parameters
    ----------
    classifier
        Holds each fold's inner predictions.
    recordings
        As :func:`mea.splitting.aggregation.aggregate_recordings` gives them, probabilities as stated.
    target_error, confidence_level, seed
        As for :func:`mea.evaluation.rules.learn_rules`.

    Returns
    -------
    recordings
        With calibrated probabilities, and the columns threshold (least confidence of a call; NaN where none is called)
        and prediction_set (those that cannot be ruled out, joined by ``|``).
    rules
        Of each fold, in the order of their first recordings.
    """
    parts, learned = [], []
    for fold, part in recordings.groupby("fold", sort=False):
        # Chunks of one recording in several folds have no training side that has not seen it: nothing is learned.
        oof = classifier.load_oof(fold) if fold != "mixed" else recordings[:0]
        rules = learn_rules(oof, classifier.labels, target_error, confidence_level, seed)
        probabilities = rules.calibrator.calibrate(get_probabilities(part, classifier.labels))
        part = add_predictions(part, probabilities, classifier.labels)
        part["threshold"] = rules.confidence_threshold
        part["prediction_set"] = rules.name_sets(probabilities)
        parts.append(part)
        learned.append(rules)
    return pd.concat(parts).sort_index(), learned


def score_selection(recordings: pd.DataFrame, shipped: Rules, confidence_level: float) -> dict[str, Any]:
    """Risk against coverage on held-out recordings: area under the curve, and what the inner thresholds were worth."""
    correct = (recordings["label"] == recordings["predicted"]).to_numpy()
    groups = group_recordings(recordings, "batch")
    scores = score_selective(recordings, recordings["threshold"].to_numpy(float), groups, confidence_level)
    aurc = measure_aurc(recordings["confidence"].to_numpy(), correct)
    return {"aurc": aurc, "threshold": shipped.threshold} | {
        name: scores[name] for name in ("coverage", "error", "error_low", "error_high")
    }


def score_sets(recordings: pd.DataFrame, inner: list[Rules]) -> dict[str, Any]:
    """How often the inner rules' prediction sets held the actual label, and the fewest recordings behind one."""
    labels = list(inner[0].conformal.labels)
    targets = recordings["label"].map(labels.index).to_numpy(int)
    measured = measure_coverage(read_sets(recordings["prediction_set"], labels), targets)
    fewest = {"calibration_recordings": min(rules.recordings for rules in inner)}
    return {name: measured[name] for name in ("coverage", "mean_size")} | fewest


def score_table(table: pd.DataFrame, labels: list[str], bins: int, confidence_level: float) -> dict[str, Any]:
    """Metrics of a table of recordings or chunks, each headline with the interval that reckons with groups."""
    actual, correct = table["label"].to_numpy(), (table["label"] == table["predicted"]).to_numpy()
    probabilities = get_probabilities(table, labels)
    scores = score_predictions(labels, actual, probabilities, bins)
    recordings = table[IDENTITY].drop_duplicates("recording").reset_index(drop=True)
    groups = table["recording"].map(dict(zip(recordings["recording"], group_recordings(recordings, "batch"))))
    group = groups.to_numpy()
    intervals = {
        "accuracy": bound_accuracy(correct, group, confidence_level),
        "balanced_accuracy": bound_balanced_accuracy(actual, correct, group, confidence_level),
        "roc_auc": bound_auc(labels, actual, probabilities, group, confidence_level),
    }
    found: dict[str, Any] = {}
    for name, value in scores.items():
        found[name] = value
        if name in intervals:
            found |= dict(zip((f"{name}_low", f"{name}_high"), intervals[name]))
        if name == "accuracy":
            naive = bound_accuracy(correct, np.arange(len(correct)), confidence_level)
            found |= dict(zip(("accuracy_low_naive", "accuracy_high_naive"), naive))
    return found | {"count": len(table)}


def score_majority(chunks: pd.DataFrame, scored: pd.DataFrame) -> float:
    """Accuracy, over recordings, of always saying the label most of the training recordings have (first of equals)."""
    hits = []
    for fold, part in scored.groupby("fold"):
        training = chunks[chunks["fold"] != fold] if fold != "mixed" else chunks
        counts = training.drop_duplicates("recording")["label"].value_counts().sort_index()
        hits.append((part["label"] == counts.idxmax()).to_numpy())
    return float(np.concatenate(hits).mean())


def list_fold_scores(recordings: pd.DataFrame, chunks: pd.DataFrame) -> pd.DataFrame:
    """Accuracy of each fold by recording and by chunk: how much it varies from fold to fold."""
    rows = []
    for fold, part in chunks.groupby("fold"):
        held = recordings[recordings["fold"] == fold]
        by_recording = (held["label"] == held["predicted"]).mean() if len(held) else float("nan")
        rows.append((fold, len(held), by_recording, len(part), (part["label"] == part["predicted"]).mean()))
    names = ["fold", "recordings", "recording_accuracy", "chunks", "chunk_accuracy"]
    return pd.DataFrame(rows, columns=names)
