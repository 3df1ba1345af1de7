"""Metrics against answers worked out by hand, scikit-learn and SciPy."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest
from sklearn import metrics as reference

from mea.evaluation.evaluation import (
    list_fold_scores,
    predict_held_out,
    score_majority,
    score_table,
)
from mea.splitting.aggregation import add_predictions, aggregate_recordings, get_probabilities
from mea.statistics.scores import (
    count_confusion,
    measure_calibration,
    report_classes,
    score_predictions,
    trace_roc,
)
from mea.training.classifier import Classifier

AB = ["a", "b"]
ABC = ["a", "b", "c"]


def make_predictions(labels, n=60, seed=0):
    """Labels and probabilities that lean to them."""
    random = np.random.default_rng(seed)
    actual = np.array(labels)[random.integers(0, len(labels), n)]
    logits = random.normal(size=(n, len(labels))) + 1.2 * (actual[:, None] == np.array(labels))
    probabilities = np.exp(logits)
    return actual, probabilities / probabilities.sum(1, keepdims=True)


# --- metrics ---------------------------------------------------------------------------------------------------------


def test_two_classes_by_hand():
    """Five recordings: a a a b b, called b for certain or almost, by hand."""
    actual = np.array(["a", "a", "a", "b", "b"])
    p_b = np.array([0.1, 0.4, 0.8, 0.6, 0.3])
    scores = score_predictions(AB, actual, np.column_stack([1 - p_b, p_b]), 5)
    assert scores["accuracy"] == pytest.approx(3 / 5)
    assert scores["balanced_accuracy"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert scores["f1"] == pytest.approx(2 * 1 / (2 * 1 + 1 + 1))  # of b: one hit, one false alarm, one miss
    # Of the six pairs of an a and a b, b stands higher in (.1, .6) (.4, .6) (.1, .3): three of them.
    assert scores["roc_auc"] == pytest.approx(3 / 6)
    assert scores["log_loss"] == pytest.approx(-np.log([0.9, 0.6, 0.2, 0.6, 0.3]).mean())
    assert scores["brier"] == pytest.approx(np.mean([0.1**2, 0.4**2, 0.8**2, 0.4**2, 0.7**2]))
    assert list(scores) == ["accuracy", "balanced_accuracy", "f1", "roc_auc", "log_loss", "brier", "ece"]


def test_the_second_label_is_the_positive_one():
    actual = np.array(["a"] * 3 + ["b"] * 7)
    always_b = np.tile([0.2, 0.8], (10, 1))
    assert score_predictions(AB, actual, always_b, 10)["f1"] == pytest.approx(2 * 7 / (2 * 7 + 3))
    assert score_predictions(AB, actual, always_b[:, ::-1], 10)["f1"] == 0


def test_two_classes_equal_scikit_learn():
    actual, probabilities = make_predictions(AB)
    predicted = np.where(probabilities[:, 1] > 0.5, "b", "a")
    scores = score_predictions(AB, actual, probabilities, 10)
    assert scores["roc_auc"] == reference.roc_auc_score(actual == "b", probabilities[:, 1])
    assert scores["f1"] == reference.f1_score(actual == "b", predicted == "b")
    assert scores["brier"] == pytest.approx(np.mean((probabilities[:, 1] - (actual == "b")) ** 2))
    assert scores["balanced_accuracy"] == reference.balanced_accuracy_score(actual, predicted)


def test_three_classes_are_one_against_the_rest():
    actual, probabilities = make_predictions(ABC)
    predicted = np.array(ABC)[probabilities.argmax(1)]
    scores = score_predictions(ABC, actual, probabilities, 10)
    one_hot = (actual[:, None] == np.array(ABC)).astype(float)
    areas = [reference.roc_auc_score(one_hot[:, k], probabilities[:, k]) for k in range(3)]
    assert scores["roc_auc"] == pytest.approx(np.mean(areas))
    f1 = [reference.f1_score(actual == label, predicted == label) for label in ABC]
    assert scores["f1"] == pytest.approx(np.mean(f1))
    assert scores["brier"] == pytest.approx(np.mean(((probabilities - one_hot) ** 2).sum(1)))
    assert scores["log_loss"] == pytest.approx(-np.log((probabilities * one_hot).sum(1)).mean())
    recall = [(predicted[actual == label] == label).mean() for label in ABC]
    assert scores["balanced_accuracy"] == pytest.approx(np.mean(recall))


def test_perfect_and_certain():
    actual = np.array(["a", "b", "c"])
    scores = score_predictions(ABC, actual, np.eye(3), 10)
    assert [scores[name] for name in ("accuracy", "balanced_accuracy", "f1", "roc_auc")] == [1, 1, 1, 1]
    assert scores["log_loss"] == pytest.approx(0, abs=1e-12) and scores["brier"] == scores["ece"] == 0


@pytest.mark.parametrize(("labels", "present"), [(AB, ["b"]), (ABC, ["a", "c"])])
def test_a_missing_class_has_no_auc_and_is_no_error(labels, present):
    actual = np.array(present * 10)
    _, probabilities = make_predictions(labels, len(actual))
    scores = score_predictions(labels, actual, probabilities, 10)
    assert np.isnan(scores["roc_auc"])
    assert all(np.isfinite(value) for name, value in scores.items() if name != "roc_auc")


def test_f1_counts_a_class_nobody_predicted_as_nought():
    scores = score_predictions(ABC, np.array(["a", "b", "c"]), np.tile([0.8, 0.1, 0.1], (3, 1)), 10)
    assert scores["f1"] == pytest.approx((2 * 1 / (2 + 2)) / 3)


# --- calibration -----------------------------------------------------------------------------------------------------


def test_calibration_error_by_hand():
    """Three bins of five: (0.5, 0.6] half right at 0.6; (0.8, 1] one of three right at 0.9."""
    confidence = np.array([0.6, 0.6, 0.9, 0.9, 0.9])
    right = np.array([True, False, True, False, False])
    actual = np.where(right, "a", "b")
    table, ece = measure_calibration(AB, actual, np.column_stack([confidence, 1 - confidence]), 5)
    assert table["count"].tolist() == [2, 3]
    np.testing.assert_allclose(table[["low", "high"]], [[0.4, 0.6], [0.8, 1.0]])
    np.testing.assert_allclose(table["confidence"], [0.6, 0.9])
    np.testing.assert_allclose(table["accuracy"], [0.5, 1 / 3])
    assert ece == pytest.approx((2 * 0.1 + 3 * (0.9 - 1 / 3)) / 5)


@pytest.mark.parametrize("confidence_level", [0.8, 0.95])
def test_calibration_bins_have_the_exact_interval_of_their_accuracy(confidence_level):
    """A bin of one recording, of none right and of all right among them."""
    confidence = np.array([0.55] + [0.65] * 4 + [0.75] * 7 + [0.95] * 9)
    hits = np.array([1] + [0] * 4 + [1, 1, 0, 0, 0, 0, 0] + [1] * 9, bool)
    stated = np.column_stack([confidence, 1 - confidence])
    table, _ = measure_calibration(AB, np.where(hits, "a", "b"), stated, 10, confidence_level)
    exact = [
        binomtest(k, n).proportion_ci(confidence_level, method="exact") for k, n in ((1, 1), (0, 4), (2, 7), (9, 9))
    ]
    np.testing.assert_allclose(table[["accuracy_low", "accuracy_high"]], exact, atol=1e-12)
    assert list(table)[:5] == ["low", "high", "confidence", "accuracy", "count"]


def test_calibration_bins_take_the_ends():
    probabilities = np.array([[1.0, 0.0], [0.5, 0.5]])
    table, _ = measure_calibration(AB, np.array(["a", "a"]), probabilities, 2)
    assert table["count"].tolist() == [1, 1] and table["high"].tolist() == [0.5, 1.0]


def test_calibration_error_of_honest_confidences_is_small():
    random = np.random.default_rng(0)
    p = random.random(200_000)
    actual = np.where(random.random(200_000) < p, "b", "a")
    honest = measure_calibration(AB, actual, np.column_stack([1 - p, p]), 10)[1]
    bold = np.clip(1.6 * (p - 0.5) + 0.5, 0, 1)
    assert honest < 0.01 < 0.05 < measure_calibration(AB, actual, np.column_stack([1 - bold, bold]), 10)[1]


# --- tables ----------------------------------------------------------------------------------------------------------


def test_confusion_rows_are_actual():
    actual, predicted = np.array(["a", "a", "a", "b"]), np.array(["b", "b", "a", "b"])
    assert count_confusion(AB, actual, predicted).tolist() == [[1, 2], [0, 1]]
    assert count_confusion(ABC, actual, predicted).tolist() == [[1, 2, 0], [0, 1, 0], [0, 0, 0]]


def test_the_predecessors_report():
    """Its base version: 340 and 60 of class 0, 5 and 495 of class 1, and the precision and recall it published."""
    actual = np.repeat(["w_oMNPs", "w_oMNPs", "withMNPs", "withMNPs"], [340, 60, 5, 495])
    predicted = np.repeat(["w_oMNPs", "withMNPs", "w_oMNPs", "withMNPs"], [340, 60, 5, 495])
    labels = ["w_oMNPs", "withMNPs"]
    assert count_confusion(labels, actual, predicted).tolist() == [[340, 60], [5, 495]]
    report = report_classes(labels, actual, predicted).set_index("label")
    assert report["precision"].round(2).tolist() == [0.99, 0.89] and report["recall"].round(2).tolist() == [0.85, 0.99]
    assert report["support"].tolist() == [400, 500]
    probabilities = (predicted[:, None] == np.array(labels)).astype(float)
    assert round(100 * score_predictions(labels, actual, probabilities, 10)["accuracy"], 4) == 92.7778


def test_roc_curves():
    actual, probabilities = make_predictions(ABC)
    curves = trace_roc(ABC, actual, probabilities)
    assert list(curves) == ABC
    for k, label in enumerate(ABC):
        fpr, tpr, area = curves[label]
        assert (fpr[0], tpr[0], fpr[-1], tpr[-1]) == (0, 0, 1, 1) and (np.diff(fpr) >= 0).all()
        assert area == pytest.approx(reference.roc_auc_score(actual == label, probabilities[:, k]))
    actual, probabilities = make_predictions(AB)
    assert list(trace_roc(AB, actual, probabilities)) == ["b"]
    assert trace_roc(AB, np.full(5, "b"), np.full((5, 2), 0.5)) == {}


# --- evaluation ------------------------------------------------------------------------------------------------------


def make_chunks(lines):
    """Chunks from (recording, label, fold), in a culture and a batch of the recording's own."""
    table = pd.DataFrame(lines, columns=["recording", "label", "fold"])
    table["chunk"] = [f"{name}@{number:04d}" for number, name in enumerate(table["recording"])]
    return table.assign(culture="culture of " + table["recording"], batch="batch of " + table["recording"])


