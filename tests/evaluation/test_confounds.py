"""The audit of metadata: what follows the class is found and named, what merely tells batches apart is not."""

import io
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from builders.metadata import make_lab
from scipy.stats import binomtest
from sklearn.naive_bayes import CategoricalNB

from mea.evaluation.confounds import (
    ALL,
    WORDS,
    audit_confounds,
    explain_confounds,
    hold_one_class,
    summarise_audit,
)
from mea.splitting.folds import assign_folds
from mea.statistics.permutation import run_permutation_test

NO_BATCH = "confounded: no batch holds two classes"


def draw_fingerprint(lab, random):
    """One number a recording that tells batches, and a little cultures, apart, whatever their class."""
    batch, culture = pd.factorize(lab["batch"])[0], pd.factorize(lab["culture"])[0]
    values = random.normal(size=batch.max() + 1)[batch] + 0.3 * random.normal(size=culture.max() + 1)[culture]
    return values + 0.1 * random.normal(size=len(lab))


def draw_metadata(lab, random, shift=None):
    """A lab's metadata, every one strongly different from batch to batch; ``shift`` adds to the one it names."""
    metadata = pd.DataFrame({name: draw_fingerprint(lab, random) for name in WORDS})
    metadata["electrodes"] = (60 + metadata["electrodes"]).round()
    metadata["sampling_rate_hz"] = np.where(metadata["sampling_rate_hz"] > 0, 25_000.0, 10_000.0)
    metadata["start"] = pd.factorize(lab["batch"])[0] * 30.0 + metadata["start"]  # batch after batch, a month each
    for name, values in (shift or {}).items():
        metadata[name] = metadata[name] + values
    return metadata


# --- nothing, and too little -----------------------------------------------------------------------------------------


def test_a_date_that_tells_the_class_is_named_where_groups_are_too_few_for_a_test():
    lab = make_lab(batches=4, cultures=6, labels="ab", pure=True)
    table = pd.DataFrame({"start": np.where(lab["label"] == "a", 1.0, 200.0), "noise_uv": np.arange(len(lab)) % 3.0})
    audit = audit_confounds(table, lab, 199, 0)
    assert not audit["alarm"].any()
    perhaps, batches = explain_confounds(audit, lab)
    assert perhaps.startswith("confounded, perhaps: date (100 %) predict the class of held-out recordings; there are")
    assert batches.startswith("confounded: no batch holds two classes")


def test_nothing_to_look_at_is_no_alarm():
    lab = make_lab()
    audit = audit_confounds(pd.DataFrame(index=lab.index), lab, 99, 0)
    assert len(audit) == 0 and all(np.isnan(value) for value in summarise_audit(audit).values())
    assert list(summarise_audit(audit)) == ["accuracy", "balanced_accuracy", "p_value"]
    assert explain_confounds(audit, lab) == []


# --- power -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(WORDS))
def test_what_follows_the_class_is_found_and_named(name):
    """Among five others that differ strongly from batch to batch."""
    lab, random = make_lab(batches=8, cultures=6), np.random.default_rng(1)
    other = (lab["label"] == "b").to_numpy()
    metadata = draw_metadata(lab, random)
    metadata[name] = other * 100.0 + random.normal(size=len(lab))
    audit = audit_confounds(metadata, lab, 499, 0)
    assert audit["metadata"].tolist() == [ALL, *WORDS]
    row = audit.set_index("metadata").loc[name]
    assert row["alarm"] and row["balanced_accuracy"] == 1.0
    assert set(audit.loc[audit["alarm"], "metadata"]) <= {ALL, name}
    assert explain_confounds(audit, lab) == [
        f"confounded: without any signal, the class can be predicted from {WORDS[name]} (100 %); chance is 50 %. "
        "The classes were recorded under different conditions"
    ]


SHAPES = {
    "a slope": lambda x: x,
    "falling": lambda x: -x,
    "squeezed": lambda x: np.exp(3 * x),
    "both ends": lambda x: np.where(
        x > 0, x * np.where(np.arange(len(x)) % 4 < 2, 1, -1), 0.05 * np.sin(np.arange(48))
    ),
}


@pytest.mark.parametrize("shape", list(SHAPES))
def test_any_shape_is_found(shape):
    lab, random = make_lab(batches=12, cultures=4), np.random.default_rng(2)
    steps = (lab["label"] == "b").to_numpy() + 0.15 * random.normal(size=len(lab)) * (lab["label"] == "b")
    audit = audit_confounds(pd.DataFrame({"noise_uv": SHAPES[shape](steps)}), lab, 199, 0)
    assert audit["alarm"].all() and audit["balanced_accuracy"].iloc[0] > 0.9


