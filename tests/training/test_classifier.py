"""What is kept of a training, and the decisions on new recordings: called, or refused in words."""

import json
import shutil
import struct
import zipfile
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from builders.arrays import H5_PARAMS, make_events
from builders.recordings import write_small_mcs, write_small_spike_times
from safetensors.torch import save_file

from mea.classification.decisions import NOT_EVALUATED, classify_source, decide, predict_recording
from mea.models.estimators import save_estimator
from mea.models.predecessor import build_network, make_view
from mea.models.rate import build_estimator
from mea.networks.curves import CURVES
from mea.runtime.command import run_command
from mea.runtime.errors import MeaError
from mea.runtime.files import read_json
from mea.runtime.tables import read_table
from mea.splitting.aggregation import average_chunks
from mea.splitting.chunks import cut_chunks
from mea.training.classifier import (
    DESCRIPTION,
    Classifier,
    baseline_file,
    load_classifier,
    save_classifier,
)
from mea.training.fold_models import estimator_file
from mea.training.networks import fold_file, load_fold, save_fold
from stages.classify import Params, classify

pytestmark = pytest.mark.usefixtures("alone")

COLUMNS = ["recording", "predicted", "confidence", "p_a", "p_b", "decision", "reason", "flags", "prediction_set"]
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
    array = {"rate_hz": 25_000, "other_rate": "set_aside", "threshold": 5.0}
    values = {
        "folder": folder, "model": model, "labels": list(labels), "rows": 12, "cols": 12, "rate_hz": 25_000,
        "format": "mcs", "chunk_s": 0.4, "first_s": None, "folds": list(folds), "leaky": 0, "warning": "",
        "params": {"h5": H5_PARAMS, "array": array, "train": train}, "facts": {"recordings": 4},
    }  # fmt: skip
    classifier = Classifier(**values | changed)
    save_classifier(classifier)
    return classifier


def cut(events, classifier):
    line = {name: getattr(events, name) for name in ("recording", "label", "culture", "batch", "rate_hz", "duration_s")}
    return cut_chunks(pd.DataFrame([line]), classifier.chunk_s, classifier.first_s)[0]


# --- written and read ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["cnn_lstm", "rate"])
def test_round_trip(tmp_path, model):
    classifier = make_classifier(tmp_path / "one", model, leaky=1, warning="leaky: of course", first_s=1.5)
    shutil.move(tmp_path / "one", tmp_path / "two")  # nothing in it may say where it was
    read = load_classifier(tmp_path / "two")
    assert replace(read, folder=classifier.folder) == classifier
    events = make_events("r1", duration_s=1.6)
    chunks = cut(events, read)
    assert len(chunks) == 3
    probabilities = read.predict(chunks, {"r1": events}, 1)
    assert probabilities.shape == (3, 2) and probabilities.dtype == np.float64
    np.testing.assert_allclose(probabilities.sum(1), 1)
    assert str(tmp_path) not in (tmp_path / "two" / DESCRIPTION).read_text()


def test_probabilities_are_those_of_the_network(tmp_path):
    """However many chunks are asked for at once, each has the softmax of its own logits, by the fold asked for."""
    classifier = make_classifier(tmp_path / "model")
    events = make_events("r1", duration_s=4.0)
    chunks = cut(events, classifier)
    assert len(chunks) == 10  # more than one batch
    for fold in (0, 1):
        torch.manual_seed(fold)
        network = build_network(TRAIN, 12, 12, 2)
        with torch.no_grad():
            network.head.weight *= 20
            shown = [make_view(TRAIN).show(events, *times) for times in chunks[["start_s", "stop_s"]].to_numpy()]
            expected = torch.cat([network(torch.from_numpy(values[None])) for values in shown]).double().softmax(1)
        np.testing.assert_allclose(classifier.predict(chunks, {"r1": events}, fold), expected, atol=1e-5)
    one, other = (classifier.predict(chunks, {"r1": events}, fold) for fold in (0, 1))
    assert np.abs(one - other).max() > 0.05


