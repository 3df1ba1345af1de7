"""Networks that learn from bags of chunks, one per inner fold: sampling, loss, resuming, judging."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from builders.arrays import describe_events, make_events, write_array
from test_training import Interrupted, assert_same
from torch.nn.functional import cross_entropy

from mea.models import tcn
from mea.networks.channels import PopulationView
from mea.networks.chunks import BagShuffle, ChunkDataset, load_recordings
from mea.networks.recipes import Recipe
from mea.networks.training import Schedule, average_logits, find_rate, train_network
from mea.runtime.errors import MeaError
from mea.runtime.tables import read_table
from mea.splitting.chunks import cut_chunks
from mea.splitting.folds import assign_folds
from mea.training.classifier import copy_models, inner_file, load_classifier, save_classifier
from mea.training.fitting import fit_fold
from mea.training.folds import describe_training, plan_folds
from mea.training.members import plan_members
from mea.training.networks import find_entries, fold_file, load_network, member_file

pytestmark = pytest.mark.usefixtures("alone")

LABELS = ["a", "b"]
RECIPE = Recipe(bag=2, bags=2, weight_decay=0.1, smoothing=0.05, cosine=True, members=True)
SCHEDULE = Schedule(epochs=3, patience=9, min_gain=0.0, learning_rate=0.003, batch_size=5, seed=0)
TRAIN = {
    "model": "tcn", "network": "grid", "bin_ms": 100, "validation": "inner", "inner_folds": 2, "epochs": 2,
    "patience": 9, "min_gain": 0.0, "learning_rate": 0.003, "batch_size": 8, "precision": "float32", "seed": 0,
}  # fmt: skip


@pytest.fixture(scope="module")
def sides():
    torch.set_num_threads(1)
    events = {f"r{k}": make_events(f"r{k}", "aab"[k % 3], spikes_per_s=2 + k % 3, seed=k) for k in range(6)}
    chunks, _ = cut_chunks(pd.DataFrame([describe_events(item) for item in events.values()]), 1.0, None)
    training = chunks["recording"].isin(["r0", "r1", "r2"])
    return tuple(ChunkDataset(chunks[side], events, PopulationView(50), LABELS) for side in (training, ~training))


def train(sides, folder=None, training=None, recipe=RECIPE, **changed):
    torch.manual_seed(0)
    return train_network(
        tcn.Tcn(2), training or sides[0], sides[1], replace(SCHEDULE, **changed), folder, recipe=recipe
    )


# --- drawing ---------------------------------------------------------------------------------------------------------


def test_bags_are_of_one_recording_and_classes_alike_often(sides):
    dataset, drawn = sides[0], Counter()
    sampler = BagShuffle(dataset, 3, 200.0, seed=0)
    numbers = list(sampler)
    assert len(numbers) == len(sampler) == 3 * 200 * 3
    for bag in np.reshape(numbers, (-1, 3)):
        assert len(set(bag)) == 3 and len({dataset.rows[number][0] for number in bag}) == 1
        drawn[dataset.rows[bag[0]][0]] += 1
    assert drawn["r2"] / 600 == pytest.approx(0.5, abs=0.07)  # the only recording of its class
    assert drawn["r0"] / 600 == pytest.approx(0.25, abs=0.06)
    assert set(numbers) == set(range(len(dataset)))


def test_bags_depend_on_seed_and_epoch_alone(sides):
    def draw(seed, epoch):
        sampler = BagShuffle(sides[0], 2, 2.0, seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert draw(1, 4) == draw(1, 4) and draw(1, 4) != draw(1, 5) and draw(1, 4) != draw(2, 4)
    assert all(isinstance(number, int) for number in draw(0, 0))


def test_a_recording_with_few_chunks_is_drawn_repeatedly(sides):
    sampler = BagShuffle(sides[0], 50, 1.0, seed=0)
    assert {sides[0].rows[number][0] for number in list(sampler)[:50]} != {"r0", "r1", "r2"}


def test_kept_chunks_are_the_same(sides):
    fresh = sides[0]
    chunks = pd.DataFrame(fresh.rows, columns=["recording", "start_s", "stop_s"]).assign(label="a")
    kept = ChunkDataset(chunks, fresh.events, fresh.view, LABELS, keep=True)
    assert all(torch.equal(kept[k][0], fresh[k][0]) for k in (0, 5, 0))
    assert kept[5][0] is kept[5][0]


# --- the loop --------------------------------------------------------------------------------------------------------


def test_a_recordings_logits_are_the_mean_of_its_chunks():
    logits = torch.tensor([[1.0, 0.0], [4.0, 4.0], [3.0, 2.0]])
    mean, targets = average_logits(logits, torch.tensor([0, 1, 0]), torch.tensor([0, 1, 0]))
    assert mean.tolist() == [[2.0, 1.0], [4.0, 4.0]] and targets.tolist() == [0, 1]


def test_the_learning_rate_rises_and_falls():
    rates = [find_rate(step, 100) for step in range(101)]
    assert rates[0] == pytest.approx(0.1) and np.argmax(rates) == 9 and rates[100] == pytest.approx(0, abs=1e-9)
    assert rates[50] == pytest.approx(0.5) and (np.diff(rates[10:]) < 0).all()


@pytest.mark.parametrize("chunks_seen", [3, 12 + 7, 24 + 5])
def test_an_interrupted_training_ends_with_the_same_bits(sides, tmp_path, chunks_seen):
    """Drawing, what falls out and the learning rate go on as if nothing had happened."""
    whole = train(sides)
    with pytest.raises(OSError, match="power cut"):
        train(sides, tmp_path, training=Interrupted(sides[0], chunks_seen))
    torch.manual_seed(99)
    assert_same(train(sides, tmp_path), whole)


def test_the_validation_loss_is_that_of_recordings(sides):
    weights, curves = train(sides)
    network = tcn.Tcn(2)
    network.load_state_dict(weights)
    network.eval()
    logits, targets = [], []
    for name in ("r3", "r4", "r5"):
        own = [k for k, row in enumerate(sides[1].rows) if row[0] == name]
        with torch.inference_mode():
            logits.append(network(torch.stack([sides[1][k][0] for k in own])).mean(0))
        targets.append(sides[1].targets[own[0]])
    loss = cross_entropy(torch.stack(logits), torch.tensor(targets))
    assert float(loss) == pytest.approx(curves["validation_loss"].min(), abs=1e-5)


def test_without_validation_the_last_epoch_is_kept(sides, tmp_path):
    torch.manual_seed(0)
    network = tcn.Tcn(2)
    weights, curves = train_network(network, sides[0], None, SCHEDULE, tmp_path / "c", tmp_path / "live", recipe=RECIPE)
    assert curves["validation_loss"].isna().all() and curves["train_loss"].notna().all() and len(curves) == 3
    assert all(torch.equal(values, network.state_dict()[name]) for name, values in weights.items())
    names = {path.stem for path in (tmp_path / "live").rglob("*.tsv")}
    assert names == {"train_loss", "train_accuracy"}


def test_the_recipe_changes_the_training(sides):
    plain = train(sides, recipe=RECIPE)
    for change in ({"smoothing": 0.3}, {"weight_decay": 0.9}, {"cosine": False}, {"bag": 3}):
        assert not train(sides, recipe=replace(RECIPE, **change))[1].equals(plain[1]), change


# --- the networks of a fold ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A fold of a lab of twelve recordings."""
    folder = tmp_path_factory.mktemp("bags")
    (folder / "models").mkdir()
    recordings = write_array(folder / "array", duration_s=4.0)
    chunks, _ = cut_chunks(pd.DataFrame([describe_events(events) for events in recordings]), 1.0, None)
    chunks = chunks.assign(fold=assign_folds(chunks, "batch", 3, 0))
    params = {"train": TRAIN, "split": {"chunk_s": 1.0, "first_s": None}}
    split = {"split_level": "batch", "score": [0], "leaky": 0, "warning": "", "params": params}
    jobs = plan_folds(chunks, split, folder / "array", folder / "models", folder / "live")
    jobs = [replace(job, threads=1) for job in jobs]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEA_QUIET", "1")
        patch.setenv("MEA_DEVICE", "cpu")
        patch.setenv("MEA_CACHE", str(folder / "cache"))
        fit_fold(jobs[0])
    save_classifier(describe_training(folder / "models", jobs, split))
    return folder, jobs[0], chunks


