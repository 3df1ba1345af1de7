"""The stages split, train, evaluate and classify, one after the other on a tiny lab: files in, files out."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest
from builders.arrays import make_events, plan_recordings, write_array
from builders.lab import ROOT
from builders.recordings import write_small_mcs
from builders.stages import QUICK, list_paths, run_lab, run_stage
from ruamel.yaml import YAML
from sklearn.metrics import accuracy_score, balanced_accuracy_score, log_loss

from mea.arrays.events_file import save_events
from mea.evaluation.models import SHOWN
from mea.evaluation.rules import RuleSettings, learn_rules
from mea.models.estimators import load_estimator
from mea.report.headline import format_headline
from mea.runtime.files import read_json
from mea.runtime.tables import read_table

pytestmark = pytest.mark.usefixtures("alone")

SCORES = ["balanced_accuracy", "balanced_accuracy_low", "balanced_accuracy_high", "f1", "roc_auc", "roc_auc_low"]
SCORES += ["roc_auc_high", "log_loss", "brier", "ece"]
INTERVALS = ["accuracy", "accuracy_low", "accuracy_high", "accuracy_low_naive", "accuracy_high_naive"]


def prepare(patch):
    for name, value in {"MEA_WORKERS": "1", "MEA_QUIET": "1", "MEA_DEVICE": "cpu"}.items():
        patch.setenv(name, value)


@pytest.fixture(scope="module")
def array(tmp_path_factory):
    """Twelve recordings: two classes, three batches, a culture each."""
    folder = tmp_path_factory.mktemp("array") / "array"
    write_array(folder, duration_s=2.5)
    return folder


@pytest.fixture(scope="module")
def new(tmp_path_factory):
    """Two new recordings in the rig's own files."""
    folder = tmp_path_factory.mktemp("new")
    for name, seed in (("y", 3), ("x", 4)):
        write_small_mcs(folder / f"{name}.h5", n_samples=25_000, seed=seed)
    return folder


@pytest.fixture(scope="module")
def done(tmp_path_factory, array, new):
    """A folder in which everything ran once."""
    folder = tmp_path_factory.mktemp("lab")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEA_CACHE", str(folder / "cache"))
        prepare(patch)
        run_lab(folder, array)
        run_stage("classify", folder, array, argv=["--source", new])
    return folder


