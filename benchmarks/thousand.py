"""Many small recordings through every stage: seconds and memory by their number.

    python -m benchmarks.thousand [--counts 125 250 500 1000] [--place PATH]

Simulates the recordings as zip archives, runs the stages one after the other on the first 125, 250, ... of them, each
in a project of its own with an empty cache, and follows the memory of a stage and all its workers. Writes
docs/thousand.png and docs/thousand.csv.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pandas as pd
import psutil
from matplotlib.figure import Figure

from mea.runtime.command import print_line
from mea.runtime.parallel import run_parallel
from mea.runtime.style import save_plot
from mea.runtime.tables import draw_markdown
from mea.simulation.plans import Plan, plan_training
from mea.simulation.simulate import write_simulated

ROOT = Path(__file__).resolve().parents[1]
STAGES = ("unzip", "h5", "array", "split", "train", "evaluate")
SETTINGS = ("split.chunk_s=0.5", "split.by=culture")
RECORDING_S, CULTURES, LOOK_S = 2.0, 4, 0.1


def write_archives(folder: Path, number: int) -> list[Path]:
    """So many recordings of 2 s, the classes in turns, each in a zip archive."""
    batches = -(-number // (2 * CULTURES))
    plans = plan_training(2, batches, CULTURES, recordings=1, class_effect=1.0, recording_variance=1.0)
    folder.mkdir(exist_ok=True)
    return run_parallel(_Writer(folder), plans[:number], "simulated")


class _Writer:
    def __init__(self, folder: Path):
        self.folder = folder

    def __call__(self, plan: Plan) -> Path:
        raw = self.folder / plan.recording
        raw.mkdir()
        write_simulated(raw / f"{plan.recording}.h5", plan, RECORDING_S)
        archive = Path(shutil.make_archive(str(raw), "zip", raw))
        shutil.rmtree(raw)
        return archive


def run_stages(project: Path, archives: list[Path]) -> list[dict]:
    """One line a stage: recordings, stage, seconds, GB of it and its workers at their peak, and of the largest."""
    source = project / "raw"
    source.mkdir(parents=True)
    for path in archives:
        os.link(path, source / path.name)
    return [{"recordings": len(archives), "stage": stage, **run_stage(stage, project)} for stage in STAGES]


def run_stage(stage: str, project: Path) -> dict[str, float]:
    """Seconds and memory of one stage."""
    settings = [f"unzip.source={project / 'raw'}", *SETTINGS]
    command = [sys.executable, "-m", f"stages.{stage}", "--params", str(ROOT / "params.yaml")]
    command += [part for setting in settings for part in ("--set", setting)]
    environment = os.environ | {"MEA_QUIET": "1", "PYTHONPATH": str(ROOT), "MEA_CACHE": str(project / "cache")}
    start = time.perf_counter()
    with (project / f"{stage}.log").open("w") as log:
        process = subprocess.Popen(command, cwd=project, env=environment, stdout=log, stderr=log)
        together, largest = follow_memory(process)
    if process.returncode:
        raise RuntimeError(f"{stage} failed: {(project / f'{stage}.log').read_text()[-2000:]}")
    return {"seconds": time.perf_counter() - start, "gb": together / 1e9, "largest_gb": largest / 1e9}


def follow_memory(process: subprocess.Popen) -> tuple[int, int]:
    """Bytes of a process and its children until it ends: at their peak together, and of the largest."""
    together, largest, waiter = 0, 0, threading.Event()
    watched = psutil.Process(process.pid)
    while process.poll() is None:
        sizes = []
        for one in [watched, *_list_children(watched)]:
            try:
                sizes.append(one.memory_info().rss)
            except psutil.Error:
                continue
        together, largest = max(together, sum(sizes)), max([largest, *sizes])
        waiter.wait(LOOK_S)
    return together, largest


def _list_children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def format_line(line: dict) -> list[str]:
    """A line of the table, rounded."""
    return [f"{value:.2f}" if isinstance(value, float) else str(value) for value in line.values()]


def draw_growth(table: pd.DataFrame) -> Figure:
    """Seconds and memory of every stage by the number of recordings."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axes, column, unit in zip(figure.subplots(1, 2), ("seconds", "largest_gb"), ("s", "GB of the largest process")):
        for (stage, part), marker in zip(table.groupby("stage", sort=False), "osv^Dx"):
            axes.plot(part["recordings"], part[column], marker=marker, label=stage)
        axes.set(xlabel="recordings", ylabel=unit, xlim=(0, None), ylim=(0, None))
    figure.axes[0].legend()
    return figure


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[125, 250, 500, 1000])
    parser.add_argument("--place", type=Path, metavar="PATH", help="where to put some 20 GB of temporary files")
    parser.add_argument("--out", type=Path, default=ROOT / "docs", metavar="PATH", help="for table and plot")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="mea-thousand-", dir=arguments.place))
    try:
        archives = write_archives(folder / "zips", max(arguments.counts))
        lines: list[dict] = []
        for count in sorted(arguments.counts):
            lines += run_stages(folder / str(count), archives[:count])
            shutil.rmtree(folder / str(count))
            print_line("\n".join(draw_markdown(lines[-1], [format_line(line) for line in lines[-len(STAGES) :]])))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    table = pd.DataFrame(lines)
    save_plot(draw_growth(table), arguments.out / "thousand.png", table.round(3))


if __name__ == "__main__":
    main()
