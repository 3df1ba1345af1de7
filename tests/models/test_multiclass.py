"""Several classes from classifiers of two: known answers, and the published objective minimised by another method."""

import numpy as np
import pytest
from scipy.optimize import minimize

from mea.models.multiclass import Problem, combine_problems, couple_pairs, list_problems


def couple_by_search(pairs, n_labels):
    """Wu, Lin and Weng 2004, eq. 18: the sum over pairs of (r_ji p_i - r_ij p_j)², on the simplex."""
    won = np.zeros((n_labels, n_labels))
    for (first, second), value in pairs.items():
        won[second, first], won[first, second] = value, 1 - value

    def objective(p):
        return sum(
            (won[j, i] * p[i] - won[i, j] * p[j]) ** 2 for i in range(n_labels) for j in range(n_labels) if i != j
        )

    simplex = {"type": "eq", "fun": lambda p: p.sum() - 1}
    start = np.full(n_labels, 1 / n_labels)
    options = {"ftol": 1e-14, "maxiter": 500}
    return minimize(objective, start, bounds=[(0, 1)] * n_labels, constraints=simplex, options=options).x


@pytest.mark.parametrize("seed", range(5))
def test_pairs_that_contradict_each_other_are_coupled_as_published(seed):
    random = np.random.default_rng(seed)
    pairs = {(i, j): random.uniform(0.05, 0.95) for i in range(4) for j in range(i + 1, 4)}
    found = couple_pairs(np.array([list(pairs.values())]), 4)[0]
    np.testing.assert_allclose(found, couple_by_search(pairs, 4), atol=1e-4)


def test_each_problem_knows_its_sides():
    problems = list_problems(3)
    assert [problem.positive for problem in problems] == [(0,), (1,), (2,), (1,), (2,), (2,)]
    assert problems[0] == Problem((0,), (1, 2)) and problems[4] == Problem((2,), (0,))
    assert problems[4].select(np.array([0, 1, 2, 0])).tolist() == [True, False, True, True]
    assert problems[0].select(np.array([0, 1, 2])).all()


def test_the_mean_is_geometric_and_sums_to_1():
    proba = np.array([[0.8, 0.3, 0.1, 0.2, 0.1, 0.4]])
    rest, coupled = proba[0, :3] / 1.2, couple_pairs(proba[:, 3:], 3)[0]
    expected = np.sqrt(rest * coupled)
    np.testing.assert_allclose(combine_problems(proba, 3)[0], expected / expected.sum())


def test_one_order_of_the_classes_is_as_good_as_another():
    random = np.random.default_rng(0)
    p = random.dirichlet(np.ones(3), 50)
    order = [2, 0, 1]

    def ask(p):
        pairs = [p[:, j] / (p[:, i] + p[:, j]) for i, j in ((0, 1), (0, 2), (1, 2))]
        return combine_problems(np.concatenate([p, np.stack(pairs, axis=1)], axis=1), 3)

    np.testing.assert_allclose(ask(p), p, atol=1e-5)
    np.testing.assert_allclose(ask(p[:, order]), ask(p)[:, order], atol=1e-9)


def test_certainty_leaves_finite_probabilities():
    certain = np.array([[1.0, 0, 0, 0, 0, 0.5], [0.0, 0, 0, 1, 1, 1]])
    found = combine_problems(certain, 3)
    assert np.isfinite(found).all() and found[0].argmax() == 0 and found[1].argmax() == 2
    np.testing.assert_allclose(found.sum(1), 1)
