"""The lab's own layouts, layouts.csv: read, refused, and used by every format that names a layout."""

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from builders.recordings import write_small_mcs, write_small_spike_times
from ruamel.yaml import YAML

import stages.h5
from mea.doctor.files import examine_files
from mea.doctor.settings import read_settings
from mea.recordings.archives import unpack
from mea.recordings.formats import read_counts, read_raw_recordings
from mea.recordings.lab_layouts import find_layouts, read_layouts
from mea.recordings.recording import read_recording
from mea.runtime.command import run_command
from mea.runtime.errors import BadRecording, MeaError

HEXAGONAL = """layout,electrode,row,col,x_um,y_um
hex,a,0,1,30,52
hex,b,1,0,0,0
hex,c,1,2,60,0
other,a,0,0,,
"""


def write_layouts(folder: Path, text: str = HEXAGONAL) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "layouts.csv").write_text(text, encoding="utf-8")
    return folder / "layouts.csv"


def test_a_layout_has_places_and_the_positions_that_are_stated(tmp_path):
    layouts = read_layouts(write_layouts(tmp_path))
    assert layouts["hex"].places == {"a": (0, 1), "b": (1, 0), "c": (1, 2)}
    assert layouts["hex"].positions_um == {"a": (30, 52), "b": (0, 0), "c": (60, 0)}
    assert layouts["other"].positions_um == {}


def test_excels_table_is_the_same_layout(tmp_path):
    text = HEXAGONAL.replace(",", ";").replace("30;52", "30,0;52,0")
    (tmp_path / "layouts.csv").write_bytes(("sep=;\r\n" + text.replace("\n", "\r\n")).encode("utf-16"))
    assert read_layouts(tmp_path / "layouts.csv")["hex"].positions_um["a"] == (30, 52)


def test_a_folder_without_the_table_has_no_layouts(tmp_path):
    assert find_layouts(tmp_path) == {}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("hex,a,5,5,,", "line 6: electrode 'a' of 'hex' stands there twice"),
        ("hex,d,0,1,,", "line 6: row 0, col 1 of 'hex' holds an electrode already"),
        ("hex,d,-1,1,,", "line 6: row '-1' must be a whole number"),
        ("hex,d,1.5,1,,", "line 6: row '1.5' must be a whole number"),
        ("hex,d,0,9999,,", "line 6: col '9999' must be a whole number"),
        ("hex,d,3,1,5,", "line 6: y_um '' must be a number"),
        ("hex,d,3,1,inf,2", "line 6: x_um 'inf' must be a number"),
        (",d,3,1,,", "line 6: names no layout"),
        ("hex,,3,1,,", "line 6: names no layout or no electrode"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, line, message):
    with pytest.raises(MeaError, match=rf"layouts\.csv, {message}"):
        read_layouts(write_layouts(tmp_path, HEXAGONAL + line + "\n"))


def test_a_missing_column_is_named(tmp_path):
    with pytest.raises(MeaError, match=r"layouts\.csv: has no column 'col'"):
        read_layouts(write_layouts(tmp_path, "layout,electrode,row\nhex,a,0\n"))


def test_voltages_stand_in_the_labs_places(tmp_path):
    layouts = read_layouts(write_layouts(tmp_path))
    counts = write_small_mcs(tmp_path / "a.h5", labels=["c", "a", "b"], layout="hex")
    (source,) = read_raw_recordings(tmp_path / "a.h5", "raw", layouts)
    assert (source.names.tolist(), source.row.tolist(), source.col.tolist()) == (["a", "b", "c"], [0, 1, 1], [1, 0, 2])
    assert (source.x_um.tolist(), source.y_um.tolist()) == ([30, 0, 60], [52, 0, 0])
    assert (source.layout, source.rows, source.cols, source.notes) == ("hex", 2, 3, ())
    assert np.array_equal(read_counts(tmp_path / "a.h5", source), counts[[1, 2, 0]])
    (refused,) = read_raw_recordings(tmp_path / "a.h5", "raw")
    assert isinstance(refused, BadRecording) and "Describe it in layouts.csv" in str(refused)


