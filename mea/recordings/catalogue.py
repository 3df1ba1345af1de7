"""Unpacked files → recordings, or the reason why not; and the table of both."""

import difflib
import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mea.recordings.formats import OWN, read_raw_recordings
from mea.recordings.identities import find_identity, name_recordings
from mea.recordings.labels import Identify
from mea.recordings.layouts import NO_LAYOUTS, Layouts
from mea.recordings.recording import RawRecording, Recording
from mea.runtime.errors import BadRecording, MeaError
from mea.runtime.parallel import run_parallel

MOST_SHOWN = 10
COLUMNS = [
    "recording", "label", "culture", "batch", "plate", "well", "format", "layout", "sampling_rate_hz", "n_samples",
    "duration_s", "electrodes", "start", "segments", "stream", "file", "status", "reason", "notes",
]  # fmt: skip


@dataclass(frozen=True)
class Rejection:
    """A recording, or a whole file or archive, that cannot be used.

    Attributes
    ----------
    recording
        Its id; of a file or archive that cannot be read, the id it has in the manifest.
    file
        Where it was unpacked to; empty if it was not.
    reason
        What is wrong and what to do.
    """

    recording: str
    file: str
    reason: str


def read_recordings(
    folder: Path,
    manifest: pd.DataFrame,
    stream: str,
    identify: Identify,
    keep: Callable[[Recording], None] | None = None,
    layouts: Layouts = NO_LAYOUTS,
    reader: str = OWN,
) -> list[Recording | Rejection]:
    """Read every file of a manifest into the recordings it holds, on all cores.

    Parameters
    ----------
    folder
        The folder of unpacked files.
    manifest
        As :func:`mea.recordings.archives.unpack` gives it.
    stream, layouts, reader
        As :func:`mea.recordings.formats.read_raw_recordings` takes them.
    identify
        Gives label, culture and batch of a recording (:mod:`mea.recordings.labels`), or
        :func:`mea.recordings.identities.identify_nobody`.
    keep
        Called with each recording, in the process that read it. The recordings given back then have no spike times,
        so that any number of them fits in memory.

    Returns
    -------
    list
        In the manifest's order: a recording, or why it cannot be used.

    Raises
    ------
    MeaError
        If a well of a plate has the id of another file.
    """
    read = partial(read_raw_recordings, stream=stream, layouts=layouts, reader=reader)
    work = partial(_read_row, folder=folder, read=read, identify=identify, keep=keep)
    lines = manifest[manifest.error == ""].to_dict("records")
    found = iter(run_parallel(work, lines, "h5", begin_here=True))
    results: list[Recording | Rejection] = []
    for row in manifest.itertuples():
        results += [Rejection(row.recording, row.file, row.error)] if row.error else next(found)
    if twice := [name for name, count in Counter(one.recording for one in results).items() if count > 1]:
        raise MeaError(
            f"{twice[0]}: the id of two recordings, a file's and that of a well of a plate. Rename the file."
        )
    return results


def reject_duplicates(manifest: pd.DataFrame) -> pd.DataFrame:
    """Give an error to each file that has the content of an earlier one; the manifest itself stays as it is."""
    manifest = manifest.copy()
    first: dict[str, Any] = {}
    for row in manifest.itertuples():
        original = first.setdefault(row.sha256, row) if row.sha256 else row
        if original is not row:
            manifest.loc[row.Index, "error"] = (
                f"{row.file}: duplicated recording: the same content as {original.recording} ({original.file}). "
                "Remove one of the two."
            )
    return manifest


def reject_missing(
    listed: Iterable[str], results: Sequence[Recording | Rejection], manifest: pd.DataFrame, path: Path
) -> list[Rejection]:
    """What ``recordings.csv`` lists and nobody found: refused if its archive or file could not be read.

    Parameters
    ----------
    listed
        The recordings that ``recordings.csv`` lists.
    results
        What :func:`read_recordings` gave.
    manifest
        The manifest these came from.
    path
        Of ``recordings.csv``, for the message.

    Raises
    ------
    MeaError
        If one does not exist although every archive could be read.
    """
    known = {result.recording for result in results} | set(manifest["recording"])  # a plate may be named as its file
    unreadable = {result.recording for result in results if isinstance(result, Rejection)}
    broken_archive = any((manifest.member == "") & (manifest.error != ""))
    refusals, missing = [], []
    for name in sorted(set(listed) - known):
        if name.partition("#")[0] in unreadable:
            refusals.append(Rejection(name, "", f"{name}: its file could not be read."))
        elif broken_archive:
            refusals.append(Rejection(name, "", f"{name}: its archive could not be read."))
        else:
            missing.append(name)
    if missing:
        raise MeaError(_explain_missing(missing, sorted(known), path))
    return refusals


def reject_or_raise(results: Sequence[Recording | Rejection], on_bad_recording: str) -> list[Recording]:
    """The recordings that can be used; with ``on_bad_recording`` ``skip``, a warning tells of the others.

    Raises
    ------
    MeaError
        With ``error``: if any cannot be used, naming all of them (the first ten). With ``skip``: if none can be used.
    """
    refusals = [result for result in results if isinstance(result, Rejection)]
    used = [result for result in results if isinstance(result, Recording)]
    shown = _show_some([refusal.reason for refusal in refusals])
    text = f"{len(refusals)} of {len(results)} recordings cannot be used"
    if refusals and on_bad_recording == "error":
        remedy = "Correct or remove them, or set h5.on_bad_recording to skip: then they are set aside and listed."
        raise MeaError(f"{text}:\n{shown}\n{remedy}")
    if not used:
        raise MeaError(f"no recording can be used:\n{shown}\nCorrect them, or add others.")
    if refusals:
        warnings.warn(f"{text} and are set aside:\n{shown}", stacklevel=2)
    return used


