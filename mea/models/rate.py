"""Firing rate alone: the baseline every network must beat."""

import io
import re
from pathlib import Path
from zipfile import BadZipFile, ZipFile, ZipInfo

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
    """Write with skops, which holds no code: the same bytes for the same model.

    The addresses in memory by which skops names its parts become numbers, and the time of writing is left out.
    """
    with ZipFile(io.BytesIO(skops.io.dumps(model))) as packed:
        parts = {name: packed.read(name) for name in packed.namelist()}
    numbers: dict[str, str] = {}
    schema = re.sub(
        r'(?<="__id__": )\d+|(?<="file": ")\d+(?=\.npy")',
        lambda found: numbers.setdefault(found[0], str(len(numbers))),
        parts.pop("schema.json").decode(),
    )
    with ZipFile(path, "w") as file:
        for name, content in parts.items():
            file.writestr(ZipInfo(f"{numbers[Path(name).stem]}.npy"), content)
        file.writestr(ZipInfo("schema.json"), schema)


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
    except (OSError, ValueError, KeyError, TypeError, BadZipFile) as error:
        raise MeaError(f"{path}: not a model written by the train stage ({error}). Train it again.") from None
