"""The machine that judges whole recordings: what it values away from, what it finds, and what it keeps."""

import numpy as np
import pytest
from sklearn.svm import SVC

from mea.models.machine import (
    choose_strengths,
    compare_strengths,
    fit_judge,
    fit_link,
    judge_recordings,
    measure_losses,
    pick_strengths,
)
from mea.models.support import (
    CLIP,
    Strengths,
    choose_factors,
    find_differences,
    fit_machine,
    measure_squares,
    prepare_training,
    shrink_differences,
)


def make_lab(seed=0, cultures=12, each=6, size=20, effect=1.0, fingerprint=4.0):
    """Recordings of cultures that differ in ten features, of two classes that differ in one other."""
    random = np.random.default_rng(seed)
    culture = np.repeat(np.arange(cultures), each)
    targets = (culture % 2).astype(bool)
    values = random.normal(size=(len(culture), size))
    values[:, :10] += fingerprint * random.normal(size=(cultures, 10))[culture]
    values[:, 10] += effect * np.where(targets, 1, -1)
    return values, targets, culture


def test_differences_of_cultures_are_shrunk_and_nothing_else():
    values, targets, culture = make_lab()
    directions, variances = find_differences(values, targets.astype(int), culture)
    factors = choose_factors(variances, 0.1)
    assert (factors[:6] < 0.5).all() and (factors <= 1).all() and (np.diff(factors) >= 0).all()
    np.testing.assert_allclose(directions @ directions.T, np.eye(len(directions)), atol=1e-9)
    shrunk = shrink_differences(values, directions, factors)

    def spread(table):
        return np.var([table[culture == k].mean(0) for k in np.unique(culture)], axis=0)

    assert (spread(shrunk)[:10] < 0.5 * spread(values)[:10]).all()
    np.testing.assert_allclose(shrink_differences(values, directions, np.ones_like(factors)), values)


def test_new_cultures_are_told_better_than_by_a_plain_machine():
    """The planted fault: a machine that does not look away finds the cultures it was trained with."""
    ours, plain = [], []
    for seed in range(6):
        values, targets, culture = make_lab(seed, cultures=40, effect=1.5)
        training = culture < 28
        machine = fit_machine(prepare_training(values[training], targets[training], culture[training]), Strengths())
        ours.append(((machine.decide(values[~training]) > 0) == targets[~training]).mean())
        naive = SVC(C=10, gamma="scale").fit(values[training], targets[training])
        plain.append((naive.predict(values[~training]) == targets[~training]).mean())
    assert np.mean(ours) > np.mean(plain) + 0.05 and np.mean(ours) > 0.65


def test_without_differences_it_is_scikit_learns_machine():
    values, targets, _ = make_lab(fingerprint=0.0)
    machine = fit_machine(
        prepare_training(values, targets, targets), Strengths(3.0, 0.2, 0.1)
    )  # one culture a class: no differences
    scaled = np.clip((values - values.mean(0)) / values.std(0), -CLIP, CLIP)
    reference = SVC(C=3.0, gamma=0.2 / scaled.var(0).sum()).fit(scaled, targets)
    np.testing.assert_allclose(machine.decide(values), reference.decision_function(scaled), atol=1e-6)


def test_squares_are_distances():
    random = np.random.default_rng(0)
    one, other = random.normal(size=(5, 3)), random.normal(size=(4, 3))
    expected = ((one[:, None] - other[None]) ** 2).sum(2)
    np.testing.assert_allclose(measure_squares(one, other), expected)


def test_undefined_features_count_as_the_median():
    values, targets, culture = make_lab()
    values[0, :5] = np.nan
    values[:, 7] = np.nan  # defined for nobody
    machine = fit_machine(prepare_training(values, targets, culture), Strengths())
    filled = values.copy()
    filled[0, :5] = machine.median[:5]
    assert np.isfinite(machine.decide(values)).all()
    np.testing.assert_allclose(machine.decide(values[:1]), machine.decide(filled[:1]))


