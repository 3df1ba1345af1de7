"""A lab's files, one by one: how the pipeline would read and identify each, and what is doubtful about it."""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from mea.arrays.detection import SpikeDetection
from mea.arrays.plots_electrodes import plot_electrode_health
from mea.doctor.electrodes import (
    FIRST_S,
    Health,
    check_electrodes,
    check_health,
    list_missing,
    measure_health,
    tabulate_health,
)
from mea.doctor.findings import DOUBTFUL, FINE, WRONG, Finding
from mea.doctor.settings import Settings
from mea.doctor.tables import find_identify, find_missing
from mea.recordings.archives import find_entries, mark_clashes, unpack_entry
from mea.recordings.catalogue import reject_duplicates
from mea.recordings.formats import explain_streams, read_counts, read_raw_recordings
from mea.recordings.identities import find_identity, name_recordings
from mea.recordings.labels import Identify
from mea.recordings.layouts import Layouts, read_pitch
from mea.recordings.members import ArchiveEntry
from mea.recordings.naming import assign_ids, show_name
from mea.recordings.other_files import explain_other_files, list_suffixes
from mea.recordings.reading import Rejection
from mea.recordings.recording import LabelledRecording, RawRecording, pack_places
from mea.runtime.errors import BadRecording, MeaError
from mea.runtime.files import hash_file
from mea.runtime.parallel import run_parallel
from mea.runtime.style import save_plot

# Notes of the readers, by how they begin, and the remedy. References are handled separately.
REMEDIES = {
    "pause": "Nothing is measured across it: no chunk, interval or burst. Parts shorter than a chunk are not used.",
    "several": "Check that it is the stream you mean, or export the file with one of them.",
    "layout": "Check the electrode map in the plot; a layout of its own goes into mea/recordings/layouts.py.",
    "no electrode, left out": "No action is needed.",
    "no electrode labels": "Check the electrode map in the plot, or export the file with labels.",
    "no usable date": "No action is needed; recordings without a date cannot be checked for drift.",
    "no spike": "Check that it is a recording of a living culture, or remove it.",
}
PROPOSE = "mea doctor --propose FILE writes a recordings.csv to be filled in."
OTHER_REMEDY = "Check that this is right (docs/formats.md)."


@dataclass(frozen=True)
class Examined:
    """One recording, or a file or archive that cannot be read, and what was found.

    Attributes
    ----------
    result
        What the h5 stage would make of it; label, culture and batch are empty where they are unknown.
    archive, member
        Where it is, as in the manifest.
    label_from
        Where the label comes from: ``recordings.csv``, ``file name``, or empty.
    used
        Whether the pipeline would use it for training.
    electrodes
        How many there are of the layout's or, of spike times, how many fire.
    firing_rate_hz
        Of a recording of spike times, the mean over its electrodes; NaN of voltages, which are not searched here.
    noise_uv
        Median noise over electrodes; NaN where there is none.
    places
        Which places of the grid record, as :func:`mea.recordings.recording.pack_places` gives them; or unknown.
    findings
        About this recording.
    """

    result: LabelledRecording | Rejection
    archive: str
    member: str
    label_from: str = ""
    used: bool = False
    electrodes: str = ""
    firing_rate_hz: float = float("nan")
    noise_uv: float = float("nan")
    places: str = ""
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class Task:
    """A file to look at."""

    member: ArchiveEntry
    name: str
    identify: Identify
    label_from: str
    layouts: Layouts


