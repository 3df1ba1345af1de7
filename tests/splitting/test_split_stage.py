"""The split stage: its files, warnings and refusals."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builders.arrays import WAVEFORM, plan_recordings, write_array

import stages.split
from mea.arrays.events_file import save_events
from mea.runtime.command import run_command
from mea.runtime.files import read_json
from mea.runtime.tables import read_table

ROOT = Path(__file__).parents[2]


def run_split(folder, *settings):
    """The stage's files on the recordings under ``folder``: chunks, and what is said beside every metric."""
    flags = [f"--array={folder / 'array'}", f"--out={folder / 'split'}", f"--metrics={folder / 'split.json'}"]
    values = ["split.folds=2", "split.chunk_s=1.0", *settings]
    argv = [*flags, f"--params={ROOT / 'params.yaml'}", *(f"--set={setting}" for setting in values)]
    paths = {"array": "", "out": "", "metrics": ""}
    run_command(stages.split.split, stages.split.Params, argv, **paths)
    return read_table(folder / "split" / "chunks.csv"), read_json(folder / "split" / "split.json")


def test_an_unknown_batch_stands_beside_every_figure_and_is_no_leak(tmp_path, capsys):
    lines = [line | {"batch": "" if number < 2 else line["batch"]} for number, line in enumerate(plan_recordings())]
    write_array(tmp_path / "array", lines, duration_s=2.0)
    _, said = run_split(tmp_path)
    assert said["leaky"] == 0 and said["warning"].startswith("batch unknown for 2 of 12 recordings (r00, r01): each of")
    assert read_json(tmp_path / "split.json")["warning"] == said["warning"]
    assert f"warning: {said['warning']}\n" in capsys.readouterr().err


def test_two_reasons_stand_side_by_side(tmp_path):
    lines = [line | {"culture": "" if number < 2 else line["culture"]} for number, line in enumerate(plan_recordings())]
    write_array(tmp_path / "array", lines, duration_s=2.0)
    _, said = run_split(tmp_path, "split.by=culture")
    leak, unknown = said["warning"].split("; ")
    both_sets = "recordings of the same batch are in the training and the test set"
    assert said["leaky"] == 1 and leak == f"leaky: split by culture, so {both_sets}"
    assert unknown.startswith("culture unknown for 2 of 12 recordings")


def test_recordings_of_one_batch_that_began_at_one_moment_are_a_warning(tmp_path, capsys):
    lines = [line | {"start": "2024-03-25T10:00:00" if n in (1, 3) else ""} for n, line in enumerate(plan_recordings())]
    write_array(tmp_path / "array", lines, duration_s=2.0)
    _, said = run_split(tmp_path)
    begins = "recordings of one batch began at the same moment (r01, r03 at 2024-03-25T10:00:00): they are parts of one"
    assert said["leaky"] == 0 and said["warning"].startswith(begins)
    assert f"warning: {said['warning']}\n" in capsys.readouterr().err


def test_recordings_that_are_too_short_are_one_line(tmp_path):
    lines = [line | {"duration_s": 0.5 if number < 6 else 2.0} for number, line in enumerate(plan_recordings())]
    write_array(tmp_path / "array", lines)
    with pytest.raises(SystemExit) as end:
        run_split(tmp_path)
    assert end.value.code == (
        "split: r00: 0.5 s are shorter than one chunk (split.chunk_s = 1 s). Choose a shorter chunk, remove the "
        "recording, or set split.on_bad_recording: skip. The same holds for 5 more: r01, r02, r03…"
    )


def test_the_stage_says_when_nothing_can_be_calibrated(tmp_path, capsys):
    write_array(tmp_path / "array", plan_recordings(batches=2), duration_s=2.0)
    _, said = run_split(tmp_path)
    assert (said["leaky"], said["warning"]) == (0, ""), "it is no fault of the metrics"
    assert "warning: no inner folds are possible in fold 0: in its training set, 1 groups" in capsys.readouterr().err