def test_every_training_recording_is_judged_by_a_network_that_has_not_seen_its_batch(fitted):
    folder, job, chunks = fitted
    training = chunks[chunks["fold"] != 0]
    *members, last = (member for member in plan_members(job, training) if member.number < 3)
    assert len(last.learned) == len(training) and not len(last.held) and last.file == member_file(0, len(members))
    for member in members:
        assert not set(member.learned["batch"]) & set(member.held["batch"])
        assert len(member.learned) + len(member.held) == len(training)
    inner = read_table(folder / "models" / inner_file(0))
    assert sorted(inner["recording"]) == sorted(training["recording"].unique())
    np.testing.assert_allclose(inner[["p_a", "p_b"]].sum(axis=1), 1)
    assert [member.file for member in members] == [member_file(0, k) for k in range(len(members))]


def test_a_fold_says_the_mean_of_its_networks_logits(fitted):
    folder, _job, chunks = fitted
    classifier = load_classifier(folder / "models")
    held = chunks[chunks["fold"] == 0]
    events = load_recordings(folder / "array", held["recording"].unique())
    view, windows = PopulationView(100), held[["recording", "start_s", "stop_s"]].itertuples(index=False)
    shown = torch.stack([torch.from_numpy(view.show(events[name], *window)) for name, *window in windows])
    logits = []
    for path in find_entries(folder / "models", 0):
        with torch.inference_mode():
            logits.append(load_network(path, TRAIN, 12, 12, 2)(shown).double())
    mean = torch.stack(logits).mean(0)
    assert len(logits) == 4 and (logits[0] - logits[1]).abs().max() > 1e-3
    np.testing.assert_allclose(classifier.predict(held, events, 0), mean.softmax(1), atol=1e-5)
    whole = pd.DataFrame(mean.numpy()).groupby(held["recording"].to_numpy()).transform("mean").to_numpy(copy=True)
    assert classifier.judges_recordings
    np.testing.assert_allclose(classifier.predict_whole(held, events, 0), torch.from_numpy(whole).softmax(1), atol=1e-5)
    assert classifier.describe(held, events, 0).shape == (len(held), 192)


def test_all_members_are_copied(fitted, tmp_path):
    folder, _, _ = fitted
    copy_models(load_classifier(folder / "models"), tmp_path)
    assert {member_file(0, k) for k in range(4)} <= {path.name for path in tmp_path.iterdir()}


def test_where_the_scored_fold_chooses_there_is_one_network(fitted):
    _, job, chunks = fitted
    job = replace(job, train=TRAIN | {"validation": "scored"})
    (member,) = plan_members(job, chunks[chunks["fold"] != 0])
    assert member.file == fold_file(0) and set(member.held["fold"]) == {0}


def test_bins_are_checked_before_training(fitted):
    folder, job, _ = fitted
    with pytest.raises(MeaError, match=r"train\.bin_ms = 25 ms: .*Choose a multiple of 10"):
        fit_fold(replace(job, train=TRAIN | {"bin_ms": 25}, folder=folder))
