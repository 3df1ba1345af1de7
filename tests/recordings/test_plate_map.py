"""What is in the wells: plates.csv as a list and as the table of a plate."""

import pytest

from mea.recordings.labels import FilePatterns, Place, choose_identify
from mea.recordings.plate_map import WellContent, list_named_wells, look_up_well, read_plate_map
from mea.recordings.plates import AXION, name_plate, normalise_well
from mea.recordings.recording import Identity
from mea.runtime.errors import BadRecording, MeaError


def read(tmp_path, text):
    (tmp_path / "plates.csv").write_text(text, encoding="utf-8")
    return read_plate_map(tmp_path / "plates.csv")


@pytest.mark.parametrize(
    ("text", "wells"),
    [
        ("A1", ["A1"]),
        ("a01", ["A1"]),
        ("A1:A3", ["A1", "A2", "A3"]),
        ("B2:A1", ["A1", "A2", "B1", "B2"]),
        ("A1-A2", ["A1", "A2"]),
        ("A1 C3, D4;F12", ["A1", "C3", "D4", "F12"]),
        ("C", [f"C{k}" for k in range(1, 25)]),
        ("2", [f"{row}2" for row in "ABCDEFGHIJKLMNOP"]),
        ("A:B", [f"{row}{k}" for row in "AB" for k in range(1, 25)]),
        ("1 : 2", [f"{row}{k}" for row in "ABCDEFGHIJKLMNOP" for k in (1, 2)]),
    ],
)
def test_wells_are_named_in_any_way(text, wells):
    assert list_named_wells(text, "x") == wells


@pytest.mark.parametrize("text", ["", "Q1", "A0", "A25", "well 3", "A1:", "1A", ":"])
def test_what_names_no_well_is_refused(text):
    with pytest.raises(MeaError, match=r"plates\.csv, line 2: well .*must be like A1, A1:B6"):
        list_named_wells(text, "plates.csv, line 2")


def test_a_list(tmp_path):
    text = "Plate,Well,Label,culture\nP1,A1:A2,drug,c1\nP1,B,control,\n,C3,spare,\np1,A1,,\n"
    plates = read(tmp_path, text)
    assert look_up_well(plates, "P1", "A2") == WellContent("drug", "c1")
    assert look_up_well(plates, "p1", "B24") == WellContent("control")
    assert look_up_well(plates, "any", "C3") == look_up_well(plates, "P1", "C3") == WellContent("spare")
    assert look_up_well(plates, "P2", "A1") is None


def test_the_table_of_a_plate_as_in_a_spreadsheet(tmp_path):
    rows = ["P1;1;2;3;4;5;6;7;8;9;10;11;12", "A;drug;drug;control;;;;;;;;;", "B;;control", "",
            "P2;1;2;3;4;5;6;7;8", "F;;;;;;;;drug"]  # fmt: skip
    plates = read(tmp_path, "\n".join(rows))
    assert len(plates) == 5
    assert look_up_well(plates, "P1", "A3") == look_up_well(plates, "P1", "B2") == WellContent("control")
    assert look_up_well(plates, "P2", "F8") == WellContent("drug") and look_up_well(plates, "P2", "A1") is None


def test_one_table_without_a_name_is_for_every_plate(tmp_path):
    plates = read(tmp_path, ",1,2\nA,a,b\nB,b,a\n")
    assert [look_up_well(plates, name, "B2").label for name in ("P1", "P7")] == ["a", "a"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("plate,well,label\nP,A1:A2,a\nP,A2,b\n", "line 3: well A2 has the label 'b', and 'a' above"),
        ("P,1,2\nA,a,b\nnotes,x,y\n", "line 3: begins with 'notes', which is no row of a plate"),
        ("plate,label\nP,a\n", "has no column 'well'"),
        ("P,1,2\nA,,\n", "names no well"),
    ],
)
def test_unusable_maps(tmp_path, text, message):
    with pytest.raises(MeaError, match=message):
        read(tmp_path, text)


# Who a well is


def test_the_map_stands_above_the_name_of_the_file(tmp_path):
    """The day is in the name, the treatment in the map; what the map leaves open, the name says."""
    plates = read(tmp_path, "plate,well,label,batch\nP,A1,drug,b9\nP,A2,,\n")
    patterns = FilePatterns({"day5": ["DIV05"]}, batch="^([0-9]{8})")
    identify = choose_identify(None, patterns, plates)
    path = "20130814_P_DIV05.h5"
    assert identify("f_A1", path, Place("f", "P", "A1")) == Identity("f_A1", "drug", "", "b9")
    assert identify("f_A2", path, Place("f", "P", "A2")) == Identity("f_A2", "day5", "", "20130814")
    assert identify("f_A1", "other.h5", Place("f", "P", "A1")) == Identity("f_A1", "drug", "", "b9")
    with pytest.raises(BadRecording, match=r"plates\.csv does not name well B1 of plate 'P'"):
        identify("f_B1", path, Place("f", "P", "B1"))
    assert identify("x", path, Place()).label == "day5", "a dish is no well"


def test_recordings_csv_names_wells_or_their_file():
    import pandas as pd

    index = pd.Index(["f_A1", "f"], name="recording")
    table = pd.DataFrame({"label": ["x", "y"], "culture": ["c1", "c"], "batch": ["", "b"]}, index=index)
    identify = choose_identify(table, FilePatterns({}))
    assert identify("f_A1", "f.h5", Place("f", "P", "A1")) == Identity("f_A1", "x", "c1", "")
    assert identify("f_A2", "f.h5", Place("f", "P", "A2")) == Identity("f_A2", "y", "c_A2", "b")


# Plates


@pytest.mark.parametrize(
    ("path", "plate"),
    [
        ("20130814_MW1010-21_DIV05.h5", "20130814_MW1010-21"),
        ("20130814_MW1010-21_DIV12.h5", "20130814_MW1010-21"),
        ("a.zip/run_1012016_plate1_DIV3_spike_list.csv.gz", "run_1012016_plate1"),
        ("P7 day 21.csv", "P7"),
        ("individual_7.h5", "individual_7"),
        ("DIV5.h5", "DIV5"),
    ],
)
def test_the_plate_is_the_name_without_the_day(path, plate):
    assert name_plate(path) == plate


def test_a_plate_has_all_its_wells():
    for count, plate in AXION.items():
        assert len(set(plate.list_wells())) == count
    assert AXION[48].list_wells()[-1] == "F8" and AXION[96].list_wells()[-1] == "H12"
    assert normalise_well(" b07 ", "x") == "B7"
    with pytest.raises(BadRecording, match="x: well 'A0' must look like A1"):
        normalise_well("A0", "x")
