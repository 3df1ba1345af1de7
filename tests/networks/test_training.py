"""Chunks as the network sees them, the training loop, and the fit of one fold."""

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from builders.arrays import describe_events, make_events, plan_recordings, write_array
from torch.nn.functional import cross_entropy

from mea.arrays.events_file import save_events
from mea.models.predecessor import CnnLstm
from mea.networks.chunks import ChunkDataset, EpochShuffle, View, load_recordings, measure_rates
from mea.networks.curves import CURVES
from mea.networks.training import Schedule, choose_device, train_network
from mea.runtime.errors import MeaError
from mea.splitting.chunks import cut_chunks
from mea.splitting.folds import assign_folds, assign_inner_folds
from mea.training.fitting import fit_fold
from mea.training.folds import describe_training, plan_folds, summarise_curves
from mea.training.networks import fold_file, load_fold

pytestmark = pytest.mark.usefixtures("alone")

LABELS = ["a", "b"]
VIEW = View("binned", 25, "peak", 20)
SCHEDULE = Schedule(epochs=5, patience=9, min_gain=0.0, learning_rate=0.002, batch_size=4, seed=0)
TRAIN = {
    "model": "cnn_lstm", "network": "predecessor", "sequence": "transpose", "input": "binned", "bin_ms": 25,
    "bin": "count", "scale": 0.03, "validation": "inner", "inner_folds": 2, "epochs": 5, "patience": 9, "min_gain": 0.0,
    "silence": "computed", "precision": "float32", "learning_rate": 0.001,
    "batch_size": 4, "seed": 0,
}  # fmt: skip


@pytest.fixture(scope="module")
def sides():
    """Chunks to learn from and to choose the epoch by, of two recordings each, and their events."""
    torch.set_num_threads(1)  # the number decides bits
    events = {f"r{k}": make_events(f"r{k}", "ab"[k % 2], spikes_per_s=1 + k % 2, seed=k) for k in range(4)}
    recordings = pd.DataFrame([describe_events(item) for item in events.values()])
    chunks, _ = cut_chunks(recordings, 1.0, None)
    training = chunks["recording"].isin(["r0", "r1"])
    return tuple(ChunkDataset(chunks[side], events, VIEW, LABELS) for side in (training, ~training))


def train(sides, folder=None, seed=0, training=None, **changed):
    torch.manual_seed(seed)
    network = CnnLstm(12, 12, 2, "transpose")
    return train_network(network, training or sides[0], sides[1], replace(SCHEDULE, **changed), folder)


def assert_same(one, other):
    """The same weights and curves to the bit."""
    assert list(one[0]) == list(other[0])
    assert all(torch.equal(one[0][name], other[0][name]) for name in one[0])
    pd.testing.assert_frame_equal(one[1], other[1], check_exact=True)


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
    assert not torch.equal(other[0]["conv1.weight"], whole[0]["conv1.weight"])
    torch.manual_seed(0)  # the same initial weights, the chunks in another order
    reordered = train_network(CnnLstm(12, 12, 2, "transpose"), *sides, replace(SCHEDULE, seed=5))
    assert not reordered[1].equals(whole[1])


class Interrupted(ChunkDataset):
    """Breaks down in the middle of an epoch, as a power cut would."""

    def __init__(self, dataset, after):
        self.__dict__.update(vars(dataset))
        self.left = after

    def __getitem__(self, index):
        if self.left == 0:
            raise OSError("power cut")
        self.left -= 1
        return super().__getitem__(index)


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
    assert len(stopped[1]) == 3
    assert_same(train(sides, tmp_path, training=Interrupted(sides[0], 0), min_gain=9.0, patience=2), stopped)


def test_a_checkpoint_cut_off_is_left_aside(sides, whole, tmp_path):
    train(sides, tmp_path, epochs=2)
    checkpoint = tmp_path / "last.ckpt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:5000])
    assert_same(train(sides, tmp_path), whole)


