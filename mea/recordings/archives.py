"""Zip archives and loose files → unpacked files, each with a recording's id, and their manifest."""

import errno
import hashlib
import os
import shutil
import warnings
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO

import pandas as pd

from mea.recordings.manifest import COLUMNS, MANIFEST, TABLES, read_manifest
from mea.recordings.members import ArchiveEntry, list_zip, open_entry, read_entry_crc
from mea.recordings.naming import assign_ids, show_name
from mea.recordings.other_files import (
    RECORDING_SUFFIXES,
    WANTED,
    explain_other_files,
    is_archive,
    is_hidden,
    is_recording,
    sniff,
)
from mea.runtime.errors import MeaError
from mea.runtime.files import ZIP_DAMAGE, fresh_folder
from mea.runtime.parallel import run_parallel
from mea.runtime.tables import write_table

_BLOCK_BYTES = 1 << 20


def unpack(source: Path, out: Path, suffixes: tuple[str, ...] = RECORDING_SUFFIXES) -> pd.DataFrame:
    """Unpack every archive and copy every loose file that holds a recording, so that no two files meet.

    An archive ``a/b.zip`` unpacks to ``out/a/b.zip/<member>``, a loose file ``c/d.h5`` is copied to ``out/c/d.h5``;
    the lab's tables (:data:`mea.recordings.manifest.TABLES`) in the top of the source folder come along. Hidden files
    and ``__MACOSX`` are left out. What an earlier run unpacked to ``out`` stays, where the archive still lists the same
    member, by its size and checksum, and the unpacked file has both.

    Parameters
    ----------
    source
        A folder, searched with its sub-folders, or a single archive or file.
    out
        The output folder, written whole or not at all, with ``manifest.csv`` in it.
    suffixes
        By which names files of recordings are known: :func:`mea.recordings.other_files.list_suffixes`.

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
    entries = mark_clashes(find_entries(source, suffixes))
    ids = assign_ids([(entry.archive, entry.member) for entry in entries])
    with fresh_folder(out) as work:
        earlier = read_earlier(out)
        jobs = [(entry, earlier.get(entry.file, "")) for entry in entries]
        rows = run_parallel(partial(_unpack_or_link, out=work, earlier=out), jobs, "unzip", begin_here=True)
        _remove_empty_folders(work)
        manifest = pd.DataFrame([{"recording": name} | row for name, row in zip(ids, rows)], columns=COLUMNS)
        write_table(work / MANIFEST, manifest)
        for table in (source / name for name in TABLES if source.is_dir()):
            if table.is_symlink() and not table.exists():
                raise MeaError(f"{table}: a link to a file that is not there. Put the table there, or remove the link.")
            if table.is_file():
                shutil.copyfile(table, work / table.name)
    return manifest


def find_entries(source: Path, suffixes: tuple[str, ...] = RECORDING_SUFFIXES) -> list[ArchiveEntry]:
    """List what there is to unpack, sorted by path; broken archives and unusable paths carry their error.

    Raises
    ------
    MeaError
        If the source is missing, of another kind, or holds nothing that is read.
    """
    remedy = f"Put {WANTED} there, or name another source."
    if source.is_dir():
        names = sorted(_walk_folder(source, suffixes))
        if not names:
            raise MeaError(f"{source}: this folder holds no recordings.{_name_others(source)} {remedy}")
        return [entry for name in names for entry in _list_file(source / name, name, suffixes)]
    if not source.exists():
        kept = "What a stage writes there, dvc repro makes; what DVC keeps, dvc pull brings."
        raise MeaError(f"{source}: no such folder or file. {remedy} {kept}")
    if not is_wanted(source, suffixes):
        raise MeaError(f"{source}: neither a folder nor a file that is read.{_name_others(source)} {remedy}")
    return _list_file(source, source.name, suffixes)


def _name_others(source: Path) -> str:
    """What there is instead of recordings, in sentences."""
    return "".join(f" {sentence}." for sentence in explain_other_files(source, set()))


def is_wanted(path: Path, suffixes: tuple[str, ...]) -> bool:
    """Whether a file is unpacked: an archive, or a recording by its suffix or its content."""
    return is_archive(path.name) or is_recording(path.name, sniff(path), suffixes)


def _list_file(path: Path, name: str, suffixes: tuple[str, ...]) -> list[ArchiveEntry]:
    return list_zip(path, name, suffixes) if is_archive(name) else [ArchiveEntry(path, "", name)]


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


def _walk_folder(source: Path, suffixes: tuple[str, ...]) -> Iterator[str]:
    for folder, subfolders, names in os.walk(source):
        relative = Path(folder).relative_to(source)
        subfolders[:] = [name for name in subfolders if not is_hidden(name)]
        for name in subfolders:
            if (link := Path(folder) / name).is_symlink():
                text = "a link to a folder is not followed, because DVC does not see what changes behind it"
                warnings.warn(f"{link}: {text}. Name the folder itself as the source, or move it here.", stacklevel=2)
        for name in (name for name in names if not is_hidden(name) and is_wanted(Path(folder) / name, suffixes)):
            if (path := Path(folder) / name).exists() and not path.is_file():
                warnings.warn(f"{path}: neither a file nor a folder (a pipe or device), and left out.", stacklevel=2)
            else:
                yield (relative / name).as_posix()


def read_earlier(out: Path) -> dict[str, str]:
    """SHA-256 of each file that an earlier run unpacked; empty where there is none, or nobody knows what is there."""
    try:
        manifest = read_manifest(out)
    except MeaError:
        return {}
    return dict(zip(manifest["file"], manifest["sha256"]))


def _unpack_or_link(job: tuple[ArchiveEntry, str], out: Path, earlier: Path) -> dict[str, str]:
    """An entry, and the SHA-256 of the file that ``earlier`` holds of it; empty where it holds none."""
    entry, sha256 = job
    return unpack_entry(entry, out, (earlier / entry.file, sha256) if entry.archive and sha256 else None)


def _link_same(entry: ArchiveEntry, earlier: tuple[Path, str], target: Path) -> tuple[int, str] | None:
    """Link a file to ``target`` if it is the entry, by size and CRC-32; its size and SHA-256, or None."""
    path, sha256 = earlier
    try:
        if path.is_file() and (found := _compute_crc(path)) == read_entry_crc(entry):
            os.link(path, target)
            return found[0], sha256
    except OSError:  # it cannot be read, or the file system has no links
        pass
    return None


def _compute_crc(path: Path) -> tuple[int, int]:
    """Size and CRC-32 of a file."""
    checksum, count = 0, 0
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            checksum, count = zlib.crc32(block, checksum), count + len(block)
    return count, checksum


def unpack_entry(entry: ArchiveEntry, out: Path, earlier: tuple[Path, str] | None = None) -> dict[str, str]:
    """Unpack one file into ``out``; its line of the manifest, without the id, or with what is wrong.

    ``earlier`` is a file that may be the same, and its SHA-256: where it is, it is linked instead.

    Raises
    ------
    MeaError
        If the disk is full.
    """
    names = {"archive": show_name(entry.archive), "member": show_name(entry.member)}
    failed = names | {"file": "", "bytes": "", "sha256": ""}
    if entry.error:
        return failed | {"error": entry.error}
    target, problem = out / entry.file, ""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        count, sha256 = (earlier and _link_same(entry, earlier, target)) or _write_entry(entry, target)
    except ZIP_DAMAGE as error:
        problem = f"damaged ({error}). Copy the archive again from where it was made."
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            free, written = shutil.disk_usage(out).free, target.stat().st_size if target.is_file() else 0
            room = f"{free / 1e9:.1f} GB are free, {written / 1e9:.1f} GB were written"
            raise MeaError(f"{entry.where}: the disk is full ({room}). Make room where {out.parent} lies.") from None
        problem = f"cannot be unpacked ({error.strerror}). Rename it, or check its disk."
    if problem:
        if target.is_file():
            target.unlink()
        return failed | {"error": f"{entry.where}: {problem}"}
    return names | {"file": entry.file, "bytes": str(count), "sha256": sha256, "error": ""}


def _write_entry(entry: ArchiveEntry, target: Path) -> tuple[int, str]:
    with open_entry(entry) as stream, target.open("wb") as copy:
        return copy_and_hash(stream, copy)


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
