"""Reading, spike detection and storing of a recording on one core, in CPU seconds: ours, and what else there is."""

import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import partial
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import h5py
import numpy as np
from isal import isal_zlib
from scipy.signal import find_peaks

from benchmarks.storing import detect_like_spikeinterface, open_recording, store_in_a_worker, store_like_predecessor
from benchmarks.timing import Effort, Target, compare, run_in, skip
from mea.arrays.events_file import load_events
from mea.recordings.recording import RawRecording

PLAIN = Target("core_plain", "CPU s", 8, "store on one core; h5py, NumPy and find_peaks, the whole file in memory")
OTHER = Target("core_spikeinterface", "CPU s", 14, "the same; SpikeInterface detects peaks by channel, stores no array")
WHOLE = Target("core_whole", "CPU s", 16, "the same; the predecessor, the whole file in memory")
FLOOR = Target("core_floor", "CPU s", 0.5, "the same; inflating the file, which everybody must: no way to be faster")
THREADS = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def bench_one_core(folder: Path, effort: Effort) -> list[dict]:
    """CPU seconds of each way in a process that has one core: medians, taken in turns, after one that is dropped."""
    path, source, recording = open_recording(folder)
    ways: dict[str, Callable[[], object]] = {
        "ours": partial(store_in_a_worker, path, recording, folder / "events.npz"),
        "plain": partial(store_plainly, path, source, folder / "plain.npz"),
        "whole": partial(store_like_predecessor, path, source, folder / "dense.npy"),
    }
    if find_spec("spikeinterface"):
        ways["other"] = partial(detect_like_spikeinterface, path, source, 1, "10s")
    middle = time_on_one_core(ways, effort.repeats)
    check_plain(folder, source)
    lines = [compare(PLAIN, middle["plain"], middle["ours"]), compare(WHOLE, middle["whole"], middle["ours"])]
    if "other" not in middle:
        return [*lines, skip(OTHER, "SpikeInterface is not here: pip install -r benchmarks/requirements.txt")]
    return [*lines, compare(OTHER, middle["other"], middle["ours"])]


def bench_floor(folder: Path, effort: Effort) -> list[dict]:
    """How much of ours is inflating alone."""
    path, source, recording = open_recording(folder)
    ways: dict[str, Callable[[], object]] = {
        "ours": partial(store_in_a_worker, path, recording, folder / "events.npz"),
        "inflate": partial(inflate_only, path, source),
    }
    middle = time_on_one_core(ways, effort.repeats)
    return [compare(FLOOR, middle["inflate"], middle["ours"])]


def time_on_one_core(ways: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median CPU seconds of each way, each in a process of its own."""
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    with ExitStack() as stack:
        processes = {way: stack.enter_context(start_on_one_core()) for way in ways}
        for turn in range(repeats + 1):
            for way, work in ways.items():
                spent = run_in(processes[way], partial(count_cpu, work))
                if turn:
                    seconds[way].append(spent)
    return {way: median(values) for way, values in seconds.items()}


def start_on_one_core() -> ProcessPoolExecutor:
    """A process that computes with one thread, on one core where the system lets a process choose."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    process = ProcessPoolExecutor(1, get_context("spawn"), initializer=_take_one_core)
    run_in(process, os.getpid)  # the process starts with the first work
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value
    return process


def _take_one_core() -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def count_cpu(work: Callable[[], object]) -> float:
    """CPU seconds that this process spends on it."""
    start = time.process_time()
    work()
    return time.process_time() - start


def inflate_only(path: Path, source: RawRecording) -> None:
    """Every chunk of the file, one after the other, and nothing made of it."""
    with h5py.File(path, "r") as h5:
        data = h5[source.dataset]
        width = data.chunks[1]
        for first in range(0, data.shape[1], width):
            isal_zlib.decompress(data.id.read_direct_chunk((0, first))[1])


def store_plainly(path: Path, source: RawRecording, out: Path) -> None:
    """As one would write it: counts to µV, five times the median noise as threshold, SciPy's peaks, NumPy's archive."""
    with h5py.File(path, "r") as h5:
        counts = h5[source.dataset][...][source.source_row]
    peaks: dict[str, Any] = {}
    for unit, row in enumerate(counts):
        trace_uv = (row - source.adc_zero[unit]).astype(np.float32) * np.float32(source.gain_v[unit] * 1e6)
        threshold = 5 * np.median(np.abs(trace_uv)) / 0.6745
        up, down = (find_peaks(sign * trace_uv, height=threshold)[0] for sign in (1, -1))
        peaks[str(unit)] = np.sort(np.concatenate([up, down]))
    np.savez(out, **peaks)


def check_plain(folder: Path, source: RawRecording) -> None:
    """Raise unless every spike of ours is a peak of the plain way, which does not join peaks to spikes."""
    events = load_events(folder / "events.npz")
    with np.load(folder / "plain.npz") as plain:
        for unit in range(len(source.row)):
            ours = events.peak_sample[events.electrode == unit]
            if not np.isin(ours, plain[str(unit)]).all():
                raise AssertionError(f"electrode {unit}: a spike of ours is no peak of the plain way")
