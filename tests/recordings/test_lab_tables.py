"""Tables as spreadsheets of any country write them: one table, whatever separator, encoding and line end."""

import warnings

import pytest

from mea.recordings.lab_tables import normalise_text, read_rows
from mea.recordings.labels import read_recordings_csv
from mea.runtime.errors import MeaError

ROWS = [
    ["recording", "label", "culture", "batch"],
    ["rec_1", "10 µM", "c1", "01"],
    ["rec_2", "10 µM", "c1", "01"],
    ["rec_3", "NA", "c2", "1e3"],
    ["rec_4", "NA", "c2", "TRUE"],
]
SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t"}
ENCODINGS = {"utf-8": "utf-8", "utf-8 with a mark": "utf-8-sig", "utf-16": "utf-16", "utf-16-le": "utf-16-le",
             "utf-16-be": "utf-16-be", "latin-1": "latin-1"}  # fmt: skip
LINE_ENDS = {"lf": "\n", "cr lf": "\r\n", "cr": "\r"}


@pytest.mark.parametrize("end", LINE_ENDS.values(), ids=LINE_ENDS)
@pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=ENCODINGS)
@pytest.mark.parametrize("separator", SEPARATORS.values(), ids=SEPARATORS)
def test_one_table(tmp_path, separator, encoding, end):
    path = tmp_path / "recordings.csv"
    path.write_bytes((end.join(separator.join(row) for row in ROWS) + end).encode(encoding))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if encoding == "latin-1" else "error")
        assert [row for _, row in read_rows(path)] == ROWS
        table = read_recordings_csv(path)
    assert table.loc["rec_3"].tolist() == ["NA", "c2", "1e3"] and table.loc["rec_1", "batch"] == "01"


def test_an_old_encoding_is_said(tmp_path):
    (tmp_path / "recordings.csv").write_bytes("recording,label\nx,10 µM\n".encode("cp1252"))
    with pytest.warns(UserWarning, match=r"recordings\.csv: not in UTF-8, and read as Windows-1252"):
        read_recordings_csv(tmp_path / "recordings.csv")


def test_excels_first_line_names_the_separator(tmp_path):
    (tmp_path / "recordings.csv").write_text("sep=;\nrecording;label\nx,1;a\n", encoding="utf-8")
    assert read_recordings_csv(tmp_path / "recordings.csv")["label"].to_dict() == {"x,1": "a"}
    (tmp_path / "recordings.csv").write_text("sep=;\nrecording;label\nx;a;b\n", encoding="utf-8")
    with pytest.raises(MeaError, match=r"line 3: 3 values under 2 columns"):
        read_recordings_csv(tmp_path / "recordings.csv")


def test_a_recording_may_be_named_as_its_file(tmp_path):
    (tmp_path / "recordings.csv").write_text("recording,label\nx.h5,a\ny.HDF5,b\nz,c\n", encoding="utf-8")
    assert read_recordings_csv(tmp_path / "recordings.csv")["label"].to_dict() == {"x": "a", "y": "b", "z": "c"}


@pytest.mark.parametrize(
    ("text", "same"),
    [("10 μM", "10 µM"), ("μ", "µ"), ("Größe", "Größe"), ("λμν", "λμν"), (" a​ ", "a")],
)
def test_what_looks_the_same_is_the_same(text, same):
    assert normalise_text(text) == same
