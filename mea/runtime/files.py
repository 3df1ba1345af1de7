"""Output that is there whole or not at all."""

import errno
import getpass
import hashlib
import json
import lzma
import math
import os
import re
import shutil
import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Container, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mea.runtime.errors import MeaError

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# What zipfile raises on damaged archives; RuntimeError and NotImplementedError where they ask for what it cannot do.
ZIP_DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, struct.error, ValueError)


def is_empty_folder(path: Path) -> bool:
    """Whether a path is a folder that holds nothing but hidden files, such as ``.gitignore``."""
    return path.is_dir() and all(entry.name.startswith(".") for entry in path.iterdir())


@contextmanager
def fresh_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder to write to; it takes the place of ``path`` when the block ends well.

    On an error nothing of it is left and ``path`` stays as it was. The folder is this run's own: what still writes for
    a run that was killed writes elsewhere. If this run is killed while the folders change places, the next one puts the
    old one back first.

    Raises
    ------
    MeaError
        If the place cannot be written to, there is no room, or another run is writing there.
    """
    work, aside = (path.parent / f".{path.name}.{os.getpid()}.{what}partial" for what in ("", "old."))
    with _explain_refusal(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not path.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
    with _lock(path):
        with _explain_refusal(path):
            _restore(path)
            work.mkdir()
        try:
            with _explain_refusal(path, NO_ROOM):
                yield work
            for left_over in work.rglob(".*.partial"):  # by a worker that was killed; its work was done again
                left_over.unlink(missing_ok=True)
            with _explain_refusal(path):
                if path.exists():
                    path.replace(aside)
                work.replace(path)
        finally:
            _restore(path)


def _restore(path: Path) -> None:
    """Put a folder back that was moved aside and not replaced; remove what runs that are over have left of it."""
    own = re.compile(rf"\.{re.escape(path.name)}\.\d+\.(old\.)?partial")  # not those of a file such as <name>.json
    left = sorted(one for one in path.parent.iterdir() if own.fullmatch(one.name))
    old = [one for one in left if one.name.endswith(".old.partial")]
    if old and not path.exists():
        old.pop().replace(path)
    for one in left:
        remove_folder(one)


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Refuse to write where another run of this machine is writing.

    Raises
    ------
    MeaError
        If one is.
    """
    user = os.getuid() if hasattr(os, "getuid") else getpass.getuser()  # in a container it may have no name
    folder = Path(tempfile.gettempdir()) / f"mea-locks-{user}"
    folder.mkdir(exist_ok=True)
    lock = FileLock(folder / hashlib.sha256(str(path.resolve()).encode()).hexdigest(), thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise MeaError(f"{path}: another run is writing there. Wait until it has ended, or end it.") from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def fresh_file(path: Path) -> Iterator[Path]:
    """Give a temporary name to write to; it takes the place of ``path`` when the block ends well.

    Raises
    ------
    MeaError
        If the place cannot be written to, or there is no room.
    """
    with _explain_refusal(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    work = path.parent / f".{path.name}.{os.getpid()}.partial"
    try:
        with _explain_refusal(path, NO_ROOM, work):
            yield work
        with _explain_refusal(path):
            work.replace(path)
    finally:
        work.unlink(missing_ok=True)


@contextmanager
def _explain_refusal(path: Path, only: Container[int | None] = (), work: Path | None = None) -> Iterator[None]:
    """Say in words what the operating system does not allow; of other people's mistakes only those that are about it.

    Parameters
    ----------
    path
        What was to be written.
    only
        Error numbers to explain; all by default.
    work
        Whatever goes wrong with this file is explained, too.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        number, file = _find_errno(error), getattr(error, "filename", None)
        if number is None and not isinstance(error, OSError):
            raise
        if only and number not in only and (work is None or file not in (work, str(work))):
            raise
        said, where = os.strerror(number) if number else error, f": {file}" if file else ""
        raise MeaError(
            f"{path}: cannot be written ({said}{where}). Make room or get the right to write there, or name another "
            "place."
        ) from None


def _find_errno(error: OSError | RuntimeError) -> int | None:
    """The number of what the operating system said; HDF5 has it in its text where closing a file failed."""
    if isinstance(error, OSError):
        return error.errno
    said = re.search(r"errno = (\d+)", str(error))
    return int(said[1]) if said else None


def remove_folder(path: Path) -> None:
    """Remove a folder and all it holds, if it is there; also files that DVC has linked to its cache, read-only."""

    def unlock(remove, name, _error):
        if not os.path.lexists(name):
            return
        Path(name).chmod(stat.S_IWRITE)  # Windows does not remove a read-only file
        remove(name)

    if path.exists():
        shutil.rmtree(path, onerror=unlock)


def write_json(path: Path, values: dict[str, Any] | list[dict[str, Any]], digits: int = 9) -> None:
    """Write a metrics or description file: keys in the given order, null for NaN.

    Floats have 9 digits; 17 give each back to the bit.
    """
    text = json.dumps(_tidy(values, digits), indent=2, ensure_ascii=False) + "\n"
    with fresh_file(path) as work:
        work.write_text(text, encoding="utf-8", newline="\n")


def redo(stage: str) -> str:
    """What to do about a damaged file in ``data/``: DVC compares sizes and times alone, and would skip the stage."""
    return f"Run dvc repro --force --single-item {stage}, then dvc repro."


def read_json(path: Path) -> dict[str, Any]:
    """Read what :func:`write_json` wrote.

    Raises
    ------
    MeaError
        If there is no such file, or it is not readable.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise MeaError(f"{path}: not a file written by a stage ({error}). Run dvc repro.") from None
    if not isinstance(values, dict):
        raise MeaError(f"{path}: not a file written by a stage (no mapping). Run dvc repro.")
    return values


@contextmanager
def refuse_damage(path: Path, made_by: str, remedy: str) -> Iterator[None]:
    """Whatever a damaged zip archive makes its readers raise, of NumPy and of skops, becomes one sentence.

    Parameters
    ----------
    path
        The archive: ``.npz`` and ``.skops`` are some.
    made_by
        What an undamaged file is, for instance ``a file written by the array stage``.
    remedy
        What to do.

    Raises
    ------
    MeaError
        With the three of them and the reason.
    """
    try:
        yield
    except (*ZIP_DAMAGE, OSError, LookupError, TypeError, AttributeError, MemoryError) as error:
        raise MeaError(f"{path}: not {made_by} ({str(error) or type(error).__name__}). {remedy}") from None


def _tidy(value: Any, digits: int) -> Any:
    if isinstance(value, dict):
        return {str(key): _tidy(item, digits) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_tidy(item, digits) for item in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.{digits}g}") if math.isfinite(value) else None
    return value


def hash_file(path: Path) -> str:
    """SHA-256 of a file's content, as 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
