"""Open a rig's HDF5 file without following a link out of it, and turn what HDF5 says of a damaged one into words."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mea.runtime.errors import BadRecording, MeaError

FILTER = "its samples are packed by a filter that h5py lacks. Export it with gzip, or unpacked"
CAUSES = {  # what HDF5 says where a file is whole, and what it means
    "unable to lock file": "another program has it open. Close it there, and try again",
    "resource temporarily unavailable": "another program has it open. Close it there, and try again",
    "required filter": FILTER,
    "can't open directory": FILTER,  # in which HDF5 looks for filters
    "already open for write": "a program that writes it has it open, or died. Close it there, or export it again",
    "file consistency flags": "a program that writes it has it open, or died. Close it there, or export it again",
}
HARMLESS_BYTES, MOST_EXPANSION = 64 << 20, 1100
# What h5py raises on damaged files, depending on the byte that is wrong.
DAMAGE = (
    OSError,
    KeyError,
    IndexError,
    ValueError,
    TypeError,
    AttributeError,
    RuntimeError,
    ArithmeticError,
    MemoryError,
)


@contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open a file to read; every link and dataset in it has been checked to stay inside it.

    Raises
    ------
    BadRecording
        If it is missing, no HDF5, truncated, damaged, or refers to other files.
    """
    if not path.is_file():
        raise BadRecording(f"{path}: no such file. Give the path of a recording.")
    with explain_damage(str(path)):
        if not path.stat().st_size:
            raise BadRecording(f"{path}: is empty, 0 bytes. Copy it again from where it was made.")
        if not h5py.is_hdf5(path):
            raise BadRecording(f"{path}: not an HDF5 file{_explain_head(path)}")
        with h5py.File(path, "r") as h5:
            _refuse_outside_data(h5, path)
            yield h5


def _explain_head(path: Path) -> str:
    """What the first bytes say of a file that is no HDF5."""
    with path.open("rb") as stream:
        head = stream.read(8)
    if head[1:4] == b"HDF":
        return ": its line ends were converted, as by a transfer as text. Copy it again, as binary."
    return ". Give a recording as the rig's software exports it."


@contextmanager
def explain_damage(where: str) -> Iterator[None]:
    """Turn what h5py raises on a damaged file into a :class:`~mea.runtime.errors.BadRecording` naming ``where``."""
    try:
        yield
    except MeaError:
        raise
    except MemoryError as error:
        raise BadRecording(f"{where}: too large for this machine's memory. Use one with more, or cut it.") from error
    except DAMAGE as error:
        text = " ".join(str(error).split()) or type(error).__name__
        for said, what in CAUSES.items():
            if said in text.casefold():
                raise BadRecording(f"{where}: cannot be read: {what} ({text}).") from error
        raise BadRecording(f"{where}: cannot be read ({text}). It is truncated or damaged: copy it again.") from error


def read_dataset(group: h5py.Group, name: str, where: str) -> np.ndarray:
    """The whole of a small dataset.

    Raises
    ------
    BadRecording
        If the group has no dataset of that name, or it is declared much larger than what the file holds of it.
    """
    dataset = find_dataset(group, name, where)
    check_expansion(dataset, f"{where}: {name}")
    return dataset[...]


def check_expansion(dataset: h5py.Dataset, where: str) -> None:
    """Refuse a dataset that would take far more memory than its file can hold, before anything of it is read.

    Raises
    ------
    BadRecording
        If it would take more than 64 MiB and 1,100 times what is stored; gzip reaches 1,032 at most.
    """
    declared = math.prod(dataset.shape or ()) * dataset.dtype.itemsize
    stored = dataset.id.get_storage_size()
    if declared > max(HARMLESS_BYTES, MOST_EXPANSION * stored):
        raise BadRecording(
            f"{where}: declared as {dataset.shape} {dataset.dtype}, {declared:,} bytes, but {stored:,} are stored. It "
            "is damaged or made to fill the memory: export it again."
        )


def find_dataset(group: h5py.Group, name: str, where: str) -> h5py.Dataset:
    """A dataset by its name; see :func:`read_dataset`."""
    dataset = group.get(name)
    if not isinstance(dataset, h5py.Dataset):
        raise BadRecording(f"{where}: has no dataset {name!r}. It is incomplete: export it again.")
    return dataset


def decode_text(value: Any) -> str:
    """Text as rigs store it, bytes padded with blanks and line ends; an empty string for None."""
    if isinstance(value, np.ndarray):
        value = value.ravel()[0] if value.size else b""
    if value is None or isinstance(value, h5py.Empty):
        return ""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return text.strip("\0 \t\r\n")


def _refuse_outside_data(h5: h5py.File, path: Path) -> None:
    """Look at every link before anything follows one: a soft link can leave the file only through an external link."""
    seen, groups = set(), [h5["/"]]
    while groups:
        group = groups.pop()
        for name in group:
            where = f"{group.name.rstrip('/')}/{name}"
            kind = group.id.links.get_info(name.encode()).type
            if kind not in (h5py.h5l.TYPE_HARD, h5py.h5l.TYPE_SOFT):
                raise BadRecording(
                    f"{path}: {where} is an external link. Only recordings complete in one file are read."
                )
            if kind == h5py.h5l.TYPE_SOFT:
                continue
            item = group[name]
            address = h5py.h5o.get_info(item.id).addr
            if address not in seen:
                seen.add(address)
                groups += [item] if isinstance(item, h5py.Group) else []
                _refuse_outside_storage(item, where, path)


def _refuse_outside_storage(item: Any, where: str, path: Path) -> None:
    if isinstance(item, h5py.Dataset) and (item.is_virtual or item.external):
        raise BadRecording(
            f"{path}: {where} keeps its samples in other files (virtual dataset or external storage). "
            "Only recordings complete in one file are read."
        )
