"""The yardstick itself: what counts as a regression, and that it measures what it says."""

import json
from pathlib import Path

import pytest

from benchmarks.bench import find_regressions, format_table
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


def test_the_results_hold_every_ratio():
    lines = json.loads((ROOT / "benchmarks/results.json").read_text())
    assert [line["name"] for line in lines if line["name"] in NAMES] == NAMES
    for line in lines:
        if line["ratio"] is not None:
            assert line["ratio"] == pytest.approx(line["reference"] / line["ours"], rel=1e-6)
