"""What is tried to break it, and what came of it: ``make reliability``, or ``python -m benchmarks.reliability``

Runs the tests of each kind below, and writes how many cases there are and how many ended as they should into
docs/reliability.md, between two comments. ``--count`` runs nothing, and prints how many cases there are.
"""

import argparse
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

from benchmarks.drawn import replace_drawn
from mea.runtime.command import print_line
from mea.runtime.tables import draw_markdown

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/reliability.md"
BEGIN = "<!-- drawn by make reliability -->"
KINDS = {  # what is tried: the tests that try it
    "archives: damaged, hostile, in old encodings, full disk": (
        "tests/recordings/test_archives.py", "tests/recordings/test_archives_refused.py",
        "tests/recordings/test_zip_files.py", "tests/recordings/test_tar_files.py",
        "tests/recordings/test_other_files.py",
    ),
    "Multi Channel Systems HDF5: faults planted, bytes flipped, truncated": (
        "tests/recordings/test_mcs_faults.py", "tests/recordings/test_mcs.py", "tests/recordings/test_mcs_spikes.py",
        "tests/recordings/test_hdf5_causes.py", "tests/recordings/test_bad_samples.py",
    ),
    "MaxWell, 3Brain, NWB, files read through neo": (
        "tests/recordings/test_maxwell.py", "tests/recordings/test_biocam.py", "tests/recordings/test_nwb.py",
        "tests/recordings/test_neo_bridge.py",
    ),
    "spike times: HDF5, spike lists, tables, plates": (
        "tests/recordings/test_spike_times.py", "tests/recordings/test_axion_csv.py",
        "tests/recordings/test_spike_table.py", "tests/recordings/test_plates_as_files.py",
    ),
    "tables of the lab: recordings.csv, plates.csv, layouts.csv": (
        "tests/recordings/test_labels.py", "tests/recordings/test_lab_tables.py", "tests/recordings/test_plate_map.py",
        "tests/recordings/test_lab_columns.py", "tests/recordings/test_lab_layouts.py",
    ),
    "stages on bad recordings: error or skip, others unharmed": (
        "tests/recordings/test_stage_h5.py", "tests/recordings/test_stage_h5_refused.py",
    ),
    "parameters, and files that are written": ("tests/runtime/test_params.py", "tests/runtime/test_files.py"),
    "classifiers: files missing, changed, of other types": (
        "tests/training/test_classifier.py", "tests/training/test_foreign_classifier.py",
    ),
    "cache and checkpoints: damaged, exchanged, full": ("tests/runtime/test_cache.py",),
    "killed stages and trainings, two at once, workers that die": (
        "tests/runtime/test_survival.py", "tests/runtime/test_parallel.py", "tests/runtime/test_guarded.py",
    ),
    "every stage killed at 30 random moments; every stage on a full disk": (
        "tests/runtime/test_survival_stages.py",
    ),
    "long runs: 1,000 recordings, 200 epochs killed ten times, 50 experiments queued": (
        "tests/runtime/test_endurance.py",
    ),
    "remedies that messages print, followed": ("tests/runtime/test_remedies.py",),
    "silent wrongs: pauses, artefacts, mostly zero, confounds": (
        "tests/splitting/test_pauses.py", "tests/arrays/test_quality.py", "tests/evaluation/test_confounds.py",
    ),
}  # fmt: skip


def run_pytest(files: tuple[str, ...], *arguments: str) -> str:
    """What pytest says of some files, slow tests included."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments, *files]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout


def count_outcomes(said: str) -> dict[str, int]:
    """Passed, failed and skipped tests, from pytest's last line.

    >>> count_outcomes("..s\\n2 passed, 1 skipped in 3 s\\n")
    {'passed': 2, 'failed': 0, 'skipped': 1}
    """
    last = said.strip().splitlines()[-1] if said.strip() else ""
    found = {what: int(count) for count, what in re.findall(r"(\d+) (passed|failed|skipped|error)", last)}
    failed = found.get("failed", 0) + found.get("error", 0)
    return {"passed": found.get("passed", 0), "failed": failed, "skipped": found.get("skipped", 0)}


def count_cases() -> dict[str, int]:
    """How many cases there are of each kind."""
    said = run_pytest(tuple(file for files in KINDS.values() for file in files), "--collect-only")
    found = Counter(line.partition("::")[0] for line in said.splitlines() if "::" in line)
    return {kind: sum(found[file] for file in files) for kind, files in KINDS.items()}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.reliability", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--count", action="store_true", help="count the cases, run nothing")
    given = parser.parse_args()
    rows, total = [], {"passed": 0, "failed": 0, "skipped": 0}
    if given.count:
        print_line("\n".join(f"{kind}: {count}" for kind, count in count_cases().items()))
        return
    for kind, files in KINDS.items():
        said = run_pytest(files)
        outcomes = count_outcomes(said)
        total = {name: total[name] + outcomes[name] for name in total}
        rows.append([kind, *map(str, outcomes.values())])
        print_line(" | ".join(rows[-1]))
        for line in said.splitlines():
            if line.startswith(("FAILED", "ERROR", "E  ")):
                print_line(line)
    rows.append(["all", *map(str, total.values())])
    table = "\n".join(draw_markdown(["tried", "as it should be", "not", "skipped here"], rows))
    PAGE.write_text(replace_drawn(PAGE.read_text(encoding="utf-8"), BEGIN, table), encoding="utf-8")
    print(table)
    sys.exit(bool(total["failed"]))


if __name__ == "__main__":
    main()
