"""New recordings: unpacked from a folder or file, read, and brought to what the classifier learned from."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mea.arrays.detection import SpikeDetection, read_events
from mea.arrays.events import SpikeEvents
from mea.recordings.archives import unpack
from mea.recordings.catalogue import Rejection, read_recordings
from mea.recordings.formats import OWN
from mea.recordings.identities import identify_nobody
from mea.recordings.lab_layouts import find_layouts
from mea.recordings.other_files import list_suffixes
from mea.recordings.recording import Recording
from mea.runtime.cluster import ADDRESS
from mea.runtime.errors import BadRecording
from mea.training.classifier import Classifier


@contextmanager
def open_source(classifier: Classifier, source: Path) -> Iterator[tuple[Path, list[Recording | Rejection]]]:
    """Unpack a folder or file of new recordings; while the block runs, give their folder and what was found in it."""
    shared = Path.cwd() if os.environ.get(ADDRESS) else None  # a cluster's workers see this folder, but no other's /tmp
    with tempfile.TemporaryDirectory(prefix=".mea-new-", suffix=".partial", dir=shared) as temporary:
        folder = Path(temporary) / "unzip"
        h5 = classifier.params["h5"]
        reader = h5.get("reader", OWN)  # a classifier may be older than this parameter
        manifest, layouts = unpack(source, folder, list_suffixes(reader)), find_layouts(folder)
        yield folder, read_recordings(folder, manifest, h5["stream"], identify_nobody, None, layouts, reader)


def read_new(classifier: Classifier, folder: Path, found: Recording | Rejection) -> tuple[SpikeEvents, str]:
    """The events of a recording that :func:`open_source` found; and why its sampling rate is another, if it is.

    Raises
    ------
    BadRecording
        If it cannot be read.
    """
    if isinstance(found, Rejection):
        raise BadRecording(found.reason)
    detection = SpikeDetection(**classifier.params["array"])
    try:
        return read_events(folder / found.file, found, detection), detection.explain_rejection(found.source)
    except BadRecording as error:  # the temporary folder has another name every time
        raise BadRecording(str(error).replace(f"{folder}{os.sep}", "")) from None
