"""Classify new recordings with a trained classifier, or reject them with the reason in words.

Needs the folder of a classifier and nothing else: no labels, no parameters, no clone of the project. The source is a
folder with zip archives or HDF5 files, or one such file. Writes one row a recording, as .csv or .json.
"""

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import AfterValidator

from mea.classification.decisions import LAST_COLUMNS, Examined, Predictor, decide, examine_recording, load_predictor
from mea.classification.sources import NewRecording, open_source, pair_baselines, read_new
from mea.runtime.command import print_line
from mea.runtime.errors import BadRecording, MeaError
from mea.runtime.files import write_json
from mea.runtime.parallel import run_parallel
from mea.runtime.tables import write_table
from mea.statistics.prior import EQUAL, check_prior, estimate_prior, resolve_prior
from mea.training.classifier import Classifier, load_classifier

ESTIMATE = "estimate"
FIRST_COLUMNS = ("recording", "predicted", "confidence")
TEXT_COLUMNS = ("predicted", *LAST_COLUMNS)
UNREADABLE = "unreadable"


def check_new_prior(prior: str | dict[str, float] | None) -> str | dict[str, float] | None:
    """The prior of new recordings as a parameter holds it, checked.

    Raises
    ------
    ValueError
        If it is neither None, ``equal``, ``estimate`` nor positive shares that sum to 1.
    """
    if isinstance(prior, str) and prior not in (EQUAL, ESTIMATE):
        raise ValueError(f"must be null (the classifier's own), {EQUAL}, {ESTIMATE}, or the share of each class")
    return prior if prior in (None, ESTIMATE) else check_prior(prior)


NewPrior = Annotated[str | dict[str, float] | None, AfterValidator(check_new_prior)]


def classify_files(source: Path | None, model: Path, out: Path, prior: NewPrior = None) -> pd.DataFrame:
    """Classify every recording of a folder or file, write the table, give it, and report how many were predicted.

    Parameters
    ----------
    source
        Folder with archives or HDF5 files, or one such file; None writes a table without rows.
    model
        Folder of a classifier.
    out
        Table to write; its suffix, ``.csv`` or ``.json``, is the format.
    prior
        As for :func:`classify_source`.

    Raises
    ------
    MeaError
        If the suffix is another, or there is no classifier or no such source.
    """
    check_suffix(out)
    table = classify_source(load_classifier(model), source, prior)
    write_predictions(out, table)
    print_line(f"{summarize_predictions(table)}: {out}")
    return table


def classify_source(classifier: Classifier, source: Path | None, prior: NewPrior = None) -> pd.DataFrame:
    """Classify every recording of a folder or file.

    Parameters
    ----------
    classifier
        The fold models.
    source
        Folder with archives or HDF5 files, or one such file; None for nothing to do.
    prior
        Shares of the classes among the new recordings: None (those the classifier was calibrated for), ``equal``,
        ``estimate`` (from the new recordings themselves), or the share of each class by its label.

    Returns
    -------
    pd.DataFrame
        One row a recording, sorted: recording, predicted, confidence, ``p_<label>``, decision (``predicted`` or
        ``rejected``), reason, flags (how a recording that was predicted differs from the training data),
        prediction_set (the labels that cannot be ruled out). ``predicted`` and ``confidence`` are empty for a
        rejected recording; its probabilities are given whenever they can be computed.

    Raises
    ------
    MeaError
        If a prior is asked of a classifier that was not evaluated, is of other classes, or cannot be estimated.
    """
    return predict_source(open_predictor(classifier), source, prior)


def open_predictor(classifier: Classifier) -> Predictor:
    """The classifier with what decides; a warning where it was not evaluated."""
    predictor = load_predictor(classifier)
    if predictor.rules is None:
        warnings.warn(
            f"{classifier.folder}: trained, but not evaluated: its confidence is not calibrated, and no recording is "
            "rejected for being unlike the training data. Run dvc repro evaluate, and name the classifier it writes.",
            stacklevel=2,
        )
    return predictor


