"""New recordings: called, or refused with the reason in words."""

import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mea.arrays.cleaning import Cleaning, read_events
from mea.arrays.events import Events
from mea.classification.novelty import Experience, list_strange, load_experience, measure_recording
from mea.evaluation.rules import Rules, load_rules
from mea.recordings.archives import unpack
from mea.recordings.catalogue import Refusal, identify_nobody, read_recordings
from mea.recordings.recording import Recording
from mea.runtime.cluster import ADDRESS
from mea.runtime.errors import BadRecording
from mea.runtime.parallel import run_parallel
from mea.splitting.chunks import cut_chunks
from mea.training.classifier import Classifier

COLUMNS = ("recording", "predicted", "confidence")
LAST_COLUMNS = ("decision", "reason", "flags", "prediction_set")
NOT_EVALUATED = "not evaluated: confidence not calibrated, likeness to the training data not checked"


@dataclass(frozen=True)
class Caller:
    """A classifier with what its evaluation taught, read once for many recordings.

    Attributes
    ----------
    classifier
        What was learned.
    rules
        How to read its probabilities; None for one that was trained, but not evaluated.
    experience
        What its training recordings are like; None for the same.
    """

    classifier: Classifier
    rules: Rules | None
    experience: Experience | None


def load_caller(classifier: Classifier) -> Caller:
    """Read what lies beside the models of a classifier."""
    return Caller(classifier, load_rules(classifier.folder), load_experience(classifier.folder))


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
        ``refused``), reason, flags (in which ways a recording that was called is unlike those learned from),
        prediction_set (those that cannot be ruled out). ``predicted`` and ``confidence`` stay empty for a refused
        recording; its probabilities are there whenever they can be computed.
    """
    caller = load_caller(classifier)
    if caller.rules is None:
        warnings.warn(
            f"{classifier.folder}: trained, but not evaluated: its confidence is not calibrated, and none is refused "
            "for being unlike the training data. Run dvc repro evaluate, and name the classifier it writes.",
            stacklevel=2,
        )
    rows: list[dict[str, Any]] = []
    if source is not None:
        with open_source(classifier, source) as (folder, found):
            rows = run_parallel(_Decide(caller, folder), found, "recordings")
    columns = [*COLUMNS, *(f"p_{label}" for label in classifier.labels), *LAST_COLUMNS]
    return pd.DataFrame(rows, columns=columns).sort_values("recording", ignore_index=True)


class _Decide:
    """One recording's row; an object, so that worker processes can be sent it."""

    def __init__(self, caller: Caller, folder: Path):
        self.caller, self.folder = caller, folder

    def __call__(self, found: Recording | Refusal) -> dict[str, Any]:
        try:
            events, odd_rate = read_new(self.caller.classifier, self.folder, found)
        except BadRecording as error:
            return {"recording": found.recording, "decision": "refused", "reason": f"unreadable: {error}"}
        return {"recording": found.recording} | call_recording(self.caller, events, odd_rate)


@contextmanager
def open_source(classifier: Classifier, source: Path) -> Iterator[tuple[Path, list[Recording | Refusal]]]:
    """Unpack a folder or file of new recordings, for as long as the block lasts: where they are, and which."""
    shared = Path.cwd() if os.environ.get(ADDRESS) else None  # a cluster's workers see this folder, but no other's /tmp
    with tempfile.TemporaryDirectory(prefix=".mea-new-", suffix=".partial", dir=shared) as temporary:
        folder = Path(temporary) / "unzip"
        manifest = unpack(source, folder)
        yield folder, read_recordings(folder, manifest, classifier.params["h5"]["stream"], identify_nobody)


def read_new(classifier: Classifier, folder: Path, found: Recording | Refusal) -> tuple[Events, str]:
    """The events of a recording that :func:`open_source` found, and why its rate is odd, if it is.

    Raises
    ------
    BadRecording
        If it cannot be read.
    """
    if isinstance(found, Refusal):
        raise BadRecording(found.reason)
    cleaning = Cleaning(**classifier.params["array"])
    try:
        return read_events(folder / found.file, found, cleaning), cleaning.explain_refusal(found.source)
    except BadRecording as error:  # the folder is a temporary one: another every time
        raise BadRecording(str(error).replace(f"{folder}{os.sep}", "")) from None


def decide(classifier: Classifier, events: Events, odd_rate: str = "") -> dict[str, Any]:
    """:func:`call_recording` for a single recording."""
    return call_recording(load_caller(classifier), events, odd_rate)


def call_recording(caller: Caller, events: Events, odd_rate: str = "") -> dict[str, Any]:
    """Call one recording or refuse it.

    Parameters
    ----------
    caller
        What was learned.
    events
        The recording, at the classifier's rate.
    odd_rate
        Why its rate is unlike those learned from; empty where it is not.

    Returns
    -------
    dict
        predicted, confidence, ``p_<label>``, decision, reason, flags, prediction_set.
    """
    classifier, rules = caller.classifier, caller.rules
    reasons = [f"rate: {odd_rate}"] if odd_rate else []
    reasons += list_differences(classifier, events)
    flags: list[str] = []
    if not reasons:
        reasons, flags = _look(caller, events)
    probabilities, obstacle = predict_recording(classifier, events, rules)
    if obstacle:
        reasons.append(obstacle)
    row: dict[str, Any] = {"flags": "; ".join(flags)}
    if probabilities is not None:
        row |= {f"p_{label}": value for label, value in zip(classifier.labels, probabilities)}
        best = int(probabilities.argmax())
        if rules:
            row["prediction_set"] = rules.name_sets(probabilities[None])[0]
            unsure = rules.explain_refusal(probabilities[best])
            reasons += [unsure] if unsure else []
    if reasons or probabilities is None:
        return row | {"decision": "refused", "reason": "; ".join(reasons)}
    call = {"predicted": classifier.labels[best], "confidence": probabilities[best]}
    if rules is None:
        call["flags"] = NOT_EVALUATED
    return row | call | {"decision": "called", "reason": ""}


def _look(caller: Caller, events: Events) -> tuple[list[str], list[str]]:
    """Why a recording cannot be called, and what else is strange about it, by what the classifier has experienced."""
    if caller.experience is None:
        return ["silent: not one spike"] if not len(events) else [], []
    classifier = caller.classifier
    return list_strange(caller.experience, measure_recording(events, classifier.used_s, classifier.threshold))


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


def predict_recording(
    classifier: Classifier, events: Events, rules: Rules | None = None
) -> tuple[np.ndarray | None, str]:
    """Mean of the fold models' probabilities, calibrated where there are rules, (n_labels,); or None and why not."""
    chunks, obstacle = cut_recording(classifier, events)
    if obstacle:
        return None, obstacle
    by_fold = [classifier.predict_whole(chunks, {events.recording: events}, fold)[0] for fold in classifier.folds]
    stated = np.array(by_fold)
    return (rules.calibrator.calibrate(stated) if rules else stated).mean(0), ""


def cut_recording(classifier: Classifier, events: Events) -> tuple[pd.DataFrame, str]:
    """The chunks of a new recording that the classifier looks at, or why it cannot look at it."""
    one = {"rate_hz": events.rate_hz, "duration_s": events.duration_s, "recording": events.recording}
    table = pd.DataFrame([one | {"label": "", "culture": "", "batch": ""}])
    chunks, refused = cut_chunks(table, classifier.chunk_s, classifier.first_s)
    short = f"length: {events.duration_s:g} s are shorter than one chunk of {classifier.chunk_s:g} s"
    return chunks, classifier.find_obstacle(events) or (short if refused else "")
