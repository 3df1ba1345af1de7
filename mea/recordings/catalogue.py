"""The table of recordings, used and set aside, and which of them are set aside."""

import difflib
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from mea.recordings.reading import Rejection
from mea.recordings.recording import LabelledRecording
from mea.runtime.errors import MeaError

MOST_SHOWN = 10
COLUMNS = [
    "recording", "label", "culture", "batch", "plate", "well", "format", "layout", "sampling_rate_hz", "n_samples",
    "duration_s", "electrodes", "start", "segments", "stream", "file", "status", "reason", "notes",
]  # fmt: skip


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
    listed: Iterable[str], results: Sequence[LabelledRecording | Rejection], manifest: pd.DataFrame, path: Path
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


def reject_or_raise(results: Sequence[LabelledRecording | Rejection], on_bad_recording: str) -> list[LabelledRecording]:
    """The recordings that can be used; with ``on_bad_recording`` ``skip``, a warning tells of the others.

    Raises
    ------
    MeaError
        With ``error``: if any cannot be used, naming all of them (the first ten). With ``skip``: if none can be used.
    """
    refusals = [result for result in results if isinstance(result, Rejection)]
    used = [result for result in results if isinstance(result, LabelledRecording)]
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


def check_classes(recordings: Sequence[LabelledRecording]) -> None:
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


def build_catalogue(results: Sequence[LabelledRecording | Rejection]) -> pd.DataFrame:
    """One line for every recording, used or set aside, sorted by id."""
    rows = [_make_row(result) for result in sorted(results, key=lambda result: result.recording)]
    return pd.DataFrame(rows, columns=COLUMNS, dtype=object).fillna("")


def count_recordings(results: Sequence[LabelledRecording | Rejection]) -> dict[str, Any]:
    """Counts for ``metrics/h5.json``: of all, of each label, and why recordings were set aside."""
    used = [result for result in results if isinstance(result, LabelledRecording)]
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


def _explain_missing(missing: list[str], known: list[str], path: Path) -> str:
    close = [difflib.get_close_matches(name, known, n=1) for name in missing]
    shown = _show_some([name + (f" (there is {near[0]})" if near else "") for name, near in zip(missing, close)])
    remedy = "Write the ids as in manifest.csv of the unzip stage, add the missing files, or remove the lines."
    return f"{path}: recordings listed that do not exist: {len(missing)}\n{shown}\n{remedy}"


def _show_some(lines: Sequence[str]) -> str:
    more = [f"  ... and {len(lines) - MOST_SHOWN} more."] if len(lines) > MOST_SHOWN else []
    return "\n".join([*(f"  {line}" for line in lines[:MOST_SHOWN]), *more])


def _make_row(result: LabelledRecording | Rejection) -> dict[str, Any]:
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
        "notes": "; ".join(filter(None, (*source.notes, result.assumed))),
    }


def _count_some(recordings: Sequence[LabelledRecording]) -> dict[str, Any]:
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
