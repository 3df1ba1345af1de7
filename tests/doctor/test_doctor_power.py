"""How small an effect could be shown: against exact binomial tests, tables, and simulated groups."""

import math

import numpy as np
import pytest
from scipy.stats import betabinom, binomtest

from mea.doctor.power import (
    POWER,
    SIGNIFICANCE,
    find_critical,
    find_design_effect,
    find_groups_needed,
    find_min_accuracy,
    find_power,
    find_units_needed,
    measure_power,
)


def test_the_textbooks_sign_test():
    """Of 20 fair coins, 15 heads or more have a probability of .0207, 14 or more one of .0577."""
    assert find_critical(20, 0.5) == 15
    assert binomtest(15, 20, 0.5, alternative="greater").pvalue == pytest.approx(0.0207, abs=5e-5)
    assert binomtest(14, 20, 0.5, alternative="greater").pvalue == pytest.approx(0.0577, abs=5e-5)


@pytest.mark.parametrize("chance", [0.5, 0.62, 1 / 3])
@pytest.mark.parametrize("units", [5, 6, 12, 24, 61, 370])
def test_power_is_what_the_exact_test_has(units, chance):
    """Add up the probability of every outcome that SciPy's own test calls significant."""
    accuracy = 0.85
    right = np.arange(units + 1)
    significant = [binomtest(k, units, chance, alternative="greater").pvalue <= SIGNIFICANCE for k in right.tolist()]
    each = np.array([math.comb(units, k) * accuracy**k * (1 - accuracy) ** (units - k) for k in right.tolist()])
    assert find_power(accuracy, units, chance) == pytest.approx(each[significant].sum(), rel=1e-9)


def test_the_least_accuracy_has_just_enough_power():
    for units in (5, 8, 20, 100):
        least = find_min_accuracy(units, 0.5)
        assert find_power(least, units, 0.5) == pytest.approx(POWER)
        assert find_power(least - 0.01, units, 0.5) < POWER
    assert find_min_accuracy(100, 0.5) < find_min_accuracy(20, 0.5) < find_min_accuracy(5, 0.5)


def test_four_groups_of_two_classes_show_nothing():
    """Four heads of four have a probability of 1/16."""
    assert math.isnan(find_min_accuracy(4, 0.5)) and math.isnan(find_min_accuracy(0, 0.5))
    assert find_min_accuracy(5, 0.5) == pytest.approx(POWER ** (1 / 5))  # all five must be right


def test_more_recordings_are_needed_for_a_smaller_effect():
    needed = find_units_needed(0.75, 0.5)
    assert find_power(0.75, needed, 0.5) >= POWER > find_power(0.75, needed - 1, 0.5)
    assert all(find_power(0.75, units, 0.5) >= POWER for units in range(needed, 300))
    assert find_units_needed(0.95, 0.5) < needed < find_units_needed(0.6, 0.5)
    assert find_units_needed(0.5, 0.5) is None and find_units_needed(0.6, 0.62) is None
    assert find_units_needed(0.501, 0.5) is None  # more than anybody records


@pytest.mark.parametrize("sizes", [[4] * 6, [1, 2, 3, 10], [1] * 9, [24]])
def test_the_design_effect_is_the_variance_of_simulated_groups(sizes):
    """Beta-binomial groups: a share p of a group is drawn, then its recordings; correlation 1 / (a + b + 1)."""
    correlation, accuracy, random = 0.5, 0.7, np.random.default_rng(0)
    strength = 1 / correlation - 1
    draws = [
        betabinom.rvs(m, accuracy * strength, (1 - accuracy) * strength, size=40_000, random_state=random)
        for m in sizes
    ]
    shares = np.sum(draws, axis=0) / np.sum(sizes)
    expected = accuracy * (1 - accuracy) / np.sum(sizes) * find_design_effect(np.array(sizes), correlation)
    assert shares.var() == pytest.approx(expected, rel=0.04)


def test_between_independent_and_only_groups_count():
    none, stated, groups = measure_power(np.full(6, 4), 0.5)
    assert (none.correlation, none.units) == (0.0, 24)
    assert (stated.correlation, stated.units) == (0.5, 9)  # 24 / 2.5
    assert (groups.correlation, groups.units) == (1.0, 6)
    assert none.min_accuracy < stated.min_accuracy < groups.min_accuracy == find_min_accuracy(6, 0.5)


def test_groups_needed_are_groups_like_these():
    units = find_units_needed(0.75, 0.5)
    assert find_groups_needed(np.ones(8), 0.5, 0.75) == units
    assert find_groups_needed(np.full(6, 4), 0.5, 0.75) == math.ceil(units * 2.5 / 4)
    assert find_groups_needed(np.full(6, 4), 0.8, 0.75) is None
