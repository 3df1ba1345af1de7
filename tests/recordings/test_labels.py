"""mea.recordings.labels: recordings.csv and the patterns on file names."""

import warnings

import numpy as np
import pandas as pd
import pytest

from mea.recordings.labels import (
    FilePatterns,
    Place,
    check_group_pattern,
    choose_identify,
    explain_odd_groups,
    match_group,
    match_label,
    read_recordings_csv,
    warn_of_odd_groups,
)
from mea.recordings.recording import Identity, LabelledRecording, RawRecording
from mea.runtime.errors import BadRecording, MeaError

PREDECESSOR = {"w_oMNPs": ["control", "w_oMNPs", "woMNPs"], "withMNPs": ["withMNPs"]}


def read_text(tmp_path, text: str | bytes) -> pd.DataFrame:
    path = tmp_path / "recordings.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return read_recordings_csv(path)


# ---- recordings.csv


def test_columns_in_any_order_others_ignored_all_text(tmp_path):
    table = read_text(tmp_path, "age,batch,label,recording,culture\n7,01,NA,0012, c 1 \n9,,ctx,x#2,\n")
    assert table.index.name == "recording"
    assert table.to_dict("index") == {
        "0012": {"label": "NA", "culture": "c 1", "batch": "01"},
        "x#2": {"label": "ctx", "culture": "", "batch": ""},
    }


@pytest.mark.parametrize(
    "text",
    [
        b"recording,label\nx,a\ny,b\n",
        b"\xef\xbb\xbfrecording,label\r\nx,a\r\ny,b\r\n",
        b"\xef\xbb\xbfrecording;label\r\nx;a\r\ny;b\r\n",
        b"recording\tlabel\nx\ta\ny\tb",
        b'\n"Recording", LABEL,\nx , a,\n,,\n"y"," b ",\n\n',
        b"recording;label;note\nx;a;1,5\ny;b;2,5\n",
    ],
)
def test_what_spreadsheets_write(tmp_path, text):
    table = read_text(tmp_path, text)
    assert list(table.index) == ["x", "y"]
    assert list(table.label) == ["a", "b"]
    assert list(table.culture) == list(table.batch) == ["", ""]


def test_letters_are_composed_as_in_the_ids(tmp_path):
    assert list(read_text(tmp_path, "recording,label\na\u0308,b\n").index) == ["ä"]


def test_the_real_table_agrees_with_pandas(shared_data):
    path = shared_data / "charlesworth2015" / "recordings.csv"
    expected = pd.read_csv(path, dtype=str, index_col="recording")[["label", "culture", "batch"]]
    assert read_recordings_csv(path).to_dict() == expected.to_dict()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,label\nx,a\n", r"recordings\.csv: has no column 'recording'; it has: name, label\. Name the columns"),
        ("recording,class\nx,a\n", r"recordings\.csv: has no column 'label'; it has: recording, class"),
        ("recording,label,Label\nx,a,b\n", "has the column 'label' twice. Keep one"),
        ("recording,label\nx,a\ny,b\nx,a\n", "line 4: x is listed twice. Keep one"),
        ("recording,label\nx,a\ny, \n", "line 3: y has no label. Give it one"),
        ("recording,label\nx,a\ny\n", "line 3: y has no label. Give it one"),
        ("recording,label\n,a\n", "line 2: no recording. Give its id"),
        ("recording,label\nx,a,b\n", "line 2: 3 values under 2 columns. Put values that hold the separator in double"),
        ("recording,label\n", "lists no recording. Fill it in, or remove it"),
        ("", "is empty. Fill it in, or remove it"),
        (" \n,,\n", "is empty. Fill it in, or remove it"),
        (b"recording,label\n\x81,a\n", "cannot be read .*Save it as CSV in UTF-8"),
        (b"recording,label\nx,a\n\0", "cannot be read .*Save it as CSV in UTF-8"),
        ('recording,label\n"x,a\n', "cannot be read .*Save it as CSV in UTF-8"),
    ],
)
def test_unusable_tables(tmp_path, text, message):
    with pytest.raises(MeaError, match=message):
        read_text(tmp_path, text)


def test_unreadable_table(tmp_path):
    (tmp_path / "recordings.csv").mkdir()
    with pytest.raises(MeaError, match=r"recordings\.csv: cannot be read .*directory"):
        read_recordings_csv(tmp_path / "recordings.csv")


# ---- patterns on file names


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("2024_control_3.h5", "w_oMNPs"),
        ("w_oMNPs-1.h5", "w_oMNPs"),
        ("woMNPs.h5", "w_oMNPs"),
        ("withMNPs/x_control.h5", "w_oMNPs"),
        ("a.zip/x_withMNPs.h5", "withMNPs"),
        ("control_w_oMNPs.h5", "w_oMNPs"),
    ],
)
def test_the_predecessors_rules(name, label):
    assert match_label(name, PREDECESSOR) == label


def test_no_label():
    with pytest.raises(BadRecording, match=r"^a/Control\.h5: no label: .*w_oMNPs: control, w_oMNPs, woMNPs; withMNPs"):
        match_label("a/Control.h5", PREDECESSOR)


