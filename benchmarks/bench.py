"""Ours beside the literal predecessor (tests/predecessor.py), in one run, on the same simulated recording.

    python -m benchmarks.bench [--quick]

Prints a table of medians and writes benchmarks/results.json and benchmarks/results.md.
"""

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import h5py
import numpy as np
import torch

from mea.command import report
from mea.events import Events, load_events, save_events
from mea.features import describe_pieces, describe_stretches
from mea.files import fresh_file, write_json
from mea.formats import read_counts, read_sources
from mea.models.predecessor import CnnLstm
from mea.recording import Source
from mea.simulate import plan_training, write_simulated
from mea.spikes import detect_events

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))
import predecessor  # noqa: E402
from spike_trains import make_lively  # noqa: E402

DESCRIBED_S, PIECE_S = 900, 30  # of a recording of 60 electrodes with bursts, about 100,000 spikes
FULL_S = 120.0  # length of the predecessor's recordings, whose whole file it read for every chunk
BATCH = 4


@dataclass(frozen=True)
class Effort:
    """How much is measured: seconds of the recording, seconds of a chunk, repetitions, and those of a slow network."""

    recording_s: float
    chunk_s: float
    repeats: int
    slow_repeats: int


EFFORTS = {"default": Effort(8.0, 1.2, 5, 3), "quick": Effort(2.0, 0.24, 3, 3)}


def time_together(ways: Mapping[str, Callable[[], object]], repeats: int, warm: bool = True) -> dict[str, float]:
    """Median seconds of each way, taken in turns, so that a busy machine is as slow for one as for the other.

    A first run of each (compilation, page cache) is not counted, unless ``warm`` is false.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(repeats + warm):
        for name, work in ways.items():
            start = time.perf_counter()
            work()
            if turn >= warm:
                seconds[name].append(time.perf_counter() - start)
    return {name: median(values) for name, values in seconds.items()}


def compare(name: str, unit: str, reference: float, ours: float) -> dict:
    """One line of the table; a ratio above 1 is in our favour."""
    report(f"  {name}: {reference:.4g} / {ours:.4g} {unit}")
    return {"name": name, "unit": unit, "reference": reference, "ours": ours, "ratio": reference / ours}


def clean_like_predecessor(path: Path, source, out: Path) -> None:
    """Read, clean and store one recording as the predecessor did."""
    with h5py.File(path, "r") as h5:
        raw = h5[source.dataset][...]
    grid = (source.row, source.col, source.rows, source.cols)
    array, _, _ = predecessor.clean_recording(
        raw[source.source_row], source.zero, source.volts_per_count, *grid, source.rate_hz
    )
    np.save(out, array)


def clean_like_us(path: Path, source, out: Path) -> None:
    """Read, clean and store one recording as the array stage does, without its cache."""
    save_events(out, detect_events(read_counts(path, source), source, 5.0))


def bench_cleaning(folder: Path, effort: Effort) -> list[dict]:
    """Seconds and bytes of reading, cleaning and storing, on one core."""
    path, dense, stored = folder / "recording.h5", folder / "dense.npy", folder / "events.npz"
    source = read_sources(path, "raw")[0]
    assert isinstance(source, Source)
    ways = {
        "reference": partial(clean_like_predecessor, path, source, dense),
        "ours": partial(clean_like_us, path, source, stored),
    }
    seconds = time_together(ways, effort.repeats)
    array = np.load(dense, mmap_mode="r")
    expected, found = array.astype(np.float32), load_events(stored).dense(0, source.n_samples)
    if not np.array_equal(expected, found):
        raise AssertionError("the two cleanings differ: no benchmark of different results")
    per_second = 1 / effort.recording_s
    return [
        compare("read, clean, store one second", "s", seconds["reference"] * per_second, seconds["ours"] * per_second),
        compare(
            "bytes stored per second", "bytes", dense.stat().st_size * per_second, stored.stat().st_size * per_second
        ),
    ]


def load_like_predecessor(path: Path, first: int, last: int) -> np.ndarray:
    """One chunk as the predecessor loaded it: the whole file, of which a part is taken."""
    return np.load(path)[:, :, first:last].astype(np.float32)


def bench_loading(folder: Path, effort: Effort) -> list[dict]:
    """Milliseconds for one chunk; the predecessor's file is as long as this recording, and scaled to 120 s."""
    events = load_events(folder / "events.npz")
    rate_hz, chunk_s = events.rate_hz, effort.chunk_s
    first, last = round(chunk_s / 2 * rate_hz), round(chunk_s * 1.5 * rate_hz)
    ways: dict[str, Callable[[], object]] = {
        "reference": partial(load_like_predecessor, folder / "dense.npy", first, last),
        "dense": partial(events.dense, first, last),
        "1 ms bins": partial(events.binned, chunk_s / 2, chunk_s * 1.5, 1.0, "peak"),
        "dense, opening the file first": lambda: load_events(folder / "events.npz").dense(first, last),
    }
    milliseconds = {name: 1e3 * seconds for name, seconds in time_together(ways, effort.repeats).items()}
    whole = milliseconds.pop("reference") * FULL_S / effort.recording_s
    return [compare(f"load a chunk of {chunk_s:g} s: {name}", "ms", whole, ours) for name, ours in milliseconds.items()]


