"""Axion spike lists: one table in all dialects gives one result; a genuine one; planted faults."""

import gzip
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from mea.recordings.formats import is_spike_table, read_raw_recordings
from mea.runtime.errors import BadRecording

GENUINE = Path(__file__).parents[3] / "shared/data/axion/exampleRecording_1012016_plate1_DIV3_spike_list.csv.gz"
SPIKES = [(0.5, "A1_11", 0.05), (0.25, "A1_44", 0.1), (1.5, "F8_23", 0.02), (2.0, "A1_11", 0.04), (59.0, "C3_12", 0.03)]
SETTINGS = [
    ("Investigator", ""),
    ("Maestro Settings", ""),
    ("   Original File Time", "08/17/2015 16:12:30"),
    ("   Sampling Frequency", "12.5 kHz"),
    ("   Voltage Scale", "6.5E-08 V/sample"),
    ("   Plate Type", "CytoView MEA 48-Well"),
    ("Actual File Section Run", "0s to 1m0s"),
    ("Spike threshold", "± 25 µV"),
]


def write_list(path, *, separator=",", decimal=".", end="\n", encoding="utf-8", beside=True, wells=None,
               spikes=SPIKES, settings=SETTINGS, spare=""):  # fmt: skip
    """A spike list in a dialect; ``wells`` is the table at its end."""
    table = [["Time (s)", "Electrode", "Amplitude(mV)"]]
    table += [
        [str(time).replace(".", decimal), name, str(height).replace(".", decimal)] for time, name, height in spikes
    ]
    settings = [list(line) for line in settings]
    if beside:
        count = max(len(table), len(settings))
        settings += [["", ""]] * (count - len(settings))
        table += [["", "", ""]] * (count - len(table))
        rows = [left + right for left, right in zip(settings, table)]
    else:
        rows = settings + [[""]] + table
    rows += [[""], *wells] if wells else []
    text = end.join(separator.join(row) + spare for row in rows) + end
    content = text.encode(encoding)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def summarise(path):
    """What is read: of each well its spikes by electrode, and length, start, plate and grid."""
    found = read_raw_recordings(path, "raw")
    return {
        one.well: (
            [(str(one.names[electrode]), time) for electrode, time in zip(one.spike_electrode, one.spike_times_s)],
            one.duration_s,
            one.start,
            one.plate,
            (one.rows, one.cols, one.n_electrodes),
        )
        for one in found
    }


def test_every_well_is_a_recording(tmp_path):
    found = summarise(write_list(tmp_path / "p1_DIV7_spike_list.csv"))
    assert len(found) == 48 and list(found)[:2] == ["A1", "A2"]
    spikes, *about = found["A1"]
    assert spikes == [("11", 0.5), ("11", 2.0), ("44", 0.25)]
    assert about == [60.0, "2015-08-17T16:12:30", "p1", (4, 4, 16)]
    assert found["B5"][0] == [] and found["B5"][1:] == tuple(about), "silence is a result"
    (one,) = [one for one in read_raw_recordings(tmp_path / "p1_DIV7_spike_list.csv", "raw") if one.well == "F8"]
    place = one.spike_electrode[0]
    assert (one.row[place], one.col[place]) == (2, 1), "23: column 2, row 3"
    assert one.notes == ()


DIALECTS = list(
    product(
        [(",", "."), (";", ","), (";", "."), ("\t", "."), ("\t", ",")],
        ["\n", "\r\n", "\r"],
        ["utf-8", "utf-8-sig", "latin-1", "utf-16"],
        [True, False],
        ["csv", "csv.gz"],
    )
)


@pytest.mark.parametrize("dialect", DIALECTS[::3], ids=str)
def test_one_table_in_all_dialects(tmp_path, dialect):
    (separator, decimal), end, encoding, beside, suffix = dialect
    wells = [["Well Information"], ["Well", "A1", "A2"], ["Active", "true", "TRUE"], ["Treatment", "x", "y"]]
    expected = summarise(write_list(tmp_path / "p.csv"))
    path = tmp_path / f"p.{suffix}"
    write_list(path, separator=separator, decimal=decimal, end=end, encoding=encoding, beside=beside, wells=wells)
    assert summarise(path) == expected
    write_list(path, separator=separator, decimal=decimal, end=end, encoding=encoding, beside=beside, spare=separator)
    assert summarise(path) == expected


