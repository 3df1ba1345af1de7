"""The DVC project: cache and remote, disk space, Git, and what was left unfinished."""

import json
import os
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import psutil
from dvc.repo import Repo
from dvc_objects.fs.generic import test_links as find_links
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from mea.doctor.findings import DOUBTFUL, FINE, WRONG, Finding
from mea.runtime.errors import MeaError
from mea.versions.versions import open_project

OTHER_OUTPUTS = 0.1  # of the unpacked recordings: what all other outputs take
COMFORTABLE = 2.0  # times what is needed
MOST_FILES = 5
DEFAULT_LINKS = ["reflink", "copy"]  # DVC's own, where the project says nothing


def examine_project(folder: Path, unpacked_bytes: int) -> list[Finding]:
    """Look at the project in a folder; nothing in it is changed.

    Parameters
    ----------
    folder
        In the project.
    unpacked_bytes
        Size of all recordings when unpacked.
    """
    try:
        with open_project(folder) as repo:
            root = Path(repo.root_dir)
            links, finding = _check_links(repo)
            return [
                finding,
                _check_remote(repo),
                *_check_space(root, Path(repo.cache.local_cache_dir), unpacked_bytes, links),
                *_check_git(root),
                _check_lock(root / "dvc.lock"),
                *_check_processes(Path(repo.tmp_dir or root) / "rwlock"),
                *_check_queue(repo),
            ]
    except MeaError as error:
        what, _, remedy = str(error).removeprefix(f"{folder}: ").rpartition(". ")
        return [Finding(WRONG, str(folder), f"{what}.", remedy)]


def _check_links(repo: Repo) -> tuple[str, Finding]:
    """How DVC links a file from its cache into the workspace: the first configured type that works here."""
    wanted = repo.config["cache"].get("type") or DEFAULT_LINKS
    cache = Path(repo.cache.local_cache_dir)
    there = next(path for path in (cache, *cache.parents) if path.is_dir())
    tested = [link for link in wanted if link != "copy"]
    try:
        working = find_links(tested, repo.cache.local.fs, str(there), repo.fs, str(Path(repo.root_dir) / "any"))
    except OSError as error:
        remedy = "Get write permission there, or choose another place: dvc config --local cache.dir FOLDER."
        return "copy", Finding(WRONG, "DVC cache", f"{cache} cannot be written to ({error.strerror}).", remedy)
    used = next((link for link in wanted if link == "copy" or link in working), "copy")
    what = f"cache at {cache}, linked to the workspace by {used} (cache.type: {', '.join(wanted)})"
    if used != "copy":
        return used, Finding(FINE, "DVC cache", what)
    remedy = "Every file takes its space twice. Put cache and project on one disk: dvc config cache.type hardlink,copy."
    return used, Finding(DOUBTFUL, "DVC cache", what, remedy)


def _check_remote(repo: Repo) -> Finding:
    remotes, chosen = repo.config["remote"], repo.config["core"].get("remote")
    if not remotes:
        remedy = "Results that are not pushed are on this disk only: dvc remote add -d NAME URL, then dvc push."
        return Finding(DOUBTFUL, "DVC remote", "there is none", remedy)
    if chosen not in remotes:
        names = ", ".join(remotes)
        remedy = f"dvc remote default NAME, with one of {names}."
        return Finding(DOUBTFUL, "DVC remote", f"there are {names}, but none is the default", remedy)
    return Finding(FINE, "DVC remote", f"{chosen}: {remotes[chosen].get('url', '')} (not contacted)")


def _check_space(root: Path, cache: Path, unpacked_bytes: int, links: str) -> list[Finding]:
    """Free space on each disk, against an estimate."""
    copies = 2 if links == "copy" else 1
    there = next(path for path in (cache, *cache.parents) if path.is_dir())
    apart = there.stat().st_dev != root.stat().st_dev
    needed = unpacked_bytes * (1 + OTHER_OUTPUTS) * (1 if apart else copies)
    kept = "once on each disk" if apart else "twice (copies)" if copies == 2 else "once (links)"
    findings = []
    for name, place in [("disk of the project", root), *([("disk of the cache", there)] if apart else [])]:
        free = shutil.disk_usage(place).free
        what = (
            f"{_show_bytes(free)} free, about {_show_bytes(needed)} needed: {_show_bytes(unpacked_bytes)} of unpacked "
            f"recordings and {OTHER_OUTPUTS:.0%} for everything else, kept {kept}; every experiment that changes how "
            "recordings are read adds to it"
        )
        severity = WRONG if free < needed else DOUBTFUL if free < COMFORTABLE * needed else FINE
        remedy = "" if severity == FINE else "Free some space, or move the cache: dvc config --local cache.dir FOLDER."
        findings.append(Finding(severity, name, what, remedy))
    return findings


