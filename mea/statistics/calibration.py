"""Calibration: temperature or Platt scaling, fitted on held-out recordings, so that a confidence is a frequency.

A classifier may rank recordings well and still be overconfident or underconfident. One number (a temperature), or a
temperature and a shift of each class (a bias), corrects most of it; few recordings cannot support more parameters.
Groups that are held out whole decide which of the two is used, or neither.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from sklearn.linear_model import LogisticRegression

from mea.runtime.errors import MeaError
from mea.statistics.intervals import measure_mean_variance
from mea.statistics.prior import weigh_recordings

METHODS = ("none", "temperature", "platt")  # from the simplest
MIN_PROBABILITY = 1e-6  # a raw 0 counts as this; float32 cannot tell smaller distances from certainty
# The weak prior, as standard deviations around "change nothing": it dominates if recordings are few (four, all
# correct, move a temperature to about 0.75, not to 0) and is outweighed by a few dozen.
STD_LOG_TEMPERATURE = 0.5
STD_BIAS = 0.5
MAX_FOLDS = 10
PLATT_PENALTY = 10  # C of scikit-learn: inverse strength of the penalty on the slope of standardised decisions


@dataclass(frozen=True)
class Calibrator:
    """Turns raw probabilities into calibrated ones: ``softmax(log p / temperature + bias)``.

    Attributes
    ----------
    method
        What was fitted: ``none``, ``temperature``, or ``platt`` (temperature and bias).
    temperature
        Above 1 for a classifier that is overconfident.
    bias
        One number a class, in nats; they sum to 0. It holds the logarithm of the prior, too: raw probabilities are for
        classes that are equally common.
    """

    method: str
    temperature: float
    bias: tuple[float, ...]

    def calibrate(self, probabilities: np.ndarray) -> np.ndarray:
        """Calibrated probabilities, (n, n_labels), of (n, n_labels) raw ones; the same array where nothing changes."""
        if self.temperature == 1 and not any(self.bias):
            return probabilities
        return softmax(take_logs(probabilities) / self.temperature + np.array(self.bias), axis=1)

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self) | {"bias": list(self.bias)}

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> "Calibrator":
        """The counterpart of :meth:`to_dict`.

        Raises
        ------
        MeaError
            If the method is unknown, or the temperature is not above 0.
        """
        method, temperature = stored["method"], float(stored["temperature"])
        if method not in METHODS:
            raise MeaError(f"calibration {method!r} is not one of {', '.join(METHODS)}. Train the classifier again.")
        if not temperature > 0:
            raise MeaError(f"calibration temperature {temperature:g} is not above 0. Train the classifier again.")
        return cls(method, temperature, tuple(float(value) for value in stored["bias"]))


def fit_calibrator(
    probabilities: np.ndarray, targets: np.ndarray, groups: np.ndarray, seed: int, prior: np.ndarray | None = None
) -> Calibrator:
    """Fit a calibrator on held-out recordings; its method is chosen by cross-validation over whole groups.

    Temperature scaling: Guo, Pleiss, Sun, Weinberger, "On calibration of modern neural networks", ICML 2017
    (arXiv:1706.04599). With a bias of each class it is, for two classes, Platt's scaling of the log odds
    ("Probabilistic outputs for support vector machines", 1999), and for more a small member of the family of Kull et
    al., "Beyond temperature scaling", NeurIPS 2019 (arXiv:1910.12656). A bias can change which label is predicted.

    Parameters
    ----------
    probabilities
        (n, n_labels) raw probabilities of recordings, each from a model that has not seen it.
    targets
        (n,) int, index of the actual label.
    groups
        (n,) group of each; those of one group are held out together.
    seed
        Of the assignment of groups to folds.
    prior
        (n_labels,) share of each class for which the calibrated probabilities are to hold; recordings are weighted
        accordingly. None: equally many of each, without weights.

    Returns
    -------
    Calibrator
        Of the simplest method that is within noise of the best (:func:`choose_method`), fitted on all recordings.
        With fewer than two groups nothing can be held out, and the method is ``none``.

    Examples
    --------
    >>> import numpy as np
    >>> targets = np.tile([0, 1], 100)
    >>> wrong = np.arange(200) % 10 < 2  # 80 % are correct, but every confidence is 99 %
    >>> p = np.where((targets == 1) != wrong, 0.99, 0.01)
    >>> calibrator = fit_calibrator(np.column_stack([1 - p, p]), targets, groups=np.arange(200) // 10, seed=0)
    >>> calibrator.method
    'temperature'
    >>> calibrator.calibrate(np.array([[0.01, 0.99]])).round(2).tolist()  # near 80 %; the prior pulls it up a little
    [[0.18, 0.82]]
    """
    if len(np.unique(groups)) < 2:
        return fit_method("none", probabilities, targets, prior)
    method = choose_method(compare_methods(probabilities, targets, groups, seed, prior))
    return fit_method(method, probabilities, targets, prior)


def compare_methods(
    probabilities: np.ndarray, targets: np.ndarray, groups: np.ndarray, seed: int, prior: np.ndarray | None = None
) -> pd.DataFrame:
    """Log loss of each method by cross-validation over whole groups, in at most ten folds.

    Parameters
    ----------
    probabilities, targets, groups, seed, prior
        As for :func:`fit_calibrator`; two groups or more.

    Returns
    -------
    pd.DataFrame
        One row a method, the simplest first: method, log_loss (nats a recording), gap (to the smallest log loss) and
        standard_error (of that gap, recordings paired, with groups as the independent units).
    """
    folds = _draw_folds(groups, seed)
    losses = np.empty((len(targets), len(METHODS)))
    for fold in np.unique(folds):
        held_out = folds == fold
        for column, method in enumerate(METHODS):
            calibrator = fit_method(method, probabilities[~held_out], targets[~held_out], prior)
            logs = take_logs(calibrator.calibrate(probabilities[held_out]))
            losses[held_out, column] = -logs[np.arange(held_out.sum()), targets[held_out]]
    if prior is not None:
        losses *= weigh_recordings(targets, prior)[:, None]
    gaps = losses - losses[:, [losses.mean(0).argmin()]]
    errors = [np.sqrt(measure_mean_variance(gaps[:, column], groups)) for column in range(len(METHODS))]
    columns = {"method": METHODS, "log_loss": losses.mean(0), "gap": gaps.mean(0), "standard_error": errors}
    return pd.DataFrame(columns)


def choose_method(comparison: pd.DataFrame) -> str:
    """The simplest method whose gap to the best is at most one standard error of that gap.

    The one-standard-error rule (Breiman, Friedman, Olshen, Stone, "Classification and regression trees", 1984), with
    the error of the paired difference, so that what all methods have in common does not count as noise.
    """
    return comparison.loc[comparison["gap"] <= comparison["standard_error"], "method"].iloc[0]


def fit_method(
    method: str, probabilities: np.ndarray, targets: np.ndarray, prior: np.ndarray | None = None
) -> Calibrator:
    """Fit a calibrator of one method: the minimum of the log loss plus the weak prior.

    Parameters
    ----------
    method
        One of ``METHODS``.
    probabilities
        (n, n_labels).
    targets
        (n,) int.
    prior
        As for :func:`fit_calibrator`.
    """
    n_labels = probabilities.shape[1]
    log_prior = np.zeros(n_labels) if prior is None else np.log(prior) - np.log(prior).mean()
    if method == "none":
        return Calibrator("none", 1.0, tuple(log_prior.tolist()))
    n_bias = n_labels if method == "platt" else 0
    weights = np.ones(len(targets)) if prior is None else weigh_recordings(targets, prior)
    weighted = np.eye(n_labels)[targets] * weights[:, None]
    start = np.zeros(1 + n_bias)  # the mean of the weak prior, which keeps every step finite
    given = (take_logs(probabilities), weighted, log_prior)
    found = minimize(_compute_loss, start, given, jac=True, method="BFGS", options={"gtol": 1e-8}).x
    bias = log_prior + (found[1:] if n_bias else 0.0)
    return Calibrator(method, float(np.exp(found[0])), tuple((bias - bias.mean()).tolist()))


def _compute_loss(
    values: np.ndarray, logs: np.ndarray, weighted: np.ndarray, log_prior: np.ndarray
) -> tuple[float, np.ndarray]:
    """Log loss plus the weak prior, and its gradient, at (log temperature, then the bias of each class if any).

    ``weighted`` is (n, n_labels): each recording's weight, at its label.
    """
    scaled = logs * np.exp(-values[0])
    bias = values[1:]
    logits = scaled + log_prior + (bias if len(bias) else 0.0)
    stds = np.array([STD_LOG_TEMPERATURE] + [STD_BIAS] * len(bias))
    residuals = softmax(logits, axis=1) * weighted.sum(1, keepdims=True) - weighted
    loss = -(log_softmax(logits, axis=1) * weighted).sum() + (values**2 / stds**2).sum() / 2
    gradient = np.concatenate([[-(residuals * scaled).sum()], residuals.sum(0)[: len(bias)]])
    return loss, gradient + values / stds**2


def fit_platt(decisions: np.ndarray, targets: np.ndarray) -> tuple[float, float]:
    """Platt scaling: the line from decisions of a binary classifier to log odds of its second class.

    Platt, "Probabilistic outputs for support vector machines", Advances in Large Margin Classifiers, 1999. The line is
    a logistic regression on the decisions divided by their standard deviation, with a weak penalty on the slope; both
    classes have the same total weight.

    Parameters
    ----------
    decisions
        (n,) decision values of recordings that the classifier was not trained on.
    targets
        (n,) bool, whether each recording is of the second class; both classes must occur.

    Returns
    -------
    slope, intercept
        The log odds are ``slope * decision + intercept``.

    Examples
    --------
    >>> import numpy as np
    >>> slope, intercept = fit_platt(np.array([-2.0, -1.0, 1.0, 2.0]), np.array([False, False, True, True]))
    >>> slope > 0, abs(intercept) < 1e-6  # larger decisions mean the second class; 0 means even odds
    (True, True)
    """
    scale = max(decisions.std(), 1e-12)
    model = LogisticRegression(C=PLATT_PENALTY, class_weight="balanced").fit(decisions[:, None] / scale, targets)
    return float(model.coef_[0, 0] / scale), float(model.intercept_[0])


def take_logs(probabilities: np.ndarray) -> np.ndarray:
    """Log probabilities, float64; a raw probability below one in a million counts as one in a million."""
    return np.log(np.clip(np.asarray(probabilities, float), MIN_PROBABILITY, 1.0))


def _draw_folds(groups: np.ndarray, seed: int) -> np.ndarray:
    names, number = np.unique(groups, return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(names))
    return (order % min(MAX_FOLDS, len(names)))[number]
