"""What held-out recordings teach about new ones: learned inside each fold, and to the bit on disk."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from builders.arrays import describe_events, make_events, plan_recordings, write_array

from mea.arrays.events_file import save_events
from mea.evaluation.evaluation import apply_fold_rules, predict_held_out, score_selection, score_sets
from mea.evaluation.rules import FILE, Rules, RuleSettings, learn_rules, load_rules, save_rules
from mea.networks.chunks import load_recordings
from mea.runtime.errors import MeaError
from mea.runtime.files import write_json
from mea.runtime.tables import write_table
from mea.splitting.aggregation import add_predictions, aggregate_recordings, get_probabilities
from mea.splitting.chunks import cut_chunks
from mea.splitting.folds import assign_folds
from mea.statistics.calibration import Calibrator
from mea.statistics.conformal import ALWAYS, ConformalSets
from mea.statistics.scores import score_predictions
from mea.training.classifier import Classifier, inner_file, load_classifier, save_classifier
from mea.training.fitting import fit_fold
from mea.training.folds import describe_training, plan_folds

pytestmark = pytest.mark.usefixtures("alone")

LABELS = ["a", "b"]
TARGET, LEVEL = 0.2, 0.8  # four recordings are enough for either
SETTINGS = RuleSettings(TARGET, LEVEL, 0)
TRAIN = {"model": "rate", "validation": "inner", "inner_folds": 3, "seed": 0}
PROBES = np.column_stack([np.linspace(0, 1, 201), 1 - np.linspace(0, 1, 201)])


def make_table(p_b, label, batch=None):
    """Recordings with the stated probability of label b; each its own batch unless told otherwise."""
    p_b = np.asarray(p_b, float)
    names = [f"r{k:03d}" for k in range(len(p_b))]
    table = pd.DataFrame({"recording": names, "label": list(label), "culture": "", "batch": batch or names})
    return table.assign(p_a=1 - p_b, p_b=p_b)


def make_classifier(folder, *inner):
    """A classifier on disk with these inner predictions, one table a fold."""
    folder.mkdir()
    for fold, table in enumerate(inner):
        write_table(folder / inner_file(fold), table)
    save_classifier(
        Classifier(folder, "rate", LABELS, 12, 12, 25_000, "mcs", 1.0, None, list(range(len(inner))), 0, "", {}, {})
    )
    return load_classifier(folder)


def vote(table, fold=0):
    """As the evaluation has recordings before anything is learned about them."""
    return add_predictions(table.assign(fold=fold), get_probabilities(table, LABELS), LABELS)


def make_rules(**changed):
    sets = ConformalSets(0.9, ("a", "b"), (0.6, 0.3), (20, 20), (20, 20))
    rules = Rules(40, Calibrator("none", 1.0, (0.0, 0.0)), 0.05, 0.7, "", sets)
    return replace(rules, **changed)


# --- nothing is learned from what is scored --------------------------------------------------------------------------


def build_lab(folder):
    """24 recordings of six batches whose rates overlap between the classes, and chunks in three folds."""
    random = np.random.default_rng(0)
    lines = plan_recordings(batches=6, cultures=2)
    for line in lines:
        line["spikes_per_s"] = float(np.exp(random.normal(0.6 * (line["label"] == "b"), 0.4)))
    recordings = write_array(folder / "array", lines, duration_s=2.0)
    chunks, _ = cut_chunks(pd.DataFrame([describe_events(events) for events in recordings]), 1.0, None)
    return folder / "array", chunks.assign(fold=assign_folds(chunks, "batch", 3, 0))


def spoil_held_out(lab, folder):
    """The same lab, but what fold 0 holds are other spikes altogether, and every label is wrong."""
    array, chunks = lab
    shutil.copytree(array, folder)
    held = chunks["fold"] == 0
    for number, name in enumerate(chunks[held]["recording"].unique()):
        events = make_events(name, spikes_per_s=0.3 * (1 + number), seed=100 + number, duration_s=2.0)
        save_events(folder / f"{name}.npz", events)
    return folder, chunks.assign(label=np.where(held, chunks["label"].map({"a": "b", "b": "a"}), chunks["label"]))


def evaluate(lab, folder):
    """Train and vote as the stages do; the stated votes, the scored ones, and each fold's rules."""
    array, chunks = lab
    params = {"train": TRAIN, "split": {"chunk_s": 1.0, "first_s": None}, "array": {"threshold": 5.0}}
    split = {"split_level": "batch", "score": [0, 1, 2], "leaky": 0, "warning": "", "params": params}
    folder.mkdir()
    jobs = plan_folds(chunks, split, array, folder, folder / "live")
    for job in jobs:
        fit_fold(job)
    classifier = describe_training(folder, jobs, split)
    events = load_recordings(array, chunks["recording"].unique())
    stated = aggregate_recordings(predict_held_out(classifier, chunks, events, classifier.predict), LABELS)
    scored, rules = apply_fold_rules(classifier, stated, SETTINGS)
    return stated, scored, dict(zip(scored["fold"].unique(), rules))