def test_weights_hold_no_metadata(tmp_path):
    """Several metadata keys change their order from run to run; there are none. The same numbers, the same bytes."""
    for name in ("one", "two"):
        make_classifier(tmp_path / name)
    path = tmp_path / "one" / fold_file(0)
    (length,) = struct.unpack("<Q", path.read_bytes()[:8])
    header = json.loads(path.read_bytes()[8 : 8 + length])
    assert "__metadata__" not in header and "curves" in header
    files = sorted(item.name for item in (tmp_path / "one").iterdir())
    assert files == [DESCRIPTION, "fold_0.safetensors", "fold_0_rate.skops", "fold_1.safetensors", "fold_1_rate.skops"]
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
        (lambda values: values | {"format_version": 99}, r"format version 99, but 1 is read\. Train it again\."),
        (lambda values: {"hello": 1}, "format version None, but 1 is read"),
        (
            lambda values: values | {"colour": 1},
            r"not a classifier written by the train stage \(.*colour.*Train it again",
        ),
        (lambda values: {"format_version": 1}, r"not a classifier written by the train stage \(.*missing"),
    ],
)
def test_a_description_of_another_kind(tmp_path, change, message):
    make_classifier(tmp_path / "model")
    path = tmp_path / "model" / DESCRIPTION
    path.write_text(json.dumps(change(read_json(path))))
    with pytest.raises(MeaError, match=rf"classifier\.json: {message}"):
        load_classifier(tmp_path / "model")


def test_a_description_that_is_no_json(tmp_path):
    make_classifier(tmp_path / "model")
    (tmp_path / "model" / DESCRIPTION).write_text("{")
    with pytest.raises(MeaError, match=r"classifier\.json: not a file written by a stage"):
        load_classifier(tmp_path / "model")


def test_a_fold_that_cannot_be_read(tmp_path):
    path = tmp_path / fold_file(0)
    text = r"fold_0\.safetensors: not readable as a fold's network \(.*\)\. Train it again: dvc repro train\."
    with pytest.raises(MeaError, match=text):
        load_fold(path)
    path.write_bytes(b"no tensors")
    with pytest.raises(MeaError, match=text):
        load_fold(path)
    save_file({"other": torch.zeros(3)}, path)
    with pytest.raises(MeaError, match=text):
        load_fold(path)


def test_a_recordings_vote_is_the_mean_of_its_chunks():
    chunks = pd.DataFrame({"recording": ["r2", "r1", "r2", "r2"]})
    votes = average_chunks(chunks, np.array([[0.9, 0.1], [0.5, 0.5], [0.0, 1.0], [0.3, 0.7]]))
    assert votes.index.tolist() == ["r1", "r2"]
    np.testing.assert_allclose(votes, [[0.5, 0.5], [0.4, 0.6]])


# --- called or refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["cnn_lstm", "rate"])
def test_a_call_is_the_mean_of_the_folds_probabilities(tmp_path, model):
    classifier = make_classifier(tmp_path / "model", model)
    events = make_events("new", label="", spikes_per_s=4.0, duration_s=2.0)
    chunks = cut(events, classifier)
    by_fold = [classifier.predict(chunks, {"new": events}, fold) for fold in (0, 1)]
    expected = np.mean(by_fold, axis=(0, 1))
    row = decide(classifier, events)
    assert set(row) == {"p_a", "p_b", "predicted", "confidence", "decision", "reason", "flags"}
    np.testing.assert_allclose([row["p_a"], row["p_b"]], expected)
    assert row["predicted"] == "ab"[expected.argmax()] and row["confidence"] == max(row["p_a"], row["p_b"])
    assert (row["decision"], row["reason"]) == ("called", "")
    assert decide(classifier, replace(events, label="b", culture="c", batch="d")) == row, "what it is cannot matter"