def _check_git(root: Path) -> list[Finding]:
    if not shutil.which("git"):
        return [Finding(WRONG, "Git", "is not installed, or not on the path.", "Install it: https://git-scm.com.")]
    status = _ask_git(root, "status", "--porcelain")
    if status.returncode:
        remedy = "Versions of results are commits: git init, or clone the project again."
        return [Finding(WRONG, "Git", f"cannot tell what has changed: {status.stderr.strip()}", remedy)]
    changed = status.stdout.splitlines()
    findings = [Finding(FINE, "Git", "everything is committed")]
    if changed:
        shown = ", ".join(line[3:] for line in changed[:MOST_FILES])
        more = f" and {len(changed) - MOST_FILES} more" if len(changed) > MOST_FILES else ""
        remedy = "Results belong to a commit: git add and git commit what you want to keep, git stash the rest."
        what = f"{len(changed)} changes that are not committed: {shown}{more}"
        findings = [Finding(DOUBTFUL, "Git", what, remedy)]
    # without this setting Git makes up a name from the machine's, which DVC does not
    known = _ask_git(root, "-c", "user.useConfigOnly=true", "var", "GIT_COMMITTER_IDENT")
    if known.returncode:
        remedy = "git config --global user.name 'YOUR NAME'; git config --global user.email YOU@EXAMPLE.ORG"
        return [
            *findings,
            Finding(WRONG, "Git identity", "none: git commit is not possible.", remedy),
        ]
    return [*findings, Finding(FINE, "Git identity", known.stdout.rpartition(" ")[0].rpartition(" ")[0])]


def _ask_git(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True)


def _check_lock(path: Path) -> Finding:
    if not path.exists():
        return Finding(FINE, path.name, "there is none: nothing was run yet")
    remedy = "Restore the last one: git checkout HEAD -- dvc.lock; if there is none, delete it. Then dvc repro."
    if path.stat().st_size == 0:
        return Finding(
            WRONG, path.name, "is empty: a run was killed, or the disk was full, while it was written.", remedy
        )
    try:
        content = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except (YAMLError, UnicodeDecodeError) as error:
        what = f"cannot be read ({' '.join(str(error).split())}), as after a merge with conflicts."
        return Finding(WRONG, path.name, what, remedy)
    stages = content.get("stages") if isinstance(content, dict) else None
    if not isinstance(stages, dict):
        return Finding(WRONG, path.name, "is not one that DVC wrote: it has no stages.", remedy)
    return Finding(FINE, path.name, f"{len(stages)} stages were run")


def _check_processes(path: Path) -> list[Finding]:
    """What holds DVC's lock on files: a command in progress, or one that was killed."""
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        holders = [*held.get("write", {}).values(), *(one for many in held.get("read", {}).values() for one in many)]
        commands = {int(one["pid"]): str(one["cmd"]) for one in holders}
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError, AttributeError):
        remedy = f"While no dvc command runs, delete it: {path}"
        return [Finding(WRONG, "DVC lock", "cannot be read: every dvc command will stop at it.", remedy)]
    findings = []
    for pid, command in commands.items():
        if pid == os.getpid():
            continue
        if psutil.pid_exists(pid):
            what, remedy = f"a run is in progress: {command} (process {pid})", "Wait until it has ended."
        else:
            what = f"a run was killed: {command} (process {pid})"
            remedy = "The same command continues where it stopped, and clears the lock by itself."
        findings.append(Finding(DOUBTFUL, "DVC lock", what, remedy))
    return findings or [Finding(FINE, "DVC lock", "no run is in progress or was killed")]


def _check_queue(repo: Repo) -> list[Finding]:
    if repo.config["core"].get("no_scm"):
        return []  # without Git there are no experiments
    queue = repo.experiments.celery_queue
    if not Path(queue.wdir).is_dir():
        return []
    states = Counter(entry["status"] for entry in queue.status())
    open_states = {state: states[state] for state in ("Running", "Queued", "Failed") if states[state]}
    if not open_states:
        return [Finding(FINE, "DVC queue", "no experiment waits")]
    what = "experiments " + ", ".join(f"{state.lower()}: {count}" for state, count in open_states.items())
    remedy = "dvc queue start runs what is queued, dvc queue logs NAME tells why one failed, dvc queue remove drops it."
    return [Finding(DOUBTFUL, "DVC queue", what, remedy)]


def _show_bytes(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
