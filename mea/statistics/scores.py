"""How good predictions are: one table of metrics, and the curves and tables drawn from the same predictions.

``METRICS`` is the only list of metrics. A metric added there is scored, compared between versions, written to the model
card and, with a ``headline``, shown in the headline of the report.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

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

from mea.statistics.intervals import Interval, bound_accuracy, bound_auc, bound_balanced_accuracy, bound_fraction


@dataclass(frozen=True)
class Predictions:
    """What a metric is computed from.

    Attributes
    ----------
    labels
        The classes, sorted; with two, the second is the positive one.
    actual
        (n,) label of each recording or chunk.
    probabilities
        (n, n_labels) float.
    bins
        Bins of equal width for the expected calibration error.
    """

    labels: list[str]
    actual: np.ndarray
    probabilities: np.ndarray
    bins: int

    @cached_property
    def predicted(self) -> np.ndarray:
        """(n,) the label of highest probability."""
        return np.array(self.labels)[self.probabilities.argmax(1)]

    @cached_property
    def correct(self) -> np.ndarray:
        """(n,) bool, whether that is the actual label."""
        return self.predicted == self.actual


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes
    ----------
    description
        Its name in words, as in the model card.
    compute
        Its value; NaN where it is undefined.
    higher_is_better
        Its direction.
    decided_by
        What two versions must have in common to have the same value, whatever else differs: which recordings are
        ``correct``, the ``predicted`` labels, or the ``probabilities``.
    is_fraction
        Whether it is between 0 and 1 and counts recordings or pairs of them, so that the interval of a difference is
        at least as wide as the accuracy's where versions differ in few groups only.
    bound
        Its interval at a confidence level, from the (n,) group of each recording; None if it has none.
    headline
        Its short name in the headline of the report; empty if it is not shown there.
    """

    description: str
    compute: Callable[[Predictions], float]
    higher_is_better: bool
    decided_by: Literal["correct", "predicted", "probabilities"] = "probabilities"
    is_fraction: bool = False
    bound: Callable[[Predictions, np.ndarray, float], Interval] | None = None
    headline: str = ""


def score_predictions(labels: list[str], actual: np.ndarray, probabilities: np.ndarray, bins: int) -> dict[str, float]:
    """Every metric of ``METRICS``, by scikit-learn's definitions.

    Parameters
    ----------
    labels, actual, probabilities, bins
        As in :class:`Predictions`.

    Returns
    -------
    dict
        accuracy, balanced_accuracy, f1 (macro with more than two classes), roc_auc (one against the rest, macro),
        log_loss, brier, ece. NaN where a metric is undefined because a class is missing.

    Examples
    --------
    >>> import numpy as np
    >>> probabilities = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7]])
    >>> scores = score_predictions(["ko", "wt"], np.array(["ko", "ko", "wt", "wt"]), probabilities, bins=10)
    >>> scores["accuracy"], scores["roc_auc"]
    (0.75, 1.0)
    """
    predictions = Predictions(labels, actual, probabilities, bins)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class without predictions counts as 0
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        return {name: metric.compute(predictions) for name, metric in METRICS.items()}


def bound_scores(predictions: Predictions, groups: np.ndarray, confidence_level: float) -> dict[str, Interval]:
    """The interval of every metric that has one.

    Parameters
    ----------
    predictions
        Of n recordings or chunks.
    groups
        (n,) group of each.
    confidence_level
        For instance 0.95.
    """
    bounds = {name: metric.bound for name, metric in METRICS.items()}
    return {name: bound(predictions, groups, confidence_level) for name, bound in bounds.items() if bound}


def _score_f1(given: Predictions) -> float:
    average: dict[str, Any] = {"average": "macro", "labels": given.labels}
    if len(given.labels) == 2:
        average = {"pos_label": given.labels[1]}
    return f1_score(given.actual, given.predicted, zero_division=0, **average)


def _score_auc(given: Predictions) -> float:
    if set(given.actual) != set(given.labels):
        return float("nan")
    if len(given.labels) == 2:
        return roc_auc_score(given.actual == given.labels[1], given.probabilities[:, 1])
    return roc_auc_score(given.actual, given.probabilities, multi_class="ovr", labels=given.labels)


