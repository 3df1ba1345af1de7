"""The ensemble: a weighted pool of what its members say."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from builders.arrays import describe_events, plan_recordings, write_array
from scipy.optimize import minimize
from scipy.special import expit, logit

from mea.models.ensemble import MEMBERS, combine, combine_held_out, fit_weights
from mea.networks.chunks import load_recordings
from mea.runtime.files import read_json
from mea.splitting.chunks import cut_chunks
from mea.splitting.folds import assign_folds
from mea.training.classifier import copy_models, load_classifier, save_classifier
from mea.training.fitting import fit_fold
from mea.training.folds import describe_training, plan_folds

pytestmark = pytest.mark.usefixtures("alone")


def state(odds):
    """(n, 2) probabilities of log odds."""
    return np.stack([1 - expit(odds), expit(odds)], axis=1)


def make_members(n=400, seed=0, useless=False):
    """Two members whose mistakes differ, or one that knows and one that guesses."""
    random = np.random.default_rng(seed)
    targets = random.integers(0, 2, n)
    sides = 2 * targets - 1
    first = 1.5 * sides + random.normal(0, 1.5, n)
    second = random.normal(0, 1.5, n) if useless else 1.5 * sides + random.normal(0, 1.5, n)
    return np.stack([state(first), state(second)]), targets


def test_with_equal_weights_the_log_odds_are_averaged():
    first, second = np.array([-1.0, 0.2, 3.0]), np.array([0.5, 0.4, -1.0])
    pooled = combine(np.stack([state(first), state(second)]), np.array([0.5, 0.5]))
    np.testing.assert_allclose(logit(pooled[:, 1]), (first + second) / 2, atol=1e-12)
    np.testing.assert_allclose(pooled.sum(1), 1)


def test_weights_are_those_of_least_loss():
    members, targets = make_members()
    odds = logit(members[:, :, 1])
    share = np.where(targets == 1, 0.5 / targets.mean(), 0.5 / (1 - targets.mean()))

    def loss(weights):
        pooled = weights @ odds
        return (share * np.logaddexp(0, np.where(targets == 1, -pooled, pooled))).sum() + 2 * (
            (weights - 0.5) ** 2
        ).sum()

    best = minimize(loss, [0.5, 0.5], method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-9}).x
    np.testing.assert_allclose(fit_weights(members, targets), best, atol=1e-4)


def test_one_that_guesses_counts_for_little():
    members, targets = make_members(useless=True)
    weights = fit_weights(members, targets)
    assert weights[0] > 0.7 and weights[1] < 0.1


def test_together_they_are_better_than_either():
    members, targets = make_members(4000)
    pooled = combine(members, fit_weights(members, targets))
    right = [(one.argmax(1) == targets).mean() for one in (*members, pooled)]
    assert right[2] > max(right[:2]) + 0.02


def test_without_recordings_it_is_the_plain_mean():
    np.testing.assert_allclose(fit_weights(np.zeros((3, 0, 2)), np.zeros(0, int)), 1 / 3)


def test_what_is_held_out_has_no_part_in_its_own_weights():
    members, targets = make_members()
    folds = np.arange(len(targets)) % 4
    plain = combine_held_out(members, targets, folds)
    spoiled = np.where(folds == 2, 1 - targets, targets)
    other = combine_held_out(members, spoiled, folds)
    np.testing.assert_array_equal(plain[folds == 2], other[folds == 2])
    assert not np.array_equal(plain[folds != 2], other[folds != 2])


@pytest.mark.parametrize("n_labels", [2, 3])
def test_more_classes(n_labels):
    random = np.random.default_rng(3)
    targets = np.arange(90) % n_labels
    knows = np.full((90, n_labels), 0.1)
    knows[np.arange(90), targets] = 1
    members = np.stack([knows / knows.sum(1, keepdims=True), random.dirichlet(np.ones(n_labels), 90)])
    pooled = combine(members, fit_weights(members, targets))
    assert (pooled.argmax(1) == targets).all()
    np.testing.assert_allclose(pooled.sum(1), 1)


# --- through the real training --------------------------------------------------------------------------------------

TRAIN = {
    "model": "ensemble", "network": "grid", "validation": "inner", "inner_folds": 2, "bin_ms": 100, "epochs": 1,
    "patience": 9, "min_gain": 0.0, "learning_rate": 0.001, "batch_size": 4, "precision": "float32", "seed": 0,
}  # fmt: skip


def test_a_fold_of_the_ensemble_is_the_pool_of_its_members(tmp_path):
    recordings = write_array(tmp_path / "array", plan_recordings(batches=4, cultures=1), duration_s=8.0, rows=4, cols=4)
    chunks, _ = cut_chunks(pd.DataFrame([describe_events(events) for events in recordings]), 4.0, None)
    chunks["fold"] = assign_folds(chunks, "batch", 2, 0)
    params = {"train": TRAIN, "split": {"chunk_s": 4.0, "first_s": None}}
    split = {"split_level": "batch", "score": [0, 1], "leaky": 0, "warning": "", "params": params}
    (tmp_path / "folds").mkdir()
    jobs = plan_folds(chunks, split, tmp_path / "array", tmp_path / "folds", tmp_path / "live")
    curves = [fit_fold(replace(job, threads=1)) for job in jobs]
    assert not any(len(table) for table in curves), "none of its members has an epoch to choose"
    trained = describe_training(tmp_path / "folds", jobs, split)
    save_classifier(trained)
    (tmp_path / "kept").mkdir()
    copy_models(trained, tmp_path / "kept")
    classifier = load_classifier(tmp_path / "kept")

    events = load_recordings(tmp_path / "array", chunks["recording"].unique())
    held = chunks[chunks["fold"] == 0]
    model = classifier.open_fold(0)
    weights = [read_json(tmp_path / "folds" / "fold_0_weights.json")[name] for name in MEMBERS]
    for ask in ("predict", "predict_whole"):
        stated = np.stack([getattr(member, ask)(held, events) for member in model.members])
        assert np.abs(stated - stated[:1]).max() > 1e-3, "the members are of several minds"
        np.testing.assert_allclose(getattr(classifier, ask)(held, events, 0), combine(stated, np.array(weights)))
    inner = trained.load_inner(0)
    assert sorted(inner["recording"]) == sorted(chunks.loc[chunks["fold"] != 0, "recording"].unique())
    np.testing.assert_allclose(inner[["p_a", "p_b"]].sum(1), 1)
    assert model.describe(held, events).shape[1] == sum(one.describe(held, events).shape[1] for one in model.members)
    assert model.find_obstacle(events["r00"]) == ""
