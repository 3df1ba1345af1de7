"""How good the predictions are: metrics for two or more classes, each headline with its interval."""

import warnings
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import beta, t
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
    labels: list[str], actual: np.ndarray, probabilities: np.ndarray, bins: int, level: float = 0.95
) -> tuple[pd.DataFrame, float]:
    """Expected calibration error over bins of equal width of the confidence (the largest probability).

    Naeini, Cooper, Hauskrecht, "Obtaining well calibrated probabilities using Bayesian binning", AAAI 2015.

    Returns
    -------
    table
        One row a bin that is not empty: low, high (its edges), confidence, accuracy, count, accuracy_low,
        accuracy_high (:func:`bound_share` at ``level``, as if what is in a bin were independent).
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
    bounds = [bound_share(correct[number == k].sum(), (number == k).sum(), level) for k in sorted(set(number))]
    table[["accuracy_low", "accuracy_high"]] = bounds
    gaps = (table["accuracy"] - table["confidence"]).abs()
    return table, float((gaps * table["count"]).sum() / len(actual))


def bound_accuracy(correct: np.ndarray, groups: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Interval of an accuracy that stays true when the recordings of one group are alike.

    The exact binomial interval at the effective sample size: Korn and Graubard, "Confidence intervals for
    proportions with small expected number of positive counts estimated from survey data", Survey Methodology 24
    (1998). Where all or none are correct the variance between groups cannot be seen; each group then counts once.

    Parameters
    ----------
    correct
        (n,) bool.
    groups
        (n,) group of each; all different for the naive (Clopper-Pearson) interval.
    level
        Confidence level.

    Returns
    -------
    low, high
        Both NaN for fewer than two groups.
    """
    n, share = len(correct), float(np.mean(correct))
    _, number = np.unique(groups, return_inverse=True)
    k = number.max() + 1
    if k < 2:
        return float("nan"), float("nan")
    if k == n:
        size = float(n)
    elif share in (0.0, 1.0):
        size = float(k)
    else:
        residuals = np.bincount(number, weights=correct - share)
        variance = k / (k - 1) * (residuals**2).sum() / n**2
        tail = (1 + level) / 2
        size = share * (1 - share) / max(variance, 1e-12) * (t.ppf(tail, n - 1) / t.ppf(tail, k - 1)) ** 2
        size = min(size, float(n))
    return bound_share(share * size, size, level)


def bound_share(hits: float, size: float, level: float = 0.95) -> tuple[float, float]:
    """Exact (Clopper-Pearson) interval of a share of ``hits`` in ``size`` independent trials; neither need be whole.

    Clopper and Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial", Biometrika
    26 (1934), doi 10.1093/biomet/26.4.404.
    """
    misses, tail = size - hits, (1 - level) / 2
    low = beta.ppf(tail, hits, misses + 1) if hits > 0 else 0.0
    high = beta.ppf(1 - tail, hits + 1, misses) if misses > 0 else 1.0
    return float(low), float(high)


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
