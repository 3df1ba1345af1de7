"""The ensemble: a weighted pool of its base models."""

import numpy as np
import pytest
from builders.arrays import plan_recordings
from builders.models import fit_lab, train_params, write_lab
from scipy.optimize import minimize
from scipy.special import expit, logit

from mea.models.ensemble import BASE_MODELS, fit_weights, pool_oof, pool_probabilities
from mea.networks.chunks import load_recordings
from mea.runtime.files import read_json
from mea.training.classifier import copy_models, load_classifier

pytestmark = pytest.mark.usefixtures("alone")


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


# --- through the real training --------------------------------------------------------------------------------------


def test_a_fold_of_the_ensemble_is_the_pool_of_its_base_models(tmp_path):
    quick = {"bin_ms": 100, "epochs": 1, "learning_rate": 0.001, "batch_size": 4}
    plan = plan_recordings(batches=4, cultures=1)
    lab = write_lab(tmp_path, plan, folds=2, chunk_s=4.0, duration_s=8.0, rows=4, cols=4)
    params = train_params("ensemble", inner_folds=2, grid_lstm=quick)
    trained, curves = fit_lab(lab, tmp_path / "folds", params, score=(0, 1), chunk_s=4.0)
    assert not any(len(table) for table in curves), "none of its base models has an epoch to choose"
    (tmp_path / "copied").mkdir()
    copy_models(trained, tmp_path / "copied")
    classifier = load_classifier(tmp_path / "copied")

    chunks = lab[1]
    events = load_recordings(tmp_path / "array", chunks["recording"].unique())
    held_out = chunks[chunks["fold"] == 0]
    model = classifier.open_model(0)
    weights = read_json(tmp_path / "folds/fold_0/model/weights.json")
    assert list(weights) == list(BASE_MODELS) == ["features", "grid_lstm"]
    for method in ("predict_proba", "predict_recordings"):
        stacked = np.stack([getattr(one, method)(held_out, events) for one in model.base_models])
        assert np.abs(stacked - stacked[:1]).max() > 1e-3, "the base models differ"
        expected = pool_probabilities(stacked, np.array(list(weights.values())))
        np.testing.assert_allclose(getattr(model, method)(held_out, events), expected)
    oof = trained.load_oof(0)
    assert sorted(oof["recording"]) == sorted(chunks.loc[chunks["fold"] != 0, "recording"].unique())
    np.testing.assert_allclose(oof[["p_a", "p_b"]].sum(axis=1), 1)
    widths = [one.compute_features(held_out, events).shape[1] for one in model.base_models]
    assert model.compute_features(held_out, events).shape[1] == sum(widths)
    assert model.check_input(events["r00"]) == ""
