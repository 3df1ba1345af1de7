"""Results that machines share: an object store beside the folder of the cache, so that nobody computes them again.

``MEA_REMOTE_CACHE`` is its address, as fsspec takes it: ``s3://bucket/folder``, ``gs://…``, ``file:///mnt/lab``.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from mea.runtime.errors import MeaError
from mea.runtime.files import fresh_file

VARIABLE = "MEA_REMOTE_CACHE"


def has_remote() -> bool:
    """Whether there is a store."""
    return bool(os.environ.get(VARIABLE))


def download(name: str, target: Path) -> bool:
    """Copy an object to a file, which is there whole or not at all; whether there is such an object.

    Raises
    ------
    MeaError
        If the store cannot be read.
    """
    with _open_store() as (store, folder):
        try:
            with fresh_file(target) as work:
                store.get_file(f"{folder}/{name}", str(work))
        except FileNotFoundError:
            return False
    return True


def upload(path: Path, name: str) -> None:
    """Copy a file to the store.

    Raises
    ------
    MeaError
        If the store cannot be written to.
    """
    with _open_store() as (store, folder):
        store.put_file(str(path), f"{folder}/{name}")


def delete(name: str) -> None:
    """Remove an object, if it is there.

    Raises
    ------
    MeaError
        If the store cannot be written to.
    """
    with _open_store() as (store, folder), suppress(FileNotFoundError):
        store.rm_file(f"{folder}/{name}")


@lru_cache
def _open(address: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs  # and the package of the protocol: half a second

    store, folder = url_to_fs(address, skip_instance_cache=True)
    if hasattr(store, "auto_mkdir"):  # a file system; object stores have no folders, and no bucket is to be made
        store.auto_mkdir = True
    return store, folder.rstrip("/")


@contextmanager
def _open_store() -> Iterator[tuple[Any, str]]:
    """The store, and the folder in it. Every store has exceptions of its own: whatever goes wrong is one line."""
    try:
        yield _open(os.environ[VARIABLE])
    except MeaError:
        raise
    except ImportError as error:
        raise MeaError(
            f"{VARIABLE} = {os.environ[VARIABLE]}: {error}. For S3: pip install -r requirements-s3.txt."
        ) from None
    except Exception as error:
        raise MeaError(
            f"{VARIABLE} = {os.environ[VARIABLE]}: cannot be used ({error}). See that it can be reached and written "
            f"to, or unset {VARIABLE}: what it holds is then computed here."
        ) from None
