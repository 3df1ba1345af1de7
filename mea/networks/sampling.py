"""In which order chunks are drawn in an epoch, and which of a batch fall to one of several processes."""

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Sampler

from mea.networks.chunks import ChunkDataset
from mea.networks.devices import is_started_by_torchrun


class EpochShuffle(Sampler):
    """A new order in every epoch, decided by seed and epoch alone, so that a resumed training sees the same order."""

    def __init__(self, length: int, seed: int):
        self.length, self.seed, self.epoch = length, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning at the start of every epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.length

    def __iter__(self):
        return iter(np.random.default_rng([self.seed, self.epoch]).permutation(self.length).tolist())


class BagShuffle(Sampler):
    """Bags of chunks, each of one recording, one bag after the other; in every epoch others.

    Each class is drawn equally often, and so is each recording of a class; within a bag, chunks are drawn without
    repetition while there are enough. Seed and epoch alone decide.

    Parameters
    ----------
    dataset
        Whose chunks.
    bag
        Chunks in a bag.
    bags
        In an epoch, per recording.
    seed
        Of the drawing.
    """

    def __init__(self, dataset: ChunkDataset, bag: int, bags: float, seed: int):
        numbers = dataset.recordings
        self.chunks = [np.flatnonzero(numbers == number) for number in range(numbers.max() + 1)]
        targets = np.array(dataset.targets)[[chunks[0] for chunks in self.chunks]]
        weights = 1 / np.bincount(targets)[targets]
        self.weights = weights / weights.sum()
        self.bag, self.seed, self.epoch = bag, seed, 0
        self.bags = max(1, round(bags * len(self.chunks)))

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning at the start of every epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.bags * self.bag

    def __iter__(self):
        generator = np.random.default_rng([self.seed, self.epoch])
        for recording in generator.choice(len(self.chunks), self.bags, p=self.weights):
            own = self.chunks[recording]
            yield from generator.choice(own, self.bag, replace=len(own) < self.bag).tolist()


class BatchShare(Sampler):
    """The part of each batch that falls to one of several processes: every so-many-th unit; all of it for a single one.

    A process to which nothing falls is given the first unit, so that all take the same number of steps;
    :meth:`count_own` tells it from the others.

    Parameters
    ----------
    sampler
        Gives the chunks of an epoch in order.
    batch_size
        Units in a batch, for all processes together.
    unit
        Chunks that stay together.
    """

    def __init__(self, sampler: Any, batch_size: int, unit: int = 1):
        self.sampler, self.batch_size, self.unit = sampler, batch_size, unit
        shared = is_started_by_torchrun()
        self.rank, self.world = (int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])) if shared else (0, 1)

    def __len__(self) -> int:
        return -(-len(self.sampler) // (self.batch_size * self.unit))

    def __iter__(self) -> Iterator[list[Any]]:
        chunks = list(self.sampler)
        for batch in range(len(self)):
            first = batch * self.batch_size
            units = [chunks[(first + k) * self.unit : (first + k + 1) * self.unit] for k in range(self.count(batch))]
            own = units[self.rank :: self.world] or units[:1]
            yield [chunk for unit in own for chunk in unit]

    def count(self, batch: int) -> int:
        """Units in a batch, of all processes."""
        return min(self.batch_size, len(self.sampler) // self.unit - batch * self.batch_size)

    def count_own(self, batch: int) -> int:
        """Units in a batch that fall to this process."""
        return len(range(self.rank, self.count(batch), self.world))

    def gather(self, values: Tensor, batch: int) -> Tensor:
        """(units, ...) a batch's values from all processes, in the batch's order; those given are of this one."""
        if self.world == 1:
            return values
        own, most = self.count_own(batch), -(-self.count(batch) // self.world)
        padded = values.new_zeros(most, *values.shape[1:])
        padded[:own] = values.detach()[:own]
        parts = [torch.empty_like(padded) for _ in range(self.world)]
        torch.distributed.all_gather(parts, padded)
        return torch.stack(parts, 1).flatten(0, 1)[: self.count(batch)]
