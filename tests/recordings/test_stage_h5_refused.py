"""What the unzip and h5 stages refuse, in words: one bad recording, and what stops them in any case."""

import io
import shutil
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from builders.h5_stage import (
    PARAMS,
    check_bad,
    read_failure,
    run_h5,
    write_lab,
    write_spikes,
)
from builders.recordings import write_small_mcs, write_small_spike_times
from ruamel.yaml import YAML

import stages.h5
from mea.runtime.command import run_command

pytestmark = pytest.mark.usefixtures("alone")  # worker processes would take longer than the work


@pytest.fixture
def lab(tmp_path) -> Path:
    """A lab's folder with two good recordings, one of each class."""
    return write_lab(tmp_path)


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
