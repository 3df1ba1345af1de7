"""One file a model. ``train.model`` names one of these.

A network is trained by :mod:`mea.training`. An estimator is a scikit-learn model on features of chunks; its module has
``describe_chunks(chunks, events) -> (n_chunks, n_features)`` and ``build_estimator(seed)``. One that judges whole
recordings, too, has ``describe_recordings(chunks, events)``; the judging is in :mod:`mea.models.machine`.
"""

from types import ModuleType

from mea.models import features, rate

NETWORKS = ("cnn_lstm",)
ESTIMATORS: dict[str, ModuleType] = {"features": features, "rate": rate}
JUDGES: dict[str, ModuleType] = {"features": features}