def test_refusals_keep_their_probabilities_where_there_are_any(tmp_path):
    classifier = make_classifier(tmp_path / "model")
    small = make_events("small", rows=8, cols=8)
    row = decide(classifier, small)
    assert row["decision"] == "refused" and "predicted" not in row and row["p_a"] + row["p_b"] == pytest.approx(1)
    assert row["reason"] == "grid: 8 × 8 electrodes, but the classifier learned from 12 × 12"
    for rows, cols in ((16, 12), (6, 6)):
        row = decide(classifier, make_events("odd", rows=rows, cols=cols))
        assert "p_a" not in row and row["reason"].endswith(f"a grid of {rows} × {cols} does not fit the network")
    short = decide(classifier, make_events("short", duration_s=0.3))
    assert short == {"decision": "refused", "reason": "length: 0.3 s are shorter than one chunk of 0.4 s", "flags": ""}
    times = decide(classifier, make_events("times", waveforms=False))
    assert "p_a" not in times and times["decision"] == "refused"
    assert times["reason"].startswith("format: spike_times, but the classifier learned from mcs; times: holds spike ti")
    both = decide(classifier, small, "recorded at 10000 Hz, not at 25000 Hz")
    assert both["reason"].startswith("rate: recorded at 10000 Hz, not at 25000 Hz; grid: 8 × 8") and "p_a" in both


def test_rate_alone_has_probabilities_for_any_grid_and_format(tmp_path):
    classifier = make_classifier(tmp_path / "model", "rate")
    for events in (make_events("odd", rows=6, cols=6), make_events("times", waveforms=False)):
        row = decide(classifier, events)
        assert row["decision"] == "refused" and row["p_a"] + row["p_b"] == pytest.approx(1)


def test_only_the_first_seconds_count(tmp_path):
    classifier = make_classifier(tmp_path / "model", first_s=1.0)
    events = make_events("new", duration_s=2.0)
    early = events.first_sample < 25_000 - 100
    lengths = np.diff(events.offset)[early]
    cropped = replace(
        events, electrode=events.electrode[early], first_sample=events.first_sample[early],
        peak_sample=events.peak_sample[early], offset=np.concatenate([[0], np.cumsum(lengths)]),
        waveform_counts=events.waveform_counts[: lengths.sum()],
    )  # fmt: skip
    np.testing.assert_array_equal(predict_recording(classifier, events)[0], predict_recording(classifier, cropped)[0])


# --- files of a rig --------------------------------------------------------------------------------------------------


def scratch_samples(path):
    """Overwrite some of the compressed samples; all that describes them stays readable."""
    with h5py.File(path) as h5:
        chunk = h5["Data/Recording_0/AnalogStream/Stream_0/ChannelData"].id.get_chunk_info(0)
    with path.open("r+b") as stream:
        stream.seek(chunk.byte_offset)
        stream.write(b"\xff" * min(chunk.size, 2000))


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    """New files as a lab has them: a zip, loose files, one broken, one at 10 kHz, one of 60 electrodes, two in one."""
    folder = tmp_path_factory.mktemp("rig")
    labels = ["F7", "F8", "A4", "M9"]
    write_small_mcs(folder / "zz.h5", labels=labels, n_samples=25_000)
    write_small_mcs(folder / "slow.h5", labels=labels, n_samples=10_000, rate_hz=10_000)
    write_small_mcs(folder / "sixty.h5", labels=["12", "21", "54", "87"], layout="60MEA200/30iR-Ti")
    write_small_mcs(folder / "short.h5", labels=labels, n_samples=5_000)
    write_small_mcs(folder / "two.h5", labels=labels, recordings=2, seed=5)
    write_small_spike_times(folder / "times.h5")
    write_small_mcs(folder / "scratched.h5", labels=labels)
    scratch_samples(folder / "scratched.h5")
    (folder / "broken.h5").write_bytes(b"\x89HDF\r\n\x1a\n and then nothing")
    with zipfile.ZipFile(folder / "archive.zip", "w") as archive:
        archive.write(folder / "zz.h5", "inner/aa.h5")
    return folder


