"""Plates at the doctor: a picture of each file, rate and label of each well, and a plates.csv to be filled in."""

import h5py
import numpy as np
import pandas as pd
import pytest
from builders.recordings import write_small_spike_times

from mea.doctor.__main__ import main
from mea.recordings.plate_map import read_plate_map


@pytest.fixture
def raw(tmp_path):
    """Two days of a plate, on which A1 fires 3 times a second on two electrodes, B2 not at all, and F8 once."""
    folder = tmp_path / "raw"
    folder.mkdir()
    for day in ("DIV05", "DIV07"):
        trains = [np.linspace(0, 60, 180), np.linspace(0, 60, 180), np.array([30.0])]
        path = folder / f"P1_{day}.h5"
        write_small_spike_times(
            path, names=["A1_11", "A1_44", "F8_23"], array=np.array("Axion 48 well", "S"),
            recordingtime=np.array([0.0, 60.0]), spikes=np.concatenate(trains),
            sCount=np.array([180, 180, 1], np.int32),
        )  # fmt: skip
        with h5py.File(path, "r+") as h5:
            h5["well"], h5.attrs["day"] = np.array([b"A1", b"B2", b"F8"]), day
    return folder


def look(raw, *arguments):
    with pytest.raises(SystemExit):
        main([str(raw), "--out", str(raw.parent / "plots"), *arguments])


def test_a_plate_is_drawn_with_rate_and_label_of_each_well(raw, capsys):
    (raw / "plates.csv").write_text("plate,well,label\nP1,A1,drug\nP1,B2 F8,control\n", encoding="utf-8")
    look(raw)
    said = capsys.readouterr().out
    assert "Pictures of 2 plates, rate and label of each well" in said and "plates.csv" in said
    table = pd.read_csv(raw.parent / "plots/P1_DIV05_plate.csv").set_index("well")
    assert table["label"].to_dict() == {"A1": "drug", "B2": "control", "F8": "control"}
    assert table["firing_rate_hz"].to_dict() == pytest.approx({"A1": 360 / 16 / 60, "B2": 0, "F8": 1 / 16 / 60})
    assert (raw.parent / "plots/P1_DIV07_plate.png").stat().st_size > 5000


def test_a_plate_of_two_dates_is_pointed_out(raw, capsys):
    for date, day in (("20130814", "DIV05"), ("20131030", "DIV07")):
        (raw / f"P1_{day}.h5").rename(raw / f"{date}_P1_{day}.h5")
    (raw / "plates.csv").write_text("plate,well,label\n,A1,drug\n,B2 F8,control\n", encoding="utf-8")
    look(raw)
    assert "the plate 'P1' has files of 2 dates: 20130814, 20131030" in capsys.readouterr().out


def test_the_proposed_map_has_every_well_once_and_can_be_filled_in(raw, capsys):
    path = raw.parent / "plates.csv"
    look(raw, "--propose", str(path))
    assert "plates.csv: written; 3 wells are to be labelled." in capsys.readouterr().out
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    assert table[["plate", "well"]].values.tolist() == [["P1", "A1"], ["P1", "B2"], ["P1", "F8"]]
    table["label"] = ["drug", "control", "control"]
    table.to_csv(raw / "plates.csv", index=False)
    assert len(read_plate_map(raw / "plates.csv")) == 3
    look(raw)
    assert "no label" not in capsys.readouterr().out
