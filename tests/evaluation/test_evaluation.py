"""Held-out predictions and the metrics of tables: who is predicted by which fold, intervals, baselines."""

from types import SimpleNamespace

import numpy as np
import pytest
from builders.splits import make_folded_chunks
from scipy.stats import binomtest

from mea.evaluation.evaluation import ScoreSettings, list_fold_scores, score_majority, score_table
from mea.evaluation.held_out import predict_held_out
from mea.splitting.aggregation import add_predictions, aggregate_recordings

AB = ["a", "b"]


def test_every_chunk_is_scored_by_the_fold_that_held_it_out():
    chunks = make_folded_chunks([("r1", "a", 2), ("r2", "b", 0), ("r1", "a", 2), ("r3", "b", 1), ("r2", "b", 0)])
    asked = []

    class TellFold:
        """The fold as probability, so that one sees who scored what."""

        averages_chunks = True

        def __init__(self, fold):
            self.fold = fold

        def predict_proba(self, part, events):
            asked.append((self.fold, part["chunk"].tolist()))
            return np.tile([self.fold / 10, 1 - self.fold / 10], (len(part), 1))

    told = SimpleNamespace(folds=[0, 2], labels=AB, open_model=TellFold)
    predictions = predict_held_out(told, chunks, {})
    scored = predictions.by_chunk
    assert scored["chunk"].tolist() == ["r1@0000", "r2@0001", "r1@0002", "r2@0004"], "the fold 1 is not scored"
    assert scored["p_a"].tolist() == [0.2, 0.0, 0.2, 0.0]
    assert asked == [(0, ["r2@0001", "r2@0004"]), (2, ["r1@0000", "r1@0002"])], "each is asked for once"
    assert predictions.list_recordings(AB)["p_a"].tolist() == [0.2, 0.0]


def test_scores_of_a_level_come_with_both_intervals():
    chunks = make_folded_chunks([(f"r{number // 5}", AB[number // 20], 0) for number in range(40)])
    p_a = np.where(np.arange(40) // 5 % 4 == 0, 0.3, 0.8)  # every recording all right or all wrong
    p_a = np.where(chunks["label"] == "a", p_a, 1 - p_a)
    table = add_predictions(chunks, np.column_stack([p_a, 1 - p_a]), AB)
    scores = score_table(table, ScoreSettings(AB, 10, 0.95))
    assert list(scores) == [
        "accuracy", "accuracy_low", "accuracy_high", "accuracy_low_naive", "accuracy_high_naive",
        "balanced_accuracy", "balanced_accuracy_low", "balanced_accuracy_high", "f1", "roc_auc", "roc_auc_low",
        "roc_auc_high", "log_loss", "brier", "ece", "count",
    ]  # fmt: skip
    assert scores["accuracy"] == 0.75 and scores["count"] == 40
    naive = binomtest(30, 40).proportion_ci(0.95, method="exact")
    assert (scores["accuracy_low_naive"], scores["accuracy_high_naive"]) == pytest.approx((naive.low, naive.high))
    assert scores["accuracy_low"] < naive.low - 0.05 and scores["accuracy_high"] > naive.high + 0.03
    # The batch is what is alike: with all recordings of one batch nothing can be said.
    assert np.isnan(score_table(table.assign(batch="one"), ScoreSettings(AB, 10, 0.95))["accuracy_low"])


def test_majority_is_that_of_the_training_recordings():
    """Fold 0 is all a: without it b is the majority, so that the majority class is wrong there every time."""
    lines = [(f"r{number}", "a", 0) for number in range(3)] + [(f"s{number}", "b", 1) for number in range(2)]
    chunks = make_folded_chunks(lines + lines[:3] * 5)  # recordings count, not chunks
    scored = aggregate_recordings(add_predictions(chunks, np.full((len(chunks), 2), 0.5), AB), AB)
    assert score_majority(chunks, scored) == 0.0
    even = make_folded_chunks([("r1", "b", 0), ("r2", "a", 0), ("r3", "b", 1), ("r4", "a", 1)])
    scored = aggregate_recordings(add_predictions(even, np.full((4, 2), 0.5), AB), AB)
    assert score_majority(even, scored) == 0.5  # of equals the first


def test_majority_of_a_split_by_chunk_is_that_of_all_recordings():
    chunks = make_folded_chunks([(name, label, fold) for name, label in ("ra", "sa", "tb") for fold in (0, 1)])
    scored = aggregate_recordings(add_predictions(chunks, np.full((6, 2), 0.5), AB), AB)
    assert set(scored["fold"]) == {"mixed"} and score_majority(chunks, scored) == pytest.approx(2 / 3)


def test_fold_scores():
    chunks = make_folded_chunks([("r1", "a", 0), ("r1", "a", 0), ("r2", "b", 0), ("r3", "a", 1)])
    p_a = np.array([0.9, 0.4, 0.8, 0.9])
    by_chunk = add_predictions(chunks, np.column_stack([p_a, 1 - p_a]), AB)
    table = list_fold_scores(aggregate_recordings(by_chunk, AB), by_chunk)
    np.testing.assert_allclose(table.to_numpy(float), [[0, 2, 0.5, 3, 1 / 3], [1, 1, 1, 1, 1]])
