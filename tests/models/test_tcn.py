"""Networks that learn from bags of chunks, one per inner fold: sampling, loss, resuming, prediction."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from builders.arrays import describe_events, make_events
from builders.environment import work_alone
from builders.models import fit_lab, plan_lab, train_params, write_lab
from builders.networks import Interrupted, assert_same
from torch.nn.functional import cross_entropy

from mea.arrays.events_file import RecordingsOnDisk
from mea.models.cnn_lstm import CnnLstmModel
from mea.models.registry import MODELS, find_model
from mea.models.spec import ModelSpec
from mea.models.tcn import TcnModel, TcnNetwork
from mea.networks.channels import PopulationView
from mea.networks.chunks import ChunkDataset
from mea.networks.config import TrainingConfig, TrainingRun
from mea.networks.loop import warm_up_and_anneal
from mea.networks.sampling import BagShuffle
from mea.networks.tasks import Classification, average_logits
from mea.networks.trained import load_network, set_weights
from mea.networks.training import train_network
from mea.runtime.errors import MeaError
from mea.splitting.chunks import cut_chunks
from mea.training.classifier import join_classifiers
from mea.training.fitting import fit_fold, read_training_side

pytestmark = pytest.mark.usefixtures("alone")

LABELS = ["a", "b"]
TASK = Classification(label_smoothing=0.05, bag_size=2, bags_per_recording=2)
CONFIG = TrainingConfig(
    epochs=3,
    patience=9,
    min_gain=0.0,
    learning_rate=0.003,
    batch_size=5,
    seed=0,
    weight_decay=0.1,
    lr_schedule="cosine",
)
QUICK = {"bin_ms": 100, "epochs": 2, "patience": 9, "min_gain": 0.0, "learning_rate": 0.003, "batch_size": 8}


@pytest.fixture(scope="module")
def sides():
    torch.set_num_threads(1)
    events = {f"r{k}": make_events(f"r{k}", spikes_per_s=2 + k % 3, seed=k) for k in range(6)}
    lines = [describe_events(events[f"r{k}"], "aab"[k % 3]) for k in range(6)]
    chunks, _ = cut_chunks(pd.DataFrame(lines), 1.0, None)
    training = chunks["recording"].isin(["r0", "r1", "r2"])
    return tuple(ChunkDataset(chunks[side], events, PopulationView(50), LABELS) for side in (training, ~training))


def train(sides, folder=None, training=None, task=TASK, **changed):
    torch.manual_seed(0)
    run = TrainingRun(checkpoint_folder=folder)
    return train_network(TcnNetwork(2), task, training or sides[0], sides[1], replace(CONFIG, **changed), run)


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
    rates = [warm_up_and_anneal(step, 100) for step in range(101)]
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
    trained = train(sides)
    network = TcnNetwork(2)
    network.load_state_dict(trained.weights)
    network.eval()
    logits, targets = [], []
    for name in ("r3", "r4", "r5"):
        own = [k for k, row in enumerate(sides[1].rows) if row[0] == name]
        with torch.inference_mode():
            logits.append(network(torch.stack([sides[1][k][0] for k in own])).mean(0))
        targets.append(sides[1].targets[own[0]])
    loss = cross_entropy(torch.stack(logits), torch.tensor(targets))
    assert float(loss) == pytest.approx(trained.curves["validation_loss"].min(), abs=1e-5)


def test_without_validation_the_last_epoch_is_kept(sides, tmp_path):
    torch.manual_seed(0)
    network, run = TcnNetwork(2), TrainingRun(checkpoint_folder=tmp_path / "c", live_folder=tmp_path / "live")
    trained = train_network(network, TASK, sides[0], None, CONFIG, run)
    curves = trained.curves
    assert curves["validation_loss"].isna().all() and curves["train_loss"].notna().all() and len(curves) == 3
    assert all(torch.equal(values, network.state_dict()[name]) for name, values in trained.weights.items())
    names = {path.stem for path in (tmp_path / "live").rglob("*.tsv")}
    assert names == {"train_loss", "train_accuracy"}


def test_task_and_config_change_the_training(sides):
    plain = train(sides).curves
    changed = [
        train(sides, task=replace(TASK, label_smoothing=0.3)),
        train(sides, task=replace(TASK, bag_size=3)),
        train(sides, weight_decay=0.9),
        train(sides, lr_schedule="constant"),
    ]
    for number, trained in enumerate(changed):
        assert not trained.curves.equals(plain), number


# --- the networks of a fold ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A fold of a lab of twelve recordings: folder, job, chunks, classifier."""
    folder = tmp_path_factory.mktemp("bags")
    with work_alone(folder):
        lab, params = write_lab(folder, duration_s=4.0), train_params("tcn", inner_folds=2, tcn=QUICK)
        classifier, _ = fit_lab(lab, folder / "models", params)
        (job,) = plan_lab(lab, folder / "models", params)
    return folder, job, lab[1], classifier


