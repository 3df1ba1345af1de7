"""Would a mistake in the code be noticed? ``python -m benchmarks.mutation`` (mutmut has to be installed, 3.8)

mutmut changes one operator, number, string or call at a time in the modules that turn counts into volts, find peaks,
place electrodes, split, score, calibrate, permute and judge novelty. Of each module some of these mutants are drawn at
random; each is run against the tests of its module in a process of its own, and is killed if one of them fails. What
survives is printed with what was changed. The table goes into docs/reliability.md, between two comments.
"""

import argparse
import importlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mea.runtime.command import print_line
from mea.runtime.tables import draw_markdown

ROOT = Path(__file__).parents[1]
LIMIT_S = 300  # a mutant that takes longer counts as killed: its tests would not end
LIBRARIES = ("h5py", "hypothesis", "numba", "pandas", "pytest", "scipy.stats", "sklearn.linear_model", "torch")
TARGETS = {  # module of mea: the tests that are to notice
    "arrays/streaming": ("arrays/test_streaming.py",),
    "arrays/detection": (
        "arrays/test_detection.py",
        "arrays/test_stage_array.py",
        "arrays/test_quality.py",
        "recordings/test_inflate.py",
    ),
    "arrays/resampling": ("arrays/test_resampling.py", "arrays/test_spikes.py"),
    "arrays/spikes": ("arrays/test_spikes.py", "arrays/test_events.py", "arrays/test_streaming.py"),
    "arrays/thresholds": ("arrays/test_spikes.py", "arrays/test_streaming.py"),
    "recordings/layouts": ("recordings/test_layouts.py", "recordings/test_lab_layouts.py"),
    "recordings/formats/mcs_streams": ("recordings/test_mcs.py", "recordings/test_mcs_faults.py"),
    "splitting/groups": ("splitting/test_groups.py", "splitting/test_folds.py"),
    "splitting/folds": ("splitting/test_folds.py", "splitting/test_inner_folds.py"),
    "splitting/chunks": ("splitting/test_chunks.py", "splitting/test_pauses.py", "splitting/test_crops.py"),
    "splitting/aggregation": ("splitting/test_aggregation.py", "evaluation/test_evaluation.py"),
    "splitting/audit": ("splitting/test_audit.py",),
    "statistics/scores": ("statistics/test_scores.py", "evaluation/test_evaluation.py"),
    "statistics/intervals": ("statistics/test_intervals.py",),
    "statistics/calibration": ("statistics/test_calibration.py",),
    "statistics/prior": ("statistics/test_prior.py",),
    "statistics/selective": ("statistics/test_selective.py",),
    "statistics/conformal": ("statistics/test_conformal.py",),
    "statistics/permutation": ("statistics/test_permutation.py",),
    "classification/novelty": ("classification/test_novelty.py",),
}


def make_mutants(folder: Path) -> None:
    """Copy what Git tracks, and let mutmut write the mutants of the target modules beside it, in ``mutants``."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    modules = [f"mea/{target}.py" for target in TARGETS]
    kept = ["stages", "benchmarks", "docs", "params.yaml", "dvc.yaml", "README.md"]
    config = {"source_paths": ["mea"], "only_mutate": modules, "also_copy": kept}
    lines = [f"{name} = {json.dumps(value)}" for name, value in config.items()]
    with (folder / "pyproject.toml").open("a", encoding="utf-8") as stream:
        stream.write("\n[tool.mutmut]\n" + "\n".join(lines) + "\n")
    make = "import mutmut.__main__ as m; m.copy_also_copy_files(); m.create_mutants(1)"
    subprocess.run([sys.executable, "-c", make], cwd=folder, check=True, stdout=subprocess.DEVNULL)


def list_mutants(folder: Path, target: str) -> list[str]:
    """Names of all mutants of a module."""
    meta = folder / "mutants" / "mea" / f"{target}.py.meta"
    return sorted(json.loads(meta.read_text(encoding="utf-8"))["exit_code_by_key"])


def run_tests(tests: tuple[str, ...], mutant: str) -> int | None:
    """Pytest's exit status in a process of its own, which inherits all that is imported; None beyond the limit."""
    child = os.fork()
    if not child:
        os.environ["MUTANT_UNDER_TEST"] = mutant
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nowhere, stream)
        import pytest

        flags = ["-x", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", "-m", "not slow"]
        os._exit(int(pytest.main([*flags, *(f"tests/{one}" for one in tests)])))
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.05)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return None


def try_module(folder: Path, target: str, sample: int, seed: int) -> tuple[int, int, list[str]]:
    """How many mutants there are, how many were tried, and the names of those that survived."""
    names = list_mutants(folder, target)
    if run_tests(TARGETS[target], ""):
        sys.exit(f"{target}: its tests fail without any mutant")
    drawn = sorted(random.Random(f"{seed} {target}").sample(names, min(sample, len(names))))
    return len(names), len(drawn), [name for name in drawn if run_tests(TARGETS[target], name) == 0]


def show_mutant(folder: Path, name: str) -> str:
    """What was changed, as lines of a diff."""
    shown = subprocess.run(
        [sys.executable, "-c", f"import mutmut.__main__ as m; print(m.get_diff_for_mutant({name!r}))"],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    lines = [line for line in shown.stdout.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    return "\n".join(lines) or shown.stderr[-300:]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.mutation", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sample", type=int, default=25, help="mutants of each module")
    parser.add_argument("--seed", type=int, default=0, help="of the drawing")
    parser.add_argument("--only", nargs="+", default=list(TARGETS), help="modules")
    given = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(prefix="mea-mutants-") as work:
        folder = Path(work) / "main"
        make_mutants(folder)
        for library in LIBRARIES:  # once, not in every child
            importlib.import_module(library)
        os.chdir(folder / "mutants")
        sys.path.insert(0, str(folder / "mutants"))
        for name in [name for name in sys.modules if name.split(".")[0] == "mea"]:
            del sys.modules[name]  # the children import the mutants
        os.environ["PYTHONPATH"] = os.pathsep.join([str(folder / "mutants"), os.environ.get("PYTHONPATH", "")])
        for target in given.only:
            there, tried, survived = try_module(folder, target, given.sample, given.seed)
            rows.append([f"`mea/{target}.py`", str(there), str(tried), str(tried - len(survived))])
            print_line(" | ".join(rows[-1]))
            for name in survived:
                print_line(f"  {name}\n{show_mutant(folder, name)}")
    tried, killed = (sum(int(row[column]) for row in rows) for column in (2, 3))
    rows.append(["all", str(sum(int(row[1]) for row in rows)), str(tried), str(killed)])
    print("\n".join(draw_markdown(["module", "mutants", "tried", "killed"], rows)))


if __name__ == "__main__":
    main()