def test_what_a_fold_holds_has_no_part_in_its_rules(tmp_path):
    """Spoil all that fold 0 holds: threshold, calibration and prediction sets of fold 0 stay to the bit."""
    lab = build_lab(tmp_path)
    spoiled = spoil_held_out(lab, tmp_path / "spoiled")
    stated, scored, rules = evaluate(lab, tmp_path / "one")
    other_stated, other_scored, other_rules = evaluate(spoiled, tmp_path / "two")
    held = scored["fold"] == 0
    assert not np.allclose(stated.loc[held, "p_b"], other_stated.loc[held, "p_b"]), "what is scored is another thing"
    assert (scored.loc[held, "label"] != other_scored.loc[held, "label"]).all()

    assert np.isfinite(rules[0].threshold) and rules[0] == other_rules[0]
    inner = [(tmp_path / name / inner_file(0)).read_bytes() for name in ("one", "two")]
    assert inner[0] == inner[1]
    assert rules[0].calibrator.calibrate(PROBES).tobytes() == other_rules[0].calibrator.calibrate(PROBES).tobytes()
    assert rules[0].format_sets(PROBES) == other_rules[0].format_sets(PROBES)
    assert scored.loc[held, "threshold"].tolist() == other_scored.loc[held, "threshold"].tolist()
    assert rules[1] != other_rules[1], "the other folds learned from it"

    naive, other_naive = (learn_rules(table, LABELS, SETTINGS) for table in (stated, other_stated))
    assert naive.conformal != other_naive.conformal


def test_rules_of_what_is_scored_look_better_than_they_are():
    """Seven of ten are right whatever the confidence. Read off the scored recordings, a threshold for 20 % error always
    keeps its word; read off others, as inside the folds, it is wrong as often as everything is."""
    random, honest, naive = np.random.default_rng(1), [], []
    for _ in range(30):
        inner, scored = (draw_luck(random) for _ in range(2))
        for rules, errors in ((learn_rules(inner, LABELS, SETTINGS), honest),
                              (learn_rules(scored, LABELS, SETTINGS), naive)):  # fmt: skip
            probabilities = rules.calibrator.calibrate(get_probabilities(scored, LABELS))
            table = add_predictions(scored, probabilities, LABELS)
            called = table[table["confidence"] >= rules.confidence_threshold]
            errors += (called["label"] != called["predicted"]).tolist()
    assert min(len(honest), len(naive)) > 100
    assert np.mean(naive) <= TARGET and np.mean(honest) > TARGET + 0.05


def draw_luck(random, n=40):
    """Recordings of two classes, called with a confidence that says nothing about being right."""
    label = np.where(np.arange(n) % 2, "b", "a")
    right = random.random(n) < 0.7
    return make_table(np.where(right == (label == "b"), 1, -1) * random.uniform(0.05, 0.45, n) + 0.5, label)


def test_calibration_by_what_is_scored_looks_better_than_it_is():
    random, honest, naive = np.random.default_rng(2), [], []
    for _ in range(10):
        inner, scored = (draw_luck(random, 24) for _ in range(2))
        for table, losses in ((inner, honest), (scored, naive)):
            calibrator = learn_rules(table, LABELS, SETTINGS).calibrator
            probabilities = calibrator.calibrate(get_probabilities(scored, LABELS))
            losses.append(score_predictions(LABELS, scored["label"].to_numpy(), probabilities, 10)["log_loss"])
    assert np.mean(naive) < np.mean(honest)


# --- what is learned -------------------------------------------------------------------------------------------------


def test_calibration_can_turn_a_call_round(tmp_path):
    """A model that never dares to say b, though its probabilities tell the two apart."""
    random = np.random.default_rng(3)
    inner = make_table(np.append(random.uniform(0.01, 0.1, 30), random.uniform(0.3, 0.45, 30)), ["a"] * 30 + ["b"] * 30)
    stated = vote(make_table([0.05, 0.4], "ab"))
    assert stated["predicted"].tolist() == ["a", "a"]
    scored, (rules,) = apply_fold_rules(make_classifier(tmp_path / "m", inner), stated, SETTINGS)
    assert rules.calibrator.method == "platt"
    assert scored["predicted"].tolist() == ["a", "b"] and scored["prediction_set"].tolist() == ["a", "b"]
    assert (scored["confidence"] == scored[["p_a", "p_b"]].max(1)).all()


