"""A classifier with random networks, and the chunks it is given."""

import numpy as np
import pandas as pd
import torch

from builders.arrays import H5_PARAMS, describe_events
from builders.models import ARRAY_PARAMS, train_params
from mea.models.base import Model, save_model
from mea.models.cnn_lstm import CnnLstmModel
from mea.models.params import ModelParams
from mea.models.rate import RateModel, build_classifier
from mea.models.spec import ModelSpec
from mea.networks.curves import tabulate_curves
from mea.networks.trained import TrainedNetwork
from mea.runtime.checksums import write_checksums
from mea.splitting.chunks import cut_chunks
from mea.training.classifier import BASELINE, Classifier, name_fold, save_classifier

PARAMS = train_params("cnn_lstm", cnn_lstm={"bin": "peak", "scale": 20.0, "silence": "computed"})


def make_network(spec: ModelSpec, seed: int) -> torch.nn.Module:
    """A network with random weights that tell it from another."""
    torch.manual_seed(seed)
    network = CnnLstmModel.build_network(spec)
    with torch.no_grad():
        network.head.weight *= 20
    return network


def make_classifier(folder, model="cnn_lstm", labels=("a", "b"), folds=(0, 1), params=PARAMS, **changed):
    """A classifier with random networks, a different one for each fold, and baselines that know rates."""
    folder.mkdir(parents=True)
    rates = np.concatenate([np.linspace(1, 2, 9) * 10**k for k in range(len(labels))])
    spec = ModelSpec(list(labels), 12, 12, params.of_model("cnn_lstm"))
    for fold in folds:
        network = TrainedNetwork(make_network(spec, fold).state_dict(), tabulate_curves([(0.7, 0.5, 0.7, 0.5)], [1]))
        baseline = RateModel(ModelSpec(list(labels), 12, 12, ModelParams()))
        values, targets = np.log1p(rates * (1 + fold))[:, None], np.repeat(np.array(labels), 9)
        baseline.classifier = build_classifier(0).fit(values, targets)
        fitted: Model = CnnLstmModel.assemble(spec, [network]) if model == "cnn_lstm" else baseline
        save_model(fitted, folder / name_fold(fold) / model)
        save_model(baseline, folder / name_fold(fold) / BASELINE)
    train = params.keep_model(model)
    values = {
        "folder": folder, "weights": {model: 1.0}, "labels": list(labels), "rows": 12, "cols": 12,
        "sampling_rate_hz": 25_000, "format": "mcs", "chunk_s": 0.4, "first_s": None, "folds": list(folds),
        "leaky": 0, "warning": "",
        "params": {"h5": H5_PARAMS, "array": ARRAY_PARAMS, "train": train},
        "facts": {"recordings": 4, "split_level": "batch"},
    }  # fmt: skip
    classifier = Classifier(**values | changed)
    save_classifier(classifier)
    write_checksums(folder)
    return classifier


def cut(events, classifier):
    """The chunks of one recording, as the classifier is given them."""
    return cut_chunks(pd.DataFrame([describe_events(events)]), classifier.chunk_s, classifier.first_s)[0]
