"""Zip archives and loose HDF5 files → unpacked files, each with a recording's id, and their manifest."""

import errno
import hashlib
import lzma
import os
import re
import shutil
import struct
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path, PurePosixPath
from typing import IO

import pandas as pd

from mea.recordings.manifest import COLUMNS, MANIFEST, RECORDINGS_CSV
from mea.recordings.naming import LONGEST_NAME_BYTES, assign_ids, make_safe_name
from mea.runtime.errors import MeaError
from mea.runtime.files import fresh_folder
from mea.runtime.parallel import run_parallel
from mea.runtime.tables import write_table

RECORDING_SUFFIXES = (".h5", ".hdf5")

_BLOCK_BYTES = 1 << 20
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_ZIP_DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, struct.error, ValueError)


@dataclass(frozen=True)
class ArchiveEntry:
    """One file to unpack: the member of an archive, or a loose file. Not yet read.

    Attributes
    ----------
    path
        The archive, or the loose file itself.
    archive
        The archive's path relative to the source folder; empty for a loose file.
    member
        The path inside the archive, or of the loose file relative to the source folder; empty when ``error`` is about
        the whole archive.
    index
        Place in the archive's table of contents (a name may occur there twice); -1 where there is none.
    error
        What is wrong and what to do; empty when it can be unpacked.
    """

    path: Path
    archive: str
    member: str
    index: int = -1
    error: str = ""

    @property
    def where(self) -> str:
        """How messages name it."""
        return " of ".join(filter(None, (_show(self.member), _show(self.archive))))

    @property
    def file(self) -> str:
        """Where it is unpacked to, relative to the output folder: the same on every operating system."""
        parts = (*PurePosixPath(self.archive).parts, *PurePosixPath(self.member).parts)
        return "/".join(make_safe_name(part) for part in parts)


def unpack(source: Path, out: Path) -> pd.DataFrame:
    """Unpack every archive and copy every loose HDF5 file, so that no two files meet.

    An archive ``a/b.zip`` unpacks to ``out/a/b.zip/<member>``, a loose file ``c/d.h5`` is copied to ``out/c/d.h5``;
    ``recordings.csv`` in the top of the source folder comes along. Hidden files and ``__MACOSX`` are left out.

    Parameters
    ----------
    source
        A folder, searched with its sub-folders, or a single archive or HDF5 file.
    out
        The output folder, written whole or not at all, with ``manifest.csv`` in it.

    Returns
    -------
    pandas.DataFrame
        The manifest, all text: ``recording`` (:func:`mea.recordings.naming.assign_ids`), ``archive``, ``member``,
        ``file`` (relative to ``out``), ``bytes``, ``sha256``, ``error``. A broken archive or member has an error and no
        file.

    Raises
    ------
    MeaError
        If the source is missing, of another kind, empty, or overlaps the output; if the disk is full.
    """
    _check_apart(source, out)
    entries = mark_clashes(find_entries(source))
    ids = assign_ids([(entry.archive, entry.member) for entry in entries])
    with fresh_folder(out) as work:
        rows = run_parallel(partial(unpack_entry, out=work), entries, "unzip")
        _remove_empty_folders(work)
        manifest = pd.DataFrame([{"recording": name} | row for name, row in zip(ids, rows)], columns=COLUMNS)
        write_table(work / MANIFEST, manifest)
        if source.is_dir() and (source / RECORDINGS_CSV).is_file():
            shutil.copyfile(source / RECORDINGS_CSV, work / RECORDINGS_CSV)
    return manifest


