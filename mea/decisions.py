"""New recordings: called, or refused with the reason in words."""

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mea.archives import unpack
from mea.catalogue import Refusal, identify_nobody, read_recordings
from mea.classifier import Classifier
from mea.cleaning import Cleaning, read_events
from mea.errors import BadRecording
from mea.events import Events
from mea.parallel import run_parallel
from mea.recording import Recording
from mea.splits import cut_chunks
from mea.votes import average_chunks

COLUMNS = ("recording", "predicted", "confidence")


def classify_source(classifier: Classifier, source: Path | None) -> pd.DataFrame:
    """Classify every recording of a folder or file.

    Parameters
    ----------
    classifier
        What was learned.
    source
        Folder with archives or HDF5 files, or one such file; None for nothing to do.

    Returns
    -------
    pd.DataFrame
        One row a recording, sorted: recording, predicted, confidence, ``p_<label>``, decision (``called`` or
        ``refused``), reason. ``predicted`` and ``confidence`` stay empty for a refused recording; its probabilities
        are there whenever they can be computed.
    """
    rows: list[dict[str, Any]] = []
    if source is not None:
        with tempfile.TemporaryDirectory(prefix="mea-classify-") as temporary:
            folder = Path(temporary) / "unzip"
            manifest = unpack(source, folder)
            found = read_recordings(folder, manifest, classifier.params["h5"]["stream"], identify_nobody)
            rows = run_parallel(_Decide(classifier, folder), found, "recordings")
    columns = [*COLUMNS, *(f"p_{label}" for label in classifier.labels), "decision", "reason"]
    return pd.DataFrame(rows, columns=columns).sort_values("recording", ignore_index=True)


class _Decide:
    """One recording's row; an object, so that worker processes can be sent it."""

    def __init__(self, classifier: Classifier, folder: Path):
        self.classifier, self.folder = classifier, folder

    def __call__(self, found: Recording | Refusal) -> dict[str, Any]:
        if isinstance(found, Refusal):
            return {"recording": found.recording, "decision": "refused", "reason": f"unreadable: {found.reason}"}
        cleaning = Cleaning(**self.classifier.params["array"])
        try:
            events = read_events(self.folder / found.file, found, cleaning)
        except BadRecording as error:
            reason = str(error).replace(f"{self.folder}{os.sep}", "")  # a temporary folder: another one every time
            return {"recording": found.recording, "decision": "refused", "reason": f"unreadable: {reason}"}
        odd_rate = cleaning.explain_refusal(found.source)
        return {"recording": found.recording} | decide(self.classifier, events, odd_rate)


def decide(classifier: Classifier, events: Events, odd_rate: str = "") -> dict[str, Any]:
    """Call one recording or refuse it.

    Parameters
    ----------
    classifier
        What was learned.
    events
        The recording, at the classifier's rate.
    odd_rate
        Why its rate is unlike those learned from; empty where it is not.

    Returns
    -------
    dict
        predicted, confidence, ``p_<label>``, decision, reason.
    """
    reasons = [f"rate: {odd_rate}"] if odd_rate else []
    reasons += list_differences(classifier, events)
    probabilities, obstacle = predict_recording(classifier, events)
    if obstacle:
        reasons.append(obstacle)
    row: dict[str, Any] = {}
    if probabilities is not None:
        row = {f"p_{label}": value for label, value in zip(classifier.labels, probabilities)}
    if reasons or probabilities is None:
        return row | {"decision": "refused", "reason": "; ".join(reasons)}
    best = int(probabilities.argmax())
    call = {"predicted": classifier.labels[best], "confidence": probabilities[best]}
    return row | call | {"decision": "called", "reason": ""}


def list_differences(classifier: Classifier, events: Events) -> list[str]:
    """In which ways a recording's format and grid are not those the classifier learned from, in words."""
    reasons = []
    if events.format != classifier.format:
        reasons.append(f"format: {events.format}, but the classifier learned from {classifier.format}")
    if (events.rows, events.cols) != (classifier.rows, classifier.cols):
        reasons.append(
            f"grid: {events.rows} × {events.cols} electrodes, but the classifier learned from "
            f"{classifier.rows} × {classifier.cols}"
        )
    return reasons


def predict_recording(classifier: Classifier, events: Events) -> tuple[np.ndarray | None, str]:
    """Mean of the fold models' probabilities over the recording's chunks, (n_labels,); or None and why not."""
    obstacle = classifier.find_obstacle(events)
    if obstacle:
        return None, obstacle
    one = {"rate_hz": events.rate_hz, "duration_s": events.duration_s, "recording": events.recording}
    table = pd.DataFrame([one | {"label": "", "culture": "", "batch": ""}])
    chunks, refused = cut_chunks(table, classifier.chunk_s, classifier.first_s)
    if refused:
        return None, f"length: {events.duration_s:g} s are shorter than one chunk of {classifier.chunk_s:g} s"
    by_fold = [classifier.predict(chunks, {events.recording: events}, fold) for fold in classifier.folds]
    return average_chunks(chunks, np.mean(by_fold, axis=0)).to_numpy()[0], ""
