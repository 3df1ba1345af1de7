"""Classify new recordings with a trained classifier, or reject them with the reason in words.

Needs the folder of a classifier and nothing else: no labels, no parameters, no clone of the project. The source is a
folder with zip archives or HDF5 files, or one such file. Writes one row a recording, as .csv or .json.
"""

import argparse
import warnings
from pathlib import Path
from typing import Any

import pandas as pd

from mea.classification.decisions import LAST_COLUMNS, Predictor, classify_recording, load_predictor
from mea.classification.sources import open_source, read_new
from mea.recordings.catalogue import Rejection
from mea.recordings.recording import Recording
from mea.runtime.command import check_environment, end_plainly, print_line, show_warnings_plainly
from mea.runtime.errors import BadRecording, MeaError
from mea.runtime.files import write_json
from mea.runtime.parallel import run_parallel
from mea.runtime.tables import write_table
from mea.training.classifier import Classifier, load_classifier

FIRST_COLUMNS = ("recording", "predicted", "confidence")
TEXT_COLUMNS = ("predicted", *LAST_COLUMNS)
UNREADABLE = "unreadable"


def classify_files(source: Path | None, model: Path, out: Path) -> None:
    """Classify every recording of a folder or file, write the table, and report how many were predicted.

    Parameters
    ----------
    source
        Folder with archives or HDF5 files, or one such file; None writes a table without rows.
    model
        Folder of a classifier.
    out
        Table to write; its suffix, ``.csv`` or ``.json``, is the format.

    Raises
    ------
    MeaError
        If the suffix is another, or there is no classifier or no such source.
    """
    check_suffix(out)
    table = classify_source(load_classifier(model), source)
    write_predictions(out, table)
    print_line(f"{summarize_predictions(table)}: {out}")


def classify_source(classifier: Classifier, source: Path | None) -> pd.DataFrame:
    """Classify every recording of a folder or file.

    Parameters
    ----------
    classifier
        The fold models.
    source
        Folder with archives or HDF5 files, or one such file; None for nothing to do.

    Returns
    -------
    pd.DataFrame
        One row a recording, sorted: recording, predicted, confidence, ``p_<label>``, decision (``predicted`` or
        ``rejected``), reason, flags (how a recording that was predicted differs from the training data),
        prediction_set (the labels that cannot be ruled out). ``predicted`` and ``confidence`` are empty for a
        rejected recording; its probabilities are given whenever they can be computed.
    """
    predictor = load_predictor(classifier)
    if predictor.rules is None:
        warnings.warn(
            f"{classifier.folder}: trained, but not evaluated: its confidence is not calibrated, and no recording is "
            "rejected for being unlike the training data. Run dvc repro evaluate, and name the classifier it writes.",
            stacklevel=2,
        )
    rows: list[dict[str, Any]] = []
    if source is not None:
        with open_source(classifier, source) as (folder, found):
            rows = run_parallel(_ClassifyFile(predictor, folder), found, "recordings")
    columns = [*FIRST_COLUMNS, *(f"p_{label}" for label in classifier.labels), *LAST_COLUMNS]
    table = pd.DataFrame(rows, columns=columns)
    table = table.astype(dict.fromkeys(TEXT_COLUMNS, object)).fillna(dict.fromkeys(TEXT_COLUMNS, ""))
    return table.sort_values("recording", ignore_index=True)


class _ClassifyFile:
    """Gives one recording's row; an object, so that it can be sent to worker processes."""

    def __init__(self, predictor: Predictor, folder: Path):
        self.predictor, self.folder = predictor, folder

    def __call__(self, found: Recording | Rejection) -> dict[str, Any]:
        try:
            events, odd_rate = read_new(self.predictor.classifier, self.folder, found)
        except BadRecording as error:
            return {"recording": found.recording, "decision": "rejected", "reason": f"{UNREADABLE}: {error}"}
        return {"recording": found.recording} | classify_recording(self.predictor, events, odd_rate)


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
    """Write the table of :func:`classify_source`: CSV, or JSON with one mapping a recording (null where empty)."""
    if path.suffix.lower() == ".json":
        cells = table.astype(object).where(table.notna() & (table != ""), None)
        write_json(path, {"recordings": cells.to_dict("records")})
    else:
        write_table(path, table)


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


def build_parser(prog: str) -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog=prog, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    source = "folder or file with recordings to classify"
    parser.add_argument("--source", metavar="PATH", type=Path, required=True, help=source)
    parser.add_argument(
        "--model", metavar="FOLDER", type=Path, default=Path("models/classifier"), help="classifier (models/classifier)"
    )
    out = "table to write, .csv or .json (predictions.csv)"
    parser.add_argument("--out", metavar="FILE", type=Path, default=Path("predictions.csv"), help=out)
    return parser


def main(argv: list[str] | None = None, prog: str = "mea classify") -> None:
    """Classify, write the table, and say how many recordings were predicted. Rejected ones are no error."""
    arguments = build_parser(prog).parse_args(argv)
    show_warnings_plainly()
    with end_plainly("classify", "interrupted; nothing was written."):
        check_environment()
        classify_files(arguments.source, arguments.model, arguments.out)