def measure_calibration(
    labels: list[str], actual: np.ndarray, probabilities: np.ndarray, bins: int, confidence_level: float = 0.95
) -> tuple[pd.DataFrame, float]:
    """Expected calibration error over bins of equal width of the confidence (the largest probability).

    Naeini, Cooper, Hauskrecht, "Obtaining well calibrated probabilities using Bayesian binning", AAAI 2015.

    Parameters
    ----------
    labels, actual, probabilities, bins
        As in :class:`Predictions`.
    confidence_level
        Of the interval of each bin's accuracy.

    Returns
    -------
    table
        One row a bin that is not empty: low, high (its edges), confidence, accuracy, count, accuracy_low,
        accuracy_high (:func:`mea.statistics.intervals.bound_fraction`, as if the recordings of a bin were
        independent).
    ece
        Mean of |accuracy - confidence| over the bins, weighted by their counts.

    Examples
    --------
    >>> import numpy as np
    >>> probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6]])
    >>> table, ece = measure_calibration(["ko", "wt"], np.array(["ko", "wt", "wt"]), probabilities, bins=2)
    >>> table[["low", "high", "confidence", "accuracy", "count"]].round(2).to_numpy().tolist()
    [[0.5, 1.0, 0.8, 0.67, 3.0]]
    >>> round(ece, 3)
    0.133
    """
    confidence = probabilities.max(1)
    correct = np.array(labels)[probabilities.argmax(1)] == actual
    number = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    rows, bounds = [], []
    for k in sorted(set(number)):
        inside = number == k
        rows.append((k / bins, (k + 1) / bins, confidence[inside].mean(), correct[inside].mean(), inside.sum()))
        bounds.append(bound_fraction(correct[inside].sum(), inside.sum(), confidence_level))
    table = pd.DataFrame(rows, columns=["low", "high", "confidence", "accuracy", "count"])
    table[["accuracy_low", "accuracy_high"]] = bounds
    gaps = (table["accuracy"] - table["confidence"]).abs()
    return table, float((gaps * table["count"]).sum() / len(actual))


METRICS = {
    "accuracy": Metric(
        "accuracy",
        lambda given: accuracy_score(given.actual, given.predicted),
        higher_is_better=True,
        decided_by="correct",
        is_fraction=True,
        bound=lambda given, groups, level: bound_accuracy(given.correct, groups, level),
    ),
    "balanced_accuracy": Metric(
        "balanced accuracy",
        lambda given: balanced_accuracy_score(given.actual, given.predicted),
        higher_is_better=True,
        decided_by="correct",
        is_fraction=True,
        bound=lambda given, groups, level: bound_balanced_accuracy(given.actual, given.correct, groups, level),
    ),
    "f1": Metric("F1", _score_f1, higher_is_better=True, decided_by="predicted", is_fraction=True),
    "roc_auc": Metric(
        "area under the ROC curve",
        _score_auc,
        higher_is_better=True,
        is_fraction=True,
        bound=lambda given, groups, level: bound_auc(given.labels, given.actual, given.probabilities, groups, level),
        headline="AUC",
    ),
    "log_loss": Metric(
        "log loss",
        lambda given: log_loss(given.actual, given.probabilities, labels=given.labels),
        higher_is_better=False,
    ),
    "brier": Metric(
        "Brier score",
        lambda given: brier_score_loss(given.actual, given.probabilities, labels=given.labels),
        higher_is_better=False,
    ),
    "ece": Metric(
        "expected calibration error",
        lambda given: measure_calibration(given.labels, given.actual, given.probabilities, given.bins)[1],
        higher_is_better=False,
    ),
}


def count_confusion(labels: list[str], actual: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Confusion matrix: (n_labels, n_labels) counts; rows: actual, columns: predicted.

    Examples
    --------
    >>> import numpy as np
    >>> count_confusion(["ko", "wt"], np.array(["ko", "ko", "wt"]), np.array(["ko", "wt", "wt"])).tolist()
    [[1, 1], [0, 1]]
    """
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
    """ROC curve of each class against the rest; with two classes, of the second only.

    Returns
    -------
    dict
        For each label (false positive rate (m,), true positive rate (m,), area); a label that no recording or every
        recording has is left out.
    """
    curves = {}
    for k, label in enumerate(labels):
        positive = actual == label
        if (len(labels) > 2 or k == 1) and 0 < positive.sum() < len(positive):
            fpr, tpr, _ = roc_curve(positive, probabilities[:, k], drop_intermediate=False)
            curves[label] = (fpr, tpr, auc(fpr, tpr))
    return curves
