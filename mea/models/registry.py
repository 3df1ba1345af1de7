"""The models there are: the only list of them."""

from functools import lru_cache
from pathlib import Path

from mea.models.base import Model, load_model
from mea.models.cnn_lstm import CnnLstmModel
from mea.models.features import FeaturesModel
from mea.models.grid_lstm import GridLstmModel
from mea.models.rate import RateModel
from mea.models.rocket import RocketModel
from mea.models.tcn import TcnModel

MODELS: dict[str, type[Model]] = {
    model.name: model for model in (RateModel, FeaturesModel, RocketModel, TcnModel, CnnLstmModel, GridLstmModel)
}


def open_model(folder: Path) -> Model:
    """A fitted model of any kind, from the folder that :func:`mea.models.base.save_model` wrote.

    Raises
    ------
    MeaError
        If a file is missing or not readable, or the model is not in ``MODELS``.
    """
    written = tuple((path.name, path.stat().st_mtime_ns) for path in sorted(folder.rglob("*")))
    return _open_model(folder, written)


@lru_cache(maxsize=16)
def _open_model(folder: Path, _written: tuple) -> Model:
    """Read once, until a file is written anew: many recordings are predicted, one after the other, by a few models."""
    return load_model(folder, MODELS)
