"""The predecessor's problem on a graphics card: ``python -m benchmarks.gpu [--device cuda] [--chunks 400]``.

Chunks per second of a plain float32 loop that loads dense chunks from the host, and of ours: bfloat16, the chunks built
on the card from their spikes. Busy is the share of the time in which the card has work: steps on a chunk that is there
already, over steps with loading. Without a graphics card it says so and ends.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from itertools import repeat
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

from mea.arrays.spikes import detect_events
from mea.models.cnn_lstm import CnnLstmNetwork
from mea.networks.chunks import ArrayView, ChunkDataset
from mea.networks.sparse_chunks import SparseChunks, build_chunks, collate_sparse
from mea.recordings.formats import read_counts, read_raw_recordings
from mea.recordings.recording import RawRecording
from mea.runtime.command import print_line
from mea.runtime.tables import draw_markdown
from mea.simulation.plans import plan_training
from mea.simulation.simulate import write_simulated

BATCH, WARM_UP = 4, 3
Batch = tuple[Tensor, Tensor]


def cut_recording(folder: Path, duration_s: float, chunk_s: float) -> ChunkDataset:
    """The chunks of a simulated recording of 120 electrodes at 25 kHz, every sample of them."""
    plan = plan_training(seed=0, batches=1, cultures=2, recordings=1, class_effect=1.0, recording_variance=1.0)[0]
    write_simulated(folder / "recording.h5", plan, duration_s)
    source = read_raw_recordings(folder / "recording.h5", "raw")[0]
    assert isinstance(source, RawRecording)
    events = detect_events(read_counts(folder / "recording.h5", source), source, 5.0)
    table = pd.DataFrame({"start_s": [number * chunk_s for number in range(int(duration_s / chunk_s))]})
    table = table.assign(stop_s=table["start_s"] + chunk_s, recording="one", label="a")
    return ChunkDataset(table, {"one": events}, ArrayView("full", 1, "peak", 1), ["a"])


def load_plainly(chunks: ChunkDataset, device: str) -> Iterator[Batch]:
    """Dense chunks, built by the processor and copied to the card, again and again."""
    for _ in repeat(None):
        for built, targets in DataLoader(chunks, BATCH, drop_last=True):
            yield built.to(device), targets.to(device)


def load_sparsely(chunks: ChunkDataset, device: str) -> Iterator[Batch]:
    """As the train stage does where a card is."""
    for _ in repeat(None):
        for unbuilt, targets in DataLoader(SparseChunks(chunks), BATCH, collate_fn=collate_sparse, drop_last=True):
            there = unbuilt._replace(places=unbuilt.places.to(device), values=unbuilt.values.to(device))
            yield build_chunks(there), targets.to(device)


def measure_rate(load: Iterator[Batch], device: str, precision: str, steps: int) -> float:
    """Chunks learned from per second."""
    torch.manual_seed(0)
    network: nn.Module = CnnLstmNetwork(12, 12, 2, "reshape", "computed").to(device)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.001)
    coarse = torch.autocast(device, torch.bfloat16) if precision == "bfloat16" else nullcontext()
    start = 0.0
    for number, (chunks, targets) in zip(range(WARM_UP + steps), load):
        if number == WARM_UP:
            _wait(device)
            start = time.perf_counter()
        optimizer.zero_grad()
        with coarse:
            loss = cross_entropy(network(chunks), targets)
        loss.backward()
        optimizer.step()
    _wait(device)
    return steps * BATCH / (time.perf_counter() - start)


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda, or cpu to try the benchmark itself")
    parser.add_argument("--chunks", type=int, default=400, help="that are learned from, each way")
    parser.add_argument("--duration_s", type=float, default=120.0, help="of the simulated recording")
    arguments = parser.parse_args()
    device, steps = arguments.device, arguments.chunks // BATCH
    if device == "cuda" and not torch.cuda.is_available():
        sys.exit("benchmarks.gpu: no graphics card here, nothing was measured.")
    with tempfile.TemporaryDirectory() as folder:
        chunks = cut_recording(Path(folder), arguments.duration_s, 1.2)
    ways: list[tuple[str, Callable[[ChunkDataset, str], Iterator[Batch]], str]] = [
        ("float32, dense chunks from the host", load_plainly, "float32"),
        ("bfloat16, chunks built on the device", load_sparsely, "bfloat16"),
    ]
    lines = []
    for name, load, precision in ways:
        rate = measure_rate(load(chunks, device), device, precision, steps)
        there = next(load(chunks, device))
        lines.append([name, f"{rate:.3g}", f"{rate / measure_rate(repeat(there), device, precision, steps):.0%}"])
    name = torch.cuda.get_device_name() if device == "cuda" else device
    print_line("\n".join([f"{name}:", *draw_markdown(["way", "chunks per second", "busy"], lines)]))


if __name__ == "__main__":
    main()
