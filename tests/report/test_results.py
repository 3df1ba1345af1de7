"""What the report needs of the stages before: missing inputs, results of two runs."""

import pytest
from builders.pages import HOSTILE, RECORDINGS, run_stage

from mea.report.results import find_file
from mea.runtime.errors import MeaError
from mea.runtime.tables import read_table

MADE_BY = {
    "metrics/evaluate.json": "evaluate", "metrics/evaluate/predictions.csv": "evaluate",
    "metrics/evaluate/chunks.csv": "evaluate", "metrics/classify.csv": "classify", "metrics/h5.json": "h5",
    "metrics/array.json": "array", "metrics/split.json": "split", "models/classifier/card.json": "evaluate",
    "models/classifier/card.md": "evaluate", "data/h5/catalogue.csv": "h5", "data/unzip/manifest.csv": "unzip",
    "data/array/params.json": "array", "plots/train/cnn_lstm": "train@cnn_lstm", "plots/evaluate": "evaluate",
    "metrics/contrast.json": "contrast", "plots/contrast": "contrast",
}  # fmt: skip


@pytest.mark.parametrize(("place", "stage"), MADE_BY.items())
def test_a_missing_input_names_the_command_that_makes_it(hostile_lab, place, stage):
    aside = hostile_lab / "aside"
    (hostile_lab / place).rename(aside)
    try:
        with pytest.raises(SystemExit, match=rf"report: .*no such file. It is written by the stage {stage}: dvc repro"):
            run_stage("report", hostile_lab)
    finally:
        aside.rename(hostile_lab / place)


@pytest.mark.parametrize(
    ("name", "stage", "lacking"),
    [
        ("evaluate/chunks.csv", "evaluate", "r03"),
        ("evaluate/predictions.csv", "evaluate", "p_a"),
        ("classify.csv", "classify", "p_a"),
    ],
)
def test_results_of_two_runs_are_told_apart(changed, name, stage, lacking):
    table = read_table(changed / "metrics" / name)
    if lacking.startswith("p_"):
        table = table.drop(columns=lacking)
    else:
        table = table[~table["recording"].str.startswith(lacking)]
    table.to_csv(changed / "metrics" / name, index=False)
    rule = rf"report: {name.split('/')[-1]} of the stage {stage} lacks .{lacking}.*not of one run.*dvc repro {stage}"
    with pytest.raises(SystemExit, match=rule):
        run_stage("report", changed)


def test_a_file_that_is_there_is_found(tmp_path):
    assert find_file(tmp_path, "h5") == tmp_path
    with pytest.raises(MeaError, match=r"no such file. It is written by the stage h5: dvc repro h5"):
        find_file(tmp_path / "x", "h5")


def test_columns_of_the_lab_stand_in_predictions_and_group_and_filter_the_report(hostile_lab):
    table = read_table(hostile_lab / "metrics/evaluate/predictions.csv")
    assert table.columns[-1] == "lab: dose & <b>"
    assert sorted(set(table["lab: dose & <b>"])) == sorted(["10", "9", HOSTILE])
    page = (hostile_lab / "report/index.html").read_text(encoding="utf-8")
    assert page.count(' data-lab0="') == RECORDINGS and 'select data-filter="lab0"' in page
    chosen = page.split('data-filter="lab0">')[1].split("</select>")[0]
    assert chosen.startswith('<option value="">all</option><option>9</option><option>10</option>')  # numbers by size
    assert "<h3>By dose &amp; &lt;b&gt;</h3>" in page and "<script>window.bad" not in page
