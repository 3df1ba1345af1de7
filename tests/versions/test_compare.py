"""What a comparison of two versions says, on the console and as Markdown."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from builders.projects import compare, git, read_verdicts, replace_file

from mea.runtime.errors import MeaError
from mea.versions.compare import (
    count_by_column,
    draw_table,
    format_comparison,
    list_differing_params,
    main,
    pair_predictions,
)
from mea.versions.versions import flatten, load_version

pytestmark = pytest.mark.usefixtures("nobodys_settings")


def run(project: Path, patch: pytest.MonkeyPatch, capsys, *arguments: str) -> str:
    patch.chdir(project)
    capsys.readouterr()
    main(list(arguments))
    return capsys.readouterr().out


def test_a_version_is_identical_to_itself(project, monkeypatch, capsys):
    said = run(project, monkeypatch, capsys, "first")
    assert set(read_verdicts(said).values()) == {"identical"} and len(read_verdicts(said)) == 7
    assert "A: first (" in said and "B: workspace" in said
    assert "Parameters that differ\n\nnone" in said and "WARNING" not in said
    assert "240 recordings in 40 groups" in said


def test_a_real_difference_is_found(project, monkeypatch, capsys):
    said = run(project, monkeypatch, capsys, "first", "better")
    verdicts = read_verdicts(said)
    for metric in ("accuracy", "balanced_accuracy", "f1", "roc_auc", "log_loss", "brier"):
        assert verdicts[metric] == "a real difference: B is better"
    assert "p = 0.0001" in said and "\x1b" not in said
    assert read_verdicts(run(project, monkeypatch, capsys, "better", "first"))["log_loss"].endswith("A is better")


def test_another_seed_is_noise(project, monkeypatch, capsys):
    said = run(project, monkeypatch, capsys, "main", "reseeded")
    assert set(read_verdicts(said).values()) == {"within noise"}
    assert re.search(r"train.seed +0 +1", said) and "train.skill" not in said


def test_the_columns_of_the_lab_are_counted(project):
    """Of 240 recordings, those of odd numbers were treated: B is right on all of them, A on the others."""
    versions = [load_version(name, project) for name in ("first", "better")]
    for version in versions:
        version.predictions["lab: day"] = ["12", "5"] * 120
        version.predictions["lab: remark"] = [f"text {k}" for k in range(240)]
        version.predictions["predicted"] = version.predictions["label"]
    wrong = versions[0].predictions.index[1::2]
    versions[0].predictions.loc[wrong, "predicted"] = "nothing"
    paired = pair_predictions(*versions)
    assert count_by_column(versions[1], paired) == [("day 12", "120", "120", "120"), ("day 5", "120", "0", "120")]
    said = format_comparison(*versions, markdown=False)
    assert "Correct predictions by the lab's own columns, in B" in said


def test_metrics_are_those_of_the_files(project, monkeypatch, capsys):
    said = run(project, monkeypatch, capsys, "first", "better")
    values = []
    for revision in ("first", "better"):
        metrics = json.loads(git(project, "show", f"{revision}:metrics/evaluate.json"))
        values.append(metrics["recording"]["accuracy"])
    line = next(line for line in said.splitlines() if line.startswith("accuracy "))
    assert line.split()[1:4] == [f"{values[0]:.4f}", f"{values[1]:.4f}", f"{values[1] - values[0]:+.4f}"]
    assert re.search(rf"chunk.accuracy +{values[0] - 0.1:.4f} +{values[1] - 0.1:.4f}", said)
    assert "baseline.majority.accuracy" not in said, "it is the same in both"
    assert re.search(r"train.skill +0.5 +3.0", said)


def test_what_makes_it_unfair_is_said(project, monkeypatch, capsys):
    said = run(project, monkeypatch, capsys, "first", "fewer")
    warnings = [line for line in said.splitlines() if line.startswith("WARNING: ")]
    for text in (
        "DIFFERENT RECORDINGS: A was scored on 240, B on 200; 40 only by A, 0 only by B",
        "DIFFERENT SPLITS: A was split by batch, B by chunk",
        "DIFFERENT FOLDS: 200 of 200 recordings",
        "B IS LEAKY, its metrics are too optimistic: fewer",
        "B carries a warning: leaky: split by chunk",
        "DIFFERENT BINS of the calibration error: 10 and 5; 5 are used",
    ):
        assert any(text in line for line in warnings), text
    assert not any("LABELS" in line for line in warnings)  # those with another label are among the 40
    assert "200 recordings in 34 groups" in said


def test_other_labels_are_left_out(copied):
    path = copied / "metrics" / "evaluate" / "predictions.csv"
    text = path.read_text()
    for name in ("r000", "r002", "r004"):
        text = text.replace(f"{name},control", f"{name},treated")
    replace_file(path, text)
    said = compare(copied, "first", "workspace")
    assert "DIFFERENT LABELS: 3 recordings have another label" in said and "237 recordings in 40 groups" in said
    assert "B: its metrics say accuracy" in said and "they are not of one run" in said


def test_other_classes_and_groups_are_said(copied):
    path = copied / "metrics" / "evaluate" / "predictions.csv"
    text = (
        path.read_text().replace("p_treated", "p_treated,p_toxic").replace("r000,control,c0,b0", "r000,control,c0,b9")
    )
    lines = text.splitlines()
    replace_file(path, "\n".join([lines[0], *(f"{line},0" for line in lines[1:])]) + "\n")
    said = compare(copied, "first", "workspace")
    assert "A knows control, treated; B knows control, toxic, treated" in said
    assert "DIFFERENT GROUPS: 1 recordings" in said
    assert "240 recordings in 39 groups" in said  # b0 and b9 hang together


def test_few_groups_and_unknown_batches_are_said(copied):
    path = copied / "metrics" / "evaluate" / "predictions.csv"
    lines = path.read_text().splitlines()
    replace_file(path, "\n".join(lines[:31]) + "\n")
    assert "FEW GROUPS: 5; below 10" in compare(copied, "first", "workspace")
    replace_file(path, "\n".join(lines[:7]) + "\n")
    said = compare(copied, "first", "workspace")
    assert "ONE GROUP: all recordings" in said
    replace_file(path, "\n".join(lines).replace(",b0,", ",,") + "\n")
    assert "batch unknown for 6 of 240 recordings" in compare(copied, "first", "workspace")


def test_nothing_in_common_still_shows_the_metrics_that_differ(copied):
    path = copied / "metrics" / "evaluate" / "predictions.csv"
    replace_file(path, path.read_text().replace("\nr", "\nother"))
    said = compare(copied, "better", "workspace")
    assert "NOTHING TO COMPARE" in said and "240 only by A, 240 only by B" in said
    assert "No paired differences." in said and "chunk.accuracy" in said
    assert compare(copied, "workspace", "workspace").count("\n\nnone does") == 2


def test_markdown_tables_have_as_many_cells_in_every_row(project, monkeypatch, capsys):
    said = run(project, monkeypatch, capsys, "first", "fewer", "--md")
    assert said.startswith("### A: first (")
    tables = re.findall(r"(?:^\|.*\|\n)+", said, re.MULTILINE)
    assert len(tables) == 3
    for table in tables:
        lines = table.splitlines()
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1
        assert set(lines[1]) <= set("|- ")
    assert "> **Warning:** DIFFERENT RECORDINGS" in said and "| accuracy |" in said
    assert said.count("\n\n| ") == 3  # GitHub needs an empty line before a table


def test_cells_cannot_break_a_table():
    text = draw_table(("", "A"), [("x|y", "one\ntwo")], markdown=True)
    assert text.splitlines() == ["|  | A |", "| --- | --- |", "| x\\|y | one two |"]


def test_bins_must_be_known(copied):
    for file in ("params.yaml", "dvc.yaml"):
        text = (copied / file).read_text().replace('"evaluate"', '"other"').replace(", evaluate]", "]")
        replace_file(copied / file, text)
    with pytest.raises(MeaError, match=r"evaluate.bins: neither version has this parameter"):
        compare(copied, "workspace", "workspace")


def test_the_command_line(project):
    command = [sys.executable, "-m", "mea", "compare", "first", "better", "--md"]
    path = str(Path(__file__).resolve().parents[2])
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path})
    assert done.returncode == 0 and "a real difference: B is better" in done.stdout, done.stderr


def test_params_that_one_version_lacks(project):
    first, better = load_version("first", project), load_version("better", project)
    first.params.pop("train.seed")
    better.params["train.new"] = None
    assert list_differing_params(first, better) == [
        ("train.new", "none", "None"),
        ("train.seed", "none", "0"),
        ("train.skill", "0.5", "3.0"),
    ]
    assert flatten({"a": {"b": {"c": 1}}, "d": [1]}) == {"a.b.c": 1, "d": [1]}
