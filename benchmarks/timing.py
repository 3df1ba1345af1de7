"""Time several ways of doing the same, in turns, and say how they compare."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

from mea.command import report


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


def compare(target: Target, reference: float, ours: float) -> dict:
    """One line of the table; a ratio above 1 is in our favour."""
    ratio = reference / ours
    report(f"  {target.name}: {reference:.4g} / {ours:.4g} {target.unit} = {ratio:.4g}, wanted {target.least:g}")
    line = {"name": target.name, "ratio": ratio, "target": target.least, "unit": target.unit}
    return line | {"reference": reference, "ours": ours, "what": target.what}


def skip(target: Target, reason: str) -> dict:
    """A line that could not be measured here, and why."""
    report(f"  {target.name}: not measured: {reason}")
    return {"name": target.name, "ratio": None, "target": target.least, "what": target.what, "reason": reason}
