"""Archives as labs have them: names in old encodings, Deflate64 as Windows writes it, archives inside archives, tar.

A tar archive has no directory: it is read once, into an uncompressed zip archive in a temporary file.
"""

import gzip
import io
import lzma
import shutil
import struct
import tarfile
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import IO

import inflate64

DEFLATE64 = 9  # what Windows Explorer takes for files over 2 GB
COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, DEFLATE64)
TAR_DAMAGE = (tarfile.TarError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, EOFError, ValueError)
TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2")
UTF8_FLAG, ENCRYPTED_FLAG = 1 << 11, 1
LOCAL_HEADER = struct.Struct("<4s5H3I2H")
BLOCK_BYTES = 1 << 20


@lru_cache(maxsize=1)
def open_archive(path: Path, nested: tuple[int, ...], _mtime_ns: int) -> zipfile.ZipFile:
    """An archive whose members are unpacked one after the other: its directory is read once, not for each of them.

    ``nested`` are the places, in the directories, of the archives inside one another that lead to it.
    """
    archive = _open(path, str(path))
    for place in nested:
        copy = tempfile.TemporaryFile()  # noqa: SIM115  # the archive holds it
        info = archive.infolist()[place]
        with archive, open_member(archive, info) as stream:
            shutil.copyfileobj(stream, copy, BLOCK_BYTES)
        archive = _open(copy, info.filename)
    return archive


def _open(file: Path | IO[bytes], name: str) -> zipfile.ZipFile:
    """An archive by its path, which is closed with it, or by an open copy of it."""
    if not name.lower().endswith(TAR_SUFFIXES):
        return zipfile.ZipFile(file)
    if isinstance(file, Path):
        return _read_tar(file.open("rb"), name)
    file.seek(0)
    return _read_tar(file, name)


def _read_tar(file: IO[bytes], name: str) -> zipfile.ZipFile:
    """The files of a tar archive, plain or compressed, as an uncompressed zip archive.

    Raises
    ------
    zipfile.BadZipFile
        If it is damaged, or a member has holes, which may stand for any number of zeros.
    """
    copy, left_out = tempfile.TemporaryFile(), 0  # noqa: SIM115  # the archive holds it
    try:
        with file, tarfile.open(fileobj=file, mode="r:*") as tar, zipfile.ZipFile(copy, "w") as archive:
            for member in tar:
                if member.issparse():
                    raise zipfile.BadZipFile(f"{member.name} has holes, which may stand for any number of zeros")
                if (stream := tar.extractfile(member) if member.isfile() else None) is None:
                    left_out += not member.isdir()
                    continue
                with archive.open(zipfile.ZipInfo(member.name), "w", force_zip64=True) as target:
                    shutil.copyfileobj(stream, target, BLOCK_BYTES)
            while tar.fileobj and tar.fileobj.read(BLOCK_BYTES):  # to its end, where the checksum stands
                pass
    except TAR_DAMAGE as error:
        raise zipfile.BadZipFile(str(error)) from None
    if left_out:
        warnings.warn(f"{name}: {left_out} links or devices in it are left out.", stacklevel=2)
    copy.seek(0)
    return zipfile.ZipFile(copy)


def open_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> IO[bytes]:
    """A member, to read from the first byte to the last; its checksum is compared at the end."""
    if info.compress_type != DEFLATE64:
        return archive.open(info)
    return io.BufferedReader(_Blocks(_inflate(archive, info)), BLOCK_BYTES)


class _Blocks(io.RawIOBase):
    """A stream of blocks."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks, self._rest = blocks, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        if not self._rest:
            self._rest = next(self._blocks, b"")
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count


def _inflate(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    """The blocks of a member that is compressed by Deflate64, which Python's zipfile does not know."""
    is_deflate64 = True
    try:
        for _ in _inflate_by(inflate64.Inflater().inflate, archive, info):
            pass
    except (zipfile.BadZipFile, ValueError):  # some programs say Deflate64 and write Deflate: the checksum decides
        is_deflate64 = False
    inflate = inflate64.Inflater().inflate if is_deflate64 else zlib.decompressobj(-zlib.MAX_WBITS).decompress
    yield from _inflate_by(inflate, archive, info)


def _inflate_by(inflate: Callable[[bytes], bytes], archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    written, checksum = 0, 0
    for stored in _read_stored(archive, info):
        block = inflate(stored)
        written, checksum = written + len(block), zlib.crc32(block, checksum)
        if written > info.file_size:
            raise zipfile.BadZipFile("a member is larger than the directory says")
        if block:
            yield block
    if written != info.file_size or checksum != info.CRC:
        raise zipfile.BadZipFile(f"bad CRC-32 of {info.filename!r}")


def _read_stored(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    """The blocks of a member as they stand in the archive."""
    file = archive.fp
    if file is None:
        raise zipfile.BadZipFile("the archive is closed")
    file.seek(info.header_offset)
    header = LOCAL_HEADER.unpack(file.read(LOCAL_HEADER.size))
    if header[0] != b"PK\3\4":
        raise zipfile.BadZipFile("no member where the directory says")
    position, left = info.header_offset + LOCAL_HEADER.size + header[-2] + header[-1], info.compress_size
    while left:
        file.seek(position)
        stored = file.read(min(BLOCK_BYTES, left))
        if not stored:
            raise EOFError("the archive ends within a member")
        position, left = position + len(stored), left - len(stored)
        yield stored


def decode_name(info: zipfile.ZipInfo) -> str:
    """A member's name as it was meant: with ``/`` between folders, and in the encoding in which it makes sense.

    Without the flag for UTF-8, ``zipfile`` takes every name for IBM's code page 437. It may be UTF-8 all the same, or
    Chinese (GB 2312, all of whose letters are two bytes from 0xA1). Else it stays: names that differ stay different.

    >>> info = zipfile.ZipInfo("对照\\\\rec_1.h5".encode("gb2312").decode("cp437"))
    >>> decode_name(info)
    '对照/rec_1.h5'
    """
    # `filename` is cut at a NUL and, on Windows, has its backslashes turned: the name as written must be judged.
    name = info.orig_filename
    if not info.flag_bits & UTF8_FLAG:
        try:
            written = name.encode("cp437")
        except UnicodeEncodeError:
            written = b""
        for encoding in ("utf-8", "gb2312"):
            try:
                name = written.decode(encoding) or name
                break
            except UnicodeDecodeError:
                continue
    return name.replace("\\", "/")
