"""Ours beside the literal predecessor (tests/builders/predecessor.py), in one run, on the same simulated recording.

    python -m benchmarks.bench [--quick] [--only storing steps ...]

Prints a table of medians and writes benchmarks/results.json and benchmarks/results.md; with ``--only``, the other lines
stay as they were. With ``--check`` it writes nothing, and fails when a ratio is less than half of the one in
benchmarks/results.json.
"""

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

import torch

from mea.runtime.command import print_line
from mea.runtime.files import fresh_file, write_json
from mea.simulation.plans import plan_training
from mea.simulation.simulate import write_simulated

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))
os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE.parent), str(HERE.parent / "tests")])  # for processes of their own

from benchmarks.features import bench_features  # noqa: E402
from benchmarks.loading import bench_loading  # noqa: E402
from benchmarks.one_core import bench_floor, bench_one_core  # noqa: E402
from benchmarks.scaling import bench_added, bench_idle, bench_memory  # noqa: E402
from benchmarks.start import bench_start  # noqa: E402
from benchmarks.steps import bench_steps, check_same_function  # noqa: E402
from benchmarks.storing import bench_detection, bench_spikeinterface, bench_storing, prepare_files  # noqa: E402
from benchmarks.timing import Effort  # noqa: E402

EFFORTS = {"default": Effort(120.0, 1.2, 5, 100), "quick": Effort(6.0, 0.24, 3, 8)}
BENCHES = {
    "storing": bench_storing,
    "spikeinterface": bench_spikeinterface,
    "one_core": bench_one_core,
    "floor": bench_floor,
    "detection": bench_detection,
    "loading": bench_loading,
    "steps": bench_steps,
    "features": bench_features,
    "start": bench_start,
    "idle": bench_idle,
    "added": bench_added,
    "memory": bench_memory,
}
VERSIONS = ("numpy", "numba", "h5py", "isal", "torch", "dvc")
SLOWER = 0.5  # a ratio below so much of what it was is a regression


def run_benchmarks(effort: Effort, names: Iterable[str], place: Path | None) -> list[dict]:
    """Measure what is named; ``place`` is where a folder for some 10 GB is made."""
    folder = Path(tempfile.mkdtemp(prefix="mea-bench-", dir=place))
    try:
        print_line(f"simulating {effort.recording_s:g} s")
        plan = plan_training(seed=0, batches=1, cultures=2, recordings=1, class_effect=1.0, recording_variance=1.0)[0]
        write_simulated(folder / "recording.h5", plan, effort.recording_s)
        prepare_files(folder)
        check_same_function(folder, effort.chunk_s)
        return [line for name in names for line in BENCHES[name](folder, effort)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def replace_lines(earlier: list[dict], lines: list[dict]) -> list[dict]:
    """The lines as measured now, and those of an earlier run that were not."""
    now = {line["name"]: line for line in lines}
    return [now.pop(line["name"], line) for line in earlier] + list(now.values())


def find_regressions(lines: list[dict], earlier: list[dict]) -> list[str]:
    """In words, each ratio that fell to less than half of an earlier one."""
    before = {line["name"]: line["ratio"] for line in earlier}
    return [
        f"{line['name']}: {line['ratio']:.4g}, it was {before[line['name']]:.4g}"
        for line in lines
        if line["ratio"] and before.get(line["name"]) and line["ratio"] < SLOWER * before[line["name"]]
    ]


def format_table(lines: list[dict], effort: Effort) -> str:
    """The results in Markdown."""
    versions = ", ".join(f"{name} {version(name)}" for name in VERSIONS)
    return "\n".join(
        [
            f"A simulated recording of 120 electrodes at 25 kHz, {effort.recording_s:g} s, in the vendor's layout; "
            f"chunks of {effort.chunk_s:g} s, batches of 4. Medians of {effort.repeats}, taken in turns; `store_rows`, "
            f"the epochs (from {effort.epoch_chunks} chunks), `one_of_200` and `memory` once. {describe_machine()}, "
            f"Python {platform.python_version()}, {versions}.",
            "",
            "| | | unit | reference | ours | ratio | wanted |",
            "|---|---|---|--:|--:|--:|--:|",
            *map(_format_line, lines),
            "",
        ]
    )


def describe_machine() -> str:
    """Processor and cores, in words."""
    cpuinfo = Path("/proc/cpuinfo")
    names = (
        [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        if (cpuinfo.exists())
        else []
    )
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"


def _format_line(line: dict) -> str:
    name = f"| `{line['name']}` | {line['what']} |"
    if line["ratio"] is None:
        return f"{name} not measured: {line['reason']} | | | | ≥ {line['target']:g} |"
    cells = (line["unit"], f"{line['reference']:.4g}", f"{line['ours']:.4g}", f"{line['ratio']:.4g}")
    return f"{name} {' | '.join(cells)} | ≥ {line['target']:g} |"


def main(argv: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a short recording and short chunks: a few minutes")
    parser.add_argument("--check", action="store_true", help="compare with the results that are there, write nothing")
    parser.add_argument("--out", type=Path, default=HERE, metavar="PATH", help="folder of results.json and results.md")
    parser.add_argument("--place", type=Path, metavar="PATH", help="where to put some 10 GB of temporary files")
    parser.add_argument("--only", nargs="+", choices=list(BENCHES), default=list(BENCHES), help="measure these only")
    arguments = parser.parse_args(argv)
    effort = EFFORTS["quick" if arguments.quick else "default"]
    results = arguments.out / "results.json"
    earlier = json.loads(results.read_text()) if results.exists() else []
    lines = run_benchmarks(effort, arguments.only, arguments.place)
    if arguments.check:
        slower = find_regressions(lines, earlier)
        sys.exit("slower than before:\n" + "\n".join(slower) if slower else 0)
    lines = replace_lines(earlier, lines)
    table = format_table(lines, effort)
    print("\n" + table)
    write_json(results, lines)
    with fresh_file(arguments.out / "results.md") as work:
        work.write_text(table, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
