"""The unzip and h5 stages together: from a lab's folder to recordings, and every refusal in words."""

import io
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from builders.recordings import write_small_mcs, write_small_spike_times
from ruamel.yaml import YAML

import stages.h5
from mea.recordings.archives import unpack
from mea.recordings.catalogue import COLUMNS
from mea.recordings.recording import read_recording
from mea.runtime.command import run_command
from mea.runtime.files import hash_file

ROOT = Path(__file__).resolve().parents[2]
PARAMS = {
    "labels": {"w_oMNPs": ["control", "w_oMNPs", "woMNPs"], "withMNPs": ["withMNPs"]},
    "culture": "",
    "batch": "",
    "part": "auto",
    "stream": "raw",
    "reader": "own",
    "on_bad_recording": "error",
}


@pytest.fixture(autouse=True)
def one_worker(monkeypatch):
    """Worker processes would take longer than the work."""
    monkeypatch.setenv("MEA_WORKERS", "1")
    monkeypatch.setenv("MEA_QUIET", "1")


@pytest.fixture
def lab(tmp_path) -> Path:
    """A lab's folder with two good recordings, one of each class."""
    for seed, name in enumerate(["a_control.h5", "b_withMNPs.h5"]):
        write_spikes(tmp_path / "raw" / name, seed)
    return tmp_path


