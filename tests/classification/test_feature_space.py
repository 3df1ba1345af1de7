"""The distance from the training data in feature space, and the limit for new groups."""

import numpy as np
import pytest
from builders.novelty import NAMES, make_measured

from mea.classification.feature_space import FeatureSpace, measure_held_out, prediction_limit


def test_distance_along_and_beside_the_main_directions_is_the_known_one():
    """Features of spread 3 and 1 that do not depend on each other, and enough recordings for both directions."""
    angle = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    features = np.stack([3 * np.cos(angle), np.sin(angle)], 1)
    space = FeatureSpace.fit(features)
    # Quartiles of a cosine lie at sqrt(1/2) of its height: both features then have the variance (1.349/2)².
    spread = 1.349 / 2
    scaled = np.array([1.0, 2.0])
    feature = scaled * np.array([3, 1]) * np.sqrt(2) / 1.349
    expected = np.sqrt((scaled**2 / spread**2).mean())
    assert space.measure_distances(feature[None]) == pytest.approx(expected, rel=0.01)


def test_the_limit_foretells_a_new_group():
    """Logarithms of distances are normal, with a part that a group shares: of new ones so many lie beyond."""
    random = np.random.default_rng(0)
    beyond = []
    for _ in range(400):
        logs = 0.3 * np.repeat(random.normal(size=11), 6) + 0.1 * random.normal(size=66)
        limit = prediction_limit(np.exp(logs[:60]), 10, 0.05)
        beyond.append(np.exp(logs[60:]) > limit)
    assert 0.02 < np.mean(beyond) < 0.08


def test_a_new_batch_is_farther_than_another_recording_of_a_known_one():
    """Limits from recordings held out one by one, their siblings left in, would refuse new batches."""
    random = np.random.default_rng(3)
    batches = random.normal(size=(9, len(NAMES)))
    features = np.repeat(batches, 6, axis=0) + 0.1 * random.normal(size=(54, len(NAMES)))
    groups = np.repeat(np.arange(8), 6)
    new = FeatureSpace.fit(features[:48]).measure_distances(features[48:])
    distances, count = measure_held_out(features[:48], groups)
    naive, _ = measure_held_out(features[:48], np.arange(48))
    assert count == 8
    assert (new > prediction_limit(naive, 48, 0.01)).all()
    assert not (new > prediction_limit(distances, count, 0.01)).any()


def test_many_groups_are_held_out_several_at_a_time(monkeypatch):
    features = np.array([one.features for one in make_measured(45)])
    fitted = []
    fit = FeatureSpace.fit

    def count(features):
        fitted.append(len(features))
        return fit(features)

    monkeypatch.setattr(FeatureSpace, "fit", count)
    distances, groups = measure_held_out(features, np.arange(45))
    assert groups == 45 and len(fitted) == 20 and (distances > 0).all()
