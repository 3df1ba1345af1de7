"""The doctor on the data set: can it be held out honestly, and how small an effect could it show?"""

import pytest
from builders.doctored import SAMPLING_RATE_HZ, find, list_bad, set_params, write, write_lab
from builders.recordings import write_small_spike_times

from mea.doctor.dataset import check_dataset, list_recordings, tabulate_design
from mea.doctor.files import examine_files
from mea.doctor.findings import DOUBTFUL, FINE, WRONG

pytestmark = pytest.mark.usefixtures("alone")


def judge(folder, *overrides):
    settings = set_params(*overrides)
    examined, _ = examine_files([folder], settings, folder / "out")
    return check_dataset(examined, settings)


def test_a_balanced_lab_can_be_split(tmp_path):
    findings = judge(write_lab(tmp_path / "raw", batches=10))
    assert list_bad(findings) == []
    assert find(findings, "can be split by batch: 5 folds, 10 groups").severity == FINE
    assert (
        "40 recordings in 10 groups by batch; the largest class is 50 %." in find(findings, "probability of 80 %").what
    )
    assert find(findings, "labels permuted between groups: a classifier without a fault would reach p").severity == FINE


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
    (nothing,) = check_dataset([], set_params())
    assert (
        "no recording can be used" in nothing.what and nothing.remedy == "First correct what is wrong with the files."
    )


def test_readable_recordings_without_a_label_need_a_table(tmp_path):
    findings = judge(write(tmp_path / "unnamed.h5").parent)
    assert "--propose" in find(findings, "no recording can be used", WRONG).remedy


def test_too_few_groups_and_what_would_be_possible(tmp_path):
    """With two batches, one is held out; on the other side, too few are left to calibrate anything on."""
    honest = judge(write_lab(tmp_path / "two", batches=2), "split.folds=auto")
    assert find(honest, "can be split by batch: 2 folds").severity == FINE
    assert find(honest, "no inner folds are possible in fold 0", DOUBTFUL).remedy.startswith("Record every class in")
    findings = judge(write_lab(tmp_path / "raw", batches=2), "split.folds=5")
    found = find(findings, "2 groups by batch are fewer than 5 folds", WRONG)
    assert "Lower split.folds" not in found.what, "one piece of advice, which is right"
    assert "(leaky)" in found.remedy
    assert (
        "split.by: culture with split.folds: 4" in found.remedy
        or "split.by: culture with split.folds: 5" in found.remedy
    )
    assert found.remedy.startswith("Possible: split.by: batch with split.folds: 2 or "), "the honest one first"
    level, folds = found.remedy.split("split.by: ")[2].split(" with split.folds: ")
    mended = judge(tmp_path / "raw", f"split.by={level}", f"split.folds={folds[0]}")
    assert find(mended, f"can be split by {level}: {folds[0]} folds").severity == FINE
    assert find(mended, "recordings of the same batch are in the training and the test set", DOUBTFUL).remedy


def test_a_class_in_one_group_cannot_be_split_at_all(tmp_path):
    findings = judge(write_lab(tmp_path / "raw", batches=2, labels=lambda batch: "ab"[batch]), "split.folds=2")
    assert "No honest split is possible at any level" in find(findings, "occurs in one group", WRONG).remedy


def test_batches_of_one_class_each_and_lengths_that_tell_it(tmp_path):
    raw = write_lab(tmp_path / "raw", batches=8, labels=lambda batch: "ab"[batch % 2])
    findings = judge(raw, "split.folds=4")
    assert find(findings, "record every class in every batch", DOUBTFUL)
    for path in raw.glob("b_*.h5"):
        write_small_spike_times(path, duration_s=90.0, seed=len(path.name) + ord(path.name[2]))
    findings = judge(raw, "split.folds=4")
    assert find(findings, "the class can be predicted from recording length", DOUBTFUL).remedy


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
    write(raw / "b_0_0.h5", labels=["A4", "D1", "M9"], layout="120MEA200/30iR-Ti", n_samples=3 * SAMPLING_RATE_HZ)
    findings = judge(raw, "split.folds=3")
    assert "8 x 8 (23 recordings), 12 x 12 (1 recordings)" in find(findings, "different grids", WRONG).what


def test_chunks_that_do_not_fit(tmp_path):
    raw = write_lab(tmp_path / "raw", batches=6)
    assert find(judge(raw, "split.chunk_s=31"), "shorter than one chunk", WRONG)
    assert find(judge(raw, "split.chunk_s=0.00001"), "a chunk must be a whole number of samples", WRONG)