def make_classifier(folds, labels=AB):
    return Classifier(
        folder=None, model="rate", labels=labels, rows=12, cols=12, sampling_rate_hz=25_000, format="mcs", chunk_s=1.0,
        first_s=None, folds=folds, leaky=0, warning="", params={}, facts={},
    )  # fmt: skip


def test_every_chunk_is_scored_by_the_fold_that_held_it_out():
    chunks = make_chunks([("r1", "a", 2), ("r2", "b", 0), ("r1", "a", 2), ("r3", "b", 1), ("r2", "b", 0)])
    asked = []

    def tell_fold(part, events, fold):
        """The fold as probability, so that one sees who scored what."""
        asked.append((fold, part["chunk"].tolist()))
        return np.tile([fold / 10, 1 - fold / 10], (len(part), 1))

    scored = predict_held_out(make_classifier([0, 2]), chunks, {}, tell_fold)
    assert scored["chunk"].tolist() == ["r1@0000", "r2@0001", "r1@0002", "r2@0004"], "the fold 1 is not scored"
    assert scored["p_a"].tolist() == [0.2, 0.0, 0.2, 0.0]
    assert asked == [(0, ["r2@0001", "r2@0004"]), (2, ["r1@0000", "r1@0002"])], "each is asked for once"


def test_a_recording_is_called_by_the_mean_of_its_chunks():
    """Two of three chunks say a, but the third is surer: the mean says b, where counting heads would say a."""
    chunks = make_chunks([("r2", "a", 0), ("r1", "b", 1), ("r1", "b", 1), ("r1", "b", 1)])
    p_a = np.array([0.7, 0.6, 0.6, 0.0])
    table = aggregate_recordings(add_predictions(chunks, np.column_stack([p_a, 1 - p_a]), AB), AB)
    columns = ["recording", "label", "culture", "batch", "fold", "predicted", "confidence", "p_a", "p_b"]
    assert list(table.columns) == columns
    assert table["recording"].tolist() == ["r1", "r2"] and table["fold"].tolist() == [1, 0]
    assert table["predicted"].tolist() == ["b", "a"]
    np.testing.assert_allclose(table[["confidence", "p_a", "p_b"]], [[0.6, 0.4, 0.6], [0.7, 0.7, 0.3]])
    assert table["culture"].tolist() == ["culture of r1", "culture of r2"]
    np.testing.assert_allclose(get_probabilities(table, AB), table[["p_a", "p_b"]])