def predict_source(predictor: Predictor, source: Path | None, prior: NewPrior) -> pd.DataFrame:
    """As :func:`classify_source`, by a classifier that is open already."""
    classifier = predictor.classifier
    examined: list[tuple[str, Examined]] = []
    if source is not None:
        with open_source(classifier, source) as (folder, found):
            pairs = pair_baselines(classifier, folder, found)
            examined = run_parallel(_ExamineFile(predictor, folder), pairs, "recordings", begin_here=True)
    examined, shares = apply_prior(predictor, examined, prior)
    rows = [{"recording": name} | decide(predictor, one, shares) for name, one in examined]
    columns = [*FIRST_COLUMNS, *(f"p_{label}" for label in classifier.labels), *LAST_COLUMNS]
    table = pd.DataFrame(rows, columns=columns)
    table = table.astype(dict.fromkeys(TEXT_COLUMNS, object)).fillna(dict.fromkeys(TEXT_COLUMNS, ""))
    return table.sort_values("recording", ignore_index=True)


def apply_prior(
    predictor: Predictor, examined: list[tuple[str, Examined]], prior: NewPrior
) -> tuple[list[tuple[str, Examined]], np.ndarray | None]:
    """The recordings, flagged where the prior is an estimate, and the (n_labels,) shares that were asked for."""
    if prior is None:
        return examined, None
    rules, labels = predictor.rules, predictor.classifier.labels
    if rules is None:
        raise MeaError(
            f"{predictor.classifier.folder}: not evaluated, so it has no prior that could be changed. Run dvc repro "
            "evaluate, or leave the prior away."
        )
    if prior != ESTIMATE:
        shares = resolve_prior(prior, labels, np.ones(len(labels)))
        print_line(f"prior: {format_prior(labels, shares)}")
        return examined, shares
    usable = [one.probabilities for _, one in examined if one.probabilities is not None and not one.reasons]
    shares = estimate_prior(np.array(usable).reshape(-1, len(labels)), np.array(rules.prior))
    said = f"prior: {format_prior(labels, shares)}, estimated from {len(usable)} of these recordings"
    print_line(said)
    return [(name, replace(one, flags=[*one.flags, said])) for name, one in examined], shares


def format_prior(labels: list[str], shares: np.ndarray) -> str:
    """The share of each class in words.

    >>> format_prior(["ko", "wt"], np.array([0.25, 0.75]))
    'ko 0.25, wt 0.75'
    """
    return ", ".join(f"{label} {share:.2g}" for label, share in zip(labels, shares))


class _ExamineFile:
    """Examines one recording; an object, so that it can be sent to worker processes."""

    def __init__(self, predictor: Predictor, folder: Path):
        self.predictor, self.folder = predictor, folder

    def __call__(self, new: NewRecording) -> tuple[str, Examined]:
        name = new.found.recording
        if new.without:
            return name, Examined([f"no baseline: {new.without} (features.baseline)"], [], None)
        try:
            events, odd_rate = read_new(self.predictor.classifier, self.folder, new)
        except BadRecording as error:
            return name, Examined([f"{UNREADABLE}: {error}"], [], None)
        return name, examine_recording(self.predictor, events, odd_rate)


def check_suffix(path: Path) -> None:
    """Refuse to write a table in a format that is not known.

    Raises
    ------
    MeaError
        If the name ends neither in .csv nor in .json.
    """
    if path.suffix.lower() not in (".csv", ".json"):
        raise MeaError(
            f"--out {path}: the name must end in .csv or .json, which decides the format. Name another file."
        )


def write_predictions(path: Path, table: pd.DataFrame) -> None:
    """Write the table of :func:`classify_source`: CSV, or JSON."""
    if path.suffix.lower() == ".json":
        write_json(path, {"recordings": list_rows(table)})
    else:
        write_table(path, table)


def list_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """One mapping a recording; None where a cell is empty."""
    return table.astype(object).where(table.notna() & (table != ""), None).to_dict("records")


def summarize_predictions(table: pd.DataFrame) -> str:
    """How many recordings were predicted, flagged, rejected and unreadable, in one sentence.

    >>> rows = [("predicted", "", ""), ("predicted", "", "length: 6 s"), ("rejected", "unreadable: a.h5: empty", "")]
    >>> summarize_predictions(pd.DataFrame(rows, columns=["decision", "reason", "flags"]))
    '3 recordings: 2 predicted (1 of them flagged: look before you trust it), 0 rejected, 1 unreadable'
    """
    predicted = table["decision"] == "predicted"
    unreadable = table["reason"].str.startswith(f"{UNREADABLE}:").sum()
    flagged = (predicted & (table["flags"] != "")).sum()
    doubt = f" ({flagged} of them flagged: look before you trust it)" if flagged else ""
    rejected = len(table) - predicted.sum() - unreadable
    return f"{len(table)} recordings: {predicted.sum()} predicted{doubt}, {rejected} rejected, {unreadable} unreadable"
