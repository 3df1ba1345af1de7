"""What judges whole recordings: a support vector machine a class, strengths chosen and decisions linked inside.

The machines are those of :mod:`mea.models.support`. The usual strengths are replaced by others only where the inner
folds clearly say so, by the log loss of the recordings they hold out; these make the link from decisions to log odds,
too. What is kept are plain arrays.
"""

from dataclasses import fields
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from scipy.special import expit
from sklearn.utils.class_weight import compute_sample_weight

from mea.models.support import (
    Machine,
    Strengths,
    fit_machine,
    fit_support,
    measure_squares,
    prepare_training,
    shrink_differences,
    shrink_training,
)
from mea.runtime.errors import MeaError
from mea.statistics.calibration import fit_platt

COSTS = (3.0, 10.0, 30.0)
WIDTHS = (0.1, 0.2, 0.4)
SHRINKS = (0.03, 0.1, 0.3)
ERRORS = 2.0  # standard errors of a gain that is no chance

Judge = dict[str, np.ndarray]  # arrays of a fitted judge, as they are stored


def choose_strengths(
    values: np.ndarray, targets: np.ndarray, cultures: np.ndarray, folds: np.ndarray
) -> tuple[Strengths, np.ndarray]:
    """Strengths as the recordings held out by inner folds advise, and (n,) their decisions there."""
    compared = compare_strengths(values, targets, cultures, folds)
    losses = {strengths: measure_losses(decisions, targets) for strengths, decisions in compared.items()}
    chosen = pick_strengths(losses, folds)
    return chosen, compared[chosen]


def pick_strengths(losses: dict[Strengths, np.ndarray], folds: np.ndarray) -> Strengths:
    """The strengths of lowest loss if it is clearly lower than that of the usual ones, else the usual ones.

    The lowest of many losses on a few batches is low by chance, too, and what is chosen then differs from fold to fold.
    As in Breiman, Friedman, Olshen and Stone, "Classification and Regression Trees" (1984), what is plain is kept
    unless the gain exceeds its standard errors, here two, over the inner folds.

    Parameters
    ----------
    losses
        Of each strengths tried, the usual ones among them, (n,) loss of every recording.
    folds
        (n,) the inner fold that held it out.
    """
    usual, best = Strengths(), min(losses, key=lambda strengths: losses[strengths].sum())
    gains = np.array([(losses[usual] - losses[best])[folds == fold].sum() for fold in np.unique(folds)])
    clear = gains.mean() > ERRORS * gains.std(ddof=1) / np.sqrt(len(gains))
    return best if clear else usual


def compare_strengths(
    values: np.ndarray, targets: np.ndarray, cultures: np.ndarray, folds: np.ndarray
) -> dict[Strengths, np.ndarray]:
    """For all strengths, (n,) decision of each recording by a machine that has not seen its fold; values (n, p).

    What several have in common is computed once.
    """
    tried = {Strengths(*each): np.zeros(len(targets)) for each in product(COSTS, WIDTHS, SHRINKS)}
    for fold in np.unique(folds):
        held = folds == fold
        training = prepare_training(values[~held], targets[~held], cultures[~held])
        scaled = training.scaler.scale(values[held])
        for shrink in SHRINKS:
            shrunk = shrink_training(training, shrink)
            other = shrink_differences(scaled, training.directions, shrunk.factors)
            away = measure_squares(other, shrunk.values)
            for width, cost in product(WIDTHS, COSTS):
                gamma = width / shrunk.variance
                model = fit_support(shrunk.squares, gamma, cost, training)
                tried[Strengths(cost, width, shrink)][held] = model.decision_function(np.exp(-gamma * away))
    return tried


def fit_link(decisions: np.ndarray, targets: np.ndarray) -> tuple[float, float]:
    """Slope and offset from decisions to log odds; both classes count alike."""
    return fit_platt(decisions, targets)


def measure_losses(decisions: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """(n,) log loss of linked decisions, weighted so that both classes count alike."""
    slope, offset = fit_link(decisions, targets)
    odds = slope * decisions + offset
    return np.logaddexp(0, np.where(targets, -odds, odds)) * compute_sample_weight("balanced", targets)


def fit_judge(
    values: np.ndarray, targets: np.ndarray, cultures: np.ndarray, folds: np.ndarray | None, n_labels: int
) -> tuple[Judge, np.ndarray]:
    """Train one machine a class (with two classes, for the second), strengths chosen and linked by inner folds.

    Parameters
    ----------
    values
        (n, p) features of the training recordings; NaN where undefined.
    targets
        (n,) int, number of the label.
    cultures
        (n,) culture of each.
    folds
        (n,) inner fold of each; None where there can be none: then strengths and link are set, not chosen.
    n_labels
        Number of classes.

    Returns
    -------
    judge
        For :func:`judge_recordings`.
    inner
        (n, n_labels) probabilities of the training recordings, each by machines that had not seen its inner fold;
        (0, n_labels) without inner folds.
    """
    judge: Judge = {}
    odds = []
    for label in [1] if n_labels == 2 else range(n_labels):
        own = targets == label
        if folds is None:
            strengths, link = Strengths(), (2.0, 0.0)
        else:
            strengths, decisions = choose_strengths(values, own, cultures, folds)
            link = fit_link(decisions, own)
            odds.append(link[0] * decisions + link[1])
        machine = fit_machine(prepare_training(values, own, cultures), strengths)
        arrays = {name: np.atleast_1d(np.asarray(value, np.float64)) for name, value in vars(machine).items()}
        judge |= {f"{label}.{name}": value for name, value in (arrays | {"link": np.array(link)}).items()}
    inner = share_odds(np.array(odds).T, n_labels) if odds else np.zeros((0, n_labels))
    return judge, inner


def judge_recordings(judge: Judge, values: np.ndarray, n_labels: int) -> np.ndarray:
    """(n, n_labels) probabilities of recordings, (n, p) features."""
    odds = []
    for label in [1] if n_labels == 2 else range(n_labels):
        arrays = {field.name: judge[f"{label}.{field.name}"] for field in fields(Machine)}
        parts: dict[str, Any] = arrays | {name: float(arrays[name][0]) for name in ("offset", "gamma")}
        slope, offset = judge[f"{label}.link"]
        odds.append(slope * Machine(**parts).decide(values) + offset)
    return share_odds(np.array(odds).T, n_labels)


def share_odds(odds: np.ndarray, n_labels: int) -> np.ndarray:
    """(n, n_labels) probabilities from log odds: (n, 1) of the second of two classes, or (n, n_labels) one a class."""
    if n_labels == 2:
        second = expit(odds[:, 0])
        return np.stack([1 - second, second], axis=1)
    shares = expit(odds)
    return shares / np.maximum(shares.sum(1, keepdims=True), 1e-12)


def save_judge(path: Path, judge: Judge) -> None:
    """Write what whole recordings are judged by."""
    save_file({name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in judge.items()}, path)


def load_judge(path: Path) -> Judge:
    """Read what :func:`save_judge` wrote.

    Raises
    ------
    MeaError
        If the file is missing or not readable.
    """
    try:
        return {name: value.numpy() for name, value in load_file(path).items()}
    except (OSError, SafetensorError) as error:
        raise MeaError(f"{path}: not readable as a fold's judge ({error}). Train it again: dvc repro train.") from None
