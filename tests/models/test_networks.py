"""tcn and grid_lstm: shapes, gradients, what they must not see, and that they can learn."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from builders.arrays import make_events, reorder
from builders.models import train_params
from torch import nn
from torch.nn.functional import conv2d, cross_entropy

from mea.features.families import list_targets
from mea.models.base import TrainingSide
from mea.models.grid_lstm import (
    STATES,
    GridLstmNetwork,
    convolve_partially,
    pool_chunk,
    pool_electrodes,
    pool_places,
)
from mea.models.network_model import weigh_classes
from mea.models.tcn import TcnNetwork
from mea.networks.channels import GridView, PopulationView
from mea.networks.layers import pool_time
from mea.networks.tasks import Classification, FeatureRegression

BINS = 40
MISSES = FeatureRegression().loss
NETWORKS = ("grid_lstm", "tcn")
VIEWS = {"tcn": PopulationView(100), "grid_lstm": GridView(100)}


def build(name, n_labels=2, seed=0):
    torch.manual_seed(seed)
    return TcnNetwork(n_labels) if name == "tcn" else GridLstmNetwork(len(list_targets()))


def show(name, events, start_s=0.0, stop_s=4.0):
    return torch.from_numpy(VIEWS[name].show(events, start_s, stop_s))[None]


@pytest.fixture(scope="module")
def events():
    return make_events("r1", spikes_per_s=8, duration_s=8.0)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_parameter_learns(name, events):
    network = build(name, n_labels=3)
    chunks = torch.cat([show(name, events, start, start + 4) for start in (0.0, 1.0, 2.0, 3.0, 4.0, 3.5)])
    said = network(pool_chunk(chunks) if name == "grid_lstm" else chunks)
    n_features = len(list_targets())
    assert said.shape == (6, n_features if name == "grid_lstm" else 3)
    assert network.compute_features(chunks).shape == (6, STATES + n_features if name == "grid_lstm" else 192)
    (said**2 if name == "grid_lstm" else cross_entropy(said, torch.tensor([0, 1, 2, 0, 1, 2]))).sum().backward()
    for key, values in network.named_parameters():
        assert values.grad is not None and values.grad.abs().sum() > 0, key


def test_the_head_decides_by_the_features(events):
    network = build("tcn").eval()
    chunk = show("tcn", events)
    torch.testing.assert_close(network(chunk), network.head(network.compute_features(chunk)))


def test_features_are_states_and_predictions_from_them(events):
    network = build("grid_lstm").eval()
    chunk = show("grid_lstm", events)
    described = network.compute_features(chunk)
    torch.testing.assert_close(network.head(described[:, :STATES]), described[:, STATES:])
    torch.testing.assert_close(network(pool_chunk(chunk)), described[:, STATES:])


@pytest.mark.parametrize("name", NETWORKS)
def test_shortcuts_change_nothing(name, events):
    """Order of electrodes, clock, length, gain and name."""
    network = build(name).eval()
    shift = 3 * events.sampling_rate_hz
    other = replace(
        reorder(events), first_sample=events.first_sample + shift, peak_sample=events.peak_sample + shift,
        n_samples=events.n_samples + 2 * shift, duration_s=events.duration_s + 6, recording="other",
        gain_v=events.gain_v * 3, threshold_uv=events.threshold_uv * 3,
    )  # fmt: skip
    said = [network.compute_features(chunk) for chunk in (show(name, events), show(name, other, 3.0, 7.0))]
    torch.testing.assert_close(*said, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("name", NETWORKS)
def test_what_stands_beside_a_chunk_in_its_batch_changes_nothing(name, events):
    network = build(name).eval()
    pair = torch.cat([show(name, events), show(name, events, 4.0, 8.0)])
    torch.testing.assert_close(
        network.compute_features(pair)[:1], network.compute_features(pair[:1]), atol=1e-4, rtol=1e-3
    )


def test_padding_of_the_grid_changes_nothing(events):
    """The same electrodes on a larger grid, on which the other places are missing."""
    network = build("grid_lstm").eval()
    larger = replace(events, rows=16, cols=14)
    said = [network.compute_features(show("grid_lstm", one)) for one in (events, larger)]
    torch.testing.assert_close(*said, atol=1e-4, rtol=1e-3)


def test_the_network_of_the_grid_sees_places(events):
    network = build("grid_lstm").eval()
    mixed = np.random.default_rng(0).permutation(events.n_electrodes)
    moved = replace(events, row=events.row[mixed], col=events.col[mixed])
    said = [network.compute_features(show("grid_lstm", one)) for one in (events, moved)]
    assert (said[0] - said[1]).abs().max() > 1e-3
    torch.testing.assert_close(build("tcn").eval()(show("tcn", events)).shape, torch.Size([1, 2]))


@pytest.mark.parametrize("bins", [8, 9, 15, 21])
def test_any_length_from_one_step_on(bins):
    generator = torch.Generator().manual_seed(0)
    chunk = torch.rand(2, 12, 6, 5, bins, generator=generator)
    chunk[:, -1] = 1
    assert build("grid_lstm").compute_features(chunk).isfinite().all()
    assert build("tcn")(torch.rand(2, 22, bins, generator=generator)).isfinite().all()


@pytest.mark.parametrize("name", NETWORKS)
def test_silence_has_an_answer(name, events):
    chunk = torch.zeros_like(show(name, events))
    if name == "grid_lstm":
        chunk[:, -1] = 1
    assert build(name).eval().compute_features(chunk).isfinite().all()


@pytest.mark.parametrize("name", NETWORKS)
def test_overfits_eight_chunks(name):
    """Every second fires twice as often; one network predicts its class, the other its features."""
    recordings = [make_events(f"r{k}", spikes_per_s=2 + 2 * (k % 2), seed=k, duration_s=4.0) for k in range(8)]
    chunks = torch.cat([show(name, events) for events in recordings])
    network, classes = build(name), torch.arange(8) % 2
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.005)
    if name == "grid_lstm":
        chunks, targets = pool_chunk(chunks), (2.0 * classes - 1)[:, None].repeat(1, len(list_targets()))
    for _ in range(40):
        said = network(chunks)
        loss = MISSES(said, targets, training=True) if name == "grid_lstm" else cross_entropy(said, classes)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    said = network.eval()(chunks)
    assert ((said.mean(1) > 0 if name == "grid_lstm" else said.argmax(1)) == classes).all()


# --- their parts -----------------------------------------------------------------------------------------------------


def test_partial_convolution_is_a_convolution_where_all_is_there():
    layer, maps = nn.Conv2d(3, 4, 3, padding=1), torch.rand(2, 3, 5, 6)
    found = convolve_partially(layer, maps, torch.ones(2, 1, 5, 6))
    expected = conv2d(maps, layer.weight, layer.bias).relu()
    torch.testing.assert_close(found[:, :, 1:-1, 1:-1], expected)


def test_partial_convolution_makes_up_for_missing_places():
    """A layer that averages gives 1 where everything that exists is 1, at the border and beside a hole as well."""
    layer = nn.Conv2d(1, 1, 3, padding=1)
    with torch.no_grad():
        layer.weight.fill_(1 / 9)
        layer.bias.zero_()
    mask = torch.ones(1, 1, 6, 6)
    mask[..., :2, :2] = 0
    torch.testing.assert_close(convolve_partially(layer, mask.clone(), mask), mask)


def test_electrodes_are_pooled_where_they_are():
    channels, there = torch.rand(1, 11, 3, 3, 5), torch.ones(1, 3, 3)
    there[0, 0, 0] = 0
    channels = channels * there[:, None, :, :, None] * (torch.rand(1, 11, 3, 3, 5) > 0.5)
    pooled = pool_electrodes(channels, there)[0]
    existing = channels[0].flatten(1, 2)[:, 1:]  # without the first place
    torch.testing.assert_close(pooled[:11], existing.mean(1))
    torch.testing.assert_close(pooled[11:22], existing.std(1, correction=0), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(pooled[22:], (existing[[0, *range(3, 11)]] > 0).float().mean(1))


def test_a_chunk_is_pooled_before_anything_is_learned():
    chunk = torch.rand(2, 12, 3, 4, 5)
    chunk[:, -1] = 1
    population, electrodes = pool_chunk(chunk)
    torch.testing.assert_close(population, pool_electrodes(chunk[:, :-1], torch.ones(2, 3, 4)))
    torch.testing.assert_close(electrodes[:, :11], chunk[:, :11].mean(4))
    torch.testing.assert_close(electrodes[:, 11:22], chunk[:, :11].std(4, correction=0))
    assert (electrodes[:, 22] == 1).all()


def test_places_are_pooled_where_they_are():
    maps, mask = torch.rand(1, 6, 3, 3), torch.ones(1, 1, 3, 3)
    mask[..., 0, 0] = 0
    mean, std = pool_places(maps * mask, mask)
    existing = maps[0].flatten(1)[:, 1:]
    torch.testing.assert_close(mean[0], existing.mean(1))
    torch.testing.assert_close(std[0], existing.std(1, correction=0), atol=1e-4, rtol=1e-3)


def test_only_defined_features_count():
    said, targets = torch.tensor([[1.0, 5.0], [2.0, 3.0]]), torch.tensor([[0.0, torch.nan], [2.0, 5.0]])
    assert MISSES(said, targets, training=False).item() == pytest.approx((1 + 0 + 4) / 3)
    assert MISSES(said, torch.full((2, 2), torch.nan), training=False).item() == 0


def test_time_is_pooled():
    values = torch.rand(2, 3, 7)
    pooled = pool_time(values)
    torch.testing.assert_close(pooled[:, :3], values.mean(2))
    torch.testing.assert_close(pooled[:, 3:6], values.std(2, correction=0), atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(pooled[:, 6:], values.amax(2))


def test_sizes():
    """As docs/models.md says."""
    sizes = {name: sum(values.numel() for values in build(name).parameters()) for name in NETWORKS}
    assert sizes == {"grid_lstm": 186_816, "tcn": 28_034}


# --- classes of unequal size ------------------------------------------------------------------------------------------


def make_side(labels):
    """A training side that knows the labels of its chunks, and nothing else."""
    chunks = pd.DataFrame({"recording": [f"r{k}" for k in range(len(labels))], "label": list(labels)})
    nothing = {"test_chunks": chunks[:0], "events": {}, "rows": 12, "cols": 12, "split_level": "batch"}
    return TrainingSide(fold=0, chunks=chunks, labels=["a", "b"], inner_folds=2, seed=0, **nothing)


def test_classes_count_equally_however_many_chunks_each_has():
    side = make_side("aaab")
    balanced = train_params("cnn_lstm", cnn_lstm={"class_weight": "balanced"}).of_model("cnn_lstm")
    weights = weigh_classes(side.chunks, side, balanced)
    assert weights == pytest.approx((4 / 6, 2.0))
    logits, targets = torch.randn(4, 2, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 0, 0, 1])
    loss = Classification(class_weight=weights).loss(logits, targets, training=True)
    by_class = [cross_entropy(logits[targets == k], targets[targets == k]) for k in (0, 1)]
    torch.testing.assert_close(loss, torch.stack(by_class).mean())
    assert not torch.isclose(loss, Classification().loss(logits, targets, training=True))


def test_equal_classes_and_the_predecessors_loss_have_no_weights():
    balanced = train_params("cnn_lstm", cnn_lstm={"class_weight": "balanced"}).of_model("cnn_lstm")
    plain = train_params("cnn_lstm", cnn_lstm={"class_weight": None}).of_model("cnn_lstm")
    assert weigh_classes(make_side("abab").chunks, make_side("abab"), balanced) is None, "the same bits as without"
    assert weigh_classes(make_side("aaab").chunks, make_side("aaab"), plain) is None
