"""Everything that the evaluate stage measures, in one dictionary: metrics, baselines and checks."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mea.evaluation.confounds import summarise_audit
from mea.evaluation.evaluation import (
    ScoreSettings,
    score_at_prior,
    score_majority,
    score_selection,
    score_sets,
    score_table,
)
from mea.evaluation.held_out import HeldOut
from mea.evaluation.importance import summarise_importance
from mea.evaluation.probes import summarise_identity, summarise_optimism
from mea.evaluation.rules import Rules
from mea.statistics.ordinal import score_order
from mea.statistics.permutation import PermutationTest


@dataclass(frozen=True)
class Checks:
    """What an accuracy must be compared with before it is believed.

    Attributes
    ----------
    permutation
        The test against permuted labels.
    confounds
        The audit of metadata.
    probes
        What linear probes read from the features.
    false_alarms
        How many held-out recordings the novelty detector would reject or flag.
    by_rate
        Predictions of recordings by the baseline on firing rates.
    importance
        What the models decide by: :func:`mea.evaluation.importance.measure_importance`.
    leaky
        1 if the training set and the test set are not independent.
    doubts
        Everything that makes the metrics doubtful, in words; empty for nothing.
    """

    permutation: PermutationTest
    confounds: pd.DataFrame
    probes: dict[str, float]
    false_alarms: dict[str, float]
    by_rate: pd.DataFrame
    importance: pd.DataFrame
    leaky: int
    doubts: str


def collect_metrics(
    held_out: HeldOut, models: pd.DataFrame, rules: Rules, checks: Checks, chunks: pd.DataFrame, scoring: ScoreSettings
) -> dict[str, Any]:
    """Everything in metrics/evaluate.json; ``docs/honesty.md`` explains each key.

    Parameters
    ----------
    held_out
        Predictions of what was chosen in each fold: the headline.
    models
        Every model beside it: :func:`mea.evaluation.models.compare_models`.
    rules
        For new recordings.
    checks
        What an accuracy must be compared with.
    chunks
        All chunks with their fold.
    scoring
        Classes, bins and confidence level.
    """
    recordings = held_out.by_recording
    metrics: dict[str, Any] = {
        "recording": score_table(recordings, scoring),
        "chunk": score_table(held_out.by_chunk, scoring),
        "uncalibrated": score_table(held_out.raw, scoring),
        "baseline": {
            "majority": {"accuracy": score_majority(chunks, recordings)},
            "rate": score_table(checks.by_rate, scoring),
            "metadata": summarise_audit(checks.confounds),
        },
        "permutation": {
            "p_value": checks.permutation.p_value,
            "min_attainable_p": checks.permutation.min_attainable_p,
        },
        "optimism": summarise_optimism(checks.probes),
        "identity": summarise_identity(checks.probes),
        "importance": summarise_importance(checks.importance),
        "selective": score_selection(recordings, rules, scoring.confidence_level),
        "conformal": score_sets(recordings, held_out.fold_rules),
        "novelty": checks.false_alarms,
        "models": models.set_index("model").to_dict("index"),
        "prior": dict(zip(rules.labels, rules.prior)),
        "at_prior": score_at_prior(recordings, rules.labels, np.array(rules.prior)),
        "ordered": score_order(scoring.order, recordings["label"], recordings["predicted"]) if scoring.order else {},
        "leaky": checks.leaky,
        "warning": checks.doubts,
    }
    return {name: value for name, value in metrics.items() if value != {}}
