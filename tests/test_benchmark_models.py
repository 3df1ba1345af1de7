"""The benchmark of models, on a tiny lab: through the real stages, and every metric in its column."""

import numpy as np
import pandas as pd
import pytest
from builders.arrays import write_array

from benchmarks.models import run_models, score_most_confident
from benchmarks.plain import compare
from mea.runtime.files import read_json
from mea.runtime.tables import read_table


@pytest.mark.slow
def test_models_are_scored_through_the_stages(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("MEA_WORKERS", "1")
    monkeypatch.setenv("MEA_CACHE", str(tmp_path / "cache"))
    write_array(tmp_path / "array", rows=4, cols=4)
    settings = ["split.first_s=null", "split.chunk_s=1", "split.folds=3", "train.inner_folds=2"]
    run_models(tmp_path / "array", ["features", "rate"], "batch", [1], settings, tmp_path / "out")
    table = capsys.readouterr().out.split("split by batch")[1]
    assert "| seed | model | accuracy | balanced | auc | ece | most_confident | train_s |" in table
    assert "| mean | pool | 1.000" in table
    runs = read_json(tmp_path / "out" / "features_rate_batch.json")["runs"]
    assert [run["model"] for run in runs] == ["features", "rate", "best", "pool"]
    assert {(run["seed"], run["accuracy"]) for run in runs} == {(1, 1)}  # rates differ fourfold
    assert len(read_table(tmp_path / "out" / "pool_batch_1.csv")) == 12


@pytest.mark.slow
def test_the_shipped_classifier_beside_a_plain_one(tmp_path, monkeypatch):
    """Rates that differ fourfold are told apart by both; with the labels permuted, by neither."""
    monkeypatch.setenv("MEA_WORKERS", "1")
    monkeypatch.setenv("MEA_CACHE", str(tmp_path / "cache"))
    write_array(tmp_path / "array", rows=4, cols=4)
    settings = ["split.chunk_s=1", "split.folds=3", "train.inner_folds=2"]
    line = compare(tmp_path / "array", settings, tmp_path / "one")
    assert (line["recordings"], line["features"], line["plain SVC"], line["verdict"]) == (12, 1, 1, "identical")
    nothing = compare(tmp_path / "array", [*settings, "split.permute_labels=1"], tmp_path / "two")
    assert nothing["features"] < 1 and nothing["plain SVC"] < 1
    assert nothing["difference"] == pytest.approx(nothing["features"] - nothing["plain SVC"])


def test_the_most_confident_are_the_four_in_five_of_highest_confidence():
    table = pd.DataFrame({"label": list("aaaaabbbbb"), "predicted": list("aaaaabbbba")})
    table["confidence"] = np.r_[np.linspace(0.9, 0.8, 9), 0.5]
    assert score_most_confident(table) == 1
    table["confidence"] = table["confidence"].to_numpy()[::-1]
    assert score_most_confident(table) == pytest.approx(7 / 8)
