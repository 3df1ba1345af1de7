"""A classifier whose checksums fit and whose files say something else: every value is typed before it is used."""

import copy
import json
import os
import stat
import warnings

import pytest
import torch
from builders.classifiers import make_classifier
from safetensors.torch import load_file, save_file

from mea.runtime.checksums import write_checksums
from mea.runtime.errors import MeaError
from mea.training.classifier import load_classifier

pytestmark = pytest.mark.usefixtures("alone")
MODEL, NETWORK = "fold_0/cnn_lstm/model.json", "fold_0/cnn_lstm/network_0.safetensors"
BASELINE = "fold_0/baseline/model.json"
VALUES = ([], {}, [[]], {"a": {}}, [1] * 5, None, True, "x", "../../etc", "\0", 1, -1, 1e308, 10**400, float("nan"))


@pytest.fixture
def folder(tmp_path):
    make_classifier(tmp_path / "model", folds=(0,))
    return tmp_path / "model"


def open_all(folder):
    """What classifying does first, after the checksums were made to fit."""
    write_checksums(folder)
    classifier = load_classifier(folder)
    return [(classifier.open_model(fold), classifier.open_baseline(fold)) for fold in classifier.folds]


def list_places(document, path=()):
    """The way to every value in a document, the whole first."""
    yield path
    parts = document.items() if isinstance(document, dict) else enumerate(document) if type(document) is list else ()
    for name, value in parts:
        yield from list_places(value, (*path, name))


def replace_at(document, path, value):
    """A copy with another value at a place; without it where that is ``del``."""
    if not path:
        return value
    changed = copy.deepcopy(document)
    target = changed
    for name in path[:-1]:
        target = target[name]
    if value is del_:
        del target[path[-1]]
    else:
        target[path[-1]] = value
    return changed


del_ = object()


@pytest.mark.parametrize(("name", "least"), [("classifier.json", 150), (MODEL, 150)])
def test_any_value_of_another_kind_is_refused_or_fits(folder, name, least):
    document, refused = json.loads((folder / name).read_text()), 0
    for path in list_places(document):
        for value in (*VALUES, *([del_] if path else [])):
            if name == "classifier.json" and path[:1] in [("params",), ("facts",)] and len(path) > 1:
                continue  # free in form: the record of the training
            (folder / name).write_text(json.dumps(replace_at(document, path, value)))
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    open_all(folder)
            except MeaError as error:
                assert "\n" not in str(error)
                refused += 1
    assert refused > least
    (folder / name).write_text(json.dumps(document))
    open_all(folder)


@pytest.mark.parametrize("name", [MODEL, BASELINE])
@pytest.mark.parametrize("change", [{"labels": ["a", "c"]}, {"rows": 11}, {"cols": 14}, {"labels": ["a", "b", "c"]}])
def test_a_model_of_other_classes_or_another_grid_is_refused(folder, name, change):
    document = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps(document | change))
    with pytest.raises(MeaError, match=r"other classes or another grid|not the weights of this fold's network"):
        open_all(folder)


@pytest.mark.parametrize("change", ["shape", "more", "fewer", "curves"])
def test_weights_of_another_network_are_refused(folder, change):
    tensors = load_file(folder / NETWORK)
    first = min(name for name in tensors if name.startswith("network."))
    if change == "shape":
        tensors[first] = torch.zeros(3)
    elif change == "more":
        tensors["network.other"] = torch.zeros(3)
    elif change == "fewer":
        del tensors[first]
    else:
        tensors["curves"] = torch.zeros(2, 2, 2)
    save_file(tensors, folder / NETWORK)
    with pytest.raises(MeaError, match=r"network_0\.safetensors: not"):
        open_all(folder)


@pytest.mark.skipif(os.name == "nt", reason="no modes of files on Windows")
def test_whoever_may_read_the_folder_may_read_all_of_it(folder):
    modes = {stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*") if path.is_file()}
    assert len(modes) == 1
