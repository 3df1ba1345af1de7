"""What models on features share."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from mea.models import feature_model
from mea.models.base import TrainingSide
from mea.models.feature_model import FeatureModel, draw_chunks
from mea.models.params import ModelParams


class TwoFeatures(FeatureModel):
    """Chunks have the features that the table gives, recordings their means."""

    name = "two"
    chunk_C = 1.0

    def compute_features(self, chunks, events):
        return chunks[["x", "y"]].to_numpy()

    def summarise_recordings(self, chunks, events, values):
        return chunks.groupby("recording")[["x", "y"]].mean().to_numpy()

    def name_recording_features(self, has_waveforms):
        return ["x", "y"]


def make_side(recordings=24, chunks_each=30) -> TrainingSide:
    random = np.random.default_rng(0)
    name = np.repeat([f"r{number:02}" for number in range(recordings)], chunks_each)
    label = np.repeat(["ab"[number % 2] for number in range(recordings)], chunks_each)
    chunks = pd.DataFrame({"recording": name, "label": label, "culture": name, "batch": ""})
    chunks["x"] = random.normal(size=len(chunks)) + (chunks["label"] == "b")
    chunks["y"] = random.normal(size=len(chunks))
    events = {one: SimpleNamespace(has_waveforms=False) for one in name}
    return TrainingSide(0, chunks, chunks[:0], events, ["a", "b"], 1, 1, "culture", 3, seed=5)


def test_chunks_above_a_number_are_drawn_and_it_is_said(tmp_path, monkeypatch):
    data = make_side()
    whole = TwoFeatures.fit(data, ModelParams()).model
    assert whole.list_limits() == []
    monkeypatch.setattr(feature_model, "MOST_CHUNKS", 400)
    part = TwoFeatures.fit(data, ModelParams()).model
    assert np.max(part.chunk_classifier["standardscaler"].n_samples_seen_) == 400
    (limit,) = part.list_limits()
    assert limit.startswith("two: single chunks") and "400 of the training chunks" in limit
    one, other = (model.predict_proba(data.chunks, data.events)[:, 1] for model in (whole, part))
    assert 0 < np.abs(one - other).max() < 0.1
    part.save(tmp_path)
    assert TwoFeatures.load(tmp_path, part.spec).list_limits() == [limit]


@pytest.mark.parametrize("count", [1, 399, 400])
def test_few_chunks_all_count(monkeypatch, count):
    monkeypatch.setattr(feature_model, "MOST_CHUNKS", 400)
    assert np.arange(count)[draw_chunks(count, 0)].tolist() == list(range(count))


def test_the_drawn_ones_differ_follow_the_seed_and_come_from_everywhere(monkeypatch):
    monkeypatch.setattr(feature_model, "MOST_CHUNKS", 400)
    drawn = draw_chunks(10_000, 3)
    assert len(set(drawn.tolist())) == 400 and (np.diff(drawn) > 0).all()
    np.testing.assert_array_equal(drawn, draw_chunks(10_000, 3))
    assert not np.array_equal(drawn, draw_chunks(10_000, 4))
    assert np.histogram(drawn, bins=4, range=(0, 10_000))[0].min() > 70
