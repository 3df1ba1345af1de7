"""The fit of one fold: what decides it, what it must not see, and what is kept of it."""

import shutil

import pandas as pd
import pytest
from builders.arrays import make_events, plan_recordings, spoil_held_out
from builders.models import make_split, plan_lab, train_params, write_lab

from mea.arrays.events_file import RecordingsOnDisk, save_events
from mea.models.cnn_lstm import CnnLstmNetwork
from mea.networks.callbacks import write_live
from mea.networks.curves import CURVES
from mea.networks.trained import load_network
from mea.runtime.errors import MeaError
from mea.runtime.tables import read_table
from mea.splitting.folds import assign_inner_folds
from mea.training.fitting import fit_fold
from mea.training.folds import build_classifier, summarise_curves
from mea.training.plots import plot_curves

pytestmark = pytest.mark.usefixtures("alone")

LABELS = ["a", "b"]
NETWORK = "fold_0/cnn_lstm/network_0.safetensors"


def params(model="cnn_lstm", inner_folds=2, **changed):
    """Of a quick training; changes are of the model's own section."""
    quick = {"bin_ms": 25, "scale": 0.03, "epochs": 5, "patience": 9, "min_gain": 0.0, "silence": "computed"}
    return train_params(model, inner_folds=inner_folds, cnn_lstm=quick | changed)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Twelve recordings and their chunks with folds."""
    return write_lab(tmp_path_factory.mktemp("lab"), duration_s=2.0)


def fit(lab, folder, **changed):
    """Fit fold 0; its curves, and the bytes of its network."""
    (job,) = plan_lab(lab, folder, params(**changed))
    return fit_fold(job), (folder / NETWORK).read_bytes()


def test_scored_data_reaches_neither_training_nor_the_choice_of_epoch(lab, tmp_path):
    """Spoil all that fold 0 holds: with nested validation the same bytes come out, network, curves and baseline."""
    spoiled = spoil_held_out(lab, tmp_path / "spoiled")
    curves, weights = fit(lab, tmp_path / "one")
    same_curves, same_weights = fit(spoiled, tmp_path / "two")
    assert weights == same_weights and curves.equals(same_curves)
    rate = "fold_0/baseline/rate.skops"
    assert (tmp_path / "one" / rate).read_bytes() == (tmp_path / "two" / rate).read_bytes()


def test_validation_on_the_test_fold_chooses_by_what_it_is_scored_on(lab, tmp_path):
    """The predecessor's way, for contrast: spoiling what fold 0 holds changes which epoch is kept, and nothing else."""
    spoiled = spoil_held_out(lab, tmp_path / "spoiled")
    curves, weights = fit(lab, tmp_path / "one", validation="test_fold")
    other_curves, other_weights = fit(spoiled, tmp_path / "two", validation="test_fold")
    assert curves["train_loss"].equals(other_curves["train_loss"]), "the training itself does not see it"
    assert curves["validation_loss"].idxmin() != other_curves["validation_loss"].idxmin()
    assert weights != other_weights


def test_inner_validation_is_of_other_batches_than_training(lab):
    _, chunks = lab
    training = chunks[chunks["fold"] != 0]
    inner = assign_inner_folds(training, "batch", 2, 0) == 0
    batches = [set(part["batch"]) for part in (training[inner], training[~inner], chunks[chunks["fold"] == 0])]
    assert all(batches) and sum(map(len, batches)) == len(set.union(*batches)) == 3


def test_a_fold_is_kept_until_something_that_decides_it_changes(lab, tmp_path):
    cache = tmp_path / "cache"

    def count_kept():
        return len(list(cache.rglob("*.safetensors")))

    curves, weights = fit(lab, tmp_path / "one")
    (kept,) = cache.rglob("*.safetensors")
    written = kept.stat().st_mtime_ns
    again, same = fit(lab, tmp_path / "two")
    assert same == weights and again.equals(curves) and kept.stat().st_mtime_ns == written
    live = "live/fold_0/plots/metrics/train_loss.tsv"
    assert (tmp_path / "one" / live).read_bytes() == (tmp_path / "two" / live).read_bytes()
    assert count_kept() == 1 and not list(cache.glob("checkpoints/*")), "a checkpoint is not needed any more"
    fit(lab, tmp_path / "three", epochs=1)
    assert count_kept() == 2
    array, chunks = lab
    fit((array, chunks.assign(fold=(chunks["fold"] + 1) % 3)), tmp_path / "four", epochs=1)
    assert count_kept() == 3
    shutil.copytree(array, tmp_path / "array")
    save_events(tmp_path / "array" / "r00.npz", make_events("r00", seed=50, duration_s=2.0))
    fit((tmp_path / "array", chunks), tmp_path / "five", epochs=1)
    assert count_kept() == 4


