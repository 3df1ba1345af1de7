"""The controls through the real stages, small; ``make controls`` runs them whole."""

import pandas as pd
import pytest

from benchmarks.controls import QUICK, compare_splits, make_arrays, run_controls, summarise

pytestmark = pytest.mark.usefixtures("alone")
SMALL = [*QUICK, "simulate.batches=4", "simulate.duration_s=9.6", "split.folds=4", "evaluate.permutations=19"]


@pytest.mark.slow
def test_without_a_class_effect_only_the_split_by_chunk_finds_something(tmp_path):
    settings = [*SMALL, "simulate.class_effect=0", "simulate.seed=1"]
    make_arrays(tmp_path, settings)
    scores = compare_splits(tmp_path, settings)
    assert scores["low"] <= 0.5 <= scores["high"]
    assert scores["chunk"] > 0.8


@pytest.mark.slow
def test_all_controls_and_their_table(tmp_path):
    out = tmp_path / "controls.csv"
    table = run_controls(1, [*QUICK, "evaluate.permutations=19"], out).set_index("control")
    assert list(table.index) == ["null", "positive", "permuted"]
    for name in ("null", "permuted"):
        assert table.loc[name, "low"] <= 0.5 <= table.loc[name, "high"]
        assert table.loc[name, "chunk"] > 0.8
    assert table.loc["positive", "honest"] > 0.8
    assert len(pd.read_csv(out)) == 3


def test_the_summary_counts_seeds():
    rows = [
        ("null", 1, 0.5, 0.2, 0.8, 0.9),
        ("null", 2, 0.9, 0.6, 1.0, 0.95),  # above chance, and the split by chunk not above the interval
        ("positive", 1, 1.0, 0.7, 1.0, 0.9),
        ("positive", 2, 0.6, 0.4, 0.8, 0.9),
        ("permuted", 1, 0.4, 0.1, 0.45, 0.48),  # below chance, and the split by chunk not above it
        ("permuted", 2, 0.5, 0.2, 0.8, 0.9),
    ]
    table = pd.DataFrame(rows, columns=["control", "seed", "honest", "low", "high", "chunk"])
    assert summarise(table).splitlines() == [
        "control | honest | low | high | chunk",
        "null | 0.700 | 0.400 | 0.900 | 0.925",
        "positive | 0.800 | 0.550 | 0.900 | 0.900",
        "permuted | 0.450 | 0.150 | 0.625 | 0.690",
        "null: the honest interval covers chance in 1 of 2; the split by chunk is above that interval in 1 of 2",
        "permuted: the honest interval covers chance in 1 of 2; the split by chunk is above that interval in 1 of 2",
        "positive: the honest interval lies above chance in 1 of 2",
    ]
