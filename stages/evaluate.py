"""Score every recording and chunk by the model of the fold that held it out, and ask what the figures are worth.

Reads models/folds, data/array and data/split. Writes metrics/evaluate.json, the predictions to metrics/evaluate/, the
plots to plots/evaluate/, and models/classifier/: the folds' models with all that was learned about them here, ready
to classify new recordings.
"""

import warnings
from pathlib import Path
from typing import Any

from pydantic import Field

from mea.classification.novelty import count_false_alarms, gain_experience, measure_recordings, save_experience
from mea.evaluation.card import write_card
from mea.evaluation.confounds import audit_confounds, describe_audit, explain_confounds, tabulate_metadata
from mea.evaluation.evaluation import (
    apply_inner_rules,
    check_split,
    list_fold_scores,
    predict_chunks,
    predict_recordings,
    score_majority,
    score_selection,
    score_sets,
    score_table,
)
from mea.evaluation.plots_evaluation import draw_honesty, draw_recordings, draw_unit
from mea.evaluation.probes import describe_identity, describe_optimism, probe_classifier
from mea.evaluation.rules import learn_rules, save_rules
from mea.networks.chunks import load_recordings
from mea.runtime.command import print_line, run_command
from mea.runtime.files import fresh_folder, write_json
from mea.runtime.params import StageParams
from mea.runtime.tables import read_table, write_table
from mea.splitting.aggregation import aggregate_recordings
from mea.splitting.groups import group_recordings
from mea.statistics.permutation import run_permutation_test
from mea.training.classifier import copy_models, load_classifier


class Params(StageParams):
    """How the figures are computed."""

    bins: int = Field(ge=2, description="bins of equal width of the calibration error and its diagram")
    confidence_level: float = Field(gt=0.5, lt=1, description="of the intervals and of the prediction sets")
    target_error: float = Field(gt=0, lt=0.5, description="share of wrong calls that is acceptable; others are refused")
    permutations: int = Field(ge=19, description="of the labels between groups, for the p-values")
    seed: int = Field(ge=0, description="of permutations and probes")


def evaluate(
    params: Params, model: Path, array: Path, split: Path, classifier: Path, out: Path, metrics: Path, plots: Path
) -> None:
    """Predict, vote, calibrate, score, doubt and draw."""
    trained = load_classifier(model)
    labels, settings = trained.labels, (trained.labels, params.bins, params.confidence_level)
    chunks = read_table(split / "chunks.csv")
    check_split(trained, chunks)
    events = load_recordings(array, chunks["recording"].unique())
    by_chunk = predict_chunks(trained.open_model, trained, chunks, events)
    by_rate = aggregate_recordings(predict_chunks(trained.open_baseline, trained, chunks, events), labels)
    stated = predict_recordings(trained, chunks, events)
    choices = (params.target_error, params.confidence_level, params.seed)
    by_recording, inner = apply_inner_rules(trained, stated, *choices)
    rules = learn_rules(stated, labels, *choices)
    test = run_permutation_test(by_recording, by_recording["predicted"], params.permutations, params.seed)
    metadata = tabulate_metadata(read_table(array / "catalogue.csv"), by_recording)
    audit = audit_confounds(metadata, by_recording, params.permutations, params.seed)
    probes = probe_classifier(trained, chunks, events, params.seed)
    measured = measure_recordings(
        [events[name] for name in by_recording["recording"]], trained.used_s, trained.threshold
    )
    groups = group_recordings(by_recording, "batch")
    doubts = "; ".join([trained.warning] * bool(trained.warning) + explain_confounds(audit, by_recording))
    figures: dict[str, Any] = {
        "recording": score_table(by_recording, *settings),
        "chunk": score_table(by_chunk, *settings),
        "uncalibrated": score_table(stated, *settings),
        "baseline": {
            "majority": {"accuracy": score_majority(chunks, by_recording)},
            "rate": score_table(by_rate, *settings),
            "metadata": describe_audit(audit),
        },
        "permutation": {"p_value": test.p_value, "min_attainable_p": test.min_attainable_p},
        "optimism": describe_optimism(probes),
        "identity": describe_identity(probes),
        "selective": score_selection(by_recording, rules, params.confidence_level),
        "conformal": score_sets(by_recording, inner),
        "novelty": count_false_alarms(measured, groups, by_recording["fold"].to_numpy()),
        "leaky": trained.leaky,
        "warning": doubts,
    }
    if doubts:
        warnings.warn(doubts, stacklevel=1)
    with fresh_folder(out) as folder:
        write_table(folder / "predictions.csv", by_recording)
        write_table(folder / "chunks.csv", by_chunk)
        write_table(folder / "folds.csv", list_fold_scores(by_recording, by_chunk))
    with fresh_folder(plots) as folder:
        draw_unit(folder, "recording", by_recording, *settings, doubts)
        draw_unit(folder, "chunk", by_chunk, *settings, doubts)
        draw_recordings(folder, by_recording, doubts)
        draw_honesty(folder, by_recording, test, audit, probes, rules, figures["selective"])
    with fresh_folder(classifier) as folder:
        copy_models(trained, folder)
        save_rules(folder, rules)
        save_experience(folder, gain_experience(measured, groups))
        write_card(folder, trained, figures, chunks, rules, params.model_dump())
    write_json(metrics, figures)
    print_line(f"{len(by_recording)} recordings scored: {metrics}, {out / 'predictions.csv'}, {plots}")


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
