"""How good the predictions are: metrics for two or more classes (their intervals: `mea.statistics.intervals`)."""

import warnings
from typing import Any

import numpy as np
import pandas as pd
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import (
    accuracy_score,
    auc,
    balanced_accuracy_score,
    brier_score_loss,
    classification_report,
    confusion_matrix,
    f1_score,
    log_loss,
    roc_auc_score,
    roc_curve,
)

from mea.statistics.intervals import bound_share


def score_predictions(labels: list[str], actual: np.ndarray, probabilities: np.ndarray, bins: int) -> dict[str, Any]:
    """Metrics of predictions, by scikit-learn's definitions.

    Parameters
    ----------
    labels
        The classes, sorted; with two, the second is the positive one.
    actual
        (n,) label of each recording or chunk.
    probabilities
        (n, n_labels) float.
    bins
        Bins of equal width for the expected calibration error.

    Returns
    -------
    dict
        accuracy, balanced_accuracy, f1 (macro with more than two classes), roc_auc (one against the rest, macro),
        log_loss, brier, ece. NaN where a metric is undefined because a class is missing.
    """
    predicted = np.array(labels)[probabilities.argmax(1)]
    binary = len(labels) == 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class without predictions counts as 0
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        average = {"pos_label": labels[1]} if binary else {"average": "macro", "labels": labels}
        return {
            "accuracy": accuracy_score(actual, predicted),
            "balanced_accuracy": balanced_accuracy_score(actual, predicted),
            "f1": f1_score(actual, predicted, zero_division=0, **average),
            "roc_auc": _score_auc(labels, actual, probabilities),
            "log_loss": log_loss(actual, probabilities, labels=labels),
            "brier": brier_score_loss(actual, probabilities, labels=labels),
            "ece": measure_calibration(labels, actual, probabilities, bins)[1],
        }


def _score_auc(labels: list[str], actual: np.ndarray, probabilities: np.ndarray) -> float:
    if set(actual) != set(labels):
        return float("nan")
    if len(labels) == 2:
        return roc_auc_score(actual == labels[1], probabilities[:, 1])
    return roc_auc_score(actual, probabilities, multi_class="ovr", labels=labels)


def measure_calibration(
    labels: list[str], actual: np.ndarray, probabilities: np.ndarray, bins: int, confidence_level: float = 0.95
) -> tuple[pd.DataFrame, float]:
    """Expected calibration error over bins of equal width of the confidence (the largest probability).

    Naeini, Cooper, Hauskrecht, "Obtaining well calibrated probabilities using Bayesian binning", AAAI 2015.

    Returns
    -------
    table
        One row a bin that is not empty: low, high (its edges), confidence, accuracy, count, accuracy_low,
        accuracy_high (:func:`mea.statistics.intervals.bound_share` at ``confidence_level``, as if what is in a bin were
        independent).
    ece
        Mean of |accuracy - confidence| over the bins, weighted by their counts.
    """
    confidence = probabilities.max(1)
    correct = np.array(labels)[probabilities.argmax(1)] == actual
    number = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    rows = [
        (k / bins, (k + 1) / bins, confidence[number == k].mean(), correct[number == k].mean(), (number == k).sum())
        for k in sorted(set(number))
    ]
    table = pd.DataFrame(rows, columns=["low", "high", "confidence", "accuracy", "count"])
    bounds = [
        bound_share(correct[number == k].sum(), (number == k).sum(), confidence_level) for k in sorted(set(number))
    ]
    table[["accuracy_low", "accuracy_high"]] = bounds
    gaps = (table["accuracy"] - table["confidence"]).abs()
    return table, float((gaps * table["count"]).sum() / len(actual))


def count_confusion(labels: list[str], actual: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """(n_labels, n_labels) counts; rows: actual, columns: predicted."""
    return confusion_matrix(actual, predicted, labels=labels)


def report_classes(labels: list[str], actual: np.ndarray, predicted: np.ndarray) -> pd.DataFrame:
    """Precision, recall, f1 and support of each class: the predecessor's classification report."""
    report = classification_report(actual, predicted, labels=labels, output_dict=True, zero_division=0)
    rows = [
        (label, *(report[label][name] for name in ("precision", "recall", "f1-score", "support"))) for label in labels
    ]
    return pd.DataFrame(rows, columns=["label", "precision", "recall", "f1", "support"])


def trace_roc(
    labels: list[str], actual: np.ndarray, probabilities: np.ndarray
) -> dict[str, tuple[np.ndarray, np.ndarray, float]]:
    """ROC curve of each class against the rest, with two classes of the second only.

    Returns
    -------
    dict
        For each label (false positive rate (m,), true positive rate (m,), area); a label that none or all have is
        left out.
    """
    curves = {}
    for k, label in enumerate(labels):
        positive = actual == label
        if (len(labels) > 2 or k == 1) and 0 < positive.sum() < len(positive):
            fpr, tpr, _ = roc_curve(positive, probabilities[:, k], drop_intermediate=False)
            curves[label] = (fpr, tpr, auc(fpr, tpr))
    return curves
