"""The training loop, and chunks as the network sees them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from builders.arrays import describe_events, make_events
from builders.networks import CONFIG, LABELS, VIEW, Interrupted, assert_same, make_sides, train
from torch.nn.functional import cross_entropy

from mea.models.cnn_lstm import CnnLstmNetwork
from mea.networks import callbacks
from mea.networks.chunks import ArrayView, ChunkDataset
from mea.networks.curves import CURVES
from mea.networks.devices import choose_device
from mea.networks.sampling import EpochShuffle
from mea.runtime.errors import MeaError
from mea.splitting.chunks import cut_chunks

pytestmark = pytest.mark.usefixtures("alone")


@pytest.fixture(scope="module")
def sides():
    return make_sides()


@pytest.fixture(scope="module")
def whole(sides):
    """A training that nothing interrupted."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEA_QUIET", "1")
        patch.setenv("MEA_DEVICE", "cpu")
        return train(sides)


# --- the loop --------------------------------------------------------------------------------------------------------


def test_the_seed_decides_the_bits(sides, whole):
    assert_same(train(sides), whole)
    other = train(sides, seed=1)
    assert not torch.equal(other.weights["conv1.weight"], whole.weights["conv1.weight"])
    reordered = train(sides, shuffle_seed=5)
    assert not reordered.curves.equals(whole.curves)


@pytest.mark.parametrize("chunks_seen", [3, 8 * 2 + 5, 8 * 4 + 1])
def test_an_interrupted_training_ends_with_the_same_bits(sides, whole, tmp_path, chunks_seen):
    """In the first epoch, the third and the last; it goes on from the last whole epoch, not from the start."""
    with pytest.raises(OSError, match="power cut"):
        train(sides, tmp_path, training=Interrupted(sides[0], chunks_seen))
    left_over = 8 * 5 - chunks_seen // 8 * 8  # training chunks in the epochs still to do
    rest = Interrupted(sides[0], left_over)
    torch.manual_seed(99)  # what a new process draws before must not matter
    resumed = train(sides, tmp_path, training=rest, seed=0 if chunks_seen < 8 else 7)
    assert_same(resumed, whole)
    assert rest.left == 0


def test_a_finished_training_is_not_trained_further(sides, whole, tmp_path):
    """Killed after its last checkpoint and before its weights were kept: neither an error nor one more epoch."""
    train(sides, tmp_path)
    assert_same(train(sides, tmp_path, training=Interrupted(sides[0], 0)), whole)


def test_a_stopped_training_is_not_trained_further(sides, tmp_path):
    stopped = train(sides, tmp_path, min_gain=9.0, patience=2)
    assert len(stopped.curves) == 3
    assert_same(train(sides, tmp_path, training=Interrupted(sides[0], 0), min_gain=9.0, patience=2), stopped)


def test_a_checkpoint_cut_off_is_left_aside(sides, whole, tmp_path):
    train(sides, tmp_path, epochs=2)
    checkpoint = tmp_path / "last.ckpt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:5000])
    assert_same(train(sides, tmp_path), whole)


def test_the_best_epoch_is_kept(sides):
    """With a learning rate that makes the loss jump, the best epoch is neither the first nor the last."""
    trained = train(sides, epochs=8, learning_rate=0.02)
    losses = trained.curves["validation_loss"]
    assert 0 < losses.idxmin() < len(losses) - 1
    network = CnnLstmNetwork(12, 12, 2, "transpose")
    network.load_state_dict(trained.weights)
    chunks, targets = zip(*(sides[1][index] for index in range(len(sides[1]))))
    with torch.inference_mode():
        loss = cross_entropy(network(torch.stack(chunks)), torch.tensor(targets))
    assert float(loss) == pytest.approx(losses.min(), rel=1e-4)
    assert (losses.drop(losses.idxmin()) - losses.min()).min() > 1e-3 * losses.min(), "no other epoch would do"


def test_early_stopping_stops_after_its_patience(sides):
    for patience in (1, 3):
        curves = train(sides, epochs=20, patience=patience, min_gain=9.0).curves
        assert curves["epoch"].tolist() == list(range(1, patience + 2))


def test_a_training_that_diverges_says_so(sides):
    with pytest.raises(
        MeaError, match=r"training: no epoch gave a finite validation loss\. Lower the model's learning_rate"
    ):
        train(sides, learning_rate=1e30)


def test_curves_are_written_when_it_is_done(sides, tmp_path):
    curves = train(sides, live=tmp_path / "live").curves
    assert list(curves.columns) == ["epoch", *CURVES] and np.isfinite(curves.to_numpy()).all()
    for name in CURVES:
        live = pd.read_csv(tmp_path / "live" / "plots" / "metrics" / f"{name}.tsv", sep="\t")
        np.testing.assert_allclose(live[name], curves[name], atol=1e-6)


def test_curves_are_written_while_it_trains(sides, tmp_path, monkeypatch):
    """After the first epoch, and again when some seconds have passed."""
    written = []
    monkeypatch.setattr(callbacks, "write_live", lambda rows, folder: written.append(len(rows)))
    monkeypatch.setattr(callbacks, "LIVE_EVERY_S", 1e9)
    train(sides, epochs=4, patience=9, live=tmp_path / "live")
    monkeypatch.setattr(callbacks, "LIVE_EVERY_S", 0.0)
    train(sides, epochs=4, patience=9, live=tmp_path / "live")
    assert written == [1, 4, 1, 2, 3, 4, 4]


