"""Models on recordings that are already events: ``python -m benchmarks.models --array FOLDER --models features``.

For every seed of the split the stages split and train run as they are, and what each fold held out is scored and
calibrated as the evaluate stage does it; its permutations and probes are left out. Of several models, ``best`` and
``pool`` are scored, too: what ``evaluate.choose`` takes inside each fold. Prints a table:

- accuracy, balanced accuracy, area under the ROC curve and expected calibration error over recordings, each predicted
  by a model that never saw its group, calibrated by rules learned inside;
- most_confident: accuracy of the 80 % of recordings with the highest confidence;
- train_s: seconds of the train stage; with what the models see in the cache when it is run again.

Every line is a look at held-out recordings: count them.
"""

import argparse
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

import stages.split
import stages.train
from benchmarks.controls import run_stage
from mea.arrays.events import SpikeEvents
from mea.evaluation.choice import BEST, POOL
from mea.evaluation.evaluation import ScoreSettings, score_table
from mea.evaluation.held_out import load_models
from mea.evaluation.models import predict_models
from mea.evaluation.rules import RuleSettings
from mea.runtime.command import print_line
from mea.runtime.files import write_json
from mea.runtime.tables import draw_markdown, read_table, write_table
from mea.splitting.baselines import open_recordings
from mea.training.classifier import Classifier

FIRST_S, CHUNK_S = 900, 30  # as published for charlesworth2015: comparable, and long enough to hold bursts
MOST_CONFIDENT = 0.8
BINS, CONFIDENCE_LEVEL, TARGET_ERROR = 10, 0.95, 0.05
SCORES = {"accuracy": "accuracy", "balanced_accuracy": "balanced", "roc_auc": "auc", "ece": "ece"}


@dataclass(frozen=True)
class Trained:
    """Models that the stages split and train made, and what they predict of the recordings their folds held out.

    Attributes
    ----------
    classifiers
        The fold models of each, by its name.
    chunks, events
        What they were trained and are scored on.
    recordings
        Every recording with its calibrated probabilities: of each model, and of ``best`` and ``pool`` where there are
        several.
    train_s
        Seconds of the train stage.
    """

    classifiers: dict[str, Classifier]
    chunks: pd.DataFrame
    events: Mapping[str, SpikeEvents]
    recordings: dict[str, pd.DataFrame]
    train_s: float


def train_and_predict(array: Path, settings: list[str], folder: Path) -> Trained:
    """Split and train once, by the stages, and predict what each fold held out.

    Parameters
    ----------
    array
        What the array stage wrote.
    settings
        ``section.key=value`` on top of ``params.yaml``.
    folder
        Where split and models go.
    """
    split, model, plots = folder / "split", folder / "folds", folder / "plots"
    run_stage(stages.split, settings, array=array, out=split, metrics=folder / "split.json")
    start = time.perf_counter()
    run_stage(stages.train, settings, array=array, split=split, out=model, metrics=folder / "train", plots=plots)
    seconds = time.perf_counter() - start
    chunks = read_table(split / "chunks.csv")
    classifiers = load_models(model, sorted(path.name for path in model.iterdir()), chunks)
    events = open_recordings(array, chunks)
    rules = RuleSettings(TARGET_ERROR, CONFIDENCE_LEVEL, seed=0)
    found = {rule: predict_models(classifiers, chunks, events, rule, rules) for rule in (BEST, POOL)}
    recordings = {name: held_out.by_recording for name, held_out in found[BEST].models.items()}
    if len(classifiers) > 1:
        recordings |= {rule: one.headline.by_recording for rule, one in found.items()}
    return Trained(classifiers, chunks, events, recordings, seconds)


def score_models(trained: Trained) -> list[dict[str, object]]:
    """Lines of the table: one a model, and one each for what was chosen among several."""
    labels = next(iter(trained.classifiers.values())).labels
    lines: list[dict[str, object]] = []
    for model, recordings in trained.recordings.items():
        scores = score_table(recordings, ScoreSettings(labels, BINS, CONFIDENCE_LEVEL))
        line = {"model": model} | {column: scores[name] for name, column in SCORES.items()}
        lines.append(line | {"most_confident": score_most_confident(recordings), "train_s": trained.train_s})
    return lines


def score_most_confident(recordings: pd.DataFrame) -> float:
    """Accuracy of the fraction :data:`MOST_CONFIDENT` of the recordings with the highest confidence."""
    order = np.argsort(-recordings["confidence"].to_numpy(), kind="stable")[: int(MOST_CONFIDENT * len(recordings))]
    return float((recordings["label"] == recordings["predicted"]).to_numpy()[order].mean())


def run_models(
    array: Path, models: list[str], by: str, seeds: list[int], settings: list[str], out: Path | None
) -> None:
    """Score models with every seed of the split, and print the table."""
    lines: list[dict[str, object]] = []
    listed = f"train.models=[{','.join(models)}]"
    for seed in seeds:
        given = [f"split.first_s={FIRST_S}", f"split.chunk_s={CHUNK_S}", listed, f"split.by={by}"]
        with tempfile.TemporaryDirectory(prefix="mea-models-") as folder:
            trained = train_and_predict(array, [*given, f"split.seed={seed}", *settings], Path(folder))
        of_seed = [{"seed": seed, **line} for line in score_models(trained)]
        lines += of_seed
        print_line(format_table(pd.DataFrame(of_seed)))
        if out:
            for model, recordings in trained.recordings.items():
                write_table(out / f"{model}_{by}_{seed}.csv", recordings)
    table = pd.DataFrame(lines)
    means = table.drop(columns="seed").groupby("model", sort=False).mean().reset_index().assign(seed="mean")
    print(f"split by {by}\n\n{format_table(pd.concat([table, means]))}")
    if out:
        write_json(out / f"{'_'.join(models)}_{by}.json", {"runs": lines})


def format_table(table: pd.DataFrame) -> str:
    """The lines in Markdown."""
    digits = {"auc": 4, "train_s": 0}
    rows = [
        [str(value) if name in ("seed", "model") else f"{value:.{digits.get(name, 3)}f}" for name, value in row.items()]
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
    parser.add_argument("--models", nargs="+", default=["features"], help="train.models")
    parser.add_argument("--split.by", dest="by", default="batch", help="what is held out as a whole")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of the split")
    parser.add_argument("--set", metavar="SECTION.KEY=VALUE", action="append", default=[], help="further parameters")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where predictions and metrics are kept")
    given = parser.parse_args()
    run_models(given.array, given.models, given.by, given.seeds, given.set, given.out)


if __name__ == "__main__":
    main()
