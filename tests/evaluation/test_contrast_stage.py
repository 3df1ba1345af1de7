"""The stages features and contrast: one row a recording, one row a feature and pair, plots; what is refused."""

import numpy as np
import pandas as pd
import pytest
from builders.arrays import write_array

import stages.contrast
import stages.features
import stages.split
from benchmarks.controls import run_stage
from mea.evaluation.plots_contrast import choose_strongest
from mea.features.families import list_summaries
from mea.runtime.files import read_json
from mea.runtime.tables import read_table

SETTINGS = ["split.chunk_s=1.0", "split.by=batch", "split.folds=2", "evaluate.permutations=99"]


def contrast(folder, *settings):
    places = {"features": folder / "features", "out": folder / "contrast", "metrics": folder / "contrast.json"}
    run_stage(stages.contrast, [*SETTINGS, *settings], **places, plots=folder / "plots")
    return read_json(folder / "contrast.json")


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Two classes in four batches, whose rates differ fourfold."""
    folder = tmp_path_factory.mktemp("contrast")
    plan = [
        {"recording": f"r{b}{label}{c}", "label": label, "culture": f"{b}{label}{c}", "batch": f"b{b}",
         "spikes_per_s": {"a": 2.0, "b": 8.0}[label], "seed": 100 * b + 10 * c + ord(label)}
        for b in range(4) for label in "ab" for c in range(2)
    ]  # fmt: skip
    write_array(folder / "array", plan, rows=4, cols=4, duration_s=4.0)
    run_stage(stages.split, SETTINGS, array=folder / "array", out=folder / "split", metrics=folder / "split.json")
    run_stage(stages.features, SETTINGS, array=folder / "array", split=folder / "split", out=folder / "features")
    return folder


def test_the_table_has_a_row_a_recording_and_a_dictionary(lab):
    table, dictionary = read_table(lab / "features/features.csv"), read_table(lab / "features/dictionary.csv")
    names = list_summaries(has_waveforms=True)
    assert list(table.columns) == ["recording", "label", "culture", "batch", *names] and len(table) == 16
    assert dictionary["name"].tolist() == names and (dictionary["description"] != "").all()
    assert table["recording"].is_monotonic_increasing
    exact = pd.read_parquet(lab / "features/features.parquet")
    assert list(exact.columns) == list(table.columns) and exact["recording"].tolist() == table["recording"].tolist()
    assert exact[names].dtypes.eq("float64").all()
    shown = table[names].apply(pd.to_numeric, errors="coerce")  # undefined ones are empty there
    np.testing.assert_allclose(exact[names], shown, rtol=1e-8)


def test_the_rate_differs_and_is_said_to(lab):
    found = contrast(lab)
    pair = found["pairs"]["a and b"]
    assert pair["q_below_5_percent"] > 0 and pair["strongest"]["g"] != 0 and found["trend"] == {}
    assert pair["said"] == "false discovery rate below 5 %; 16 cultures in 4 groups"
    table = read_table(lab / "contrast/features.csv").set_index("feature")
    rate = table.loc["whole_firing_rate_log10_mean_hz"]
    assert float(rate["p_value"]) == 0.01 and float(rate["p_family"]) <= 0.05 and float(rate["g"]) > 3
    assert float(rate["difference"]) == pytest.approx(np.log10(4), abs=0.05) and float(rate["g_low"]) > 0
    assert {"unit", "description", "g_low", "p_family"} <= set(table.columns)
    for name in ("forest", "cultures", "map"):
        assert (lab / f"plots/{name}.png").stat().st_size > 5000 and (lab / f"plots/{name}.csv").is_file()


def test_ordered_classes_have_a_trend(lab):
    found = contrast(lab, "evaluate.order=[b, a]")
    trend = read_table(lab / "contrast/trend.csv")
    assert len(trend) == len(list_summaries(has_waveforms=True)) and list(found["pairs"]) == ["b and a"]
    assert found["trend"]["falling"] > 0


def test_a_reference_that_is_no_class_is_refused(lab):
    with pytest.raises(SystemExit, match=r"contrast\.reference = 'c': no class; there are a, b"):
        contrast(lab, "contrast.reference=c")


def test_what_says_the_same_is_shown_once():
    random = np.random.default_rng(0)
    x = random.normal(size=(20, 1))
    values = np.hstack([x, np.exp(x), random.normal(size=(20, 1)), -x])
    table = pd.DataFrame({"feature": list("abcd"), "g": [3.0, 2.9, 1.0, -2.0]})
    assert choose_strongest(table, values, list("abcd"), most=4) == [0, 2]