def list_bytes(folder):
    """Every output file's content, by its path."""
    places = ("data", "models", "metrics", "plots")
    files = [path for place in places for path in sorted((folder / place).rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


# --- what the stages write -------------------------------------------------------------------------------------------


def test_split_writes_chunks_with_folds(done):
    chunks = read_table(done / "data/split/chunks.csv")
    columns = ["chunk", "recording", "label", "culture", "batch", "start_s", "stop_s", "fold"]
    assert list(chunks.columns) == columns
    assert len(chunks) == 24 and set(chunks["fold"]) == {0, 1, 2}
    assert (chunks.groupby("batch")["fold"].nunique() == 1).all(), "auto takes the batch, the coarsest that is known"
    decided = read_json(done / "data/split/split.json")
    assert (decided["split_level"], decided["score"], decided["leaky"], decided["warning"]) == (
        "batch",
        [0, 1, 2],
        0,
        "",
    )
    assert list(decided["params"]) == ["h5", "array", "split", "features"]
    assert decided["params"]["split"]["by"] == "auto" and decided["params"]["split"]["chunk_s"] == 1.0
    metrics = read_json(done / "metrics/split.json")
    assert metrics["recordings"] == 12 and metrics["chunks"] == {
        "all": 24, "labels": {"a": 12, "b": 12}, "folds": {"fold_0": 8, "fold_1": 8, "fold_2": 8},
    }  # fmt: skip
    assert metrics["leaky"] == 0 and metrics["warning"] == "" and metrics["set_aside"] == {}


def test_train_keeps_every_fold_and_its_baseline(done):
    folder = done / "models/folds/cnn_lstm"
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    of_fold = {
        "cnn_lstm/network_0.safetensors",
        "cnn_lstm/model.json",
        "baseline/rate.skops",
        "baseline/model.json",
        "oof.csv",
    }
    assert names == {f"fold_{fold}/{name}" for fold in range(3) for name in of_fold} | {
        "classifier.json", "checksums.json",
    }  # fmt: skip
    about = read_json(done / "models/folds/cnn_lstm/classifier.json")
    assert about["labels"] == ["a", "b"] and about["folds"] == [0, 1, 2] and about["sampling_rate_hz"] == 25_000
    assert list(about["params"]) == ["h5", "array", "split", "features", "train"], (
        "no params but the model's own are needed"
    )
    metrics = read_json(done / "metrics/train/cnn_lstm.json")
    assert metrics["model"] == "cnn_lstm" and list(metrics)[1:] == ["processes", "mean", "fold_0", "fold_1", "fold_2"]
    assert metrics["fold_1"]["epochs"] == 2
    curves = read_table(done / "plots/train/cnn_lstm/mean_curves.csv")
    losses = [metrics[f"fold_{fold}"]["validation_loss"] for fold in range(3)]
    assert metrics["mean"]["validation_loss"] == pytest.approx(np.mean(losses)) and len(curves) == 2
    assert (done / "plots/train/cnn_lstm/live/fold_2/plots/metrics/validation_loss.tsv").is_file()


def test_every_prediction_is_written(done):
    table = read_table(done / "metrics/evaluate/predictions.csv")
    columns = ["recording", "label", "culture", "batch", "fold", "predicted", "confidence", "p_a", "p_b"]
    assert list(table.columns) == [*columns, "threshold", "prediction_set"]
    assert table["recording"].tolist() == [f"r{number:02d}" for number in range(12)]
    np.testing.assert_allclose(table["p_a"] + table["p_b"], 1, atol=1e-8)
    np.testing.assert_allclose(table["confidence"], table[["p_a", "p_b"]].max(axis=1))
    assert (table["predicted"] == np.where(table["p_a"] >= table["p_b"], "a", "b")).all()
    chunks = read_table(done / "metrics/evaluate/chunks.csv")
    assert (
        len(chunks) == 24 and chunks["chunk"].tolist() == read_table(done / "data/split/chunks.csv")["chunk"].tolist()
    )
    for fold, part in table.groupby("fold"):
        oof = read_table(done / f"models/folds/cnn_lstm/fold_{fold}/oof.csv")
        assert not set(oof["batch"]) & set(part["batch"]) and len(oof) == 4
        rules = learn_rules(oof, ["a", "b"], RuleSettings(0.05, 0.95, 0))
        votes = chunks.groupby("recording")[["p_a", "p_b"]].mean().loc[part["recording"]].to_numpy()
        np.testing.assert_allclose(rules.calibrator.calibrate(votes), part[["p_a", "p_b"]], rtol=1e-6)
    folds = read_table(done / "metrics/evaluate/folds.csv")
    assert folds["fold"].tolist() == [0, 1, 2] and folds["recordings"].tolist() == [4, 4, 4]


def test_metrics_are_those_of_the_predictions(done):
    metrics = read_json(done / "metrics/evaluate.json")
    wanted = {
        "baseline": ["majority", "rate", "metadata"],
        "permutation": ["p_value", "min_attainable_p"],
        "optimism": ["chunk_split_accuracy", "honest_accuracy", "gap"],
        "identity": ["recording_accuracy", "chance", "label_accuracy"],
        "selective": ["aurc", "threshold", "coverage", "error", "error_low", "error_high"],
        "conformal": ["coverage", "mean_size", "calibration_recordings"],
        "novelty": ["rejected_fraction", "flagged_fraction"],
    }
    sections = list(wanted)
    sections.insert(sections.index("selective"), "importance")
    assert list(metrics) == [
        "recording",
        "chunk",
        "uncalibrated",
        *sections,
        "models",
        "prior",
        "at_prior",
        "leaky",
        "warning",
    ]
    assert len(metrics["importance"]) == 9, "parts of the array: the network has no families of features"
    assert all(list(one) == ["log_loss", "log_loss_std", "accuracy"] for one in metrics["importance"].values())
    (one,) = metrics["models"].values()
    assert list(one) == [*SHOWN, "difference", "difference_low", "difference_high", "verdict", "weight"]
    assert [one[name] for name in SHOWN] == [metrics["recording"][name] for name in SHOWN], "the headline is the model"
    assert (one["difference"], one["verdict"], one["weight"]) == (0, "identical", 1)
    assert {name: list(metrics[name]) for name in wanted} == wanted
    for unit in (metrics["recording"], metrics["chunk"], metrics["uncalibrated"], metrics["baseline"]["rate"]):
        assert list(unit) == [*INTERVALS, *SCORES, "count"]
        assert unit["accuracy_low"] <= unit["accuracy"] <= unit["accuracy_high"]
    for unit, name in (("recording", "predictions"), ("chunk", "chunks")):
        table = read_table(done / f"metrics/evaluate/{name}.csv")
        found = metrics[unit]
        assert found["accuracy"] == pytest.approx(accuracy_score(table["label"], table["predicted"]))
        assert found["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(table["label"], table["predicted"]))
        assert found["log_loss"] == pytest.approx(log_loss(table["label"], table[["p_a", "p_b"]]), abs=1e-6)
        assert found["count"] == len(table)
    assert metrics["prior"] == {"a": 0.5, "b": 0.5}
    assert metrics["at_prior"] == {name: metrics["recording"][name] for name in ("accuracy", "log_loss")}
    one_batch = "not calibrated: all held-out recordings are of one group"  # the network's single inner fold
    assert metrics["leaky"] == 0 and metrics["warning"].startswith(one_batch)
    assert metrics["baseline"]["rate"]["accuracy"] == 1.0, "four times as many spikes in one class"
    assert metrics["baseline"]["majority"]["accuracy"] == 0.5


def test_plots_hold_what_dvc_draws(done):
    """The files and columns that dvc.yaml names are there, and every plot."""
    plots = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["plots"]
    drawn = [(curve["x"], path, column) for named in plots for curve in named.values()
             for path, columns in curve["y"].items()
             for column in (columns if isinstance(columns, list) else [columns])]  # fmt: skip
    assert {path for _, path, _ in drawn} >= {
        "plots/evaluate/confusion_recording.csv",
        "plots/train/cnn_lstm/mean_curves.csv",
    }
    for x, path, column in drawn:
        assert {x, column} <= set(read_table(done / path).columns), path
    confusion = read_table(done / "plots/evaluate/confusion_recording.csv")
    predictions = read_table(done / "metrics/evaluate/predictions.csv")
    assert confusion["actual"].tolist() == predictions["label"].tolist()
    assert confusion["predicted"].tolist() == predictions["predicted"].tolist()
    plots = {path.stem for path in (done / "plots/evaluate").glob("*.png")}
    kinds = ("confusion", "report", "reliability", "roc")
    both = {f"{kind}_{unit}" for kind in kinds for unit in ("recording", "chunk")}
    assert plots == both | {
        "recordings",
        "models",
        "permutation",
        "optimism",
        "importance",
        "risk_coverage",
        "conformal",
    }
    assert {path.name for path in (done / "plots/train/cnn_lstm").glob("*.png")} == {"chunks.png", "curves.png"}


def test_new_recordings_are_classified(done):
    table = read_table(done / "metrics/classify.csv")
    columns = ["recording", "predicted", "confidence", "p_a", "p_b", "decision", "reason", "flags", "prediction_set"]
    assert list(table.columns) == columns
    assert table["recording"].tolist() == ["x", "y"] and table["decision"].tolist() == ["predicted", "predicted"]


@pytest.mark.slow
def test_the_same_bytes_again(done, tmp_path, array, new):
    """In another folder, with an empty cache: every file of every stage, plots and models included."""
    run_lab(tmp_path, array)
    run_stage("classify", tmp_path, array, argv=["--source", new])
    first, second = list_bytes(done), list_bytes(tmp_path)
    assert set(first) == set(second) and len(first) > 40
    assert [name for name in first if first[name] != second[name]] == []
    for stage in ("split", "train", "evaluate"):  # and over what is there, from the cache
        run_stage(stage, tmp_path, array)
    assert list_bytes(tmp_path) == second
    assert not list(tmp_path.rglob("*.partial"))


# --- other ways to run them ------------------------------------------------------------------------------------------


def test_firing_rate_alone_end_to_end(array, tmp_path):
    metrics = run_lab(tmp_path, array, "train.models=[rate]", "train.cnn_lstm.validation=test_fold")
    assert metrics["uncalibrated"] == metrics["baseline"]["rate"] and metrics["recording"]["accuracy"] == 1.0
    assert metrics["leaky"] == 0, "no epoch was chosen"
    assert read_json(tmp_path / "metrics/train/rate.json") == {"model": "rate"}
    assert not list((tmp_path / "models").rglob("*.safetensors"))
    load_estimator(tmp_path / "models/classifier/fold_0/rate/rate.skops")
    assert {path.name for path in (tmp_path / "plots/train/rate").iterdir()} >= {"chunks.png"}


def test_three_classes_end_to_end(tmp_path, new):
    write_array(tmp_path / "array", plan_recordings("abc", cultures=1), duration_s=2.0)
    metrics = run_lab(tmp_path, tmp_path / "array", "train.cnn_lstm.epochs=1")
    assert metrics["recording"]["count"] == 9 and 0 <= metrics["recording"]["roc_auc"] <= 1
    assert metrics["baseline"]["rate"]["accuracy"] > 0.8
    table = read_table(tmp_path / "metrics/evaluate/predictions.csv")
    assert [name for name in table.columns if name.startswith("p_")] == ["p_a", "p_b", "p_c"]
    np.testing.assert_allclose(table[["p_a", "p_b", "p_c"]].sum(axis=1), 1, atol=1e-8)
    chunks = read_table(tmp_path / "metrics/evaluate/chunks.csv")
    expected = log_loss(chunks["label"], chunks[["p_a", "p_b", "p_c"]])
    assert metrics["chunk"]["log_loss"] == pytest.approx(expected, abs=1e-6)
    run_stage("classify", tmp_path, None, argv=["--source", new / "x.h5"])
    assert list(read_table(tmp_path / "metrics/classify.csv").columns)[3:6] == ["p_a", "p_b", "p_c"]


def test_two_batches_end_to_end(tmp_path, new, capsys):
    """The smallest honest lab: one batch held out, one to learn from; nothing is calibrated, and everything says so."""
    write_array(tmp_path / "array", plan_recordings(batches=2), duration_s=2.0)
    asked = ("train.models=[rate,cnn_lstm]", "split.folds=auto", "evaluate.choose=best")
    metrics = run_lab(tmp_path, tmp_path / "array", *asked)
    why = "no recording was held out inside the training set"
    assert "no inner folds are possible in fold 0" in capsys.readouterr().err
    assert f"not calibrated: {why}" in metrics["warning"]
    assert list(metrics["models"]) == ["rate", "cnn_lstm"] and metrics["recording"]["count"] == 8
    assert metrics["models"]["rate"]["weight"] == 1, "nothing chose, so the first of the list"
    assert read_json(tmp_path / "metrics/train/cnn_lstm.json")["fold_0"]["validation_loss"] is None
    assert f"Not calibrated: {why}" in (tmp_path / "models/classifier/card.md").read_text(encoding="utf-8")
    run_stage("classify", tmp_path, None, argv=["--source", new / "x.h5"])
    (row,) = read_table(tmp_path / "metrics/classify.csv").to_dict("records")
    assert row["flags"].startswith("no threshold: 8 recordings held out, 19 are needed"), "calibrated on both batches"


def test_ordered_classes_and_another_prior(array, tmp_path):
    given = ("train.models=[rate]", "evaluate.order=[b,a]", "evaluate.prior={a: 0.8, b: 0.2}")
    metrics = run_lab(tmp_path, array, *given)
    assert metrics["prior"] == {"a": 0.8, "b": 0.2}
    table = read_table(tmp_path / "metrics/evaluate/predictions.csv")
    weights = np.where(table["label"] == "a", 1.6, 0.4)
    expected = log_loss(table["label"], table[["p_a", "p_b"]], sample_weight=weights)
    assert metrics["at_prior"]["log_loss"] == pytest.approx(expected, abs=1e-6)
    wrong = (table["label"] != table["predicted"]).mean()
    assert metrics["ordered"] == {"rank_error": wrong, "adjacent": 1.0}, "of two classes, all are adjacent"
    card = read_json(tmp_path / "models/classifier/card.json")
    assert card["confidence"]["prior"] == metrics["prior"] and card["parameters"]["evaluate"]["order"] == ["b", "a"]
    assert "evaluate.order = ['a']: must name each class once: a, b." in refuse(
        "evaluate", tmp_path, array, "train.models=[rate]", "evaluate.order=[a]"
    )


def test_a_split_by_chunk_marks_every_metric(array, tmp_path, capsys):
    metrics = run_lab(tmp_path, array, "split.by=chunk", "train.models=[rate]", "split.folds=2")
    warning = "warning: leaky: split by chunk, so chunks of the same recording are in the training and the test set"
    assert capsys.readouterr().err.count(warning) == 2, "said by split and by evaluate"
    assert metrics["leaky"] == 1 and metrics["warning"].startswith("leaky: split by chunk")
    assert read_json(tmp_path / "metrics/split.json")["leaky"] == 1
    assert read_json(tmp_path / "models/classifier/classifier.json")["leaky"] == 1
    assert "mixed" in set(read_table(tmp_path / "metrics/evaluate/predictions.csv")["fold"].astype(str))
    assert metrics["chunk"]["count"] == 24 and metrics["recording"]["count"] == 12


def test_scored_validation_marks_every_metric(array, tmp_path, capsys):
    metrics = run_lab(
        tmp_path, array, "train.cnn_lstm.validation=test_fold", "train.cnn_lstm.epochs=1", "split.score=[1]"
    )
    assert "warning: leaky: the epoch was chosen on the fold it is scored on" in capsys.readouterr().err
    assert metrics["leaky"] == 1 and metrics["warning"].startswith(
        "leaky: the epoch was chosen on the fold it is scored on"
    )
    predictions = read_table(tmp_path / "metrics/evaluate/predictions.csv")
    assert set(predictions["fold"]) == {1} and predictions["batch"].nunique() == 1 and len(predictions) == 4
    assert metrics["recording"]["accuracy_low"] is None, "nothing can be said from a single batch"
    (tmp_path / "new").mkdir()
    run_stage("classify", tmp_path, array, argv=["--source", tmp_path / "new"])
    lines = format_headline(tmp_path / "metrics/evaluate.json", tmp_path / "metrics/classify.csv")
    assert "NOT AN HONEST ESTIMATE: leaky: the epoch" in lines and "% (a single group: no interval)" in lines
    assert [path.parent.parent.name for path in (tmp_path / "models/classifier").rglob("*.safetensors")] == ["fold_1"]


def test_cultures_of_one_batch_on_two_sides_are_a_warning(array, tmp_path, capsys):
    run_stage("split", tmp_path, array, "split.by=culture")
    warning = "warning: leaky: split by culture, so recordings of the same batch are in the training and the test set\n"
    assert warning in capsys.readouterr().err
    assert read_json(tmp_path / "metrics/split.json")["leaky"] == 1


def test_spike_times_are_counted(tmp_path):
    write_array(tmp_path / "array", duration_s=2.0, waveforms=False, rows=8, cols=8)
    run_stage("split", tmp_path, tmp_path / "array")
    with pytest.raises(
        SystemExit, match=r"train: r\d\d: holds spike times without waveforms, .* Set train.cnn_lstm.input: binned"
    ):
        run_stage("train", tmp_path, tmp_path / "array")
    assert not (tmp_path / "models/classifier").exists() and not (tmp_path / "metrics/train/cnn_lstm.json").exists()
    metrics = run_lab(
        tmp_path, tmp_path / "array", "train.cnn_lstm.bin=count", "train.cnn_lstm.scale=1", "train.cnn_lstm.epochs=1"
    )
    assert metrics["recording"]["count"] == 12
    assert read_json(tmp_path / "models/classifier/classifier.json")["format"] == "spike_times"


# --- what is refused -------------------------------------------------------------------------------------------------


def refuse(stage, folder, array, *settings):
    """Run a stage that must end with a message; what was there before stays as it was."""
    before = list_bytes(folder)
    with pytest.raises(SystemExit) as end:
        run_stage(stage, folder, array, *settings)
    assert list_bytes(folder) == before and not list(folder.rglob("*.partial"))
    return end.value.code


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("split.folds=1", "split.folds = 1: must be auto, or a whole number of at least 2"),
        ("split.folds=4", "3 groups by batch are fewer than 4 folds. Lower split.folds"),
        ("split.chunk_s=0", "split.chunk_s = 0: Input should be greater than 0"),
        ("split.chunk_s=1e-6", "a chunk must be a whole number of samples, at least one"),
        ("split.chunk_s=3", "r00: 2.5 s are shorter than one chunk (split.chunk_s = 3 s)."),
        ("split.by=plate", "split.by = 'plate': Input should be 'auto', 'batch', 'culture', 'recording' or 'chunk'"),
        ("split.score=[3]", "split.score = [3]: must be all, or numbers from 0 to 2: there are 3 folds."),
        ("split.score=[]", "split.score = []: must be all, or numbers from 0 to 2"),
        ("split.colour=1", "split.colour: no such parameter; split knows by, folds, score"),
    ],
)
def test_split_refuses(array, tmp_path, setting, message):
    assert message in refuse("split", tmp_path, array, setting)
    run_stage("split", tmp_path, array)
    assert message in refuse("split", tmp_path, array, setting), "and leaves an earlier result alone"


def test_short_recordings_are_skipped_when_asked(tmp_path):
    lines = [line | {"duration_s": 0.5 if number == 5 else 2.0} for number, line in enumerate(plan_recordings())]
    write_array(tmp_path / "array", lines)
    assert "split: r05: 0.5 s are shorter than one chunk" in refuse("split", tmp_path, tmp_path / "array")
    run_stage("split", tmp_path, tmp_path / "array", "split.on_bad_recording=skip")
    metrics = read_json(tmp_path / "metrics/split.json")
    assert metrics["recordings"] == 11 and list(metrics["set_aside"]) == ["r05"]
    assert "r05" not in set(read_table(tmp_path / "data/split/chunks.csv")["recording"])
    everything = ("split.on_bad_recording=skip", "split.chunk_s=9")
    assert "no recording is as long as one chunk" in refuse("split", tmp_path, tmp_path / "array", *everything)


def test_one_class_only(tmp_path):
    write_array(tmp_path / "array", plan_recordings("a"), duration_s=2.0)
    assert "only one class, ['a']: a classifier needs recordings of two" in refuse(
        "split", tmp_path, tmp_path / "array"
    )


def test_one_recording_under_two_names(tmp_path):
    write_array(tmp_path / "array", duration_s=2.0)
    copy = make_events("r09", seed=0, duration_s=2.0)
    save_events(tmp_path / "array" / "r09.npz", copy)
    message = refuse("split", tmp_path, tmp_path / "array")
    assert "r09 and r00 hold the same samples or events: one recording under two names" in message


def test_what_is_missing_is_named(array, tmp_path):
    assert "chunks.csv: no such file. It is written by the stage split: dvc repro split" in refuse(
        "train", tmp_path, array
    )
    assert "chunks.csv: no such file. It is written by the stage split" in refuse("evaluate", tmp_path, array)
    run_stage("split", tmp_path, array)
    assert "classifier.json: no such file; no classifier was trained there" in refuse("evaluate", tmp_path, array)
    (tmp_path / "data/split/split.json").unlink()
    assert "split.json: not a file written by a stage" in refuse("train", tmp_path, array)


@pytest.mark.parametrize(
    ("stage", "setting", "message"),
    [
        (
            "train",
            "train.models=[oracle]",
            "train.models = ['oracle']: must be a list of some of rate, features, rocket, tcn, cnn_lstm, grid_lstm.",
        ),
        ("train", "train.cnn_lstm.learning_rate=0", "train.cnn_lstm.learning_rate = 0: Input should be greater than 0"),
        ("train", "train.cnn_lstm.bin_ms=5000", "bins of 5000.0 ms in a window of 1 s"),
        (
            "train",
            "train.cnn_lstm.learning_rate=1e30",
            "no epoch gave a finite validation loss. Lower the",
        ),
        ("evaluate", "evaluate.bins=1", "evaluate.bins = 1: Input should be greater than or equal to 2"),
        ("evaluate", "evaluate.confidence_level=95", "evaluate.confidence_level = 95: Input should be less than 1"),
    ],
)
def test_train_and_evaluate_refuse(array, tmp_path, stage, setting, message):
    run_stage("split", tmp_path, array)
    if stage == "evaluate":
        run_stage("train", tmp_path, array, "train.models=[rate]")
    assert message in refuse(stage, tmp_path, array, setting)


def test_two_grids_leave_an_earlier_training_alone(tmp_path):
    lines = plan_recordings()
    lines[4]["rows"] = 8
    write_array(tmp_path / "array", lines, duration_s=2.0)
    (tmp_path / "plots/train/cnn_lstm").mkdir(parents=True)
    (tmp_path / "plots/train/cnn_lstm/curves.png").write_bytes(b"earlier")
    run_stage("split", tmp_path, tmp_path / "array")
    assert "recordings of different grids, [(8, 12), (12, 12)]" in refuse("train", tmp_path, tmp_path / "array")


# --- killed, and on more cores ---------------------------------------------------------------------------------------


def start_training(folder, array, workers, *settings):
    """``python -m stages.train`` as a user or DVC starts it."""
    flags = [part for name, path in list_paths(folder, "train", array).items() for part in (f"--{name}", path)]
    sets = [part for setting in (*QUICK, *settings) for part in ("--set", setting)]
    environment = os.environ | {"MEA_CACHE": str(folder / "cache"), "MEA_WORKERS": str(workers)}
    command = [sys.executable, "-m", "stages.train", *flags, *sets]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


@pytest.mark.slow
def test_a_killed_training_ends_with_the_same_bytes(array, tmp_path):
    """SIGKILL once a checkpoint is there, the same command again on two workers; beside it one that nobody killed."""
    settings = ("train.cnn_lstm.epochs=10", "train.cnn_lstm.patience=10", "split.score=[0, 2]")
    for name in ("killed", "whole"):
        run_stage("split", tmp_path / name, array, *settings)
    process = start_training(tmp_path / "killed", array, 1, *settings)
    give_up = time.monotonic() + 200
    while not list((tmp_path / "killed/cache").glob("checkpoints/*/last.ckpt")):
        assert process.poll() is None and time.monotonic() < give_up, "no checkpoint was written"
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert list((tmp_path / "killed/cache").glob("checkpoints/*/last.ckpt")), "it was killed in the midst of a fold"
    left = {path.name for path in (tmp_path / "killed").rglob("*") if path.is_file()}
    assert "classifier.json" not in left and not (tmp_path / "killed/models/classifier").exists()
    again = start_training(tmp_path / "killed", array, 2, *settings)
    output, _ = again.communicate(timeout=300)
    assert again.returncode == 0, output
    run_stage("train", tmp_path / "whole", array, *settings)
    killed, whole = list_bytes(tmp_path / "killed"), list_bytes(tmp_path / "whole")
    assert set(killed) == set(whole) and [name for name in whole if killed[name] != whole[name]] == []
    assert not list((tmp_path / "killed/cache").glob("checkpoints/*"))
    assert read_json(tmp_path / "whole/metrics/train/cnn_lstm.json")["fold_0"]["epochs"] == 10


def test_another_split_than_the_one_trained_with_is_refused(array, tmp_path):
    run_stage("split", tmp_path, array)
    run_stage("train", tmp_path, array, "train.models=[rate]")
    run_stage("split", tmp_path, array, "split.seed=1")
    assert "was trained with another split than this one" in refuse("evaluate", tmp_path, array, "train.models=[rate]")
