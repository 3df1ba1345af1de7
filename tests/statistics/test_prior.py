"""Priors: moved by Bayes' rule, found again from probabilities, and the same as calibrating for them."""

import numpy as np
import pytest
from scipy.stats import norm

from mea.runtime.errors import MeaError
from mea.statistics.calibration import fit_calibrator
from mea.statistics.prior import check_prior, estimate_prior, resolve_prior, shift_prior, weigh_recordings

EVEN, RARE = np.array([0.5, 0.5]), np.array([0.15, 0.85])


def draw(prior, n, seed):
    """Two Gaussians, one unit apart: targets and what was measured."""
    random = np.random.default_rng(seed)
    targets = random.choice(len(prior), n, p=prior)
    return targets, random.normal(targets, 1.0)


def compute_posteriors(measured, prior):
    """(n, 2) exact, from the densities themselves."""
    joint = prior * np.column_stack([norm.pdf(measured, mean) for mean in (0, 1)])
    return joint / joint.sum(1, keepdims=True)


def test_moved_probabilities_are_the_exact_posteriors_under_the_other_prior():
    _, measured = draw(EVEN, 200, seed=0)
    moved = shift_prior(compute_posteriors(measured, EVEN), EVEN, RARE)
    np.testing.assert_allclose(moved, compute_posteriors(measured, RARE), rtol=1e-9)
    np.testing.assert_allclose(shift_prior(moved, RARE, EVEN), compute_posteriors(measured, EVEN), rtol=1e-9)
    assert shift_prior(moved, RARE, RARE) is moved


def test_certain_probabilities_stay_finite():
    moved = shift_prior(np.array([[1.0, 0.0]]), EVEN, RARE)
    assert np.isfinite(moved).all() and moved.sum() == pytest.approx(1) and moved[0, 0] > 0.999


@pytest.mark.parametrize("overconfidence", [1.0, 2.0])
def test_moving_a_calibrated_classifier_is_calibrating_it_for_the_other_prior(overconfidence):
    """The other way to the same numbers: recordings in the other shares, calibrated from the raw probabilities."""
    calibrated = {}
    for name, prior, seed in (("even", EVEN, 1), ("rare", RARE, 2)):
        targets, measured = draw(prior, 4000, seed)
        raw = compute_posteriors(measured, EVEN) ** overconfidence
        raw /= raw.sum(1, keepdims=True)
        calibrated[name] = fit_calibrator(raw, targets, np.arange(4000) // 20, 0, prior)
    _, measured = draw(RARE, 500, seed=3)
    raw = compute_posteriors(measured, EVEN) ** overconfidence
    raw /= raw.sum(1, keepdims=True)
    moved = shift_prior(calibrated["even"].calibrate(raw), EVEN, RARE)
    np.testing.assert_allclose(moved, calibrated["rare"].calibrate(raw), atol=0.03)
    np.testing.assert_allclose(moved, compute_posteriors(measured, RARE), atol=0.03)


def test_recordings_weighted_to_a_prior_calibrate_for_it():
    """Of as many recordings of both classes, weighted; the reference is drawn with the rare class as rare as it is."""
    targets, measured = draw(EVEN, 6000, seed=4)
    groups = np.arange(6000) // 20
    weighted = fit_calibrator(compute_posteriors(measured, EVEN), targets, groups, 0, RARE)
    calibrated = weighted.calibrate(compute_posteriors(measured, EVEN))
    np.testing.assert_allclose(calibrated, compute_posteriors(measured, RARE), atol=0.03)


def test_weights_give_the_classes_their_shares():
    targets = np.repeat([0, 1, 2], [5, 10, 85])
    prior = np.array([0.5, 0.3, 0.2])
    weights = weigh_recordings(targets, prior)
    assert weights.mean() == pytest.approx(1)
    np.testing.assert_allclose(np.bincount(targets, weights=weights) / 100, prior)
    own = weigh_recordings(targets, np.array([0.05, 0.1, 0.85]))
    np.testing.assert_allclose(own, 1, err_msg="a prior that is that of the recordings changes nothing")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
def test_the_prior_is_found_again_from_the_probabilities(share):
    truth = np.array([share, 1 - share])
    _, measured = draw(truth, 3000, seed=5)
    found = estimate_prior(compute_posteriors(measured, EVEN), EVEN)
    np.testing.assert_allclose(found, truth, atol=0.06)
    assert found.sum() == pytest.approx(1)


def test_a_few_recordings_are_no_estimate():
    with pytest.raises(
        MeaError, match=r"39 recordings can be used, at least 40 are needed to estimate the shares of 2"
    ):
        estimate_prior(np.full((39, 2), 0.5), EVEN)
    np.testing.assert_allclose(estimate_prior(np.full((40, 2), 0.5), EVEN), EVEN)


def test_a_prior_of_parameters():
    counts = np.array([3, 9])
    assert resolve_prior("equal", ["a", "b"], counts).tolist() == [0.5, 0.5]
    assert resolve_prior("training", ["a", "b"], np.array([0, 9])).tolist() == [0.5, 0.5], "nothing is known of a"
    rounded = {"b": 0.6663, "a": 0.333}  # within a thousandth of 1, as people round
    assert resolve_prior(check_prior(rounded), ["a", "b"], counts) == pytest.approx([0.333 / 0.9993, 0.6663 / 0.9993])
    with pytest.raises(MeaError, match=r"shares of a, c, but the classes are a, b\. State each"):
        resolve_prior({"a": 0.5, "c": 0.5}, ["a", "b"], counts)
    for wrong in ("even", {}, {"a": 0.0, "b": 1.0}, {"a": 0.5, "b": 0.6}, {"a": 0.4, "b": 0.598}):
        with pytest.raises(ValueError, match=r"must be|sum to 1"):
            check_prior(wrong)


def test_the_share_of_the_training_recordings_is_their_share():
    counts = np.array([30, 10])
    assert resolve_prior("training", ["a", "b"], counts).tolist() == [0.75, 0.25]
    assert resolve_prior("equal", ["a", "b"], counts).tolist() == [0.5, 0.5]
    assert resolve_prior("training", ["a", "b"], np.array([30, 0])).tolist() == [0.5, 0.5], "a class that nobody saw"


def test_a_class_without_recordings_leaves_equal_weights():
    """Its share cannot be given to any of them."""
    np.testing.assert_allclose(weigh_recordings(np.array([0, 0, 1, 1]), np.array([0.4, 0.4, 0.2])), 1)