def write_spikes(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_small_spike_times(path, seed=seed)


def add_to_zip(archive: Path, **files: Path) -> None:
    with zipfile.ZipFile(archive, "w") as stream:
        for name, path in files.items():
            stream.write(path, f"{name}.h5")


def run_h5(lab: Path, **params: object) -> pd.DataFrame:
    """Both stages; the catalogue, without empty columns filled in."""
    (lab / "params.yaml").unlink(missing_ok=True)
    with (lab / "params.yaml").open("w") as stream:
        YAML().dump({"h5": PARAMS | params}, stream)
    unpack(lab / "raw", lab / "unzip")
    paths = {"unzip": lab / "unzip", "out": lab / "h5", "metrics": lab / "metrics" / "h5.json"}
    argv = ["--params", str(lab / "params.yaml")]
    run_command(stages.h5.build, stages.h5.Params, argv, **{name: str(path) for name, path in paths.items()})
    return read_catalogue(lab)


def read_catalogue(lab: Path) -> pd.DataFrame:
    return pd.read_csv(lab / "h5" / "catalogue.csv", dtype=str, keep_default_na=False, index_col="recording")


def read_metrics(lab: Path) -> dict:
    return json.loads((lab / "metrics" / "h5.json").read_text(encoding="utf-8"))


def read_failure(lab: Path, **params: object) -> str:
    """The message the stage ends with, after checking that no output is left."""
    with pytest.raises(SystemExit) as error:
        run_h5(lab, **params)
    assert not list(lab.glob("h5*"))
    assert not list(lab.glob(".h5*"))
    assert not (lab / "metrics").exists()
    return str(error.value)


def check_bad(lab: Path, recording: str, text: str) -> None:
    """An error that names the recording and the rule; with skip, one line in catalogue and metrics."""
    message = read_failure(lab)
    assert "recordings cannot be used:" in message
    assert text in message
    assert "set h5.on_bad_recording to skip" in message
    catalogue = run_h5(lab, on_bad_recording="skip")
    assert list(catalogue.index[catalogue.status == "set aside"]) == [recording]
    assert text in catalogue.reason[recording]
    assert list(catalogue.index[catalogue.status == "used"]) == ["a_control", "b_withMNPs"]
    assert not (lab / "h5" / f"{recording}.h5").exists()
    metrics = read_metrics(lab)
    assert (metrics["recordings"], metrics["set_aside"]) == (2, 1)
    assert list(metrics["set_aside_reasons"]) == [recording]
    assert text in metrics["set_aside_reasons"][recording]


# ---- what comes out


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
    assert (recording.recording, recording.label, recording.culture) == ("b_withMNPs", "withMNPs", "b")
    assert recording.sha256 == hash_file(lab / "unzip" / recording.file)
    expected = write_small_spike_times(lab / "again.h5", seed=1)
    np.testing.assert_array_equal(recording.source.spike_times_s, expected)
    assert json.loads((lab / "h5" / "params.json").read_text())["h5"]["culture"] == "^([a-z])_"
    metrics = read_metrics(lab)
    assert metrics["recordings"] == 2
    assert metrics["labels"]["w_oMNPs"]["recordings"] == 1
    assert metrics["hours"] == pytest.approx(60 / 3600, abs=1e-6)
    assert (metrics["cultures"], metrics["batch_unknown"]) == (2, 1)


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


# ---- one bad recording


def test_broken_archive(lab):
    (lab / "raw" / "x.zip").write_bytes(b"PK\x03\x04 and no more")
    check_bad(lab, "x.zip", "x.zip: this zip archive is truncated or damaged")


def test_archive_without_hdf5(lab):
    with zipfile.ZipFile(lab / "raw" / "x.zip", "w") as archive:
        archive.writestr("x.txt", b"1")
    check_bad(
        lab, "x.zip", "x.zip: nothing that is read (.h5, .hdf5, .brw, .bxr, .nwb or a spike table) inside this archive"
    )


def test_damaged_member(lab):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("d_control.h5", bytes(1000))
    damaged = bytearray(content.getvalue())
    damaged[500] ^= 1
    (lab / "raw" / "x.zip").write_bytes(damaged)
    check_bad(lab, "d_control", "d_control.h5 of x.zip: damaged (Bad CRC-32")


def test_member_that_leaves_the_folder(lab):
    with zipfile.ZipFile(lab / "raw" / "x.zip", "w") as archive:
        archive.writestr("../d_control.h5", b"1")
    check_bad(lab, "d_control", "its path would leave the folder")


def test_not_an_hdf5_file(lab):
    (lab / "raw" / "d_control.h5").write_bytes(b"text")
    check_bad(lab, "d_control", "d_control.h5: not an HDF5 file")


def test_empty_file(lab):
    (lab / "raw" / "d_control.h5").write_bytes(b"")
    check_bad(lab, "d_control", "d_control.h5: is empty, 0 bytes. Copy it again")


def test_truncated_hdf5(lab):
    write_spikes(lab / "raw" / "d_control.h5", 5)
    whole = (lab / "raw" / "d_control.h5").read_bytes()
    (lab / "raw" / "d_control.h5").write_bytes(whole[: len(whole) // 2])
    check_bad(lab, "d_control", "d_control.h5: cannot be read")


def test_one_bad_recording_in_a_file_leaves_its_neighbours(lab):
    write_small_mcs(lab / "raw" / "m_control.h5", n_samples=500, recordings=3)
    with h5py.File(lab / "raw" / "m_control.h5", "r+") as h5:
        del h5["Data/Recording_1/AnalogStream"]
    catalogue = run_h5(lab, on_bad_recording="skip")
    assert list(catalogue.index[catalogue.status == "set aside"]) == ["m_control#2"]
    assert "m_control.h5: Recording_1: holds nothing that was measured" in catalogue.reason["m_control#2"]
    assert {"m_control.h5", "m_control#3.h5"} <= {path.name for path in (lab / "h5").iterdir()}


def test_negative_spike_times(lab):
    write_small_spike_times(lab / "raw" / "d_control.h5", spikes=np.array([-1.0, 2, 3]), sCount=np.array([1, 1, 1]))
    check_bad(lab, "d_control", "negative")


def test_no_label(lab):
    write_spikes(lab / "raw" / "d.h5", 5)
    check_bad(lab, "d", "d.h5: no label: its name holds none of the patterns of h5.labels")


def test_two_labels(lab):
    write_spikes(lab / "raw" / "control_withMNPs.h5", 5)
    check_bad(lab, "control_withMNPs", "control_withMNPs.h5: 2 labels match its name")


def test_no_label_in_recordings_csv(lab):
    write_spikes(lab / "raw" / "d_control.h5", 5)
    (lab / "raw" / "recordings.csv").write_text("recording,label\na_control,x\nb_withMNPs,y\n")
    check_bad(lab, "d_control", "d_control.h5: no label: recordings.csv does not list 'd_control'")


def test_duplicated_recording(lab):
    shutil.copyfile(lab / "raw" / "a_control.h5", lab / "raw" / "d_withMNPs.h5")
    check_bad(lab, "d_withMNPs", "d_withMNPs.h5: duplicated recording: the same content as a_control (a_control.h5)")


def test_all_bad_recordings_are_reported_together(lab):
    for number in range(12):
        (lab / "raw" / f"d{number:02}_control.h5").write_bytes(f"text {number}".encode())
    message = read_failure(lab)
    assert message.startswith("h5: 12 of 14 recordings cannot be used:\n")
    assert all(f"d{number:02}_control.h5: not an HDF5" in message for number in range(10))
    assert "d10_control" not in message
    assert "... and 2 more." in message


def test_skip_says_what_was_set_aside(lab, capsys):
    (lab / "raw" / "d_control.h5").write_bytes(b"text")
    run_h5(lab, on_bad_recording="skip")
    error = capsys.readouterr().err
    assert "warning: 1 of 3 recordings cannot be used and are set aside:\n  d_control.h5: not an HDF5 file" in error


# ---- what stops the stage in any case


def write_table(lab: Path, text: str) -> None:
    (lab / "raw" / "recordings.csv").write_text(text)


@pytest.mark.parametrize("policy", ["error", "skip"])
def test_recordings_csv_lists_what_does_not_exist(lab, policy):
    write_table(lab, "recording,label\na_control,x\nb_withMNPs,y\nb_withMNP,y\nzzz,y\n")
    message = read_failure(lab, on_bad_recording=policy)
    assert "recordings.csv: recordings listed that do not exist: 2" in message
    assert "  b_withMNP (there is b_withMNPs)\n  zzz\n" in message
    assert "Write the ids as in manifest.csv" in message


@pytest.mark.parametrize("policy", ["error", "skip"])
def test_recordings_csv_unusable_is_no_reason_to_fall_back_to_patterns(lab, policy):
    write_table(lab, "name,label\na_control,x\n")
    assert "has no column 'recording'" in read_failure(lab, on_bad_recording=policy)


def test_recordings_of_a_broken_archive_or_file_are_set_aside(lab):
    write_table(lab, "recording,label\na_control,x\nb_withMNPs,y\nlost,x\nd,y\nd#2,y\n")
    (lab / "raw" / "x.zip").write_bytes(b"PK broken")
    (lab / "raw" / "d.h5").write_bytes(b"broken")
    message = read_failure(lab)
    assert "4 of 6 recordings cannot be used" in message
    catalogue = run_h5(lab, on_bad_recording="skip")
    reasons = catalogue.reason[catalogue.status == "set aside"]
    assert list(reasons.index) == ["d", "d#2", "lost", "x.zip"]
    assert reasons["lost"].startswith("lost: its archive could not be read.")
    assert reasons["d#2"].startswith("d#2: its file could not be read.")


def test_one_class_only(lab):
    message = read_failure(lab, labels={"all": ["control", "withMNPs"]})
    assert "all 2 usable recordings have the label 'all'; a classifier needs two classes or more" in message


def test_nothing_usable(lab):
    message = read_failure(lab, labels={"x": ["nothing"]}, on_bad_recording="skip")
    assert message.startswith("h5: no recording can be used:\n  a_control.h5: no label")


def test_a_culture_with_two_labels_warns(lab, capsys):
    write_table(lab, "recording,label,culture\na_control,x,1\nb_withMNPs,y,1\n")
    run_h5(lab)
    assert "warning: culture '1' has more than one label: x, y" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"labels": {"x": []}}, "h5.labels.x = []: List should have at least 1 item"),
        ({"labels": {"x": [""]}}, "h5.labels.x.0 = '': String should have at least 1 character"),
        ({"labels": {"": ["x"]}}, "String should have at least 1 character"),
        ({"culture": "c[0-9]+"}, "h5.culture = 'c[0-9]+': must have exactly one group in round brackets"),
        ({"batch": "(c"}, "h5.batch = '(c': not a regular expression"),
        ({"stream": "both"}, "h5.stream = 'both': Input should be 'raw', 'filtered' or 'spikes'"),
        ({"on_bad_recording": "ignore"}, "Input should be 'error' or 'skip'"),
        ({"lables": 1}, "h5.lables: no such parameter"),
    ],
)
def test_parameters_are_checked(lab, params, message):
    assert message in read_failure(lab, **params)


def test_unzip_has_not_run(lab):
    with (lab / "params.yaml").open("w") as stream:
        YAML().dump({"h5": PARAMS}, stream)
    with pytest.raises(SystemExit, match=r"h5: .*manifest\.csv: no such file\. Run the unzip stage first"):
        paths = {"unzip": str(lab / "none"), "out": str(lab / "h5"), "metrics": str(lab / "h5.json")}
        run_command(stages.h5.build, stages.h5.Params, ["--params", str(lab / "params.yaml")], **paths)


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
    assert sorted(path.name for path in lab.iterdir()) == ["params.yaml", "raw", "unzip"]
    done = run_stage("h5", *flags, "--set", "h5.on_bad_recording=skip")
    assert done.returncode == 0, done.stderr
    assert list(read_catalogue(lab).status) == ["used", "used", "set aside"]
