"""The doctor's command, and how it puts what it found."""

import json

import pandas as pd
import pytest
from builders.doctored import PARAMS, set_params, write, write_lab
from builders.lab import ROOT

from mea.doctor.__main__ import main
from mea.doctor.findings import DOUBTFUL, FINE, WRONG, Finding, count_severities, format_findings
from mea.doctor.settings import read_settings
from mea.recordings.labels import read_recordings_csv
from mea.runtime.errors import MeaError

pytestmark = pytest.mark.usefixtures("alone")


# ---- findings in words ----


def test_the_same_finding_is_said_once_and_the_worst_first():
    same = [Finding(DOUBTFUL, f"r{k}", "is odd", "Look at it.") for k in range(5)]
    text = format_findings([Finding(FINE, "r9", "is well"), *same, Finding(WRONG, "r7", "is lost.")])
    first, second, remedy, last = text.splitlines()
    assert first.split() == ["WRONG", "r7:", "is", "lost."]
    assert second.strip() == "doubtful  r0, r1, r2 and 2 more: is odd" and remedy.strip() == "-> Look at it."
    assert last.split() == ["fine", "r9:", "is", "well"]
    assert count_severities(same) == {WRONG: 0, DOUBTFUL: 5, FINE: 0}


def test_what_differs_in_the_quoted_name_only_is_the_same():
    """A table that lists other recordings would else be told hundreds of times."""
    unlisted = [Finding(WRONG, f"r{k}", f"the table does not list 'r{k}'.") for k in range(9)]
    assert format_findings(unlisted).split(maxsplit=1)[1] == "r0, r1, r2 and 6 more: the table does not list …."
    assert format_findings(unlisted[:1]).endswith("r0: the table does not list 'r0'.")


def test_long_findings_stay_narrow_and_names_whole():
    name = "data/raw/" + "a-very-long-name-" * 8
    text = format_findings([Finding(WRONG, name, "word " * 60)])
    assert name in text and all(len(line) <= 110 or name in line for line in text.splitlines())


# ---- the command ----


def call(capsys, *arguments, status):
    with pytest.raises(SystemExit) as end:
        main([*map(str, arguments), "--params", str(ROOT / "params.yaml"), *(f"--set={text}" for text in PARAMS)])
    said = capsys.readouterr()
    assert end.value.code == status, said.out
    return said.out


def test_the_command_says_it_all_and_writes_it(tmp_path, capsys, monkeypatch):
    for name in ("GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"):
        monkeypatch.setenv(name, "tester@example.org")
    raw, told, proposed = (
        write_lab(tmp_path / "raw", batches=6, known=False),
        tmp_path / "told.json",
        tmp_path / "new.csv",
    )
    text = call(
        capsys, raw, "--out", tmp_path / "out", "--json", told, "--propose", proposed, "--set=split.folds=3", status=0
    )
    for part in ("FILES\n\nrecording", "DATA SET\n\nbatch", "PROJECT\n\n", "48 cells of label, culture and batch"):
        assert part in text
    values = json.loads(told.read_text())
    assert len(values["recordings"]) == 24 and values["counts"][WRONG] == 0
    assert text.strip().endswith(", ".join(f"{count} {severity}" for severity, count in values["counts"].items()))
    assert {one["severity"] for one in values["findings"]} == {DOUBTFUL, FINE}
    assert all(one["remedy"] or "." in one["what"] for one in values["findings"] if one["severity"] == DOUBTFUL)
    table = pd.read_csv(proposed, keep_default_na=False, dtype=str)
    assert list(table.columns[:4]) == ["recording", "label", "culture", "batch"]
    assert set(table["culture"]) == {""} and set(table["label"]) == {"a", "b"} and set(table["duration_s"]) == {"30"}
    table["culture"] = table["batch"] = table["recording"]
    table.to_csv(raw / "recordings.csv", index=False)
    assert len(read_recordings_csv(raw / "recordings.csv")) == 24


def test_a_table_is_never_written_over(tmp_path, capsys):
    (tmp_path / "recordings.csv").write_text("mine")
    refusal = f"doctor: --propose {tmp_path}/recordings.csv: this file exists, and it is never overwritten. "
    text = call(capsys, tmp_path, "--propose", tmp_path / "recordings.csv", status=f"{refusal}Name another.")
    assert text == "" and (tmp_path / "recordings.csv").read_text() == "mine"


def test_without_files_the_source_of_the_parameters_is_taken(tmp_path, capsys):
    write(tmp_path / "raw" / "ctl_1.h5")
    text = call(capsys, f"--set=unzip.source={tmp_path / 'raw'}", "--out", tmp_path / "out", status=1)
    assert "all 1 usable recordings have the label 'a'" in text and str(tmp_path / "out") in text
    assert "Traceback" not in text


def test_wrong_parameters_are_named(tmp_path, capsys):
    with pytest.raises(
        MeaError, match=r"--set split.folds=1: split.folds = 1: must be auto, or a whole number of at least 2"
    ):
        set_params("split.folds=1")
    with pytest.raises(MeaError, match=r"params\.yaml: no such file"):
        read_settings(tmp_path / "params.yaml", [])


# ---- outside a project ----


def test_outside_a_project_files_and_data_set_are_checked_by_defaults(tmp_path, capsys, monkeypatch):
    write(tmp_path / "raw" / "ctl_1.h5")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main(["raw", "--set=array.sampling_rate_hz=10000", "--set=h5.labels={a: [ctl], b: [trt]}"])
    said = capsys.readouterr().out
    assert "all 1 usable recordings have the label 'a'" in said
    assert "no params.yaml in this folder: parameters have their defaults" in said and "Git" not in said


def test_outside_a_project_something_must_be_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        SystemExit, match=r"doctor: no params\.yaml in this folder\. Name files or folders: mea doctor FILE"
    ):
        main([])


def test_a_file_that_cannot_be_read_has_a_row_in_the_proposal(tmp_path, capsys):
    write(tmp_path / "raw" / "ctl_1.h5")
    (tmp_path / "raw" / "lost.h5").write_bytes(b"\x89HDF\r\n\x1a\n and then nothing")
    call(capsys, tmp_path / "raw", "--propose", tmp_path / "new.csv", "--out", tmp_path / "out", status=1)
    table = pd.read_csv(tmp_path / "new.csv", keep_default_na=False, dtype=str).set_index("recording")
    assert table["note"].to_dict() == {"ctl_1": "", "lost": "cannot be read"} and table.loc["lost", "label"] == ""
