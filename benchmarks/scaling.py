"""What a lab waits for: nothing to do, one recording more, a recording of any length."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from benchmarks.timing import Effort, Target, compare, skip, time_together
from mea.recordings.formats.mcs_layout import RigRecording, Stream
from mea.recordings.formats.mcs_writer import write_mcs_file
from mea.simulation.plans import plan_training
from mea.simulation.simulate import write_simulated

ROOT = Path(__file__).resolve().parents[1]
IDLE = Target("repro_idle", "s", 1, "dvc repro with nothing to do; the reference is 1.3 × dvc version + 2 s")
ADDED = Target(
    "one_of_200", "s", 1, "unzip, h5, array, two of 202 recordings new; the reference is 3 × these two alone"
)
MEMORY = Target("memory", "GB", 1, "peak of a worker that cleans 10 minutes; the reference is 2 GB")
STAGES = ("unzip", "h5", "array")
REPETITIONS = 5  # of the 120 s recording: 10 minutes

PEAK = """
import re, resource, sys
from pathlib import Path
from mea.arrays.detection import SpikeDetection, read_events
from mea.recordings.formats import read_raw_recordings
from mea.recordings.recording import Recording
source = read_raw_recordings(Path(sys.argv[1]), "raw")[0]
recording = Recording("a", "", "", source)
events = read_events(Path(sys.argv[1]), recording, SpikeDetection(25000, "set_aside", 5.0))
status = Path("/proc/self/status")  # ru_maxrss begins with what the parent held when it forked
peak = re.search(r"VmHWM:\\s+(\\d+) kB", status.read_text()) if status.exists() else None
print(int(peak[1]) * 1024 if peak else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def bench_idle(_folder: Path, effort: Effort) -> list[dict]:
    """In this project, where it is in sync with its lock."""
    dvc = [sys.executable, "-m", "dvc"]
    status = subprocess.run([*dvc, "status", "--quiet"], cwd=ROOT, check=False)
    if status.returncode:
        return [skip(IDLE, "the pipeline is not up to date here: run dvc repro first")]
    ways = {name: lambda name=name: _run([*dvc, name]) for name in ("version", "repro")}
    seconds = time_together(ways, effort.repeats)
    return [compare(IDLE, 1.3 * seconds["version"] + 2, seconds["repro"])]


def bench_added(folder: Path, effort: Effort) -> list[dict]:
    """202 recordings of 2 s as zip archives, one of each class first; without DVC, whose hashing is its own.

    A classifier needs two classes, so that "alone" is two recordings, and two are added.
    """
    recordings = 200 if effort.recording_s >= 60 else 20
    zips = list(_write_archives(folder / "zips", recordings + 2))
    alone = _run_stages(folder / "few", zips[:2])
    _run_stages(folder / "many", zips[2:])
    return [compare(ADDED, 3 * alone, _run_stages(folder / "many", zips))]


def bench_memory(folder: Path, _effort: Effort) -> list[dict]:
    """The recording several times over, cleaned in a process of its own."""
    path = folder / "long.h5"
    repeat_recording(folder / "recording.h5", path, REPETITIONS)
    found = subprocess.run([sys.executable, "-c", PEAK, path], cwd=ROOT, check=True, capture_output=True, text=True)
    path.unlink()
    return [compare(MEMORY, 2.0, int(found.stdout) / 1e9)]


def repeat_recording(path: Path, target: Path, times: int) -> None:
    """Write a recording whose electrodes' samples are those of another, several times over."""
    with h5py.File(path, "r") as h5:
        streams = h5["Data/Recording_0/AnalogStream"]
        group = max(streams.values(), key=lambda stream: stream["ChannelData"].shape[0])
        data, info = group["ChannelData"], group["InfoChannel"][...]
        stream = Stream(
            _repeat_blocks(data, times),
            [label.decode() for label in info["Label"]],
            int(info["Tick"][0]),
            conversion_factor=info["ConversionFactor"],
            exponent=info["Exponent"],
            adc_zero=info["ADZero"],
            row_index=info["RowIndex"].tolist(),
        )
        write_mcs_file(target, [RigRecording([stream])])


def _repeat_blocks(data: h5py.Dataset, times: int) -> Iterator[np.ndarray]:
    width = 100 * data.chunks[1]
    for _ in range(times):
        for first in range(0, data.shape[1], width):
            yield data[:, first : first + width]


def _write_archives(folder: Path, number: int) -> Iterator[Path]:
    folder.mkdir()
    cultures = -(-number // 2)
    plans = plan_training(seed=1, batches=1, cultures=cultures, recordings=1, class_effect=1.0, recording_variance=1.0)
    pairs = [plan for pair in zip(plans[:cultures], plans[cultures:]) for plan in pair]  # one of each class
    for plan in pairs[:number]:
        raw = folder / plan.recording
        raw.mkdir()
        write_simulated(raw / f"{plan.recording}.h5", plan, 2.0)
        yield Path(shutil.make_archive(str(raw), "zip", raw))


def _run_stages(project: Path, zips: list[Path]) -> float:
    """Seconds of the stages that look at recordings one by one; links what is new into the project's source first."""
    source = project / "raw"
    source.mkdir(parents=True, exist_ok=True)
    for path in zips:
        if not (source / path.name).exists():
            os.link(path, source / path.name)
    start = time.perf_counter()
    for stage in STAGES:
        command = [sys.executable, "-m", f"stages.{stage}", "--params", ROOT / "params.yaml"]
        _run([*command, "--set", f"unzip.source={source}"], project)
    return time.perf_counter() - start


def _run(command: list, cwd: Path = ROOT) -> None:
    environment = os.environ | {"MEA_QUIET": "1", "PYTHONPATH": str(ROOT), "MEA_CACHE": str(cwd / "cache")}
    environment = dict(os.environ) if cwd == ROOT else environment
    result = subprocess.run(list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))} failed: {result.stderr[-2000:]}")