def test_curves_and_weights_of_a_fold_round_trip(lab, tmp_path):
    curves, content = fit(lab, tmp_path, epochs=2)
    trained = load_network(tmp_path / NETWORK)
    pd.testing.assert_frame_equal(trained.curves, curves, check_exact=True)
    CnnLstmNetwork(12, 12, 2, "transpose").load_state_dict(trained.weights)
    assert b"__metadata__" not in content[:4000]


def test_with_two_batches_a_network_learns_to_the_end_on_the_whole_training_side(tmp_path):
    """Neither early stopping nor the best epoch: the weights are those of the last one, and nothing is held out."""
    lab = write_lab(tmp_path, plan_recordings(batches=2), folds=2, duration_s=2.0)
    with pytest.warns(UserWarning, match="fold 0: no inner folds are possible in the training set: 1 groups by batch"):
        curves, _ = fit(lab, tmp_path / "out", epochs=4, patience=1)
    assert len(curves) == 4 and curves["validation_loss"].isna().all() and curves["train_loss"].notna().all()
    assert read_table(tmp_path / "out/fold_0/oof.csv").empty
    table, best = summarise_curves([0], [curves])
    assert best["fold_0"]["best_epoch"] == 4 and len(plot_curves(table).axes[0].lines) == 1


def test_recordings_of_two_grids(tmp_path):
    lines = plan_recordings()
    lines[3]["rows"] = 8
    two_grids = write_lab(tmp_path, lines, duration_s=2.0)
    with pytest.raises(MeaError, match=r"recordings of different grids, \[\(8, 12\), \(12, 12\)\]: a classifier takes"):
        plan_lab(two_grids, tmp_path / "out", params())


def test_a_missing_recording_names_its_file(lab, tmp_path):
    with pytest.raises(
        MeaError,
        match=r"r00\.npz: not a file written by the array stage .* Run dvc repro --force",
    ):
        RecordingsOnDisk(tmp_path, ["r00"])["r00"]


# --- the classifier that folds make ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "validation", "split_warning", "leaky", "warning"),
    [
        ("cnn_lstm", "nested", "", 0, ""),
        ("cnn_lstm", "test_fold", "", 1, "leaky: the epoch was chosen on the fold it is scored on"),
        ("cnn_lstm", "nested", "leaky: by chunk", 1, "leaky: by chunk"),
        ("cnn_lstm", "test_fold", "leaky: by chunk", 1,
         "leaky: by chunk; leaky: the epoch was chosen on the fold it is scored on"),
        ("rate", "test_fold", "", 0, ""),
    ],
)  # fmt: skip
def test_leaks_are_marked(lab, tmp_path, model, validation, split_warning, leaky, warning):
    train = params(model, validation=validation)
    jobs = plan_lab(lab, tmp_path, train, score=(0, 2))
    classifier = build_classifier(tmp_path, jobs, make_split(train, (0, 2), split_warning))
    assert (classifier.leaky, classifier.warning) == (leaky, warning)
    assert classifier.folds == [0, 2] and classifier.labels == LABELS and classifier.model == model
    assert (classifier.rows, classifier.cols, classifier.sampling_rate_hz, classifier.format) == (12, 12, 25_000, "mcs")
    assert classifier.facts["recordings"] == 12 and classifier.facts["chunks"] == 24


def test_summary_tells_the_best_epoch():
    one = pd.DataFrame([(1, 0.7, 0.5, 0.6, 0.5), (2, 0.6, 0.6, 0.4, 0.8), (3, 0.5, 0.7, 0.5, 0.9)])
    two = one.iloc[:1]
    curves = [part.set_axis(["epoch", *CURVES], axis=1) for part in (one, two)]
    table, best = summarise_curves([0, 4], curves)
    assert table["fold"].tolist() == [0, 0, 0, 4] and table["epoch"].tolist() == [1, 2, 3, 1]
    assert best["fold_0"]["best_epoch"] == 2 and best["fold_0"]["epochs"] == 3
    assert best["fold_0"]["validation_accuracy"] == 0.8 and best["fold_4"]["best_epoch"] == 1
    assert best["mean"] == pytest.approx({"validation_loss": 0.5, "validation_accuracy": 0.65, "best_epoch": 1.5})


def test_folds_that_end_at_the_same_moment_do_not_disturb_each_other(tmp_path, monkeypatch):
    """They share a file of DVCLive's: both see it, one removes it, and the other finds nothing to remove."""

    def remove(name):
        raise FileNotFoundError(2, "No such file or directory", str(tmp_path / name))

    monkeypatch.setattr("dvclive.live.cleanup_dvclive_step_completed", lambda: remove("DVCLIVE_STEP_COMPLETED"))
    write_live([[0.7, 0.5, 0.6, 0.6]], tmp_path / "live")
    assert (tmp_path / "live/plots/metrics/validation_loss.tsv").is_file()
    monkeypatch.setattr("dvclive.live.cleanup_dvclive_step_completed", lambda: remove("something_else"))
    with pytest.raises(FileNotFoundError):
        write_live([[0.7, 0.5, 0.6, 0.6]], tmp_path / "live")
