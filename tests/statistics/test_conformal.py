"""Prediction sets against MAPIE, ranks by hand, and simulations in which naive thresholds do not cover."""

import json

import numpy as np
import pytest
from mapie.classification import SplitConformalClassifier
from scipy.special import softmax
from scipy.stats import binomtest
from sklearn.base import BaseEstimator, ClassifierMixin

from mea.statistics.conformal import ConformalSets, fit_conformal, list_coverage, measure_coverage

AB = ["w_oMNPs", "withMNPs"]


def make_recordings(n, n_labels=2, seed=0, shares=None):
    """Probabilities that lean to the actual label, none alike."""
    random = np.random.default_rng(seed)
    targets = random.choice(n_labels, n, p=shares)
    return softmax(random.normal(0, 1, (n, n_labels)) + 1.2 * np.eye(n_labels)[targets], axis=1), targets


class Told(ClassifierMixin, BaseEstimator):
    """A fitted classifier whose features are the probabilities."""

    def __init__(self, n_labels=2):
        self.n_labels = n_labels
        self.classes_ = np.arange(n_labels)
        self.fitted_ = True

    def fit(self, X, y):
        return self

    def predict_proba(self, X):
        return np.asarray(X)

    def predict(self, X):
        return np.asarray(X).argmax(1)


# --- independent reference -------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*conformalization dataset has less labels")  # one class at a time is the point
@pytest.mark.parametrize("confidence_level", [0.8, 0.9, 0.95])
@pytest.mark.parametrize("n_labels", [2, 3])
def test_sets_are_those_of_mapie_class_by_class(confidence_level, n_labels):
    """MAPIE fitted on the recordings of one class gives that class's column."""
    probabilities, targets = make_recordings(33 * n_labels * 2, n_labels)
    new, _ = make_recordings(2000, n_labels, seed=1)
    fitted = fit_conformal(probabilities, targets, list("abc"[:n_labels]), confidence_level, np.arange(len(targets)))
    sets = fitted.predict_sets(new)
    for k in range(n_labels):
        own = targets == k
        reference = SplitConformalClassifier(Told(n_labels), confidence_level=confidence_level, conformity_score="lac")
        reference.conformalize(probabilities[own], targets[own])
        np.testing.assert_array_equal(sets[:, k], reference.predict_set(new)[1][:, k, 0])
        assert fitted.thresholds[k] == pytest.approx(reference._mapie_classifier.conformity_score_function_.quantiles_)
    assert 0 < sets.mean() < 1


# --- known answers ---------------------------------------------------------------------------------------------------


def test_the_threshold_is_the_right_rank():
    """Of nine scores .1 to .9 at 80 %: the ⌈10 × .8⌉ = 8th smallest; at 90 % the 9th; at 95 % there is none."""
    p_a = 1 - np.arange(1, 10) / 10
    probabilities = np.column_stack([p_a, 1 - p_a])
    for confidence_level, threshold in ((0.8, 0.8), (0.85, 0.9), (0.9, 0.9), (0.95, 1.0)):
        fitted = fit_conformal(probabilities, np.zeros(9, int), AB, confidence_level, np.arange(9))
        assert fitted.thresholds == pytest.approx((threshold, 1.0))


@pytest.mark.parametrize(("confidence_level", "needed"), [(0.95, 19), (0.9, 9), (0.8, 4), (0.99, 99)])
def test_rounding_takes_no_recording_away(confidence_level, needed):
    """(n + 1) × level is whole at the smallest n that will do, and floating point must not lift it above."""
    p = np.linspace(0.6, 0.9, needed)
    probabilities, targets = np.column_stack([p, 1 - p]), np.zeros(needed, int)
    assert fit_conformal(probabilities, targets, AB, confidence_level, np.arange(needed)).thresholds[
        0
    ] == pytest.approx(0.4)
    fewer = fit_conformal(probabilities[1:], targets[1:], AB, confidence_level, np.arange(needed - 1))
    assert fewer.thresholds[0] == 1.0


def test_a_class_with_too_few_stands_in_every_set():
    probabilities, targets = make_recordings(200, seed=3)
    few = np.r_[np.flatnonzero(targets == 0), np.flatnonzero(targets == 1)[:12]]
    fitted = fit_conformal(probabilities[few], targets[few], AB, 0.95, np.arange(len(few)))
    sets = fitted.predict_sets(np.array([[1.0, 0.0], [0.0, 1.0]]))
    assert sets[:, 1].all() and sets[0, 0] and not sets[1, 0]
    assert fitted.recordings == (int((targets == 0).sum()), 12)
    assert fitted.explain() == (
        "too few recordings for 95 %: class withMNPs has 12 calibration recordings, 19 are needed; it is in every set"
    )


def test_a_class_never_seen_stands_in_every_set():
    probabilities, _ = make_recordings(30)
    fitted = fit_conformal(probabilities, np.zeros(30, int), AB, 0.9, np.arange(30))
    assert fitted.recordings == (30, 0) and fitted.groups == (30, 0)
    assert fitted.predict_sets(probabilities)[:, 1].all()
    assert "class withMNPs has 0 calibration recordings, 9 are needed" in fitted.explain()