def examine_files(
    paths: Sequence[Path], settings: Settings, plots: Path, as_source: bool = False
) -> tuple[list[Examined], list[Finding]]:
    """Look at every recording in some files, archives and folders.

    Parameters
    ----------
    paths
        As the user named them.
    settings
        The parameters that decide how they are read.
    plots
        Folder for one plot a recording of samples.
    as_source
        Whether this is what the pipeline would read: it takes a table from a folder, not from beside a single file.

    Returns
    -------
    examined
        In the order of the files; one file may hold several recordings.
    findings
        About files and tables as a whole.
    """
    tasks, findings, tables = [], [], []
    for path in paths:
        try:
            members = mark_clashes(find_entries(path, list_suffixes(settings.h5.reader)))
        except MeaError as error:
            findings.append(Finding(WRONG, str(path), str(error)))
            continue
        taken = {(show_name(member.archive), show_name(member.member)) for member in members}
        findings += [Finding(DOUBTFUL, str(path), sentence) for sentence in explain_other_files(path, taken)]
        identify, label_from, table, layouts = find_identify(path, settings, as_source, findings)
        tables += [(path, table)] if table is not None and path.is_dir() else []
        tasks += [(member, identify, label_from, layouts) for member in members]
    names = assign_ids([(member.archive, member.member) for member, *_ in tasks])
    work = partial(_examine_file, settings=settings, plots=plots)
    done = run_parallel(work, [Task(task[0], name, *task[1:]) for task, name in zip(tasks, names)], "doctor")
    manifest = pd.DataFrame([row for row, _ in done], columns=["recording", "file", "member", "sha256", "error"])
    examined = _mark_duplicates([one for _, found in done for one in found], manifest)
    results = [one.result for one in examined]
    for path, table in tables:
        findings += find_missing(path, table, results, manifest)
    return examined, findings


def _mark_duplicates(examined: list[Examined], manifest: pd.DataFrame) -> list[Examined]:
    """Files that have the content of an earlier one are not used."""
    rejected = reject_duplicates(manifest)
    errors = {row.recording: row.error for row in rejected[manifest["error"] == ""].itertuples() if row.error}
    return [_reject(one, errors.get(one.result.recording.partition("#")[0], "")) for one in examined]


def _reject(one: Examined, error: str) -> Examined:
    if not error:
        return one
    return replace(one, used=False, findings=(*one.findings, Finding(WRONG, one.result.recording, error)))


def _examine_file(task: Task, settings: Settings, plots: Path) -> tuple[dict[str, str], list[Examined]]:
    """Its line of the manifest, and its recordings."""
    member = task.member
    row = {"recording": task.name, "archive": member.archive, "member": member.member}
    with tempfile.TemporaryDirectory(prefix="mea-doctor-") as folder:
        if member.archive or member.error:
            path = Path(folder)
            row |= unpack_entry(member, path)
            path /= row["file"]
        else:
            path = member.path
            row |= _make_loose_row(member)
        if row["error"]:
            return row, [_reject_file(row, task.name, row["error"])]
        return row, _examine_recordings(path, row, task, settings, plots)


def _make_loose_row(member: ArchiveEntry) -> dict[str, str]:
    """What :func:`mea.recordings.archives.unpack_entry` gives, of a file that need not be unpacked."""
    try:
        size, sha256 = str(member.path.stat().st_size), hash_file(member.path)
    except OSError as error:
        text = f"cannot be read ({error.strerror}). Check the file's permissions and its disk."
        return {"file": "", "bytes": "", "sha256": "", "error": f"{member.where}: {text}"}
    return {"file": member.file, "bytes": size, "sha256": sha256, "error": ""}


def _reject_file(row: dict[str, str], name: str, reason: str) -> Examined:
    rejection = Rejection(name, row["file"], reason)
    return Examined(rejection, row["archive"], row["member"], findings=(Finding(WRONG, name, reason),))


def _examine_recordings(path: Path, row: dict[str, str], task: Task, settings: Settings, plots: Path) -> list[Examined]:
    try:
        sources = read_raw_recordings(path, settings.h5.stream, task.layouts, settings.h5.reader)
        streams = explain_streams(path, sources, settings.h5.stream)
    except BadRecording as error:
        return [_reject_file(row, task.name, _shorten(error, path))]
    examined = []
    for name, source, choice in zip(name_recordings(task.name, sources), sources, streams, strict=True):
        if isinstance(source, BadRecording):
            examined.append(_reject_file(row, name, _shorten(source, path)))
            continue
        one = _identify(name, row, source, task, several=len(sources) > 1)
        found = [Finding(FINE, name, choice), *_check_source(name, source, settings)]
        health, damage = _look_at_samples(name, path, source)
        one = replace(one, used=one.used and not damage and not _find_obstacle(source, settings))
        if health:
            found += check_health(name, source, health)
            places = pack_places(source, ~health.dead)
            one = replace(one, noise_uv=float(np.median(health.noise_uv)), places=places)
            plot = plot_electrode_health(
                tabulate_health(source, health), source.rows, source.cols, _title_plot(name, source)
            )
            save_plot(plot, plots / f"{name}.png")
        examined.append(replace(one, findings=(*one.findings, *found, *damage)))
    return examined


