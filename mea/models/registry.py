"""The models there are: the only list of them."""

from functools import lru_cache
from pathlib import Path

from mea.models.base import Model, load_model
from mea.models.params import CnnLstmParams, GridLstmParams, ModelParams, TcnParams

MODELS = ("rate", "features", "rocket", "tcn", "cnn_lstm", "grid_lstm")


def find_model(name: str) -> type[Model]:
    """The class of a model. Its module is imported now: what is not used, such as PyTorch, takes no time.

    Raises
    ------
    KeyError
        If there is no such model.
    """
    match name:
        case "rate":
            from mea.models.rate import RateModel

            return RateModel
        case "features":
            from mea.models.features import FeaturesModel

            return FeaturesModel
        case "rocket":
            from mea.models.rocket import RocketModel

            return RocketModel
        case "tcn":
            from mea.models.tcn import TcnModel

            return TcnModel
        case "cnn_lstm":
            from mea.models.cnn_lstm import CnnLstmModel

            return CnnLstmModel
        case "grid_lstm":
            from mea.models.grid_lstm import GridLstmModel

            return GridLstmModel
    raise KeyError(name)


def find_params(name: str) -> type[ModelParams]:
    """The class of a model's parameters, ``find_model(name).Params``: where it can be had without PyTorch, so.

    Raises
    ------
    KeyError
        If there is no such model.
    """
    known: dict[str, type[ModelParams]] = {
        "rocket": ModelParams,
        "tcn": TcnParams,
        "cnn_lstm": CnnLstmParams,
        "grid_lstm": GridLstmParams,
    }
    return known.get(name) or find_model(name).Params


def open_model(folder: Path) -> Model:
    """A fitted model of any kind, from the folder that :func:`mea.models.base.save_model` wrote.

    Raises
    ------
    MeaError
        If a file is missing or not readable, or the model is not in ``MODELS``.
    """
    written = tuple((path.name, path.stat().st_mtime_ns) for path in sorted(folder.rglob("*")))
    return _open_model(folder, written)


@lru_cache(maxsize=64)
def _open_model(folder: Path, _written: tuple) -> Model:
    """Read once, until a file is written anew: many recordings are predicted, one after the other, by a few models."""
    return load_model(folder, find_model)
