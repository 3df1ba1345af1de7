"""Small trainings of a network, and what tests ask of them."""

from dataclasses import replace

import pandas as pd
import torch

from builders.arrays import describe_events, make_events
from mea.models.cnn_lstm import CnnLstmNetwork
from mea.networks.chunks import ArrayView, ChunkDataset
from mea.networks.config import TrainingConfig, TrainingRun
from mea.networks.tasks import Classification
from mea.networks.trained import TrainedNetwork
from mea.networks.training import train_network
from mea.splitting.chunks import cut_chunks

LABELS = ["a", "b"]
VIEW = ArrayView("binned", 25, "peak", 20)
CONFIG = TrainingConfig(epochs=5, patience=9, min_gain=0.0, learning_rate=0.002, batch_size=4, seed=0)
PLAIN = Classification()


def make_sides() -> tuple[ChunkDataset, ChunkDataset]:
    """Chunks to learn from and to choose the epoch by, of two recordings each."""
    torch.set_num_threads(1)  # the number decides bits
    events = {f"r{k}": make_events(f"r{k}", spikes_per_s=1 + k % 2, seed=k) for k in range(4)}
    recordings = pd.DataFrame([describe_events(events[f"r{k}"], "ab"[k % 2]) for k in range(4)])
    chunks, _ = cut_chunks(recordings, 1.0, None)
    training = chunks["recording"].isin(["r0", "r1"])
    one, other = (ChunkDataset(chunks[side], events, VIEW, LABELS) for side in (training, ~training))
    return one, other


def train(
    sides, folder=None, seed=0, training=None, task=PLAIN, live=None, shuffle_seed=0, **changed
) -> TrainedNetwork:
    """Train the predecessor's network, from the weights of a seed, with changes to :data:`CONFIG`."""
    torch.manual_seed(seed)
    network = CnnLstmNetwork(12, 12, 2, "transpose")
    run = TrainingRun(checkpoint_folder=folder, live_folder=live)
    return train_network(
        network, task, training or sides[0], sides[1], replace(CONFIG, seed=shuffle_seed, **changed), run
    )


def assert_same(one: TrainedNetwork, other: TrainedNetwork) -> None:
    """The same weights and curves to the bit."""
    assert list(one.weights) == list(other.weights)
    assert all(torch.equal(values, other.weights[name]) for name, values in one.weights.items())
    pd.testing.assert_frame_equal(one.curves, other.curves, check_exact=True)


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


# FIXIMPORT TrainedNetwork
