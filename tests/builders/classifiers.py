"""A classifier with random networks, and the chunks it is given."""

import numpy as np
import pandas as pd
import torch

from builders.arrays import H5_PARAMS
from mea.models.estimators import save_estimator
from mea.models.predecessor import build_network
from mea.models.rate import build_estimator
from mea.networks.curves import CURVES
from mea.splitting.chunks import cut_chunks
from mea.training.classifier import Classifier, baseline_file, save_classifier
from mea.training.fold_models import estimator_file
from mea.training.networks import fold_file, save_fold

TRAIN = {
    "model": "cnn_lstm", "network": "predecessor", "sequence": "transpose", "input": "binned", "bin_ms": 20.0,
    "silence": "computed", "precision": "float32", "bin": "peak", "scale": 20.0,
}  # fmt: skip


def make_classifier(folder, model="cnn_lstm", labels=("a", "b"), folds=(0, 1), train=TRAIN, **changed):
    """A classifier with random networks, a different one for each fold, and baselines that know rates."""
    folder.mkdir(parents=True)
    curves = pd.DataFrame([(1, 0.7, 0.5, 0.7, 0.5)], columns=["epoch", *CURVES])
    rates = np.concatenate([np.linspace(1, 2, 9) * 10**k for k in range(len(labels))])
    for fold in folds:
        torch.manual_seed(fold)
        network = build_network(train, 12, 12, len(labels))
        with torch.no_grad():
            network.head.weight *= 20  # opinions strong enough to tell one network from another
        save_fold(folder / fold_file(fold), network.state_dict(), curves)
        values, targets = np.log1p(rates * (1 + fold))[:, None], np.repeat(np.array(labels), 9)
        for name in [baseline_file(fold)] + [estimator_file(fold)] * (model == "rate"):
            save_estimator(folder / name, build_estimator(0).fit(values, targets))
    array = {"sampling_rate_hz": 25_000, "other_sampling_rate": "set_aside", "threshold": 5.0}
    values = {
        "folder": folder, "model": model, "labels": list(labels), "rows": 12, "cols": 12, "sampling_rate_hz": 25_000,
        "format": "mcs", "chunk_s": 0.4, "first_s": None, "folds": list(folds), "leaky": 0, "warning": "",
        "params": {"h5": H5_PARAMS, "array": array, "train": train}, "facts": {"recordings": 4},
    }  # fmt: skip
    classifier = Classifier(**values | changed)
    save_classifier(classifier)
    return classifier


def cut(events, classifier):
    """The chunks of one recording, as the classifier is given them."""
    line = {
        name: getattr(events, name)
        for name in ("recording", "label", "culture", "batch", "sampling_rate_hz", "duration_s")
    }
    return cut_chunks(pd.DataFrame([line]), classifier.chunk_s, classifier.first_s)[0]
