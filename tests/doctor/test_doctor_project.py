"""The doctor on the project: real Git and DVC, faults planted."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from dvc.repo import Repo

from mea.doctor.findings import DOUBTFUL, FINE, WRONG
from mea.doctor.project import examine_project

PIPELINE = "stages:\n  one:\n    cmd: python -c \"open('made', 'w').write('x')\"\n    params: [one]\n    outs: [made]\n"
GIGABYTE = 10**9


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A small project that is as it should be, and nobody's own settings."""
    folder = tmp_path / "project"
    folder.mkdir()
    for name in [name for name in os.environ if name.startswith(("GIT_", "DVC", "EMAIL"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("DVC_GLOBAL_CONFIG_DIR", str(tmp_path / "nobody"))
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    run(folder, "git", "init", "--quiet")
    run(folder, "git", "config", "user.name", "A. Tester")
    run(folder, "git", "config", "user.email", "tester@example.org")
    Repo.init(str(folder)).close()
    write_config(folder, type="hardlink,copy")
    (folder / "dvc.yaml").write_text(PIPELINE)
    (folder / "params.yaml").write_text("one:\n  x: 1\n")
    run(folder, "git", "add", "--all")
    run(folder, "git", "commit", "--quiet", "--message", "all")
    return folder


def run(folder, *command):
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def write_config(folder, remote="[core]\n    remote = lab\n['remote \"lab\"']\n    url = /somewhere\n", **cache):
    lines = "".join(f"    {name} = {value}\n" for name, value in cache.items())
    (folder / ".dvc" / "config").write_text(f"{remote}[cache]\n{lines}")


def look(folder, unpacked_bytes=1000):
    """The findings by where they are."""
    findings = examine_project(folder, unpacked_bytes)
    places = [one.where for one in findings]
    assert len(set(places)) == len(places)
    assert all(one.remedy for one in findings if one.severity != FINE)
    return dict(zip(places, findings))


def test_a_project_as_it_should_be(project):
    found = look(project)
    assert {one.severity for one in found.values()} == {FINE}
    assert "linked to the workspace by hardlink" in found["DVC cache"].what
    assert found["DVC remote"].what == "lab: /somewhere (not contacted)"
    assert found["Git identity"].what == "A. Tester <tester@example.org>"
    assert found["Git"].what == "everything is committed"
    assert "nothing was run yet" in found["dvc.lock"].what
    assert subprocess.run(["git", "status", "--porcelain"], cwd=project, capture_output=True).stdout == b""
    assert not (project / ".dvc" / "cache").exists()  # looking makes nothing
    assert not [path for path in project.parent.iterdir() if path.is_file()]


def test_no_project_and_no_git(tmp_path, project):
    (finding,) = examine_project(tmp_path, 0)
    assert finding.severity == WRONG and "no DVC project here" in finding.what
    write_config(project, remote="[core]\n    no_scm = true\n")
    shutil.rmtree(project / ".git")
    assert "cannot tell what has changed: fatal: not a git repository" in look(project)["Git"].what
    write_config(project, remote="")
    assert look(project)[str(project)].severity == WRONG
    (project / ".dvc" / "config").write_text("[cache\n")
    assert "DVC cannot open the project" in look(project)[str(project)].what


def test_without_git(project, monkeypatch):
    monkeypatch.setenv("PATH", str(project))
    assert look(project)["Git"].what == "is not installed, or not on the path."


def test_a_cache_that_cannot_be_written_to(project):
    write_config(project, type="hardlink,copy", dir="/proc/cache")
    found = look(project)["DVC cache"]
    assert found.severity == WRONG and found.what.startswith("/proc/cache cannot be written to (")


def test_no_identity(project):
    run(project, "git", "config", "--unset", "user.email")
    found = look(project)["Git identity"]
    assert found.severity == WRONG and "user.email" in found.remedy and "git commit is not possible" in found.what


def test_a_dirty_tree(project):
    (project / "params.yaml").write_text("one:\n  x: 2\n")
    (project / "new.txt").write_text("x")
    found = look(project)["Git"]
    assert found.severity == DOUBTFUL and found.what == "2 changes that are not committed: params.yaml, new.txt"


def test_no_remote_or_none_by_default(project):
    write_config(project, remote="", type="hardlink,copy")
    assert (look(project)["DVC remote"].severity, look(project)["DVC remote"].what) == (DOUBTFUL, "there is none")
    write_config(project, remote="['remote \"lab\"']\n    url = /somewhere\n", type="hardlink,copy")
    assert "there are lab, but none is the default" in look(project)["DVC remote"].what


def test_room_on_the_disk(project):
    """With links a third of what is free is fine, two thirds are tight, and twice as much is too much."""
    free = shutil.disk_usage(project).free
    expected = {free / 3: FINE, free * 2 / 3: DOUBTFUL, free * 2: WRONG}
    assert {size: look(project, int(size))["disk of the project"].severity for size in expected} == expected


def test_copies_take_twice_the_room(project):
    what = look(project, 2 * GIGABYTE)["disk of the project"].what
    assert "about 2.2 GB needed: 2 GB of unpacked recordings" in what and "kept once (links)" in what
    write_config(project, type="copy")
    assert look(project)["DVC cache"].severity == DOUBTFUL
    what = look(project, 2 * GIGABYTE)["disk of the project"].what
    assert "about 4.4 GB needed" in what and "kept twice (copies)" in what


def test_a_run_leaves_a_lock_that_is_fine(project):
    dvc(project, "repro")
    assert (project / "dvc.lock").exists()
    found = look(project)
    assert (found["dvc.lock"].severity, found["dvc.lock"].what) == (FINE, "1 stages were run")
    assert found["DVC lock"].severity == FINE


def dvc(folder, *arguments):
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    command = [sys.executable, "-m", "dvc", *arguments]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, env={**os.environ, "PATH": path})


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("", "is empty: a run was killed"),
        ("<<<<<<< HEAD\nschema: '2.0'\n=======\nschema: '2.0'\n>>>>>>> other\n", "cannot be read"),
        ("- a\n- list\n", "is not one that DVC wrote"),
    ],
)
def test_a_lock_file_that_was_not_finished(project, content, what):
    (project / "dvc.lock").write_text(content)
    found = look(project)["dvc.lock"]
    assert found.severity == WRONG and what in found.what and "git checkout HEAD -- dvc.lock" in found.remedy


def test_runs_that_go_on_or_were_killed(project):
    lock = project / ".dvc" / "tmp" / "rwlock"
    lock.parent.mkdir(exist_ok=True)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    lock.write_text(json.dumps({"write": {"made": {"pid": ended.pid, "cmd": "dvc repro"}}, "read": {}}))
    found = look(project)["DVC lock"]
    assert found.severity == DOUBTFUL and found.what == f"a run was killed: dvc repro (process {ended.pid})"
    going = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        lock.write_text(json.dumps({"write": {}, "read": {"in": [{"pid": going.pid, "cmd": "dvc repro"}]}}))
        assert look(project)["DVC lock"].what == f"a run is in progress: dvc repro (process {going.pid})"
    finally:
        going.kill()
        going.wait()
    lock.write_text('{"write": ')
    assert look(project)["DVC lock"].severity == WRONG


def test_experiments_that_wait(project):
    dvc(project, "exp", "run", "--queue", "-S", "one.x=3")
    found = look(project)["DVC queue"]
    assert found.severity == DOUBTFUL and found.what == "experiments queued: 1"
    dvc(project, "queue", "remove", "--all")
    assert look(project)["DVC queue"].severity == FINE
