"""Train models, one per fold, each on what the fold does not hold, and the firing-rate baseline beside it.

Reads data/array and data/split. Writes for each model models/folds/<model>/, metrics/train/<model>.json and the
learning curves to plots/train/<model>/. A training that was interrupted goes on from its last epoch when the same
command is given again.
"""

import shutil
from pathlib import Path

from mea.models.registry import find_model
from mea.runtime.checksums import write_checksums
from mea.runtime.command import print_line, run_command
from mea.runtime.errors import MeaError
from mea.runtime.files import fresh_folder, read_json, write_json
from mea.runtime.parallel import run_parallel
from mea.runtime.style import save_plot
from mea.runtime.tables import read_table, write_table
from mea.splitting.baselines import NONE, find_how
from mea.training.classifier import save_classifier
from mea.training.fitting import count_trainers, fit_fold, precompute_features
from mea.training.folds import build_classifier, plan_folds, summarise_curves
from mea.training.params import TrainParams, add_model_sections
from mea.training.plots import plot_chunks, plot_curves

Params = add_model_sections(__name__)


def train(params: TrainParams, array: Path, split: Path, out: Path, metrics: Path, plots: Path) -> None:
    """Train every model that is listed, one after the other."""
    for model in params.models:
        train_model(model, params, array, split, out / model, metrics / f"{model}.json", plots / model)


def train_model(
    model: str, params: TrainParams, array: Path, split: Path, out: Path, metrics: Path, plots: Path
) -> None:
    """Fit every scored fold and keep what is needed to classify a new recording."""
    chunks = read_table(split / "chunks.csv")
    decided = read_json(split / "split.json")
    if find_how(chunks) != NONE and not find_model(model).takes_baseline:
        raise MeaError(
            f"train.models: {model} cannot refer recordings to a baseline (features.baseline = {find_how(chunks)}). "
            "Leave it out of the list, or set features.baseline: none."
        )
    decided["params"]["train"] = params.keep_model(model)
    with fresh_folder(out) as folder:
        precompute_features(params, model, chunks, array)
        jobs = plan_folds(chunks, decided, params, model, array, folder, plots / "live")
        shutil.rmtree(plots, ignore_errors=True)  # the live curves go straight there, so that they can be watched
        try:
            quick = find_model(model).is_quick
            curves = run_parallel(fit_fold, jobs, "folds trained", workers=count_trainers(model), begin_here=quick)
        except MeaError:
            shutil.rmtree(plots, ignore_errors=True)
            raise
        table, best = summarise_curves(decided["score"], curves)
        classifier = build_classifier(folder, jobs, decided)
        save_classifier(classifier)
        write_checksums(folder)
    counts = chunks.groupby(["fold", "label"], as_index=False).size().rename(columns={"size": "chunks"})
    save_plot(plot_chunks(counts), plots / "chunks.png")
    write_table(plots / "mean_curves.csv", table.groupby("epoch", as_index=False).mean())  # DVC draws it, empty or not
    if best:
        save_plot(plot_curves(table, f"Learning curves: {model}"), plots / "curves.png")
    made = {"processes": classifier.facts["processes"]} if best else {}
    write_json(metrics, {"model": model, **made, **best})
    print_line(f"{len(jobs)} models trained, one per fold: {out}")


if __name__ == "__main__":
    run_command(
        train,
        Params,
        models="",
        array="data/array",
        split="data/split",
        out="models/folds",
        metrics="metrics/train",
        plots="plots/train",
    )
