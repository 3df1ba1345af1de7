"""Calling only what one is sure of: risk against coverage, and a threshold for a stated error rate."""

import math
from typing import Any

import numpy as np
import pandas as pd

from mea.statistics.intervals import bound_accuracy


def trace_risk_coverage(confidence: np.ndarray, correct: np.ndarray) -> pd.DataFrame:
    """Error rate among the surest recordings, for every share of them that a threshold can keep.

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
        One row a distinct confidence, the surest first: coverage (share kept with a confidence of at least the
        threshold), risk (share of those kept that are wrong), threshold, kept and wrong (numbers of recordings).
    """
    threshold, kept, wrong = _count_kept(confidence, correct)
    columns = {"coverage": kept / len(confidence), "risk": wrong / kept, "threshold": threshold}
    return pd.DataFrame(columns | {"kept": kept, "wrong": wrong})


def _count_kept(confidence: np.ndarray, correct: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Thresholds from the highest down, and how many recordings, and wrong ones, each keeps."""
    threshold, number = np.unique(-np.asarray(confidence, float), return_inverse=True)
    kept = np.bincount(number).cumsum()
    wrong = np.bincount(number, weights=~np.asarray(correct, bool)).cumsum().astype(int)
    return -threshold, kept, wrong


def measure_aurc(confidence: np.ndarray, correct: np.ndarray) -> float:
    """Area under the risk-coverage curve: the mean of the error rates among the 1, 2, …, n surest recordings.

    Recordings of equal confidence stand in no order; the mean over all their orders is taken, which is what one would
    get on average by drawing among them. NaN without recordings.
    """
    n = len(confidence)
    if n == 0:
        return float("nan")
    _, kept, wrong = _count_kept(confidence, correct)
    # Within a tie each recording adds, on average, the tie's share of wrong ones: straight lines between the corners.
    expected_wrong = np.interp(np.arange(1, n + 1), np.append(0, kept), np.append(0, wrong))
    return float((expected_wrong / np.arange(1, n + 1)).mean())


def choose_threshold(confidence: np.ndarray, correct: np.ndarray, target_error: float) -> float:
    """The lowest confidence to call, for a stated error rate among the recordings called.

    The largest set of surest recordings of which (wrong + 1) / (kept + 1) is at most ``target_error``: as if the next
    recording were wrong, so that a few lucky ones do not pass for a rate of 0. It is a choice on the recordings given,
    not a guarantee: the largest of many sets is taken, recordings of one group are alike, and only recordings that had
    no part in it (:func:`score_selective`) tell what it is worth.

    Parameters
    ----------
    confidence
        (n,) 0 to 1, of recordings that were held out, calibrated as they will be when the threshold is applied.
    correct
        (n,) bool.
    target_error
        Highest error rate among the recordings called, between 0 and 1.

    Returns
    -------
    float
        Call a recording with at least this confidence; 0 where all may be called, so that a new one a little less sure
        than all of these is called, too; NaN where no threshold will do (:func:`explain_threshold`).
    """
    threshold, kept, wrong = _count_kept(confidence, correct)
    good = np.flatnonzero(wrong + 1 <= target_error * (kept + 1) + 1e-9)  # 1 / 20 is 5 %, whatever rounding says
    if len(good) and good[-1] == len(kept) - 1:
        return 0.0
    return float(threshold[good[-1]]) if len(good) else float("nan")


def count_needed(target_error: float) -> int:
    """How many recordings, all correct, it takes at least before an error rate can be stated: 19 for 5 %.

    As many as a class needs before a conformal set of that error rate can rule it out: in both, one more recording is
    reckoned with, the next.
    """
    return math.ceil(round(1 / target_error - 1, 9))


def explain_threshold(confidence: np.ndarray, correct: np.ndarray, target_error: float) -> str:
    """Why there is no threshold, in words; an empty string where :func:`choose_threshold` finds one."""
    if not np.isnan(choose_threshold(confidence, correct, target_error)):
        return ""
    n, needed, percent = len(confidence), count_needed(target_error), f"{100 * target_error:.4g} %"
    if n < needed:
        return f"too few recordings: {n} held out; at least {needed} all correct are needed for {percent} error"
    wrong = int(np.sum(~np.asarray(correct, bool)))
    return (
        f"no confidence is high enough for {percent} error: {wrong} of {n} recordings held out are wrong, some of them "
        f"among the surest; the {needed} surest all correct would do"
    )


def score_selective(
    recordings: pd.DataFrame, threshold: float | np.ndarray, groups: np.ndarray, confidence_level: float
) -> dict[str, Any]:
    """What calling only the sure recordings is worth, on recordings that had no part in choosing the threshold.

    Parameters
    ----------
    recordings
        Columns label, predicted, confidence.
    threshold
        One for all, or (n,) that of each recording's fold. NaN calls none.
    groups
        (n,) group of each recording, for the interval.
    confidence_level
        Of the interval of the error (:func:`mea.statistics.intervals.bound_accuracy`).

    Returns
    -------
    dict
        coverage (share called), error (share wrong among those called) with error_low and error_high, called and
        count (numbers of recordings). The error is NaN where none is called.
    """
    correct = (recordings["label"] == recordings["predicted"]).to_numpy()
    called = recordings["confidence"].to_numpy() >= threshold
    error = low = high = float("nan")
    if called.any():
        error = float(np.mean(~correct[called]))
        low, high = bound_accuracy(~correct[called], np.asarray(groups)[called], confidence_level)
    return {
        "coverage": float(called.mean()),
        "error": error,
        "error_low": low,
        "error_high": high,
        "called": int(called.sum()),
        "count": len(called),
    }
