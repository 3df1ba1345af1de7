"""A folder that is watched: whole files only, one line a recording, on from where it stopped, whatever comes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from functools import partial

import pytest
from builders.classifiers import make_classifier
from builders.lab import ROOT, wait_until
from builders.recordings import write_small_mcs

from mea.classification import command
from mea.classification.classify import classify_source, list_rows
from mea.classification.command import main
from mea.classification.watch import read_done, watch_folder
from mea.runtime.errors import MeaError
from mea.training.classifier import load_classifier

pytestmark = [pytest.mark.usefixtures("alone"), pytest.mark.filterwarnings("ignore:.*trained, but not evaluated")]
LABELS = ["F7", "F8", "A4", "M9"]
SUFFIXES = (".h5",)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    make_classifier(folder := tmp_path_factory.mktemp("lab") / "model")
    return folder


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two recordings, a file of two, a zip of two, and one that is damaged."""
    folder = tmp_path_factory.mktemp("rig")
    for number, name in enumerate(["a", "b"]):
        write_small_mcs(folder / f"{name}.h5", labels=LABELS, n_samples=25_000, seed=number)
    write_small_mcs(folder / "two.h5", labels=LABELS, recordings=2, seed=5)
    (folder / "broken.h5").write_bytes(b"\x89HDF\r\n\x1a\n and then nothing")
    with zipfile.ZipFile(folder / "many.zip", "w") as archive:
        archive.write(folder / "a.h5", "inner/c.h5")
        archive.write(folder / "b.h5", "inner/d.h5")
    return folder


def run(folder, model, out, stop_after_s):
    main(["--watch", str(folder), "--model", str(model), "--out", str(out), "--stop-after", str(stop_after_s)])


def read_lines(out):
    return [json.loads(line) for line in out.read_text("utf-8").splitlines()]


def test_each_recording_is_a_line_as_the_whole_folder_would_have_it(files, model, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(command, "watch_folder", partial(watch_folder, settle_s=0.5))
    run(files, model, tmp_path / "out.jsonl", 3)
    lines = read_lines(tmp_path / "out.jsonl")
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == lines
    assert [(line["file"], line["recordings"]) for line in lines] == [
        ("a.h5", 1), ("b.h5", 1), ("broken.h5", 1), ("many.zip", 2), ("many.zip", 2), ("two.h5", 2), ("two.h5", 2)
    ]  # fmt: skip
    whole = list_rows(classify_source(load_classifier(model), files))
    names = {"file", "bytes", "modified_ns", "recordings"}
    assert sorted(({k: v for k, v in line.items() if k not in names} for line in lines), key=by_name) == whole
    (broken,) = [line for line in lines if line["file"] == "broken.h5"]
    assert broken["decision"] == "rejected" and broken["reason"].startswith("unreadable: broken.h5: ")
    before = (tmp_path / "out.jsonl").read_bytes()
    run(files, model, tmp_path / "out.jsonl", 1)
    assert (tmp_path / "out.jsonl").read_bytes() == before, "all of it is done"
    assert capsys.readouterr().out == ""


def by_name(line):
    return line["recording"]


def test_a_file_is_read_once_it_is_whole_and_again_when_it_changes(files, tmp_path):
    folder, out, seen = tmp_path / "rig", tmp_path / "out.jsonl", []
    folder.mkdir()
    content = (files / "two.h5").read_bytes()

    def copy_slowly():
        for end in range(0, len(content), len(content) // 8):
            (folder / "slow.h5").write_bytes(content[:end])
            time.sleep(0.2)
        (folder / "slow.h5").write_bytes(content)

    def classify(path):
        seen.append(path.read_bytes())
        if len(seen) == 1:
            shutil.copyfile(files / "a.h5", path)  # the rig overwrites it
        return [{"recording": path.stem}]

    copying = threading.Thread(target=copy_slowly)
    copying.start()
    found = list(watch_folder(folder, classify, out, SUFFIXES, stop_after_s=1.5, settle_s=0.8))
    copying.join()
    assert seen == [content, (files / "a.h5").read_bytes()] and len(found) == 2
    assert set(read_done(out)) == {"slow.h5"}


def test_what_is_hidden_of_another_kind_or_gone_is_left_alone(files, tmp_path):
    folder, out = tmp_path / "rig", tmp_path / "rig/out.jsonl"
    (folder / "day 1").mkdir(parents=True)
    for name in ("day 1/ü a.h5", ".part.h5", "held.h5", "gone.h5"):
        shutil.copyfile(files / "a.h5", folder / name)
    (folder / "notes.txt").write_text("dose 3")

    def classify(path):
        if path.stem in ("gone", "held"):
            raise {"gone": FileNotFoundError, "held": PermissionError}[path.stem](2, "gone", str(path))
        return [{"recording": path.stem}]

    found = list(watch_folder(folder, classify, out, SUFFIXES, stop_after_s=1.5, settle_s=0.2))
    assert [json.loads(line)["file"] for (line,) in found] == ["day 1/ü a.h5"]


@pytest.mark.slow
def test_a_killed_watch_goes_on_without_loss_and_without_doubles(files, model, tmp_path):
    folder, out = tmp_path / "rig", tmp_path / "out.jsonl"
    folder.mkdir()
    for number in range(12):
        shutil.copyfile(files / ("two.h5" if number % 2 else "a.h5"), folder / f"f{number:02}.h5")
    command = [sys.executable, "-m", "mea", "classify", "--watch", str(folder), "--model", str(model)]
    command += ["--out", str(out), "--stop-after", "7"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for lines in (1, 6):
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: out.exists() and out.read_bytes().count(b"\n") >= lines, "lines", 120)  # noqa: B023
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    expected = [f"f{number:02}.h5" for number in range(12) for _ in range(1 + number % 2)]
    assert [line["file"] for line in read_lines(out)] == expected


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_file_whose_lines_are_not_whole_is_done_again(tmp_path, cut):
    head = [
        {"file": name, "bytes": 5, "modified_ns": 7, "recordings": of} for name, of in (("a", 1), ("b", 2), ("b", 2))
    ]
    lines = [f"{json.dumps(line)}\n".encode() for line in head]
    out = tmp_path / "out.jsonl"
    out.write_bytes(b"".join(lines))
    assert read_done(out) == {"a": (5, 7), "b": (5, 7)} and out.read_bytes() == b"".join(lines)
    out.write_bytes(b"".join(lines)[:-cut])
    assert read_done(out) == {"a": (5, 7)} and out.read_bytes() == lines[0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--watch", "nowhere"], "nowhere: no such folder"),
        (["--watch", ".", "--json"], "--watch goes with neither --json"),
        (["--watch", ".", "--prior", "estimate"], "--watch goes with neither"),
        (["--watch", ".", "--prior", "equal"], ".*model: not evaluated, so it has no prior that could be changed"),
        (["--source", ".", "--stop-after", "3"], "--stop-after ends a --watch"),
        (["--watch", ".", "--out", "other.jsonl"], "other.jsonl, line 1: not written by mea classify --watch"),
    ],
)
def test_mistakes_are_said(model, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other.jsonl").write_text('{"recording": "a"}\n')
    with pytest.raises(SystemExit, match=f"^classify: {said}"):
        main([*arguments, "--model", str(model)])
    assert (tmp_path / "other.jsonl").read_text() == '{"recording": "a"}\n'


def test_a_folder_that_is_none_is_an_error_of_the_module(tmp_path):
    with pytest.raises(MeaError, match="no such folder"):
        next(watch_folder(tmp_path / "none", list, tmp_path / "out.jsonl", SUFFIXES))
