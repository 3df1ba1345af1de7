"""What is kept of a training: the classifier's files, written and read."""

import json
import re
import shutil
import struct
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from builders.arrays import make_events
from builders.classifiers import PARAMS, cut, make_classifier, make_network
from safetensors.torch import save_file

from mea.models.cnn_lstm import CnnLstmModel
from mea.models.spec import ModelSpec
from mea.networks.trained import load_network
from mea.runtime.checksums import CHECKSUMS, write_checksums
from mea.runtime.errors import MeaError
from mea.runtime.files import read_json
from mea.splitting.aggregation import average_chunks
from mea.training.classifier import DESCRIPTION, load_classifier

pytestmark = pytest.mark.usefixtures("alone")


@pytest.mark.parametrize("model", ["cnn_lstm", "rate"])
def test_round_trip(tmp_path, model):
    classifier = make_classifier(tmp_path / "one", model, leaky=1, warning="leaky: of course", first_s=1.5)
    shutil.move(tmp_path / "one", tmp_path / "two")  # nothing in it may say where it was
    read = load_classifier(tmp_path / "two")
    assert replace(read, folder=classifier.folder) == classifier
    events = make_events("r1", duration_s=1.6)
    chunks = cut(events, read)
    assert len(chunks) == 3
    probabilities = read.open_model(1).predict_proba(chunks, {"r1": events})
    assert probabilities.shape == (3, 2) and probabilities.dtype == np.float64
    np.testing.assert_allclose(probabilities.sum(1), 1)
    assert str(tmp_path) not in (tmp_path / "two" / DESCRIPTION).read_text()


def test_probabilities_are_those_of_the_network(tmp_path):
    """However many chunks are asked for at once, each has the softmax of its own logits, by the fold asked for."""
    classifier = make_classifier(tmp_path / "model")
    events = make_events("r1", duration_s=4.0)
    chunks = cut(events, classifier)
    assert len(chunks) == 10  # more than one batch
    own = PARAMS.of_model("cnn_lstm")
    for fold in (0, 1):
        network = make_network(ModelSpec(["a", "b"], 12, 12, own), fold)
        with torch.no_grad():
            view = CnnLstmModel.make_view(own)
            shown = [view.show(events, *times) for times in chunks[["start_s", "stop_s"]].to_numpy()]
            expected = torch.cat([network(torch.from_numpy(values[None])) for values in shown]).double().softmax(1)
        found = classifier.open_model(fold).predict_proba(chunks, {"r1": events})
        np.testing.assert_allclose(found, expected, atol=1e-5)
    one, other = (classifier.open_model(fold).predict_proba(chunks, {"r1": events}) for fold in (0, 1))
    assert np.abs(one - other).max() > 0.05


def test_weights_hold_no_metadata(tmp_path):
    """Several metadata keys change their order from run to run; there are none. The same numbers, the same bytes."""
    for name in ("one", "two"):
        make_classifier(tmp_path / name)
    path = tmp_path / "one" / "fold_0" / "cnn_lstm" / "network_0.safetensors"
    (length,) = struct.unpack("<Q", path.read_bytes()[:8])
    header = json.loads(path.read_bytes()[8 : 8 + length])
    assert "__metadata__" not in header and "curves" in header
    files = {path.relative_to(tmp_path / "one").as_posix() for path in (tmp_path / "one").rglob("*") if path.is_file()}
    of_fold = ("cnn_lstm/model.json", "cnn_lstm/network_0.safetensors", "baseline/model.json", "baseline/rate.skops")
    assert files == {DESCRIPTION, CHECKSUMS, *(f"fold_{fold}/{name}" for fold in (0, 1) for name in of_fold)}
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name


