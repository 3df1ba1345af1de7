"""Score every recording and chunk by the models of the fold that held it out, and check what the metrics are worth.

Every model of train.models is scored side by side; the headline is that of the models chosen inside each fold. Reads
models/folds, data/array and data/split. Writes metrics/evaluate.json, predictions to metrics/evaluate/, plots to
plots/evaluate/, and models/classifier/: the folds' models with all that was learned here. Removes from models/folds
what train.models does not list, so that its hash depends on these models alone; DVC's cache holds what was removed.
"""

import warnings
from pathlib import Path
from typing import ClassVar

from pydantic import Field, model_validator

from mea.classification.known import TRAINED_ON, list_digests
from mea.classification.measurements import measure_recordings
from mea.classification.novelty import NoveltyDetector, count_false_alarms, save_detector
from mea.evaluation.card import write_card
from mea.evaluation.choice import BEST, POOL, check_rule
from mea.evaluation.confounds import audit_confounds, explain_confounds, tabulate_metadata
from mea.evaluation.evaluation import ScoreSettings
from mea.evaluation.held_out import load_models, predict_baseline, remove_unlisted
from mea.evaluation.importance import measure_importance
from mea.evaluation.metrics import Checks, collect_metrics
from mea.evaluation.models import compare_models, predict_models, write_tables
from mea.evaluation.plots_evaluation import draw_honesty, draw_models_side_by_side, draw_recordings, draw_unit
from mea.evaluation.probes import probe_models
from mea.evaluation.rules import RuleSettings, explain_doubts, learn_rules, save_rules
from mea.recordings.lab_columns import read_catalogue, read_passed_on
from mea.runtime.checksums import write_checksums
from mea.runtime.command import print_line, run_command
from mea.runtime.files import fresh_folder, write_json
from mea.runtime.params import StageParams
from mea.runtime.tables import read_table, write_table
from mea.splitting.baselines import open_recordings
from mea.splitting.groups import group_recordings
from mea.statistics.permutation import run_permutation_test
from mea.statistics.prior import Prior
from mea.training.classifier import join_classifiers, join_warnings


class Params(StageParams):
    """How the metrics are computed, and which models are compared."""

    shared: ClassVar[dict[str, str]] = {"models": "train.models"}

    models: list[str] = Field(min_length=1, description="train.models: those that are compared")
    choose: str = Field(
        description=f"{BEST} (of lowest log loss inside), {POOL} (all, weighted), or one of train.models"
    )
    bins: int = Field(ge=2, description="number of equally wide bins of the calibration error and its plot")
    confidence_level: float = Field(gt=0.5, lt=1, description="of the intervals and of the prediction sets")
    target_error: float = Field(gt=0, lt=0.5, description="acceptable error; less confident recordings are rejected")
    prior: Prior = Field(
        description="shares of the classes for which probabilities hold: training, equal, or {label: share}"
    )
    order: list[str] | None = Field(description="the classes in order, such as doses or days; null: they have none")
    permutations: int = Field(ge=19, description="number of permutations of the labels between groups, for p-values")
    seed: int = Field(ge=0, lt=2**32, description="of permutations, probes and calibration folds")

    @model_validator(mode="after")
    def _check_choose(self) -> "Params":
        check_rule(self.choose, self.models)
        return self


def evaluate(
    params: Params, model: Path, array: Path, split: Path, classifier: Path, out: Path, metrics: Path, plots: Path
) -> None:
    """Predict what each fold held out; score, check and plot it; write the classifier for new recordings."""
    remove_unlisted(model, params.models)
    chunks = read_table(split / "chunks.csv")
    trained = load_models(model, params.models, chunks)
    first = next(iter(trained.values()))
    events = open_recordings(array, chunks)
    settings = RuleSettings(params.target_error, params.confidence_level, params.seed, params.prior)
    scoring = ScoreSettings(first.labels, params.bins, params.confidence_level, params.order)
    found = predict_models(trained, chunks, events, params.choose, settings)
    table, rules = compare_models(found, scoring), learn_rules(found.shipped.oof, first.labels, settings)
    held_out, recordings = found.headline, found.headline.by_recording
    groups = group_recordings(recordings, "batch")
    measured = measure_recordings(events, recordings["recording"], first.used_s, first.threshold)
    metadata = tabulate_metadata(read_catalogue(array), recordings)
    confounds = audit_confounds(metadata, recordings, params.permutations, params.seed)
    permutation = run_permutation_test(recordings, recordings["predicted"], params.permutations, params.seed)
    doubts = [*explain_doubts(held_out.fold_rules, permutation.p_value), *explain_confounds(confounds, recordings)]
    checks = Checks(
        permutation=permutation,
        confounds=confounds,
        probes=probe_models(found.open_model, first.folds, chunks, events, params.seed),
        false_alarms=count_false_alarms(measured, groups, recordings["fold"].to_numpy()),
        importance=measure_importance(found.open_model, first.folds, chunks, events, first.labels, params.seed),
        by_rate=predict_baseline(first, chunks, events),
        leaky=max(one.leaky for one in trained.values()),
        doubts="; ".join(filter(None, [join_warnings(trained.values()), *doubts])),
    )
    rules = rules.add_flags(permutation.p_value, bool(checks.leaky))
    if checks.doubts:
        warnings.warn(checks.doubts, stacklevel=1)
    results = collect_metrics(held_out, table, rules, checks, chunks, scoring)
    write_tables(out, held_out, found.models, first.labels, read_passed_on(array), checks.importance)
    with fresh_folder(plots) as folder:
        draw_unit(folder, "recording", recordings, scoring, checks.doubts)
        draw_unit(folder, "chunk", held_out.by_chunk, scoring, checks.doubts)
        draw_recordings(folder, recordings, checks.doubts)
        draw_honesty(folder, recordings, checks, rules, results["selective"])
        draw_models_side_by_side(folder, table, found.models, results["recording"], scoring, checks.doubts)
    with fresh_folder(classifier) as folder:
        joined = join_classifiers(trained.values(), found.shipped.weights, folder)
        save_rules(folder, rules)
        save_detector(folder, NoveltyDetector.fit(measured, groups))
        write_table(folder / TRAINED_ON, list_digests(events[name] for name in recordings["recording"]))
        write_card(folder, joined, joined.list_limits(), results, chunks, rules, params.model_dump())
        write_checksums(folder)
    write_json(metrics, results)
    print_line(f"{len(recordings)} recordings scored: {metrics}, {out / 'predictions.csv'}, {plots}")


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
