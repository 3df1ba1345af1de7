"""A network that describes chunks: what it is taught, that it is told no label, and what judges by it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from builders.arrays import describe_events, make_events, plan_recordings, write_array
from test_training import assert_same

from mea.classification.occlusion import Occlusion, compute_attributions
from mea.features.compute import compute_features, compute_long_window_features
from mea.features.families import list_features, list_targets
from mea.models import chooses_epoch, is_describer
from mea.models.cnn_lstm import RECIPE, STATES, build_network, make_view, pool_chunk
from mea.networks.chunks import ChunkDataset, DescribedChunks, load_recordings
from mea.networks.training import train_network
from mea.runtime.tables import read_table
from mea.splitting.aggregation import summarise_chunks
from mea.splitting.chunks import cut_chunks
from mea.splitting.folds import assign_folds
from mea.training.classifier import inner_file, load_classifier, save_classifier
from mea.training.describers import measure_targets, scale_targets
from mea.training.fitting import describe_first, fit_fold
from mea.training.fold_models import DescriberModel
from mea.training.folds import describe_training, plan_folds
from mea.training.members import plan_schedule
from mea.training.networks import fold_file, load_fold

pytestmark = pytest.mark.usefixtures("alone")

LABELS = ["a", "b"]
TRAIN = {
    "model": "cnn_lstm", "network": "grid", "bin_ms": 100, "validation": "inner", "inner_folds": 2, "epochs": 3,
    "patience": 9, "min_gain": 0.0, "learning_rate": 0.003, "batch_size": 8, "precision": "float32", "seed": 0,
}  # fmt: skip


def plan(folder, array, chunks, out="folds", **changed):
    """Jobs of two folds by batch."""
    split = {"split_level": "batch", "score": [0, 1], "leaky": 0, "warning": ""}
    params = {"h5": {"stream": "raw"}, "array": {"threshold": 5.0}, "split": {"chunk_s": 1.0, "first_s": None}}
    split["params"] = params | {"train": TRAIN | changed}
    (folder / out).mkdir()
    jobs = plan_folds(chunks, split, array, folder / out, folder / "live")
    return [replace(job, threads=1) for job in jobs], split


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A lab whose class b fires more, and the classifier learned from it."""
    folder = tmp_path_factory.mktemp("describers")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"MEA_CACHE": str(folder / "cache"), "MEA_QUIET": "1", "MEA_WORKERS": "1"}.items():
            patch.setenv(name, value)
        recordings = write_array(folder / "array", plan_recordings(batches=4, cultures=1), duration_s=4.0)
        chunks, _ = cut_chunks(pd.DataFrame([describe_events(events) for events in recordings]), 1.0, None)
        chunks["fold"] = assign_folds(chunks, "batch", 2, 0)
        jobs, split = plan(folder, folder / "array", chunks)
        describe_first(jobs[0].train, chunks, folder / "array")
        curves = [fit_fold(job) for job in jobs]
        assert all(part.empty for part in curves)  # there is no epoch to choose
        save_classifier(describe_training(folder / "folds", jobs, split))
    return folder, chunks


# --- what it is taught -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("waveforms", [True, False])
def test_it_learns_to_name_the_features_of_each_chunk(waveforms):
    """Those that any recording has, in the order of the rows, whatever that is."""
    events = {name: make_events(name, rows=4, cols=4, seed=k, waveforms=waveforms) for k, name in enumerate("xy")}
    chunks = pd.DataFrame({"recording": ["y", "x", "y"], "start_s": [2.0, 0.0, 0.0], "stop_s": [4.0, 2.0, 2.0]})
    targets = measure_targets(chunks, events)
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
    shown, calls = ChunkDataset(chunks, events, make_view(TRAIN), LABELS), []
    targets = torch.rand(4, 3)
    dataset = DescribedChunks(shown, lambda chunk: calls.append(1) or pool_chunk(chunk), targets)
    (crowd, places), target = dataset[2]
    expected = pool_chunk(shown[2][0][None])
    torch.testing.assert_close([crowd, places], [part[0] for part in expected])
    torch.testing.assert_close(target, targets[2])
    assert dataset[2][0][0] is crowd and len(calls) == 1 and len(dataset) == 4


def test_recordings_are_summarised_by_mean_and_spread():
    chunks, values = pd.DataFrame({"recording": ["y", "x", "y"]}), np.array([[1.0, 2.0], [5.0, 6.0], [3.0, 2.0]])
    names, summary = summarise_chunks(chunks, values)
    assert names.tolist() == ["x", "y"]
    np.testing.assert_array_equal(summary, [[5, 6, 0, 0], [2, 2, 1, 0]])


# --- what it is not told ---------------------------------------------------------------------------------------------


