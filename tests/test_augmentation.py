"""Variations of a stretch: what they keep, and how far they go."""

import numpy as np
import pytest

from mea.augmentation import CROP, FEWEST, MOST_DROPPED, MOST_STRETCHED, MOST_THINNED, turn_grid, vary_trains
from tests.test_channels import RATE, make_random, make_trains


def test_a_variation_is_a_stretch_like_any_other():
    trains = make_random(n=40, spikes=4000)
    for seed in range(20):
        varied = vary_trains(trains, np.random.default_rng(seed))
        assert varied.n_samples == int(trains.n_samples * CROP)
        assert (
            np.diff(varied.sample) >= 0
        ).all() and 0 <= varied.sample.min() <= varied.sample.max() < varied.n_samples
        assert varied.electrode.max() < varied.n_electrodes and len(varied.event) == len(varied.sample)
        places = set(zip(trains.row, trains.col))
        assert set(zip(varied.row, varied.col)) <= places and varied.n_electrodes <= 40


def test_how_far_variations_go():
    """Electrodes, spikes and clock: drawn between nothing and the most, the middle in the mean."""
    trains = make_random(n=40, spikes=4000)
    varied = [vary_trains(trains, np.random.default_rng(seed)) for seed in range(300)]
    left = np.array([item.n_electrodes for item in varied]) / 40
    assert left.mean() == pytest.approx(1 - MOST_DROPPED / 2, abs=0.02) and left.min() < 1 - 0.8 * MOST_DROPPED
    assert left.max() == 1
    spikes = np.array([len(item.sample) for item in varied]) / 4000 / left / CROP
    assert spikes.mean() == pytest.approx(1 - MOST_THINNED / 2, abs=0.02)


def test_the_clock_runs_faster_or_slower():
    """A regular train of one electrode keeps its regularity; its interval changes by a tenth at most."""
    trains = make_trains([(0.01 * k, 0) for k in range(2000)], n=8, duration_s=20.0)
    factors = []
    for seed in range(100):
        varied = vary_trains(trains, np.random.default_rng(seed))
        if 0 in varied.electrode and varied.n_electrodes == 8:
            shortest = np.diff(varied.sample).min()
            factors.append(shortest / (0.01 * RATE))
    assert min(factors) >= np.exp(-MOST_STRETCHED) - 0.02 and max(factors) <= np.exp(MOST_STRETCHED) + 0.02
    assert max(factors) - min(factors) > 0.1


def test_few_electrodes_are_not_dropped():
    trains = make_trains([(0.1 * k, k % FEWEST) for k in range(9)], n=FEWEST)
    assert all(vary_trains(trains, np.random.default_rng(seed)).n_electrodes == FEWEST for seed in range(20))


def test_what_is_identified_stays_so():
    """Every spike of a variation is one of the recording's, on the electrode in the same place."""
    trains = make_random(seed=3)
    varied = vary_trains(trains, np.random.default_rng(5))
    before = trains.electrode[np.searchsorted(trains.event, varied.event)]
    np.testing.assert_array_equal(varied.row[varied.electrode], trains.row[before])
    np.testing.assert_array_equal(varied.col[varied.electrode], trains.col[before])


def test_turning_the_grid_keeps_distances():
    row, col = np.array([0, 0, 1, 5]), np.array([0, 1, 3, 2])
    seen = set()
    for seed in range(60):
        turned = turn_grid(row, col, 8, 8, np.random.default_rng(seed))
        seen.add(tuple(np.concatenate(turned)))
        before, after = (np.hypot(np.subtract.outer(r, r), np.subtract.outer(c, c)) for r, c in ((row, col), turned))
        np.testing.assert_allclose(before, after)
        assert min(map(np.min, turned)) >= 0 and max(map(np.max, turned)) < 8
    assert len(seen) == 8  # all ways a square can lie


def test_a_grid_that_is_no_square_is_not_turned():
    row, col = np.array([0, 2]), np.array([0, 6])
    for seed in range(20):
        turned = turn_grid(row, col, 3, 7, np.random.default_rng(seed))
        assert turned[0].max() <= 2 and abs(turned[1][0] - turned[1][1]) == 6