def find_entries(source: Path) -> list[ArchiveEntry]:
    """List what there is to unpack, sorted by path; broken archives and unusable paths carry their error.

    Raises
    ------
    MeaError
        If the source is missing, of another kind, or holds neither an archive nor an HDF5 file.
    """
    remedy = f"Put archives (*.zip) or HDF5 files ({', '.join(RECORDING_SUFFIXES)}) there, or name another source."
    if source.is_dir():
        names = sorted(_walk_folder(source))
        if not names:
            raise MeaError(f"{source}: this folder holds no recordings. {remedy}")
        return [entry for name in names for entry in _list_file(source / name, name)]
    if not source.exists():
        kept = "What a stage writes there, dvc repro makes; what DVC keeps, dvc pull brings."
        raise MeaError(f"{source}: no such folder or file. {remedy} {kept}")
    if not _is_wanted(source.name):
        raise MeaError(f"{source}: neither a folder nor an archive (*.zip) nor an HDF5 file. {remedy}")
    return _list_file(source, source.name)


def mark_clashes(entries: Sequence[ArchiveEntry]) -> list[ArchiveEntry]:
    """Give an error to entries that would be unpacked to the same place.

    That is the same name twice in one archive, or names that differ only in case or in characters some operating
    system does not know. Which of them is the right one cannot be told, so neither is unpacked.
    """
    count = Counter(entry.file.casefold() for entry in entries if not entry.error)
    text = (
        "occurs twice (names that differ only in upper and lower case, or in characters that are not allowed "
        "everywhere, count as the same). Rename one, or remove it."
    )
    return [
        replace(entry, error=f"{entry.where}: {text}")
        if not entry.error and count[entry.file.casefold()] > 1
        else entry
        for entry in entries
    ]


def _check_apart(source: Path, out: Path) -> None:
    here, there = source.resolve(), out.resolve()
    if here == there or here in there.parents or there in here.parents:
        raise MeaError(
            f"{source}: the source and the output {out} lie within each other, and the output folder is emptied first. "
            "Choose another of the two."
        )


def _is_wanted(name: str) -> bool:
    return name.lower().endswith((".zip", *RECORDING_SUFFIXES))


def _is_hidden(path: str) -> bool:
    parts = re.split(r"[/\\]", path)
    return any(part == "__MACOSX" or (part.startswith(".") and part.strip(".")) for part in parts)


def _walk_folder(source: Path) -> Iterator[str]:
    for folder, subfolders, names in os.walk(source):
        relative = Path(folder).relative_to(source)
        subfolders[:] = [name for name in subfolders if not _is_hidden(name)]
        for name in subfolders:
            if (link := Path(folder) / name).is_symlink():
                text = "a link to a folder is not followed, because DVC does not see what changes behind it"
                warnings.warn(f"{link}: {text}. Name the folder itself as the source, or move it here.", stacklevel=2)
        for name in (name for name in names if _is_wanted(name) and not _is_hidden(name)):
            if (path := Path(folder) / name).exists() and not path.is_file():
                warnings.warn(f"{path}: neither a file nor a folder (a pipe or device), and left out.", stacklevel=2)
            else:
                yield (relative / name).as_posix()


def _list_file(path: Path, name: str) -> list[ArchiveEntry]:
    if not name.lower().endswith(".zip"):
        return [ArchiveEntry(path, "", name)]
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
    except (*_ZIP_DAMAGE, OSError) as error:
        return [ArchiveEntry(path, name, "", error=f"{_show(name)}: {_explain_archive(path, error)}")]
    # `filename` is cut at a NUL and, on Windows, has its backslashes turned: the name as written must be judged.
    entries = [
        _check_entry(ArchiveEntry(path, name, info.orig_filename, place), info)
        for place, info in enumerate(infos)
        if info.orig_filename.lower().endswith(RECORDING_SUFFIXES) and not _is_hidden(info.orig_filename)
    ]
    if entries:
        return entries
    nested = any(info.orig_filename.lower().endswith(".zip") for info in infos)
    remedy = "Unpack the archives inside it." if nested else "Put HDF5 files in it, or remove it."
    text = f"no HDF5 file ({' or '.join(RECORDING_SUFFIXES)}) inside this archive. {remedy}"
    return [ArchiveEntry(path, name, "", error=f"{_show(name)}: {text}")]