@pytest.mark.parametrize(
    "wells",
    [
        [["Well Information"], ["Well", "A2", "F8", "B5"], ["Active", "FALSE", "true", "False"]],
        [
            ["Well Information"],
            ["Well", "Treatment", "Active"],
            ["A2", "x", "false"],
            ["F8", "y", "True"],
            ["B5", "", "FALSE"],
        ],
    ],
    ids=["a column a well", "a row a well"],
)
def test_wells_that_were_not_used_are_none(tmp_path, wells):
    found = summarise(write_list(tmp_path / "p.csv", wells=wells))
    assert set(found) == set(summarise(write_list(tmp_path / "q.csv"))) - {"A2", "B5"}


def test_a_list_without_settings(tmp_path):
    """The smallest plate on which all spikes fit, bounded by them, both said; no date if a day may be a month."""
    settings = [("Original File Time", "03/04/2015 10:00:00")]
    found = read_raw_recordings(write_list(tmp_path / "p.csv", settings=settings), "raw")
    assert len(found) == 48 and found[0].duration_s == 58.75 and found[0].start == ""
    said = " ".join(found[0].notes)
    assert "taken as one of 48 wells" in said and "from the first to the last spike of the plate, 0.25 to 59 s" in said
    assert "no usable date: '03/04/2015 10:00:00'" in said
    assert found[0].spike_times_s.min() == 0.0


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"spikes": [*SPIKES, (3.0, "A1_55", 0.1)]}, "A1: electrode '55' is not in the layout Axion4x4"),
        ({"spikes": [*SPIKES, (3.0, "H1_11", 0.1)]}, "well 'H1' is not on this plate"),
        ({"spikes": [*SPIKES, ("soon", "A1_11", 0.1)]}, "line 7: 'soon' of 'A1_11' is no time of a spike"),
        ({"spikes": [*SPIKES, (-1.0, "A1_11", 0.1)]}, "line 7: '-1.0' of 'A1_11' is no time"),
        ({"spikes": [*SPIKES, (1.0, "somewhere", 0.1)]}, "electrode name 'somewhere' must look like A1_24"),
        ({"settings": [("Plate Type", "Petri dish")]}, "plate 'Petri dish' is unknown; known are Axion plates of"),
    ],
)
def test_planted_faults_are_named(tmp_path, changed, message):
    path = write_list(tmp_path / "p.csv", **changed)
    with pytest.raises(BadRecording) as error:
        read_raw_recordings(path, "raw")
    assert str(error.value).startswith(str(path)) and message in str(error.value)


def test_a_truncated_list_is_named(tmp_path):
    path = write_list(tmp_path / "p.csv.gz", spikes=[(k / 1e4, "A1_11", 0.1) for k in range(20_000)])
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(BadRecording, match="truncated or damaged: copy it again"):
        read_raw_recordings(path, "raw")


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "", "\0\1\2", "recording,label\nx,a\n"])
def test_other_tables_are_none(text):
    assert not is_spike_table(text.encode())


@pytest.mark.skipif(not GENUINE.exists(), reason=f"{GENUINE} is not here: recordings stay out of the repository")
def test_a_genuine_list():
    """The oracle is a plain loop over the lines."""
    expected: dict[str, list[float]] = {}
    with gzip.open(GENUINE, "rt") as stream:
        for line in list(stream)[1:]:
            _, _, time, name, *_ = line.split(",")
            if time:
                expected.setdefault(name, []).append(float(time))
    found = read_raw_recordings(GENUINE, "raw")
    assert len(found) == 48 and {one.duration_s for one in found} == {18 * 60 + 2.0}
    trains = {
        f"{one.well}_{one.names[k]}": one.spike_times_s[one.spike_electrode == k]
        for one in found for k in np.unique(one.spike_electrode)
    }  # fmt: skip
    assert set(trains) == set(expected) and len(expected) > 100
    for name, times in expected.items():
        assert np.array_equal(trains[name], np.sort(times))