def test_each_recording_is_read_by_the_rules_of_its_own_fold(tmp_path):
    """And the rows keep their order, whatever the folds are."""
    shy = make_table(np.tile([0.45, 0.55], 10), "ab" * 10)
    bold = make_table(np.append(np.tile([0.02, 0.98], 10), [0.99, 0.99]), "ab" * 10 + "aa")
    classifier = make_classifier(tmp_path / "m", shy, bold)
    stated = vote(make_table([0.45, 0.6, 0.7, 0.8], "abab"), fold=[1, 0, 1, 0])
    scored, rules = apply_fold_rules(classifier, stated, SETTINGS)
    assert scored["recording"].tolist() == stated["recording"].tolist() and scored["fold"].tolist() == [1, 0, 1, 0]
    by_fold = {1: rules[0], 0: rules[1]}  # in the order of first appearance
    for row, fold in enumerate([1, 0, 1, 0]):
        expected = by_fold[fold].calibrator.calibrate(get_probabilities(stated.iloc[[row]], LABELS))[0]
        assert scored[["p_a", "p_b"]].iloc[row].tolist() == expected.tolist()
        assert scored["threshold"].iloc[row] == by_fold[fold].threshold
    assert by_fold[0] != by_fold[1]


def test_nothing_held_out_inside_teaches_nothing(tmp_path):
    """All are called, as stated, and no label is ruled out."""
    empty = make_table([], "")
    stated = vote(make_table([0.1, 0.8], "ab"))
    scored, (rules,) = apply_fold_rules(make_classifier(tmp_path / "m", empty), stated, SETTINGS)
    pd.testing.assert_frame_equal(scored[stated.columns], stated)
    assert scored["threshold"].tolist() == [0.0, 0.0] and scored["prediction_set"].tolist() == ["a|b", "a|b"]
    assert rules.recordings == 0 and np.isnan(rules.threshold) and rules.conformal.thresholds == (ALWAYS, ALWAYS)
    assert rules.too_few == "too few recordings: 0 held out; at least 4, all correct, are needed for 20 % error"
    assert score_selection(scored, rules, 0.95)["coverage"] == 1.0
    assert score_sets(scored, [rules]) == {"coverage": 1.0, "mean_size": 2.0, "calibration_recordings": 0}


def test_chunks_in_several_folds_teach_nothing(tmp_path):
    """No model has not seen such a recording, so no inner table is right for it."""
    classifier = make_classifier(tmp_path / "m", make_table(np.tile([0.1, 0.9], 10), "ab" * 10))
    scored, (rules,) = apply_fold_rules(classifier, vote(make_table([0.3], "a"), "mixed"), SETTINGS)
    assert rules.recordings == 0 and scored["p_b"].tolist() == [0.3]


def test_where_a_class_is_missing_nothing_is_calibrated():
    """A bias would learn that the missing class never comes, and call everything the other."""
    rules = learn_rules(make_table(np.linspace(0.4, 0.6, 30), "a" * 30), LABELS, SETTINGS)
    assert rules.calibrator == Calibrator("none", 1.0, (0.0, 0.0))
    assert rules.conformal.recordings == (30, 0)
    assert all("b" in labels.split("|") for labels in rules.format_sets(PROBES)), "of b nothing is known"


def test_wrong_with_high_confidence():
    """Enough recordings, and no confidence that would do: none is called, and the sentence says why."""
    table = make_table([0.01, 0.02, 0.03, *[0.3] * 10, *[0.7] * 10], ["b"] * 3 + ["a"] * 10 + ["b"] * 10)
    rules = learn_rules(table, LABELS, RuleSettings(0.05, LEVEL, 0))
    assert np.isnan(rules.threshold) and np.isnan(rules.confidence_threshold)
    assert rules.explain_rejection(1.0) == (
        "unsure: no confidence is high enough for 5 % error: 3 of 23 held-out recordings are wrong, some of them with "
        "high confidence; it would be enough if the 19 most confident ones were all correct"
    )


def test_three_classes():
    random = np.random.default_rng(5)
    labels = ["a", "b", "c"]
    actual = random.integers(0, 3, 60)
    probabilities = random.dirichlet([1, 1, 1], 60) + 2 * np.eye(3)[actual]
    table = make_table(np.zeros(60), [labels[k] for k in actual])
    for k, label in enumerate(labels):
        table[f"p_{label}"] = probabilities[:, k] / 3
    rules = learn_rules(table, labels, SETTINGS)
    assert rules.conformal.labels == ("a", "b", "c") and np.isfinite(rules.threshold)
    possible = rules.format_sets(rules.calibrator.calibrate(get_probabilities(table, labels)))
    assert np.mean([labels[k] in row.split("|") for k, row in zip(actual, possible)]) >= LEVEL


# --- in words --------------------------------------------------------------------------------------------------------