def test_the_best_epoch_is_kept(sides):
    """With a learning rate that makes the loss jump, the best epoch is neither the first nor the last."""
    weights, curves = train(sides, epochs=8, learning_rate=0.02)
    losses = curves["validation_loss"]
    assert 0 < losses.idxmin() < len(losses) - 1
    network = CnnLstm(12, 12, 2, "transpose")
    network.load_state_dict(weights)
    chunks, targets = zip(*(sides[1][index] for index in range(len(sides[1]))))
    with torch.inference_mode():
        loss = cross_entropy(network(torch.stack(chunks)), torch.tensor(targets))
    assert float(loss) == pytest.approx(losses.min(), rel=1e-4)
    assert (losses.drop(losses.idxmin()) - losses.min()).min() > 1e-3 * losses.min(), "no other epoch would do"


def test_early_stopping_stops_after_its_patience(sides):
    for patience in (1, 3):
        _, curves = train(sides, epochs=20, patience=patience, min_gain=9.0)
        assert curves["epoch"].tolist() == list(range(1, patience + 2))


def test_a_training_that_diverges_says_so(sides):
    with pytest.raises(
        MeaError, match=r"training: no epoch gave a finite validation loss\. Lower train\.learning_rate"
    ):
        train(sides, learning_rate=1e30)


def test_curves_are_written_while_it_trains(sides, tmp_path):
    torch.manual_seed(0)
    _, curves = train_network(CnnLstm(12, 12, 2, "transpose"), *sides, SCHEDULE, live_folder=tmp_path / "live")
    assert list(curves.columns) == ["epoch", *CURVES] and np.isfinite(curves.to_numpy()).all()
    for name in CURVES:
        live = pd.read_csv(tmp_path / "live" / "plots" / "metrics" / f"{name}.tsv", sep="\t")
        np.testing.assert_allclose(live[name], curves[name], atol=1e-6)


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
    shuffle = EpochShuffle(8, SCHEDULE.seed)
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
    full = View("full", 25, "peak", 1).show(events, 1.0, 1.5)
    assert full.shape == (1, 12, 12, 12_500) and full.dtype == np.float32
    np.testing.assert_array_equal(full[0], events.dense(25_000, 37_500))
    peak = View("binned", 20, "peak", 1).show(events, 1.0, 1.5)
    assert peak.shape == (1, 12, 12, 25) and peak.dtype == np.float32
    bins = full[0].reshape(12, 12, 25, 500)
    largest = np.take_along_axis(bins, np.abs(bins).argmax(3, keepdims=True), 3)[..., 0]
    np.testing.assert_array_equal(peak[0], largest)
    count = View("binned", 20, "count", 1).show(events, 1.0, 1.5)
    inside = (events.peak_sample >= 25_000) & (events.peak_sample < 37_500)
    assert count.sum() == inside.sum() > 0
    for view in (View("full", 25, "peak", 20), View("binned", 20, "peak", 20), View("binned", 20, "count", 20)):
        scaled, plain = view.show(events, 1.0, 1.5), replace(view, scale=1).show(events, 1.0, 1.5)
        np.testing.assert_array_equal(scaled, plain / np.float32(20))
        assert scaled.dtype == np.float32


@pytest.mark.parametrize(("shown", "bin_by"), [("full", "peak"), ("full", "count"), ("binned", "peak")])
def test_spike_times_have_no_waveform_to_show(shown, bin_by):
    events = make_events("r7", waveforms=False)
    chunks, _ = cut_chunks(pd.DataFrame([describe_events(events)]), 1.0, None)
    with pytest.raises(MeaError) as error:
        ChunkDataset(chunks, {"r7": events}, View(shown, 20, bin_by, 1), LABELS)
    assert str(error.value) == (
        f"r7: holds spike times without waveforms, which train.input = {shown} with train.bin = {bin_by} needs. "
        "Set train.input: binned and train.bin: count."
    )
    dataset = ChunkDataset(chunks, {"r7": events}, View("binned", 20, "count", 1), LABELS)
    assert sum(float(dataset[index][0].sum()) for index in range(4)) == len(events)


