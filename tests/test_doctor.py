"""The doctor: faults planted in files of the rigs' own formats, and real recordings."""

import json
import shutil
import zipfile
from functools import partial

import numpy as np
import pandas as pd
import pytest
from lab import ROOT
from recordings import make_small_counts, write_small_mcs, write_small_spike_times

from mea.doctor.__main__ import main
from mea.doctor.dataset import judge_dataset, list_recordings, tabulate_design
from mea.doctor.electrodes import FIRST_S
from mea.doctor.files import examine_files
from mea.doctor.findings import DOUBTFUL, FINE, WRONG, Finding, count_levels, describe_findings
from mea.doctor.settings import read_settings
from mea.errors import MeaError
from mea.formats.mcs_writer import RigRecording, Stream, write_mcs_file
from mea.labels import read_recordings_csv
from mea.layouts import electrode_labels
from mea.recording import Recording

RATE_HZ = 10_000
LABELS = tuple(electrode_labels("60MEA"))
SMALL = {"labels": LABELS, "layout": "60MEA200/30iR-Ti", "rate_hz": RATE_HZ}
PARAMS = ("h5.labels={a: [ctl], b: [trt]}", f"array.rate_hz={RATE_HZ}", "evaluate.permutations=100")
RAW, FILTERED = "'Data Acquisition (1) Electrode Raw Data'", "'Filter (1) Filter Data'"
VENDOR_FILE = "mcs_vendor/2014-07-09T10-17-35W8 Standard all 500 Hz.h5"

pytestmark = pytest.mark.usefixtures("alone")


def set_params(*overrides):
    return read_settings(ROOT / "params.yaml", [*PARAMS, *overrides])


