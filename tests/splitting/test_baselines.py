"""Recordings referred to one of the same culture before treatment: set aside, features, models, new recordings."""

import numpy as np
import pandas as pd
import pytest
from builders.recordings import write_small_spike_times

import stages.array
import stages.evaluate
import stages.features
import stages.h5
import stages.split
import stages.train
import stages.unzip
from benchmarks.controls import run_stage
from mea.classification.classify import classify_files
from mea.features.families import build_feature_table
from mea.runtime.errors import MeaError
from mea.runtime.files import read_json
from mea.runtime.tables import read_table
from mea.splitting.baselines import DIFFERENCE, RATIO, find_baselines, refer_values

CULTURES = 12
QUICK = ["split.chunk_s=4.0", "split.folds=3", "split.by=culture", "train.models=[features]", "train.inner_folds=2",
         "evaluate.permutations=99"]  # fmt: skip


def write_culture(folder, number, treated, lines):
    """A culture whose own rate varies tenfold; treatment doubles it, the control leaves it."""
    rate = 2.0 * 10 ** ((number * 5 % CULTURES) / CULTURES)
    for when, factor in (("before", 1.0), ("after", 2.0 if treated else 1.0)):
        name = f"c{number}_{when}"
        write_small_spike_times(folder / f"{name}.h5", duration_s=40.0, firing_rate_hz=rate * factor, seed=len(lines))
        label = "drug" if treated else "vehicle"
        lines.append(f"{name},{label},c{number},b{number % 4},{f'c{number}_before' if when == 'after' else ''}")


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """From files to events; two recordings have no usable baseline."""
    folder = tmp_path_factory.mktemp("baselines")
    (folder / "raw").mkdir()
    lines = ["recording,label,culture,batch,baseline"]
    for number in range(CULTURES):
        write_culture(folder / "raw", number, number % 2 == 0, lines)
    for name, baseline in (("alone", ""), ("stranger", "c1_before.h5")):
        write_small_spike_times(folder / "raw" / f"{name}.h5", duration_s=40.0, seed=len(lines))
        lines.append(f"{name},drug,{name},b0,{baseline}")
    (folder / "raw/recordings.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEA_WORKERS", "1")
        patch.setenv("MEA_CACHE", str(folder / "cache"))
        patch.setattr(stages.array, "MOST_SHOWN", 0)  # no plots
        run_stage(stages.unzip, [f"unzip.source={folder / 'raw'}"], out=folder / "unzip")
        run_stage(stages.h5, [], unzip=folder / "unzip", out=folder / "h5", metrics=folder / "h5.json")
        run_stage(stages.array, [], h5=folder / "h5", unzip=folder / "unzip", out=folder / "array",
                  metrics=folder / "array.json", plots=folder / "plots/array")  # fmt: skip
        for how in ("none", RATIO, DIFFERENCE):
            settings, own = [*QUICK, f"features.baseline={how}"], folder / how
            run_stage(stages.split, settings, array=folder / "array", out=own / "split", metrics=own / "split.json")
            run_stage(stages.features, settings, array=folder / "array", split=own / "split", out=own / "features")
        yield folder


def train(lab, how):
    settings, own, data = [*QUICK, f"features.baseline={how}"], lab / how, {"array": lab / "array"}
    split = data | {"split": own / "split"}
    run_stage(stages.train, settings, **split, out=own / "folds", metrics=own / "train", plots=own / "plots/train")
    run_stage(stages.evaluate, settings, **split, model=own / "folds", out=own / "evaluate",
              classifier=own / "classifier", metrics=own / "evaluate.json", plots=own / "plots/evaluate")  # fmt: skip
    return read_json(own / "evaluate.json")


def test_recordings_without_a_baseline_are_set_aside_with_the_reason(lab):
    metrics = read_json(lab / "ratio/split.json")
    assert metrics["recordings"] == CULTURES
    aside = metrics["set_aside"]
    assert len(aside) == CULTURES + 2 and aside["c3_before"] == "is the baseline of others"
    assert aside["alone"] == "has no baseline"
    assert aside["stranger"] == "its baseline c1_before is of another culture, 'c1', not 'stranger'"
    assert read_json(lab / "none/split.json")["recordings"] == 2 * CULTURES + 2


