"""New recordings classified: ``python -m benchmarks.classify [--rig 48] [--spikes 2000]``

Classifies recordings of the rig (simulated, like the sample's) with the sample's classifier, which ``make repro``
writes, and recordings of spike times with one that is trained here on 64 of them: by ``mea classify`` in one process,
on all cores, and on a Dask cluster of as many workers on this machine, where ``requirements-cluster.txt`` is installed.

Prints a table: files, seconds, electrode-seconds a second, and how many times faster than they were recorded.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from benchmarks.many import SETTINGS, write_recording
from benchmarks.stages import ROOT, run_stages
from mea.recordings.formats import read_raw_recordings
from mea.recordings.recording import RawRecording
from mea.runtime.cluster import ADDRESS
from mea.runtime.command import print_line
from mea.runtime.errors import MeaError
from mea.runtime.parallel import count_workers, run_parallel
from mea.runtime.tables import draw_markdown
from mea.simulation.plans import Plan, plan_training
from mea.simulation.simulate import write_simulated

RIG_S, SPIKES_S, HZ = 9.6, 60.0, 3.15
TRAINING = 64


def write_rig(folder: Path, count: int) -> None:
    """Files of the rig, of a lab that the classifier has not met."""
    folder.mkdir()
    plans = plan_training(2, batches=-(-count // 4), cultures=2, recordings=1, class_effect=2.0, recording_variance=1.0)
    run_parallel(partial(_write_one, folder=folder), plans[:count], "simulated")


def _write_one(plan: Plan, folder: Path) -> None:
    write_simulated(folder / f"{plan.recording}.h5", plan, RIG_S)


def write_spikes(folder: Path, numbers: range) -> list[tuple[str, ...]]:
    """Files of spike times; the line of ``recordings.csv`` of each."""
    folder.mkdir(parents=True)
    return run_parallel(partial(write_recording, folder=folder, hz=HZ, duration_s=SPIKES_S), numbers, "written")


def train_on_spikes(folder: Path) -> Path:
    """A classifier of recordings of spike times."""
    rows = write_spikes(folder / "raw", range(TRAINING))
    stages = ("unzip", "h5", "array", "split", "features", "train", "evaluate")
    run_stages(stages, folder, folder / "raw", rows, SETTINGS)
    return folder / "models/classifier"


def measure(model: Path, source: Path, **environment: str) -> float:
    """Seconds of ``mea classify``, from its start to its end, imports included."""
    command = [sys.executable, "-m", "mea", "classify", "--source", str(source), "--model", str(model)]
    with tempfile.TemporaryDirectory() as folder:
        given = os.environ | {"MEA_QUIET": "1", "MEA_CACHE": f"{folder}/cache", "PYTHONPATH": str(ROOT)} | environment
        begin = time.perf_counter()
        done = subprocess.run(
            [*command, "--out", f"{folder}/out.csv"], cwd=folder, env=given, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise MeaError(f"mea classify failed: {done.stderr[-1000:]}")
        return time.perf_counter() - begin


def measure_ways(source: Path, count: int, duration_s: float, model: Path) -> list[list[str]]:
    """A line for each way to classify a folder of recordings; each with an empty cache."""
    workers = count_workers()
    seconds = {
        f"{number} process{'es' * (number > 1)}": measure(model, source, MEA_WORKERS=str(number))
        for number in sorted({1, workers})
    }
    if find_spec("distributed"):
        from distributed import LocalCluster

        with LocalCluster("127.0.0.1", n_workers=workers, threads_per_worker=1, dashboard_address=None) as cluster:
            seconds[f"Dask, {workers} workers"] = measure(model, source, **{ADDRESS: cluster.scheduler_address})
    else:
        print_line("Dask: not measured, distributed is not installed (requirements-cluster.txt)")
    found = read_raw_recordings(next(source.glob("*.h5")), "raw")
    electrodes = sum(len(one.names) for one in found if isinstance(one, RawRecording))
    lines = []
    for way, taken in seconds.items():
        faster = duration_s * count / taken
        what = [source.name, str(count), str(electrodes), f"{duration_s:g}"]
        lines.append([*what, way, f"{taken:.1f}", f"{electrodes * faster:,.0f}", f"{faster:,.0f}"])
        print_line(" | ".join(lines[-1]))
    return lines


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rig", type=int, default=48, help="recordings of the rig, of 9.6 s")
    parser.add_argument("--spikes", type=int, default=2000, help="recordings of spike times, of a minute")
    given = parser.parse_args()
    sample, lines = ROOT / "models/classifier", []
    if given.rig and not sample.is_dir():
        sys.exit(f"{sample}: is not there. Run make repro, or give --rig 0.")
    work = Path(tempfile.mkdtemp(prefix="mea-classify-"))
    try:
        if given.rig:
            write_rig(work / "rig", given.rig)
            lines += measure_ways(work / "rig", given.rig, RIG_S, sample)
        if given.spikes:
            model = train_on_spikes(work / "lab")
            write_spikes(work / "spikes", range(TRAINING, TRAINING + given.spikes))
            lines += measure_ways(work / "spikes", given.spikes, SPIKES_S, model)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    titles = ["recordings", "number", "electrodes", "s each", "by", "s", "electrode-seconds per s", "times real time"]
    print("\n".join(draw_markdown(titles, lines)))


if __name__ == "__main__":
    main()
