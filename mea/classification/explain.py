"""What spoke for the class of a recording: ``make explain RECORDING=NAME`` or ``make explain SOURCE=FOLDER``.

Three questions are put to the classifier, whatever model it is. What would it say if an electrode had been silent
(occlusion: Zeiler and Fergus, "Visualizing and understanding convolutional networks", ECCV 2014,
doi:10.1007/978-3-319-10590-1_53)? What would it say of these seconds alone? And, of a model on summary features, what
would it say if a family of them were as in the median training recording? Answers are log odds of the class it calls.

Recordings are those of the array stage, each judged by the model of the fold that held it out, or new ones
(``--source``), judged by all. One plot and one table are written for each.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mea.arrays.events import SpikeEvents
from mea.classification.decisions import cut_recording
from mea.classification.plots import plot_explanation
from mea.classification.sources import open_source, read_new
from mea.evaluation.evaluation import check_split
from mea.networks.chunks import load_recordings
from mea.runtime.command import check_environment, end_plainly, print_line, show_warnings_plainly
from mea.runtime.errors import BadRecording, MeaError
from mea.runtime.parallel import run_parallel
from mea.runtime.style import save_plot
from mea.runtime.tables import read_table
from mea.training.classifier import Classifier, load_classifier

MOST_SPANS = 30  # of seconds looked at alone
LEAST_PROBABILITY = 1e-6  # log odds end at ±14
FOLDERS = {  # flags: the pipeline's own folders, and what lies in them
    "model": ("models/classifier", "the classifier"),
    "array": ("data/array", "spike events"),
    "split": ("data/split", "folds"),
    "out": ("plots/explain", "plots"),
}


@dataclass(frozen=True)
class Question:
    """A recording, or a variation of it, and what is put to the classifier.

    Attributes
    ----------
    classifier, folds
        Who is asked: the models of these folds, whose log odds are averaged.
    chunks
        Of the recording.
    events
        Of the recording.
    family
        A family of features that is left out; empty for none.
    """

    classifier: Classifier
    folds: list[int]
    chunks: pd.DataFrame
    events: SpikeEvents
    family: str = ""

    def ask(self) -> np.ndarray:
        """(n_labels,) log odds of each class against the others."""
        one = {self.events.recording: self.events}
        odds = []
        for fold in self.folds:
            stated = self.classifier.open_model(fold).predict_recordings(self.chunks, one, self.family)[0]
            stated = np.clip(stated, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
            odds.append(np.log(stated / (1 - stated)))
        return np.mean(odds, axis=0)


def explain_recording(question: Question) -> tuple[str, pd.DataFrame]:
    """What spoke for the class that a classifier calls.

    Parameters
    ----------
    question
        The recording as it is.

    Returns
    -------
    label
        The class it calls.
    evidence
        One row a thing: kind (``whole``, ``electrode``, ``seconds`` or ``family``), row, col, start_s, stop_s, family
        (those that apply), and log_odds of the class. Of the whole and of seconds, as they stand alone; of electrodes
        and families, how much is lost without them: above 0 they spoke for the class, below 0 against it.
    """
    whole = question.ask()
    best = int(whole.argmax())
    rows, variations = zip(*_vary(question))
    answers = np.array(run_parallel(Question.ask, variations, f"{question.events.recording} explained"))[:, best]
    table = pd.DataFrame([{"kind": "whole"}, *rows])
    alone = table["kind"].isin(["whole", "seconds"])
    odds = np.concatenate([whole[[best]], answers])
    table["log_odds"] = np.where(alone, odds, whole[best] - odds)
    columns = ["kind", "row", "col", "start_s", "stop_s", "family", "log_odds"]
    return question.classifier.labels[best], table.reindex(columns=columns)


def _vary(question: Question) -> Iterator[tuple[dict, Question]]:
    """Each thing that is asked about, and what to ask."""
    who, chunks, events = (question.classifier, question.folds), question.chunks, question.events
    for number, (row, col) in enumerate(zip(events.row.tolist(), events.col.tolist())):
        yield {"kind": "electrode", "row": row, "col": col}, Question(*who, chunks, events.silence(number))
    for part in np.array_split(np.arange(len(chunks)), min(len(chunks), MOST_SPANS)):
        span = chunks.iloc[part]
        seconds = {"start_s": span["start_s"].iloc[0], "stop_s": span["stop_s"].iloc[-1]}
        yield {"kind": "seconds", **seconds}, Question(*who, span, events)
    for family in question.classifier.open_model(question.folds[0]).list_feature_families(events.has_waveforms):
        yield {"kind": "family", "family": family}, Question(*who, chunks, events, family)


def find_questions(classifier: Classifier, names: list[str], array: Path, split: Path) -> list[Question]:
    """The recordings of the array stage, each to be judged by the model that has not seen it.

    Raises
    ------
    MeaError
        If the split is not the one the classifier was trained with, or has no such recording.
    """
    chunks = read_table(split / "chunks.csv")
    check_split(classifier, chunks)
    unknown = sorted(set(names) - set(chunks["recording"]))
    if unknown:
        raise MeaError(f"{split / 'chunks.csv'}: no recording {unknown[0]!r}. Name one of its column recording.")
    questions = []
    for name in names:
        own = chunks[chunks["recording"] == name].reset_index(drop=True)
        folds = [fold for fold in classifier.folds if fold in set(own["fold"])]
        if not folds:
            raise MeaError(f"{name}: was not held out by any fold that is scored. Name another, or score all folds.")
        questions.append(Question(classifier, folds, own, load_recordings(array, [name])[name]))
    return questions


def find_new_questions(classifier: Classifier, names: list[str], source: Path) -> list[Question]:
    """New recordings of a folder or file, each to be judged by the models of all folds; for no names, all that can be.

    What cannot be read or judged is reported.

    Raises
    ------
    MeaError
        If there is no recording of a name.
    """
    with open_source(classifier, source) as (folder, found):
        there = {one.recording: one for one in found}
        unknown = sorted(set(names) - set(there))
        if unknown:
            raise MeaError(f"{source}: no recording {unknown[0]!r}. There are {', '.join(sorted(there))}.")
        questions = []
        for name in names or sorted(there):
            try:
                events, _ = read_new(classifier, folder, there[name])
            except BadRecording as error:
                print_line(f"{name}: not explained: {error}")
                continue
            chunks, obstacle = cut_recording(classifier, events)
            if obstacle:
                print_line(f"{name}: not explained: {obstacle}")
            else:
                questions.append(Question(classifier, classifier.folds, chunks, events))
    return questions


def build_parser(prog: str) -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog=prog, description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("names", metavar="RECORDING", nargs="*", help="of the array stage, or of the source")
    parser.add_argument("--source", type=Path, help="folder or file of new recordings; without names, all of them")
    for name, (default, what) in FOLDERS.items():
        text = f"folder of {what} ({default})"
        parser.add_argument(f"--{name}", type=Path, default=Path(default), metavar="FOLDER", help=text)
    return parser


def main(argv: list[str] | None = None, prog: str = "mea explain") -> None:
    """Explain the recordings that are named, or all of a source; one plot and one table each."""
    arguments = build_parser(prog).parse_args(argv)
    show_warnings_plainly()
    with end_plainly("explain", "interrupted."):
        check_environment()
        classifier = load_classifier(arguments.model)
        if arguments.source:
            questions = find_new_questions(classifier, arguments.names, arguments.source)
        elif arguments.names:
            questions = find_questions(classifier, arguments.names, arguments.array, arguments.split)
        else:
            raise MeaError(
                f"no recording named. Name some of {arguments.split / 'chunks.csv'}, or a --source of new ones."
            )
        for question in questions:
            label, evidence = explain_recording(question)
            name = question.events.recording
            plot = plot_explanation(evidence, label, (question.events.rows, question.events.cols), name)
            save_plot(plot, arguments.out / f"{name}.png")
            print_line(f"{name}: {label}, log odds {evidence['log_odds'].iloc[0]:.2f}: {arguments.out / name}.png")
