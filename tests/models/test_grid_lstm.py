"""A network that regresses features: its targets, that it sees no label, and what classifies by its predictions."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from builders.arrays import describe_events, make_events, plan_recordings
from builders.environment import work_alone
from builders.models import fit_lab, plan_lab, train_params, write_lab
from builders.networks import assert_same

from mea.arrays.events_file import RecordingsOnDisk
from mea.classification.occlusion import Occlusion, compute_attributions
from mea.features.compute import compute_features, compute_long_window_features
from mea.features.families import list_features, list_targets
from mea.models.grid_lstm import (
    STATES,
    STEP,
    WEIGHT_DECAY,
    GridLstmModel,
    GridLstmNetwork,
    compute_targets,
    pool_chunk,
    scale_targets,
)
from mea.networks.channels import GridView
from mea.networks.chunks import ChunkDataset, RegressionDataset
from mea.networks.config import TrainingConfig, TrainingRun
from mea.networks.tasks import FeatureRegression
from mea.networks.trained import load_network
from mea.networks.training import train_network
from mea.splitting.aggregation import summarise_chunks
from mea.splitting.chunks import cut_chunks
from mea.training.fitting import fit_fold

pytestmark = pytest.mark.usefixtures("alone")

LABELS = ["a", "b"]
VIEW = GridView(100, STEP)
QUICK = {"bin_ms": 100, "epochs": 3, "learning_rate": 0.003, "batch_size": 8}
PARAMS = train_params("grid_lstm", inner_folds=2, grid_lstm=QUICK)
NETWORK = "fold_0/grid_lstm/network.safetensors"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A lab whose class b fires more, and the classifier learned from it: folder, chunks, classifier."""
    folder = tmp_path_factory.mktemp("grid")
    with work_alone(folder):
        made = write_lab(folder, plan_recordings(batches=4, cultures=1), folds=2, duration_s=4.0)
        classifier, curves = fit_lab(made, folder / "folds", PARAMS, score=(0, 1))
        assert all(part.empty for part in curves)  # there is no epoch to choose
    return folder, made[1], classifier


# --- its targets -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("waveforms", [True, False])
def test_the_targets_are_the_features_of_each_chunk(waveforms):
    """Those that any recording has, in the order of the rows, whatever that is."""
    events = {name: make_events(name, rows=4, cols=4, seed=k, waveforms=waveforms) for k, name in enumerate("xy")}
    chunks = pd.DataFrame({"recording": ["y", "x", "y"], "start_s": [2.0, 0.0, 0.0], "stop_s": [4.0, 2.0, 2.0]})
    targets = compute_targets(chunks, events)
    assert targets.shape == (3, len(list_targets()))
    for row, (name, start, stop) in zip(targets, chunks.itertuples(index=False)):
        spikes = compute_features(events[name], [(start, stop)])[0][: len(list_features(False))]
        expected = np.concatenate([spikes, compute_long_window_features(events[name], [(start, stop)])[0]])
        np.testing.assert_array_equal(row, expected)


def test_targets_are_standardised_and_clipped_and_undefined_ones_stay():
    values = np.random.default_rng(0).normal(5, 2, (200, 4))
    values[:, 1], values[:, 2], values[3, 0], values[4, 3] = 7, np.nan, np.nan, 1000
    scaled = scale_targets(values)
    assert scaled.dtype == np.float32 and np.isnan(scaled[3, 0]) and np.isnan(scaled[:, 2]).all()
    assert not scaled[:, 1].any() and scaled[4, 3] == 3
    kept = np.delete(np.arange(200), 3)
    expected = (values[kept, 0] - values[kept, 0].mean()) / values[kept, 0].std()
    np.testing.assert_allclose(scaled[kept, 0], np.clip(expected, -3, 3), atol=1e-5)


def test_chunks_are_pooled_once_and_kept():
    events = {"x": make_events("x", rows=4, cols=4)}
    chunks = pd.DataFrame({"recording": ["x"] * 4, "start_s": range(4), "stop_s": range(1, 5), "label": ["a"] * 4})
    shown, calls = ChunkDataset(chunks, events, VIEW, LABELS), []
    targets = torch.rand(4, 3)
    dataset = RegressionDataset(shown, lambda chunk: calls.append(1) or pool_chunk(chunk), targets)
    (population, electrodes), target = dataset[2]
    expected = pool_chunk(shown[2][0][None])
    torch.testing.assert_close([population, electrodes], [part[0] for part in expected])
    torch.testing.assert_close(target, targets[2])
    assert dataset[2][0][0] is population and len(calls) == 1 and len(dataset) == 4


def test_recordings_are_summarised_by_mean_and_std():
    chunks, values = pd.DataFrame({"recording": ["y", "x", "y"]}), np.array([[1.0, 2.0], [5.0, 6.0], [3.0, 2.0]])
    names, summary = summarise_chunks(chunks, values)
    assert names.tolist() == ["x", "y"]
    np.testing.assert_array_equal(summary, [[5, 6, 0, 0], [2, 2, 1, 0]])


# --- what it must not see ---------------------------------------------------------------------------------------------


