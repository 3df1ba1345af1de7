"""Rules learned from held-out recordings: what they learn, say in words, and keep to the bit on disk."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from builders.predictions import LABELS, PROBES, make_rules, make_table

from mea.evaluation.rules import FILE, RuleSettings, learn_rules, load_rules, read_sets, save_rules
from mea.runtime.errors import MeaError
from mea.runtime.files import write_json
from mea.splitting.aggregation import get_probabilities
from mea.statistics.calibration import Calibrator
from mea.statistics.conformal import ConformalSets

TARGET, LEVEL = 0.2, 0.8  # four recordings are enough for either
SETTINGS = RuleSettings(TARGET, LEVEL, 0)


# --- what is learned -------------------------------------------------------------------------------------------------


def test_where_a_class_is_missing_nothing_is_calibrated():
    """A bias would learn that the missing class never comes, and call everything the other."""
    rules = learn_rules(make_table(np.linspace(0.4, 0.6, 30), "a" * 30), LABELS, SETTINGS)
    assert rules.calibrator == Calibrator("none", 1.0, (0.0, 0.0))
    assert rules.uncalibrated == "no recording of b was held out inside the training set"
    assert rules.conformal.recordings == (30, 0)
    assert all("(b)" in labels.split("|") for labels in rules.format_sets(PROBES)), "of b nothing is known"


def test_wrong_with_high_confidence():
    """Enough recordings, and no confidence that would do: none is called, and the sentence says why."""
    table = make_table([0.01, 0.02, 0.03, *[0.3] * 10, *[0.7] * 10], ["b"] * 3 + ["a"] * 10 + ["b"] * 10)
    rules = learn_rules(table, LABELS, RuleSettings(0.05, LEVEL, 0))
    assert np.isnan(rules.threshold) and np.isnan(rules.confidence_threshold)
    assert rules.explain_rejection(1.0) == (
        "unsure: no confidence is high enough for 5 % error: 3 of 23 held-out recordings are wrong, some of them with "
        "high confidence; it would be enough if the 19 most confident ones were all correct (evaluate.target_error = "
        "0.05)"
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
        "unsure: confidence 0.62 is below 0.70, the least at which no more than 5 % of predictions were wrong "
        "(evaluate.target_error = 0.05)"
    )


def test_too_few_recordings_for_a_threshold_refuse_nobody():
    """18 recordings cannot show an error of 5 %; 19 could have, so there it is the recordings that were not good."""
    rules = make_rules(recordings=18, threshold=float("nan"), too_few="too few recordings")
    assert rules.confidence_threshold == 0.0 and rules.explain_rejection(0.5) == ""
    enough = replace(rules, recordings=19).explain_rejection(0.99)
    assert enough == "unsure: too few recordings (evaluate.target_error = 0.05)"


def test_sets_are_named_by_their_labels():
    assert make_rules().format_sets(np.array([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8], [0.35, 0.65]])) == ["a", "a", "b", ""]


def test_a_label_that_is_in_every_set_for_want_of_recordings_says_so():
    sets = ConformalSets(0.9, ("a", "b"), (0.6, 1.0), (20, 8), (20, 8))  # b has 8 recordings of the 9 it needs
    rules = make_rules(conformal=sets)
    assert rules.format_sets(np.array([[0.99, 0.01], [0.2, 0.8]])) == ["a|(b)", "(b)"]
    names = pd.Series(rules.format_sets(PROBES))
    assert (read_sets(names, LABELS) == sets.predict_sets(PROBES)).all(), "and is read back"


@pytest.mark.parametrize(
    ("changed", "p_value", "leaky", "begins"),
    [
        ({}, 0.01, False, []),
        ({"recordings": 18}, 0.01, False, ["no threshold: 18 recordings held out, 19 are needed"]),
        ({"uncalibrated": "why not"}, 0.01, False, ["not calibrated: why not"]),
        ({}, 0.05, False, ["not told from chance: p = 0.05"]),
        ({}, float("nan"), False, ["not told from chance: p = nan"]),
        ({}, 0.01, True, ["leaky: "]),
        (
            {"recordings": 4, "uncalibrated": "few"},
            0.3,
            False,
            ["not calibrated: few", "no threshold: 4", "not told from chance"],
        ),
    ],
)
def test_little_evidence_flags_every_prediction(changed, p_value, leaky, begins):
    flags = make_rules(**changed).list_flags(p_value, leaky)
    assert len(flags) == len(begins) and all(flag.startswith(text) for flag, text in zip(flags, begins)), flags


def test_less_evidence_never_means_fewer_flags():
    """The same classifier learned from ever fewer recordings: what it is flagged with only grows."""
    random = np.random.default_rng(3)
    label = random.choice(LABELS, 60)
    table = make_table(np.clip(np.where(label == "b", 0.8, 0.2) + random.normal(0, 0.1, 60), 0.01, 0.99), label)
    counts = [len(learn_rules(table[:n], LABELS, RuleSettings(0.05, 0.95, 0)).list_flags(0.01, False))
              for n in (60, 30, 10, 3, 1, 0)]  # fmt: skip
    assert counts == sorted(counts) and counts[0] == 0 and counts[-1] == 2


# --- for which share of classes ---------------------------------------------------------------------------------------


def test_the_threshold_is_for_the_prior():
    """Class b is wrong more often; where it is nine in ten, the same confidence is not enough any more."""
    p_b = np.concatenate([np.full(100, 0.1), np.full(20, 0.9)])
    label = ["a"] * 97 + ["b"] * 3 + ["b"] * 17 + ["a"] * 3  # of b, 3 of 20 are predicted as a
    table = make_table(p_b, label)
    by_training = learn_rules(table, LABELS, RuleSettings(0.06, LEVEL, 0, "training"))
    by_share = learn_rules(table, LABELS, RuleSettings(0.06, LEVEL, 0, {"a": 0.1, "b": 0.9}))
    np.testing.assert_allclose(by_training.prior, [100 / 120, 20 / 120])
    assert by_share.prior == (0.1, 0.9)
    assert not np.isnan(by_training.threshold) and not by_share.threshold < by_training.threshold
    assert by_share.calibrator.calibrate(PROBES)[:, 1].mean() > by_training.calibrator.calibrate(PROBES)[:, 1].mean()


def test_equal_shares_are_the_default_where_the_recordings_are_balanced():
    table = make_table(np.tile([0.2, 0.8], 30), np.tile(LABELS, 30))
    one, other = (learn_rules(table, LABELS, RuleSettings(0.05, LEVEL, 0, prior)) for prior in ("training", "equal"))
    assert one == other


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


@pytest.mark.parametrize("labels", [("a|b", "c"), ("a", "a|b"), ("(a)", "a"), ("a\\", "b|"), ("(a", "|"), ("\\|", "|")])
def test_whatever_a_label_holds_sets_are_read_back(labels):
    """A bar joins the labels of a set, and parentheses mark those that are always in it."""
    for thresholds, recordings in (((0.6, 0.3), (20, 20)), ((0.6, 1.0), (20, 3)), ((1.0, 1.0), (3, 3))):
        sets = ConformalSets(0.9, labels, thresholds, recordings, recordings)
        names = pd.Series(make_rules(conformal=sets).format_sets(PROBES))
        assert (read_sets(names, list(labels)) == sets.predict_sets(PROBES)).all()
