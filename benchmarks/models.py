"""Models on recordings that are already events: ``python -m benchmarks.models --array FOLDER --model features``.

For every seed of the split the stages split and train run as they are, and what each fold held out is scored and
calibrated as the evaluate stage does it; its permutations and probes are left out. Prints a table:

- accuracy, balanced accuracy, area under the ROC curve and expected calibration error over recordings, each predicted
  by a model that never saw its group, calibrated by rules learned inside;
- most_confident: accuracy of the 80 % of recordings with the highest confidence;
- train_s: seconds of the train stage; with what the models see in the cache when it is run again.

Every line is a look at held-out recordings: count them.
"""

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

import stages.split
import stages.train
from benchmarks.controls import run_stage
from mea.arrays.events import SpikeEvents
from mea.arrays.events_file import load_recordings
from mea.evaluation.evaluation import ScoreSettings, score_table
from mea.evaluation.held_out import apply_rules, predict_held_out
from mea.evaluation.rules import RuleSettings
from mea.runtime.command import print_line
from mea.runtime.files import write_json
from mea.runtime.tables import draw_markdown, read_table, write_table
from mea.training.classifier import Classifier, load_classifier

FIRST_S, CHUNK_S = 900, 30  # as published for charlesworth2015: comparable, and long enough to hold bursts
MOST_CONFIDENT = 0.8
BINS, CONFIDENCE_LEVEL, TARGET_ERROR = 10, 0.95, 0.05
SCORES = {"accuracy": "accuracy", "balanced_accuracy": "balanced", "roc_auc": "auc", "ece": "ece"}


@dataclass(frozen=True)
class Trained:
    """A model that the stages split and train made, and what it predicts of the recordings its folds held out.

    Attributes
    ----------
    classifier
        The fold models.
    chunks, events
        What they were trained and are scored on.
    recordings
        Every recording with its calibrated probabilities.
    train_s
        Seconds of the train stage.
    """

    classifier: Classifier
    chunks: pd.DataFrame
    events: dict[str, SpikeEvents]
    recordings: pd.DataFrame
    train_s: float


def train_and_predict(array: Path, settings: list[str], folder: Path) -> Trained:
    """Split and train once, by the stages, and predict what each fold held out.

    Parameters
    ----------
    array
        What the array stage wrote.
    settings
        ``section.key=value`` on top of ``params.yaml``; ``train.models`` names one.
    folder
        Where split and models go.
    """
    split, model, plots = folder / "split", folder / "folds", folder / "plots"
    run_stage(stages.split, settings, array=array, out=split, metrics=folder / "split.json")
    start = time.perf_counter()
    run_stage(stages.train, settings, array=array, split=split, out=model, metrics=folder / "train", plots=plots)
    seconds = time.perf_counter() - start
    (name,) = (path.name for path in model.iterdir())
    classifier, chunks = load_classifier(model / name), read_table(split / "chunks.csv")
    events = load_recordings(array, chunks["recording"].unique())
    rules = RuleSettings(TARGET_ERROR, CONFIDENCE_LEVEL, seed=0)
    raw = predict_held_out(classifier, chunks, events)
    recordings = apply_rules(raw, classifier.load_oof, classifier.labels, rules).by_recording
    return Trained(classifier, chunks, events, recordings, seconds)


def score_model(trained: Trained) -> dict[str, float]:
    """One line of the table."""
    scores = score_table(trained.recordings, ScoreSettings(trained.classifier.labels, BINS, CONFIDENCE_LEVEL))
    return {column: scores[name] for name, column in SCORES.items()} | {
        "most_confident": score_most_confident(trained.recordings),
        "train_s": trained.train_s,
    }


def score_most_confident(recordings: pd.DataFrame) -> float:
    """Accuracy of the fraction :data:`MOST_CONFIDENT` of the recordings with the highest confidence."""
    order = np.argsort(-recordings["confidence"].to_numpy(), kind="stable")[: int(MOST_CONFIDENT * len(recordings))]
    return float((recordings["label"] == recordings["predicted"]).to_numpy()[order].mean())


def run_models(array: Path, model: str, by: str, seeds: list[int], settings: list[str], out: Path | None) -> None:
    """Score a model with every seed of the split, and print the table."""
    lines = []
    for seed in seeds:
        given = [f"split.first_s={FIRST_S}", f"split.chunk_s={CHUNK_S}", f"train.models=[{model}]", f"split.by={by}"]
        with tempfile.TemporaryDirectory(prefix="mea-models-") as folder:
            trained = train_and_predict(array, [*given, f"split.seed={seed}", *settings], Path(folder))
        lines.append({"seed": seed, **score_model(trained)})
        print_line(format_table(pd.DataFrame(lines[-1:])))
        if out:
            write_table(out / f"{model}_{by}_{seed}.csv", trained.recordings)
    table = pd.DataFrame(lines)
    mean = table.drop(columns="seed").mean().to_frame().T
    table = pd.concat([table, mean.assign(seed="mean")])
    print(f"{model}, split by {by}\n\n{format_table(table)}")
    if out:
        write_json(out / f"{model}_{by}.json", {"runs": lines})


def format_table(table: pd.DataFrame) -> str:
    """The lines in Markdown."""
    digits = {"auc": 4, "train_s": 0}
    rows = [
        [str(value) if name == "seed" else f"{value:.{digits.get(name, 3)}f}" for name, value in row.items()]
        for row in table.to_dict("records")
    ]
    return "\n".join(draw_markdown(table.columns, rows))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.models",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--array", type=Path, required=True, metavar="FOLDER", help="what the array stage wrote")
    parser.add_argument("--model", default="features", help="one of train.models")
    parser.add_argument("--split.by", dest="by", default="batch", help="what is held out as a whole")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of the split")
    parser.add_argument("--set", metavar="SECTION.KEY=VALUE", action="append", default=[], help="further parameters")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where predictions and metrics are kept")
    given = parser.parse_args()
    run_models(given.array, given.model, given.by, given.seeds, given.set, given.out)


if __name__ == "__main__":
    main()
