"""Spike times as tables: one row a spike, one column an electrode; units stated, never guessed."""

import numpy as np
import pytest
from builders.mcs_files import read_one

from mea.recordings.formats import is_spike_table, read_raw_recordings
from mea.runtime.errors import BadRecording

TRAINS = {"12": [0.5, 2.0, 9.75], "55": [0.25], "87": [1.0, 4.0]}


def check(source, duration_s=10.0, begin=0.0):
    found = {
        str(source.names[k]): (source.spike_times_s[source.spike_electrode == k] + begin).round(9).tolist()
        for k in np.unique(source.spike_electrode)
    }
    assert found == TRAINS and source.duration_s == duration_s
    assert (source.rows, source.cols, source.n_electrodes) == (8, 8, 60)


def write(tmp_path, lines, name="a.csv", encoding="utf-8"):
    (tmp_path / name).write_text("\n".join(lines), encoding=encoding)
    return tmp_path / name


def list_rows(scale=1.0, separator=",", decimal="."):
    spikes = [(time, name) for name, train in TRAINS.items() for time in train]
    return [f"{name}{separator}{time * scale:g}".replace(".", decimal) for time, name in sorted(spikes)]


STATED = ["# duration: 10", "# layout: 60MEA200/30iR"]


@pytest.mark.parametrize(
    ("head", "scale"),
    [
        ([*STATED, "electrode,time (s)"], 1),
        ([*STATED, "Channel,Time [ms]"], 1000),
        ([*STATED, "# unit: us", "electrode,spike_time"], 1e6),
        ([*STATED, "# unit = samples", "# sampling_rate: 25000 Hz", "electrode,time"], 25_000),
    ],
)
def test_one_row_a_spike(tmp_path, head, scale):
    check(read_one(write(tmp_path, [*head, *list_rows(scale)])))


def test_a_semicolon_and_decimal_commas(tmp_path):
    rows = list_rows(separator=";", decimal=",")
    check(read_one(write(tmp_path, ["# duration: 10", "# layout: 60MEA", "electrode;time (s)", *rows], "a.txt")))


def test_one_column_an_electrode(tmp_path):
    lines = [*STATED, "# unit: s", "12,55,87", "0.5,0.25,1", "2,,4", "9.75,,"]
    assert is_spike_table("\n".join(lines).encode())
    check(read_one(write(tmp_path, lines, encoding="utf-16")))


def test_what_is_not_stated_is_said(tmp_path):
    source = read_one(write(tmp_path, ["electrode,time (s)", *list_rows()]))
    check(source, duration_s=9.5, begin=0.25)
    said = " ".join(source.notes)
    assert "60MEA deduced from the electrode labels" in said and "from the first to the last spike of the file" in said


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["electrode,time", "12,0.5", "12,1"], "the unit of its times is not stated, or unknown ('')"),
        (["# unit: weeks", "electrode,time", "12,0.5"], "not stated, or unknown ('weeks')"),
        (["# unit: samples", "electrode,time", "12,5"], "not stated, or unknown ('samples')"),
        (["electrode,time (s)", "12,0.5", "12,soon"], "row 2 below the head holds no electrode with a time"),
        (["# duration: 1", "electrode,time (s)", "12,0.5", "12,3"], "a spike at 3 s lies beyond the duration of 1 s"),
        (["# duration: 0", "electrode,time (s)", "12,0.5"], "duration '0' must be seconds above 0"),
        (["# unit: s", "12,55", "1,2", "3,x"], "row 2 below the head holds 'x' of 55"),
        (["# layout: 60MEA", "electrode,time (s)", "99,0.5", "12,1"], "electrode label '99' is unknown in the layout"),
    ],
)
def test_planted_faults_are_named(tmp_path, lines, message):
    path = write(tmp_path, lines)
    with pytest.raises(BadRecording) as error:
        read_raw_recordings(path, "raw")
    assert str(error.value).startswith(str(path)) and message in str(error.value)


@pytest.mark.parametrize("text", ["recording,label\n1,2\n", "12,55\nx,y\n", "time,value\n1,2\n", "12\n1\n"])
def test_other_tables_are_none(text):
    assert not is_spike_table(text.encode())
