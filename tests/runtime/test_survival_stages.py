"""Every stage of a real project is killed at thirty random moments, and meets a full disk: nothing is lost.

Slow: part of ``make test-all`` and ``make reliability``.
"""

import hashlib
import os
import random
import shutil
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from builders.lab import STAGES, Lab, clone_lab, share_cache
from ruamel.yaml import YAML

from mea.runtime.files import hash_file

pytestmark = pytest.mark.slow

KILLS, MOST_STARTS = 30, 120
NO_ROOM = ("No space left on device", "the disk is full", "Make room on the disk")
REMOVED_FIRST = "plots/train/"  # curves go there while a network learns, so that they can be watched


@pytest.fixture(scope="module")
def project(built_lab, tmp_path_factory) -> Lab:
    """A clone of the built lab with all its data, whose stages are called without DVC."""
    return share_cache(built_lab, tmp_path_factory.mktemp("survival") / "project")


def describe_stage(folder: Path, stage: str) -> tuple[list[str], list[str]]:
    """The command of a stage and the paths it writes, from ``dvc.yaml``."""
    name, _, model = stage.partition("@")
    wired = YAML(typ="safe").load((folder / "dvc.yaml").read_text(encoding="utf-8"))["stages"][name]
    entries = [entry for key in ("outs", "metrics", "plots") for entry in wired.get(key, [])]
    paths = [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]
    command = ["python", "-m", f"stages.{name}", *(["--models", model] if model else [])]
    return command, [path.replace("${item.model}", model) for path in paths]


def hash_outputs(folder: Path, outputs: list[str]) -> dict[str, str]:
    """SHA-256 of names and bytes of each output that is there."""
    found = {}
    for output in outputs:
        path = folder / output
        files = sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]
        if path.exists():
            parts = [f"{one.relative_to(folder)} {hash_file(one)}" for one in files]
            found[output] = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    return found


def is_whole(found: dict[str, str], right: dict[str, str]) -> bool:
    """Whether each output that is there is as it should be."""
    return all(value == right[output] for output, value in found.items() if not output.startswith(REMOVED_FIRST))


def list_left_over(folder: Path) -> list[str]:
    parts = ("data", "metrics", "models", "plots", "report")
    return [str(path) for part in parts for path in (folder / part).rglob(".*.partial")]


@pytest.mark.parametrize("stage", STAGES)
def test_killed_at_thirty_random_moments(project, tmp_path, stage):
    """At each, every output is whole or, for the moment of a rename, not there; then one run gives the same bytes."""
    command, outputs = describe_stage(project.folder, stage)
    right = hash_outputs(project.folder, outputs)
    assert set(right) == set(outputs)
    draw, killed, starts = random.Random(stage), 0, 0
    call = project.describe_call({"MEA_CACHE": str(tmp_path / "cache")}) | {"stdout": subprocess.DEVNULL}
    longest_s = 60.0
    while killed < KILLS:
        starts += 1
        assert starts <= MOST_STARTS, f"{stage}: {killed} kills in {starts} starts"
        if starts % 2:  # half of them find what the killed ones before them left in the cache
            shutil.rmtree(tmp_path / "cache", ignore_errors=True)
        begun = time.monotonic()
        run = subprocess.Popen(command, stderr=subprocess.DEVNULL, **call)
        try:
            run.wait(timeout=draw.uniform(0, longest_s) if starts > 1 else None)
            longest_s = time.monotonic() - begun
        except subprocess.TimeoutExpired:
            workers = psutil.Process(run.pid).children(recursive=True)
            run.kill()
            run.wait()
            killed += 1
            psutil.wait_procs(workers, timeout=60)
        found = hash_outputs(project.folder, outputs)
        assert is_whole(found, right), f"{stage}: kill {killed} left {found}, right is {right}"
    project.run(*command, MEA_CACHE=str(tmp_path / "cache"))
    assert hash_outputs(project.folder, outputs) == right and not list_left_over(project.folder)


@pytest.fixture
def small_disk(built_lab, tmp_path_factory):
    """The same project on a disk of its own, in memory, with a file of ballast that fills it."""
    disk = tmp_path_factory.mktemp("disk")
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", str(disk)], capture_output=True)
    if made.returncode:
        pytest.skip(f"no small disk can be made here: {made.stderr.decode().strip()}")
    try:
        lab = clone_lab(built_lab.folder, disk / "project")
        lab.run("dvc", "config", "--local", "cache.dir", str(built_lab.folder / ".dvc" / "cache"))
        lab.run("dvc", "config", "--local", "cache.type", "copy")
        lab.run("dvc", "checkout", "--quiet")
        yield lab
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.mark.parametrize("stage", STAGES)
def test_a_full_disk_ends_in_one_sentence(small_disk, stage):
    """With no room, some, and half of what is needed: the message names the disk, the old outputs stay."""
    folder, disk = small_disk.folder, small_disk.folder.parent
    command, outputs = describe_stage(folder, stage)
    right = hash_outputs(folder, outputs)
    assert set(right) == set(outputs)
    needed = sum(one.stat().st_size for output in outputs for one in [folder / output, *(folder / output).rglob("*")])
    environment = {"MEA_CACHE": str(disk / "cache"), "TMPDIR": str(disk / "tmp"), "PYTHONDONTWRITEBYTECODE": "1"}
    refused = 0
    for room in (0, 20_000, needed // 2):
        shutil.rmtree(disk / "cache", ignore_errors=True)
        (disk / "cache").mkdir()
        (disk / "tmp").mkdir(exist_ok=True)
        with (disk / "ballast").open("wb") as ballast:
            free = os.statvfs(disk)
            os.posix_fallocate(ballast.fileno(), 0, max(free.f_bavail * free.f_frsize - room, 1))
        run = subprocess.run(command, **small_disk.describe_call(environment), stderr=subprocess.STDOUT, text=True)
        (disk / "ballast").unlink()
        assert "Traceback" not in run.stdout, run.stdout
        assert run.returncode == 0 or any(words in run.stdout for words in NO_ROOM), run.stdout
        refused += run.returncode != 0
        found = hash_outputs(folder, outputs)
        assert is_whole(found, right) and not list_left_over(folder), f"{stage} with {room} bytes"
        assert {name for name in right if not name.startswith(REMOVED_FIRST)} <= set(found)
    assert refused, f"{stage} wrote its outputs where there was no room"
    shutil.rmtree(disk / "cache", ignore_errors=True)
    small_disk.run(*command, **environment)
    assert hash_outputs(folder, outputs) == right