def test_chunks_come_with_the_number_of_their_label():
    events = {name: make_events(name, label, seed=ord(label)) for name, label in (("r1", "b"), ("r2", "a"))}
    chunks, _ = cut_chunks(pd.DataFrame([describe_events(item) for item in events.values()]), 2.0, None)
    dataset = ChunkDataset(chunks, events, VIEW, LABELS)
    assert len(dataset) == 4 and [dataset[index][1] for index in range(4)] == [1, 1, 0, 0]
    values, _ = dataset[3]
    np.testing.assert_array_equal(values.numpy(), VIEW.show(events["r2"], 2.0, 4.0))


def test_rates_are_spikes_per_second_and_electrode():
    events = make_events("r1", spikes_per_s=3.0, duration_s=5.0)
    chunks, _ = cut_chunks(pd.DataFrame([describe_events(events)]), 1.0, None)
    times = events.peak_sample / 25_000
    by_hand = [((times >= start) & (times < start + 1)).sum() / 144 for start in range(5)]
    np.testing.assert_allclose(measure_rates(chunks, {"r1": events}), by_hand)
    np.testing.assert_allclose(by_hand, 3.0, rtol=0.3)


# --- one fold --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Twelve recordings and their chunks with folds."""
    folder = tmp_path_factory.mktemp("lab")
    recordings = write_array(folder / "array", duration_s=2.0)
    chunks, _ = cut_chunks(pd.DataFrame([describe_events(events) for events in recordings]), 1.0, None)
    return folder / "array", chunks.assign(fold=assign_folds(chunks, "batch", 3, 0))


def plan(lab, folder, score=(0,), **changed):
    array, chunks = lab
    split = {"split_level": "batch", "score": list(score), "params": {"train": TRAIN | changed}}
    folder.mkdir(parents=True, exist_ok=True)
    return plan_folds(chunks, split, array, folder, folder / "live")


def fit(lab, folder, **changed):
    """Fit fold 0; its bytes, and its curves."""
    job = replace(plan(lab, folder, **changed)[0], threads=1)
    return job, fit_fold(job), (folder / fold_file(0)).read_bytes()


def spoil_held_out(lab, folder):
    """The same lab, but what fold 0 holds are other spikes altogether, and every label is wrong."""
    array, chunks = lab
    shutil.copytree(array, folder)
    held = chunks["fold"] == 0
    for number, (name, label) in enumerate(chunks[held].groupby("recording")["label"].first().items()):
        events = make_events(name, spikes_per_s={"a": 2.0, "b": 8.0}[label], seed=100 + number, duration_s=2.0)
        save_events(folder / f"{name}.npz", events)
    spoiled = chunks.copy()
    spoiled.loc[held, "label"] = np.where(chunks["label"][held] == "a", "b", "a")
    return folder, spoiled


def test_scored_data_reaches_neither_training_nor_the_choice_of_epoch(lab, tmp_path):
    """Spoil all that fold 0 holds: with inner validation the same bytes come out, network, curves and baseline."""
    spoiled = spoil_held_out(lab, tmp_path / "spoiled")
    _, curves, weights = fit(lab, tmp_path / "one")
    _, same_curves, same_weights = fit(spoiled, tmp_path / "two")
    assert weights == same_weights and curves.equals(same_curves)
    rate = "fold_0_rate.skops"
    assert (tmp_path / "one" / rate).read_bytes() == (tmp_path / "two" / rate).read_bytes()


def test_scored_validation_chooses_by_what_it_is_scored_on(lab, tmp_path):
    """The predecessor's way, for contrast: spoiling what fold 0 holds changes which epoch is kept, and nothing else."""
    spoiled = spoil_held_out(lab, tmp_path / "spoiled")
    _, curves, weights = fit(lab, tmp_path / "one", validation="scored")
    _, other_curves, other_weights = fit(spoiled, tmp_path / "two", validation="scored")
    assert curves["train_loss"].equals(other_curves["train_loss"]), "the training itself does not see it"
    assert curves["validation_loss"].idxmin() != other_curves["validation_loss"].idxmin()
    assert weights != other_weights


