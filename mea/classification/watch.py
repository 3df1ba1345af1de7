"""Classify recordings as a rig drops them into a folder: ``mea classify --watch FOLDER``.

Each recording becomes one line of JSON, appended to a file and printed. That file is also the memory: what it holds is
not classified again, so that the command goes on where it was stopped or killed. A file is read once it is whole, which
is when neither its size nor its time of change has moved for some seconds. A file that changes later is classified
again.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mea.recordings.archives import is_wanted
from mea.recordings.other_files import is_hidden
from mea.runtime.errors import MeaError

LOOK_S = 1.0  # between two looks at the folder
SETTLE_S = 5.0  # without a change until a file counts as whole

State = tuple[int, int]  # size, bytes; time of the last change, ns
Classify = Callable[[Path], list[dict[str, Any]]]  # the recordings of a file, a mapping each


def watch_folder(
    folder: Path,
    classify: Classify,
    out: Path,
    suffixes: tuple[str, ...],
    stop_after_s: float | None = None,
    settle_s: float = SETTLE_S,
) -> Iterator[list[str]]:
    """Classify every file of a folder, those that are there and those that come, and give the lines of each.

    Parameters
    ----------
    folder
        Where files appear, also in its subfolders.
    classify
        Gives the recordings of a file.
    out
        Lines are appended to it; what it holds already is done.
    suffixes
        Of the files that are read, beside archives.
    stop_after_s
        End when nothing has come for so long; None: never.
    settle_s
        How long a file must not have changed.

    Raises
    ------
    MeaError
        If there is no such folder, or ``out`` is no file of predictions.
    """
    if not folder.is_dir():
        raise MeaError(f"{folder}: no such folder. Name the one that recordings are dropped into.")
    done = read_done(out)
    unchanged: dict[str, tuple[State, float]] = {}  # what a file was like, and since when
    busy_s = time.monotonic()
    while stop_after_s is None or time.monotonic() - busy_s < stop_after_s:
        for name, state in _list_files(folder, suffixes, done):
            before, since_s = unchanged.get(name, (None, 0.0))
            if before != state:
                unchanged[name] = (state, time.monotonic())
                busy_s = time.monotonic()
            elif time.monotonic() - since_s >= settle_s:
                lines = _classify_whole(folder / name, name, state, classify)
                if not lines:
                    unchanged[name] = (state, time.monotonic())  # tried again later
                    continue
                _append(out, lines)
                done[name] = state
                del unchanged[name]
                yield lines
                busy_s = time.monotonic()
        time.sleep(min(LOOK_S, settle_s))


def read_done(out: Path) -> dict[str, State]:
    """What each file was like that a file of predictions holds; a last file that is not whole there is cut off.

    Raises
    ------
    MeaError
        If a line is none that was written by :func:`watch_folder`.
    """
    if not out.exists():
        return {}
    content = out.read_bytes()
    groups: list[tuple[str, State, int, int, int]] = []  # file, its state, lines that belong to it, so far, first byte
    place = 0
    for number, line in enumerate(content.splitlines(keepends=True), 1):
        if not line.endswith(b"\n"):
            break
        try:
            found = json.loads(line)
            name, state, of = found["file"], (int(found["bytes"]), int(found["modified_ns"])), int(found["recordings"])
        except (ValueError, KeyError, TypeError):
            raise MeaError(
                f"{out}, line {number}: not written by mea classify --watch. Name another file with --out."
            ) from None
        if groups and groups[-1][:3] == (name, state, of) and groups[-1][3] < of:
            groups[-1] = (name, state, of, groups[-1][3] + 1, groups[-1][4])
        else:
            groups.append((name, state, of, 1, place))
        place += len(line)
    whole = [group for group in groups if group[3] == group[2]]
    kept = groups[-1][4] if groups and groups[-1] not in whole else place
    if kept < len(content):
        os.truncate(out, kept)
    return {name: state for name, state, *_ in whole}


def _list_files(folder: Path, suffixes: tuple[str, ...], done: dict[str, State]) -> Iterator[tuple[str, State]]:
    """Files that are not done, sorted by name, and what they are like."""
    names = []
    for here, subfolders, files in os.walk(folder):
        subfolders[:] = [name for name in subfolders if not is_hidden(name)]
        names += [(Path(here) / name).relative_to(folder).as_posix() for name in files if not is_hidden(name)]
    for name in sorted(names):
        try:
            status = (folder / name).stat()
            state = status.st_size, status.st_mtime_ns
            if done.get(name) != state and (folder / name).is_file() and is_wanted(folder / name, suffixes):
                yield name, state
        except (FileNotFoundError, PermissionError):
            continue  # gone meanwhile, or another program still holds it


def _classify_whole(path: Path, name: str, state: State, classify: Classify) -> list[str]:
    """The lines of a file; none where it has gone or another program still holds it."""
    try:
        rows = classify(path)
    except (FileNotFoundError, PermissionError):
        return []
    head = {"file": name, "bytes": state[0], "modified_ns": state[1], "recordings": len(rows)}
    return [json.dumps(head | row, ensure_ascii=False) for row in rows]


def _append(out: Path, lines: list[str]) -> None:
    with out.open("ab") as stream:
        stream.write("".join(f"{line}\n" for line in lines).encode())
        stream.flush()
        os.fsync(stream.fileno())
