"""The doctor on files: faults planted in files of the rigs' own formats, and real recordings."""

import shutil
import zipfile
from functools import partial

import numpy as np
import pandas as pd
import pytest
from builders.doctored import LABELS, SAMPLING_RATE_HZ, SMALL, examine, find, list_bad, write
from builders.lab import ROOT
from builders.recordings import make_small_counts, write_small_mcs, write_small_spike_times

from mea.doctor.dataset import check_dataset
from mea.doctor.files import examine_files
from mea.doctor.findings import DOUBTFUL, FINE, WRONG
from mea.doctor.settings import read_settings
from mea.recordings.formats.mcs_layout import RigRecording, Stream
from mea.recordings.formats.mcs_writer import write_mcs_file
from mea.recordings.recording import Recording

RAW, FILTERED = "'Data Acquisition (1) Electrode Raw Data'", "'Filter (1) Filter Data'"
VENDOR_FILE = "mcs_vendor/2014-07-09T10-17-35W8 Standard all 500 Hz.h5"

pytestmark = pytest.mark.usefixtures("alone")


def test_a_pause_is_told(tmp_path):
    segments = [[0, 0, 3999], [1_400_000, 4000, 9999]]
    _, findings = examine(write(tmp_path / "ctl_1.h5", segments=segments))
    assert "Nothing is measured across it" in find(findings, "pause of 1 s before sample 4000", DOUBTFUL).remedy


def test_of_two_raw_streams_the_choice_is_told(tmp_path):
    counts = make_small_counts(60, SAMPLING_RATE_HZ, sampling_rate_hz=SAMPLING_RATE_HZ)
    streams = [
        Stream(counts[:4], LABELS[:4], 100, label="Electrode Raw Data"),
        Stream(counts, LABELS, 100, label="All"),
    ]
    write_mcs_file(tmp_path / "ctl_1.h5", [RigRecording(streams)], layout=SMALL["layout"])
    _, findings = examine(tmp_path / "ctl_1.h5")
    assert find(findings, "several raw electrode streams: Stream_1 'All' taken (most channels)", DOUBTFUL).remedy
    choice = find(findings, "'All' with 60 channels is read, of 2 straight from the rig the one with the most channels")
    assert choice.severity == FINE and "not read: 'Electrode Raw Data' (Electrode, 4 channels)" in choice.what


@pytest.mark.parametrize(("stream", "taken", "left"), [("raw", RAW, FILTERED), ("filtered", FILTERED, RAW)])
def test_raw_or_filtered_as_the_parameters_say(tmp_path, stream, taken, left):
    _, findings = examine(write(tmp_path / "ctl_1.h5", filtered=True), f"h5.stream={stream}")
    found = find(findings, f"(h5.stream: {stream}); not read: {left}")
    assert found.severity == FINE and found.what.startswith(taken)
    assert list_bad(findings) == []


def test_no_label_and_two(tmp_path):
    for name in ("x.h5", "ctl_trt.h5", "trt_1.h5"):
        write(tmp_path / "raw" / name, seed=len(name))
    examined, findings = examine(tmp_path / "raw")
    unknown = find(findings, "no label: its name holds none of the patterns", WRONG)
    assert unknown.where == "x" and "--propose" in unknown.remedy
    assert find(findings, "2 labels match its name", WRONG).where == "ctl_trt"
    assert [one.result.recording for one in examined if one.used] == ["trt_1"]
    assert [one.electrodes for one in examined] == ["60 of 60"] * 3  # looked at all the same


def test_another_rate_is_set_aside_or_resampled(tmp_path):
    write(tmp_path / "ctl_1.h5")
    (one,), findings = examine(tmp_path / "ctl_1.h5", "array.sampling_rate_hz=25000")
    assert find(findings, "recorded at 10000 Hz, not at 25000 Hz: set aside", DOUBTFUL).remedy and not one.used
    (one,), findings = examine(
        tmp_path / "ctl_1.h5", "array.sampling_rate_hz=25000", "array.other_sampling_rate=resample"
    )
    assert list_bad(findings) == [] and one.used