def test_a_recording_scored_by_several_folds_says_so():
    chunks = make_chunks([("r1", "a", 0), ("r1", "a", 1), ("r2", "b", 1), ("r2", "b", 1)])
    table = aggregate_recordings(add_predictions(chunks, np.full((4, 2), 0.5), AB), AB)
    assert table["fold"].tolist() == ["mixed", 1]


def test_scores_of_a_level_come_with_both_intervals():
    chunks = make_chunks([(f"r{number // 5}", AB[number // 20], 0) for number in range(40)])
    p_a = np.where(np.arange(40) // 5 % 4 == 0, 0.3, 0.8)  # every recording all right or all wrong
    p_a = np.where(chunks["label"] == "a", p_a, 1 - p_a)
    table = add_predictions(chunks, np.column_stack([p_a, 1 - p_a]), AB)
    scores = score_table(table, AB, 10, 0.95)
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
    assert np.isnan(score_table(table.assign(batch="one"), AB, 10, 0.95)["accuracy_low"])


def test_majority_is_that_of_the_training_recordings():
    """Fold 0 is all a: without it b is the majority, so that the majority class is wrong there every time."""
    lines = [(f"r{number}", "a", 0) for number in range(3)] + [(f"s{number}", "b", 1) for number in range(2)]
    chunks = make_chunks(lines + lines[:3] * 5)  # recordings count, not chunks
    scored = aggregate_recordings(add_predictions(chunks, np.full((len(chunks), 2), 0.5), AB), AB)
    assert score_majority(chunks, scored) == 0.0
    even = make_chunks([("r1", "b", 0), ("r2", "a", 0), ("r3", "b", 1), ("r4", "a", 1)])
    scored = aggregate_recordings(add_predictions(even, np.full((4, 2), 0.5), AB), AB)
    assert score_majority(even, scored) == 0.5  # of equals the first


def test_majority_of_a_split_by_chunk_is_that_of_all_recordings():
    chunks = make_chunks([(name, label, fold) for name, label in ("ra", "sa", "tb") for fold in (0, 1)])
    scored = aggregate_recordings(add_predictions(chunks, np.full((6, 2), 0.5), AB), AB)
    assert set(scored["fold"]) == {"mixed"} and score_majority(chunks, scored) == pytest.approx(2 / 3)


def test_fold_scores():
    chunks = make_chunks([("r1", "a", 0), ("r1", "a", 0), ("r2", "b", 0), ("r3", "a", 1)])
    p_a = np.array([0.9, 0.4, 0.8, 0.9])
    by_chunk = add_predictions(chunks, np.column_stack([p_a, 1 - p_a]), AB)
    table = list_fold_scores(aggregate_recordings(by_chunk, AB), by_chunk)
    np.testing.assert_allclose(table.to_numpy(float), [[0, 2, 0.5, 3, 1 / 3], [1, 1, 1, 1, 1]])
