"""New recordings: unpacked from a folder or file, read, and brought to what the classifier learned from."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mea.arrays.detection import SpikeDetection, read_events
from mea.arrays.events import Baseline, SpikeEvents
from mea.recordings.archives import unpack
from mea.recordings.formats import OWN
from mea.recordings.identities import identify_nobody
from mea.recordings.lab_columns import build_lab_columns
from mea.recordings.lab_layouts import find_layouts
from mea.recordings.lab_tables import read_rows
from mea.recordings.manifest import RECORDINGS_CSV
from mea.recordings.other_files import list_suffixes
from mea.recordings.reading import Rejection, read_recordings
from mea.recordings.recording import LabelledRecording
from mea.runtime.cluster import ADDRESS
from mea.runtime.errors import BadRecording
from mea.splitting.baselines import NONE, read_named
from mea.training.classifier import Classifier


@contextmanager
def open_source(classifier: Classifier, source: Path) -> Iterator[tuple[Path, list[LabelledRecording | Rejection]]]:
    """Unpack a folder or file of new recordings; while the block runs, give their folder and what was found in it."""
    shared = Path.cwd() if os.environ.get(ADDRESS) else None  # a cluster's workers see this folder, but no other's /tmp
    with tempfile.TemporaryDirectory(prefix=".mea-new-", suffix=".partial", dir=shared) as temporary:
        folder = Path(temporary) / "unzip"
        h5 = classifier.params["h5"]
        reader = h5.get("reader", OWN)  # a classifier may be older than this parameter
        manifest, layouts = unpack(source, folder, list_suffixes(reader)), find_layouts(folder)
        yield folder, read_recordings(folder, manifest, h5["stream"], identify_nobody, None, layouts, reader)


@dataclass(frozen=True)
class NewRecording:
    """A recording that :func:`open_source` found, and what its features are referred to.

    Attributes
    ----------
    found
        The recording, or why there is none.
    baseline
        The same of its baseline; None where the classifier refers to none.
    without
        Why it has no baseline although the classifier needs one; empty where it has.
    """

    found: LabelledRecording | Rejection
    baseline: LabelledRecording | Rejection | None = None
    without: str = ""


def pair_baselines(
    classifier: Classifier, folder: Path, found: list[LabelledRecording | Rejection]
) -> list[NewRecording]:
    """Each recording with its baseline, which the column ``baseline`` of the source's ``recordings.csv`` names."""
    if get_how(classifier) == NONE:
        return [NewRecording(one) for one in found]
    table, by_name = folder / RECORDINGS_CSV, {one.recording: one for one in found}
    named = read_named(build_lab_columns(read_rows(table), table)) if table.exists() else {}
    pairs = []
    for one in found:
        baseline = named.get(one.recording, "")
        if baseline and baseline != one.recording and baseline in by_name:
            pairs.append(NewRecording(one, by_name[baseline]))
        elif baseline:
            pairs.append(NewRecording(one, None, f"{baseline} is not another recording of the source"))
        else:
            pairs.append(
                NewRecording(one, None, "none is named in the column 'baseline' of a recordings.csv beside it")
            )
    return pairs


def get_how(classifier: Classifier) -> str:
    """How a classifier's features are referred to a baseline; one may be older than this parameter."""
    return classifier.params.get("features", {}).get("baseline", NONE)


def read_new(classifier: Classifier, folder: Path, new: NewRecording) -> tuple[SpikeEvents, str]:
    """The events of a new recording, with its baseline; and why its sampling rate is another, if it is.

    Raises
    ------
    BadRecording
        If one of them cannot be read.
    """
    events, odd_rate = _read(classifier, folder, new.found)
    if new.baseline is None:
        return events, odd_rate
    baseline, odd = _read(classifier, folder, new.baseline)
    return events.refer(Baseline(get_how(classifier), baseline)), odd_rate or odd


def _read(classifier: Classifier, folder: Path, found: LabelledRecording | Rejection) -> tuple[SpikeEvents, str]:
    if isinstance(found, Rejection):
        raise BadRecording(found.reason)
    detection = SpikeDetection(**classifier.params["array"])
    try:
        return read_events(folder / found.file, found, detection), detection.explain_rejection(found.source)
    except BadRecording as error:  # the temporary folder has another name every time
        raise BadRecording(str(error).replace(f"{folder}{os.sep}", "")) from None
