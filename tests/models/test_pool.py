"""A weighted pool of models."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, logit

from mea.models.pool import fit_weights, pool_oof, pool_probabilities


def state(odds):
    """(n, 2) probabilities of log odds."""
    return np.stack([1 - expit(odds), expit(odds)], axis=1)


def make_models(n=400, seed=0, useless=False):
    """Two models whose mistakes differ, or one that knows and one that guesses."""
    random = np.random.default_rng(seed)
    targets = random.integers(0, 2, n)
    sides = 2 * targets - 1
    first = 1.5 * sides + random.normal(0, 1.5, n)
    second = random.normal(0, 1.5, n) if useless else 1.5 * sides + random.normal(0, 1.5, n)
    return np.stack([state(first), state(second)]), targets


def test_with_equal_weights_the_log_odds_are_averaged():
    first, second = np.array([-1.0, 0.2, 3.0]), np.array([0.5, 0.4, -1.0])
    pooled = pool_probabilities(np.stack([state(first), state(second)]), np.array([0.5, 0.5]))
    np.testing.assert_allclose(logit(pooled[:, 1]), (first + second) / 2, atol=1e-12)
    np.testing.assert_allclose(pooled.sum(1), 1)


def test_weights_are_those_of_least_loss():
    models, targets = make_models()
    odds = logit(models[:, :, 1])
    weight = np.where(targets == 1, 0.5 / targets.mean(), 0.5 / (1 - targets.mean()))

    def loss(weights):
        pooled = weights @ odds
        return (weight * np.logaddexp(0, np.where(targets == 1, -pooled, pooled))).sum() + 2 * (
            (weights - 0.5) ** 2
        ).sum()

    best = minimize(loss, [0.5, 0.5], method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-9}).x
    np.testing.assert_allclose(fit_weights(models, targets), best, atol=1e-4)


def test_one_that_guesses_counts_for_little():
    models, targets = make_models(useless=True)
    weights = fit_weights(models, targets)
    assert weights[0] > 0.7 and weights[1] < 0.1


def test_together_they_are_better_than_either():
    models, targets = make_models(4000)
    pooled = pool_probabilities(models, fit_weights(models, targets))
    right = [(one.argmax(1) == targets).mean() for one in (*models, pooled)]
    assert right[2] > max(right[:2]) + 0.02


def test_without_recordings_it_is_the_plain_mean():
    np.testing.assert_allclose(fit_weights(np.zeros((3, 0, 2)), np.zeros(0, int)), 1 / 3)


def test_what_is_held_out_has_no_part_in_its_own_weights():
    models, targets = make_models()
    folds = np.arange(len(targets)) % 4
    plain = pool_oof(models, targets, folds)
    spoiled = np.where(folds == 2, 1 - targets, targets)
    other = pool_oof(models, spoiled, folds)
    np.testing.assert_array_equal(plain[folds == 2], other[folds == 2])
    assert not np.array_equal(plain[folds != 2], other[folds != 2])


@pytest.mark.parametrize("n_labels", [2, 3])
def test_more_classes(n_labels):
    random = np.random.default_rng(3)
    targets = np.arange(90) % n_labels
    knows = np.full((90, n_labels), 0.1)
    knows[np.arange(90), targets] = 1
    models = np.stack([knows / knows.sum(1, keepdims=True), random.dirichlet(np.ones(n_labels), 90)])
    pooled = pool_probabilities(models, fit_weights(models, targets))
    assert (pooled.argmax(1) == targets).all()
    np.testing.assert_allclose(pooled.sum(1), 1)


def test_one_with_all_the_weight_is_kept_to_the_bit():
    models, _ = make_models()
    assert pool_probabilities(models, np.array([0.0, 1.0])).tobytes() == models[1].tobytes()
