"""Killed runs: nothing of theirs reaches the next one, and nothing is lost."""

import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from builders.lab import ROOT, wait_until
from builders.working import end

from mea.networks.loop import CHECKSUM, _find_checkpoint
from mea.runtime import cache
from mea.runtime.errors import MeaError
from mea.runtime.files import fresh_folder, hash_file
from mea.runtime.parallel import run_parallel

PATIENCE_S = 60
STAGE = """
import os, sys, time
from pathlib import Path
from mea.runtime.files import fresh_folder
from mea.runtime.parallel import run_parallel

def write(job):
    number, folder, word = job
    (Path(folder) / f"worker_{os.getpid()}").touch()
    (Path(sys.argv[1]).parent / f"pid_{os.getpid()}").touch()
    for _ in range(600):
        time.sleep(0.1)
        (Path(folder) / f"{number}.txt").write_text(word)

with fresh_folder(Path(sys.argv[1])) as folder:
    run_parallel(write, [(number, str(folder), "old") for number in range(2)], "written", workers=2)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=["KILL", "TERM"])
def test_workers_of_a_killed_stage_end_and_write_into_no_other_run(tmp_path, how):
    out = tmp_path / "out"
    kept = os.environ | {"MEA_QUIET": "1"}
    stage = subprocess.Popen([sys.executable, "-c", STAGE, str(out)], cwd=ROOT, env=kept, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: len(list(tmp_path.glob(".out.*.partial/*.txt"))) == 2, "two workers that write", PATIENCE_S)
        workers = [int(path.name[4:]) for path in tmp_path.glob("pid_*")]
        stage.send_signal(how)
        stage.wait()
        with fresh_folder(out) as folder:
            (folder / "0.txt").write_text("new")
            wait_until(lambda: not any(map(psutil.pid_exists, workers)), "the end of the workers", PATIENCE_S)
    finally:
        stage.kill()
    assert [path.name for path in out.iterdir()] == ["0.txt"] and (out / "0.txt").read_text() == "new"
    assert not list(tmp_path.glob(".out.*"))


def test_a_worker_that_is_killed_is_one_sentence(monkeypatch):
    monkeypatch.setenv("MEA_QUIET", "1")
    with pytest.raises(MeaError, match=r"a worker process was ended from outside, most often because memory ran out"):
        run_parallel(end, [0, 1, 2], "numbers", workers=2)
    assert run_parallel(abs, [-1, 2], "numbers", workers=2) == [1, 2], "and the next work begins anew"


def test_two_runs_at_once_are_refused(tmp_path):
    with fresh_folder(tmp_path / "out") as folder:
        (folder / "one").touch()
        refused = pytest.raises(MeaError, match=r"out: another run is writing there\. Wait until it has ended")
        with refused, fresh_folder(tmp_path / "out"):
            pass
        with fresh_folder(tmp_path / "other"):
            pass
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["one"]


def test_a_kill_while_the_folders_change_places_loses_neither(tmp_path):
    """The old one was moved aside, and the new one had not taken its place."""
    out = tmp_path / "out"
    with fresh_folder(out) as folder:
        (folder / "old").touch()
    out.rename(tmp_path / ".out.4711.old.partial")
    (tmp_path / ".out.4711.partial").mkdir()
    with pytest.raises(ZeroDivisionError), fresh_folder(out):
        assert [path.name for path in out.iterdir()] == ["old"], "the old one is back before anything is written"
        raise ZeroDivisionError
    assert [path.name for path in out.iterdir()] == ["old"] and not list(tmp_path.glob(".out.*"))


def test_what_a_killed_run_left_of_a_file_beside_it_is_none_of_its_business(tmp_path):
    """``metrics/evaluate/`` and ``metrics/evaluate.json`` lie side by side, and the second may be in work just now."""
    half = tmp_path / ".evaluate.json.4711.partial"
    half.write_text("half")
    with fresh_folder(tmp_path / "evaluate") as folder:
        (folder / "new").touch()
    assert [path.name for path in (tmp_path / "evaluate").iterdir()] == ["new"] and half.read_text() == "half"


def test_a_user_without_a_name_can_write(tmp_path, monkeypatch):
    """A container may run under a number that no list of users holds."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda number: {}[number])
    with fresh_folder(tmp_path / "out") as folder:
        (folder / "new").touch()
    assert (tmp_path / "out/new").exists()


def test_a_new_folder_that_cannot_take_its_place_leaves_the_old_one(tmp_path, monkeypatch):
    out, replace = tmp_path / "out", Path.replace
    with fresh_folder(out) as folder:
        (folder / "old").touch()

    def refuse(self, target):
        if Path(target) == out and ".old." not in self.name:
            raise PermissionError(13, "Permission denied", str(target))
        return replace(self, target)

    with pytest.raises(MeaError, match=r"out: cannot be written \(Permission denied"), fresh_folder(out) as folder:
        (folder / "new").touch()
        monkeypatch.setattr(Path, "replace", refuse)
    assert [path.name for path in out.iterdir()] == ["old"] and not list(tmp_path.glob(".out.*"))


def test_a_changed_byte_of_a_checkpoint_is_noticed_wherever_it_is(tmp_path):
    path = tmp_path / "last.ckpt"
    content = random.Random(0).randbytes(20_000)
    path.write_bytes(content)
    assert _find_checkpoint(tmp_path) is None, "nobody says what it was"
    Path(f"{path}{CHECKSUM}").write_text(hash_file(path), encoding="ascii")
    assert _find_checkpoint(tmp_path) == path
    for place in random.Random(1).sample(range(len(content)), 200):
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        assert _find_checkpoint(tmp_path) is None, place
    path.write_bytes(content[:-1])
    assert _find_checkpoint(tmp_path) is None


def fetch(key, target, made):
    def make(path):
        made.append(key)
        path.write_text(f"result of {key}")

    cache.fetch_file(key, target, make)
    return target.read_text()


def test_kept_results_that_were_exchanged_or_damaged_are_made_again(tmp_path, monkeypatch):
    monkeypatch.setenv("MEA_CACHE", str(tmp_path / "cache"))
    one, other, made = "aa" + "1" * 62, "aa" + "2" * 62, []
    for key in (one, other):
        assert fetch(key, tmp_path / "x.txt", made) == fetch(key, tmp_path / "y.txt", made) == f"result of {key}"
    assert made == [one, other]
    kept = {key: tmp_path / "cache/aa" / f"{key[2:]}.txt" for key in (one, other)}
    for suffix in ("", ".sha256"):  # with their checksums
        paths = [Path(f"{path}{suffix}") for path in kept.values()]
        shutil.move(paths[0], tmp_path / "between")
        shutil.move(paths[1], paths[0])
        shutil.move(tmp_path / "between", paths[1])
    assert fetch(one, tmp_path / "x.txt", made) == f"result of {one}" and made[2:] == [one]
    checksum = Path(f"{kept[one]}.sha256")
    checksum.write_bytes(b"\xff" + checksum.read_bytes()[1:])  # no text any more
    assert fetch(one, tmp_path / "x.txt", made) == f"result of {one}" and made[3:] == [one]
    assert fetch(one, tmp_path / "x.txt", made) == f"result of {one}" and made[4:] == []
