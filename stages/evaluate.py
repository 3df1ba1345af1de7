"""Score every recording and chunk by the model of the fold that held it out.

Reads models/classifier, data/array and data/split. Writes metrics/evaluate.json, the predictions to metrics/evaluate/
and the pictures to plots/evaluate/.
"""

import warnings
from pathlib import Path

from pydantic import Field

from mea.chunks import load_recordings
from mea.classifier import load_classifier
from mea.command import report, run_command
from mea.evaluation import (
    check_split,
    list_fold_scores,
    predict_held_out,
    score_level,
    score_majority,
)
from mea.files import fresh_folder, write_json
from mea.params import StageParams
from mea.plots.scores import figure_confusion, figure_recordings, figure_reliability, figure_report, figure_roc
from mea.plots.style import save_figure
from mea.scores import count_confusion, measure_calibration, report_classes, trace_roc
from mea.tables import read_table, write_table
from mea.votes import get_probabilities, vote_recordings


class Params(StageParams):
    """How the figures are computed."""

    bins: int = Field(ge=2, description="bins of the calibration error and its diagram")
    confidence_level: float = Field(gt=0.5, lt=1, description="of the intervals")


def evaluate(params: Params, model: Path, array: Path, split: Path, out: Path, metrics: Path, plots: Path) -> None:
    """Predict, vote, score and draw."""
    classifier = load_classifier(model)
    if classifier.leaky:
        warnings.warn(classifier.warning, stacklevel=1)
    labels = classifier.labels
    chunks = read_table(split / "chunks.csv")
    check_split(classifier, chunks)
    events = load_recordings(array, chunks["recording"].unique())
    by_chunk = predict_held_out(classifier, chunks, events, classifier.predict)
    by_recording = vote_recordings(by_chunk, labels)
    by_rate = vote_recordings(predict_held_out(classifier, chunks, events, classifier.predict_baseline), labels)
    settings = (labels, params.bins, params.confidence_level)
    figures = {
        "recording": score_level(by_recording, *settings),
        "chunk": score_level(by_chunk, *settings),
        "baseline": {
            "majority": {"accuracy": score_majority(chunks, by_recording)},
            "rate": score_level(by_rate, *settings),
        },
        "leaky": classifier.leaky,
        "warning": classifier.warning,
    }
    with fresh_folder(out) as folder:
        write_table(folder / "predictions.csv", by_recording)
        write_table(folder / "chunks.csv", by_chunk)
        write_table(folder / "folds.csv", list_fold_scores(by_recording, by_chunk))
    with fresh_folder(plots) as folder:
        for name, table in (("recording", by_recording), ("chunk", by_chunk)):
            _draw(folder, name, table, labels, params.bins)
        save_figure(figure_recordings(by_recording, "every recording, held out"), folder / "recordings.png")
    write_json(metrics, figures)
    report(f"{len(by_recording)} recordings scored: {metrics}, {out / 'predictions.csv'}, {plots}")


def _draw(folder: Path, name: str, table, labels: list[str], bins: int) -> None:
    actual, predicted = table["label"].to_numpy(), table["predicted"].to_numpy()
    probabilities = get_probabilities(table, labels)
    matrix = count_confusion(labels, actual, predicted)
    # The actual and predicted labels, one line each, are what DVC's confusion template draws.
    pairs = table[["label", "predicted"]].rename(columns={"label": "actual"})
    save_figure(figure_confusion(matrix, labels, f"{name}s"), folder / f"confusion_{name}.png", pairs)
    save_figure(figure_report(report_classes(labels, actual, predicted), f"{name}s"), folder / f"report_{name}.png")
    calibration, _ = measure_calibration(labels, actual, probabilities, bins)
    save_figure(figure_reliability(calibration, f"{name}s"), folder / f"reliability_{name}.png")
    curves = trace_roc(labels, actual, probabilities)
    if curves:
        save_figure(figure_roc(curves, f"{name}s"), folder / f"roc_{name}.png")


if __name__ == "__main__":
    run_command(
        evaluate,
        Params,
        model="models/classifier",
        array="data/array",
        split="data/split",
        out="metrics/evaluate",
        metrics="metrics/evaluate.json",
        plots="plots/evaluate",
    )
