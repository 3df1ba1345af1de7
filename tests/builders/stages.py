"""The stages split, train, evaluate and classify, run in a folder of a test with a training of seconds."""

import stages.classify
import stages.evaluate
import stages.split
import stages.train
from builders.lab import ROOT
from mea.runtime.command import run_command
from mea.runtime.files import read_json

WORK = {
    "split": (stages.split.split, stages.split.Params),
    "train": (stages.train.train, stages.train.Params),
    "evaluate": (stages.evaluate.evaluate, stages.evaluate.Params),
    "classify": (stages.classify.classify, stages.classify.Params),
}
# Every value that these tests rely on, whatever params.yaml says; and a training of seconds.
QUICK = (
    "split.by=auto",
    "split.folds=3",
    "split.score=all",
    "split.chunk_s=1.0",
    "split.first_s=null",
    "split.on_bad_recording=error",
    "train.models=[cnn_lstm]",
    "train.inner_folds=2",
    "train.cnn_lstm.input=binned",
    "train.cnn_lstm.bin=peak",
    "train.cnn_lstm.bin_ms=25",
    "train.cnn_lstm.validation=nested",
    "train.cnn_lstm.epochs=2",
    "train.cnn_lstm.patience=5",
    "train.cnn_lstm.batch_size=4",
    "train.cnn_lstm.learning_rate=0.001",
)


def list_paths(folder, stage, array):
    """Every flag of a stage with its place in the folder."""
    data, made = {"array": array}, {"split": folder / "data/split", "model": folder / "models/folds"}
    written = {"out": folder / f"data/{stage}", "metrics": folder / f"metrics/{stage}.json"}
    written["plots"] = folder / f"plots/{stage}"
    folder_of_metrics = {"metrics": folder / "metrics/train"}
    chosen = {
        "split": data | {"out": made["split"], "metrics": written["metrics"]},
        "train": data | {"split": made["split"], **written, **folder_of_metrics, "out": made["model"]},
        "evaluate": {"model": made["model"], **data, "split": made["split"], **written}
        | {"out": folder / "metrics/evaluate", "classifier": folder / "models/classifier"},
        "classify": {"model": folder / "models/classifier", "out": folder / "metrics/classify.csv"},
    }
    return {name: str(path) for name, path in chosen[stage].items()}


def run_stage(stage, folder, array, *settings, argv=()):
    work, params = WORK[stage]
    sets = [part for setting in (*QUICK, *settings) for part in ("--set", setting)]
    sets = [] if "--source" in argv else sets
    paths = list_paths(folder, stage, array) | ({"source": ""} if stage == "classify" else {})
    run_command(work, params, ["--params", str(ROOT / "params.yaml"), *sets, *map(str, argv)], **paths)


def run_lab(folder, array, *settings):
    """Split, train and evaluate in a folder; the metrics."""
    for stage in ("split", "train", "evaluate"):
        run_stage(stage, folder, array, *settings)
    return read_json(folder / "metrics/evaluate.json")
