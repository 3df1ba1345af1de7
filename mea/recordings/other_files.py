"""Which files are looked at, and what is said of the others: what they are, and what to export instead."""

import os
import re
import zipfile
from collections.abc import Iterator, Set
from pathlib import Path, PurePosixPath

from mea.recordings.formats import is_spike_table
from mea.recordings.formats.text_files import LOOKED_AT_BYTES, read_head
from mea.recordings.manifest import TABLES
from mea.recordings.naming import show_name
from mea.recordings.zip_files import TAR_SUFFIXES, decode_name, open_archive
from mea.runtime.files import ZIP_DAMAGE

RECORDING_SUFFIXES = (".h5", ".hdf5", ".brw", ".bxr", ".nwb")
NEO_SUFFIXES = (".nex", ".rhd", ".rhs", ".plx", ".smr", ".smrx", ".abf", ".edf")  # one file a recording
TABLE_SUFFIXES = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")
WANTED = f"archives (.zip, .tar, .tar.gz), HDF5 files ({', '.join(RECORDING_SUFFIXES)}) or spike tables (.csv, .csv.gz)"
LITTER = {"thumbs.db", "desktop.ini"}
MOST_NAMES = 3
EXPORTS = {  # suffix: what it is, and what to do
    ".mcd": "MC_Rack's own format: export HDF5 with Multi Channel DataManager",
    ".msrd": "Multi Channel Experimenter's own format: export HDF5 with Multi Channel DataManager",
    ".msrs": "belongs to an .msrd file: export HDF5 with Multi Channel DataManager",
    ".mwd": "Multiwell-Screen's own format: export HDF5 with Multi Channel DataManager",
    ".raw": "a closed format, such as Axion's: export a spike list (CSV) with AxIS Navigator",
    ".spk": "Axion's spikes, a closed format: export a spike list (CSV) with AxIS Navigator",
    **dict.fromkeys(NEO_SUFFIXES, "read by the package neo, with h5.reader: neo; or export spike times as a table"),
    ".mat": "MATLAB: not read; export spike times as a table",
    ".7z": "not unpacked: unpack it, or zip it",
    ".rar": "not unpacked: unpack it, or zip it",
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
    return name.lower().endswith((".zip", *TAR_SUFFIXES))


def is_table(name: str) -> bool:
    """Whether a file may be a table of spikes, by its name."""
    return name.lower().endswith(TABLE_SUFFIXES) and PurePosixPath(name.lower()).name not in TABLES


def list_suffixes(reader: str) -> tuple[str, ...]:
    """By which names files of recordings are known to a reader (``h5.reader``); tables are known by their content."""
    return (*RECORDING_SUFFIXES, *NEO_SUFFIXES) if reader == "neo" else RECORDING_SUFFIXES


def is_recording(name: str, head: bytes, suffixes: tuple[str, ...]) -> bool:
    """Whether a file is one that holds a recording: by its name, or a table by its first bytes."""
    return name.lower().endswith(suffixes) or (is_table(name) and is_spike_table(head))


def sniff(path: Path) -> bytes:
    """The first bytes of a file that may be a table; none of another, or of one that cannot be read."""
    return read_head(path) if is_table(path.name) and path.is_file() else b""


def sniff_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """The same of a member of an archive."""
    if not is_table(decode_name(info)):
        return b""
    try:
        with archive.open(info) as stream:
            return stream.read(LOOKED_AT_BYTES)
    except (*ZIP_DAMAGE, OSError):
        return b""


def explain_other_files(source: Path, taken: Set[tuple[str, str]]) -> list[str]:
    """A sentence for each kind of file in a folder, or in the archives in it, that is left out; rigs' kinds first.

    Parameters
    ----------
    source
        A folder, or a file.
    taken
        (archive, member) of what is not left out, as the manifest names them.
    """
    found: dict[str, list[str]] = {}
    for archive, member in _list_files(source):
        suffix = next((one for one in EXPORTS if member.lower().endswith(one)), PurePosixPath(member).suffix.lower())
        if (archive, member) not in taken and suffix not in QUIET and PurePosixPath(member).name not in TABLES:
            found.setdefault(suffix, []).append("/".join(filter(None, (archive, member))))
    sentences = []
    for suffix in sorted(found, key=lambda one: (one not in EXPORTS, one)):
        names = found[suffix]
        shown = ", ".join(names[:MOST_NAMES]) + (", …" if len(names) > MOST_NAMES else "")
        many = f"{len(names)} files" if len(names) > 1 else "1 file"
        what = EXPORTS.get(suffix, "of a kind that is not read")
        sentences.append(f"{many} left out ({suffix or 'without a suffix'}: {what}): {shown}")
    return sentences


def _list_files(source: Path) -> Iterator[tuple[str, str]]:
    """(archive, member) of every file in a folder and in the archives there; archives themselves are none."""
    walked = os.walk(source) if source.is_dir() else [(str(source.parent), [], [source.name])]
    top = source if source.is_dir() else source.parent
    for folder, subfolders, names in walked:
        subfolders[:] = sorted(name for name in subfolders if not is_hidden(name))
        for path in (Path(folder) / name for name in sorted(names) if not is_hidden(name)):
            name = show_name(path.relative_to(top).as_posix())
            if is_archive(path.name):
                yield from ((name, member) for member in _list_members(path))
            elif path.is_file():
                yield "", name


def _list_members(path: Path) -> list[str]:
    try:
        names = [decode_name(info) for info in open_archive(path, (), path.stat().st_mtime_ns).infolist()]
    except (*ZIP_DAMAGE, OSError):
        return []  # said where it is unpacked
    return [show_name(name) for name in names if not (is_archive(name) or name.endswith("/") or is_hidden(name))]
