"""The prior: which share of the recordings each class has where a classifier is used.

A calibrated probability belongs to a share of classes. Where a class is twice as common, so are its true positives, and
the same recording is more likely to be of it. Bayes' rule moves probabilities from one prior to another; the prior of
new recordings can be estimated from their own probabilities.
"""

from collections.abc import Mapping
from typing import Annotated

import numpy as np
from pydantic import AfterValidator
from scipy.special import softmax

from mea.runtime.errors import MeaError

TRAINING, EQUAL = "training", "equal"
MIN_PROBABILITY = 1e-12  # so that a probability of 0 or 1 can be moved
MIN_FOR_ESTIMATE = 20  # recordings for each class
MAX_STEPS = 1000
TOLERANCE = 1e-6


def check_prior(prior: str | dict[str, float]) -> str | dict[str, float]:
    """A prior as parameters hold it, checked.

    Raises
    ------
    ValueError
        If it is neither ``training``, ``equal`` nor positive shares that sum to 1.
    """
    if isinstance(prior, str):
        if prior not in (TRAINING, EQUAL):
            raise ValueError(f"must be {TRAINING}, {EQUAL}, or the share of each class, such as {{ko: 0.3, wt: 0.7}}")
    elif not prior or min(prior.values()) <= 0 or abs(sum(prior.values()) - 1) > 0.001:
        raise ValueError(f"the shares {dict(prior)} must be above 0 and sum to 1")
    return prior


Prior = Annotated[str | dict[str, float], AfterValidator(check_prior)]


def resolve_prior(prior: str | Mapping[str, float], labels: list[str], counts: np.ndarray) -> np.ndarray:
    """(n_labels,) the share of each class.

    Parameters
    ----------
    prior
        ``training`` (that of ``counts``), ``equal``, or the share of each class by its label.
    labels
        The classes.
    counts
        (n_labels,) recordings of each class. Where one has none, ``training`` is ``equal``.

    Raises
    ------
    MeaError
        If the shares are of other classes.

    Examples
    --------
    >>> import numpy as np
    >>> resolve_prior("training", ["ko", "wt"], np.array([10, 30])).tolist()
    [0.25, 0.75]
    >>> resolve_prior({"wt": 0.9, "ko": 0.1}, ["ko", "wt"], np.array([10, 30])).tolist()
    [0.1, 0.9]
    """
    if isinstance(prior, str):
        shares = np.asarray(counts, float) if prior == TRAINING and np.min(counts) > 0 else np.ones(len(labels))
        return shares / shares.sum()
    if set(prior) != set(labels):
        raise MeaError(
            f"prior: shares of {', '.join(sorted(prior))}, but the classes are {', '.join(labels)}. State each."
        )
    return np.array([prior[label] for label in labels]) / sum(prior.values())


def shift_prior(probabilities: np.ndarray, prior: np.ndarray, new_prior: np.ndarray) -> np.ndarray:
    """Bayes' rule: (n, n_labels) probabilities that hold for one prior, (n_labels,), moved to another.

    Saerens, Latinne and Decaestecker, "Adjusting the outputs of a classifier to new a priori probabilities: a simple
    procedure", Neural Computation 14 (2002), doi:10.1162/089976602753284446, equation 2.4.

    Examples
    --------
    >>> import numpy as np
    >>> even, rare = np.array([0.5, 0.5]), np.array([0.1, 0.9])
    >>> shift_prior(np.array([[0.9, 0.1]]), even, rare)  # nine times as likely, and nine times as rare
    array([[0.5, 0.5]])
    """
    if np.array_equal(prior, new_prior):
        return probabilities
    logs = np.log(np.maximum(probabilities, MIN_PROBABILITY))
    return softmax(logs + np.log(new_prior) - np.log(prior), axis=1)


def estimate_prior(probabilities: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """(n_labels,) the prior of new recordings, from their probabilities, (n, n_labels), that hold for another prior.

    Expectation maximisation: the prior under which the mean of the probabilities is the prior itself. The same paper as
    for :func:`shift_prior`, section 2.2. It is worth what the calibration is worth, and assumes that only the prior
    differs: recordings of a class must be like those of the training data.

    Raises
    ------
    MeaError
        If there are fewer than 20 recordings for each class.
    """
    needed = MIN_FOR_ESTIMATE * len(prior)
    if len(probabilities) < needed:
        raise MeaError(
            f"--prior estimate: {len(probabilities)} recordings can be used, at least {needed} are needed to estimate "
            f"the shares of {len(prior)} classes. State them: --prior equal, or LABEL=SHARE for each class."
        )
    estimate = np.asarray(prior, float)
    for _ in range(MAX_STEPS):
        before, estimate = estimate, shift_prior(probabilities, prior, estimate).mean(0)
        estimate = np.maximum(estimate, MIN_PROBABILITY) / np.maximum(estimate, MIN_PROBABILITY).sum()
        if np.abs(estimate - before).max() < TOLERANCE:
            break
    return estimate


def weigh_recordings(targets: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """(n,) weights, of mean 1, by which the classes of (n,) int ``targets`` have the shares of a prior.

    Examples
    --------
    >>> import numpy as np
    >>> weigh_recordings(np.array([0, 1, 1, 1]), np.array([0.5, 0.5])).round(2).tolist()
    [2.0, 0.67, 0.67, 0.67]
    """
    counts = np.bincount(targets, minlength=len(prior))
    weights = (np.asarray(prior) * len(targets) / np.maximum(counts, 1))[targets]
    return weights / weights.mean() if len(weights) else weights
