"""Unpacked files → recordings, or the reason why not."""

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from mea.recordings.formats import OWN, read_raw_recordings
from mea.recordings.identities import find_identity, name_recordings
from mea.recordings.labels import Identify
from mea.recordings.layouts import NO_LAYOUTS, Layouts
from mea.recordings.recording import LabelledRecording, RawRecording, read_recording, write_recording
from mea.runtime.cache import keep_file, make_key, take_file
from mea.runtime.errors import BadRecording, MeaError
from mea.runtime.parallel import run_parallel


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
    out: Path | None = None,
    layouts: Layouts = NO_LAYOUTS,
    reader: str = OWN,
) -> list[LabelledRecording | Rejection]:
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
    out
        Folder for the small file of each recording, ``<recording>.h5``; a file that was read before, in the same way,
        is not read again (:mod:`mea.runtime.cache`). The recordings given back then have no spike times, so that any
        number of them fits in memory.

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
    described = {"stream": stream, "layouts": {name: vars(layout) for name, layout in layouts.items()}}
    way = make_key(described, __name__) if out and reader == OWN else ""  # neo's version is not known: it reads anew
    work = partial(_read_row, folder=folder, read=read, way=way, identify=identify, out=out)
    lines = manifest[manifest.error == ""].to_dict("records")
    found = iter(run_parallel(work, lines, "h5", begin_here=True))
    results: list[LabelledRecording | Rejection] = []
    for row in manifest.itertuples():
        results += [Rejection(row.recording, row.file, row.error)] if row.error else next(found)
    if twice := [name for name, count in Counter(one.recording for one in results).items() if count > 1]:
        raise MeaError(
            f"{twice[0]}: the id of two recordings, a file's and that of a well of a plate. Rename the file."
        )
    return results


def _read_row(
    row: dict[str, str],
    folder: Path,
    read: Callable[[Path], list[RawRecording | BadRecording]],
    way: str,
    identify: Identify,
    out: Path | None,
) -> list[LabelledRecording | Rejection]:
    results: list[LabelledRecording | Rejection]
    small, key = None, ""
    if out and way:
        small = out / f"{row['recording']}.h5"  # of a file that holds one recording
        key = make_key({"way": way} | {name: row[name] for name in ("recording", "file", "bytes", "sha256")}, __name__)
    if small and take_file(key, small):
        results = _label_sources(row, [read_recording(small).source], identify, folder)
        if isinstance(results[0], Rejection):
            small.unlink()
    else:
        results = _label_sources(row, _read_sources(read, folder / row["file"]), identify, folder)
        for one in results:
            if out and isinstance(one, LabelledRecording):
                write_recording(out / f"{one.recording}.h5", one)
        if small and small.exists() and len(results) == 1:
            keep_file(key, small)
    return [_drop_spikes(one) if out and isinstance(one, LabelledRecording) else one for one in results]


def _read_sources(
    read: Callable[[Path], list[RawRecording | BadRecording]], path: Path
) -> list[RawRecording | BadRecording]:
    try:
        return read(path)
    except BadRecording as error:
        return [error]


def _label_sources(
    row: dict[str, str], sources: list[RawRecording | BadRecording], identify: Identify, folder: Path
) -> list[LabelledRecording | Rejection]:
    results: list[LabelledRecording | Rejection] = []
    for name, source in zip(name_recordings(row["recording"], sources), sources, strict=True):
        try:
            results.append(_label_recording(name, row, source, identify, several=len(sources) > 1))
        except BadRecording as error:
            # The catalogue's bytes may not depend on where the folder lies: the reason names the file inside it.
            results.append(Rejection(name, row["file"], str(error).replace(f"{folder}{os.sep}", "")))
    return results


def _label_recording(
    name: str, row: dict[str, str], source: RawRecording | BadRecording, identify: Identify, several: bool
) -> LabelledRecording:
    if isinstance(source, BadRecording):
        raise source
    who, assumed = find_identity(name, row, source, identify, several)
    size = int(row["bytes"])
    return LabelledRecording(
        **vars(who), file=row["file"], sha256=row["sha256"], source=source, file_bytes=size, assumed=assumed
    )


def _drop_spikes(recording: LabelledRecording) -> LabelledRecording:
    source = replace(recording.source, spike_times_s=np.zeros(0), spike_electrode=np.zeros(0, np.int64))
    return replace(recording, source=source)
