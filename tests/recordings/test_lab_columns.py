"""The lab's own columns: from recordings.csv to the table of features, the audit of confounds and the report."""

import numpy as np
import pandas as pd
import pytest
from builders.metadata import make_catalogue
from builders.recordings import write_small_spike_times

import stages.array
import stages.features
import stages.h5
import stages.split
import stages.unzip
from benchmarks.controls import run_stage
from mea.evaluation.confounds import audit_confounds, explain_confounds, tabulate_metadata
from mea.recordings.lab_columns import build_lab_columns, read_catalogue, read_passed_on
from mea.recordings.lab_tables import read_rows
from mea.runtime.errors import MeaError
from mea.runtime.tables import read_table
from mea.splitting.groups import IDENTITY

SETTINGS = ["split.by=batch", "split.folds=2", "split.chunk_s=10"]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Eight recordings of four batches; the age tells the class, the operator does not."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "raw").mkdir()
    lines = ["recording;Label;batch;days in vitro;operator;remark;rec"]
    for k in range(8):
        write_small_spike_times(folder / f"raw/r{k}.h5", seed=k)
        lines.append(
            f"r{k}.h5;{'ab'[k % 2]};b{k // 2};{7.5 + 7 * (k % 2)};{'XY'[k // 4]};text {k};{k}".replace(".5", ",5")
        )
    (folder / "raw/recordings.csv").write_text("\n".join(lines), encoding="utf-8")
    run_stage(stages.unzip, [f"unzip.source={folder / 'raw'}"], source="", out=folder / "unzip")
    run_stage(stages.h5, [], unzip=folder / "unzip", out=folder / "h5", metrics=folder / "h5.json")
    made = {"metrics": folder / "array.json", "plots": folder / "plots"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stages.array, "MOST_SHOWN", 0)  # no plots
        run_stage(stages.array, [], h5=folder / "h5", unzip=folder / "unzip", out=folder / "array", **made)
    run_stage(stages.split, SETTINGS, array=folder / "array", out=folder / "split", metrics=folder / "split.json")
    run_stage(stages.features, SETTINGS, array=folder / "array", split=folder / "split", out=folder / "features")
    return folder


def test_they_are_carried_as_they_are(lab):
    own = read_passed_on(lab / "array")
    assert list(own.columns) == ["days in vitro", "operator", "remark", "rec"]
    assert own.loc["r3"].tolist() == ["14,5", "X", "text 3", "3"]
    table = read_table(lab / "features/features.csv")
    assert list(table.columns[:8]) == [*IDENTITY, *own.columns] and table["operator"].tolist() == list("XXXXYYYY")


def test_the_audit_of_confounds_looks_at_them(lab):
    """Eight groups are too few for a test, but what tells the class is named; what is a remark is left out."""
    catalogue = read_catalogue(lab / "array")
    recordings = catalogue[IDENTITY].assign(fold=[0, 0, 1, 1, 0, 0, 1, 1])
    metadata = tabulate_metadata(catalogue, recordings)
    assert metadata["lab: days in vitro"].tolist() == [7.5, 14.5] * 4
    assert metadata["lab: operator"].tolist() == [0.0] * 4 + [1.0] * 4 and "lab: remark" in metadata
    said = " ".join(explain_confounds(audit_confounds(metadata, recordings, 99, 0), recordings))
    assert "the column 'days in vitro' (100 %)" in said and "operator" not in said


def tabulate(**columns):
    """The metadata of recordings that differ in nothing but some columns."""
    recordings = pd.DataFrame({"recording": [f"r{k:02d}" for k in range(len(next(iter(columns.values()))))]})
    own = {f"lab: {name}": values for name, values in columns.items()}
    return tabulate_metadata(make_catalogue(recordings, **own), recordings)


def test_a_remark_of_many_values_is_no_metadatum():
    table = tabulate(remark=[f"text {k}" for k in range(12)], dose=range(12))
    assert list(table.columns) == ["lab: dose"]


def test_numbers_with_decimal_commas_and_gaps():
    assert np.array_equal(tabulate(dose=["0,5", "", "2"])["lab: dose"], [0.5, -1.0, 2.0])


def test_without_further_columns_there_is_no_file(tmp_path):
    (tmp_path / "recordings.csv").write_text("recording,label\nx,a\n", encoding="utf-8")
    assert list(build_lab_columns(read_rows(tmp_path / "recordings.csv"), tmp_path / "recordings.csv").columns) == []
    assert read_passed_on(tmp_path).empty and list(read_passed_on(tmp_path).columns) == []
    (tmp_path / "catalogue.csv").write_text("recording,label\nx,a\n", encoding="utf-8")
    assert list(read_catalogue(tmp_path).columns) == ["recording", "label"]


def test_a_column_twice_is_refused(tmp_path):
    (tmp_path / "recordings.csv").write_text("recording,label,age,age\nx,a,1,2\n", encoding="utf-8")
    with pytest.raises(MeaError, match="has the column 'age' twice"):
        build_lab_columns(read_rows(tmp_path / "recordings.csv"), tmp_path / "recordings.csv")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"name,age\nx,1\n", b'recording,age\n"x,1\n'])
def test_a_damaged_table_is_said_with_the_remedy(tmp_path, content):
    folder = tmp_path / "array"
    folder.mkdir()
    (folder / "lab.csv").write_bytes(content)
    with pytest.raises(MeaError, match=r"lab\.csv: not a table .*Run dvc repro --force --single-item array, then"):
        read_passed_on(folder)
