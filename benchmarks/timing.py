"""Time several ways of doing the same, in turns, and say how they compare."""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from statistics import median
from typing import TypeVar

from mea.runtime.command import print_line

Answer = TypeVar("Answer")
TOLD_OPENMP = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


@dataclass(frozen=True)
class Effort:
    """How much is measured: seconds of the recording and of a chunk, repetitions, chunks of the extrapolated epoch."""

    recording_s: float
    chunk_s: float
    repeats: int
    epoch_chunks: int


@dataclass(frozen=True)
class Target:
    """What a ratio must reach; ``unit`` is that of ``reference`` and ``ours``."""

    name: str
    unit: str
    least: float
    what: str


def time_once(work: Callable[[], object]) -> float:
    """Seconds of one run."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def time_repeated(work: Callable[[], object], least_s: float = 1.0) -> float:
    """Mean seconds of a run, of as many as take a second, after a first second that does not count."""
    for _ in range(2):
        runs, start = 0, time.perf_counter()
        while (spent := time.perf_counter() - start) < least_s:
            work()
            runs += 1
    return spent / runs


@contextmanager
def start_processes(ways: Iterable[str]) -> Iterator[dict[str, ProcessPoolExecutor]]:
    """A process for each way, as in use: with its own memory, which it keeps or gives back in its own manner.

    That of the ``reference`` starts without what ``mea`` tells OpenMP: benchmarks.bench loads torch before ``mea``.
    """
    with ExitStack() as stack:
        processes = {way: stack.enter_context(ProcessPoolExecutor(1, get_context("spawn"))) for way in ways}
        told = {name: os.environ.pop(name) for name in TOLD_OPENMP if name in os.environ}
        run_in(processes["reference"], os.getpid)  # the process starts with the first work
        os.environ.update(told)
        yield processes


def run_in(process: ProcessPoolExecutor, work: Callable[[], Answer]) -> Answer:
    """What the work returns when that process does it; both must be picklable."""
    return process.submit(work).result()


def time_together(ways: Mapping[str, Callable[[], object]], repeats: int, warm: bool = True) -> dict[str, float]:
    """Median seconds of each way, taken in turns, so that a busy machine is as slow for one as for the other.

    A first run of each (compilation, page cache) is not counted, unless ``warm`` is false. What one has written is on
    the disk before the next begins.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(repeats + warm):
        for name, work in ways.items():
            if hasattr(os, "sync"):
                os.sync()
            spent = time_once(work)
            if turn >= warm:
                seconds[name].append(spent)
    return {name: median(values) for name, values in seconds.items()}


def time_apart(
    ways: Mapping[str, Callable[[], object]], processes: Mapping[str, ProcessPoolExecutor], repeats: int
) -> dict[str, float]:
    """As :func:`time_together`, each way in its process."""
    return time_together({way: partial(run_in, processes[way], work) for way, work in ways.items()}, repeats)


def compare(target: Target, reference: float, ours: float) -> dict:
    """One line of the table; a ratio above 1 is in our favour."""
    ratio = reference / ours
    print_line(f"  {target.name}: {reference:.4g} / {ours:.4g} {target.unit} = {ratio:.4g}, wanted {target.least:g}")
    line = {"name": target.name, "ratio": ratio, "target": target.least, "unit": target.unit}
    return line | {"reference": reference, "ours": ours, "what": target.what}


def skip(target: Target, reason: str) -> dict:
    """A line that could not be measured here, and why."""
    print_line(f"  {target.name}: not measured: {reason}")
    return {"name": target.name, "ratio": None, "target": target.least, "what": target.what, "reason": reason}
