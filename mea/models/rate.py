"""Firing rate alone: the baseline every network must beat."""

from pathlib import Path

import numpy as np
import skops.io
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from mea.errors import MeaError

TRUSTED: list[str] = []  # nothing beyond the numpy and scikit-learn types that skops trusts by itself


def fit_rate(rates_hz: np.ndarray, labels: np.ndarray) -> Pipeline:
    """Logistic regression on log(1 + rate), standardised; classes weighted to count alike.

    Parameters
    ----------
    rates_hz
        (n_chunks,) spikes per second and electrode of each chunk.
    labels
        (n_chunks,) numbers of their labels.
    """
    model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced"))
    return model.fit(np.log1p(rates_hz)[:, None], labels)


def predict_rate(model: Pipeline, rates_hz: np.ndarray) -> np.ndarray:
    """(n_chunks, n_labels) probabilities."""
    return model.predict_proba(np.log1p(rates_hz)[:, None])


def save_rate(path: Path, model: Pipeline) -> None:
    """Write with skops, which holds no code."""
    skops.io.dump(model, path)


def load_rate(path: Path) -> Pipeline:
    """Read what :func:`save_rate` wrote, refusing any type outside the list written down here.

    Raises
    ------
    MeaError
        If the file asks for a type we do not trust, or is not readable.
    """
    try:
        unknown = set(skops.io.get_untrusted_types(file=path)) - set(TRUSTED)
        if unknown:
            raise MeaError(f"{path}: asks for types we do not trust: {', '.join(sorted(unknown))}. Train it again.")
        return skops.io.load(path, trusted=TRUSTED)
    except (OSError, ValueError, KeyError) as error:
        raise MeaError(f"{path}: not a model written by the train stage ({error}). Train it again.") from None
