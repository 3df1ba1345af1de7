"""tcn and the cnn_lstm of the grid: shapes, gradients, what they must not see, and that they can learn."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d, cross_entropy

from mea.channels import GridView, PopulationView
from mea.models import NETWORKS, cnn_lstm, find_network, predecessor, tcn
from mea.models.cnn_lstm import convolve_partly, pool_electrodes
from mea.models.tcn import pool_time
from tests.arrays import make_events
from tests.test_channels import reorder

BINS = 40
VIEWS = {"tcn": PopulationView(100), "cnn_lstm": GridView(100)}
TRAIN = {"network": "grid", "bin_ms": 100}


def build(name, n_labels=2, rows=12, cols=12, seed=0):
    torch.manual_seed(seed)
    return NETWORKS[name].build_network(TRAIN, rows, cols, n_labels)


def show(name, events, start_s=0.0, stop_s=4.0):
    return torch.from_numpy(VIEWS[name].show(events, start_s, stop_s))[None]


@pytest.fixture(scope="module")
def events():
    return make_events("r1", spikes_per_s=8, duration_s=8.0)


def test_parameters_choose_the_network():
    assert find_network({"model": "tcn", "network": "predecessor"}) is tcn
    assert find_network({"model": "cnn_lstm", "network": "grid"}) is cnn_lstm
    assert find_network({"model": "cnn_lstm", "network": "predecessor"}) is predecessor
    assert predecessor.RECIPE.bag == 0 and not predecessor.RECIPE.members and not predecessor.RECIPE.weight_decay


@pytest.mark.parametrize("name", NETWORKS)
def test_every_parameter_learns(name, events):
    network = build(name, n_labels=3)
    chunks = torch.cat([show(name, events, start, start + 4) for start in (0.0, 1.0, 2.0, 3.0, 4.0, 3.5)])
    logits = network(chunks)
    assert logits.shape == (6, 3) and network.describe(chunks).shape == (6, 192)
    cross_entropy(logits, torch.tensor([0, 1, 2, 0, 1, 2])).backward()
    for key, values in network.named_parameters():
        assert values.grad is not None and values.grad.abs().sum() > 0, key


@pytest.mark.parametrize("name", NETWORKS)
def test_the_head_decides_by_what_describe_gives(name, events):
    network = build(name).eval()
    chunk = show(name, events)
    torch.testing.assert_close(network(chunk), network.head(network.describe(chunk)))


@pytest.mark.parametrize("name", NETWORKS)
def test_shortcuts_change_nothing(name, events):
    """Order of electrodes, clock, length, gain and name."""
    network = build(name).eval()
    shift = 3 * events.rate_hz
    other = replace(
        reorder(events), first_sample=events.first_sample + shift, peak_sample=events.peak_sample + shift,
        n_samples=events.n_samples + 2 * shift, duration_s=events.duration_s + 6, recording="other", batch="z",
        volts_per_count=events.volts_per_count * 3, threshold_uv=events.threshold_uv * 3,
    )  # fmt: skip
    torch.testing.assert_close(network(show(name, events)), network(show(name, other, 3.0, 7.0)), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_what_stands_beside_a_chunk_in_its_batch_changes_nothing(name, events):
    network = build(name).eval()
    pair = torch.cat([show(name, events), show(name, events, 4.0, 8.0)])
    torch.testing.assert_close(network(pair)[:1], network(pair[:1]), atol=1e-5, rtol=1e-4)


def test_padding_of_the_grid_changes_nothing(events):
    """The same electrodes on a larger grid, on which the other places are missing."""
    network = build("cnn_lstm").eval()
    larger = replace(events, rows=16, cols=14)
    torch.testing.assert_close(network(show("cnn_lstm", events)), network(show("cnn_lstm", larger)))


def test_the_network_of_the_grid_sees_places(events):
    network = build("cnn_lstm").eval()
    mixed = np.random.default_rng(0).permutation(events.n_electrodes)
    moved = replace(events, row=events.row[mixed], col=events.col[mixed])
    assert (network(show("cnn_lstm", events)) - network(show("cnn_lstm", moved))).abs().max() > 1e-5
    torch.testing.assert_close(build("tcn").eval()(show("tcn", events)).shape, torch.Size([1, 2]))


@pytest.mark.parametrize("bins", [8, 9, 15, 21])
def test_any_length_from_one_step_on(bins):
    generator = torch.Generator().manual_seed(0)
    chunk = torch.rand(2, 8, 6, 5, bins, generator=generator)
    chunk[:, -1] = 1
    assert build("cnn_lstm", rows=6, cols=5)(chunk).isfinite().all()
    assert build("tcn")(torch.rand(2, 22, bins, generator=generator)).isfinite().all()


@pytest.mark.parametrize("name", NETWORKS)
def test_silence_has_an_answer(name, events):
    chunk = torch.zeros_like(show(name, events))
    if name == "cnn_lstm":
        chunk[:, -1] = 1
    assert build(name).eval()(chunk).isfinite().all()


@pytest.mark.parametrize("name", NETWORKS)
def test_overfits_eight_chunks(name):
    """Every second fires twice as often."""
    recordings = [make_events(f"r{k}", spikes_per_s=2 + 2 * (k % 2), seed=k, duration_s=4.0) for k in range(8)]
    chunks = torch.cat([show(name, events) for events in recordings])
    targets = torch.arange(8) % 2
    network = build(name)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.005)
    for _ in range(40):
        loss = cross_entropy(network(chunks), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (network.eval()(chunks).argmax(1) == targets).all()


# --- their parts -----------------------------------------------------------------------------------------------------


def test_partial_convolution_is_a_convolution_where_all_is_there():
    layer, maps = nn.Conv2d(3, 4, 3, padding=1), torch.rand(2, 3, 5, 6)
    found = convolve_partly(layer, maps, torch.ones(2, 1, 5, 6))
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
    torch.testing.assert_close(convolve_partly(layer, mask.clone(), mask), mask)


def test_electrodes_are_pooled_where_they_are():
    channels, there = torch.rand(1, 7, 3, 3, 5), torch.ones(1, 3, 3)
    there[0, 0, 0] = 0
    channels = channels * there[:, None, :, :, None] * (torch.rand(1, 7, 3, 3, 5) > 0.5)
    pooled = pool_electrodes(channels, there)[0]
    existing = channels[0].flatten(1, 2)[:, 1:]  # without the first place
    torch.testing.assert_close(pooled[:7], existing.mean(1))
    torch.testing.assert_close(pooled[7:14], existing.std(1, correction=0), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(pooled[14:], (existing[[0, 3, 4, 5, 6]] > 0).float().mean(1))


def test_time_is_pooled():
    values = torch.rand(2, 3, 7)
    pooled = pool_time(values)
    torch.testing.assert_close(pooled[:, :3], values.mean(2))
    torch.testing.assert_close(pooled[:, 3:6], values.std(2, correction=0), atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(pooled[:, 6:], values.amax(2))


def test_sizes():
    """As docs/models.md says."""
    sizes = {name: sum(values.numel() for values in build(name).parameters()) for name in NETWORKS}
    assert sizes == {"cnn_lstm": 39_074, "tcn": 28_034}
