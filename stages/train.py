"""Train one model per fold, each on what the fold does not hold, and the firing-rate baseline beside it.

Reads data/array and data/split. Writes models/folds/, metrics/train.json and the learning curves to plots/train/.
A training that was interrupted goes on from its last epoch when the same command is given again.
"""

import shutil
from pathlib import Path
from typing import Literal

from pydantic import Field

from mea.runtime.command import print_line, run_command
from mea.runtime.errors import MeaError
from mea.runtime.files import fresh_folder, read_json, write_json
from mea.runtime.parallel import run_parallel
from mea.runtime.params import StageParams
from mea.runtime.style import save_plot
from mea.runtime.tables import read_table, write_table
from mea.training.classifier import save_classifier
from mea.training.fitting import count_trainers, describe_first, fit_fold
from mea.training.folds import describe_training, plan_folds, summarise_curves
from mea.training.plots import plot_chunks, plot_curves


class Params(StageParams):
    """The model, what it sees, and how it learns."""

    model: Literal["cnn_lstm", "ensemble", "features", "rate", "rocket", "tcn"] = Field(
        description="what learns; rate: the firing rate alone, the baseline. See docs/models.md"
    )
    network: Literal["grid", "predecessor"] = Field(description="of cnn_lstm: the project's own, or the predecessor's")
    sequence: Literal["reshape", "transpose"] = Field(description="what one LSTM step holds; reshape: predecessor")
    silence: Literal["skipped", "computed"] = Field(
        description="of the predecessor's network; skipped: faster, the same up to rounding; computed: to the bit"
    )
    input: Literal["full", "binned"] = Field(description="full: every sample; binned: over 100 times cheaper")
    bin_ms: float = Field(gt=0, description="length of a bin in ms")
    bin: Literal["peak", "count"] = Field(description="what a bin holds: largest sample in µV, or number of spikes")
    scale: float = Field(gt=0, description="what the values are divided by; 1: plain µV or counts, as the predecessor")
    validation: Literal["inner", "scored"] = Field(description="who chooses the epoch; scored: predecessor, leaky")
    inner_folds: int = Field(ge=2, description="about one in so many training groups chooses the epoch")
    epochs: int = Field(ge=1, description="at most so many epochs")
    patience: int = Field(ge=1, description="stop after so many epochs without gain")
    min_gain: float = Field(ge=0, description="least fall of the validation loss that is a gain")
    learning_rate: float = Field(gt=0, description="of Adam")
    batch_size: int = Field(ge=1, description="chunks in a training step")
    precision: Literal["float32", "bfloat16"] = Field(
        description="in which networks compute; bfloat16: several times faster on recent graphics cards, about 3 digits"
    )
    seed: int = Field(ge=0, description="decides the initial weights and the order of the chunks")


def train(params: Params, array: Path, split: Path, out: Path, metrics: Path, plots: Path) -> None:
    """Fit every scored fold and keep what is needed to classify a new recording."""
    chunks = read_table(split / "chunks.csv")
    decided = read_json(split / "split.json")
    decided["params"]["train"] = params.model_dump()
    with fresh_folder(out) as folder:
        describe_first(decided["params"]["train"], chunks, array)
        jobs = plan_folds(chunks, decided, array, folder, plots / "live")
        shutil.rmtree(plots, ignore_errors=True)  # the live curves go straight there, so that they can be watched
        try:
            curves = run_parallel(fit_fold, jobs, "folds trained", workers=count_trainers())
        except MeaError:
            shutil.rmtree(plots, ignore_errors=True)
            raise
        table, best = summarise_curves(decided["score"], curves)
        classifier = describe_training(folder, jobs, decided)
        save_classifier(classifier)
    counts = chunks.groupby(["fold", "label"], as_index=False).size().rename(columns={"size": "chunks"})
    save_plot(plot_chunks(counts), plots / "chunks.png")
    write_table(plots / "mean_curves.csv", table.groupby("epoch", as_index=False).mean())  # DVC draws it, empty or not
    if best:
        save_plot(plot_curves(table), plots / "curves.png")
    made = {"processes": classifier.facts["processes"]} if best else {}
    write_json(metrics, {"model": params.model, **made, **best})
    print_line(f"{len(jobs)} models trained, one per fold: {out}")


if __name__ == "__main__":
    run_command(
        train,
        Params,
        array="data/array",
        split="data/split",
        out="models/folds",
        metrics="metrics/train.json",
        plots="plots/train",
    )