def test_every_training_recording_is_predicted_by_a_network_that_has_not_seen_its_batch(fitted):
    _, job, chunks, classifier = fitted
    data, training = read_training_side(job), chunks[chunks["fold"] != 0]
    *planned, last = TcnModel._plan_networks(data, job.params)[:3]
    assert len(last.training) == len(training) and not len(last.validation) and last.number == len(planned) == 2
    for one in planned:
        assert not set(one.training["batch"]) & set(one.validation["batch"])
        assert len(one.training) + len(one.validation) == len(training)
    oof = classifier.load_oof(0)
    assert sorted(oof["recording"]) == sorted(training["recording"].unique())
    np.testing.assert_allclose(oof[["p_a", "p_b"]].sum(axis=1), 1)


def test_a_fold_predicts_the_mean_of_its_networks_logits(fitted):
    folder, _, chunks, classifier = fitted
    held_out = chunks[chunks["fold"] == 0]
    events = RecordingsOnDisk(folder / "array", held_out["recording"].unique())
    view, windows = PopulationView(100), held_out[["recording", "start_s", "stop_s"]].itertuples(index=False)
    shown = torch.stack([torch.from_numpy(view.show(events[name], *window)) for name, *window in windows])
    logits = []
    for path in sorted((folder / "models/fold_0/tcn").glob("network_*.safetensors")):
        with torch.inference_mode():
            logits.append(set_weights(TcnNetwork(2), load_network(path))(shown).double())
    mean = torch.stack(logits).mean(0)
    assert len(logits) == 4 and (logits[0] - logits[1]).abs().max() > 1e-3
    model = classifier.open_model(0)
    np.testing.assert_allclose(model.predict_proba(held_out, events), mean.softmax(1), atol=1e-5)
    whole = pd.DataFrame(mean.numpy()).groupby(held_out["recording"].to_numpy(), sort=True).mean().to_numpy(copy=True)
    expected = torch.from_numpy(whole).softmax(1)
    np.testing.assert_allclose(model.predict_recordings(held_out, events), expected, atol=1e-5)
    assert model.compute_features(held_out, events).shape == (len(held_out), 192)


def test_all_networks_are_copied(fitted, tmp_path):
    join_classifiers([fitted[3]], {"tcn": 1.0}, tmp_path)
    copied = {path.name for path in (tmp_path / "fold_0/tcn").iterdir()}
    assert copied == {"model.json", *(f"network_{number}.safetensors" for number in range(4))}


def test_where_the_test_fold_chooses_there_is_one_network(fitted):
    _, job, chunks, _ = fitted
    params = train_params("cnn_lstm", cnn_lstm={"validation": "test_fold"}).of_model("cnn_lstm")
    (one,) = CnnLstmModel._plan_networks(read_training_side(job), params)
    assert len(one.training) == (chunks["fold"] != 0).sum() and set(one.validation["fold"]) == {0}


def test_bins_are_checked_before_training(fitted, tmp_path):
    folder, _, chunks, _ = fitted
    params = train_params("tcn", inner_folds=2, tcn=QUICK | {"bin_ms": 25})
    (job,) = plan_lab((folder / "array", chunks), tmp_path, params)
    with pytest.raises(MeaError, match=r"bin_ms = 25 ms: .*Choose a multiple of 10"):
        fit_fold(job)


def test_predictions_of_chunks_are_reused_by_models_that_average_them_only():
    """The planted fault: a network is run a second time for its recordings, or one that averages logits is not."""

    def averages(name, **changes):
        params = train_params(name, **{name: changes}).of_model(name)
        return find_model(name)(ModelSpec(["a", "b"], 8, 8, params)).averages_chunks

    assert {name for name in MODELS if averages(name)} == {"rate", "cnn_lstm"}
    assert not averages("cnn_lstm", examples="bags")
