"""A content-addressed cache: the same input, parameters and code give back the same result without the work."""

import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from mea.runtime.errors import MeaError
from mea.runtime.files import fresh_file, hash_file
from mea.runtime.imports import hash_code
from mea.runtime.remote_cache import VARIABLE, delete, download, has_remote, upload


def find_cache() -> Path | None:
    """Where results are kept: ``MEA_CACHE``, else ``mea/`` in DVC's cache directory, else nowhere.

    Experiments in temporary workspaces share DVC's cache directory, and so this one.
    """
    if os.environ.get("MEA_CACHE"):
        return Path(os.environ["MEA_CACHE"])
    return _find_dvc_cache(Path.cwd())


@lru_cache
def _find_dvc_cache(folder: Path) -> Path | None:
    from dvc.exceptions import NotDvcRepoError
    from dvc.repo import Repo

    try:
        with Repo(folder) as repo:
            return Path(repo.cache.local_cache_dir) / "mea"
    except NotDvcRepoError:
        return None


def make_key(values: dict[str, Any], code: str) -> str:
    """The key of a result: SHA-256 of the values (as sorted JSON) and of the code that turns them into the result.

    ``code`` is the ``__name__`` of the module that computes the result. Its code counts, and all code of this package
    that it imports, without comments and docstrings (:func:`mea.runtime.imports.hash_code`).
    """
    return hashlib.sha256(f"{json.dumps(values, sort_keys=True)} {hash_code(code)}".encode()).hexdigest()


def fetch_file(key: str, target: Path, make: Callable[[Path], None]) -> bool:
    """Put the result of ``key`` at ``target``: from the cache, else made by ``make(path)`` and kept.

    Returns whether it came from the cache.
    """
    if take_file(key, target):
        return True
    make(target)
    keep_file(key, target)
    return False


def take_file(key: str, target: Path) -> bool:
    """Put the result of ``key`` at ``target`` if it is in the cache; whether it is.

    A kept file is checked against its key and SHA-256 before it is used. When it is missing, another or damaged, it is
    looked for in the store that machines share (:mod:`mea.runtime.remote_cache`), where there is one.
    """
    kept = _find_kept(key, target.suffix)
    if kept and (_is_kept(kept, key) or (has_remote() and _download(kept) and _is_kept(kept, key))):
        shutil.copyfile(kept, target)
        return True
    return False


def keep_file(key: str, path: Path) -> None:
    """Keep a copy of a file as the result of ``key``."""
    if kept := _find_kept(key, path.suffix):
        _keep(kept, key, path)


def _find_kept(key: str, suffix: str) -> Path | None:
    """Where the result of ``key`` is kept; None where nothing is.

    Raises
    ------
    MeaError
        If there is a store and no folder.
    """
    folder = find_cache()
    if folder is None and has_remote():
        raise MeaError(f"{VARIABLE} is set, and there is no folder to copy from it to. Set MEA_CACHE to one.")
    return folder and folder / key[:2] / f"{key[2:]}{suffix}"


def _name_remote(kept: Path) -> str:
    """The same place in the store."""
    return f"{kept.parent.name}/{kept.name}"


def _download(kept: Path) -> bool:
    """Copy a result and its signature from the store to the folder; whether both are there."""
    return all(download(_name_remote(path), path) for path in (_place_signature(kept), kept))


def _keep(kept: Path, key: str, path: Path) -> None:
    with fresh_file(_place_signature(kept)) as work:
        work.write_bytes(_sign(key, hash_file(path)))
    with fresh_file(kept) as work:
        shutil.copyfile(path, work)
    if has_remote():
        for written in (kept, _place_signature(kept)):  # the signature last: without it nothing counts
            upload(written, _name_remote(written))


def _place_signature(kept: Path) -> Path:
    return kept.with_name(kept.name + ".sha256")


def _is_kept(kept: Path, key: str) -> bool:
    return kept.exists() and _is_whole(kept, key, hash_file(kept))


def _is_whole(kept: Path, key: str, sha256: str) -> bool:
    signature = _place_signature(kept)
    return signature.exists() and signature.read_bytes() == _sign(key, sha256)


def _sign(key: str, sha256: str) -> bytes:
    """What is written beside a kept file: of what key it is the result, and its SHA-256."""
    return f"{key} {sha256}".encode()


def forget_file(key: str, suffix: str) -> None:
    """Keep the result of ``key`` no longer: it is not what the key promises."""
    kept = _find_kept(key, suffix)
    if kept:
        kept.unlink(missing_ok=True)
        if has_remote():
            delete(_name_remote(kept))


def fetch_array(key: str, make: Callable[[], np.ndarray]) -> np.ndarray:
    """The array of ``key``: from the cache, else made by ``make()`` and kept. It is checked as a kept file is."""
    kept = _find_kept(key, ".npy")
    if kept and kept.exists():
        content = kept.read_bytes()
        if _is_whole(kept, key, hashlib.sha256(content).hexdigest()):
            return np.load(io.BytesIO(content))
    with tempfile.TemporaryDirectory(prefix="mea-array-") as folder:
        path = Path(folder) / "array.npy"
        fetch_file(key, path, lambda made: np.save(made, make()))
        return np.load(path)