def test_labels_do_not_reach_the_network(lab):
    """Classes dealt anew, and nothing of the network changes."""
    folder, chunks, _ = lab
    swapped = chunks["label"].map({"a": "b", "b": "a"})
    dealt = chunks.assign(label=chunks["label"].where(chunks["batch"].isin(["b0", "b1"]), swapped))
    fit_lab((folder / "array", dealt), folder / "dealt", PARAMS)
    one, other = (load_network(folder / name / NETWORK).weights for name in ("folds", "dealt"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_held_out_recordings_do_not_reach_the_network(lab):
    """Nor any classifier: what is held out is taken away, and nothing of the fold changes."""
    folder, chunks, _ = lab
    (job,) = plan_lab((folder / "array", chunks), folder / "again", PARAMS)
    fit_fold(replace(job, chunks=chunks[chunks["fold"] != 0]))
    compared = compare_files(folder / "again/fold_0", folder / "folds/fold_0")
    assert {f"grid_lstm/{name}" for name in ("network.safetensors", "recordings.skops", "chunks.skops")} <= compared


class CutOff(RegressionDataset):
    """Breaks down in the middle of an epoch, as a power cut would."""

    left = 0

    def __getitem__(self, number):
        self.left -= 1
        if self.left < 0:
            raise OSError("power cut")
        return super().__getitem__(number)


def test_an_interrupted_training_ends_with_the_same_bits(lab, tmp_path):
    folder, chunks, _ = lab
    events = RecordingsOnDisk(folder / "array", chunks["recording"].unique())
    shown = ChunkDataset(chunks, events, VIEW, LABELS)
    targets = torch.from_numpy(scale_targets(compute_targets(chunks, events)))
    config = TrainingConfig(3, 0.003, 8, seed=0, weight_decay=WEIGHT_DECAY, lr_schedule="cosine")

    def train(checkpoints, kind=RegressionDataset, seed=0):
        torch.manual_seed(seed)
        network = GridLstmNetwork(len(list_targets()))
        learned = kind(shown, pool_chunk, targets)
        learned.left = len(chunks) + 3
        run = TrainingRun(checkpoint_folder=tmp_path / checkpoints)
        return train_network(network, FeatureRegression(), learned, None, config, run)

    whole = train("whole")
    with pytest.raises(OSError, match="power cut"):
        train("cut", CutOff)
    assert_same(train("cut", seed=99), whole)
    assert whole.curves["train_loss"].is_monotonic_decreasing and whole.curves["validation_loss"].isna().all()


# --- what classifies by it --------------------------------------------------------------------------------------------


def test_recordings_and_chunks_are_classified(lab):
    folder, chunks, classifier = lab
    events = RecordingsOnDisk(folder / "array", chunks["recording"].unique())
    for fold in classifier.folds:
        model = classifier.open_model(fold)
        assert isinstance(model, GridLstmModel) and model.list_feature_families(True) == []
        held_out = chunks[chunks["fold"] == fold]
        features = model.compute_features(held_out, events)
        assert features.shape == (len(held_out), STATES + len(list_targets())) and np.isfinite(features).all()
        recordings = held_out.drop_duplicates("recording").sort_values("recording")
        for proba, table in (
            (model.predict_proba(held_out, events), held_out),
            (model.predict_recordings(held_out, events), recordings),
        ):
            assert (np.array(LABELS)[proba.argmax(1)] == table["label"]).mean() > 0.9
        for number, name in enumerate(recordings["recording"]):
            alone = model.predict_recordings(held_out[held_out["recording"] == name], events)
            np.testing.assert_allclose(alone[0], model.predict_recordings(held_out, events)[number], atol=1e-4)
        assert set(classifier.load_oof(fold)["recording"]) == set(chunks["recording"][chunks["fold"] != fold])


def compare_files(one, other):
    """All files of one folder are those of another; their names."""
    names = {path.relative_to(one).as_posix() for path in one.rglob("*") if path.is_file()}
    for name in names:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    return names


def test_the_same_training_gives_the_same_files(lab, monkeypatch, tmp_path):
    folder, chunks, _ = lab
    monkeypatch.setenv("MEA_CACHE", str(tmp_path / "elsewhere"))
    (job,) = plan_lab((folder / "array", chunks), tmp_path / "folds", PARAMS)
    fit_fold(job)
    assert len(compare_files(tmp_path / "folds/fold_0", folder / "folds/fold_0")) == 7


def test_it_can_be_explained(lab):
    classifier = lab[2]
    events = make_events("new", spikes_per_s=8.0, duration_s=4.0, seed=99)
    chunks, _ = cut_chunks(pd.DataFrame([describe_events(events)]), 1.0, None)
    label, attributions = compute_attributions(Occlusion(classifier, classifier.folds[:1], chunks, events))
    assert label == "b" and attributions["log_odds"].iloc[0] > 0 and np.isfinite(attributions["log_odds"]).all()
    assert attributions["kind"].value_counts().to_dict() == {"electrode": 25, "window": 4, "whole": 1}


def test_a_recording_it_cannot_be_shown(lab):
    model = lab[2].open_model(0)
    assert model.check_input(make_events("other", rows=5, cols=7)) == ""
    coarse = train_params("grid_lstm", grid_lstm=QUICK | {"bin_ms": 25}).of_model("grid_lstm")
    assert "steps of 10 ms" in GridLstmModel(replace(model.spec, params=coarse)).check_input(make_events("new"))


def test_nothing_is_chosen_on_the_test_fold():
    assert PARAMS.of_model("grid_lstm").leak == ""
    assert train_params(cnn_lstm={"validation": "test_fold"}).of_model("cnn_lstm").leak
