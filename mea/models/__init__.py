"""One file a model. ``train.model`` names one of these.

A network is trained by :mod:`mea.networks.training`. Its module says how a chunk is shown to it, ``make_view(train)``;
what it is, ``build_network(train, rows, cols, n_labels)``, with ``describe`` for what its last layer decides by; how it
learns, ``RECIPE``; and whether a network for one grid takes another, ``fits_grid(own, other)``. One that describes
chunks (:mod:`mea.training.describers`) has ``pool_chunk`` and ``build_estimator(seed)``, too. An estimator is a
scikit-learn model on features of chunks; its module has ``describe_chunks(chunks, events) -> (n_chunks, n_features)``
and ``build_estimator(seed)``. One that judges whole recordings, too, has ``describe_recordings(chunks, events)``; the
judging is in :mod:`mea.models.machine`.

Uses networks and what is below. Begin with ``features``, the default.
"""

from types import ModuleType
from typing import Any

from mea.models import cnn_lstm, ensemble, features, predecessor, rate, rocket, tcn

NETWORKS: dict[str, ModuleType] = {"cnn_lstm": cnn_lstm, "tcn": tcn}
ESTIMATORS: dict[str, ModuleType] = {"features": features, "rate": rate, "rocket": rocket}
JUDGES: dict[str, ModuleType] = {"features": features, "rocket": rocket}


def chooses_epoch(train: dict[str, Any]) -> bool:
    """Whether the model, or one of an ensemble's, has an epoch to choose: a network that classifies."""
    names = ensemble.MEMBERS if train["model"] == "ensemble" else (train["model"],)
    return any(name in NETWORKS and not is_describer(train | {"model": name}) for name in names)


def is_describer(train: dict[str, Any]) -> bool:
    """Whether the parameters of the training name a network that describes chunks rather than classifies them."""
    return train["model"] in NETWORKS and find_network(train).RECIPE.describes


def find_network(train: dict[str, Any]) -> ModuleType:
    """The module of the network that the parameters of the training name."""
    if train["model"] == "cnn_lstm" and train["network"] == "predecessor":
        return predecessor
    return NETWORKS[train["model"]]