def test_new_recordings(tmp_path, rig):
    classifier = make_classifier(tmp_path / "model")
    with pytest.warns(UserWarning, match="trained, but not evaluated: its confidence is not calibrated"):
        table = classify_source(classifier, rig)
    called = ["aa", "two", "two#2", "zz"]
    assert list(table.columns) == COLUMNS
    assert table["recording"].tolist() == ["aa", "broken", "scratched", "short", "sixty", "slow", "times", *called[1:]]
    table = table.set_index("recording")
    assert table.index[table["decision"] == "called"].tolist() == called
    assert (table.loc[called, "reason"] == "").all()
    assert set(table.loc[called, "flags"]) == {NOT_EVALUATED} and "not calibrated" in NOT_EVALUATED
    np.testing.assert_allclose(table.loc[called, "confidence"], table.loc[called, ["p_a", "p_b"]].max(axis=1))
    assert table.loc["aa", "p_a"] == table.loc["zz", "p_a"] != table.loc["two", "p_a"]
    refused = table.drop(called)
    assert (refused["decision"] == "refused").all() and refused[["predicted", "confidence"]].isna().all().all()
    reasons = {
        "broken": "unreadable: broken.h5: ",
        "scratched": "unreadable: scratched.h5: ",
        "short": "length: 0.2 s are shorter than one chunk of 0.4 s",
        "sixty": "grid: 8 × 8 electrodes, but the classifier learned from 12 × 12",
        "slow": "rate: recorded at 10000 Hz, not at 25000 Hz",
        "times": "format: spike_times, but the classifier learned from mcs; grid: 8 × 8",
    }
    assert all(refused.loc[name, "reason"].startswith(text) for name, text in reasons.items()), refused["reason"]
    np.testing.assert_allclose(table.loc[["sixty", "slow"], ["p_a", "p_b"]].sum(axis=1).astype(float), 1)
    assert table.loc[["broken", "scratched", "short", "times"], ["p_a", "p_b"]].isna().all().all()


def run_classify(monkeypatch, folder, model, *argv):
    """The command as a user gives it in an empty folder: there is no params.yaml."""
    (folder / "empty").mkdir(exist_ok=True)
    monkeypatch.chdir(folder / "empty")
    out = folder / "out.csv"
    run_command(
        classify,
        Params,
        ["--model", str(model), "--out", str(out), *map(str, argv)],
        source="",
        model="models/classifier",
        out="metrics/classify.csv",
    )
    assert list(Path.cwd().iterdir()) == []
    return out


def test_a_single_file_needs_no_parameters(tmp_path, rig, monkeypatch):
    make_classifier(tmp_path / "model", labels=("a", "b", "c"))
    one = read_table(run_classify(monkeypatch, tmp_path, tmp_path / "model", "--source", rig / "zz.h5"))
    other = read_table(run_classify(monkeypatch, tmp_path, tmp_path / "model", "--source", rig / "archive.zip"))
    assert list(one.columns) == [*COLUMNS[:5], "p_c", *COLUMNS[5:]]
    assert one["recording"].tolist() == ["zz"] and other["recording"].tolist() == ["aa"]
    assert one["decision"].tolist() == ["called"] and one.iloc[0, 1:].tolist() == other.iloc[0, 1:].tolist()


def test_nothing_to_classify_is_a_table_without_lines(tmp_path, monkeypatch):
    make_classifier(tmp_path / "model")
    out = run_classify(monkeypatch, tmp_path, tmp_path / "model", "--source", "none")
    assert out.read_text() == ",".join(COLUMNS) + "\n"


def test_a_source_that_does_not_exist_leaves_nothing(tmp_path, monkeypatch):
    make_classifier(tmp_path / "model")
    with pytest.raises(SystemExit, match=r"classify: .*nosuch"):
        run_classify(monkeypatch, tmp_path, tmp_path / "model", "--source", "nosuch")
    with pytest.raises(
        SystemExit, match=r"classify: .*classifier\.json: no such file; no classifier was trained there"
    ):
        run_classify(monkeypatch, tmp_path, tmp_path / "nomodel", "--source", "none")
    assert not (tmp_path / "out.csv").exists()


def test_without_a_source_the_parameter_file_is_asked_for(tmp_path, monkeypatch):
    make_classifier(tmp_path / "model")
    with pytest.raises(SystemExit, match=r"classify: params\.yaml: no such file\. Run in the project's root"):
        run_classify(monkeypatch, tmp_path, tmp_path / "model")