def test_an_unknown_name_is_taken_for_the_only_layout_of_the_lab_that_has_all_labels_with_a_note(tmp_path):
    layouts = read_layouts(write_layouts(tmp_path))
    write_small_mcs(tmp_path / "a.h5", labels=["c", "b"], layout="chip 12")
    (source,) = read_raw_recordings(tmp_path / "a.h5", "raw", layouts)
    assert source.layout == "hex" and "hex deduced from the electrode labels" in source.notes[0]
    write_small_mcs(tmp_path / "b.h5", labels=["a"], layout="chip 12")  # hex or other
    (refused,) = read_raw_recordings(tmp_path / "b.h5", "raw", layouts)
    assert isinstance(refused, BadRecording)


def test_spikes_are_placed_by_their_positions_whatever_their_names(tmp_path):
    layouts = read_layouts(write_layouts(tmp_path))
    file = tmp_path / "a.h5"
    epos = np.array([[60.0, 0.4], [0.0, -0.3]])
    names = ["unit1", "unit2"]
    write_small_spike_times(file, names=names, array=np.array(["hex"], "S"), epos=epos)
    (source,) = read_raw_recordings(file, "raw", layouts)
    assert source.names.tolist() == ["a", "b", "c"]  # the silent one, too
    assert set(source.spike_electrode.tolist()) == {1, 2}
    with h5py.File(file) as h5:
        first = h5["spikes"][: h5["sCount"][0]]
    assert np.array_equal(source.spike_times_s[source.spike_electrode == 2], first)
    write_small_spike_times(file, names=names, array=np.array(["hex"], "S"), epos=epos + 5)
    (refused,) = read_raw_recordings(file, "raw", layouts)
    assert isinstance(refused, BadRecording) and "within 1 µm" in str(refused)


def test_spikes_are_placed_by_names_that_are_the_layouts_labels(tmp_path):
    layouts = read_layouts(write_layouts(tmp_path))
    names = ["c_unit_0", "c_unit_1", "b"]
    write_small_spike_times(tmp_path / "a.h5", names=names, array=np.array(["other"], "S"))
    (refused,) = read_raw_recordings(tmp_path / "a.h5", "raw", layouts)
    assert isinstance(refused, BadRecording)
    write_small_spike_times(tmp_path / "a.h5", names=names, array=np.array(["hex"], "S"), epos=None)
    (source,) = read_raw_recordings(tmp_path / "a.h5", "raw", layouts)
    assert set(source.names[source.spike_electrode]) == {"b", "c"}


def test_a_table_of_spikes_names_the_layout(tmp_path):
    layouts = read_layouts(write_layouts(tmp_path))
    (tmp_path / "a.csv").write_text("# unit: s\n# layout: hex\nelectrode,time\nb,1\na,2\nb,3\n", encoding="utf-8")
    (source,) = read_raw_recordings(tmp_path / "a.csv", "raw", layouts)
    assert (source.layout, source.names[source.spike_electrode].tolist()) == ("hex", ["a", "b", "b"])


def test_stage_and_doctor_take_the_table_from_beside_the_recordings(tmp_path):
    write_layouts(tmp_path / "raw")
    for seed, name in enumerate(("a_control", "b_treated")):
        file = tmp_path / "raw" / f"{name}.h5"
        write_small_mcs(file, seed=seed, labels=["c", "a", "b"], layout="hex")
    settings = read_settings(None, ["h5.labels={control: [control], treated: [treated]}"])
    examined, findings = examine_files([tmp_path / "raw"], settings, tmp_path / "plots", as_source=True)
    assert [one.used for one in examined] == [True, True]
    assert not findings
    unpack(tmp_path / "raw", tmp_path / "unzip")
    labels = {"control": ["control"], "treated": ["treated"]}
    h5 = {"labels": labels, "part": "auto", "culture": "", "batch": "", "stream": "raw", "reader": "own"}
    h5["on_bad_recording"] = "error"
    with (tmp_path / "params.yaml").open("w") as stream:
        YAML().dump({"h5": h5}, stream)
    paths = {name: str(tmp_path / name) for name in ("unzip", "metrics.json")}
    paths = {"unzip": paths["unzip"], "out": str(tmp_path / "h5"), "metrics": paths["metrics.json"]}
    run_command(stages.h5.build, stages.h5.Params, ["--params", str(tmp_path / "params.yaml")], **paths)
    assert pd.read_csv(tmp_path / "h5" / "catalogue.csv")["layout"].tolist() == ["hex", "hex"]
    assert read_recording(tmp_path / "h5" / "a_control.h5").source.x_um.tolist() == [30, 0, 60]
