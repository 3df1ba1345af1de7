"""The yardstick itself: what counts as a regression, and that it measures what it says."""

import json
from pathlib import Path

import pytest

from benchmarks import presets
from benchmarks.bench import find_regressions, format_table
from benchmarks.reliability import KINDS, count_cases
from benchmarks.timing import Effort, Target, compare, skip

ROOT = Path(__file__).parents[1]
TARGET = Target("clean", "s", 30, "cleaning")
NAMES = [
    "store_rows", "store_whole", "store_spikeinterface", "clean", "size", "chunk_dense", "chunk_mmap", "chunk_binned",
    "step_identical", "step_exact", "step_binned", "epoch_exact", "epoch_binned",
]  # fmt: skip


def test_a_ratio_that_fell_by_half_is_a_regression():
    earlier = [compare(TARGET, 40.0, 1.0), skip(Target("memory", "GB", 1, "peak"), "not here")]
    assert find_regressions([compare(TARGET, 20.1, 1.0)], earlier) == []
    assert find_regressions([compare(TARGET, 19.9, 1.0)], earlier) == ["clean: 19.9, it was 40"]
    assert find_regressions([skip(TARGET, "not here")], earlier) == []
    assert find_regressions([compare(Target("memory", "GB", 1, "peak"), 1.0, 9.0)], earlier) == []


def test_the_table_says_what_could_not_be_measured():
    lines = [compare(TARGET, 40.0, 1.0), skip(Target("memory", "GB", 1, "peak"), "no disk")]
    table = format_table(lines, Effort(1.0, 0.5, 3, 8))
    assert "| `clean` | cleaning | s | 40 | 1 | 40 | ≥ 30 |" in table
    assert "not measured: no disk" in table


@pytest.mark.slow
def test_the_kinds_of_faults_are_tests_that_there_are():
    """At least 150 distinct cases of bad files; every file of tests that is named is there."""
    files = [file for files in KINDS.values() for file in files]
    assert len(set(files)) == len(files) and all((ROOT / file).is_file() for file in files)
    kinds = count_cases()
    assert all(kinds.values()), kinds
    assert sum(count for kind, count in kinds.items() if not kind.startswith(("killed", "silent", "remedies"))) >= 150


def test_the_readme_shows_what_the_presets_found(tmp_path, monkeypatch):
    """The tables are those of the committed results; another result would be another table."""
    for name, text in presets.draw_tables().items():
        assert (ROOT / name).read_text(encoding="utf-8") == text, "run python -m benchmarks.presets --draw"
    results = json.loads(presets.RESULTS.read_text(encoding="utf-8"))
    results["null_base"]["accuracy"] = 0.125
    (tmp_path / "presets.json").write_text(json.dumps(results))
    monkeypatch.setattr(presets, "RESULTS", tmp_path / "presets.json")
    assert "| **12%** (" in presets.draw_tables()["README.md"]


def test_the_results_hold_every_ratio():
    lines = json.loads((ROOT / "benchmarks/results.json").read_text())
    assert [line["name"] for line in lines if line["name"] in NAMES] == NAMES
    for line in lines:
        if line["ratio"] is not None:
            assert line["ratio"] == pytest.approx(line["reference"] / line["ours"], rel=1e-6)