def test_classes_recorded_one_campaign_after_the_other():
    """No batch holds both, and no date comes twice: that all of the one came first is still seen."""
    lab = make_lab(batches=14, cultures=2, labels="ab", pure=True)
    number = lab["batch"].str[1:].astype(int)
    metadata = pd.DataFrame({"start": (number // 2 + 7 * (lab["label"] == "b")) * 20.0})
    audit = audit_confounds(metadata, lab, 499, 0)
    assert audit["alarm"].all()
    taken_in_turn = pd.DataFrame({"start": number * 20.0})
    assert not audit_confounds(taken_in_turn, lab, 499, 0)["alarm"].any()


def test_two_metadata_together_say_more_than_each():
    """Each is right in part only; together they raise the alarm, and the sentence says so."""
    lab, random = make_lab(batches=10, cultures=4), np.random.default_rng(0)
    sign = np.where(lab["label"] == "b", 1.0, -1.0)
    metadata = pd.DataFrame({name: 0.5 * sign + random.normal(size=len(lab)) for name in WORDS})
    audit = audit_confounds(metadata, lab, 499, 0)
    both = audit[audit["metadata"] == ALL].iloc[0]
    assert both["alarm"] and both["balanced_accuracy"] >= audit["balanced_accuracy"].max()
    (sentence,) = explain_confounds(audit[audit["metadata"] == ALL], lab)
    assert f"from all metadata together ({100 * both['balanced_accuracy']:.0f} %); chance is 50 %" in sentence
    assert summarise_audit(audit) == {name: both[name] for name in ("accuracy", "balanced_accuracy", "p_value")}


def test_three_classes():
    lab = make_lab(batches=6, cultures=6, labels="abc")
    metadata = pd.DataFrame({"duration_s": lab["label"].map({"a": 60.0, "b": 60.0, "c": 90.0})})
    audit = audit_confounds(metadata, lab, 199, 0)
    assert audit["balanced_accuracy"].tolist() == [pytest.approx(2 / 3)] and audit["alarm"].all()
    assert "recording length (67 %); chance is 33 %" in explain_confounds(audit, lab)[0]


# --- size ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pure", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_false_alarms_are_at_most_one_in_twenty(pure):
    """Over all metadata of a lab together, each of which tells the batches apart as a date does."""
    random, runs, alarms = np.random.default_rng(5), 100, 0
    for run in range(runs):
        lab = make_lab(batches=12, cultures=2, recordings=2, pure=pure, seed=run)
        alarms += audit_confounds(draw_metadata(lab, random), lab, 99, run)["alarm"].any()
    assert binomtest(alarms, runs, 0.05, alternative="greater").pvalue > 0.01


def test_a_fingerprint_of_cultures_on_both_sides_is_no_alarm(monkeypatch):
    """Split by recording, alike recordings predict each other, with permuted labels as well as with the actual ones.

    A test of predictions made once, against labels permuted between groups, takes them for a confound in a third of
    all labs.
    """
    monkeypatch.setattr("mea.statistics.permutation.WIDENING", 1.0)  # the naive test as it stands in the textbooks
    random, runs, alarms, naive = np.random.default_rng(6), 40, 0, 0
    for run in range(runs):
        lab = make_lab(batches=8, cultures=1, recordings=6, pure=True, split_level="recording", seed=run)
        metadata = pd.DataFrame({"noise_uv": draw_fingerprint(lab, random)})
        audit = audit_confounds(metadata, lab, 99, run)
        alarms += audit["alarm"].any()
        naive += run_permutation_test(lab, audit["predicted"].iloc[0], 99, run).p_value < 0.05
    assert binomtest(alarms, runs, 0.05, alternative="greater").pvalue > 0.01
    assert naive > runs / 3


def test_known_p_value():
    """One culture of each class in each of five batches: 2 of the 32 ways to deal the labels are told as well."""
    lab = make_lab(batches=5, cultures=2)
    metadata = pd.DataFrame({"duration_s": np.where(lab["label"] == "a", 60.0, 61.0)})
    audit = audit_confounds(metadata, lab, 4999, 0)
    assert audit["p_value"].iloc[0] == pytest.approx(2 / 32, abs=4 * np.sqrt(2 / 32 / 5000))
    assert not audit["alarm"].iloc[0], "so few batches cannot raise it"


def test_looking_at_more_metadata_costs():
    """The p-value of the same metadatum, alone and among five more that tell nothing."""
    lab, random = make_lab(batches=6, cultures=4), np.random.default_rng(3)
    metadata = draw_metadata(lab, random)
    metadata["duration_s"] = 0.6 * (lab["label"] == "b") + random.normal(size=len(lab))
    alone = audit_confounds(metadata[["duration_s"]], lab, 499, 0)["p_value"].iloc[0]
    among = audit_confounds(metadata, lab, 499, 0).set_index("metadata")["p_value"]["duration_s"]
    assert alone < among <= 7 * alone + 0.02


# --- how it predicts -------------------------------------------------------------------------------------------------


def test_predictions_are_those_of_a_naive_bayes_classifier():
    """Two values of each metadatum, where smoothing over bins decides nothing; scikit-learn's is the reference."""
    lab, random = make_lab(batches=10, cultures=6), np.random.default_rng(4)
    other = (lab["label"] == "b").to_numpy()
    metadata = pd.DataFrame({"sampling_rate_hz": (other ^ (random.random(60) < 0.2)) * 1.0, "electrodes": other * 1.0})
    metadata["electrodes"] = (other ^ (random.random(60) < 0.3)) * 1.0
    audit = audit_confounds(metadata, lab, 19, 0).set_index("metadata")
    for name, values in ((ALL, metadata), ("sampling_rate_hz", metadata[["sampling_rate_hz"]])):
        expected = np.empty(60, dtype=object)
        for fold in range(4):
            held = (lab["fold"] == fold).to_numpy()
            model = CategoricalNB(fit_prior=False).fit(values[~held], lab["label"][~held])
            expected[held] = model.predict(values[held])
        assert audit["predicted"][name].tolist() == expected.tolist()
        assert audit["accuracy"][name] == (expected == lab["label"]).mean()


def test_what_is_held_out_has_no_part_in_its_prediction():
    """With the labels of one fold turned over, its recordings are predicted as before."""
    lab, random = make_lab(batches=8, cultures=4), np.random.default_rng(7)
    metadata = pd.DataFrame({"noise_uv": (lab["label"] == "b") + 0.5 * random.normal(size=len(lab))})
    held = (lab["fold"] == 1).to_numpy()
    spoiled = lab.assign(label=np.where(held, lab["label"].map({"a": "b", "b": "a"}), lab["label"]))
    one, other = (audit_confounds(metadata, table, 19, 0)["predicted"].iloc[0] for table in (lab, spoiled))
    assert (one[held] == other[held]).all() and (one[~held] != other[~held]).any()


def test_chunks_of_every_recording_on_both_sides():
    """A split by chunk leaves no training side: the metadata are then told from themselves, as the chunks are."""
    lab = make_lab().assign(fold="mixed")
    metadata = pd.DataFrame({"duration_s": np.where(lab["label"] == "a", 60.0, 61.0)})
    audit = audit_confounds(metadata, lab, 199, 0)
    assert audit["accuracy"].iloc[0] == 1.0 and audit["alarm"].iloc[0]


def test_the_same_audit_twice():
    lab = make_lab()
    metadata = draw_metadata(lab, np.random.default_rng(8))
    one, two = (audit_confounds(metadata, lab, 99, 3).drop(columns="predicted") for _ in range(2))
    pd.testing.assert_frame_equal(one, two, check_exact=True)


# --- batches of one class --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("batch", "expected"),
    [
        (["x", "x", "y", "y"], False),  # labels a b a b: both in each
        (["x", "y", "x", "y"], True),
        (["x", "y", "x", ""], True),  # of what is known
        (["x", "x", "z", "y"], False),  # one batch with both is enough
        (["", "", "", ""], False),
    ],
)
def test_batches_of_one_class_are_seen(batch, expected):
    lab = pd.DataFrame({"recording": list("1234"), "label": list("abab"), "culture": "", "batch": batch})
    assert hold_one_class(lab) == expected
    nothing = audit_confounds(pd.DataFrame(index=range(4)), lab, 19, 0)
    sentences = explain_confounds(nothing, lab)
    assert [sentence.startswith(NO_BATCH) for sentence in sentences] == [True] * expected


def read_lengths(folder):
    """Length in seconds of every recording in a folder of archives."""
    lengths = {}
    for path in sorted(folder.glob("*.zip")):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith(".h5"):
                    with h5py.File(io.BytesIO(archive.read(name))) as file:
                        start, stop = file["recordingtime"][:]
                    lengths[Path(name).stem] = stop - start
    return lengths


def test_the_real_recordings_are_confounded(shared_data):
    """Recording length alone tells cortex from hippocampus, and no plating date holds both."""
    folder = shared_data / "charlesworth2015"
    lab = pd.read_csv(folder / "recordings.csv", dtype=str)
    lab["fold"] = assign_folds(lab, "batch", 5, 0)
    lengths = read_lengths(folder)
    audit = audit_confounds(pd.DataFrame({"duration_s": lab["recording"].map(lengths)}), lab, 999, 0)
    assert audit["p_value"].iloc[0] < 0.01
    length, batches = explain_confounds(audit, lab)
    assert length.startswith("confounded: without any signal, the class can be predicted from recording length (7")
    assert batches.startswith(NO_BATCH)
