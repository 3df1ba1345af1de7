"""Metrics of predictions, with intervals that account for groups."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import accuracy_score, log_loss

from mea.evaluation.rules import Rules, read_sets
from mea.runtime.errors import MeaError
from mea.splitting.aggregation import get_probabilities
from mea.splitting.groups import group_recordings, list_recordings
from mea.statistics.conformal import measure_coverage
from mea.statistics.intervals import bound_accuracy
from mea.statistics.prior import weigh_recordings
from mea.statistics.scores import Predictions, bound_scores, score_predictions
from mea.statistics.selective import measure_aurc, score_selective


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
    order
        The classes in their declared order, such as that of doses; None where they have none.

    Raises
    ------
    MeaError
        If the order does not name each class once.
    """

    labels: list[str]
    bins: int
    confidence_level: float
    order: list[str] | None = None

    def __post_init__(self):
        if self.order is not None and sorted(self.order) != sorted(self.labels):
            raise MeaError(f"evaluate.order = {self.order}: must name each class once: {', '.join(self.labels)}.")


def score_at_prior(recordings: pd.DataFrame, labels: list[str], prior: np.ndarray) -> dict[str, float]:
    """Accuracy and log loss where the classes have the shares of a prior, (n_labels,); recordings are weighted."""
    weights = weigh_recordings(recordings["label"].map(labels.index).to_numpy(int), prior)
    actual, probabilities = recordings["label"], get_probabilities(recordings, labels)
    return {
        "accuracy": accuracy_score(actual, recordings["predicted"], sample_weight=weights),
        "log_loss": log_loss(actual, probabilities, labels=labels, sample_weight=weights),
    }


def score_selection(recordings: pd.DataFrame, shipped: Rules, confidence_level: float) -> dict[str, Any]:
    """Selective prediction on held-out recordings: area under the risk-coverage curve, error at the folds' thresholds.

    Parameters
    ----------
    recordings
        As :func:`mea.evaluation.held_out.apply_fold_rules` gives them.
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
    labels = fold_rules[0].labels
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
