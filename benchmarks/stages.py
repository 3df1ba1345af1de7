"""Stages as a user runs them, one after the other: seconds, and memory of a stage with its workers."""

import csv
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd
import psutil
from matplotlib.figure import Figure

from mea.runtime.command import print_line

ROOT = Path(__file__).resolve().parents[1]
ALL = ("unzip", "h5", "array", "split", "features", "contrast", "train", "evaluate", "classify", "report")
LOOK_S = 0.2  # between two looks at the memory
MARKERS = "osv^Dx*P<>"  # of stages


def run_lab(project: Path, source: Path, rows: Iterable[Sequence[str]], settings: Sequence[str]) -> list[dict]:
    """Every stage on a folder of recordings; one line each, printed as it is there.

    Parameters
    ----------
    project
        Folder that the stages work in.
    source
        Folder of the recordings; their ``recordings.csv`` is written there.
    rows
        Recording, label, culture and batch of each.
    settings
        Parameters, as ``section.key=value``.
    """
    lines = run_stages(ALL, project, source, rows, settings)
    print_line(f"report/index.html: {(project / 'report/index.html').stat().st_size / 1e6:.1f} MB")
    return lines


def run_stages(
    stages: Iterable[str], project: Path, source: Path, rows: Iterable[Sequence[str]], settings: Sequence[str]
) -> list[dict]:
    """Some stages, as :func:`run_lab` runs all of them."""
    with (source / "recordings.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("recording", "label", "culture", "batch"), *rows])
    (project / "new").mkdir()  # an empty folder: nothing to classify
    lines = []
    for stage in stages:
        given = (f"unzip.source={source}", "classify.source=new", "report.compare=null", *settings)
        lines.append({"stage": stage, **run_stage(stage, project, given)})
        print_line(" ".join(format_line(lines[-1])))
    return lines


def run_stage(stage: str, project: Path, settings: Iterable[str]) -> dict[str, float]:
    """Seconds, those of processors, and GB of a stage: with its workers at their peak, and of the largest of them."""
    command = [sys.executable, "-m", f"stages.{stage}", "--params", str(ROOT / "params.yaml")]
    command += [part for setting in settings for part in ("--set", setting)]
    environment = os.environ | {"MEA_QUIET": "1", "PYTHONPATH": str(ROOT), "MEA_CACHE": str(project / "cache")}
    before, start = os.times(), time.perf_counter()
    with (project / f"{stage}.log").open("w") as log:
        process = subprocess.Popen(command, cwd=project, env=environment, stdout=log, stderr=log)
        together, largest = follow_memory(process)
    if process.returncode:
        raise RuntimeError(f"{stage} failed: {(project / f'{stage}.log').read_text()[-2000:]}")
    after, seconds = os.times(), time.perf_counter() - start
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return {"seconds": seconds, "cpu_s": spent, "gb": together / 1e9, "largest_gb": largest / 1e9}


def follow_memory(process: subprocess.Popen) -> tuple[int, int]:
    """Bytes of a process and its children until it ends: at their peak together, and of the largest."""
    together, largest, watched = 0, 0, psutil.Process(process.pid)
    while process.poll() is None:
        sizes = [_measure(one) for one in [watched, *_list_children(watched)]]
        together, largest = max(together, sum(sizes)), max([largest, *sizes])
        time.sleep(LOOK_S)
    return together, largest


def _measure(process: psutil.Process) -> int:
    """Bytes of memory; of pages that several processes share, this one's part, where the system tells (Linux)."""
    try:
        memory = process.memory_full_info()
    except psutil.Error:
        return 0  # it has ended
    return getattr(memory, "pss", memory.rss)


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
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    for axes, column, unit in zip(figure.subplots(1, 2), ("seconds", "largest_gb"), ("s", "GB of the largest process")):
        for (stage, part), marker in zip(table.groupby("stage", sort=False), MARKERS):
            axes.plot(part["recordings"], part[column], marker=marker, label=stage)
        axes.set(xlabel="recordings", ylabel=unit, xlim=(0, None), ylim=(0, None))
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside right center")
    return figure
