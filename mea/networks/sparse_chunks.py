"""Chunks at the full rate as the samples of their spikes: what a graphics card is handed, and builds the array of.

Of the array 99.8 % is zero. A few hundredths of its bytes travel, and no core of the processor writes the zeros.
"""

import math
from typing import NamedTuple, TypeGuard

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from mea.arrays.events import SpikeEvents
from mea.networks.chunks import ArrayView, ChunkDataset

BUILDERS = ("cuda",)  # devices that build chunks by themselves


class SparseBatch(NamedTuple):
    """Chunks that are still to be built.

    Attributes
    ----------
    places
        (k,) int64: where in the flattened array something else than zero stands.
    values
        (k,) float32.
    shape
        Of the array: (B, 1, rows, cols, time).
    """

    places: Tensor
    values: Tensor
    shape: tuple[int, ...]


class SparseChunks(Dataset):
    """The chunks of another dataset, which shows them at the full rate, unbuilt."""

    def __init__(self, chunks: ChunkDataset):
        assert isinstance(chunks.view, ArrayView)
        self.chunks, self.view = chunks, chunks.view

    def __len__(self) -> int:
        return len(self.chunks)

    def __getitem__(self, number: int) -> tuple[SparseBatch, int]:
        recording, start_s, stop_s = self.chunks.rows[number]
        events = self.chunks.events[recording]
        first, last = events.convert_window(start_s, stop_s)
        places, values = list_samples(events, first, last)
        shape = (1, 1, events.rows, events.cols, last - first)
        chunk = SparseBatch(torch.from_numpy(places), self.view.rescale(torch.from_numpy(values)), shape)
        return chunk, self.chunks.targets[number]


def list_samples(events: SpikeEvents, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
    """What :meth:`mea.arrays.events.SpikeEvents.dense` writes into its zeros, for the same samples.

    Where two events overlap, a place is listed twice, with the same value.

    Returns
    -------
    places
        (k,) int64, in the flattened array.
    values
        (k,) float32, µV.
    """
    low, high = events.find_reaching(first, last)
    event = np.repeat(np.arange(low, high), np.diff(events.offset[low : high + 1]))
    index = np.arange(events.offset[low], events.offset[high])
    sample = events.first_sample[event] + index - events.offset[event] - first
    inside = (sample >= 0) & (sample < last - first)
    sample, index, unit = sample[inside], index[inside], events.electrode[event[inside]]
    places = (events.row[unit] * events.cols + events.col[unit]) * (last - first) + sample
    return places, ((events.waveform_counts[index] * events.gain_v[unit]) * 1e6).astype(np.float32)


def is_built_on(dataset: Dataset, device: str) -> TypeGuard[ChunkDataset]:
    """Whether the chunks of a dataset are built by a device itself."""
    if device not in BUILDERS or not isinstance(dataset, ChunkDataset):
        return False
    return isinstance(dataset.view, ArrayView) and dataset.view.input == "full"


def collate_sparse(chunks: list[tuple[SparseBatch, int]]) -> tuple[SparseBatch, Tensor]:
    """Chunks of one shape as a batch, and their targets."""
    parts, targets = zip(*chunks)
    shape = parts[0].shape
    size = math.prod(shape)
    places = torch.cat([part.places + number * size for number, part in enumerate(parts)])
    batch = SparseBatch(places, torch.cat([part.values for part in parts]), (len(parts), *shape[1:]))
    return batch, torch.tensor(targets)


def build_chunks(batch: SparseBatch) -> Tensor:
    """(B, 1, rows, cols, time) float32, on the device of the batch."""
    array = batch.values.new_zeros(math.prod(batch.shape))
    array[batch.places] = batch.values
    return array.view(batch.shape)