def test_a_link_knows_planted_odds_and_both_classes_alike():
    random = np.random.default_rng(0)
    decisions = random.normal(size=20_000) * 2
    targets = random.random(20_000) < 1 / (1 + np.exp(-1.5 * decisions))
    slope, offset = fit_link(decisions, targets)
    assert slope == pytest.approx(1.5, abs=0.05) and offset == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize("n_labels", [2, 3])
def test_a_judge_is_its_arrays(n_labels):
    values, _, culture = make_lab(effect=3.0)
    targets = culture % n_labels
    values[:, 10] = 3.0 * targets + np.random.default_rng(1).normal(size=len(targets)) * 0.3
    judge, inner = fit_judge(values, targets, culture, culture // n_labels % 3, n_labels)
    assert all(isinstance(value, np.ndarray) for value in judge.values())
    probabilities = judge_recordings(judge, values, n_labels)
    np.testing.assert_allclose(probabilities.sum(1), 1)
    np.testing.assert_allclose(inner.sum(1), 1)
    assert (probabilities.argmax(1) == targets).mean() > 0.9 and inner.shape == (len(targets), n_labels)


def test_what_is_held_out_inside_has_no_part_in_its_own_decision():
    values, targets, culture = make_lab()
    folds = culture // 2 % 3
    spoiled = values.copy()
    spoiled[folds == 0] = np.random.default_rng(9).normal(size=spoiled[folds == 0].shape)
    strengths, decisions = choose_strengths(values, targets, culture, folds)
    others = folds != 0
    machine = fit_machine(prepare_training(values[others], targets[others], culture[others]), strengths)
    np.testing.assert_allclose(machine.decide(values[folds == 0]), decisions[folds == 0], atol=1e-9)
    again = fit_machine(prepare_training(spoiled[others], targets[others], culture[others]), strengths)
    np.testing.assert_array_equal(again.support, machine.support)


def test_other_strengths_must_be_clearly_better():
    """The planted fault: the lowest of many losses is low by chance; here it comes from a single one of four folds."""
    folds = np.repeat(np.arange(4), 10)
    usual, other = Strengths(), Strengths(30.0, 0.1, 0.03)
    by_chance, in_all = np.ones(40), np.full(40, 0.9)
    by_chance[:10] = 0.5
    in_all[::2] = 0.8
    assert pick_strengths({usual: np.ones(40), other: by_chance}, folds) == usual
    assert pick_strengths({usual: np.ones(40), other: in_all}, folds) == other
    assert pick_strengths({other: np.full(40, 1.1), usual: np.ones(40)}, folds) == usual


def test_losses_count_both_classes_alike():
    decisions, targets = np.random.default_rng(0).normal(size=40), np.arange(40) < 10
    slope, offset = fit_link(decisions, targets)
    probability = 1 / (1 + np.exp(-(slope * decisions + offset)))
    expected = [-np.log(probability[targets]).mean(), -np.log(1 - probability[~targets]).mean()]
    assert measure_losses(decisions, targets).mean() == pytest.approx(np.mean(expected))


def test_strengths_are_compared_as_if_each_were_fitted_by_itself():
    values, targets, culture = make_lab()
    folds = culture // 2 % 3
    compared = compare_strengths(values, targets, culture, folds)
    assert len(compared) == 27
    for strengths in list(compared)[::5]:
        for fold in range(3):
            own, held = folds != fold, folds == fold
            machine = fit_machine(prepare_training(values[own], targets[own], culture[own]), strengths)
            np.testing.assert_allclose(compared[strengths][held], machine.decide(values[held]), atol=1e-9)


def test_without_inner_folds_nothing_is_chosen():
    values, targets, culture = make_lab()
    judge, inner = fit_judge(values, targets.astype(int), culture, None, 2)
    assert inner.shape == (0, 2) and judge["1.link"].tolist() == [2.0, 0.0]
