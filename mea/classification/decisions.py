"""The decision on one new recording: predicted, or rejected with the reason in words. See docs/rejections.md."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mea.arrays.events import SpikeEvents
from mea.classification.known import explain_known, read_digests
from mea.classification.measurements import measure_recording
from mea.classification.novelty import FILE as NOVELTY_FILE
from mea.classification.novelty import SILENT, NoveltyDetector, load_detector
from mea.evaluation.rules import FILE as RULES_FILE
from mea.evaluation.rules import Rules, load_rules
from mea.recordings.recording import format_pauses
from mea.runtime.errors import MeaError
from mea.splitting.chunks import cut_chunks
from mea.statistics.prior import shift_prior
from mea.training.classifier import Classifier

LAST_COLUMNS = ("decision", "reason", "flags", "prediction_set")
NOT_EVALUATED = "not evaluated: confidence not calibrated, likeness to the training data not checked"


@dataclass(frozen=True)
class Predictor:
    """A classifier with what the evaluate stage wrote beside it; read once, used for many recordings.

    Attributes
    ----------
    classifier
        The fold models.
    rules
        Calibration and confidence threshold; None for a classifier that was trained, but not evaluated.
    novelty
        Compares a recording with the training data; None for the same.
    digests
        Recordings that it learned from: :func:`mea.classification.known.read_digests`.
    """

    classifier: Classifier
    rules: Rules | None
    novelty: NoveltyDetector | None
    digests: dict[str, str]


def load_predictor(classifier: Classifier) -> Predictor:
    """Read what lies beside the models of a classifier.

    Raises
    ------
    MeaError
        If only a part of what the evaluate stage writes is there, or it is about other classes.
    """
    folder = classifier.folder
    rules, novelty = load_rules(folder), load_detector(folder)
    if (rules is None) != (novelty is None):
        there, missing = (RULES_FILE, NOVELTY_FILE) if novelty is None else (NOVELTY_FILE, RULES_FILE)
        raise MeaError(f"{folder / missing}: is missing, but {there} is there. Run dvc checkout, or copy it again.")
    if rules and rules.labels != classifier.labels:
        raise MeaError(f"{folder / RULES_FILE}: about other classes than the classifier. Run dvc repro evaluate.")
    return Predictor(classifier, rules, novelty, read_digests(folder))


@dataclass(frozen=True)
class Examined:
    """One new recording, before it is decided.

    Attributes
    ----------
    reasons
        Why it is rejected, whatever its probabilities.
    flags
        What should be looked at before a prediction is trusted.
    probabilities
        (n_labels,) calibrated for the classifier's own prior; None where they cannot be computed.
    """

    reasons: list[str]
    flags: list[str]
    probabilities: np.ndarray | None


def classify_recording(predictor: Predictor, events: SpikeEvents, odd_rate: str = "") -> dict[str, Any]:
    """Predict the class of one recording, or reject it: :func:`examine_recording`, then :func:`decide`."""
    return decide(predictor, examine_recording(predictor, events, odd_rate))


def examine_recording(predictor: Predictor, events: SpikeEvents, odd_rate: str = "") -> Examined:
    """Compare a recording with the training data, and compute its probabilities.

    Parameters
    ----------
    predictor
        The classifier.
    events
        The recording, at the classifier's sampling rate.
    odd_rate
        Why the sampling rate of its file differs from the classifier's; empty where it does not.
    """
    reasons = [f"sampling rate: {odd_rate} (array.sampling_rate_hz)"] if odd_rate else []
    reasons += list_differences(predictor.classifier, events)
    flags: list[str] = []
    if not reasons:
        reasons, flags = _check_novelty(predictor, events)
    known = explain_known(events, predictor.digests)
    probabilities, obstacle = predict_proba(predictor.classifier, events, predictor.rules)
    return Examined(reasons + [obstacle] * bool(obstacle), [known] * bool(known) + flags, probabilities)


def decide(predictor: Predictor, examined: Examined, prior: np.ndarray | None = None) -> dict[str, Any]:
    """Predict or reject a recording that was examined.

    Parameters
    ----------
    predictor
        The classifier.
    examined
        The recording.
    prior
        (n_labels,) share of each class among the new recordings; None: that of the classifier.

    Returns
    -------
    dict
        predicted, confidence, ``p_<label>``, decision, reason, flags, prediction_set; keys without a value are absent.
    """
    labels, rules = predictor.classifier.labels, predictor.rules
    reasons, probabilities = list(examined.reasons), examined.probabilities
    row: dict[str, Any] = {"flags": "; ".join(examined.flags)}
    if probabilities is not None:
        if rules and prior is not None:
            probabilities = shift_prior(probabilities[None], np.array(rules.prior), prior)[0]
        row |= {f"p_{label}": value for label, value in zip(labels, probabilities)}
        best = int(probabilities.argmax())
        if rules:
            row["prediction_set"] = rules.format_sets(probabilities[None])[0]
            unsure = rules.explain_rejection(probabilities[best])
            reasons += [unsure] if unsure else []
    if reasons or probabilities is None:
        return row | {"decision": "rejected", "reason": "; ".join(reasons)}
    of_classifier = list(rules.flags) if rules else [NOT_EVALUATED]
    row["flags"] = "; ".join([*of_classifier, *examined.flags])
    return row | {"predicted": labels[best], "confidence": probabilities[best], "decision": "predicted", "reason": ""}


def _check_novelty(predictor: Predictor, events: SpikeEvents) -> tuple[list[str], list[str]]:
    """Reasons to reject a recording because it is unlike the training data, and flags."""
    if predictor.novelty is None:
        return [SILENT] if not len(events) else [], []
    classifier = predictor.classifier
    return predictor.novelty.check(measure_recording(events, classifier.used_s, classifier.threshold))


def list_differences(classifier: Classifier, events: SpikeEvents) -> list[str]:
    """How the format and the electrode grid of a recording differ from those of the training data, in words."""
    reasons = []
    if events.format != classifier.format:
        reasons.append(f"format: {events.format}, but the classifier learned from {classifier.format}")
    if (events.rows, events.cols) != (classifier.rows, classifier.cols):
        reasons.append(
            f"grid: {events.rows} × {events.cols} electrodes, but the classifier learned from "
            f"{classifier.rows} × {classifier.cols}"
        )
    return reasons


def predict_proba(
    classifier: Classifier, events: SpikeEvents, rules: Rules | None = None
) -> tuple[np.ndarray | None, str]:
    """Mean of the fold models' probabilities, calibrated where there are rules, (n_labels,); or None and why not."""
    chunks, obstacle = cut_recording(classifier, events)
    if obstacle:
        return None, obstacle
    one = {events.recording: events}
    raw_proba = np.array([classifier.open_model(fold).predict_recordings(chunks, one)[0] for fold in classifier.folds])
    return (rules.calibrator.calibrate(raw_proba) if rules else raw_proba).mean(0), ""


def cut_recording(classifier: Classifier, events: SpikeEvents) -> tuple[pd.DataFrame, str]:
    """The chunks of a new recording that the classifier sees, or why it cannot be given the recording."""
    one: dict[str, Any] = {"sampling_rate_hz": events.sampling_rate_hz, "duration_s": events.duration_s}
    one |= {"recording": events.recording, "pauses_s": format_pauses(events)}
    table = pd.DataFrame([one | {"label": "", "culture": "", "batch": ""}])
    chunks, too_short = cut_chunks(table, classifier.chunk_s, classifier.first_s)
    short = f"length: {events.duration_s:g} s are shorter than one chunk of {classifier.chunk_s:g} s (split.chunk_s)"
    return chunks, classifier.check_input(events) or (short if too_short else "")
