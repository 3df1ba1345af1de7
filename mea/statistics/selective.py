"""Selective prediction: reject recordings of low confidence. Risk-coverage curve, and a threshold for an error rate."""

import math
from typing import Any

import numpy as np
import pandas as pd

from mea.statistics.intervals import bound_accuracy


def trace_risk_coverage(confidence: np.ndarray, correct: np.ndarray) -> pd.DataFrame:
    """Risk-coverage curve: the error rate among the most confident recordings, for every fraction of them.

    Geifman and El-Yaniv, "Selective classification for deep neural networks", NeurIPS 2017 (arXiv:1705.08500).

    Parameters
    ----------
    confidence
        (n,) 0 to 1.
    correct
        (n,) bool.

    Returns
    -------
    pd.DataFrame
        One row a distinct confidence, the most confident first: coverage (fraction of recordings with a confidence of
        at least the threshold), risk (fraction of these that are wrong), threshold, kept and wrong (numbers of
        recordings).

    Examples
    --------
    >>> import numpy as np
    >>> curve = trace_risk_coverage(np.array([0.9, 0.8, 0.8, 0.6]), np.array([True, True, False, True]))
    >>> curve[["threshold", "coverage", "risk"]].round(2).to_numpy().tolist()
    [[0.9, 0.25, 0.0], [0.8, 0.75, 0.33], [0.6, 1.0, 0.25]]
    """
    threshold, kept, wrong = _count_kept(confidence, correct)
    columns = {"coverage": kept / len(confidence), "risk": wrong / kept, "threshold": threshold}
    return pd.DataFrame(columns | {"kept": kept, "wrong": wrong})


def _count_kept(confidence: np.ndarray, correct: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Thresholds from the highest down, and how many recordings, and wrong ones, each keeps."""
    threshold, kept, wrong = _weigh_kept(confidence, correct, np.ones(len(confidence)))
    return threshold, kept.astype(int), wrong.astype(int)


def _weigh_kept(
    confidence: np.ndarray, correct: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same with the sum of weights in place of the number of recordings."""
    threshold, number = np.unique(-np.asarray(confidence, float), return_inverse=True)
    kept = np.bincount(number, weights=weights).cumsum()
    wrong = np.bincount(number, weights=weights * ~np.asarray(correct, bool)).cumsum()
    return -threshold, kept, wrong


def measure_aurc(confidence: np.ndarray, correct: np.ndarray) -> float:
    """Area under the risk-coverage curve: the mean of the error rates among the 1, 2, …, n most confident recordings.

    Recordings of equal confidence have no order, so the mean over all their orders is taken. NaN without recordings.

    Examples
    --------
    >>> import numpy as np
    >>> measure_aurc(np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, True, True, False]))  # 0, 0, 0, 1/4
    0.0625
    """
    n = len(confidence)
    if n == 0:
        return float("nan")
    _, kept, wrong = _count_kept(confidence, correct)
    # Within a tie each recording adds, on average, the tie's fraction of wrong ones: lines between the corners.
    expected_wrong = np.interp(np.arange(1, n + 1), np.append(0, kept), np.append(0, wrong))
    return float((expected_wrong / np.arange(1, n + 1)).mean())


def choose_threshold(
    confidence: np.ndarray, correct: np.ndarray, target_error: float, weights: np.ndarray | None = None
) -> float:
    """The lowest confidence at which to predict, for a target error rate among the recordings predicted.

    Takes the largest set of most confident recordings with (wrong + 1) / (kept + 1) of at most ``target_error``: as if
    the next recording were wrong, so that a few correct ones by chance do not give a rate of 0. The threshold is chosen
    on the recordings given and is no guarantee: it belongs to the largest of many sets, and recordings of one group are
    similar. Score it on recordings that had no part in the choice (:func:`score_selective`).

    Parameters
    ----------
    confidence
        (n,) 0 to 1, of recordings that were held out, calibrated as they will be when the threshold is applied.
    correct
        (n,) bool.
    target_error
        Highest error rate among the recordings predicted, between 0 and 1.
    weights
        (n,) of mean 1, by which a recording counts (:func:`mea.statistics.prior.weigh_recordings`); None: all alike.

    Returns
    -------
    float
        Predict a recording with at least this confidence; 0 if all may be predicted, so that a new one with a lower
        confidence than all of these is predicted, too; NaN if no threshold reaches the target
        (:func:`explain_threshold`).

    Examples
    --------
    >>> import numpy as np
    >>> confidence = np.linspace(0.99, 0.5, 50)
    >>> correct = confidence > 0.7
    >>> choose_threshold(confidence, correct, target_error=0.1)
    0.69
    """
    weights = np.ones(len(confidence)) if weights is None else weights
    threshold, kept, wrong = _weigh_kept(confidence, correct, weights)
    good = np.flatnonzero(wrong + 1 <= target_error * (kept + 1) + 1e-9)  # 1 / 20 is 5 %, whatever rounding says
    if len(good) and good[-1] == len(kept) - 1:
        return 0.0
    return float(threshold[good[-1]]) if len(good) else float("nan")


def count_needed(target_error: float) -> int:
    """How many recordings, all correct, are needed to reach a target error rate: 19 for 5 %.

    A class needs the same number of recordings before a conformal set of that error rate can exclude it: both count the
    next recording as one more.

    Examples
    --------
    >>> count_needed(0.05)
    19
    """
    return math.ceil(round(1 / target_error - 1, 9))


def explain_threshold(
    confidence: np.ndarray, correct: np.ndarray, target_error: float, weights: np.ndarray | None = None
) -> str:
    """Why there is no threshold, in words; an empty string if :func:`choose_threshold` finds one."""
    if not np.isnan(choose_threshold(confidence, correct, target_error, weights)):
        return ""
    n, needed, percent = len(confidence), count_needed(target_error), f"{100 * target_error:.4g} %"
    if n < needed:
        return f"too few recordings: {n} held out; at least {needed}, all correct, are needed for {percent} error"
    wrong = int(np.sum(~np.asarray(correct, bool)))
    return (
        f"no confidence is high enough for {percent} error: {wrong} of {n} held-out recordings are wrong, some of them "
        f"with high confidence; it would be enough if the {needed} most confident ones were all correct"
    )


def score_selective(
    recordings: pd.DataFrame, threshold: float | np.ndarray, groups: np.ndarray, confidence_level: float
) -> dict[str, Any]:
    """Error and coverage of selective prediction, on recordings that had no part in choosing the threshold.

    Parameters
    ----------
    recordings
        Columns label, predicted, confidence.
    threshold
        One for all, or (n,) that of each recording's fold. With NaN none is predicted.
    groups
        (n,) group of each recording, for the interval.
    confidence_level
        Of the interval of the error (:func:`mea.statistics.intervals.bound_accuracy`).

    Returns
    -------
    dict
        coverage (fraction predicted), error (fraction wrong among those) with error_low and error_high, predicted and
        count (numbers of recordings). The error is NaN if none is predicted.
    """
    correct = (recordings["label"] == recordings["predicted"]).to_numpy()
    predicted = recordings["confidence"].to_numpy() >= threshold
    error = low = high = float("nan")
    if predicted.any():
        error = float(np.mean(~correct[predicted]))
        low, high = bound_accuracy(~correct[predicted], np.asarray(groups)[predicted], confidence_level)
    return {
        "coverage": float(predicted.mean()),
        "error": error,
        "error_low": low,
        "error_high": high,
        "predicted": int(predicted.sum()),
        "count": len(predicted),
    }