def check_classes(recordings: Sequence[Recording]) -> None:
    """Two classes or more are needed.

    Raises
    ------
    MeaError
        If all recordings have one label.
    """
    labels = Counter(recording.label for recording in recordings)
    if len(labels) < 2:
        raise MeaError(
            f"all {len(recordings)} usable recordings have the label {next(iter(labels))!r}; a classifier needs two "
            "classes or more. Add recordings of another class, or correct h5.labels or recordings.csv."
        )


def build_catalogue(results: Sequence[Recording | Rejection]) -> pd.DataFrame:
    """One line for every recording, used or set aside, sorted by id."""
    rows = [_make_row(result) for result in sorted(results, key=lambda result: result.recording)]
    return pd.DataFrame(rows, columns=COLUMNS, dtype=object).fillna("")


def count_recordings(results: Sequence[Recording | Rejection]) -> dict[str, Any]:
    """Counts for ``metrics/h5.json``: of all, of each label, and why recordings were set aside."""
    used = [result for result in results if isinstance(result, Recording)]
    refusals = sorted((r for r in results if isinstance(r, Rejection)), key=lambda refusal: refusal.recording)
    labels = sorted({recording.label for recording in used})
    return {
        **_count_some(used),
        "set_aside": len(refusals),
        "with_gaps": sum(len(recording.source.segments) > 1 for recording in used),
        "labels": {label: _count_some([r for r in used if r.label == label]) for label in labels},
        "formats": _count_values(recording.source.format for recording in used),
        "layouts": _count_values(recording.source.layout for recording in used),
        "sampling_rates_hz": _count_values(recording.source.sampling_rate_hz for recording in used),
        "set_aside_reasons": {refusal.recording: _one_line(refusal.reason) for refusal in refusals},
    }


def _read_row(
    row: dict[str, str],
    folder: Path,
    read: Callable[[Path], list[RawRecording | BadRecording]],
    identify: Identify,
    keep: Callable[[Recording], None] | None,
) -> list[Recording | Rejection]:
    sources: list[RawRecording | BadRecording]
    try:
        sources = read(folder / row["file"])
    except BadRecording as error:
        sources = [error]
    results: list[Recording | Rejection] = []
    names = name_recordings(row["recording"], sources)
    for name, source in zip(names, sources, strict=True):
        try:
            recording = _make_recording(name, row, source, identify, several=len(sources) > 1)
        except BadRecording as error:
            # The catalogue's bytes may not depend on where the folder lies: the reason names the file inside it.
            results.append(Rejection(name, row["file"], str(error).replace(f"{folder}{os.sep}", "")))
            continue
        if keep:
            keep(recording)
            recording = _drop_spikes(recording)
        results.append(recording)
    return results


def _make_recording(
    name: str, row: dict[str, str], source: RawRecording | BadRecording, identify: Identify, several: bool
) -> Recording:
    if isinstance(source, BadRecording):
        raise source
    who, note = find_identity(name, row, source, identify, several)
    source = replace(source, notes=(*source.notes, note)) if note else source
    size = int(row["bytes"])
    return Recording(**vars(who), file=row["file"], sha256=row["sha256"], source=source, file_bytes=size)


def _drop_spikes(recording: Recording) -> Recording:
    source = replace(recording.source, spike_times_s=np.zeros(0), spike_electrode=np.zeros(0, np.int64))
    return replace(recording, source=source)


def _explain_missing(missing: list[str], known: list[str], path: Path) -> str:
    close = [difflib.get_close_matches(name, known, n=1) for name in missing]
    shown = _show_some([name + (f" (there is {near[0]})" if near else "") for name, near in zip(missing, close)])
    remedy = "Write the ids as in manifest.csv of the unzip stage, add the missing files, or remove the lines."
    return f"{path}: recordings listed that do not exist: {len(missing)}\n{shown}\n{remedy}"


def _show_some(lines: Sequence[str]) -> str:
    more = [f"  ... and {len(lines) - MOST_SHOWN} more."] if len(lines) > MOST_SHOWN else []
    return "\n".join([*(f"  {line}" for line in lines[:MOST_SHOWN]), *more])


def _make_row(result: Recording | Rejection) -> dict[str, Any]:
    if isinstance(result, Rejection):
        reason = _one_line(result.reason)
        return {"recording": result.recording, "file": result.file, "status": "set aside", "reason": reason}
    source = result.source
    same = ("plate", "well", "format", "layout", "sampling_rate_hz", "n_samples", "duration_s", "start", "stream")
    return {
        **{name: getattr(result, name) for name in ("recording", "label", "culture", "batch", "file")},
        **{name: getattr(source, name) for name in same},
        "electrodes": source.n_electrodes,
        "segments": len(source.segments),
        "status": "used",
        "notes": "; ".join(source.notes),
    }


def _count_some(recordings: Sequence[Recording]) -> dict[str, Any]:
    return {
        "recordings": len(recordings),
        "cultures": len({recording.culture for recording in recordings} - {""}),
        "batches": len({recording.batch for recording in recordings} - {""}),
        "culture_unknown": sum(not recording.culture for recording in recordings),
        "batch_unknown": sum(not recording.batch for recording in recordings),
        "hours": sum(recording.source.duration_s for recording in recordings) / 3600,
    }


def _count_values(values: Iterable[Any]) -> dict[str, int]:
    return {str(value): count for value, count in sorted(Counter(values).items())}


def _one_line(text: str) -> str:
    return " ".join(text.split())
