"""Chunks that the device builds: what is built, what is learned from them, and half the precision."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from builders.arrays import describe_events
from builders.networks import assert_same
from builders.recordings import make_small_counts, write_small_mcs
from torch.utils.data import DataLoader

from mea.arrays.events import SpikeEvents
from mea.arrays.spikes import detect_events
from mea.models.cnn_lstm import CnnLstmNetwork
from mea.networks import sparse_chunks
from mea.networks.chunks import ArrayView, ChunkDataset
from mea.networks.config import TrainingConfig
from mea.networks.sparse_chunks import SparseChunks, build_chunks, collate_sparse, is_built_on, list_samples
from mea.networks.tasks import Classification
from mea.networks.training import train_network
from mea.recordings.formats import read_counts, read_raw_recordings
from mea.splitting.chunks import cut_chunks

pytestmark = pytest.mark.usefixtures("alone")

LABELS = ["a", "b"]
FULL = ArrayView("full", 1, "peak", 20)
SAMPLING_RATE_HZ = 5_000
CONFIG = TrainingConfig(epochs=2, patience=9, min_gain=0.0, learning_rate=0.002, batch_size=3, seed=0)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory) -> dict[str, SpikeEvents]:
    """Events of four small files, found as the array stage finds them."""
    found = {}
    for number in range(4):
        path = tmp_path_factory.mktemp("sparse") / "a.h5"
        write_small_mcs(
            path,
            counts=make_small_counts(120, SAMPLING_RATE_HZ, sampling_rate_hz=SAMPLING_RATE_HZ, seed=number),
            sampling_rate_hz=SAMPLING_RATE_HZ,
        )
        source = read_raw_recordings(path, "raw")[0]
        events = detect_events(read_counts(path, source), source, 5.0)
        name = f"r{number}"
        found[name] = replace(events, recording=name)
    return found


def cut_sides(recordings: dict[str, SpikeEvents], view: ArrayView) -> tuple[ChunkDataset, ChunkDataset]:
    lines = [describe_events(events, LABELS[number % 2]) for number, events in enumerate(recordings.values())]
    chunks, _ = cut_chunks(pd.DataFrame(lines), 0.2, None)
    training = chunks["recording"].isin(["r0", "r1"])
    sides = (chunks[side].reset_index(drop=True) for side in (training, ~training))
    one, other = (ChunkDataset(side, recordings, view, LABELS) for side in sides)
    return one, other


@pytest.fixture(scope="module")
def sides(recordings):
    return cut_sides(recordings, FULL)


def test_what_is_listed_is_what_the_dense_array_holds(recordings):
    events = recordings["r0"]
    assert len(events) > 20
    edges = [*events.first_sample[:5].tolist(), *(events.peak_sample[:5] + 1).tolist(), 0, SAMPLING_RATE_HZ - 1]
    for first in edges:
        for last in (first + 1, first + 7, SAMPLING_RATE_HZ):
            if last > SAMPLING_RATE_HZ:
                continue
            places, values = list_samples(events, first, last)
            built = np.zeros(events.rows * events.cols * (last - first), np.float32)
            built[places] = values
            np.testing.assert_array_equal(built.reshape(events.rows, events.cols, -1), events.dense(first, last))


@pytest.mark.parametrize("scale", [1, 20])
def test_a_built_batch_is_the_batch(recordings, scale):
    dataset, _ = cut_sides(recordings, replace(FULL, scale=scale))
    plain = DataLoader(dataset, batch_size=3)
    sparse = DataLoader(SparseChunks(dataset), batch_size=3, collate_fn=collate_sparse)
    for (chunks, targets), (unbuilt, same_targets) in zip(plain, sparse, strict=True):
        assert torch.equal(build_chunks(unbuilt), chunks) and torch.equal(same_targets, targets)
        assert unbuilt.values.numel() < chunks.numel() / 10


def test_graphics_cards_build_what_shows_every_sample(recordings, sides):
    binned, _ = cut_sides(recordings, ArrayView("binned", 10, "peak", 1))
    assert is_built_on(sides[0], "cuda") and not is_built_on(binned, "cuda")
    assert not is_built_on(sides[0], "cpu")


def train(sides, **changed):
    torch.manual_seed(0)
    return train_network(CnnLstmNetwork(12, 12, 2, "reshape"), Classification(), *sides, replace(CONFIG, **changed))


@pytest.mark.slow
def test_training_on_built_chunks_gives_the_same_bits(sides, monkeypatch):
    trained = train(sides)
    built = []
    monkeypatch.setattr(sparse_chunks, "BUILDERS", ("cpu",))
    monkeypatch.setattr("mea.networks.loop.build_chunks", lambda batch: built.append(batch) or build_chunks(batch))
    again = train(sides)
    assert len(built) == 2 * (len(sides[0]) // 3 + 1 + len(sides[1]) // 3 + 1)
    assert_same(again, trained)


@pytest.mark.slow
def test_half_the_precision_learns_nearly_the_same(sides):
    trained, coarse = train(sides), train(sides, precision="bfloat16")
    assert all(value.dtype == torch.float32 for value in coarse.weights.values()), "weights stay what they are"
    assert not all(torch.equal(values, coarse.weights[name]) for name, values in trained.weights.items())
    losses = trained.curves["train_loss"], coarse.curves["train_loss"]
    np.testing.assert_allclose(*losses, rtol=0.05)
    assert not losses[0].equals(losses[1])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no graphics card here")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_graphics_card_learns_nearly_the_same(sides, monkeypatch, precision):
    expected = train(sides)
    monkeypatch.setenv("MEA_DEVICE", "cuda")
    trained = train(sides, precision=precision)
    np.testing.assert_allclose(trained.curves["train_loss"], expected.curves["train_loss"], rtol=0.05)
