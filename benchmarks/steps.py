"""A step of training and an epoch of the predecessor's problem, each way in a process of its own.

The processes differ in how they keep freed memory (:func:`mea.runtime.memory.keep_freed_memory`), which cannot be
undone, and work in turns.
"""

from collections.abc import Iterator
from functools import cache, partial
from itertools import islice
from pathlib import Path
from statistics import median

import numpy as np
import torch
from builders import predecessor
from torch.nn.functional import cross_entropy

from benchmarks.loading import make_loaders
from benchmarks.timing import Effort, Target, compare, run_in, start_processes, time_once, time_repeated
from mea.models.cnn_lstm import CnnLstmNetwork
from mea.runtime.memory import keep_freed_memory

STEPS = {
    "identical": Target("step_identical", "s", 2, "a step of training, the predecessor's network, the same bits"),
    "exact": Target("step_exact", "s", 3.5, "the same up to rounding: silence is skipped"),
    "binned": Target("step_binned", "s", 110, "the same network on bins of 1 ms"),
}
EPOCHS = {
    "exact": Target("epoch_exact", "s", 4.5, "an epoch of 4,289 chunks, loading included, extrapolated"),
    "binned": Target("epoch_binned", "s", 150, "the same on bins of 1 ms"),
}
LOADERS = {"reference": "reference", "identical": "dense", "exact": "dense", "binned": "binned"}
BATCH, EPOCH = 4, 4289


class Trainer:
    """One way of training: how it loads chunks, and its network."""

    def __init__(self, way: str, folder: Path, chunk_s: float):
        if way != "reference":
            keep_freed_memory()
        torch.manual_seed(0)
        silence = "computed" if way == "identical" else "skipped"
        self.network = predecessor.Network() if way == "reference" else CnnLstmNetwork(12, 12, 2, "reshape", silence)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=0.001)
        self.load = make_loaders(folder, chunk_s)[LOADERS[way]]

    def learn(self, numbers: list[int]) -> None:
        """Load chunks of these numbers and learn from them."""
        for batch in _cut(numbers, BATCH):
            self.step(torch.from_numpy(self.load(batch)))

    def step(self, chunks: torch.Tensor) -> None:
        """Learn from a batch."""
        self.optimizer.zero_grad()
        cross_entropy(self.network(chunks), torch.arange(len(chunks)) % 2).backward()
        self.optimizer.step()


get_trainer = cache(Trainer)  # one in a process


def bench_steps(folder: Path, effort: Effort) -> list[dict]:
    """Steps in turns, medians; then the epochs, each once, by extrapolation."""
    seconds: dict[str, list[float]] = {way: [] for way in LOADERS}
    with start_processes(LOADERS) as processes:
        for _ in range(effort.repeats):
            for way, process in processes.items():
                seconds[way].append(run_in(process, partial(time_step, way, folder, effort.chunk_s)))
        medians = {way: median(values) for way, values in seconds.items()}
        chunks = int(effort.recording_s / effort.chunk_s)
        numbers = [number % chunks for number in range(effort.epoch_chunks)]
        part = {
            way: run_in(processes[way], partial(time_part, way, folder, effort.chunk_s, numbers)) * EPOCH / len(numbers)
            for way in ("reference", *EPOCHS)
        }
    lines = [compare(target, medians["reference"], medians[way]) for way, target in STEPS.items()]
    return lines + [compare(target, part["reference"], part[way]) for way, target in EPOCHS.items()]


def time_step(way: str, folder: Path, chunk_s: float) -> float:
    """Seconds of a step on chunks in memory, after others, as in a training."""
    trainer = get_trainer(way, folder, chunk_s)
    chunks = torch.from_numpy(trainer.load(list(range(BATCH))))
    return time_repeated(lambda: trainer.step(chunks))


def time_part(way: str, folder: Path, chunk_s: float, numbers: list[int]) -> float:
    """Seconds to load and learn from chunks of these numbers."""
    trainer = get_trainer(way, folder, chunk_s)
    return time_once(lambda: trainer.learn(numbers))


def _cut(numbers: list[int], size: int) -> Iterator[list[int]]:
    items = iter(numbers)
    while batch := list(islice(items, size)):
        yield batch


def check_same_function(folder: Path, chunk_s: float) -> None:
    """Raise unless identical and exact give the reference's logits: no benchmark of different results."""
    loaders = make_loaders(folder, chunk_s)
    chunks = torch.from_numpy(loaders["dense"]([0, 1]))
    torch.manual_seed(0)
    literal = predecessor.Network()
    weights = {name.replace("linear", "head"): values for name, values in literal.state_dict().items()}
    with torch.inference_mode():
        expected = literal(chunks)
        for silence, tolerance in (("computed", 0.0), ("skipped", 1e-4)):
            network = CnnLstmNetwork(12, 12, 2, "reshape", silence)
            network.load_state_dict(weights)
            if not np.allclose(network(chunks), expected, rtol=tolerance, atol=tolerance):
                raise AssertionError(f"silence {silence}: the networks differ")
