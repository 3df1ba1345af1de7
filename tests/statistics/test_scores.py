"""Metrics against answers worked out by hand, scikit-learn and SciPy."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest
from sklearn import metrics as reference

from mea.statistics.scores import (
    METRICS,
    count_confusion,
    measure_calibration,
    report_classes,
    score_predictions,
    trace_roc,
)

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
    assert list(report.columns) == ["precision", "recall", "f1", "support"]
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
        assert len(fpr) == len(actual) + 1, "a point for each probability, and the origin"
    actual, probabilities = make_predictions(AB)
    assert list(trace_roc(AB, actual, probabilities)) == ["b"]
    for label in AB:  # no recording of the other class
        assert trace_roc(AB, np.full(5, label), np.full((5, 2), 0.5)) == {}
    assert trace_roc(AB, np.array(["a", "b", "a"]), np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]]))["b"][2] == 1


def test_a_class_that_no_recording_has_stands_in_the_report_with_nothing():
    report = report_classes(ABC, np.array(["a", "b"]), np.array(["a", "a"])).set_index("label")
    assert report.index.tolist() == ABC and report.loc["c"].tolist() == [0, 0, 0, 0]
    assert report.loc["a"].tolist() == [0.5, 1, pytest.approx(2 / 3), 1]


def test_the_calibration_has_intervals_of_95_percent_unless_told_otherwise():
    actual, probabilities = make_predictions(AB)
    table, _ = measure_calibration(AB, actual, probabilities, 5)
    pd.testing.assert_frame_equal(table, measure_calibration(AB, actual, probabilities, 5, 0.95)[0])
    assert not table.equals(measure_calibration(AB, actual, probabilities, 5, 0.9)[0])


# --- the table of metrics --------------------------------------------------------------------------------------------


def test_every_metric_has_a_direction_that_its_values_follow():
    """A better version of the same predictions scores better in each, in the direction the table states."""
    actual = np.tile(AB, 30)
    right = np.where(np.arange(60) % 10 < 3, actual == "a", actual == "b")
    worse = np.column_stack([np.where(right, 0.4, 0.6), np.where(right, 0.6, 0.4)])
    better = np.column_stack([np.where(actual == "b", 0.01, 0.99), np.where(actual == "b", 0.99, 0.01)])
    first, second = (score_predictions(AB, actual, one, 10) for one in (worse, better))
    for name, metric in METRICS.items():
        assert (second[name] > first[name]) == metric.higher_is_better, name
        assert second[name] != first[name], name
