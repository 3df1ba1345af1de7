"""Reading, spike detection and storing of a recording, beside the literal predecessor and beside SpikeInterface."""

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import h5py
import numpy as np
from builders import predecessor

from benchmarks.timing import (
    Effort,
    Target,
    compare,
    run_in,
    skip,
    start_processes,
    time_apart,
    time_once,
    time_together,
)
from mea.arrays.detection import SpikeDetection, read_events
from mea.arrays.events_file import load_events, save_events
from mea.arrays.spikes import detect_events
from mea.recordings.formats import read_counts, read_raw_recordings
from mea.recordings.recording import RawRecording, Recording
from mea.runtime.memory import keep_freed_memory

ROWS = Target("store_rows", "s", 300, "store a recording on all cores; the reference, on one, reads it by electrodes")
WHOLE = Target("store_whole", "s", 20, "the same; the reference, on one core, reads the file once")
OTHER = Target(
    "store_spikeinterface",
    "s",
    8,
    "the same; SpikeInterface, all cores, peaks by channel, stores no array",
)
CLEAN = Target("clean", "s", 30, "spike detection alone, the samples in memory")
SIZE = Target("size", "bytes", 1300, "bytes stored for a recording")


def prepare_files(folder: Path) -> None:
    """From recording.h5 in the folder: dense.npy, the predecessor's array, and events.npz, ours; both say the same."""
    path, source, recording = open_recording(folder)
    store_like_predecessor(path, source, folder / "dense.npy")
    store_like_us(path, recording, folder / "events.npz")
    check_same(folder / "dense.npy", folder / "events.npz")


def open_recording(folder: Path) -> tuple[Path, RawRecording, Recording]:
    """The rig's file, what it holds, and a name for it."""
    path = folder / "recording.h5"
    source = read_raw_recordings(path, "raw")[0]
    assert isinstance(source, RawRecording)
    return path, source, Recording("bench", path.name, "", source)


def bench_storing(folder: Path, effort: Effort) -> list[dict]:
    """The reference by rows once, for it takes minutes."""
    path, source, recording = open_recording(folder)
    dense, stored = folder / "dense.npy", folder / "events.npz"
    ways = {
        "reference": partial(store_like_predecessor, path, source, dense),
        "ours": partial(store_in_a_worker, path, recording, stored),
    }
    with start_processes(ways) as processes:
        seconds = time_apart(ways, processes, effort.repeats)
        rows = time_once(partial(run_in, processes["reference"], partial(store_row_by_row, path, source, dense)))
    return [
        compare(ROWS, rows, seconds["ours"]),
        compare(WHOLE, seconds["reference"], seconds["ours"]),
        compare(SIZE, dense.stat().st_size, stored.stat().st_size),
    ]


def bench_detection(folder: Path, effort: Effort) -> list[dict]:
    """Detection alone: the reference from int32 counts as h5py gives them, ours from the counts as we read them."""
    path, source, _ = open_recording(folder)
    with h5py.File(path, "r") as h5:
        raw = h5[source.dataset][...][source.source_row]
    counts = read_counts(path, source)
    ways: dict[str, Callable[[], object]] = {
        "reference": partial(clean_like_predecessor, raw, source),
        "ours": partial(detect_events, counts, source, 5.0),
    }
    seconds = time_together(ways, effort.repeats)
    return [compare(CLEAN, seconds["reference"], seconds["ours"])]


def bench_spikeinterface(folder: Path, effort: Effort) -> list[dict]:
    """Against the best of one or two jobs and chunks of one or ten seconds."""
    if not find_spec("spikeinterface"):
        return [skip(OTHER, "SpikeInterface is not here: pip install -r benchmarks/requirements.txt")]
    path, source, recording = open_recording(folder)
    settings = list(product((1, 2), ("1s", "10s")))
    jobs = {setting: partial(detect_like_spikeinterface, path, source, *setting) for setting in settings}
    with start_processes(("reference", "ours")) as processes:
        tried = {setting: time_once(partial(run_in, processes["reference"], work)) for setting, work in jobs.items()}
        best = min(tried, key=lambda setting: tried[setting])
        ours = partial(store_in_a_worker, path, recording, folder / "events.npz")
        ways = {"reference": jobs[best], "ours": ours}
        seconds = time_apart(ways, processes, effort.repeats)
    return [compare(OTHER, seconds["reference"], seconds["ours"])]


def store_in_a_worker(path: Path, recording: Recording, out: Path) -> None:
    """As a worker of the array stage does, without its cache, on all cores."""
    keep_freed_memory()
    store_like_us(path, recording, out)


def store_like_us(path: Path, recording: Recording, out: Path) -> None:
    """Read, clean and store."""
    save_events(out, read_events(path, recording, SpikeDetection(recording.source.sampling_rate_hz, "set_aside", 5.0)))


def store_like_predecessor(path: Path, source: RawRecording, out: Path) -> None:
    """Read once, clean each electrode in float64, save the dense array."""
    with h5py.File(path, "r") as h5:
        raw = h5[source.dataset][...]
    np.save(out, clean_like_predecessor(raw[source.source_row], source))


def store_row_by_row(path: Path, source: RawRecording, out: Path) -> None:
    """As the predecessor's notebook did: each electrode is read by itself, which inflates the whole file each time."""
    array = np.zeros((source.rows, source.cols, source.n_samples))
    with h5py.File(path, "r") as h5:
        for unit, row in enumerate(source.source_row):
            raw = h5[source.dataset][row]
            x = predecessor.convert_to_microvolts(raw, source.adc_zero[unit], source.gain_v[unit])
            array[source.row[unit], source.col[unit]] = predecessor.clean_electrode(x, source.sampling_rate_hz)[0]
    np.save(out, array)


def clean_like_predecessor(counts: np.ndarray, source: RawRecording) -> np.ndarray:
    """(n, samples) counts → float64 (rows, cols, samples)."""
    grid = (source.row, source.col, source.rows, source.cols)
    return predecessor.clean_recording(counts, source.adc_zero, source.gain_v, *grid, source.sampling_rate_hz)[0]


def detect_like_spikeinterface(path: Path, source: RawRecording, jobs: int, chunk: str) -> None:
    """Peaks by channel at 5 times the noise, both signs."""
    from spikeinterface.core import get_noise_levels
    from spikeinterface.extractors import read_mcsh5
    from spikeinterface.sortingcomponents.peak_detection import detect_peaks

    recording = read_mcsh5(path, stream_id=int(source.dataset.split("Stream_")[1].split("/")[0]))
    settings = {"n_jobs": jobs, "chunk_duration": chunk, "progress_bar": False}
    noise = get_noise_levels(recording, return_in_uV=False, progress_bar=False)
    options = {"peak_sign": "both", "detect_threshold": 5, "noise_levels": noise}
    detect_peaks(recording, method="by_channel", method_kwargs=options, job_kwargs=settings)


def check_same(dense: Path, stored: Path) -> None:
    """Raise unless both files say the same: no benchmark of different results."""
    array, events = np.load(dense, mmap_mode="r"), load_events(stored)
    step = 500_000
    for first in range(0, events.n_samples, step):
        last = min(first + step, events.n_samples)
        if not np.array_equal(array[:, :, first:last].astype(np.float32), events.dense(first, last)):
            raise AssertionError(f"samples {first} to {last}: the two cleanings differ")
