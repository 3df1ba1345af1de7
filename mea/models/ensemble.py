"""Several models as one: the weighted mean of what they say.

It sees what its members see, takes as long as all of them together, and says how far they agree. Each member is trained
as if it were alone; how much it counts is learned from the recordings that inner folds held out, by log loss, both
classes counting alike: a logarithmic opinion pool (Genest and Zidek, "Combining probability distributions: a critique
and an annotated bibliography", Statistical Science 1, 1986, doi:10.1214/ss/1177013825), stacked (Wolpert, "Stacked
generalization", Neural Networks 5, 1992, doi:10.1016/S0893-6080(05)80023-1). Take it when how well
recordings are ranked by probability matters more than time.
"""

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from sklearn.utils.class_weight import compute_sample_weight

from mea.statistics.calibration import take_logs

MEMBERS = ("features", "cnn_lstm")
SPREAD = 0.5  # of the weak prior around equal weights: a standard deviation
LARGEST = 3.0


def combine(probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(n, n_labels) of (n_members, n, n_labels): the weighted sum of log probabilities, made to sum to 1."""
    return softmax(np.tensordot(weights, take_logs(probabilities), 1), axis=1)


def fit_weights(probabilities: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Weights of least log loss, classes counting alike, with a weak prior around the plain mean.

    Parameters
    ----------
    probabilities
        (n_members, n, n_labels) of recordings that no member has seen; n may be 0.
    targets
        (n,) int, number of the label.

    Returns
    -------
    np.ndarray
        (n_members,) at least 0; they need not sum to 1.
    """
    equal = np.full(len(probabilities), 1 / len(probabilities))
    if not len(targets):
        return equal
    logs, counts = take_logs(probabilities), compute_sample_weight("balanced", targets)
    hits = np.eye(probabilities.shape[2])[targets]

    def weigh(weights: np.ndarray) -> tuple[float, np.ndarray]:
        pooled = np.tensordot(weights, logs, 1)
        loss = -(counts[:, None] * hits * log_softmax(pooled, axis=1)).sum()
        residuals = counts[:, None] * (softmax(pooled, axis=1) - hits)
        gradient = np.tensordot(logs, residuals, ((1, 2), (0, 1))) + (weights - equal) / SPREAD**2
        return loss + ((weights - equal) ** 2).sum() / SPREAD**2 / 2, gradient

    return minimize(weigh, equal, jac=True, bounds=[(0, LARGEST)] * len(equal), method="L-BFGS-B").x


def combine_held_out(probabilities: np.ndarray, targets: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """(n, n_labels): each fold combined by weights that were fitted on the others, so that they can be calibrated.

    Parameters
    ----------
    probabilities, targets
        As for :func:`fit_weights`.
    folds
        (n,) the inner fold of each.
    """
    combined = np.empty(probabilities.shape[1:])
    for fold in np.unique(folds):
        held = folds == fold
        combined[held] = combine(probabilities[:, held], fit_weights(probabilities[:, ~held], targets[~held]))
    return combined
