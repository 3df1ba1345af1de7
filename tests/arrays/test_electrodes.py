"""The rule for electrodes without contact."""

import numpy as np
import pytest

from mea.arrays.electrodes import find_dead_electrodes


@pytest.mark.parametrize(("n_dead", "noise_uv"), [(0, 1.0), (3, 1.0), (6, 1.0), (8, 0.0)])
def test_electrodes_with_little_noise_are_dead_also_when_they_are_the_majority(n_dead, noise_uv):
    living = np.array([4.0, 5.0, 4.5, 4.0, 4.2, 5.1, 4.8, 4.4, 4.0, 5.0])[: 10 - n_dead]
    found = find_dead_electrodes(np.concatenate([np.full(n_dead, noise_uv), living]))
    assert found.tolist() == [True] * n_dead + [False] * (10 - n_dead)


def test_the_limit_is_a_fraction_of_the_upper_quartile():
    usual = np.full(9, 10.0)
    assert find_dead_electrodes(np.append(usual, 3.0))[-1] and not find_dead_electrodes(np.append(usual, 3.01))[-1]


def test_without_any_noise_all_are_dead():
    assert find_dead_electrodes(np.zeros(4)).all() and find_dead_electrodes(np.zeros(0)).tolist() == []
