"""Which files are looked at, and what is said of the others: what they are, and what to export instead."""

import gzip
import os
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from mea.recordings.formats import is_spike_table
from mea.recordings.manifest import TABLES
from mea.recordings.zip_files import ZIP_DAMAGE, decode_name

RECORDING_SUFFIXES = (".h5", ".hdf5")
TABLE_SUFFIXES = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")
WANTED = f"archives (*.zip), HDF5 files ({', '.join(RECORDING_SUFFIXES)}) or spike tables (.csv, .csv.gz)"
LITTER = {"thumbs.db", "desktop.ini"}
SNIFFED_BYTES = 1 << 16
MOST_NAMES = 3
EXPORTS = {  # suffix: what it is, and what to do
    ".mcd": "MC_Rack's own format: export HDF5 with Multi Channel DataManager",
    ".msrd": "Multi Channel Experimenter's own format: export HDF5 with Multi Channel DataManager",
    ".msrs": "belongs to an .msrd file: export HDF5 with Multi Channel DataManager",
    ".mwd": "Multiwell-Screen's own format: export HDF5 with Multi Channel DataManager",
    ".raw": "a closed format, such as Axion's: export a spike list (CSV) with AxIS Navigator",
    ".spk": "Axion's spikes, a closed format: export a spike list (CSV) with AxIS Navigator",
    ".brw": "3Brain's voltages: not read yet",
    ".bxr": "3Brain's results: not read yet",
    ".nex": "NeuroExplorer: not read yet; export spike times as a table",
    ".nwb": "Neurodata Without Borders: not read yet",
    ".mat": "MATLAB: not read; export spike times as a table",
    ".7z": "not unpacked: unpack it, or zip it",
    ".rar": "not unpacked: unpack it, or zip it",
    ".tar": "not unpacked: unpack it, or zip it",
    ".tgz": "not unpacked: unpack it, or zip it",
    ".tar.gz": "not unpacked: unpack it, or zip it",
}
QUIET = {".dvc", ".gitignore", ".md", ".pdf", ".docx", ".xlsx", ".png", ".jpg", ".jpeg", ".tif", ".ini", ".log", ".db"}


def is_hidden(path: str) -> bool:
    """Whether an operating system or a program left it: ``.DS_Store``, ``__MACOSX``, ``~$table.xlsx``."""
    parts = re.split(r"[/\\]", path)
    return any(
        part == "__MACOSX"
        or part.startswith("~$")
        or part.lower() in LITTER
        or (part.startswith(".") and part.strip("."))
        for part in parts
    )


def is_archive(name: str) -> bool:
    """Whether a file is one that is unpacked, by its name."""
    return name.lower().endswith(".zip")


def is_recording(name: str, head: bytes | None = None) -> bool:
    """Whether a file is one that holds a recording: HDF5 by its name, a table by its first bytes."""
    lower = name.lower()
    if lower.endswith(RECORDING_SUFFIXES):
        return True
    if head is None or not lower.endswith(TABLE_SUFFIXES) or PurePosixPath(lower).name in TABLES:
        return False
    return is_spike_table(_inflate(head) if lower.endswith(".gz") else head)


def read_head(path: Path) -> bytes | None:
    """The first bytes of a table; None of another file, or one that cannot be read."""
    if not path.name.lower().endswith(TABLE_SUFFIXES) or not path.is_file():
        return None
    try:
        with path.open("rb") as stream:
            return stream.read(SNIFFED_BYTES)
    except OSError:
        return None


def _inflate(head: bytes) -> bytes:
    try:
        return zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(head, SNIFFED_BYTES)
    except zlib.error:
        return b""


def explain_other_files(source: Path) -> list[str]:
    """A sentence for each kind of file in a folder, or in the archives in it, that is left out; rigs' kinds first."""
    found: dict[str, list[str]] = {}
    for name in _list_others(source):
        suffix = next((one for one in EXPORTS if name.lower().endswith(one)), PurePosixPath(name).suffix.lower())
        if suffix not in QUIET and PurePosixPath(name).name not in TABLES:
            found.setdefault(suffix, []).append(name)
    sentences = []
    for suffix in sorted(found, key=lambda one: (one not in EXPORTS, one)):
        names = found[suffix]
        shown = ", ".join(names[:MOST_NAMES]) + (", …" if len(names) > MOST_NAMES else "")
        many = f"{len(names)} files" if len(names) > 1 else "1 file"
        what = EXPORTS.get(suffix, "of a kind that is not read")
        sentences.append(f"{many} left out ({suffix or 'without a suffix'}: {what}): {shown}")
    return sentences


def _list_others(source: Path) -> Iterator[str]:
    """Paths of files that hold no recording, in a folder and in the archives there."""
    walked = os.walk(source) if source.is_dir() else [(str(source.parent), [], [source.name])]
    for folder, subfolders, names in walked:
        subfolders[:] = sorted(name for name in subfolders if not is_hidden(name))
        for name in sorted(names):
            path = Path(folder) / name
            if is_hidden(name) or not path.is_file():
                continue
            if is_archive(name):
                yield from _list_other_members(path)
            elif not is_recording(name, read_head(path)):
                yield path.relative_to(source if source.is_dir() else source.parent).as_posix()


def _list_other_members(path: Path) -> Iterator[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                name = decode_name(info)
                wanted = is_archive(name) or is_recording(name, peek(archive, info))
                if not wanted and not name.endswith("/") and not is_hidden(name):
                    yield f"{path.name}/{name}"
    except (*ZIP_DAMAGE, OSError, RuntimeError):
        return  # said where it is unpacked


def peek(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes | None:
    """The first bytes of a member that may be a table; None of another, or of one that cannot be read."""
    if not decode_name(info).lower().endswith(TABLE_SUFFIXES):
        return None
    try:
        with archive.open(info) as stream:
            return stream.read(SNIFFED_BYTES)
    except (*ZIP_DAMAGE, OSError, RuntimeError, gzip.BadGzipFile):
        return None
