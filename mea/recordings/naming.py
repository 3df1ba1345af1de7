"""Names that are safe as file names everywhere, and the ids of recordings."""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

LONGEST_NAME_BYTES = 200
_DEVICES = {"con", "prn", "aux", "nul"} | {f"{port}{digit}" for port in ("com", "lpt") for digit in "123456789"}


def make_safe_name(name: str) -> str:
    """Make a name that every operating system takes as a file name; a name that already is one stays.

    Windows forbids ``<>:"/\\|?*``, control characters, blanks and dots at the end, and the names of its devices.
    Letters are composed (NFC), because macOS decomposes them.

    >>> make_safe_name("a:b?.h5"), make_safe_name("con.h5"), make_safe_name("culture 1.h5")
    ('a_b_.h5', '_con.h5', 'culture 1.h5')
    """
    name = unicodedata.normalize("NFC", name)
    name = re.sub('[<>:"/\\\\|?*\x00-\x1f\x7f-\x9f\ud800-\udfff]', "_", name).strip(" ").rstrip(". ")
    if name.split(".")[0].rstrip(" ").casefold() in _DEVICES:
        name = f"_{name}"
    return name or "_"


def show_name(text: str) -> str:
    """A path as text that can be written: what is no text in it becomes ``_``."""
    return re.sub("[\x00-\x1f\x7f-\x9f\ud800-\udfff]", "_", text)


def assign_ids(members: Sequence[tuple[str, str]]) -> list[str]:
    """Give every member the id of its recording: unique, also where upper and lower case count as the same.

    The id is the file name without its suffix, made safe (:func:`make_safe_name`; ``#`` becomes ``_`` too, because
    ``#2`` marks the second recording in a file). Where two are equal, *both* become ``<archive>__<stem>`` (for a loose
    file: the folder it is in, if any); where these are equal too, all folders on the way, outside and inside the
    archive, stand before the stem; and should even these be equal, a checksum of the path follows. So the id of a
    file whose stem is unique depends neither on its place nor on the other files.

    Parameters
    ----------
    members
        The archive's path, empty for a loose file, and the path inside it, empty for a broken archive: that one has
        its file name with the suffix as id.

    Examples
    --------
    >>> assign_ids([("monday.zip", "ctl_1.h5"), ("tuesday.zip", "ctl_1.h5"), ("", "exp_1.h5")])
    ['monday__ctl_1', 'tuesday__ctl_1', 'exp_1']
    """
    occurrence: Counter[tuple[str, str]] = Counter()
    candidates = []
    for archive, member in members:
        candidates.append(_list_candidates(archive, member, occurrence[archive, member]))
        occurrence[archive, member] += 1
    chosen = [0] * len(members)
    while True:
        ids = [names[level] for names, level in zip(candidates, chosen)]
        count = Counter(name.casefold() for name in ids)
        clashing = [
            i for i, name in enumerate(ids) if count[name.casefold()] > 1 and chosen[i] < len(candidates[i]) - 1
        ]
        if not clashing:
            return ids
        for i in clashing:
            chosen[i] += 1


def _list_candidates(archive: str, member: str, occurrence: int) -> list[str]:
    outer, inner = PurePosixPath(archive), PurePosixPath(member.replace("\\", "/"))
    stem = PurePosixPath(re.sub(r"\.gz$", "", inner.name, flags=re.IGNORECASE)).stem if member else outer.name
    container = [outer.stem] if archive and member else []
    folders = [*outer.parts[:-1], *container, *inner.parts[:-1]]
    near = container or folders[-1:]
    names = ["__".join(make_safe_name(part) for part in parts) for parts in ([stem], [*near, stem], [*folders, stem])]
    path = f"{archive}/{member}/{occurrence}"
    checksum = hashlib.sha256(path.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    names = [_shorten(name.replace("#", "_"), checksum) for name in names]
    return [*names, f"{names[-1]}__{checksum}"]


def _shorten(name: str, checksum: str) -> str:
    if len(name.encode()) <= LONGEST_NAME_BYTES:
        return name
    return name.encode()[: LONGEST_NAME_BYTES - 10].decode(errors="ignore") + f"__{checksum}"