def test_no_classifier(tmp_path):
    with pytest.raises(
        MeaError, match=r"classifier\.json: no such file; no classifier was trained there\. Run dvc repro"
    ):
        load_classifier(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda values: values | {"format_version": 99}, r"format version 99, but 4 is read\. Train it again\."),
        (lambda values: {"hello": 1}, "format version None, but 4 is read"),
        (lambda values: values | {"colour": 1}, r"colour: Unexpected keyword argument; .* Train it again"),
        (lambda values: {"format_version": 4}, r"weights: Field required"),
        (lambda values: values | {"labels": values["labels"][::-1]}, r"labels: Value error, must be sorted"),
        (lambda values: values | {"labels": ["a"]}, r"labels: List should have at least 2 items"),
        (lambda values: values | {"labels": ["a", "a"]}, r"labels: Value error, must be sorted, each once"),
        (lambda values: values | {"folds": []}, r"folds: List should have at least 1 item"),
        (lambda values: values | {"folds": None}, r"folds: Input should be a valid list"),
        (lambda values: values | {"rows": "many"}, r"rows: Input should be a valid integer"),
        (lambda values: values | {"sampling_rate_hz": 0}, r"sampling_rate_hz: Input should be greater than 0"),
        (lambda values: values | {"chunk_s": float("nan")}, r"chunk_s: Input should be greater than 0"),
        (lambda values: values | {"weights": "cnn_lstm"}, r"weights: Input should be a valid dictionary"),
        (lambda values: values | {"params": 5}, r"params: Input should be a valid dictionary"),
    ],
)
def test_a_description_of_another_kind(tmp_path, change, message):
    make_classifier(tmp_path / "model")
    path = tmp_path / "model" / DESCRIPTION
    path.write_text(json.dumps(change(read_json(path))))
    write_checksums(tmp_path / "model")  # somebody who edits it knows how to do that, too
    with pytest.raises(MeaError, match=rf"classifier\.json: {message}"):
        load_classifier(tmp_path / "model")


def test_whatever_file_is_missing_or_changed_is_refused_by_name(tmp_path):
    """Every file of the folder, and a flipped bit at several places of each; a further file does not matter."""
    folder = make_classifier(tmp_path / "model").folder
    (folder / ".DS_Store").write_text("somebody looked at it")
    assert load_classifier(folder).folds == [0, 1]
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in (CHECKSUMS, ".DS_Store"))
    assert len(files) == 9
    for path in files:
        content = path.read_bytes()
        places = range(0, len(content), max(1, len(content) // 7)) if path.name != DESCRIPTION else [len(content) - 3]
        for place in places:
            path.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
            with pytest.raises(MeaError, match=re.escape(path.name)):
                load_classifier(folder)
        path.unlink()
        with pytest.raises(MeaError, match=rf"{re.escape(path.name)}: (is missing|no such file)"):
            load_classifier(folder)
        path.write_bytes(content)
    (folder / CHECKSUMS).write_text(json.dumps(read_json(folder / CHECKSUMS) | {"../elsewhere": "0" * 64}))
    with pytest.raises(MeaError, match="outside the folder"):
        load_classifier(folder)
    (folder / CHECKSUMS).unlink()
    with pytest.raises(MeaError, match=r"checksums\.json: no such file, so nobody knows whether .* is complete"):
        load_classifier(folder)


def test_a_description_that_is_no_json(tmp_path):
    make_classifier(tmp_path / "model")
    (tmp_path / "model" / DESCRIPTION).write_text("{")
    with pytest.raises(MeaError, match=r"classifier\.json: not a file written by a stage"):
        load_classifier(tmp_path / "model")


def test_a_fold_that_cannot_be_read(tmp_path):
    path = tmp_path / "network_0.safetensors"
    text = r"network_0\.safetensors: not readable as a fold's network \(.*\)\. Train it again: dvc repro train\."
    with pytest.raises(MeaError, match=text):
        load_network(path)
    path.write_bytes(b"no tensors")
    with pytest.raises(MeaError, match=text):
        load_network(path)
    save_file({"other": torch.zeros(3)}, path)
    with pytest.raises(MeaError, match=text):
        load_network(path)


def test_a_recordings_vote_is_the_mean_of_its_chunks():
    chunks = pd.DataFrame({"recording": ["r2", "r1", "r2", "r2"]})
    votes = average_chunks(chunks, np.array([[0.9, 0.1], [0.5, 0.5], [0.0, 1.0], [0.3, 0.7]]))
    assert votes.index.tolist() == ["r1", "r2"]
    np.testing.assert_allclose(votes, [[0.5, 0.5], [0.4, 0.6]])
