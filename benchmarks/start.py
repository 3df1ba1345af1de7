"""What a stage costs before it begins: CPU seconds of its imports in a new process. ``python -m benchmarks.start``"""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from statistics import median

from benchmarks.timing import Effort, Target, compare

ROOT = Path(__file__).resolve().parents[1]
TRAINS = ("train",)
OTHERS = ("unzip", "h5", "array", "split", "features", "contrast", "evaluate", "classify", "report")
START = Target("start", "CPU s", 1, "imports of the slowest stage that trains nothing; the reference is 1.5 s")
TRAIN = Target("start_train", "CPU s", 1, "imports of the stage train; the reference is 3 s")
CODE = "import importlib, sys, time; importlib.import_module(f'stages.{sys.argv[1]}'); print(time.process_time())"


def bench_start(folder: Path, effort: Effort) -> list[dict]:
    """The slowest of each kind."""
    return [
        compare(target, reference, max(measure_imports(stages, effort.repeats).values()))
        for target, stages, reference in ((START, OTHERS, 1.5), (TRAIN, TRAINS, 3.0))
    ]


def measure_imports(stages: Iterable[str], repeats: int) -> dict[str, float]:
    """Median CPU seconds from the start of Python to the end of a stage's imports, after one start that is dropped."""
    spent: dict[str, list[float]] = {}
    for stage in stages:
        command = [sys.executable, "-c", CODE, stage]
        done = [subprocess.run(command, cwd=ROOT, capture_output=True, check=True) for _ in range(repeats + 1)]
        spent[stage] = [float(one.stdout) for one in done[1:]]
    return {stage: median(seconds) for stage, seconds in spent.items()}


def main() -> None:
    """Print a line a stage."""
    for stage, seconds in measure_imports((*OTHERS, *TRAINS), 5).items():
        print(f"{stage:10} {seconds:.2f} CPU s")


if __name__ == "__main__":
    main()