def train_batch(network: torch.nn.Module, batch: torch.Tensor) -> None:
    """One step of training."""
    labels = torch.arange(len(batch)) % 2
    optimiser = torch.optim.Adam(network.parameters(), lr=0.001)
    torch.nn.functional.cross_entropy(network(batch), labels).backward()
    optimiser.step()


@torch.no_grad()
def evaluate_batch(network: torch.nn.Module, batch: torch.Tensor) -> None:
    """One forward pass."""
    network(batch)


def make_batches(events: Events, chunk_s: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Four chunks at the full rate and in 1 ms bins: (4, 1, rows, cols, time) float32."""
    starts = [chunk_s * number for number in range(BATCH)]
    samples = round(chunk_s * events.rate_hz)
    full = np.stack(
        [events.dense(round(start * events.rate_hz), round(start * events.rate_hz) + samples) for start in starts]
    )
    binned = np.stack([events.binned(start, start + chunk_s, 1.0, "peak") for start in starts])
    return torch.from_numpy(full[:, None]), torch.from_numpy(binned[:, None])


def bench_network(folder: Path, effort: Effort) -> list[dict]:
    """Seconds for a batch of 4 chunks: the predecessor's network at the full rate, ours there and in 1 ms bins."""
    events = load_events(folder / "events.npz")
    full, binned = make_batches(events, effort.chunk_s)
    torch.manual_seed(0)
    networks = {
        "reference": (predecessor.Network(), full),
        "full rate": (CnnLstm(events.rows, events.cols, 2, "reshape"), full),
        "1 ms bins": (CnnLstm(events.rows, events.cols, 2, "reshape"), binned),
    }
    lines = []
    for title, work in (("train", train_batch), ("evaluate", evaluate_batch)):
        ways = {name: partial(work, network, batch) for name, (network, batch) in networks.items()}
        seconds = time_together(ways, effort.slow_repeats)
        reference = seconds.pop("reference")
        lines += [compare(f"{title} a batch: {name}", "s", reference, ours) for name, ours in seconds.items()]
    return lines


def bench_features(folder: Path, effort: Effort) -> list[dict]:
    """Seconds of one core for all that the features model measures of a recording, beside the recording's own."""
    events = make_lively(6, 10, DESCRIBED_S)
    whole = [(0, DESCRIBED_S)]
    pieces = [(start, start + PIECE_S) for start in range(0, DESCRIBED_S, PIECE_S)]
    ways = {
        "summary features": lambda: describe_pieces(events, [*whole, *pieces]),
        "lasting features": lambda: describe_stretches(events, whole),
    }
    seconds = time_together(ways, effort.repeats)
    name = f"describe {DESCRIBED_S} s of 60 electrodes, {len(events)} spikes (beside real time)"
    return [compare(f"{name}: {way}", "s", DESCRIBED_S, ours) for way, ours in seconds.items()]


def format_table(lines: list[dict], effort: Effort) -> str:
    """The results in Markdown."""
    rows = [
        f"| {line['name']} | {line['unit']} | {line['reference']:.4g} | {line['ours']:.4g} | {line['ratio']:.4g} |"
        for line in lines
    ]
    return "\n".join(
        [
            f"Medians of {effort.slow_repeats} runs or more; a simulated recording of 120 electrodes "
            f"at 25 kHz, {effort.recording_s:g} s; batches of {BATCH} chunks of {effort.chunk_s:g} s. "
            f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, "
            f"torch {torch.__version__}, {torch.get_num_threads()} threads.",
            "",
            "| | unit | predecessor | ours | ratio |",
            "|---|---|--:|--:|--:|",
            *rows,
            "",
        ]
    )


BENCHES = (bench_cleaning, bench_loading, bench_network, bench_features)


def run_benchmarks(effort: Effort, out: Path) -> None:
    """Measure everything and write results.json and results.md to ``out``."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        report(f"simulating {effort.recording_s:g} s")
        plan = plan_training(seed=0, batches=1, cultures=2, recordings=1, class_effect=1.0, fingerprint=1.0)[0]
        write_simulated(folder / "recording.h5", plan, effort.recording_s)
        report("predecessor / ours")
        lines = [line for bench in BENCHES for line in bench(folder, effort)]
    table = format_table(lines, effort)
    print("\n" + table)
    write_json(out / "results.json", {"results": lines})
    with fresh_file(out / "results.md") as work:
        work.write_text(table, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a short recording and short chunks: about a minute")
    parser.add_argument("--out", type=Path, default=HERE, metavar="PATH", help="folder of results.json and results.md")
    arguments = parser.parse_args()
    run_benchmarks(EFFORTS["quick" if arguments.quick else "default"], arguments.out)