def _explain_archive(path: Path, error: Exception) -> str:
    if isinstance(error, OSError):
        return f"cannot be read ({error.strerror}). Check the file's permissions and its disk."
    with path.open("rb") as stream:
        begins_like_zip = stream.read(2) == b"PK"
    if begins_like_zip:
        return f"this zip archive is truncated or damaged ({error}). Copy it again from where it was made."
    return f"not a zip archive ({error}). Copy it again from where it was made, or remove it."


def _check_entry(entry: ArchiveEntry, info: zipfile.ZipInfo) -> ArchiveEntry:
    name = entry.member
    if name.startswith("/") or re.match("[A-Za-z]:", name) or re.search(r"\\|\x00|(^|/)\.\.(/|$)", name):
        text = (
            "its path would leave the folder it is unpacked to (absolute, with a drive letter, a backslash or '..'). "
            "Zip the folder again with relative paths."
        )
    elif info.flag_bits & 1:
        text = "encrypted. Unpack it with its password, and put the HDF5 file or an archive without password there."
    elif info.compress_type not in _COMPRESSIONS:
        text = (
            f"compressed by method {info.compress_type}, which is unknown here (Windows uses method 9 for files over "
            "2 GB). Put the HDF5 file itself there, or zip it with another program."
        )
    elif any(len(part.encode("utf-8", "replace")) > LONGEST_NAME_BYTES for part in name.split("/")):
        text = f"a name in its path is longer than {LONGEST_NAME_BYTES} bytes. Give it a shorter one."
    else:
        return entry
    return replace(entry, error=f"{entry.where}: {text}")


def unpack_entry(entry: ArchiveEntry, out: Path) -> dict[str, str]:
    """Unpack one file into ``out``; its line of the manifest, without the id, or with what is wrong.

    Raises
    ------
    MeaError
        If the disk is full.
    """
    names = {"archive": _show(entry.archive), "member": _show(entry.member)}
    failed = names | {"file": "", "bytes": "", "sha256": ""}
    if entry.error:
        return failed | {"error": entry.error}
    target, problem = out / entry.file, ""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _open_entry(entry) as stream, target.open("wb") as copy:
            count, sha256 = copy_and_hash(stream, copy)
    except (*_ZIP_DAMAGE, RuntimeError) as error:
        problem = f"damaged ({error}). Copy the archive again from where it was made."
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise MeaError(f"{entry.where}: the disk is full. Make room where {out.parent} lies.") from None
        problem = f"cannot be unpacked ({error.strerror}). Rename it, or check its disk."
    if problem:
        if target.is_file():
            target.unlink()
        return failed | {"error": f"{entry.where}: {problem}"}
    return names | {"file": entry.file, "bytes": str(count), "sha256": sha256, "error": ""}


def _open_entry(entry: ArchiveEntry) -> IO[bytes]:
    if not entry.archive:
        return entry.path.open("rb")
    archive = _open_archive(entry.path, entry.path.stat().st_mtime_ns)
    return archive.open(archive.infolist()[entry.index])


@lru_cache(maxsize=1)
def _open_archive(path: Path, _mtime_ns: int) -> zipfile.ZipFile:
    """An archive whose members are unpacked one after the other: its directory is read once, not for each of them."""
    return zipfile.ZipFile(path)


def copy_and_hash(stream: IO[bytes], copy: IO[bytes]) -> tuple[int, str]:
    """Copy a stream block by block; return its length in bytes and its SHA-256."""
    digest, count = hashlib.sha256(), 0
    while block := stream.read(_BLOCK_BYTES):
        copy.write(block)
        digest.update(block)
        count += len(block)
    return count, digest.hexdigest()


def _remove_empty_folders(folder: Path) -> None:
    for path, _subfolders, _names in os.walk(folder, topdown=False):
        if Path(path) != folder and not any(Path(path).iterdir()):
            Path(path).rmdir()


def _show(text: str) -> str:
    """A path as text that can be written: what is no text in it becomes ``_``."""
    return re.sub("[\x00-\x1f\x7f-\x9f\ud800-\udfff]", "_", text)
