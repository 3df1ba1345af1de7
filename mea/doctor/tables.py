"""What the lab's own tables say of the recordings that the doctor looks at."""

from pathlib import Path

import pandas as pd

from mea.doctor.findings import WRONG, Finding
from mea.doctor.settings import Settings
from mea.recordings.catalogue import reject_missing
from mea.recordings.identities import identify_nobody
from mea.recordings.lab_layouts import find_layouts
from mea.recordings.labels import FilePatterns, Identify, choose_identify, read_recordings_csv
from mea.recordings.layouts import NO_LAYOUTS, Layouts
from mea.recordings.manifest import PLATES_CSV, RECORDINGS_CSV
from mea.recordings.plate_map import read_plate_map
from mea.recordings.reading import Rejection
from mea.recordings.recording import LabelledRecording
from mea.runtime.errors import MeaError


def find_identify(
    path: Path, settings: Settings, as_source: bool, findings: list[Finding]
) -> tuple[Identify, str, pd.DataFrame | None, Layouts]:
    """Where labels come from: tables in the folder or beside a file of it, else the file names; and its layouts."""
    folder, h5 = path if path.is_dir() else path.parent, settings.h5
    listed, plates, said, layouts = None, None, list[str](), NO_LAYOUTS
    patterns = FilePatterns(h5.labels, h5.culture, h5.batch, h5.part)
    if path.is_dir() or not as_source:
        try:
            if (folder / RECORDINGS_CSV).is_file():
                listed = read_recordings_csv(folder / RECORDINGS_CSV)
                patterns = FilePatterns(h5.labels)
                said.append(RECORDINGS_CSV)
            if (folder / PLATES_CSV).is_file():
                plates = read_plate_map(folder / PLATES_CSV)
                said.append(PLATES_CSV)
            layouts = find_layouts(folder)
        except MeaError as error:
            findings.append(Finding(WRONG, str(error).partition(":")[0], str(error)))
            return identify_nobody, "", None, NO_LAYOUTS
    return choose_identify(listed, patterns, plates), " and ".join(said) or "file name", listed, layouts


def find_missing(
    path: Path, table: pd.DataFrame, results: list[LabelledRecording | Rejection], manifest: pd.DataFrame
) -> list[Finding]:
    """A finding, if the table lists recordings that are not there."""
    try:
        reject_missing(table.index, results, manifest, path / RECORDINGS_CSV)
    except MeaError as error:
        return [Finding(WRONG, RECORDINGS_CSV, str(error))]
    return []