def test_inner_validation_is_of_other_batches_than_training(lab):
    _, chunks = lab
    training = chunks[chunks["fold"] != 0]
    inner = assign_inner_folds(training, "batch", TRAIN["inner_folds"], TRAIN["seed"]) == 0
    batches = [set(part["batch"]) for part in (training[inner], training[~inner], chunks[chunks["fold"] == 0])]
    assert all(batches) and sum(map(len, batches)) == len(set.union(*batches)) == 3


def test_a_fold_is_kept_until_something_that_decides_it_changes(lab, tmp_path):
    cache = tmp_path / "cache"

    def count_kept():
        return len(list(cache.rglob("*.safetensors")))

    _, curves, weights = fit(lab, tmp_path / "one")
    (kept,) = cache.rglob("*.safetensors")
    written = kept.stat().st_mtime_ns
    _, again, same = fit(lab, tmp_path / "two")
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
    save_events(tmp_path / "array" / "r00.npz", make_events("r00", "a", "b0-a-0", "b0", seed=50, duration_s=2.0))
    fit((tmp_path / "array", chunks), tmp_path / "five", epochs=1)
    assert count_kept() == 4


def test_curves_and_weights_of_a_fold_round_trip(lab, tmp_path):
    _, curves, content = fit(lab, tmp_path, epochs=2)
    weights, rows = load_fold(tmp_path / fold_file(0))
    np.testing.assert_array_equal(rows, curves[list(CURVES)].to_numpy())
    CnnLstm(12, 12, 2, "transpose").load_state_dict(weights)
    assert b"__metadata__" not in content[:4000]


def test_no_inner_validation_is_an_error(tmp_path):
    recordings = write_array(tmp_path / "array", plan_recordings(batches=2), duration_s=2.0)
    chunks, _ = cut_chunks(pd.DataFrame([describe_events(events) for events in recordings]), 1.0, None)
    lab = tmp_path / "array", chunks.assign(fold=assign_folds(chunks, "batch", 2, 0))
    with pytest.raises(MeaError, match="no inner validation is possible in the training set: 1 groups by batch"):
        fit(lab, tmp_path / "out")


def test_recordings_of_two_grids(tmp_path):
    lines = plan_recordings()
    lines[3]["rows"] = 8
    recordings = write_array(tmp_path / "array", lines, duration_s=2.0)
    chunks, _ = cut_chunks(pd.DataFrame([describe_events(events) for events in recordings]), 1.0, None)
    with pytest.raises(MeaError, match=r"recordings of different grids, \[\(8, 12\), \(12, 12\)\]: a classifier takes"):
        plan((tmp_path / "array", chunks.assign(fold=0)), tmp_path / "out")


def test_a_missing_recording_names_its_file(lab, tmp_path):
    with pytest.raises(MeaError, match=r"r00\.npz: not a file written by the array stage .* Run dvc repro array\."):
        load_recordings(tmp_path, ["r00"])


# --- what is said of a training --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "validation", "split_warning", "leaky", "warning"),
    [
        ("cnn_lstm", "inner", "", 0, ""),
        ("cnn_lstm", "scored", "", 1, "leaky: the epoch was chosen on the fold it is scored on"),
        ("cnn_lstm", "inner", "leaky: by chunk", 1, "leaky: by chunk"),
        ("cnn_lstm", "scored", "leaky: by chunk", 1,
         "leaky: by chunk; leaky: the epoch was chosen on the fold it is scored on"),
        ("rate", "scored", "", 0, ""),
    ],
)  # fmt: skip
def test_leaks_are_marked(lab, tmp_path, model, validation, split_warning, leaky, warning):
    jobs = plan(lab, tmp_path, score=(0, 2), model=model, validation=validation)
    split = {
        "leaky": int(bool(split_warning)),
        "warning": split_warning,
        "params": {"train": TRAIN, "split": {"chunk_s": 1.0, "first_s": None}},
    }
    classifier = describe_training(tmp_path, jobs, split)
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


def test_device_is_named_and_checked(monkeypatch):
    monkeypatch.setenv("MEA_DEVICE", "cpu")
    assert choose_device() == "cpu"
    monkeypatch.setenv("MEA_DEVICE", "abacus")
    with pytest.raises(MeaError, match=r"MEA_DEVICE=abacus: there is no such device here; there is .*cpu"):
        choose_device()
