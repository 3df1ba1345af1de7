"""What the models decide by: a planted family is found, one that is noise is not; so is a part of the array."""

import numpy as np
import pandas as pd
import pytest
from builders.arrays import make_events

from mea.evaluation.importance import FAMILY, PART, measure_importance, summarise_importance
from mea.models.base import Model
from mea.models.pool import Pool

LABELS = ["a", "b"]


class Planted(Model):
    """Three families of one feature: the class itself, the same again, and noise; it decides by their mean."""

    name = "planted"
    families = ("signal", "again", "noise")
    weights = np.array([2.0, 1.0, 0.0])

    def fit(self, data, params): ...
    def predict_proba(self, chunks, events): ...
    def compute_features(self, chunks, events): ...
    def save(self, folder): ...
    def load(self, folder, spec): ...

    def list_values(self, chunks):
        side = np.where(chunks.drop_duplicates("recording").sort_values("recording")["label"] == "b", 1.0, -1.0)
        return np.column_stack([side, side, np.random.default_rng(0).normal(size=len(side))])

    def decide(self, values):
        p = 1 / (1 + np.exp(-values @ self.weights))
        return np.column_stack([1 - p, p])

    def predict_recordings(self, chunks, events, without=""):
        return self.decide(self.list_values(chunks))

    def list_feature_families(self, has_waveforms):
        return list(self.families)

    def permute_families(self, chunks, events, orders):
        values = self.list_values(chunks)
        for number, family in enumerate(self.families):
            probabilities = []
            for order in orders:
                permuted = values.copy()
                permuted[:, number] = values[order, number]
                probabilities.append(self.decide(permuted))
            yield family, np.array(probabilities)


class Corner(Planted):
    """Without families: it counts the spikes of the upper left ninth of the array."""

    def list_feature_families(self, has_waveforms):
        return []

    def permute_families(self, chunks, events, orders):
        yield from ()

    def predict_recordings(self, chunks, events, without=""):
        rows = []
        for name in sorted(set(chunks["recording"])):
            one = events[name]
            own = (one.row[one.electrode] < one.rows / 3) & (one.col[one.electrode] < one.cols / 3)
            p = 0.9 if own.sum() > 20 else 0.1
            rows.append([1 - p, p])
        return np.array(rows)


def make_lab(recordings=24, folds=3):
    chunks, events = [], {}
    for number in range(recordings):
        name, label = f"r{number:02d}", LABELS[number % 2]
        chunks.append((name, label, f"c{number}", f"b{number}", number // 2 % folds, 0.0, 10.0))
        rate = 5.0 if label == "b" else 0.1
        events[name] = make_events(name, rows=6, cols=6, duration_s=10.0, spikes_per_s=rate, seed=number)
    columns = ["recording", "label", "culture", "batch", "fold", "start_s", "stop_s"]
    return pd.DataFrame(chunks, columns=columns), events


@pytest.fixture(scope="module")
def lab():
    return make_lab()


def measure(lab, model):
    chunks, events = lab
    return measure_importance(lambda fold: model, [0, 1, 2], chunks, events, LABELS, seed=0)


def test_a_family_counts_by_what_the_model_takes_from_it(lab):
    table = measure(lab, Planted(None))
    assert set(table["kind"]) == {FAMILY} and len(table) == 9
    found = summarise_importance(table)
    assert list(found) == ["signal", "again", "noise"]
    assert found["noise"] == pytest.approx({"log_loss": 0, "log_loss_std": 0, "accuracy": 0}, abs=1e-12)
    # Half of the recordings get the other class's sign: log odds of 3 become -1, and those of "again" 1.
    assert found["signal"]["accuracy"] == pytest.approx(0.5, abs=0.1) and found["again"]["accuracy"] == 0
    expected = 0.5 * (np.log1p(np.exp(1)) - np.log1p(np.exp(-3)))
    assert found["signal"]["log_loss"] == pytest.approx(expected, rel=0.25)
    assert found["again"]["log_loss"] == pytest.approx(0.5 * (np.log1p(np.exp(-1)) - np.log1p(np.exp(-3))), rel=0.25)


def test_a_model_without_families_is_shown_parts_of_the_array(lab):
    table = measure(lab, Corner(None))
    assert set(table["kind"]) == {PART} and len(table) == 27
    found = summarise_importance(table)
    assert next(iter(found)) == "upper left" and found["upper left"]["accuracy"] == pytest.approx(0.5)
    assert all(abs(one["log_loss"]) < 1e-12 for name, one in found.items() if name != "upper left")


def test_in_a_pool_each_model_keeps_the_others(lab):
    pool = Pool([Planted(None), Corner(None)], np.array([0.5, 0.5]))
    found = summarise_importance(measure(lab, pool))
    alone = summarise_importance(measure(lab, Planted(None)))
    assert list(found) == ["signal", "again", "noise"] and abs(found["noise"]["log_loss"]) < 1e-12
    assert 0 < found["signal"]["log_loss"] < alone["signal"]["log_loss"], "the other model holds against it"


def test_one_recording_held_out_has_nothing_to_permute():
    chunks, events = make_lab(recordings=2, folds=2)
    chunks["fold"] = [0, 1]
    table = measure_importance(lambda fold: Planted(None), [0, 1], chunks, events, LABELS, seed=0)
    assert table.empty and summarise_importance(table) == {}