def test_a_refusal_names_the_confidence_and_its_bound():
    rules = make_rules()
    assert rules.explain_rejection(0.7) == "" and rules.explain_rejection(1.0) == ""
    assert rules.explain_rejection(np.nextafter(0.7, 0)).startswith("unsure")
    assert rules.explain_rejection(0.62) == (
        "unsure: confidence 0.62 is below 0.70, the least at which no more than 5 % of predictions were wrong"
    )


def test_too_few_recordings_for_a_threshold_refuse_nobody():
    """18 recordings cannot show an error of 5 %; 19 could have, so there it is the recordings that were not good."""
    rules = make_rules(recordings=18, threshold=float("nan"), too_few="too few recordings")
    assert rules.confidence_threshold == 0.0 and rules.explain_rejection(0.5) == ""
    assert replace(rules, recordings=19).explain_rejection(0.99) == "unsure: too few recordings"


def test_sets_are_named_by_their_labels():
    assert make_rules().format_sets(np.array([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8], [0.35, 0.65]])) == ["a", "a", "b", ""]


# --- scored ----------------------------------------------------------------------------------------------------------


def test_selection_and_sets_are_scored_by_hand():
    scored = vote(make_table([0.1, 0.2, 0.6, 0.9, 0.95], "abbba"))
    scored = scored.assign(threshold=[0.7, 0.7, 0.7, np.nan, 0.7], prediction_set=["a", "a", "a|b", "", "b"])
    selection = score_selection(scored, make_rules(threshold=0.66), 0.95)
    assert selection["threshold"] == 0.66, "that of the classifier that goes out"
    assert selection["coverage"] == 3 / 5, "0.6 is too low, and the fourth recording's fold calls none"
    assert selection["error"] == 2 / 3 and selection["error_low"] < 2 / 3 < selection["error_high"]
    # Surest first: .95 wrong, .9 and .9 right, .8 wrong, .6 right; the two of one confidence in no order.
    assert selection["aurc"] == pytest.approx(np.mean([1, 1 / 2, 1 / 3, 2 / 4, 2 / 5]))
    sets = score_sets(scored, [make_rules(recordings=20), make_rules(recordings=12)])
    assert sets == {"coverage": 2 / 5, "mean_size": 1.0, "calibration_recordings": 12}


# --- on disk ---------------------------------------------------------------------------------------------------------


def test_rules_come_back_to_the_bit(tmp_path):
    """A threshold is the confidence of one recording, and that recording is called by what was read."""
    random = np.random.default_rng(7)
    for run in range(5):
        label = random.choice(LABELS, 40)
        table = make_table(np.clip(random.normal(np.where(label == "b", 0.75, 0.25), 0.2), 0.01, 0.99), label)
        rules = learn_rules(table, LABELS, RuleSettings(0.06, LEVEL, run))
        save_rules(tmp_path, rules)
        read = load_rules(tmp_path)
        assert read == rules and read.threshold == rules.threshold
        confidence = read.calibrator.calibrate(get_probabilities(table, LABELS)).max(1)
        assert (confidence == read.threshold).any()
        assert read.explain_rejection(read.threshold) == ""
        assert read.format_sets(PROBES) == rules.format_sets(PROBES)


def test_nine_digits_would_refuse_the_recording_a_threshold_was_read_off(tmp_path):
    confidence = 2 / 3
    rules = make_rules(threshold=confidence)
    values = {"threshold": confidence}
    write_json(tmp_path / "short.json", values)
    assert json.loads((tmp_path / "short.json").read_text())["threshold"] > confidence
    save_rules(tmp_path, rules)
    assert load_rules(tmp_path).explain_rejection(confidence) == ""


def test_no_threshold_comes_back(tmp_path):
    save_rules(tmp_path, make_rules(threshold=float("nan"), too_few="too few"))
    read = load_rules(tmp_path)
    assert np.isnan(read.threshold) and read.too_few == "too few"
    assert "NaN" not in (tmp_path / FILE).read_text(), "which is no JSON"


def test_the_same_rules_are_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        save_rules(tmp_path / name, make_rules())
    assert (tmp_path / "one" / FILE).read_bytes() == (tmp_path / "two" / FILE).read_bytes()


def test_a_classifier_that_was_not_evaluated_has_no_rules(tmp_path):
    assert load_rules(tmp_path) is None


@pytest.mark.parametrize(
    "spoil",
    [
        lambda values: values.pop("calibrator"),
        lambda values: values.pop("threshold"),
        lambda values: values.update(surprise=1),
        lambda values: values["calibrator"].update(temperature="hot"),
    ],
)
def test_rules_that_are_not_ours(tmp_path, spoil):
    save_rules(tmp_path, make_rules())
    values = json.loads((tmp_path / FILE).read_text())
    spoil(values)
    (tmp_path / FILE).write_text(json.dumps(values))
    with pytest.raises(MeaError, match=r"rules\.json: not written by the evaluate stage .* Run dvc repro evaluate\."):
        load_rules(tmp_path)