def test_few_groups_are_said():
    probabilities, targets = make_recordings(400)
    assert fit_conformal(probabilities, targets, AB, 0.95, np.arange(400)).explain() == ""
    alike = fit_conformal(probabilities, targets, AB, 0.95, np.where(targets == 0, np.arange(400), np.arange(400) % 5))
    assert alike.explain() == (
        f"too few groups for 95 %: the {(targets == 1).sum()} calibration recordings of class withMNPs come from 5 "
        "groups, 19 are needed; recordings of one group are similar, so the coverage may be lower than stated"
    )
    for count in (18, 19):  # as many as are needed are enough
        group = np.where(targets == 0, np.arange(400), np.arange(400) % count)
        assert bool(fit_conformal(probabilities, targets, AB, 0.95, group).explain()) == (count < 19)


def test_stored_as_json_and_back():
    fitted = fit_conformal(*make_recordings(40), AB, 0.9, np.arange(40))
    assert ConformalSets.from_dict(json.loads(json.dumps(fitted.to_dict(), allow_nan=False))) == fitted


# --- coverage --------------------------------------------------------------------------------------------------------


def simulate(n, confidence_level, draws, fit):
    """Share of new recordings of class 0 whose set holds it, over many labs of ``n`` recordings of that class."""
    random = np.random.default_rng(0)
    p = random.beta(3, 1, (draws, n + 1))
    held = [fit(np.column_stack([row, 1 - row]), confidence_level)[0] for row in p]
    return np.mean(held)


def hold_last(probabilities, confidence_level):
    n = len(probabilities) - 1
    fitted = fit_conformal(probabilities[:-1], np.zeros(n, int), AB, confidence_level, np.arange(n))
    return fitted.predict_sets(probabilities[-1:])[0]


def hold_last_naively(probabilities, confidence_level):
    """The plain quantile, without the correction for a finite sample."""
    threshold = np.quantile(1 - probabilities[:-1, 0], confidence_level, method="inverted_cdf")
    return 1 - probabilities[-1:, 0] <= threshold


@pytest.mark.parametrize(("n", "confidence_level"), [(10, 0.9), (20, 0.95), (30, 0.8)])
def test_coverage_is_what_was_asked_for_where_the_plain_quantile_is_not(n, confidence_level):
    """Exactly ⌈(n + 1) level⌉ / (n + 1), between the level and one recording more."""
    draws = 8000
    error = 3 * np.sqrt(confidence_level * (1 - confidence_level) / draws)
    coverage = simulate(n, confidence_level, draws, hold_last)
    assert confidence_level - error <= coverage <= confidence_level + 1 / (n + 1) + error
    assert coverage == pytest.approx(np.ceil(round((n + 1) * confidence_level, 9)) / (n + 1), abs=error)
    assert simulate(n, confidence_level, draws, hold_last_naively) < confidence_level - error


def test_a_rare_and_hard_class_is_covered_too():
    """One threshold for all (not for each class) covers 90 % of recordings by covering the common class."""
    random = np.random.default_rng(0)

    def make(n):
        targets = (random.random(n) < 0.1).astype(int)
        lean = np.where(targets == 1, 0.2, 2.0)[:, None] * np.eye(2)[targets]
        return softmax(random.normal(0, 1, (n, 2)) + lean, axis=1), targets

    (probabilities, targets), (new, actual) = make(4000), make(20_000)
    own = fit_conformal(probabilities, targets, AB, 0.9, np.arange(4000))
    table = list_coverage(own.predict_sets(new), actual, AB, 0.95).set_index("label")
    assert (table["coverage"] > 0.87).all() and (table["coverage"] < 0.93).all()
    pooled = np.sort(1 - probabilities[np.arange(4000), targets])[int(np.ceil(4001 * 0.9)) - 1]
    naive = list_coverage(1 - new <= pooled, actual, AB, 0.95).set_index("label")
    assert naive.loc["withMNPs", "coverage"] < 0.7


# --- what is told of the sets ----------------------------------------------------------------------------------------


def test_what_sets_hold_by_hand():
    sets = np.array([[1, 0], [1, 1], [0, 0], [0, 1], [1, 0], [0, 1]], bool)
    targets = np.array([0, 0, 0, 1, 1, 1])
    assert measure_coverage(sets, targets) == pytest.approx(
        {"coverage": 4 / 6, "mean_size": 1.0, "empty_fraction": 1 / 6, "single_fraction": 4 / 6}
    )
    table = list_coverage(sets, targets, AB, 0.9).set_index("label")
    assert table.index.tolist() == AB and table["count"].tolist() == [3, 3]
    np.testing.assert_allclose(table["coverage"], [2 / 3, 2 / 3])
    np.testing.assert_allclose(table["mean_size"], [1, 1])
    np.testing.assert_allclose(table["empty_fraction"], [1 / 3, 0])
    np.testing.assert_allclose(table["single_fraction"], [1 / 3, 1])
    exact = binomtest(2, 3).proportion_ci(0.9, method="exact")
    np.testing.assert_allclose(table.loc["w_oMNPs", ["coverage_low", "coverage_high"]].astype(float), exact)


def test_a_class_without_recordings_has_no_line():
    table = list_coverage(np.ones((4, 2), bool), np.zeros(4, int), AB, 0.95)
    assert table["label"].tolist() == ["w_oMNPs"] and table["mean_size"].tolist() == [2.0]
