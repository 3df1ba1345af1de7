"""Score every recording and chunk by the model of the fold that held it out, and check what the metrics are worth.

Reads models/folds, data/array and data/split. Writes metrics/evaluate.json, the predictions to metrics/evaluate/, the
plots to plots/evaluate/, and models/classifier/: the folds' models with everything learned about them here, ready to
classify new recordings.
"""

import warnings
from pathlib import Path

from pydantic import Field

from mea.classification.measurements import measure_recordings
from mea.classification.novelty import NoveltyDetector, count_false_alarms, save_detector
from mea.evaluation.card import write_card
from mea.evaluation.confounds import audit_confounds, explain_confounds, tabulate_metadata
from mea.evaluation.evaluation import (
    HeldOut,
    ScoreSettings,
    check_split,
    list_fold_scores,
    predict_all,
)
from mea.evaluation.metrics import Checks, collect_metrics
from mea.evaluation.plots_evaluation import draw_honesty, draw_recordings, draw_unit
from mea.evaluation.probes import probe_classifier
from mea.evaluation.rules import RuleSettings, learn_rules, save_rules
from mea.networks.chunks import load_recordings
from mea.runtime.command import print_line, run_command
from mea.runtime.files import fresh_folder, write_json
from mea.runtime.params import StageParams
from mea.runtime.tables import read_table, write_table
from mea.splitting.groups import group_recordings
from mea.statistics.permutation import run_permutation_test
from mea.training.classifier import copy_models, load_classifier


class Params(StageParams):
    """How the metrics are computed."""

    bins: int = Field(ge=2, description="number of equally wide bins of the calibration error and its plot")
    confidence_level: float = Field(gt=0.5, lt=1, description="of the intervals and of the prediction sets")
    target_error: float = Field(
        gt=0, lt=0.5, description="acceptable fraction of wrong predictions; less confident recordings are rejected"
    )
    permutations: int = Field(ge=19, description="number of permutations of the labels between groups, for p-values")
    seed: int = Field(ge=0, description="of permutations, probes and calibration folds")


def evaluate(
    params: Params, model: Path, array: Path, split: Path, classifier: Path, out: Path, metrics: Path, plots: Path
) -> None:
    """Predict what each fold held out; score, check and plot it; write the classifier for new recordings."""
    trained = load_classifier(model)
    chunks = read_table(split / "chunks.csv")
    check_split(trained, chunks)
    events = load_recordings(array, chunks["recording"].unique())
    settings = RuleSettings(params.target_error, params.confidence_level, params.seed)
    held_out = predict_all(trained, chunks, events, settings)
    rules = learn_rules(held_out.raw, trained.labels, settings)
    recordings = held_out.by_recording
    groups = group_recordings(recordings, "batch")
    measured = measure_recordings([events[name] for name in recordings["recording"]], trained.used_s, trained.threshold)
    metadata = tabulate_metadata(read_table(array / "catalogue.csv"), recordings)
    confounds = audit_confounds(metadata, recordings, params.permutations, params.seed)
    checks = Checks(
        permutation=run_permutation_test(recordings, recordings["predicted"], params.permutations, params.seed),
        confounds=confounds,
        probes=probe_classifier(trained, chunks, events, params.seed),
        false_alarms=count_false_alarms(measured, groups, recordings["fold"].to_numpy()),
        leaky=trained.leaky,
        doubts="; ".join(filter(None, [trained.warning, *explain_confounds(confounds, recordings)])),
    )
    if checks.doubts:
        warnings.warn(checks.doubts, stacklevel=1)
    scoring = ScoreSettings(trained.labels, params.bins, params.confidence_level)
    results = collect_metrics(held_out, rules, checks, chunks, scoring)
    write_predictions(out, held_out)
    with fresh_folder(plots) as folder:
        draw_unit(folder, "recording", recordings, scoring, checks.doubts)
        draw_unit(folder, "chunk", held_out.by_chunk, scoring, checks.doubts)
        draw_recordings(folder, recordings, checks.doubts)
        draw_honesty(folder, recordings, checks.permutation, confounds, checks.probes, rules, results["selective"])
    with fresh_folder(classifier) as folder:
        copy_models(trained, folder)
        save_rules(folder, rules)
        save_detector(folder, NoveltyDetector.fit(measured, groups))
        write_card(folder, trained, results, chunks, rules, params.model_dump())
    write_json(metrics, results)
    print_line(f"{len(recordings)} recordings scored: {metrics}, {out / 'predictions.csv'}, {plots}")


def write_predictions(out: Path, held_out: HeldOut) -> None:
    """The tables of predictions by recording and by chunk, and of accuracy by fold."""
    with fresh_folder(out) as folder:
        write_table(folder / "predictions.csv", held_out.by_recording)
        write_table(folder / "chunks.csv", held_out.by_chunk)
        write_table(folder / "folds.csv", list_fold_scores(held_out.by_recording, held_out.by_chunk))


if __name__ == "__main__":
    run_command(
        evaluate,
        Params,
        model="models/folds",
        array="data/array",
        split="data/split",
        classifier="models/classifier",
        out="metrics/evaluate",
        metrics="metrics/evaluate.json",
        plots="plots/evaluate",
    )