def test_labels_do_not_reach_the_network(lab):
    """Classes dealt anew, and nothing of the network changes."""
    folder, chunks = lab
    swapped = chunks["label"].map({"a": "b", "b": "a"})
    dealt = chunks.assign(label=chunks["label"].where(chunks["batch"].isin(["b0", "b1"]), swapped))
    (job, _), _ = plan(folder, folder / "array", dealt, "dealt")
    fit_fold(job)
    one, other = (load_fold(folder / name / fold_file(job.fold))[0] for name in ("folds", "dealt"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_held_out_recordings_do_not_reach_the_network(lab):
    """Nor any judge: what is held out is taken away, and nothing of the fold changes."""
    folder, chunks = lab
    job = plan(folder, folder / "array", chunks, "again")[0][0]
    training = chunks[chunks["fold"] != job.fold]
    fit_fold(replace(job, chunks=training))
    for path in sorted((folder / "again").glob("fold_*")):
        if path.suffix != ".csv":
            assert path.read_bytes() == (folder / "folds" / path.name).read_bytes(), path.name


class CutOff(DescribedChunks):
    """Breaks down in the middle of an epoch, as a power cut would."""

    left = 0

    def __getitem__(self, number):
        self.left -= 1
        if self.left < 0:
            raise OSError("power cut")
        return super().__getitem__(number)


def test_an_interrupted_training_ends_with_the_same_bits(lab, tmp_path):
    folder, chunks = lab
    events = load_recordings(folder / "array", chunks["recording"].unique())
    shown = ChunkDataset(chunks, events, make_view(TRAIN), LABELS)
    targets = torch.from_numpy(scale_targets(measure_targets(chunks, events)))

    def train(checkpoints, kind=DescribedChunks, seed=0):
        torch.manual_seed(seed)
        network = build_network(TRAIN, 12, 12, 2)
        learned = kind(shown, pool_chunk, targets)
        learned.left = len(chunks) + 3
        return train_network(network, learned, None, plan_schedule(TRAIN), tmp_path / checkpoints, recipe=RECIPE)

    whole = train("whole")
    with pytest.raises(OSError, match="power cut"):
        train("cut", CutOff)
    assert_same(train("cut", seed=99), whole)
    assert whole[1]["train_loss"].is_monotonic_decreasing and whole[1]["validation_loss"].isna().all()


# --- what judges by it -----------------------------------------------------------------------------------------------


def test_recordings_and_chunks_are_judged(lab):
    folder, chunks = lab
    classifier = load_classifier(folder / "folds")
    events = load_recordings(folder / "array", chunks["recording"].unique())
    for fold in classifier.folds:
        model = classifier.open_fold(fold)
        assert isinstance(model, DescriberModel) and model.judges_recordings and model.list_families(True) == []
        assert all(path.exists() for path in model.list_files()) and len(model.list_files()) == 3
        held = chunks[chunks["fold"] == fold]
        described = model.describe(held, events)
        assert described.shape == (len(held), STATES + len(list_targets())) and np.isfinite(described).all()
        single, whole = model.predict(held, events), model.predict_whole(held, events)
        for stated in (single, whole):
            assert (np.array(LABELS)[stated.argmax(1)] == held["label"]).mean() > 0.9
        for name in held["recording"].unique():
            own = held["recording"] == name
            assert (whole[own] == whole[own][0]).all()
            alone = model.predict_whole(held[own], events)
            np.testing.assert_allclose(alone, whole[own], atol=1e-4)
        inner = read_table(folder / "folds" / inner_file(fold))
        assert set(inner["recording"]) == set(chunks["recording"][chunks["fold"] != fold])


def test_the_same_training_gives_the_same_files(lab, monkeypatch, tmp_path):
    folder, chunks = lab
    monkeypatch.setenv("MEA_CACHE", str(tmp_path / "elsewhere"))
    job = plan(tmp_path, folder / "array", chunks)[0][0]
    fit_fold(job)
    for path in sorted((tmp_path / "folds").iterdir()):
        assert path.read_bytes() == (folder / "folds" / path.name).read_bytes(), path.name


def test_it_can_be_explained(lab):
    folder, _ = lab
    classifier = load_classifier(folder / "folds")
    events = make_events("new", spikes_per_s=8.0, duration_s=4.0, seed=99)
    chunks, _ = cut_chunks(pd.DataFrame([describe_events(events)]), 1.0, None)
    label, attributions = compute_attributions(Occlusion(classifier, classifier.folds[:1], chunks, events))
    assert label == "b" and attributions["log_odds"].iloc[0] > 0 and np.isfinite(attributions["log_odds"]).all()
    assert attributions["kind"].value_counts().to_dict() == {"electrode": 144, "window": 4, "whole": 1}


def test_a_recording_it_cannot_be_shown(lab):
    model = load_classifier(lab[0] / "folds").open_fold(0)
    assert model.find_obstacle(make_events("other", rows=5, cols=7)) == ""
    assert "steps of 10 ms" in replace(model, train=TRAIN | {"bin_ms": 25}).find_obstacle(make_events("new"))


def test_nothing_is_chosen_on_the_scored_fold(lab):
    """Not by a network without an epoch to choose, whatever ``train.validation`` says."""
    folder, chunks = lab
    assert is_describer(TRAIN) and not is_describer(TRAIN | {"network": "predecessor"})
    assert not is_describer(TRAIN | {"model": "tcn"}) and not is_describer(TRAIN | {"model": "features"})
    assert [chooses_epoch(TRAIN | {"model": name}) for name in ("tcn", "features", "cnn_lstm")] == [True, False, False]
    jobs, split = plan(folder, folder / "array", chunks, "scored", validation="scored")
    assert describe_training(folder / "scored", jobs, split).leaky == 0
