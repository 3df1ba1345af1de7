"""What an archive or a loose file holds to be unpacked."""

import re
import zipfile
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import IO

from mea.recordings.naming import LONGEST_NAME_BYTES, make_safe_name, show_name
from mea.recordings.other_files import RECORDING_SUFFIXES, is_archive, is_hidden, is_recording, sniff_member
from mea.recordings.zip_files import (
    COMPRESSIONS,
    ENCRYPTED_FLAG,
    TAR_SUFFIXES,
    decode_name,
    open_archive,
    open_member,
)
from mea.runtime.files import ZIP_DAMAGE

DEEPEST = 3  # archives inside one another


@dataclass(frozen=True)
class ArchiveEntry:
    """One file to unpack: the member of an archive, or a loose file. Not yet read.

    Attributes
    ----------
    path
        The archive, or the loose file itself.
    archive
        The archive's path relative to the source folder, that of an archive inside it appended; empty for a loose file.
    member
        The path inside the archive, or of the loose file relative to the source folder; empty when ``error`` is about
        the whole archive.
    index
        Place in the archive's table of contents (a name may occur there twice); -1 where there is none.
    nested
        Places, in the tables of contents, of the archives inside one another in which it lies.
    error
        What is wrong and what to do; empty when it can be unpacked.
    """

    path: Path
    archive: str
    member: str
    index: int = -1
    nested: tuple[int, ...] = ()
    error: str = ""

    @property
    def where(self) -> str:
        """How messages name it."""
        return " of ".join(filter(None, (show_name(self.member), show_name(self.archive))))

    @property
    def file(self) -> str:
        """Where it is unpacked to, relative to the output folder: the same on every operating system."""
        parts = (*PurePosixPath(self.archive).parts, *PurePosixPath(self.member).parts)
        return "/".join(make_safe_name(part) for part in parts)


def list_zip(path: Path, name: str, suffixes: tuple[str, ...], nested: tuple[int, ...] = ()) -> list[ArchiveEntry]:
    """The recordings in an archive, and in the archives inside it; or one entry that says why there are none."""
    try:
        archive = open_archive(path, nested, path.stat().st_mtime_ns)
        infos = archive.infolist()
    except (*ZIP_DAMAGE, OSError) as error:
        return [ArchiveEntry(path, name, "", error=f"{show_name(name)}: {_explain_archive(path, error)}")]
    overlapping = _find_overlapping(infos)
    entries, inner = [], []
    for place, info in enumerate(infos):
        member = decode_name(info)
        if is_hidden(member):
            continue
        if is_archive(member) and not member.endswith("/"):
            inner.append((place, member))
        elif is_recording(member, sniff_member(archive, info), suffixes):
            entry = ArchiveEntry(path, name, member, place, nested)
            entries.append(_check_entry(entry, info, place in overlapping))
    for place, member in inner:
        inside = ArchiveEntry(path, name, member, place, nested)
        checked = _check_entry(inside, infos[place], place in overlapping)
        if checked.error:
            entries.append(checked)
        elif len(nested) + 1 >= DEEPEST:
            text = f"{DEEPEST} archives inside one another. Unpack the innermost"
            entries.append(replace(inside, error=f"{inside.where}: {text}."))
        else:
            entries += list_zip(path, f"{name}/{member}", suffixes, (*nested, place))
    if entries:
        return entries
    text = f"nothing that is read ({', '.join(RECORDING_SUFFIXES)} or a spike table) inside this archive. Put it in"
    return [ArchiveEntry(path, name, "", error=f"{show_name(name)}: {text}, or remove the archive.")]


def open_entry(entry: ArchiveEntry) -> IO[bytes]:
    """The bytes of an entry."""
    if not entry.archive:
        return entry.path.open("rb")
    return open_member(*_find_member(entry))


def read_entry_crc(entry: ArchiveEntry) -> tuple[int, int]:
    """Size and CRC-32 of a member, as the archive's directory states them."""
    _, info = _find_member(entry)
    return info.file_size, info.CRC


def _find_member(entry: ArchiveEntry) -> tuple[zipfile.ZipFile, zipfile.ZipInfo]:
    archive = open_archive(entry.path, entry.nested, entry.path.stat().st_mtime_ns)
    return archive, archive.infolist()[entry.index]


def _find_overlapping(infos: list[zipfile.ZipInfo]) -> set[int]:
    """Members whose bytes another one uses, too: so a small archive unpacks to any size."""
    order = sorted(range(len(infos)), key=lambda place: infos[place].header_offset)
    return {
        first
        for first, second in pairwise(order)
        if infos[first].header_offset + infos[first].compress_size > infos[second].header_offset
    }


def _explain_archive(path: Path, error: Exception) -> str:
    if isinstance(error, OSError):
        return f"cannot be read ({error.strerror}). Check the file's permissions and its disk."
    kind = "tar" if path.name.lower().endswith(TAR_SUFFIXES) else "zip"
    with path.open("rb") as stream:
        begins_like_zip = stream.read(2) == b"PK"
    if begins_like_zip or kind == "tar":
        return f"this {kind} archive is truncated or damaged ({error}). Copy it again from where it was made."
    return f"not a zip archive ({error}). Copy it again from where it was made, or remove it."


def _check_entry(entry: ArchiveEntry, info: zipfile.ZipInfo, is_overlapping: bool) -> ArchiveEntry:
    name = entry.member
    if name.startswith("/") or re.match("[A-Za-z]:", name) or re.search(r"\x00|(^|/)\.\.(/|$)", name):
        text = (
            "its path would leave the folder it is unpacked to (absolute, with a drive letter or '..'). "
            "Zip the folder again with relative paths."
        )
    elif info.flag_bits & ENCRYPTED_FLAG:
        text = "encrypted. Unpack it with its password, and put the HDF5 file or an archive without password there."
    elif info.compress_type not in COMPRESSIONS:
        text = (
            f"compressed by method {info.compress_type}, which is unknown here. Put the file itself there, or zip it "
            "with another program."
        )
    elif is_overlapping:
        text = "shares its bytes with another member, as in archives made to fill a disk. Zip the files again."
    elif any(len(part.encode("utf-8", "replace")) > LONGEST_NAME_BYTES for part in name.split("/")):
        text = f"a name in its path is longer than {LONGEST_NAME_BYTES} bytes. Give it a shorter one."
    else:
        return entry
    return replace(entry, error=f"{entry.where}: {text}")
