"""The unzip and h5 stages together: from a lab's folder to recordings."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from builders.h5_stage import (
    PARAMS,
    add_to_zip,
    read_catalogue,
    read_metrics,
    run_h5,
    write_lab,
    write_spikes,
)
from builders.recordings import write_small_mcs, write_small_spike_times
from builders.stage_inputs import list_bytes
from ruamel.yaml import YAML

from mea.recordings import reading
from mea.recordings.catalogue import COLUMNS
from mea.recordings.formats import read_raw_recordings
from mea.recordings.recording import read_recording
from mea.runtime.files import hash_file

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.usefixtures("alone")  # worker processes would take longer than the work


@pytest.fixture
def lab(tmp_path) -> Path:
    """A lab's folder with two good recordings, one of each class."""
    return write_lab(tmp_path)


def test_recordings_from_file_names(lab):
    catalogue = run_h5(lab, culture="^([a-z])_", batch="_(control)")
    assert ["recording", *catalogue.columns] == COLUMNS
    assert catalogue.label.to_dict() == {"a_control": "w_oMNPs", "b_withMNPs": "withMNPs"}
    assert list(catalogue.culture) == ["a", "b"]
    assert list(catalogue.batch) == ["control", ""]
    assert set(catalogue.status) == {"used"}
    assert set(catalogue.format) == {"spike_times"}
    assert set(catalogue.duration_s) == {"30.0"}
    recording = read_recording(lab / "h5" / "b_withMNPs.h5")
    assert recording.recording == "b_withMNPs"
    assert recording.sha256 == hash_file(lab / "unzip" / recording.file)
    expected = write_small_spike_times(lab / "again.h5", seed=1)
    np.testing.assert_array_equal(recording.source.spike_times_s, expected)
    assert json.loads((lab / "h5" / "params.json").read_text())["h5"]["culture"] == "^([a-z])_"
    metrics = read_metrics(lab)
    assert metrics["recordings"] == 2
    assert metrics["labels"]["w_oMNPs"]["recordings"] == 1
    assert metrics["hours"] == pytest.approx(60 / 3600, abs=1e-6)
    assert (metrics["cultures"], metrics["batch_unknown"]) == (2, 1)


def test_a_file_is_read_once_whoever_was_measured(lab, monkeypatch):
    read = []

    def watch(path, **how):
        read.append(path.name)
        return read_raw_recordings(path, **how)

    monkeypatch.setattr(reading, "read_raw_recordings", watch)
    run_h5(lab)
    first = list_bytes(lab / "h5")
    write_spikes(lab / "raw" / "c_control.h5", 5)
    changed = {"w_oMNPs": ["withMNPs"], "new": ["control"]}
    assert run_h5(lab, labels=changed)["label"].to_dict() == {
        "a_control": "new", "b_withMNPs": "w_oMNPs", "c_control": "new",
    }  # fmt: skip
    assert read == ["a_control.h5", "b_withMNPs.h5", "c_control.h5"]
    names = ("a_control.h5", "b_withMNPs.h5")
    assert all(list_bytes(lab / "h5")[name] == first[name] for name in names), "a label is not in the file"
    unlabelled = {"one": ["a_control"], "two": ["c_control"]}
    assert run_h5(lab, labels=unlabelled, on_bad_recording="skip")["status"]["b_withMNPs"] == "set aside"
    assert not (lab / "h5" / "b_withMNPs.h5").exists() and len(read) == 3
    run_h5(lab, stream="filtered")
    assert len(read) == 6, "another stream is read anew"


def test_further_recordings_in_one_file_are_numbered(lab):
    write_small_mcs(lab / "raw" / "many_control.h5", n_samples=500, recordings=3)
    catalogue = run_h5(lab)
    numbered = ["many_control", "many_control#2", "many_control#3"]
    assert list(catalogue.index) == ["a_control", "b_withMNPs", *numbered]
    assert set(catalogue.label[numbered]) == {"w_oMNPs"}
    assert set(catalogue.electrodes[numbered]) == {"120"}
    assert set(catalogue.n_samples[numbered]) == {"500"}
    datasets = {read_recording(lab / "h5" / f"{name}.h5").source.dataset for name in numbered}
    assert len(datasets) == 3


def test_same_member_name_in_two_archives(lab):
    for seed, archive in enumerate("pq"):
        write_spikes(lab / "x.h5", 10 + seed)
        add_to_zip(lab / "raw" / f"{archive}.zip", c_control=lab / "x.h5")
    assert list(run_h5(lab).index) == ["a_control", "b_withMNPs", "p__c_control", "q__c_control"]


