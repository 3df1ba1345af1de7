"""Which electrodes, windows and features decide the predicted class of a recording: ``mea explain RECORDING``.

Recordings are those of the array stage, each scored by the model of the fold that held it out, or new ones
(``--source``), scored by the models of all folds. One plot and one table are written for each. How the attributions are
computed: :mod:`mea.classification.occlusion`.
"""

import argparse
from pathlib import Path

from mea.classification.decisions import cut_recording
from mea.classification.occlusion import Occlusion, compute_attributions
from mea.classification.plots import plot_attributions
from mea.classification.sources import open_source, pair_baselines, read_new
from mea.evaluation.held_out import check_split
from mea.runtime.command import check_environment, end_plainly, print_line, show_warnings_plainly
from mea.runtime.errors import BadRecording, MeaError
from mea.runtime.style import save_plot
from mea.runtime.tables import read_table
from mea.splitting.baselines import open_recordings
from mea.training.classifier import Classifier, load_classifier

FOLDERS = {  # flags: the pipeline's own folders, and what lies in them
    "model": ("models/classifier", "the classifier"),
    "array": ("data/array", "spike events"),
    "split": ("data/split", "folds"),
    "out": ("plots/explain", "plots"),
}


def load_held_out(classifier: Classifier, names: list[str], array: Path, split: Path) -> list[Occlusion]:
    """Recordings of the array stage, each with the model of the fold that held it out.

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
    loaded = []
    for name in names:
        own = chunks[chunks["recording"] == name].reset_index(drop=True)
        folds = [fold for fold in classifier.folds if fold in set(own["fold"])]
        if not folds:
            raise MeaError(f"{name}: was not held out by any fold that is scored. Name another, or score all folds.")
        loaded.append(Occlusion(classifier, folds, own, open_recordings(array, own)[name]))
    return loaded


def load_new(classifier: Classifier, names: list[str], source: Path) -> list[Occlusion]:
    """New recordings of a folder or file, each with the models of all folds; without names, all of them.

    For a recording that cannot be read or scored, the reason is printed.

    Raises
    ------
    MeaError
        If there is no recording of a name.
    """
    with open_source(classifier, source) as (folder, found):
        there = {one.found.recording: one for one in pair_baselines(classifier, folder, found)}
        unknown = sorted(set(names) - set(there))
        if unknown:
            raise MeaError(f"{source}: no recording {unknown[0]!r}. There are {', '.join(sorted(there))}.")
        loaded = []
        for name in names or sorted(there):
            if there[name].without:
                print_line(f"{name}: not explained: no baseline: {there[name].without}")
                continue
            try:
                events, _ = read_new(classifier, folder, there[name])
            except BadRecording as error:
                print_line(f"{name}: not explained: {error}")
                continue
            chunks, obstacle = cut_recording(classifier, events)
            if obstacle:
                print_line(f"{name}: not explained: {obstacle}")
            else:
                loaded.append(Occlusion(classifier, classifier.folds, chunks, events))
    return loaded


def explain_recording(whole: Occlusion, out: Path) -> None:
    """Write the attributions of one recording as a plot and a table, and print its predicted class."""
    label, attributions = compute_attributions(whole)
    name = whole.events.recording
    save_plot(plot_attributions(attributions, label, (whole.events.rows, whole.events.cols), name), out / f"{name}.png")
    print_line(f"{name}: {label}, log odds {attributions['log_odds'].iloc[0]:.2f}: {out / name}.png")


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
            occlusions = load_new(classifier, arguments.names, arguments.source)
        elif arguments.names:
            occlusions = load_held_out(classifier, arguments.names, arguments.array, arguments.split)
        else:
            raise MeaError(
                f"no recording named. Name some of {arguments.split / 'chunks.csv'}, or a --source of new ones."
            )
        for occlusion in occlusions:
            explain_recording(occlusion, arguments.out)