def test_one_recording_under_two_names_stops_the_stage(tmp_path):
    """The second recording is a copy of the first, its last half second cut off: no digest tells."""
    first, second, *_ = write_array(tmp_path / "array", duration_s=4.0)
    n_samples = first.n_samples - 12_500
    inside = first.first_sample + len(WAVEFORM) <= n_samples
    cut = {name: getattr(first, name)[inside] for name in ("electrode", "first_sample", "peak_sample")}
    cut |= {"offset": first.offset[: inside.sum() + 1], "waveform_counts": np.tile(WAVEFORM, inside.sum())}
    copy = replace(second, n_samples=n_samples, duration_s=3.5, **cut)
    assert copy.content_sha256 != first.content_sha256 and copy.samples_sha256 != first.samples_sha256
    save_events(tmp_path / "array" / "r01.npz", copy)
    with pytest.raises(
        SystemExit, match=r"^split: r01 and r00 share 100% of the spike patterns in 3\.5 s \(r01 begins"
    ):
        run_split(tmp_path)
    assert not (tmp_path / "split").exists()


def test_permuted_labels_are_a_control(tmp_path, capsys):
    """Batches of one class each: whole batches exchange labels, before folds are assigned by them."""
    lines = [line | {"label": "ab"[int(line["batch"][1]) % 2]} for line in plan_recordings(batches=6)]
    written = write_array(tmp_path / "array", lines, duration_s=2.0)
    true = {events.recording: line["label"] for events, line in zip(written, lines, strict=True)}
    plain, said = run_split(tmp_path)
    assert said["warning"] == "" and said["params"]["split"]["permute_labels"] is None
    assert (plain["label"] == plain["recording"].map(true)).all()
    capsys.readouterr()
    permuted = {}
    for seed in range(4):
        chunks, said = run_split(tmp_path, f"split.permute_labels={seed}")
        assert said["leaky"] == 0
        assert said["warning"] == f"labels permuted (split.permute_labels = {seed}): a control, not a result"
        assert f"warning: {said['warning']}\n" in capsys.readouterr().err
        assert (chunks.groupby("batch")["label"].nunique() == 1).all(), "between groups, never inside one"
        assert chunks["label"].value_counts().to_dict() == plain["label"].value_counts().to_dict()
        assert (chunks.groupby("fold")["label"].nunique() == 2).all(), "folds are stratified by the permuted labels"
        assert chunks.drop(columns=["label", "fold"]).equals(plain.drop(columns=["label", "fold"]))
        permuted[seed] = chunks["label"].tolist()
    assert any(labels != plain["label"].tolist() for labels in permuted.values())
    assert run_split(tmp_path, "split.permute_labels=0")[0]["label"].tolist() == permuted[0], "the seed decides"


def test_a_permuted_leak_is_still_a_leak(tmp_path):
    write_array(tmp_path / "array", duration_s=2.0)
    _, said = run_split(tmp_path, "split.by=chunk", "split.permute_labels=1")
    assert said["leaky"] == 1
    assert said["warning"] == (
        "labels permuted (split.permute_labels = 1): a control, not a result; "
        "leaky: split by chunk, so chunks of the same recording are in the training and the test set"
    )


def test_a_wrong_fold_to_score_is_named_alone(tmp_path):
    write_array(tmp_path / "array", duration_s=2.0)
    with pytest.raises(SystemExit) as end:
        run_split(tmp_path, "split.score=[3]")
    assert str(end.value).endswith("split.score = [3]: must be all, or numbers from 0 to 1: there are 2 folds.")
    with pytest.raises(SystemExit, match=r"split\.folds = 1: must be auto, or a whole number of at least 2\.$"):
        run_split(tmp_path, "split.score=[3]", "split.folds=1")
    with pytest.raises(SystemExit, match=r"split\.permute_labels = -1: Input should be greater than or equal to 0"):
        run_split(tmp_path, "split.permute_labels=-1")


@pytest.mark.parametrize(("batches", "folds"), [(2, 2), (3, 3), (4, 4), (7, 5)])
def test_auto_takes_as_many_folds_as_groups_allow_and_at_most_five(tmp_path, batches, folds):
    write_array(tmp_path / "array", plan_recordings(batches=batches), duration_s=2.0)
    chunks, said = run_split(tmp_path, "split.folds=auto")
    assert chunks["fold"].nunique() == folds and said["score"] == list(range(folds))
    assert read_json(tmp_path / "split.json")["folds"] == folds


def test_auto_does_not_hide_that_no_split_is_possible(tmp_path):
    write_array(tmp_path / "array", plan_recordings(batches=1), duration_s=2.0)
    with pytest.raises(SystemExit, match=r"1 groups by batch are fewer than 2 folds. Lower split.folds, record more"):
        run_split(tmp_path, "split.folds=auto", "split.by=batch")
