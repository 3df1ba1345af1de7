"""One chunk for a network, beside the predecessor's loading of the whole file for each."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.timing import Effort, Target, compare, time_together
from mea.arrays.events_file import load_events

DENSE = Target("chunk_dense", "s", 400, "a chunk at the full rate; the reference loads its whole file")
MAPPED = Target("chunk_mmap", "s", 2, "the same; the reference maps its file into memory and copies a slice")
BINNED = Target("chunk_binned", "s", 1500, "a chunk in bins of 1 ms; the reference loads its whole file")


def bench_loading(folder: Path, effort: Effort) -> list[dict]:
    """The events are in memory, as a training has them; every value of a result is read."""
    events = load_events(folder / "events.npz")
    sampling_rate_hz, chunk_s = events.sampling_rate_hz, effort.chunk_s
    first, last = round(chunk_s / 2 * sampling_rate_hz), round(chunk_s * 1.5 * sampling_rate_hz)
    dense = folder / "dense.npy"
    quick: dict[str, Callable[[], object]] = {
        "mapped": lambda: map_slice(dense, first, last).sum(),
        "dense": lambda: events.dense(first, last).sum(),
        "binned": lambda: events.binned(chunk_s / 2, chunk_s * 1.5, 1.0, "peak").sum(),
    }
    whole = time_together({"whole": lambda: load_whole(dense, first, last).sum()}, effort.repeats)
    seconds = whole | time_together(quick, 10 * effort.repeats)  # as a training has them: one after the other
    return [
        compare(DENSE, seconds["whole"], seconds["dense"]),
        compare(MAPPED, seconds["mapped"], seconds["dense"]),
        compare(BINNED, seconds["whole"], seconds["binned"]),
    ]


def load_whole(path: Path, first: int, last: int) -> np.ndarray:
    """One chunk as the predecessor loaded it: the whole file, of which a part is taken."""
    return np.load(path)[:, :, first:last].astype(np.float32)


def map_slice(path: Path, first: int, last: int) -> np.ndarray:
    """One chunk from a file that is mapped into memory."""
    return np.load(path, mmap_mode="r")[:, :, first:last].astype(np.float32)


def load_chunks_whole(path: Path, starts: list[int], samples: int) -> np.ndarray:
    """(chunks, 1, rows, cols, samples) as the predecessor loaded a batch."""
    return np.stack([load_whole(path, start, start + samples)[None] for start in starts])


def make_loaders(folder: Path, chunk_s: float) -> dict[str, Callable[[list[int]], np.ndarray]]:
    """How each way loads a batch, given the chunks' numbers: (chunks, 1, rows, cols, time) float32."""
    events = load_events(folder / "events.npz")
    samples = round(chunk_s * events.sampling_rate_hz)

    def load_reference(numbers: list[int]) -> np.ndarray:
        return load_chunks_whole(folder / "dense.npy", [number * samples for number in numbers], samples)

    def load_dense(numbers: list[int]) -> np.ndarray:
        return np.stack([events.dense(number * samples, (number + 1) * samples)[None] for number in numbers])

    def load_binned(numbers: list[int]) -> np.ndarray:
        window = partial(events.binned, bin_ms=1.0, how="peak")
        return np.stack([window(number * chunk_s, (number + 1) * chunk_s)[None] for number in numbers])

    return {"reference": load_reference, "dense": load_dense, "binned": load_binned}