@pytest.mark.parametrize("how", [RATIO, DIFFERENCE])
def test_features_are_those_of_both_recordings_compared(lab, how):
    """Against the features of every recording for itself, which the stage gives without baselines."""
    referred = pd.read_parquet(lab / how / "features/features.parquet").set_index("recording")
    alone = pd.read_parquet(lab / "none/features/features.parquet").set_index("recording")
    dictionary = read_table(lab / how / "features/dictionary.csv").set_index("name")
    assert len(referred) == CULTURES
    units = build_feature_table(has_waveforms=False).set_index("name")["unit"]
    checked = 0
    for name in dictionary.index:
        after, before = (alone.loc[[f"c{k}_{when}" for k in range(CULTURES)], name] for when in ("after", "before"))
        expected = after.to_numpy() - before.to_numpy()
        said = "minus"
        if how == RATIO and not units[name].startswith("log10"):
            with np.errstate(all="ignore"):
                expected = np.where(before == 0, np.nan, after.to_numpy() / before.to_numpy())
            said = "divided by"
            assert dictionary["unit"][name] == "ratio"
        found = referred.loc[[f"c{k}_after" for k in range(CULTURES)], name].to_numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12, err_msg=name)
        assert said in dictionary["description"][name]
        checked += np.isfinite(found).any()
    assert checked > 100


@pytest.mark.slow
def test_the_doubled_rate_is_found_and_new_recordings_are_referred(lab, monkeypatch, capsys):
    monkeypatch.setenv("MEA_WORKERS", "1")
    monkeypatch.setenv("MEA_CACHE", str(lab / "cache"))
    assert train(lab, RATIO)["recording"]["accuracy"] > 0.9
    assert train(lab, "none")["recording"]["accuracy"] < 0.8, "cultures differ tenfold, treatment only twofold"
    new = lab / "new"
    new.mkdir()
    lines = ["recording,label,culture,batch,baseline"]
    write_culture(new, 30, True, lines)
    write_culture(new, 31, False, lines)
    lines = [lines[0], *(f"{one.split(',')[0]},,,,{one.split(',')[-1]}" for one in lines[1:])]
    (new / "recordings.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    classify_files(new, lab / "ratio/classifier", lab / "new.csv")
    table = read_table(lab / "new.csv").set_index("recording")
    proba = pd.to_numeric(table["p_drug"], errors="coerce")
    assert proba["c30_after"] > 0.7 and proba["c31_after"] < 0.3
    for name in ("c30_before", "c31_before"):
        assert table["decision"][name] == "rejected"
        assert table["reason"][name].startswith("no baseline: none is named in the column 'baseline'")


def test_a_network_refuses_what_it_cannot_refer(lab, tmp_path):
    data = {"array": lab / "array", "split": lab / "ratio/split"}
    places = {"out": tmp_path / "folds", "metrics": tmp_path / "metrics", "plots": tmp_path / "plots"}
    with pytest.raises(SystemExit, match="cnn_lstm cannot refer recordings to a baseline"):
        run_stage(stages.train, [*QUICK, "train.models=[cnn_lstm]"], **data, **places)
    assert not (tmp_path / "folds").exists() or not any((tmp_path / "folds").iterdir())


def test_a_missing_column_is_said():
    recordings = pd.DataFrame({"recording": ["a"], "culture": ["c"]})
    with pytest.raises(MeaError, match="has no column 'baseline'"):
        find_baselines(recordings, pd.DataFrame(index=["a"]))
    lab = pd.DataFrame({"baseline": ["a"]}, index=["a"])
    with pytest.raises(MeaError, match=r"no recording has a baseline \(a: names itself as its baseline\)"):
        find_baselines(recordings, lab)
    unknown = pd.DataFrame({"recording": ["a", "b", "c", "d"], "culture": ["", "", "x", "x"]})
    named = pd.DataFrame({"baseline": ["b", "", "gone", "c"]}, index=list("abcd"))
    baselines, without = find_baselines(unknown, named)
    assert baselines == {"d": "c"} and without["a"] == "its baseline b is of no known culture"
    assert without["c"] == "its baseline gone is not among the recordings that are used"


def test_a_feature_that_is_zero_before_has_no_ratio():
    values = refer_values(np.array([[4.0, 1.0], [np.nan, 3.0]]), np.array([2.0, 0.0]), np.zeros(2, bool), RATIO)
    np.testing.assert_array_equal(values, [[2.0, np.nan], [np.nan, np.nan]])