def test_two_labels():
    text = r"^control_withMNPs\.h5: 2 labels match .*w_oMNPs by 'control'; withMNPs by 'withMNPs'.*Rename it"
    with pytest.raises(BadRecording, match=text):
        match_label("control_withMNPs.h5", PREDECESSOR)


def test_groups_from_names():
    assert match_group("c9/x_c12_b3.h5", r"_c(\d+)") == "12"
    assert match_group("x_c12_b3.h5", r"_d(\d+)") == ""
    assert match_group("x_c12_b3.h5", r"x(_d\d+)?") == ""
    assert match_group("x_c12_b3.h5", "") == ""


def test_group_patterns_are_checked():
    assert check_group_pattern("") == ""
    assert check_group_pattern("_c([0-9]+)") == "_c([0-9]+)"
    with pytest.raises(ValueError, match=r"not a regular expression: .*unterminated"):
        check_group_pattern("_c([0-9+)")
    for pattern, groups in [("_c[0-9]+", 0), ("(a)(b)", 2)]:
        with pytest.raises(ValueError, match=rf"must have exactly one group in round brackets.*it has {groups}"):
            check_group_pattern(pattern)


def test_the_table_decides_where_there_is_one():
    table = pd.DataFrame({"label": ["b"], "culture": ["c"], "batch": [""]}, index=pd.Index(["x"], name="recording"))
    identify = choose_identify(table, FilePatterns({"a": ["x"]}))
    assert identify("x", "x.h5", Place()) == Identity("x", "b", "c", "")
    with pytest.raises(BadRecording, match=r"^f/y\.h5: no label: recordings\.csv does not list 'y'\. Add a line"):
        identify("y", "f/y.h5", Place())
    patterns = FilePatterns({"a": ["x"]}, culture="(x)")
    assert choose_identify(None, patterns)("x", "x.h5", Place()) == Identity("x", "a", "x", "")
    with pytest.warns(UserWarning, match=r"recordings\.csv decides; the patterns h5\.culture and h5\.batch are not"):
        choose_identify(table, patterns)


@pytest.mark.parametrize(
    ("path", "part", "label"),
    [
        ("folders.zip/100msec/D19(000).h5", "auto", "short"),
        ("folders.zip/500msec/D19(000).h5", "auto", "long"),
        ("500msec.zip/100msec/D19.h5", "auto", "short"),  # the nearest folder decides
        ("500msec.zip/week 1/D19.h5", "folder", "long"),
        ("500msec/100msec.h5", "auto", "short"),
        ("500msec/100msec.h5", "name", "short"),
        ("500msec/100msec.h5", "folder", "long"),
    ],
)
def test_a_label_may_stand_in_a_folder(path, part, label):
    assert match_label(path, {"short": ["100msec"], "long": ["500msec"]}, part) == label


@pytest.mark.parametrize(
    ("path", "near"), [("500 msec/D24.h5", "500msec"), ("a/treatd_1.h5", "treated"), ("a/x_1.h5", None)]
)
def test_the_nearest_pattern_is_named(path, near):
    with pytest.raises(BadRecording, match="no label") as error:
        match_label(path, {"long": ["500msec"], "treated": ["treated"]})
    assert (f"The nearest is {near!r}." in str(error.value)) == bool(near) or not near
    assert near or "nearest" not in str(error.value)


def test_the_folder_is_not_looked_at_where_the_name_alone_is_to_count():
    with pytest.raises(BadRecording, match="no label"):
        match_label("500msec/D19.h5", {"long": ["500msec"]}, "name")


# ---- consistency


def make_recording(label: str, culture: str, batch: str) -> LabelledRecording:
    arrays = dict.fromkeys(["names", "row", "col", "x_um", "y_um", "source_row", "gain_v", "adc_zero"], np.zeros(0))
    info = {"format": "f", "start": "", "sampling_rate_hz": 0, "n_samples": 0, "duration_s": 1.0, "rows": 1, "cols": 1}
    source = RawRecording(**info, dataset="d", layout="l", stream="s", **arrays)
    return LabelledRecording("x", "x.h5", "0", source, label=label, culture=culture, batch=batch)


def test_a_culture_with_two_labels_or_batches_is_odd():
    with pytest.warns(UserWarning, match="culture '1' has more than one label: a, b"):
        warn_of_odd_groups([make_recording("a", "1", "p"), make_recording("b", "1", "p")])
    with pytest.warns(UserWarning, match="culture '1' has more than one batch: unknown, p"):
        warn_of_odd_groups([make_recording("a", "1", "p"), make_recording("a", "1", "")])


def test_many_odd_cultures_are_one_sentence():
    """As where the class is the day, and each culture was recorded on several."""
    recordings = [make_recording(day, str(number), "p") for number in range(40) for day in ("day 5", "day 7")]
    (sentence,) = explain_odd_groups([*recordings, make_recording("day 5", "even", "p")])
    assert sentence.startswith("culture '0' has more than one label: day 5, day 7 (and so have 39 other cultures). If")
    assert sentence.endswith("if the class changes with time, as age does, this is as it should be.")


def test_unknown_cultures_are_not_one_culture():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_odd_groups([make_recording("a", "", "p"), make_recording("b", "", "q"), make_recording("b", "2", "q")])