def test_recordings_csv_decides(lab):
    write_small_mcs(lab / "raw" / "many.h5", n_samples=500, recordings=2)
    (lab / "raw" / "recordings.csv").write_text(
        "recording,label,culture,batch,days\na_control,yes,1,p,7\nb_withMNPs,no,2,,7\nmany,yes,3,p,8\nmany#2,no,4,q,8\n"
    )
    catalogue = run_h5(lab)
    assert list(catalogue.label) == ["yes", "no", "yes", "no"]
    assert list(catalogue.culture) == ["1", "2", "3", "4"]
    assert list(catalogue.batch) == ["p", "", "p", "q"]
    assert read_metrics(lab)["labels"]["yes"]["cultures"] == 2


def test_filtered_stream_on_request(lab):
    write_small_mcs(lab / "raw" / "m_control.h5", n_samples=500, filtered=True)
    raw = run_h5(lab).stream["m_control"]
    filtered = run_h5(lab, stream="filtered").stream["m_control"]
    assert "Raw" in raw
    assert "Filter" in filtered


def test_the_same_bytes_anywhere_with_any_number_of_workers(lab, monkeypatch, tmp_path_factory):
    (lab / "raw" / "c_control.h5").write_bytes(b"broken")
    write_small_mcs(lab / "raw" / "m_control.h5", n_samples=500, recordings=2)
    other = tmp_path_factory.mktemp("other")
    shutil.copytree(lab / "raw", other / "raw")
    run_h5(lab, on_bad_recording="skip")
    monkeypatch.setenv("MEA_WORKERS", "2")
    run_h5(other, on_bad_recording="skip")
    names = sorted(path.name for path in (lab / "h5").iterdir())
    assert names == sorted(path.name for path in (other / "h5").iterdir())
    for name in names:
        assert (lab / "h5" / name).read_bytes() == (other / "h5" / name).read_bytes(), name
    assert (lab / "metrics" / "h5.json").read_bytes() == (other / "metrics" / "h5.json").read_bytes()


def test_one_real_archive(tmp_path, shared_data):
    source = shared_data / "charlesworth2015"
    (tmp_path / "raw").mkdir()
    table = pd.read_csv(source / "recordings.csv", dtype=str)
    archives = ["2006-09-28_hpc.zip", "2009-08-27_ctx.zip"]
    for archive in archives:
        shutil.copy(source / archive, tmp_path / "raw")
    table = table[table.batch.isin([name[:10] for name in archives])].set_index("recording")
    table.to_csv(tmp_path / "raw" / "recordings.csv")
    catalogue = run_h5(tmp_path)
    assert set(catalogue.index) == set(table.index)
    for column in ("label", "culture", "batch"):
        assert catalogue[column].to_dict() == table[column].to_dict()
    assert catalogue.duration_s.astype(float).between(600, 1200).all()
    assert set(catalogue.layout) == {"MCS_8x8_200um"}


def test_the_vendors_file(lab, shared_data):
    (vendor,) = (shared_data / "mcs_vendor").glob("*.h5")
    shutil.copyfile(vendor, lab / "raw" / vendor.name)
    (lab / "raw" / "recordings.csv").write_text(
        f"recording,label\na_control,x\nb_withMNPs,y\n{vendor.stem},y\n", encoding="utf-8"
    )
    catalogue = run_h5(lab)
    row = catalogue.loc["2014-07-09T10-17-35W8 Standard all 500 Hz"]
    assert (row.label, row.sampling_rate_hz, row.electrodes, row.status) == ("y", "500", "8", "used")
    assert "Raw" in row.stream
    assert row.start.startswith("2014-07-09T10:17")


# ---- as a user runs it


def run_stage(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"stages.{name}", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_both_commands(lab):
    (lab / "raw" / "d_control.h5").write_bytes(b"text")
    with (lab / "params.yaml").open("w") as stream:
        YAML().dump({"h5": PARAMS}, stream)
    done = run_stage("unzip", "--source", lab / "raw", "--out", lab / "unzip")
    assert done.returncode == 0, done.stderr
    flags = [
        "--params",
        lab / "params.yaml",
        "--unzip",
        lab / "unzip",
        "--out",
        lab / "h5",
        "--metrics",
        lab / "h5.json",
    ]
    done = run_stage("h5", *flags)
    assert done.returncode == 1
    assert done.stderr.startswith("h5: 1 of 3 recordings cannot be used:\n  d_control.h5: not an HDF5 file")
    assert "Traceback" not in done.stderr
    assert {path.name for path in lab.iterdir()} - {"cache"} == {"params.yaml", "raw", "unzip"}
    done = run_stage("h5", *flags, "--set", "h5.on_bad_recording=skip")
    assert done.returncode == 0, done.stderr
    assert list(read_catalogue(lab).status) == ["used", "used", "set aside"]
