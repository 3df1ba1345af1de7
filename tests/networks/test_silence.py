"""Leaving silence out of the convolutions changes only rounding, which float64 makes small enough to see that."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import cross_entropy, max_pool3d

from mea.models.cnn_lstm import CnnLstmNetwork
from mea.networks.silence import convolve_loud_times, convolve_spikes

CLOSE = dict(rtol=1e-9, atol=1e-12)


def make_chunk(shape, events, seed):
    """Zero but for short waveforms anywhere, borders and corners included."""
    random = np.random.default_rng(seed)
    chunk = np.zeros(shape)
    for _ in range(events):
        sample, row, col = (random.integers(shape[axis]) for axis in (0, 2, 3))
        first = random.integers(-5, shape[4])
        width = random.integers(1, 12)
        piece = chunk[sample, 0, row, col, max(0, first) : max(0, first + width)]
        piece[:] = random.normal(0, 50, len(piece))
    return torch.from_numpy(chunk)


def run(network, chunk):
    network.zero_grad()
    logits = network(chunk)
    cross_entropy(logits, torch.arange(len(chunk)) % 2).backward()
    return logits.detach(), {name: values.grad.clone() for name, values in network.named_parameters()}


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_the_whole_network_and_its_gradients_are_the_same(data):
    shape = (data.draw(st.integers(1, 3)), 1, *(data.draw(st.integers(8, 13)) for _ in range(2)))
    shape += (data.draw(st.integers(8, 500)),)
    chunk = make_chunk(shape, data.draw(st.sampled_from([0, 1, 2, 5, 200])), data.draw(st.integers(0, 10_000)))
    torch.manual_seed(0)
    computed = CnnLstmNetwork(*shape[2:4], 2, "transpose", "computed").double()
    skipped = CnnLstmNetwork(*shape[2:4], 2, "transpose", "skipped").double()
    skipped.load_state_dict(computed.state_dict())
    (expected, gradients), (found, own) = run(computed, chunk), run(skipped, chunk)
    torch.testing.assert_close(found, expected, **CLOSE)
    for name, values in gradients.items():
        torch.testing.assert_close(own[name], values, **CLOSE, msg=lambda text, name=name: f"{name}: {text}")


def test_where_nothing_is_near_nothing_is_computed():
    """One value is seen by eight cells of the first layer, one along each axis at a border."""
    torch.manual_seed(0)
    conv = nn.Conv3d(1, 16, 3, padding=1)
    for place, cells in (((5, 5, 50), 8), ((0, 0, 0), 1), ((11, 5, 99), 2)):
        chunk = torch.zeros(1, 1, 12, 12, 100)
        chunk[0, 0][place] = 7.0
        maps, loud = convolve_spikes(chunk, *conv.parameters())
        assert loud.sum() == cells
        torch.testing.assert_close(maps, max_pool3d(conv(chunk), 2).relu())


@pytest.mark.parametrize(("loud_times", "most"), [([], 0), ([100], 40), ([100, 300], 80), (range(0, 400, 12), 400)])
def test_only_times_near_a_loud_one_are_fed(loud_times, most):
    fed = []
    first, second = (nn.Conv3d(*channels, 3, padding=1) for channels in ((4, 6), (6, 8)))

    def layers(maps):
        fed.append(maps.shape[-1])
        return max_pool3d(second(max_pool3d(first(maps), 2).relu()), 2).relu()

    maps, loud = torch.full((2, 4, 6, 6, 400), 0.5), torch.zeros(2, 400, dtype=torch.bool)
    for time in loud_times:
        maps[0, :, 2, 3, time] = 9.0
        loud[0, time] = True
    found = convolve_loud_times(layers, maps, torch.full((4,), 0.5), loud)
    assert max(fed) <= max(most, 20)  # 20: silence itself
    torch.testing.assert_close(found, layers(maps))