def write(path, change=None, n_samples=RATE_HZ, seed=0, **given):
    """A small 60-electrode file, its (60, n_samples) counts changed in place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    given = SMALL | given
    counts = make_small_counts(len(given["labels"]), n_samples, rate_hz=RATE_HZ, seed=seed)
    if change:
        change(counts)
    write_small_mcs(path, counts=counts, n_samples=n_samples, **given)
    return path


def examine(path, *overrides, out=None, as_source=False):
    """The recordings in a file or folder, and all findings."""
    examined, findings = examine_files([path], set_params(*overrides), out or path.parent / "out", as_source)
    return examined, [*findings, *(finding for one in examined for finding in one.findings)]


def find(findings, text, level=None):
    """The only finding in which a text stands."""
    found = [one for one in findings if text in one.what]
    assert len(found) == 1, f"{text!r}: {[one.what for one in findings]}"
    assert level in (None, found[0].level)
    return found[0]


def list_bad(findings):
    return [one.what for one in findings if one.level != FINE]


# ---- electrodes ----


def test_a_good_recording_has_nothing_doubtful(tmp_path):
    (one,), findings = examine(write(tmp_path / "ctl_1.h5"))
    assert list_bad(findings) == []
    assert (one.used, one.electrodes, one.label_from, one.result.label) == (True, "60 of 60", "file name", "a")
    assert one.noise_uv == pytest.approx(80 * 0.059605, rel=0.03)  # what the counts were drawn with
    assert find(findings, "60 of the 60 electrodes of 60MEA").level == FINE
    assert find(findings, "is read, the only electrode stream straight from the rig (h5.stream: raw)").level == FINE


def test_planted_failures_of_electrodes_are_found_and_no_others(tmp_path):
    random = np.random.default_rng(1)

    def change(counts):
        counts[3] = 17  # never changes
        counts[8] = random.normal(0, 6, counts.shape[1])  # the amplifier's own noise
        counts[20] = np.clip(40 * counts[20], -32768, 32767)  # spikes beyond the range
        counts[20, :2000] = 32767
        counts[31, ::2], counts[31, 1::2] = 32767, -32768  # from rail to rail
        counts[40] *= 9

    (one,), findings = examine(write(tmp_path / "ctl_1.h5", change), out=tmp_path / "out")
    assert find(findings, "dead electrodes", DOUBTFUL).what.endswith(f": {LABELS[3]}, {LABELS[8]}")
    assert find(findings, "saturated electrodes", DOUBTFUL).what.endswith(f": {LABELS[20]}, {LABELS[31]}")
    assert find(findings, "noisy electrodes", DOUBTFUL).what.endswith(f": {LABELS[40]}")
    assert len(list_bad(findings)) == 3
    assert one.used
    table = pd.read_csv(tmp_path / "out" / "ctl_1.csv", dtype={"electrode": str})
    failing = table[table["status"] != "works"]
    expected = {3: "dead", 8: "dead", 20: "saturated", 31: "saturated", 40: "noisy"}
    assert dict(zip(failing["electrode"], failing["status"])) == {LABELS[k]: kind for k, kind in expected.items()}
    assert (tmp_path / "out" / "ctl_1.png").read_bytes()[:4] == b"\x89PNG"


def test_an_unplugged_array_is_wrong(tmp_path):
    _, findings = examine(write(tmp_path / "ctl_1.h5", lambda counts: counts.fill(0)))
    assert find(findings, "no electrode records anything", WRONG).remedy


def test_an_array_that_is_saturated_everywhere(tmp_path):
    def change(counts):
        counts[:, :5000], counts[:, 5000:] = 32767, -32768

    _, findings = examine(write(tmp_path / "ctl_1.h5", change))
    (found,) = [one for one in findings if one.level != FINE]
    assert found.what.startswith("saturated electrodes") and found.what.endswith(" and 48 more")


def test_quiet_signals_of_few_counts_are_not_saturated(tmp_path):
    """Every other sample of one-count noise is an extreme."""

    def change(counts):
        counts[:] = np.random.default_rng(0).integers(-1, 2, counts.shape)

    _, findings = examine(write(tmp_path / "ctl_1.h5", change, conversion_factor=4_000_000))
    assert list_bad(findings) == []


def test_a_wrong_gain_and_a_shifted_baseline(tmp_path):
    def change(counts):
        counts[5:8] += 400

    _, findings = examine(write(tmp_path / "ctl_1.h5", change))
    found = find(findings, "baseline away from 0 µV", DOUBTFUL)
    assert f"on 3 of 60 electrodes: {', '.join(LABELS[5:8])}" in found.what and "h5.stream" in found.remedy
    assert f"up to {400 * 0.059605:.3g} µV" in found.what
    _, findings = examine(write(tmp_path / "ctl_2.h5", conversion_factor=59605_000))
    assert "check that the gain" in find(findings, "0.5 to 100 µV is usual", DOUBTFUL).remedy.lower()
    assert len(list_bad(findings)) == 1


def test_missing_electrodes_are_named(tmp_path):
    labels = [label for label in LABELS if label not in ("44", "78")]
    (one,), findings = examine(write(tmp_path / "ctl_1.h5", labels=labels), out=tmp_path / "out")
    assert find(findings, "58 of the 60 electrodes of 60MEA; missing: 44, 78", DOUBTFUL).remedy
    assert one.electrodes == "58 of 60"
    table = pd.read_csv(tmp_path / "out" / "ctl_1.csv", dtype={"electrode": str}).set_index("electrode")
    assert list(table.index[table["status"] == "missing"]) == ["44", "78"]
    assert (table.loc["78", "row"], table.loc["78", "col"]) == (7, 6)  # column first on the rig


def test_a_reference_in_place_of_an_electrode_is_fine(tmp_path):
    labels = ["Ref" if label == "15" else label for label in LABELS]
    _, findings = examine(write(tmp_path / "ctl_1.h5", labels=labels))
    assert find(findings, "missing: 15: the reference takes its place").level == FINE
    assert list_bad(findings) == []


def test_only_the_first_seconds_are_looked_at(tmp_path):
    def change(counts):
        counts[2, : int(FIRST_S * 500)] = 0
        counts[4, int(FIRST_S * 500) :] = 0

    path = write(tmp_path / "ctl_1.h5", change, n_samples=10_000, rate_hz=500, labels=LABELS)
    _, findings = examine(path, "array.rate_hz=500")
    assert find(findings, "dead electrodes in the first 10 s").what.endswith(f": {LABELS[2]}")


# ---- files ----


def test_a_gap_is_told(tmp_path):
    segments = [[0, 0, 3999], [1_400_000, 4000, 9999]]
    _, findings = examine(write(tmp_path / "ctl_1.h5", segments=segments))
    assert "joined" in find(findings, "gap of 1 s before sample 4000", DOUBTFUL).remedy


def test_of_two_raw_streams_the_choice_is_told(tmp_path):
    counts = make_small_counts(60, RATE_HZ, rate_hz=RATE_HZ)
    streams = [
        Stream(counts[:4], LABELS[:4], 100, label="Electrode Raw Data"),
        Stream(counts, LABELS, 100, label="All"),
    ]
    write_mcs_file(tmp_path / "ctl_1.h5", [RigRecording(streams)], layout=SMALL["layout"])
    _, findings = examine(tmp_path / "ctl_1.h5")
    assert find(findings, "several raw electrode streams: Stream_1 'All' taken (most channels)", DOUBTFUL).remedy
    choice = find(findings, "'All' with 60 channels is read, of 2 straight from the rig the one with the most channels")
    assert choice.level == FINE and "not read: 'Electrode Raw Data' (Electrode, 4 channels)" in choice.what


@pytest.mark.parametrize(("stream", "taken", "left"), [("raw", RAW, FILTERED), ("filtered", FILTERED, RAW)])
def test_raw_or_filtered_as_the_parameters_say(tmp_path, stream, taken, left):
    _, findings = examine(write(tmp_path / "ctl_1.h5", filtered=True), f"h5.stream={stream}")
    found = find(findings, f"(h5.stream: {stream}); not read: {left}")
    assert found.level == FINE and found.what.startswith(taken)
    assert list_bad(findings) == []


def test_no_label_and_two(tmp_path):
    for name in ("x.h5", "ctl_trt.h5", "trt_1.h5"):
        write(tmp_path / "raw" / name, seed=len(name))
    examined, findings = examine(tmp_path / "raw")
    unknown = find(findings, "no label: its name holds none of the patterns", WRONG)
    assert unknown.where == "x" and "PROPOSE" in unknown.remedy
    assert find(findings, "2 labels match its name", WRONG).where == "ctl_trt"
    assert [one.result.recording for one in examined if one.used] == ["trt_1"]
    assert [one.electrodes for one in examined] == ["60 of 60"] * 3  # looked at all the same


def test_another_rate_is_set_aside_or_resampled(tmp_path):
    write(tmp_path / "ctl_1.h5")
    (one,), findings = examine(tmp_path / "ctl_1.h5", "array.rate_hz=25000")
    assert find(findings, "recorded at 10000 Hz, not at 25000 Hz: set aside", DOUBTFUL).remedy and not one.used
    (one,), findings = examine(tmp_path / "ctl_1.h5", "array.rate_hz=25000", "array.other_rate=resample")
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
    wrong = {one.where: one.what for one in findings if one.level == WRONG}
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
        levels |= {one.level for one in findings}
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
    write_small_spike_times(tmp_path / "ctl_2.h5", rate_hz=0.0)
    _, findings = examine(tmp_path / "ctl_2.h5")
    assert find(findings, "no spike in the whole recording", DOUBTFUL).remedy


# ---- the data set ----


def write_lab(folder, batches=3, cultures=2, labels=("a", "b"), known=True, **given):
    """Spike-time files of every culture, and who they are."""
    folder.mkdir()
    lines = ["recording,label,culture,batch"]
    for batch in range(batches):
        for label in labels if isinstance(labels, tuple) else labels(batch):
            for culture in range(cultures):
                name = f"{label}_{batch}_{culture}"
                write_small_spike_times(folder / f"{name}.h5", seed=len(lines), **given)
                lines.append(f"{name},{label},{name},b{batch}" if known else f"{name},{label},,")
    (folder / "recordings.csv").write_text("\n".join(lines))
    return folder


def judge(folder, *overrides):
    settings = set_params(*overrides)
    examined, _ = examine_files([folder], settings, folder / "out")
    return judge_dataset(examined, settings)


def test_a_balanced_lab_can_be_split(tmp_path):
    findings = judge(write_lab(tmp_path / "raw", batches=10))
    assert list_bad(findings) == []
    assert find(findings, "can be split by batch: 5 folds, 10 groups").level == FINE
    assert (
        "40 recordings in 10 groups by batch; the largest class is 50 %." in find(findings, "probability of 80 %").what
    )
    assert find(findings, "labels permuted between groups: a classifier without a fault would reach p").level == FINE


def test_classes_cultures_and_batches_as_a_table(tmp_path):
    settings = set_params()
    examined, _ = examine_files([write_lab(tmp_path / "raw", batches=2)], settings, tmp_path)
    recordings = list_recordings(examined, settings)
    recordings.loc[0, "culture"] = ""
    recordings = recordings.drop(index=recordings.index[recordings["recording"] == "b_1_0"])
    header, rows = tabulate_design(recordings)
    assert header == ["batch", "a", "b", "all"]
    assert rows == [
        ["b0", "2 (?)", "2 (2)", "4 (?)"],
        ["b1", "2 (2)", "1 (1)", "3 (3)"],
        ["all", "4 (?)", "3 (3)", "7 (?)"],
    ]


def test_one_class_is_no_data_set(tmp_path):
    findings = judge(write_lab(tmp_path / "raw", labels=("a",)))
    assert find(findings, "all 6 usable recordings have the label 'a'", WRONG) and len(findings) == 1
    assert "no recording can be used" in judge_dataset([], set_params())[0].what


def test_too_few_groups_and_what_would_be_possible(tmp_path):
    """With two batches, one is held out; on the other side, too few are left to choose anything on."""
    findings = judge(write_lab(tmp_path / "raw", batches=2), "split.folds=5")
    found = find(findings, "2 groups by batch are fewer than 5 folds", WRONG)
    assert (
        "split.by: culture with split.folds: 4" in found.remedy
        or "split.by: culture with split.folds: 5" in found.remedy
    )
    assert "split.by: batch" not in found.remedy
    level, folds = found.remedy.split("split.by: ")[1].split(" with split.folds: ")
    mended = judge(tmp_path / "raw", f"split.by={level}", f"split.folds={folds[0]}")
    assert find(mended, f"can be split by {level}: {folds[0]} folds").level == FINE
    assert find(mended, "recordings of one batch stand on both sides", DOUBTFUL).remedy


def test_a_class_in_one_group_cannot_be_split_at_all(tmp_path):
    findings = judge(write_lab(tmp_path / "raw", batches=2, labels=lambda batch: "ab"[batch]), "split.folds=2")
    assert "No honest split is possible at any level" in find(findings, "stands in one group", WRONG).remedy


def test_batches_of_one_class_each_and_lengths_that_tell_it(tmp_path):
    raw = write_lab(tmp_path / "raw", batches=8, labels=lambda batch: "ab"[batch % 2])
    findings = judge(raw, "split.folds=4")
    assert find(findings, "record every class in every batch", DOUBTFUL)
    for path in raw.glob("b_*.h5"):
        write_small_spike_times(path, duration_s=90.0, seed=len(path.name) + ord(path.name[2]))
    findings = judge(raw, "split.folds=4")
    assert find(findings, "the class can be told by recording length", DOUBTFUL).remedy


def test_few_groups_have_little_power(tmp_path):
    findings = judge(write_lab(tmp_path / "raw", batches=3, cultures=1), "split.folds=3")
    assert (
        "at no accuracy, not even 100 %, if only groups count (intraclass correlation 1: all are worth 3)"
        in find(findings, "probability of 80 %").what
    )
    assert find(findings, "probability of 80 %", DOUBTFUL).remedy.startswith("Record more groups")
    assert find(findings, "which is not significant", DOUBTFUL)


def test_unknown_groups_are_told(tmp_path):
    findings = judge(write_lab(tmp_path / "raw", batches=6, known=False), "split.folds=3")
    assert "--propose" in find(findings, "neither culture nor batch of any recording is known", DOUBTFUL).remedy


def test_different_grids_are_not_learned_from_together(tmp_path):
    raw = write_lab(tmp_path / "raw", batches=6)
    raw.joinpath("b_0_0.h5").unlink()
    write(raw / "b_0_0.h5", labels=["A4", "D1", "M9"], layout="120MEA200/30iR-Ti", n_samples=3 * RATE_HZ)
    findings = judge(raw, "split.folds=3")
    assert "8 x 8 (23 recordings), 12 x 12 (1 recordings)" in find(findings, "different grids", WRONG).what


def test_chunks_that_do_not_fit(tmp_path):
    raw = write_lab(tmp_path / "raw", batches=6)
    assert find(judge(raw, "split.chunk_s=31"), "shorter than one chunk", WRONG)
    assert find(judge(raw, "split.chunk_s=0.00001"), "a chunk must be a whole number of samples", WRONG)


# ---- findings in words ----


def test_the_same_finding_is_said_once_and_the_worst_first():
    same = [Finding(DOUBTFUL, f"r{k}", "is odd", "Look at it.") for k in range(5)]
    text = describe_findings([Finding(FINE, "r9", "is well"), *same, Finding(WRONG, "r7", "is lost.")])
    first, second, remedy, last = text.splitlines()
    assert first.split() == ["WRONG", "r7:", "is", "lost."]
    assert second.strip() == "doubtful  r0, r1, r2 and 2 more: is odd" and remedy.strip() == "-> Look at it."
    assert last.split() == ["fine", "r9:", "is", "well"]
    assert count_levels(same) == {WRONG: 0, DOUBTFUL: 5, FINE: 0}


def test_what_differs_in_the_quoted_name_only_is_the_same():
    """A table that lists other recordings would else be told hundreds of times."""
    unlisted = [Finding(WRONG, f"r{k}", f"the table does not list 'r{k}'.") for k in range(9)]
    assert describe_findings(unlisted).split(maxsplit=1)[1] == "r0, r1, r2 and 6 more: the table does not list …."
    assert describe_findings(unlisted[:1]).endswith("r0: the table does not list 'r0'.")


def test_long_findings_stay_narrow_and_names_whole():
    name = "data/raw/" + "a-very-long-name-" * 8
    text = describe_findings([Finding(WRONG, name, "word " * 60)])
    assert name in text and all(len(line) <= 110 or name in line for line in text.splitlines())


# ---- the command ----


def call(capsys, *arguments, status):
    with pytest.raises(SystemExit) as end:
        main([*map(str, arguments), "--params", str(ROOT / "params.yaml"), *(f"--set={text}" for text in PARAMS)])
    said = capsys.readouterr()
    assert end.value.code == status, said.out
    return said.out


def test_the_command_says_it_all_and_writes_it(tmp_path, capsys, monkeypatch):
    for name in ("GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"):
        monkeypatch.setenv(name, "tester@example.org")
    raw, told, proposed = (
        write_lab(tmp_path / "raw", batches=6, known=False),
        tmp_path / "told.json",
        tmp_path / "new.csv",
    )
    text = call(
        capsys, raw, "--out", tmp_path / "out", "--json", told, "--propose", proposed, "--set=split.folds=3", status=0
    )
    for part in ("FILES\n\nrecording", "DATA SET\n\nbatch", "PROJECT\n\n", "48 cells of label, culture and batch"):
        assert part in text
    values = json.loads(told.read_text())
    assert len(values["recordings"]) == 24 and values["counts"][WRONG] == 0
    assert text.strip().endswith(", ".join(f"{count} {level}" for level, count in values["counts"].items()))
    assert {one["level"] for one in values["findings"]} == {DOUBTFUL, FINE}
    assert all(one["remedy"] or "." in one["what"] for one in values["findings"] if one["level"] == DOUBTFUL)
    table = pd.read_csv(proposed, keep_default_na=False, dtype=str)
    assert list(table.columns[:4]) == ["recording", "label", "culture", "batch"]
    assert set(table["culture"]) == {""} and set(table["label"]) == {"a", "b"} and set(table["duration_s"]) == {"30"}
    table["culture"] = table["batch"] = table["recording"]
    table.to_csv(raw / "recordings.csv", index=False)
    assert len(read_recordings_csv(raw / "recordings.csv")) == 24


def test_a_table_is_never_written_over(tmp_path, capsys):
    (tmp_path / "recordings.csv").write_text("mine")
    refusal = f"doctor: --propose {tmp_path}/recordings.csv: there is such a file, and it is never written over. "
    text = call(capsys, tmp_path, "--propose", tmp_path / "recordings.csv", status=f"{refusal}Name another.")
    assert text == "" and (tmp_path / "recordings.csv").read_text() == "mine"


def test_without_files_the_source_of_the_parameters_is_taken(tmp_path, capsys):
    write(tmp_path / "raw" / "ctl_1.h5")
    text = call(capsys, f"--set=unzip.source={tmp_path / 'raw'}", "--out", tmp_path / "out", status=1)
    assert "all 1 usable recordings have the label 'a'" in text and str(tmp_path / "out") in text
    assert "Traceback" not in text


def test_wrong_parameters_are_named(tmp_path, capsys):
    with pytest.raises(
        MeaError, match=r"--set split.folds=1: split.folds = 1: Input should be greater than or equal to 2"
    ):
        set_params("split.folds=1")
    with pytest.raises(MeaError, match=r"params\.yaml: no such file"):
        read_settings(tmp_path / "params.yaml", [])


# ---- real recordings ----


def test_the_vendors_own_file(shared_data, tmp_path):
    folder = tmp_path / "raw"
    folder.mkdir()
    shutil.copy(shared_data / VENDOR_FILE, folder / "ctl.h5")
    (one,), findings = examine(folder, "array.rate_hz=500")
    assert isinstance(one.result, Recording) and one.electrodes == "8 of 8" and one.used
    choice = find(findings, "is read, the only electrode stream straight from the rig").what
    assert choice.startswith(f"{RAW} with 8 channels")
    assert choice.endswith(
        f"not read: 'Data Acquisition (1) Digital Data' (Digital, 1 channels), {FILTERED} (Electrode, 8 channels)"
    )


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
    judged = judge_dataset(examined, settings)
    assert find(judged, "can be split by batch: 3 folds, 6 groups").level == FINE
    assert find(judged, "no batch holds two classes", DOUBTFUL)
    assert find(judged, "87 recordings in 6 groups by batch; the largest class is 56 %")
