"""Several models as one: the weighted mean of their log probabilities.

It sees what its base models see, and takes as long as all of them together. Each is trained as if it were alone. Their
weights are fitted to the out-of-fold predictions of recordings, by log loss, both classes weighted equally: a
logarithmic opinion pool (Genest and Zidek, "Combining probability distributions: a critique and an annotated
bibliography", Statistical Science 1, 1986, doi:10.1214/ss/1177013825), stacked (Wolpert, "Stacked generalization",
Neural Networks 5, 1992, doi:10.1016/S0893-6080(05)80023-1). Take it when the ranking of recordings by probability
matters more than time.
"""

from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from sklearn.utils.class_weight import compute_sample_weight

from mea.arrays.events import SpikeEvents
from mea.models.base import Fit, Model, ModelSpec, TrainingSide, load_model, save_model
from mea.models.features import FeaturesModel
from mea.models.grid_lstm import GridLstmModel
from mea.runtime.files import read_json, write_json
from mea.splitting.aggregation import get_probabilities
from mea.statistics.calibration import take_logs

BASE_MODELS: dict[str, type[Model]] = {model.name: model for model in (FeaturesModel, GridLstmModel)}
PRIOR_STD = 0.5  # of the weak prior around equal weights
LARGEST = 3.0
FILE = "weights.json"


class EnsembleModel(Model):
    """A weighted pool of base models.

    Attributes
    ----------
    base_models
        Fitted, in the order of ``BASE_MODELS``.
    weights
        (n_models,) of each.
    """

    name = "ensemble"
    shares_features = True
    base_models: list[Model]
    weights: np.ndarray

    @classmethod
    def fit(cls, data: TrainingSide, params: Any) -> Fit:
        """Fit every base model, with the parameters of its own section, then the weights."""
        fits = [kind.fit(data, data.params[name]) for name, kind in BASE_MODELS.items()]
        tables = [fit.oof.set_index("recording", drop=False) for fit in fits]
        shared = [name for name in tables[0].index if all(name in table.index for table in tables)]
        stacked = np.array([get_probabilities(table.loc[shared], data.labels) for table in tables])
        recordings = tables[0].loc[shared].reset_index(drop=True)
        targets = data.number_labels(recordings)
        model = cls(data.make_spec(params))
        model.base_models, model.weights = [fit.model for fit in fits], fit_weights(stacked, targets)
        folds = data.try_inner_folds(recordings) if shared else None
        if folds is None:
            return Fit(model, data.tabulate_oof(recordings[:0], np.zeros((0, len(data.labels)))))
        return Fit(model, data.tabulate_oof(recordings, pool_oof(stacked, targets, folds)))

    def predict_proba(self, chunks: pd.DataFrame, events: dict[str, SpikeEvents]) -> np.ndarray:
        """(n_chunks, n_labels)."""
        stacked = np.stack([model.predict_proba(chunks, events) for model in self.base_models])
        return pool_probabilities(stacked, self.weights)

    def predict_recordings(self, chunks: pd.DataFrame, events: dict[str, SpikeEvents], without: str = "") -> np.ndarray:
        """(n_recordings, n_labels)."""
        stacked = np.stack([model.predict_recordings(chunks, events, without) for model in self.base_models])
        return pool_probabilities(stacked, self.weights)

    def compute_features(self, chunks: pd.DataFrame, events: dict[str, SpikeEvents]) -> np.ndarray:
        """(n_chunks, n_features) those of its base models, side by side."""
        return np.concatenate([model.compute_features(chunks, events) for model in self.base_models], axis=1)

    def list_feature_families(self, has_waveforms: bool) -> list[str]:
        """Those of its base models."""
        return [family for model in self.base_models for family in model.list_feature_families(has_waveforms)]

    def check_input(self, events: SpikeEvents) -> str:
        """The first reason of its base models."""
        return next((reason for model in self.base_models if (reason := model.check_input(events))), "")

    def save(self, folder: Path) -> None:
        """Each base model in a folder of its own, and the weights."""
        for model in self.base_models:
            save_model(model, folder / model.name)
        write_json(folder / FILE, dict(zip(BASE_MODELS, self.weights.tolist())), digits=17)

    @classmethod
    def load(cls, folder: Path, spec: ModelSpec) -> Self:
        """Read what :meth:`save` wrote."""
        model, weights = cls(spec), read_json(folder / FILE)
        model.base_models = [load_model(folder / name, BASE_MODELS) for name in BASE_MODELS]
        model.weights = np.array([weights[name] for name in BASE_MODELS])
        return model

    @classmethod
    def precompute(cls, chunks: pd.DataFrame, events: dict[str, SpikeEvents], params: Any) -> None:
        """What its base models need."""
        for kind in BASE_MODELS.values():
            kind.precompute(chunks, events, params)


def pool_probabilities(probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(n, n_labels) of (n_models, n, n_labels): the weighted sum of log probabilities, made to sum to 1."""
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
        (n,) the inner fold of each.
    """
    combined = np.empty(probabilities.shape[1:])
    for fold in np.unique(folds):
        val_mask = folds == fold
        combined[val_mask] = pool_probabilities(
            probabilities[:, val_mask], fit_weights(probabilities[:, ~val_mask], targets[~val_mask])
        )
    return combined