def _title_plot(name: str, source: RawRecording) -> str:
    """The recording and, where the layout's name says it, the distance between electrodes."""
    pitch_um = read_pitch(source.layout)
    return f"{name} ({source.layout}: electrodes {pitch_um:g} µm apart)" if np.isfinite(pitch_um) else name


def _shorten(error: Exception, path: Path) -> str:
    """A message without the path it begins with: the finding names the recording."""
    return str(error).removeprefix(f"{path}: ").replace(f"{path.parent}{os.sep}", "")


def _identify(name: str, row: dict[str, str], source: RawRecording, task: Task, several: bool) -> Examined:
    """Its label and groups; not used where the label is unknown."""
    size = int(row["bytes"])
    small = replace(source, spike_times_s=np.zeros(0), spike_electrode=np.zeros(0, np.int64))
    recording = LabelledRecording(name, row["file"], row["sha256"], small, size)
    place = (row["archive"], row["member"])
    try:
        who, _ = find_identity(name, row, source, task.identify, several)
    except BadRecording as error:
        wrong = Finding(WRONG, name, str(error).removeprefix(f"{'/'.join(filter(None, place))}: "), PROPOSE)
        return Examined(recording, *place, electrodes=_count_electrodes(source), findings=(wrong,))
    recording = replace(recording, label=who.label, culture=who.culture, batch=who.batch)
    firing_rate_hz = _measure_rate(source)
    return Examined(recording, *place, task.label_from, bool(who.label), _count_electrodes(source), firing_rate_hz)


def _measure_rate(source: RawRecording) -> float:
    return np.nan if source.n_samples else len(source.spike_times_s) / source.n_electrodes / source.duration_s


def _count_electrodes(source: RawRecording) -> str:
    if source.n_samples:
        return f"{source.n_electrodes} of {source.n_electrodes + len(list_missing(source))}"
    return f"{len(np.unique(source.spike_electrode))} of {source.n_electrodes} fire"


def _check_source(name: str, source: RawRecording, settings: Settings) -> list[Finding]:
    references = sum(note.count(",") + 1 for note in source.notes if note.startswith("reference"))
    findings = [check_electrodes(name, source, references)] if source.n_samples else []
    obstacle = _find_obstacle(source, settings)
    if obstacle:
        remedy = "Set array.sampling_rate_hz to the rate of most recordings, or array.other_sampling_rate: resample."
        findings.append(Finding(DOUBTFUL, name, f"{obstacle}: set aside", remedy))
    for note in (note for note in source.notes if not note.startswith("reference")):
        remedy = next((text for start, text in REMEDIES.items() if note.startswith(start)), OTHER_REMEDY)
        findings.append(Finding(DOUBTFUL, name, note, remedy))
    return findings


def _find_obstacle(source: RawRecording, settings: Settings) -> str:
    return SpikeDetection(**settings.array.model_dump()).explain_rejection(source)


def _look_at_samples(name: str, path: Path, source: RawRecording) -> tuple[Health | None, list[Finding]]:
    """The health of electrodes in the first samples; or None and, where samples are damaged, a finding."""
    if not source.n_samples:
        return None, []
    try:
        return measure_health(
            read_counts(path, source, last=int(np.ceil(FIRST_S * source.sampling_rate_hz))), source
        ), []
    except BadRecording as error:
        return None, [Finding(WRONG, name, _shorten(error, path))]