class Spy(ChunkDataset):
    """Remembers which chunks were asked for."""

    def __init__(self, dataset):
        self.__dict__.update(vars(dataset))
        self.asked = []

    def __getitem__(self, index):
        self.asked.append(index)
        return super().__getitem__(index)


def test_every_epoch_has_its_own_order(sides):
    spy = Spy(sides[0])
    train(sides, training=spy, epochs=3)
    orders = np.reshape(spy.asked, (3, 8))
    assert (np.sort(orders) == np.arange(8)).all()
    assert len({tuple(order) for order in orders}) == 3
    shuffle = EpochShuffle(8, CONFIG.seed)
    for epoch, order in enumerate(orders):
        shuffle.set_epoch(epoch)
        assert list(shuffle) == order.tolist()


def test_order_depends_on_seed_and_epoch_alone():
    def list_order(seed, epoch):
        np.random.seed(0)  # noqa: NPY002 - whatever others draw
        torch.manual_seed(np.random.randint(100))  # noqa: NPY002
        shuffle = EpochShuffle(50, seed)
        shuffle.set_epoch(epoch)
        return tuple(shuffle)

    orders = {(seed, epoch): list_order(seed, epoch) for seed in range(3) for epoch in range(3)}
    assert len(set(orders.values())) == 9 and all(sorted(order) == list(range(50)) for order in orders.values())
    assert orders == {key: list_order(*key) for key in orders}
    assert len(EpochShuffle(50, 0)) == 50


# --- what the network sees -------------------------------------------------------------------------------------------


def test_views():
    events = make_events(seed=3)
    full = ArrayView("full", 25, "peak", 1).show(events, 1.0, 1.5)
    assert full.shape == (1, 12, 12, 12_500) and full.dtype == np.float32
    np.testing.assert_array_equal(full[0], events.dense(25_000, 37_500))
    peak = ArrayView("binned", 20, "peak", 1).show(events, 1.0, 1.5)
    assert peak.shape == (1, 12, 12, 25) and peak.dtype == np.float32
    bins = full[0].reshape(12, 12, 25, 500)
    largest = np.take_along_axis(bins, np.abs(bins).argmax(3, keepdims=True), 3)[..., 0]
    np.testing.assert_array_equal(peak[0], largest)
    count = ArrayView("binned", 20, "count", 1).show(events, 1.0, 1.5)
    inside = (events.peak_sample >= 25_000) & (events.peak_sample < 37_500)
    assert count.sum() == inside.sum() > 0
    for view in (
        ArrayView("full", 25, "peak", 20),
        ArrayView("binned", 20, "peak", 20),
        ArrayView("binned", 20, "count", 20),
    ):
        scaled, plain = view.show(events, 1.0, 1.5), replace(view, scale=1).show(events, 1.0, 1.5)
        np.testing.assert_array_equal(scaled, plain / np.float32(20))
        assert scaled.dtype == np.float32


@pytest.mark.parametrize(("shown", "bin_by"), [("full", "peak"), ("full", "count"), ("binned", "peak")])
def test_spike_times_have_no_waveform_to_show(shown, bin_by):
    events = make_events("r7", waveforms=False)
    chunks, _ = cut_chunks(pd.DataFrame([describe_events(events)]), 1.0, None)
    with pytest.raises(MeaError) as error:
        ChunkDataset(chunks, {"r7": events}, ArrayView(shown, 20, bin_by, 1), LABELS)
    assert str(error.value) == (
        f"r7: holds spike times without waveforms, which train.cnn_lstm.input = {shown} with "
        f"train.cnn_lstm.bin = {bin_by} needs. Set train.cnn_lstm.input: binned and train.cnn_lstm.bin: count."
    )
    dataset = ChunkDataset(chunks, {"r7": events}, ArrayView("binned", 20, "count", 1), LABELS)
    assert sum(float(dataset[index][0].sum()) for index in range(4)) == len(events)


def test_chunks_come_with_the_number_of_their_label():
    events = {name: make_events(name, seed=number) for number, name in enumerate(("r1", "r2"))}
    lines = [describe_events(events["r1"], "b"), describe_events(events["r2"], "a")]
    chunks, _ = cut_chunks(pd.DataFrame(lines), 2.0, None)
    dataset = ChunkDataset(chunks, events, VIEW, LABELS)
    assert len(dataset) == 4 and [dataset[index][1] for index in range(4)] == [1, 1, 0, 0]
    values, _ = dataset[3]
    np.testing.assert_array_equal(values.numpy(), VIEW.show(events["r2"], 2.0, 4.0))


def test_device_is_named_and_checked(monkeypatch):
    monkeypatch.setenv("MEA_DEVICE", "cpu")
    assert choose_device() == "cpu"
    monkeypatch.setenv("MEA_DEVICE", "abacus")
    with pytest.raises(MeaError, match=r"MEA_DEVICE=abacus: there is no such device here; there is .*cpu"):
        choose_device()
