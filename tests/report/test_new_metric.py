"""A new metric touches one place: the table METRICS."""

import numpy as np
from builders.splits import make_folded_chunks

from mea.evaluation.evaluation import (
    ScoreSettings,
    score_table,
)
from mea.report.headline import list_metrics
from mea.splitting.aggregation import add_predictions
from mea.statistics.intervals import bound_accuracy
from mea.statistics.paired import compare_predictions
from mea.statistics.scores import METRICS, Metric, score_predictions

AB = ["a", "b"]


def score_worst_class(given):
    return max(1 - given.correct[given.actual == label].mean() for label in set(given.actual))


def bound_error(given, groups, confidence_level):
    return bound_accuracy(~given.correct, groups, confidence_level)


def test_a_metric_added_to_the_table_is_scored_bounded_compared_and_shown(monkeypatch):
    """One entry, here a loss with an interval: no other list has to be changed. The card's rows: test_card.py."""
    added = Metric("error of the worst class", score_worst_class, False, "predicted", True, bound_error, "worst")
    monkeypatch.setitem(METRICS, "worst_class", added)
    actual, groups = np.tile(AB, 40), np.repeat(np.arange(20), 4)
    p_b = np.where(actual == "b", 0.8, 0.2)
    good, bad = np.column_stack([1 - p_b, p_b]), np.tile([0.6, 0.4], (80, 1))
    chunks = make_folded_chunks([(f"r{number}", label, 0) for number, label in enumerate(actual)])
    scores = score_table(add_predictions(chunks, bad, AB), ScoreSettings(AB, 10, 0.95))
    assert scores["worst_class"] == 1.0 and scores["worst_class_low"] < 0.5 < scores["worst_class_high"]
    differences = {item.metric: item for item in compare_predictions(AB, actual, groups, bad, good, 10)}
    found = differences["worst_class"]
    assert (found.a, found.b, found.better) == (1.0, 0.0, "B"), "lower is better"
    part = score_predictions(AB, actual, good, 10) | {"accuracy_low": 0.9, "accuracy_high": 1.0}
    headline = list_metrics(
        {
            "recording": part,
            "chunk": part,
            "baseline": {"majority": part, "rate": part, "metadata": part},
            "permutation": {"p_value": 0.01, "min_attainable_p": 0.01},
            "prior": {"a": 0.5, "b": 0.5},
            "optimism": {"chunk_split_accuracy": 1.0, "honest_accuracy": 1.0},
        }
    )
    assert dict(headline)["accuracy"].endswith("AUC 1, worst 0")
