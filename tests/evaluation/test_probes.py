"""Linear probes: the class or the recording? Planted features, and those of real models."""

import numpy as np
import pandas as pd
import pytest
from builders.arrays import plan_recordings
from builders.models import fit_lab, train_params, write_lab

import mea.evaluation.probes
from mea.arrays.events_file import RecordingsOnDisk
from mea.evaluation.probes import probe_models, summarise_identity, summarise_optimism

pytestmark = pytest.mark.usefixtures("alone")


def probe_planted(classifier, chunks, events, seed):
    return probe_models(classifier.open_model, classifier.folds, chunks, events, seed)


class Planted:
    """Stands in for a classifier and its models: planted features of every chunk. Remembers what it was asked for."""

    def __init__(self, features, folds):
        self.features, self.folds, self.asked = features, folds, []

    def open_model(self, fold):
        return self

    def compute_features(self, chunks, events):
        self.asked.append(chunks)
        return self.features[chunks.index]


def make_chunks(recordings=24, per_recording=10, folds=4, labels="ab"):
    """Chunks of recordings, each its own group, as many of each class in every fold."""
    number = np.repeat(np.arange(recordings), per_recording)
    table = pd.DataFrame({"recording": [f"r{k:03d}" for k in number], "culture": "", "batch": ""})
    table["label"] = [labels[k % len(labels)] for k in number]
    return table.assign(fold=number // len(labels) % folds)


def plant(chunks, random, identity=0.0, label=0.0, noise=1.0, width=30):
    """Features that tell the recording, the class, both or nothing."""
    recording, group = pd.factorize(chunks["recording"])[0], pd.factorize(chunks["label"])[0]
    values = identity * random.normal(size=(recording.max() + 1, width))[recording]
    values += label * random.normal(size=(group.max() + 1, width))[group]
    return values + noise * random.normal(size=values.shape)


def probe(chunks, features, seed=0):
    return probe_planted(Planted(features, sorted(set(chunks["fold"]))), chunks, {}, seed)


def probe_many(runs=4, chunks=None, **planted):
    """Mean shares over several drawings of the same lab."""
    chunks = make_chunks() if chunks is None else chunks
    found = [probe(chunks, plant(chunks, np.random.default_rng(run), **planted), run) for run in range(runs)]
    return pd.DataFrame(found).mean()


# --- planted ---------------------------------------------------------------------------------------------------------


def test_features_that_know_the_recording_only():
    """The split by chunk finds the class in nearly all chunks, and there is none to be found."""
    found = probe_many(identity=3.0)
    assert found["recording"] > 0.99 and found["chunk_split"] > 0.97
    assert found["label"] == pytest.approx(0.5, abs=0.12)
    assert summarise_optimism(found)["gap"] > 0.35


def test_features_that_know_the_class_only():
    """Recordings are then told apart by their class, and among the three of one class by guessing."""
    found = probe_many(label=3.0)
    assert found["chance"] == pytest.approx(1 / 6) and found["recording"] == pytest.approx(1 / 3, abs=0.06)
    assert found["label"] > 0.99 and found["chunk_split"] > 0.99
    assert summarise_optimism(found)["gap"] == pytest.approx(0, abs=0.01)


def test_features_that_know_both():
    found = probe_many(identity=1.5, label=4.0)
    assert min(found["recording"], found["chunk_split"], found["label"]) > 0.95


def test_features_that_know_nothing():
    found = probe_many(runs=6)
    assert found["recording"] == pytest.approx(found["chance"], abs=0.04)
    assert found["chunk_split"] == pytest.approx(0.5, abs=0.05) and found["label"] == pytest.approx(0.5, abs=0.05)


def test_three_classes():
    chunks = make_chunks(recordings=36, labels="abc")
    found = probe_many(chunks=chunks, identity=3.0)
    assert found["chunk_split"] > 0.95 and found["label"] == pytest.approx(1 / 3, abs=0.12)


def test_undefined_and_constant_features_are_borne():
    chunks = make_chunks()
    features = plant(chunks, np.random.default_rng(0), label=3.0)
    features[::3, 0], features[:, 1], features[:, 2] = np.nan, np.nan, 7.0
    assert probe(chunks, features)["label"] > 0.95


def test_a_fold_that_holds_one_class():
    """What a probe of the class is worth there nobody can say; it is right, as the split by chunk would be."""
    chunks = make_chunks()
    chunks["fold"] = pd.factorize(chunks["recording"])[0] % 4  # two folds of a, two of b
    found = probe(chunks, plant(chunks, np.random.default_rng(0), label=3.0))
    assert found["chunk_split"] == 1.0 and found["label"] > 0.99


def test_the_honest_probe_has_not_seen_the_fold():
    """Turn the labels of one fold over: its chunks are called as before, so what was right is now wrong."""
    chunks = make_chunks(folds=2)
    features = plant(chunks, np.random.default_rng(1), label=0.3)
    classifier = Planted(features, [0])
    spoiled = chunks.assign(
        label=np.where(chunks["fold"] == 0, chunks["label"].map({"a": "b", "b": "a"}), chunks["label"])
    )
    one, other = (probe_planted(classifier, table, {}, 0) for table in (chunks, spoiled))
    assert one["label"] == pytest.approx(1 - other["label"]) and one["label"] != 0.5
    assert one["recording"] == other["recording"]


# --- few chunks, and many --------------------------------------------------------------------------------------------


def test_one_chunk_a_recording_leaves_nothing_to_recognise():
    chunks = make_chunks(per_recording=1)
    found = probe(chunks, plant(chunks, np.random.default_rng(0), label=3.0))
    assert all(np.isnan(found[name]) for name in ("recording", "chance", "chunk_split")) and found["label"] > 0.9
    assert np.isnan(summarise_optimism(found)["gap"]) and summarise_optimism(found)["honest_accuracy"] == found["label"]


def test_single_chunks_are_left_out_where_others_have_several():
    """A recording without a second chunk cannot be recognised, and does not count against the probe."""
    chunks = make_chunks()
    alone = chunks["recording"].isin(["r000", "r001", "r009"])
    chunks = chunks[~alone | ~chunks.duplicated("recording")].reset_index(drop=True)
    found = probe(chunks, plant(chunks, np.random.default_rng(0), identity=3.0))
    assert found["recording"] > 0.99
    held = chunks.groupby("fold")["recording"].value_counts().reset_index(name="chunks").query("chunks > 1")
    shares = 1 / held.groupby("fold")["recording"].transform("nunique")
    assert found["chance"] == pytest.approx(np.average(shares, weights=held["chunks"]))


def test_two_chunks_a_recording_are_enough():
    chunks = make_chunks(per_recording=2)
    assert probe(chunks, plant(chunks, np.random.default_rng(0), identity=5.0))["recording"] > 0.9


def test_at_most_so_many_chunks_are_looked_at(monkeypatch):
    """Of the training side about as many of every recording, of the other side whole recordings."""
    monkeypatch.setattr(mea.evaluation.probes, "MAX_CHUNKS", 45)
    chunks = make_chunks(per_recording=20)
    chunks = chunks[~chunks["recording"].isin(["r000"]) | (chunks.groupby("recording").cumcount() < 3)].reset_index(
        drop=True
    )
    features = plant(chunks, np.random.default_rng(0), identity=3.0)
    classifier = Planted(features, [0, 1])
    found = probe_planted(classifier, chunks, {}, 0)
    for fold in (0, 1):
        held_out, training = classifier.asked[2 * fold : 2 * fold + 2]
        assert set(held_out["fold"]) == {fold} and fold not in set(training["fold"])
        assert held_out.index.is_monotonic_increasing and training.index.is_monotonic_increasing
        counts = held_out["recording"].value_counts()
        assert sorted(counts)[-2:] == [20, 20] and set(counts) <= {3, 20} and len(held_out) <= 45
        assert set(held_out["label"]) == {"a", "b"}
        counts = training["recording"].value_counts()
        others = counts.drop("r000", errors="ignore")
        assert len(training) == 45 and others.max() - others.min() <= 1 and counts.get("r000", 3) in (2, 3)
    assert found["recording"] > 0.95
    assert probe_planted(classifier, chunks, {}, 0) == found, "the seed decides which"
    assert probe_planted(classifier, chunks, {}, 1) != found


def test_a_probe_finds_the_same_of_few_and_of_many_recordings(monkeypatch):
    """Twelve or a hundred recordings to recognise: what was seen of each is the same, and so is what is found."""
    monkeypatch.setattr(mea.evaluation.probes, "MAX_CHUNKS", 120)
    found = {
        number: probe_many(chunks=make_chunks(recordings=number, folds=2), identity=0.8) for number in (24, 200, 1000)
    }
    assert found[200]["recording"] > 3 * found[200]["chance"]
    for number in (200, 1000):
        assert found[number]["chance"] == pytest.approx(found[24]["chance"])
        assert found[number]["recording"] == pytest.approx(found[24]["recording"], abs=0.1)
        assert found[number]["chunk_split"] == pytest.approx(found[24]["chunk_split"], abs=0.1)


def test_of_a_long_recording_a_part_is_drawn(monkeypatch):
    monkeypatch.setattr(mea.evaluation.probes, "MAX_CHUNKS", 60)
    monkeypatch.setattr(mea.evaluation.probes, "MAX_OF_ONE", 15)
    chunks = make_chunks(recordings=8, per_recording=50, folds=1)
    drawn = mea.evaluation.probes.draw_recordings(chunks, np.random.default_rng(0))
    assert drawn["recording"].value_counts().tolist() == [15] * 4
    assert drawn.groupby("label")["recording"].nunique().tolist() == [2, 2]


def test_what_is_told():
    probes = {"recording": 0.9, "chunk_split": 0.8, "label": 0.6, "chance": 0.1}
    assert summarise_optimism(probes) == {
        "chunk_split_accuracy": 0.8,
        "honest_accuracy": 0.6,
        "gap": pytest.approx(0.2),
    }
    assert summarise_identity(probes) == {"recording_accuracy": 0.9, "chance": 0.1, "label_accuracy": 0.6}


# --- real models -----------------------------------------------------------------------------------------------------

NETWORK = {"bin_ms": 50, "bin": "count", "scale": 0.05, "epochs": 1, "min_gain": 0.0}


@pytest.mark.parametrize("model", ["rate", "features", "cnn_lstm"])
def test_real_models(tmp_path, model):
    """Every recording fires at a rate of its own and no class does: each model's features give the recording away."""
    rates = [0.5, 1.3, 3.4, 9.0]  # in every batch, dealt to the classes by turns
    lines = plan_recordings(batches=4, cultures=2)
    for number, line in enumerate(lines):
        line["spikes_per_s"] = rates[(number + number // 4) % 4]
    lab = write_lab(tmp_path, lines, folds=2, duration_s=4.0)
    classifier, _ = fit_lab(lab, tmp_path / "folds", train_params(model, inner_folds=2, cnn_lstm=NETWORK), score=(0, 1))
    array, chunks = lab
    found = probe_planted(classifier, chunks, RecordingsOnDisk(array, chunks["recording"].unique()), 0)
    assert found["chance"] == 1 / 8 and found["recording"] > 1 / 8
    if model != "rate":  # by one number a line can name the slowest and the fastest only
        assert found["recording"] > 0.3
        assert found["chunk_split"] > found["label"] + 0.1
