"""Several models as one: the weighted mean of their log probabilities.

A logarithmic opinion pool (Genest and Zidek, "Combining probability distributions: a critique and an annotated
bibliography", Statistical Science 1, 1986, doi:10.1214/ss/1177013825). Its weights are fitted to predictions of
recordings that no model has seen, by log loss, every class weighted equally: stacking (Wolpert, "Stacked
generalization", Neural Networks 5, 1992, doi:10.1016/S0893-6080(05)80023-1).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from sklearn.utils.class_weight import compute_sample_weight

from mea.arrays.events import SpikeEvents
from mea.models.base import Model
from mea.statistics.calibration import take_logs

PRIOR_STD = 0.5  # of the weak prior around equal weights
LARGEST = 3.0


@dataclass(frozen=True)
class Pool:
    """Fitted models of one fold that predict together; it is used as a :class:`mea.models.base.Model` is.

    Attributes
    ----------
    models
        Fitted.
    weights
        (n_models,) of each.
    """

    models: list[Model]
    weights: np.ndarray

    averages_chunks = False

    def predict_proba(self, chunks: pd.DataFrame, events: Mapping[str, SpikeEvents]) -> np.ndarray:
        """(n_chunks, n_labels)."""
        return pool_probabilities(
            np.stack([model.predict_proba(chunks, events) for model in self.models]), self.weights
        )

    def predict_recordings(
        self, chunks: pd.DataFrame, events: Mapping[str, SpikeEvents], without: str = ""
    ) -> np.ndarray:
        """(n_recordings, n_labels)."""
        stacked = np.stack([model.predict_recordings(chunks, events, without) for model in self.models])
        return pool_probabilities(stacked, self.weights)

    def compute_features(self, chunks: pd.DataFrame, events: Mapping[str, SpikeEvents]) -> np.ndarray:
        """(n_chunks, n_features) those of its models, side by side."""
        return np.concatenate([model.compute_features(chunks, events) for model in self.models], axis=1)

    def permute_families(
        self, chunks: pd.DataFrame, events: Mapping[str, SpikeEvents], orders: Sequence[np.ndarray]
    ) -> Iterator[tuple[str, np.ndarray]]:
        """Of each of its models, the others as they are."""
        stacked = [model.predict_recordings(chunks, events) for model in self.models]
        for number, model in enumerate(self.models):
            for family, permuted in model.permute_families(chunks, events, orders):
                pooled = []
                for one in permuted:
                    shown = [*stacked[:number], one, *stacked[number + 1 :]]
                    pooled.append(pool_probabilities(np.stack(shown), self.weights))
                yield family, np.array(pooled)

    def list_feature_families(self, has_waveforms: bool) -> list[str]:
        """Those of its models."""
        return [family for model in self.models for family in model.list_feature_families(has_waveforms)]

    def list_limits(self) -> list[str]:
        """Those of its models."""
        return [limit for model in self.models for limit in model.list_limits()]

    def check_input(self, events: SpikeEvents) -> str:
        """The first reason of its models."""
        return next((reason for model in self.models if (reason := model.check_input(events))), "")


def pool_probabilities(probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(n, n_labels) of (n_models, n, n_labels): the weighted sum of log probabilities, made to sum to 1.

    Where one model has all the weight, these are its probabilities, to the bit.
    """
    if np.count_nonzero(weights) == 1 and weights.max() == 1:
        return probabilities[int(np.argmax(weights))]
    return softmax(np.tensordot(weights, take_logs(probabilities), 1), axis=1)


def fit_weights(probabilities: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Weights of least log loss, classes weighted equally, with a weak prior around the plain mean.

    Parameters
    ----------
    probabilities
        (n_models, n, n_labels) of recordings that no model has seen; n may be 0.
    targets
        (n,) int, number of the label.

    Returns
    -------
    np.ndarray
        (n_models,) at least 0; they need not sum to 1.
    """
    equal = np.full(len(probabilities), 1 / len(probabilities))
    if not len(targets):
        return equal
    logs, counts = take_logs(probabilities), compute_sample_weight("balanced", targets)
    one_hot = np.eye(probabilities.shape[2])[targets]

    def weigh(weights: np.ndarray) -> tuple[float, np.ndarray]:
        pooled = np.tensordot(weights, logs, 1)
        loss = -(counts[:, None] * one_hot * log_softmax(pooled, axis=1)).sum()
        residuals = counts[:, None] * (softmax(pooled, axis=1) - one_hot)
        gradient = np.tensordot(logs, residuals, ((1, 2), (0, 1))) + (weights - equal) / PRIOR_STD**2
        return loss + ((weights - equal) ** 2).sum() / PRIOR_STD**2 / 2, gradient

    return minimize(weigh, equal, jac=True, bounds=[(0, LARGEST)] * len(equal), method="L-BFGS-B").x


def pool_oof(probabilities: np.ndarray, targets: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """(n, n_labels): each fold combined by weights that were fitted on the others, so that they can be calibrated.

    Parameters
    ----------
    probabilities, targets
        As for :func:`fit_weights`.
    folds
        (n,) the fold of each.
    """
    combined = np.empty(probabilities.shape[1:])
    for fold in np.unique(folds):
        val_mask = folds == fold
        combined[val_mask] = pool_probabilities(
            probabilities[:, val_mask], fit_weights(probabilities[:, ~val_mask], targets[~val_mask])
        )
    return combined
