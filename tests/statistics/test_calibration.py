"""Calibration against numbers planted, scikit-learn, SciPy, and mistakes a naive choice would make."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit, softmax
from sklearn.linear_model import LogisticRegression

from mea.runtime.errors import MeaError
from mea.statistics import calibration
from mea.statistics.calibration import (
    Calibrator,
    choose_method,
    compare_methods,
    fit_calibrator,
    fit_method,
    fit_platt,
    take_logs,
)
from mea.statistics.scores import measure_calibration, score_predictions


def make_recordings(n, temperature=1.0, bias=(0.0, 0.0), seed=0, std=1.5):
    """Probabilities whose calibration would be ``temperature`` and ``bias``, and labels drawn accordingly."""
    random = np.random.default_rng(seed)
    true = random.normal(0, std, (n, len(bias)))
    targets = (softmax(true, axis=1).cumsum(1) < random.random((n, 1))).sum(1)
    return softmax(temperature * (true - np.array(bias)), axis=1), targets


def measure_loss(probabilities, targets):
    return -np.log(probabilities[np.arange(len(targets)), targets]).mean()


# --- known answers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.4, 2.5])
@pytest.mark.parametrize("n_labels", [2, 3])
def test_a_planted_temperature_is_found(temperature, n_labels):
    probabilities, targets = make_recordings(8_000, temperature, (0.0,) * n_labels)
    found = fit_calibrator(probabilities, targets, np.arange(8_000) // 10, 0)
    assert found.method == "temperature" and found.bias == (0.0,) * n_labels
    assert found.temperature == pytest.approx(temperature, rel=0.05)


@pytest.mark.parametrize("bias", [(0.5, -0.5), (0.8, 0.1, -0.9)])
def test_a_planted_bias_is_found(bias):
    probabilities, targets = make_recordings(20_000, 2.0, bias)
    found = fit_calibrator(probabilities, targets, np.arange(20_000) // 10, 0)
    assert found.method == "platt" and sum(found.bias) == pytest.approx(0, abs=1e-12)
    assert found.temperature == pytest.approx(2.0, rel=0.05)
    np.testing.assert_allclose(found.bias, bias, atol=0.05)


def test_honest_probabilities_are_left_alone():
    """On 40 data sets that need no calibration, none is done nearly always; otherwise the change is small."""
    found = [fit_calibrator(*make_recordings(200, seed=seed), np.arange(200) // 5, 0) for seed in range(40)]
    assert sum(one.method == "none" for one in found) >= 30
    assert all(0.6 < one.temperature < 1.7 and np.abs(one.bias).max() < 0.5 for one in found)
    probabilities = make_recordings(5)[0]
    assert fit_method("none", probabilities, np.zeros(5, int)).calibrate(probabilities) is probabilities


def test_calibrating_is_the_formula():
    probabilities = np.array([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]])
    made = Calibrator("platt", 2.0, (0.5, 0.0, -0.5)).calibrate(probabilities)
    by_hand = np.sqrt([0.2, 0.3, 0.5]) * np.exp([0.5, 0.0, -0.5])
    np.testing.assert_allclose(made[0], by_hand / by_hand.sum())
    np.testing.assert_allclose(made.sum(1), 1)
    lowest = np.sqrt(1e-6)  # a raw 0 counts as one in a million
    np.testing.assert_allclose(made[1, 2] / made[1, 0], lowest * np.exp(-1))
    twice = Calibrator("temperature", 2.0, (0.0, 0.0)).calibrate(np.array([[0.1, 0.9]]))
    assert logit(twice[0, 1]) == pytest.approx(logit(0.9) / 2)


# --- independent references ------------------------------------------------------------------------------------------


def test_platt_without_the_prior_is_scikit_learns_logistic_regression(monkeypatch):
    monkeypatch.setattr(calibration, "STD_LOG_TEMPERATURE", 1e6)
    monkeypatch.setattr(calibration, "STD_BIAS", 1e6)
    probabilities, targets = make_recordings(300, 2.0, (0.4, -0.4), std=1.0)
    odds = logit(probabilities[:, 1])[:, None]
    reference = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(odds, targets)
    found = fit_method("platt", probabilities, targets)
    assert 1 / found.temperature == pytest.approx(reference.coef_.item(), rel=1e-4)
    assert found.bias[1] - found.bias[0] == pytest.approx(reference.intercept_.item(), rel=1e-3)
    np.testing.assert_allclose(found.calibrate(probabilities), reference.predict_proba(odds), atol=1e-5)


def test_platt_scaling_finds_planted_log_odds():
    random = np.random.default_rng(0)
    decisions = random.normal(size=20_000) * 2
    targets = random.random(20_000) < expit(1.5 * decisions + 0.4)
    slope, intercept = fit_platt(decisions, targets)
    shift = np.log(targets.mean() / (1 - targets.mean()))  # both classes count alike: prior odds are taken out
    assert slope == pytest.approx(1.5, abs=0.05) and intercept == pytest.approx(0.4 - shift, abs=0.05)


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_platt_scaling_does_not_depend_on_the_unit_of_the_decisions(factor):
    decisions = np.random.default_rng(1).normal(size=60)
    targets = decisions + np.random.default_rng(2).normal(size=60) > 0
    slope, intercept = fit_platt(decisions, targets)
    scaled_slope, scaled_intercept = fit_platt(factor * decisions, targets)
    assert scaled_slope == pytest.approx(slope / factor) and scaled_intercept == pytest.approx(intercept)


@pytest.mark.parametrize("n", [12, 300])
def test_temperature_is_the_minimum_scipy_finds(n):
    """The same sum written anew: log loss, and a normal prior of standard deviation 0.5 on the log temperature."""
    probabilities, targets = make_recordings(n, 3.0, (0.0, 0.0, 0.0), std=0.7)

    def weigh(log_temperature):
        scaled = softmax(np.log(probabilities) / np.exp(log_temperature), axis=1)
        return n * measure_loss(scaled, targets) + log_temperature**2 / (2 * 0.5**2)

    reference = minimize_scalar(weigh, bounds=(-3, 3), method="bounded", options={"xatol": 1e-8}).x
    assert np.log(fit_method("temperature", probabilities, targets).temperature) == pytest.approx(reference, abs=1e-5)


@pytest.mark.parametrize("method", ["temperature", "platt"])
def test_the_gradient_is_that_of_the_loss(method):
    probabilities, targets = make_recordings(30, 3.0, (0.3, 0.2, -0.5))
    logs, one_hot = take_logs(probabilities), np.eye(3)[targets]
    at = np.array([0.4, 0.3, -0.2, 0.1])[: 4 if method == "platt" else 1]
    steps = 1e-6 * np.eye(len(at))
    given = (logs, one_hot * np.linspace(0.5, 2, len(one_hot))[:, None], np.linspace(-0.4, 0.4, one_hot.shape[1]))
    change = [
        calibration._compute_loss(at + s, *given)[0] - calibration._compute_loss(at - s, *given)[0] for s in steps
    ]
    np.testing.assert_allclose(calibration._compute_loss(at, *given)[1], np.array(change) / 2e-6, rtol=1e-5)


# --- what it is for --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_labels", [2, 3])
def test_an_overconfident_classifier_is_corrected_on_recordings_not_seen(n_labels):
    labels = list("abc"[:n_labels])
    probabilities, targets = make_recordings(200, 4.0, (0.0,) * n_labels, seed=1)
    new, actual = make_recordings(4000, 4.0, (0.0,) * n_labels, seed=2)
    calibrated = fit_calibrator(probabilities, targets, np.arange(200) // 4, 0).calibrate(new)
    names = np.array(labels)[actual]
    before, after = (score_predictions(labels, names, p, 10) for p in (new, calibrated))
    assert after["log_loss"] < 0.75 * before["log_loss"] and after["brier"] < before["brier"]
    assert measure_calibration(labels, names, new, 10)[1] > 0.15 and after["ece"] < 0.06
    assert after["accuracy"] == before["accuracy"], "a temperature changes no prediction"


def test_an_underconfident_classifier_is_corrected_too():
    probabilities, targets = make_recordings(200, 0.3, seed=1)
    new, actual = make_recordings(4000, 0.3, seed=2)
    calibrated = fit_calibrator(probabilities, targets, np.arange(200) // 4, 0).calibrate(new)
    assert measure_loss(calibrated, actual) < 0.95 * measure_loss(new, actual)


# --- few recordings --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("raw", [0.55, 0.7, 0.99, 1.0])
@pytest.mark.parametrize("method", ["temperature", "platt"])
def test_four_all_correct_do_not_make_it_certain(raw, method):
    """Without a prior the best temperature is 0, and every later prediction would be certain."""
    targets = np.array([0, 0, 1, 1])
    probabilities = np.where(np.eye(2)[targets] == 1, raw, 1 - raw)
    found = fit_method(method, probabilities, targets)
    assert 0.7 < found.temperature <= 1 and np.abs(found.bias).max() < 1e-6
    assert abs(found.calibrate(probabilities) - probabilities).max() < 0.08


@pytest.mark.parametrize("method", ["temperature", "platt"])
def test_one_class_only_gives_no_infinite_bias(method):
    probabilities = np.tile([0.3, 0.7], (4, 1))
    found = fit_method(method, probabilities, np.ones(4, int))
    assert 0.7 < found.temperature <= 1 and 0 <= found.bias[1] < 0.25
    assert 0.7 <= found.calibrate(probabilities)[0, 1] < 0.82


def test_certain_and_all_wrong_is_finite():
    probabilities = np.tile([1.0, 0.0], (50, 1))
    found = fit_calibrator(probabilities, np.ones(50, int), np.arange(50), 0)
    assert np.isfinite(found.calibrate(probabilities)).all() and 1 < found.temperature < 150


@pytest.mark.parametrize("n", [1, 5])
def test_one_group_leaves_nothing_to_choose_by(n):
    probabilities, targets = make_recordings(n, 5.0)
    assert fit_calibrator(probabilities, targets, np.zeros(n, int), 0) == Calibrator("none", 1.0, (0.0, 0.0))


def test_few_recordings_stay_near_what_they_were():
    found = [fit_calibrator(*make_recordings(6, seed=seed), np.arange(6), 0) for seed in range(40)]
    assert sum(one.method == "none" for one in found) >= 20
    assert all(0.4 < one.temperature < 3 and np.abs(one.bias).max() < 0.5 for one in found)


# --- the choice ------------------------------------------------------------------------------------------------------


def make_fingerprints(seed=0):
    """Four groups of 30 recordings, one of class a, three of class b, of which the classifier knows nothing."""
    targets = np.repeat([0, 1, 1, 1], 30)
    p = expit(np.random.default_rng(seed).normal(0, 0.05, 120))
    return np.column_stack([1 - p, p]), targets, np.repeat(np.arange(4), 30)


def test_groups_are_held_out_whole():
    """Recordings held out one by one are each foretold by the others of their group; groups held out whole are not."""
    probabilities, targets, groups = make_fingerprints()
    naive = compare_methods(probabilities, targets, np.arange(len(targets)), 0).set_index("method")
    honest = compare_methods(probabilities, targets, groups, 0).set_index("method")
    assert naive.loc["platt", "log_loss"] < naive.loc["none", "log_loss"]
    assert honest.loc["platt", "log_loss"] > honest.loc["none", "log_loss"]
    assert fit_calibrator(probabilities, targets, np.arange(len(targets)), 0).method == "platt"
    found = fit_calibrator(probabilities, targets, groups, 0)
    assert found.method != "platt" and abs(found.calibrate(probabilities) - probabilities).max() < 0.03


def test_each_group_is_scored_by_calibrators_fitted_without_it(monkeypatch):
    probabilities, targets = make_recordings(50, 2.0)
    groups, seen = np.arange(50) // 2, []
    fit = calibration.fit_method

    def watch(method, p, t, prior):
        seen.append({float(value) for value in p[:, 0]})
        return fit(method, p, t, prior)

    monkeypatch.setattr(calibration, "fit_method", watch)
    compare_methods(probabilities, targets, groups, 3)
    sides = [{g for g, p in zip(groups, probabilities[:, 0]) if p not in fitted} for fitted in seen[::3]]
    assert len(sides) == 10 and sorted(g for side in sides for g in side) == list(range(25))
    for side, fitted in zip(sides, seen[::3]):
        assert not {float(p) for p in probabilities[np.isin(groups, list(side)), 0]} & fitted


def test_recordings_not_given_change_nothing():
    """A naive choice scored where it is used would take what suits the outer recordings; ours cannot see them."""
    probabilities, targets = make_recordings(80, 1.0)
    outer, actual = make_recordings(80, 6.0, (1.5, -1.5), seed=9)
    groups = np.arange(160) // 4
    inner = fit_calibrator(probabilities, targets, groups[:80], 0)
    whole = fit_calibrator(np.vstack([probabilities, outer]), np.append(targets, actual), groups, 0)
    assert inner.method == "none"
    assert whole.method != "none" and measure_loss(whole.calibrate(outer), actual) < measure_loss(outer, actual)


def test_the_simplest_within_noise_is_taken():
    table = pd.DataFrame({"method": ["none", "temperature", "platt"], "gap": [0.05, 0.01, 0.0]})
    for errors, choice in (([0.06, 0.02, 0], "none"), ([0.04, 0.02, 0], "temperature"), ([0.04, 0.005, 0], "platt")):
        assert choose_method(table.assign(standard_error=errors)) == choice


def test_same_input_same_calibrator_whatever_the_order_of_rows():
    probabilities, targets = make_recordings(90, 2.0, (0.3, -0.3))
    groups = np.arange(90) // 3
    first, again = (fit_calibrator(probabilities, targets, groups, 5) for _ in range(2))
    assert first == again
    order = np.random.default_rng(0).permutation(90)
    shuffled = fit_calibrator(probabilities[order], targets[order], groups[order], 5)
    assert shuffled.method == first.method and shuffled.temperature == pytest.approx(first.temperature, rel=1e-6)


# --- stored ----------------------------------------------------------------------------------------------------------


def test_stored_as_json_and_back():
    made = fit_method("platt", *make_recordings(40, 3.0, (0.3, 0.1, -0.4)))
    assert Calibrator.from_dict(json.loads(json.dumps(made.to_dict()))) == made


def test_what_is_stored_is_checked():
    with pytest.raises(MeaError, match="calibration 'isotonic' is not one of none, temperature, platt"):
        Calibrator.from_dict({"method": "isotonic", "temperature": 1.0, "bias": [0, 0]})
    with pytest.raises(MeaError, match=r"calibration temperature -1 is not above 0\. Train the classifier again"):
        Calibrator.from_dict({"method": "temperature", "temperature": -1, "bias": [0, 0]})


def test_without_a_fit_a_prior_is_bayes_rule():
    """Raw probabilities are for classes that are equally common."""
    raw, prior = np.array([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]]), np.array([0.2, 0.7, 0.1])
    calibrator = fit_method("none", raw, np.array([0, 2]), prior)
    assert calibrator.method == "none" and sum(calibrator.bias) == pytest.approx(0)
    expected = raw * prior / (raw * prior).sum(1, keepdims=True)
    np.testing.assert_allclose(calibrator.calibrate(raw), expected, rtol=1e-9)
    assert fit_method("none", raw, np.array([0, 2])).calibrate(raw) is raw