def test_damaged_files_are_findings_and_their_neighbours_are_read(tmp_path):
    raw = tmp_path / "raw"
    whole = write(raw / "ctl_1.h5").read_bytes()
    (raw / "ctl_2.h5").write_bytes(whole[: len(whole) // 2])
    (raw / "ctl_3.h5").write_text("not a recording")
    (raw / "trt_4.zip").write_bytes(b"PK\x03\x04 and no more")
    with zipfile.ZipFile(raw / "trt.zip", "w") as archive:
        archive.write(write(tmp_path / "trt_5.h5", seed=5), "day/trt_5.h5")
        archive.writestr("trt_6.h5", whole[:-1000])
    spoilt = bytearray(write(raw / "ctl_7.h5", seed=7).read_bytes())
    spoilt[len(spoilt) // 3 : len(spoilt) // 3 + 400] = bytes(400)
    (raw / "ctl_7.h5").write_bytes(spoilt)
    (raw / "ctl_8.h5").symlink_to(tmp_path / "gone.h5")
    examined, findings = examine(raw)
    wrong = {one.where: one.what for one in findings if one.severity == WRONG}
    assert set(wrong) == {"ctl_2", "ctl_3", "ctl_7", "ctl_8", "trt_4.zip", "trt_6"}
    assert wrong["ctl_2"].startswith("cannot be read (") and "truncated or damaged: copy it again" in wrong["ctl_2"]
    assert wrong["ctl_3"].startswith("not an HDF5 file.")
    assert "truncated or damaged: copy it again" in wrong["trt_6"]
    assert "damaged" in wrong["ctl_7"]
    assert (
        wrong["ctl_8"]
        == "ctl_8.h5: cannot be read (No such file or directory). Check the file's permissions and its disk."
    )
    assert [one.result.recording for one in examined if one.used] == ["ctl_1", "trt_5"]
    assert not any(str(tmp_path) in text or "/tmp" in text for text in wrong.values())
    assert not list(raw.glob("**/*.partial"))


@pytest.mark.parametrize("write_file", [partial(write_small_mcs, n_samples=2000, **SMALL), write_small_spike_times])
def test_whatever_byte_is_wrong_nothing_worse_than_a_finding_comes_of_it(tmp_path, write_file):
    write_file(tmp_path / "ctl_1.h5")
    whole, random, levels = (tmp_path / "ctl_1.h5").read_bytes(), np.random.default_rng(0), set()
    for _ in range(25):
        spoilt = bytearray(whole)
        for place in random.integers(0, min(len(whole), 12_000), 2):  # where names, types and places are
            spoilt[place] = random.integers(256)
        (tmp_path / "ctl_1.h5").write_bytes(spoilt)
        _, findings = examine(tmp_path / "ctl_1.h5")
        levels |= {one.severity for one in findings}
    assert levels >= {FINE, WRONG}


def test_the_same_content_twice(tmp_path):
    shutil.copy(write(tmp_path / "raw" / "ctl_1.h5"), tmp_path / "raw" / "trt_2.h5")
    examined, findings = examine(tmp_path / "raw")
    found = find(findings, "duplicated recording: the same content as ctl_1", WRONG)
    assert found.where == "trt_2" and [one.used for one in examined] == [True, False]


def test_several_recordings_in_a_file(tmp_path):
    write_small_mcs(tmp_path / "ctl_1.h5", n_samples=5000, recordings=2, **SMALL)
    examined, findings = examine(tmp_path / "ctl_1.h5", out=tmp_path / "out")
    assert [one.result.recording for one in examined] == ["ctl_1", "ctl_1#2"]
    assert {path.name for path in (tmp_path / "out").glob("*.png")} == {"ctl_1.png", "ctl_1#2.png"}
    assert list_bad(findings) == []


def test_recordings_csv_goes_first_and_is_checked(tmp_path):
    write(tmp_path / "raw" / "ctl_1.h5")
    table = tmp_path / "raw" / "recordings.csv"
    table.write_text("recording,label,culture,batch\nctl_1,treated,c1,b1\nlost,treated,c2,b1\n")
    (one,), findings = examine(tmp_path / "raw")
    assert (one.result.label, one.result.culture, one.result.batch) == ("treated", "c1", "b1")
    assert one.label_from == "recordings.csv"
    assert find(findings, "recordings listed that do not exist: 1\n  lost", WRONG).where == "recordings.csv"
    (one,), findings = examine(tmp_path / "raw" / "ctl_1.h5")  # only one of them is asked about
    assert list_bad(findings) == [] and one.result.label == "treated"
    (one,), findings = examine(tmp_path / "raw" / "ctl_1.h5", as_source=True)  # as the unzip stage reads it
    assert list_bad(findings) == [] and (one.result.label, one.label_from) == ("a", "file name")
    table.write_text("recording\nctl_1\n")
    (one,), findings = examine(tmp_path / "raw")
    assert find(findings, "has no column 'label'", WRONG) and not one.used


def test_a_missing_source_and_an_empty_one(tmp_path):
    examined, findings = examine(tmp_path / "nowhere")
    assert not examined and find(findings, "no such folder or file", WRONG)
    (tmp_path / "raw").mkdir()
    _, findings = examine(tmp_path / "raw")
    assert find(findings, "this folder holds no recordings", WRONG)


def test_spike_times_have_no_noise_but_electrodes_that_fire(tmp_path):
    write_small_spike_times(tmp_path / "ctl_1.h5")
    (one,), findings = examine(tmp_path / "ctl_1.h5", out=tmp_path / "out")
    assert one.electrodes == "3 of 60 fire" and np.isnan(one.noise_uv) and one.used
    assert list_bad(findings) == [] and not (tmp_path / "out").exists()
    write_small_spike_times(tmp_path / "ctl_2.h5", firing_rate_hz=0.0)
    _, findings = examine(tmp_path / "ctl_2.h5")
    assert find(findings, "no spike in the whole recording", DOUBTFUL).remedy


# ---- real recordings ----


def test_the_vendors_own_file(shared_data, tmp_path):
    folder = tmp_path / "raw"
    folder.mkdir()
    shutil.copy(shared_data / VENDOR_FILE, folder / "ctl.h5")
    (one,), findings = examine(folder, "array.sampling_rate_hz=500")
    assert isinstance(one.result, Recording) and one.electrodes == "8 of 8" and one.used
    choice = find(findings, "is read, the only electrode stream straight from the rig").what
    assert choice.startswith(f"{RAW} with 8 channels")
    assert choice.endswith(
        f"not read: 'Data Acquisition (1) Digital Data' (Digital, 1 channels), {FILTERED} (Electrode, 8 channels)"
    )


@pytest.mark.slow
def test_real_recordings_of_six_batches(shared_data, tmp_path):
    """38 hippocampal and 49 cortical recordings; recordings.csv beside the archives lists 370."""
    days = ("2006-09-28_hpc", "2006-11-08_hpc", "2007-04-23_hpc", "2009-07-20_ctx", "2009-08-03_ctx", "2009-08-27_ctx")
    paths = [shared_data / "charlesworth2015" / f"{day}.zip" for day in days]
    given = ["split.chunk_s=30", "split.first_s=900", "split.folds=3", "evaluate.permutations=100"]
    settings = read_settings(ROOT / "params.yaml", given)
    examined, findings = examine_files(paths, settings, tmp_path)
    table = pd.read_csv(shared_data / "charlesworth2015" / "recordings.csv", dtype=str).set_index("recording")
    for one in examined:
        assert one.used and one.result.label == table.loc[one.result.recording, "label"], one
        assert one.result.batch == one.archive[:10] and one.label_from == "recordings.csv"
    assert len(examined) == 87
    assert list_bad(findings) == []
    judged = check_dataset(examined, settings)
    assert find(judged, "can be split by batch: 3 folds, 6 groups").severity == FINE
    assert find(judged, "no batch holds two classes", DOUBTFUL)
    assert find(judged, "87 recordings in 6 groups by batch; the largest class is 56 %")
