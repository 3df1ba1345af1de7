"""Everything that the evaluate stage measures, in one dictionary: metrics, baselines and checks."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from mea.evaluation.confounds import summarise_audit
from mea.evaluation.evaluation import (
    HeldOut,
    ScoreSettings,
    score_majority,
    score_selection,
    score_sets,
    score_table,
)
from mea.evaluation.probes import summarise_identity, summarise_optimism
from mea.evaluation.rules import Rules
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
    leaky
        1 if the training set and the test set are not independent.
    doubts
        Everything that makes the metrics doubtful, in words; empty for nothing.
    """

    permutation: PermutationTest
    confounds: pd.DataFrame
    probes: dict[str, float]
    false_alarms: dict[str, float]
    leaky: int
    doubts: str


def collect_metrics(
    held_out: HeldOut, rules: Rules, checks: Checks, chunks: pd.DataFrame, scoring: ScoreSettings
) -> dict[str, Any]:
    """Everything in metrics/evaluate.json; ``docs/honesty.md`` explains each key."""
    recordings = held_out.by_recording
    metrics: dict[str, Any] = {
        "recording": score_table(recordings, scoring),
        "chunk": score_table(held_out.by_chunk, scoring),
        "uncalibrated": score_table(held_out.raw, scoring),
        "baseline": {
            "majority": {"accuracy": score_majority(chunks, recordings)},
            "rate": score_table(held_out.by_rate, scoring),
            "metadata": summarise_audit(checks.confounds),
        },
        "permutation": {
            "p_value": checks.permutation.p_value,
            "min_attainable_p": checks.permutation.min_attainable_p,
        },
        "optimism": summarise_optimism(checks.probes),
        "identity": summarise_identity(checks.probes),
        "selective": score_selection(recordings, rules, scoring.confidence_level),
        "conformal": score_sets(recordings, held_out.fold_rules),
        "novelty": checks.false_alarms,
        "leaky": checks.leaky,
        "warning": checks.doubts,
    }
    return metrics
