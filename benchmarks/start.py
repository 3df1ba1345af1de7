"""What a stage costs before it begins: CPU seconds of its imports in a new process, and of what Numba compiles.

``python -m benchmarks.start`` prints a line a stage, and one of the libraries that most stages need, imported alone.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from statistics import median

from benchmarks.timing import Effort, Target, compare

ROOT = Path(__file__).resolve().parents[1]
TRAINS = ("train",)
OTHERS = ("unzip", "h5", "array", "split", "features", "contrast", "evaluate", "classify", "report")
START = Target("start", "CPU s", 1, "imports of the slowest stage that trains nothing; the reference is 1.5 s")
TRAIN = Target("start_train", "CPU s", 1, "imports of the stage train; the reference is 3 s")
COMPILED = Target("start_compiled", "s", 1, "features, compiled on a new machine; the reference is 3 s")
COMPILE = """
from numba.core.event import install_timer
from builders.arrays import make_events
from mea.features.compute import compute_features, compute_long_window_features
with install_timer("numba:compiler_lock", print):
    events = make_events(duration_s=60.0)
    compute_features(events, [(0.0, 60.0)])
    compute_long_window_features(events, [(0.0, 60.0)])
"""
CODE = "import importlib, sys, time; [importlib.import_module(one) for one in sys.argv[1:]]; print(time.process_time())"
LIBRARIES = ("h5py", "pandas", "sklearn.pipeline", "matplotlib.figure")  # what most stages cannot do without


def bench_start(folder: Path, effort: Effort) -> list[dict]:
    """The slowest of each kind, and the features' loops."""
    lines = [
        compare(target, reference, max(measure_imports(stages, effort.repeats).values()))
        for target, stages, reference in ((START, OTHERS, 1.5), (TRAIN, TRAINS, 3.0))
    ]
    return [*lines, compare(COMPILED, 3.0, measure_compilation())]


def measure_imports(stages: Iterable[str], repeats: int) -> dict[str, float]:
    """Median CPU seconds from the start of Python to the end of a stage's imports."""
    return {stage: _measure([f"stages.{stage}"], repeats) for stage in stages}


def _measure(modules: Iterable[str], repeats: int) -> float:
    """Median CPU seconds from the start of Python until modules are imported, after one start that is dropped."""
    command = [sys.executable, "-c", CODE, *modules]
    done = [subprocess.run(command, cwd=ROOT, capture_output=True, check=True) for _ in range(repeats + 1)]
    return median(float(one.stdout) for one in done[1:])


def measure_compilation() -> float:
    """Seconds that Numba compiles until all features of a recording are there, with an empty cache."""
    with tempfile.TemporaryDirectory() as cache:
        environment = os.environ | {"XDG_CACHE_HOME": cache, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
        command = [sys.executable, "-c", COMPILE]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout)


def main() -> None:
    """Print a line a stage, and one of the compilation."""
    for stage, seconds in measure_imports((*OTHERS, *TRAINS), 5).items():
        print(f"{stage:10} {seconds:.2f} CPU s")
    print(f"libraries  {_measure(LIBRARIES, 5):.2f} CPU s: {', '.join(LIBRARIES)} alone")
    print(f"compiled   {measure_compilation():.2f} s: the features' loops, with an empty cache")


if __name__ == "__main__":
    main()
