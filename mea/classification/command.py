"""The command ``mea classify``: new recordings of a folder or file, once, or of a folder as they come.

Needs the folder of a classifier and nothing else: no labels, no parameters, no clone of the project. The source is a
folder with zip archives or HDF5 files, or one such file. Writes one row a recording, as .csv or .json. With --watch,
a folder is watched: each recording becomes one line of JSON as soon as its file is whole.
"""

import argparse
import json
import sys
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from mea.classification.classify import (
    ESTIMATE,
    UNREADABLE,
    NewPrior,
    apply_prior,
    check_suffix,
    classify_files,
    classify_source,
    list_rows,
    open_predictor,
    predict_source,
)
from mea.classification.decisions import Predictor
from mea.classification.sources import get_how
from mea.classification.watch import watch_folder
from mea.recordings.formats import OWN
from mea.recordings.other_files import list_suffixes
from mea.runtime.command import check_environment, end_plainly, show_warnings_plainly
from mea.runtime.errors import MeaError
from mea.splitting.baselines import NONE
from mea.statistics.prior import EQUAL, check_prior
from mea.training.classifier import load_classifier

SOME_REJECTED, SOME_UNREADABLE = 3, 4  # exit status, if asked for; 1 and 2 are errors
TABLE, LINES = Path("predictions.csv"), Path("predictions.jsonl")


def build_parser(prog: str) -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog=prog, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    source = "folder or file with recordings to classify"
    wanted = parser.add_mutually_exclusive_group(required=True)
    wanted.add_argument("--source", metavar="PATH", type=Path, help=source)
    watched = "folder that is watched: each recording that comes is classified, one line of JSON each"
    wanted.add_argument("--watch", metavar="FOLDER", type=Path, help=watched)
    after = "with --watch: end when nothing has come for so many seconds (never)"
    parser.add_argument("--stop-after", metavar="SECONDS", type=float, help=after)
    parser.add_argument(
        "--model", metavar="FOLDER", type=Path, default=Path("models/classifier"), help="classifier (models/classifier)"
    )
    out = f"table to write, .csv or .json ({TABLE}); with --watch, the file that lines are added to ({LINES})"
    parser.add_argument("--out", metavar="FILE", type=Path, help=out)
    shares = "shares of the classes among these recordings: equal, estimate, or LABEL=SHARE for each class"
    parser.add_argument("--prior", metavar="SHARE", nargs="+", help=shares)
    as_json = "print the table as JSON to standard output, and write no file"
    parser.add_argument("--json", action="store_true", help=as_json)
    status = f"end with status {SOME_REJECTED} if a recording was rejected, {SOME_UNREADABLE} if one was unreadable"
    parser.add_argument("--exit-code", action="store_true", help=status)
    return parser


def parse_prior(given: list[str] | None) -> NewPrior:
    """The prior of a command line.

    Raises
    ------
    MeaError
        If it is none.

    Examples
    --------
    >>> parse_prior(["ko=0.3", "wt=0.7"])
    {'ko': 0.3, 'wt': 0.7}
    """
    if not given or given in ([EQUAL], [ESTIMATE]):
        return given[0] if given else None
    try:
        pairs = [one.rpartition("=") for one in given]
        prior = {label: float(share) for label, _, share in pairs}
        check_prior(prior)
    except ValueError:
        raise MeaError(
            f"--prior {' '.join(given)}: must be equal, estimate, or LABEL=SHARE for each class, and the shares must "
            "be above 0 and sum to 1."
        ) from None
    return prior


def main(argv: list[str] | None = None, prog: str = "mea classify") -> None:
    """Classify, write or print the table, and say how many recordings were predicted. Rejected ones are no error."""
    arguments = build_parser(prog).parse_args(argv)
    show_warnings_plainly()
    left = "the same command goes on from here" if arguments.watch else "nothing was written"
    with end_plainly("classify", f"interrupted; {left}."):
        check_environment()
        prior = parse_prior(arguments.prior)
        if arguments.watch:
            _watch(arguments, prior)
            return
        if arguments.stop_after is not None:
            raise MeaError("--stop-after ends a --watch. Name a folder with --watch instead of --source.")
        out = arguments.out or TABLE
        check_suffix(out)
        if arguments.json:
            with redirect_stdout(sys.stderr):  # standard output is for the JSON alone
                table = classify_source(load_classifier(arguments.model), arguments.source, prior)
            print(json.dumps({"recordings": list_rows(table)}, indent=1, ensure_ascii=False))
        else:
            table = classify_files(arguments.source, arguments.model, out, prior)
        if arguments.exit_code:
            sys.exit(choose_status(table))


def _watch(arguments: argparse.Namespace, prior: NewPrior) -> None:
    """Print and keep a line for each recording that comes, until interrupted."""
    if arguments.json or arguments.exit_code or prior == ESTIMATE:
        raise MeaError("--watch goes with neither --json (it prints JSON anyway) nor --exit-code nor --prior estimate.")
    classifier = load_classifier(arguments.model)
    if get_how(classifier) != NONE:
        raise MeaError(
            f"{arguments.model}: its features are referred to a baseline, which a file alone does not name. Give a "
            "folder with both and their recordings.csv as --source."
        )
    predictor = open_predictor(classifier)
    with redirect_stdout(sys.stderr):
        apply_prior(predictor, [], prior)  # a prior that cannot be is said before anything is read
    suffixes = list_suffixes(classifier.params["h5"].get("reader", OWN))
    work = partial(_classify_file, predictor, prior)
    for lines in watch_folder(arguments.watch, work, arguments.out or LINES, suffixes, arguments.stop_after):
        print("\n".join(lines), flush=True)


def _classify_file(predictor: Predictor, prior: NewPrior, path: Path) -> list[dict[str, Any]]:
    """The recordings of one file; what cannot be read at all is one that is rejected."""
    try:
        with redirect_stdout(sys.stderr):  # standard output is for the lines alone
            rows = list_rows(predict_source(predictor, path, prior))
        reason = "holds no recording"
    except MeaError as error:
        rows, reason = [], str(error)
    unreadable = {"recording": path.name, "decision": "rejected", "reason": f"{UNREADABLE}: {reason}"}
    return rows or [unreadable]


def choose_status(table: pd.DataFrame) -> int:
    """Exit status: 0 if every recording was predicted; unreadable ones count more than rejected ones."""
    if table["reason"].str.startswith(f"{UNREADABLE}:").any():
        return SOME_UNREADABLE
    return SOME_REJECTED if (table["decision"] == "rejected").any() else 0
