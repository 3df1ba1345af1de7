"""The predecessor's network to the bit, and its variants."""

import numpy as np
import pytest
import torch
from builders import predecessor
from torch.nn.functional import cross_entropy

from mea.models.cnn_lstm import CnnLstmNetwork
from mea.runtime.errors import MeaError


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def make_twins(seed=0):
    """Ours and the literal predecessor with the same weights."""
    torch.manual_seed(seed)
    literal = predecessor.Network()
    ours = CnnLstmNetwork(12, 12, 2, "reshape")
    weights = {name.replace("linear", "head"): value for name, value in literal.state_dict().items()}
    ours.load_state_dict(weights)
    return ours, literal


def make_sparse_chunk(*shape, seed=0):
    """Like the cleaned array: zero but for short waveforms of up to some 100 µV."""
    random = np.random.default_rng(seed)
    chunk = np.zeros(shape, np.float32)
    wave = (100 * np.sin(np.linspace(0, 2 * np.pi, 30))).astype(np.float32)
    for sample, _, row, col in np.ndindex(*shape[:4]):
        first = random.integers(0, shape[4] - len(wave))
        chunk[sample, 0, row, col, first : first + len(wave)] = wave * random.normal()
    return torch.from_numpy(chunk)


def test_number_of_parameters():
    network = CnnLstmNetwork(12, 12, 2, "reshape")
    assert sum(values.numel() for values in network.parameters()) == 169_250


@pytest.mark.parametrize("shape", [(2, 1, 12, 12, 240), (1, 1, 12, 12, 3000), (3, 1, 12, 12, 61)])
def test_the_predecessor_to_the_bit(shape):
    """Pooling before ReLU included: the same logits, loss and gradients, bit for bit."""
    ours, literal = make_twins()
    chunk = make_sparse_chunk(*shape)
    targets = torch.arange(shape[0]) % 2
    logits = ours(chunk), literal(chunk)
    assert torch.equal(*logits)
    for result in logits:
        cross_entropy(result, targets).backward()
    gradients = dict(ours.named_parameters())
    for name, expected in literal.named_parameters():
        found = gradients[name.replace("linear", "head")].grad
        assert expected.grad.abs().max() > 0
        assert torch.equal(found, expected.grad), name


def test_a_step_of_training_is_the_predecessors():
    pair = make_twins()
    chunk, targets = make_sparse_chunk(2, 1, 12, 12, 80), torch.tensor([0, 1])
    for network in pair:
        optimizer = torch.optim.Adam(network.parameters(), lr=0.001)
        for _ in range(3):
            optimizer.zero_grad()
            cross_entropy(network(chunk), targets).backward()
            optimizer.step()
    for one, other in zip(*(network.parameters() for network in pair), strict=True):
        assert torch.equal(one, other)


def test_transpose_makes_a_step_of_one_time():
    """Swapping two pairs of whole LSTM steps in time changes it; the features of each step are those of one time."""
    ours, _ = make_twins()
    straight = CnnLstmNetwork(12, 12, 2, "transpose")
    straight.load_state_dict(ours.state_dict())
    chunk = make_sparse_chunk(1, 1, 12, 12, 160)
    with torch.inference_mode():
        assert not torch.allclose(straight(chunk), ours(chunk))
        maps = straight.pool(straight.conv1(chunk)).relu()
        maps = straight.pool(straight.conv2(maps)).relu()
        maps = straight.pool(straight.conv3(maps)).relu()
        steps = torch.stack([maps[0, :, 0, 0, time] for time in range(maps.shape[-1])])
        _, (hidden, _) = straight.lstm(steps[None])
        assert torch.equal(straight.head(hidden[-1]), straight(chunk))
    one_step = make_sparse_chunk(1, 1, 12, 12, 40)[..., :15]
    assert torch.equal(straight(one_step), ours(one_step)), "with a single step there is nothing to transpose"


@pytest.mark.parametrize(
    ("rows", "cols", "sequence", "labels"),
    [
        (8, 8, "transpose", 2),
        (8, 8, "reshape", 4),
        (12, 12, "transpose", 5),
        (16, 24, "transpose", 3),
        (17, 8, "reshape", 2),
    ],
)
def test_other_grids_and_several_classes(rows, cols, sequence, labels):
    torch.manual_seed(0)
    network = CnnLstmNetwork(rows, cols, labels, sequence)
    logits = network(make_sparse_chunk(2, 1, rows, cols, 48))
    assert logits.shape == (2, labels)
    cross_entropy(logits, torch.tensor([0, labels - 1])).backward()
    for name, values in network.named_parameters():
        assert values.grad is not None and values.grad.abs().sum() > 0, f"no gradient reaches {name}"


def test_transpose_keeps_places_apart():
    """On a grid of two pooled places, a step holds the features of both, the place varying fastest."""
    network = CnnLstmNetwork(8, 16, 2, "transpose")
    seen = []
    network.lstm.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    chunk = make_sparse_chunk(1, 1, 8, 16, 48)
    network(chunk)
    (steps,) = seen
    assert steps.shape == (1, 6, 128)
    maps = network.pool(network.conv1(chunk)).relu()
    maps = network.pool(network.conv2(maps)).relu()
    maps = network.pool(network.conv3(maps)).relu()
    for feature, place, time in [(0, 0, 0), (5, 1, 2), (63, 1, 5)]:
        assert steps[0, time, 2 * feature + place] == maps[0, feature, 0, place, time]


@pytest.mark.parametrize(("rows", "cols"), [(6, 6), (8, 7), (1, 60)])
def test_a_grid_that_is_too_small(rows, cols):
    with pytest.raises(
        MeaError, match=rf"grid of {rows} × {cols}: cnn_lstm pools three times by 2 and needs at least 8"
    ):
        CnnLstmNetwork(rows, cols, 2, "transpose")


@pytest.mark.parametrize("sequence", ["reshape", "transpose"])
def test_overfits_eight_chunks(sequence):
    """Random chunks with random labels: learned by heart, or a layer does not learn."""
    torch.manual_seed(0)
    chunks = torch.cat([make_sparse_chunk(1, 1, 12, 12, 64, seed=seed) for seed in range(8)]) / 20
    targets = torch.tensor([0, 1, 1, 0, 1, 0, 0, 1])
    network = CnnLstmNetwork(12, 12, 2, sequence)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.003)
    for _ in range(120):
        optimizer.zero_grad()
        loss = cross_entropy(network(chunks), targets)
        loss.backward()
        optimizer.step()
        if loss < 0.05:
            break
    assert (network(chunks).argmax(1) == targets).all() and loss < 0.3
