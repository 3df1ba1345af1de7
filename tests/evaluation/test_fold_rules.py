"""Rules of a fold: nothing is learned from what is scored, and each recording is scored by the rules of its fold."""

import numpy as np
import pandas as pd
import pytest
from builders.arrays import plan_recordings, spoil_held_out
from builders.models import fit_lab, train_params, write_lab
from builders.predictions import LABELS, PROBES, add_raw_predictions, make_rules, make_table

from mea.arrays.events_file import RecordingsOnDisk
from mea.evaluation.evaluation import score_selection, score_sets
from mea.evaluation.held_out import apply_fold_rules, predict_held_out
from mea.evaluation.rules import RuleSettings, learn_rules
from mea.runtime.checksums import write_checksums
from mea.runtime.tables import write_table
from mea.splitting.aggregation import add_predictions, get_probabilities
from mea.statistics.conformal import ALWAYS
from mea.statistics.scores import score_predictions
from mea.training.classifier import OOF, Classifier, load_classifier, name_fold, save_classifier

pytestmark = pytest.mark.usefixtures("alone")

TARGET, LEVEL = 0.2, 0.8  # four recordings are enough for either
SETTINGS = RuleSettings(TARGET, LEVEL, 0)


def build_lab(folder):
    """24 recordings of six batches whose rates overlap between the classes, and chunks in three folds."""
    random = np.random.default_rng(0)
    lines = plan_recordings(batches=6, cultures=2)
    for line in lines:
        line["spikes_per_s"] = float(np.exp(random.normal(0.6 * (line["label"] == "b"), 0.4)))
    return write_lab(folder, lines, duration_s=2.0)


def evaluate(lab, folder):
    """Train and predict as the stages do; the raw predictions, the scored ones, and each fold's rules."""
    array, chunks = lab
    classifier, _ = fit_lab(lab, folder, train_params("rate", inner_folds=3, seed=0), score=(0, 1, 2))
    events = RecordingsOnDisk(array, chunks["recording"].unique())
    raw = predict_held_out(classifier, chunks, events).list_recordings(LABELS)
    scored, rules = apply_fold_rules(classifier.load_oof, raw, LABELS, SETTINGS)
    return raw, scored, dict(zip(scored["fold"].unique(), rules))


def test_what_a_fold_holds_has_no_part_in_its_rules(tmp_path):
    """Spoil all that fold 0 holds: threshold, calibration and prediction sets of fold 0 stay to the bit."""
    lab = build_lab(tmp_path)
    spoiled = spoil_held_out(lab, tmp_path / "spoiled")
    raw, scored, rules = evaluate(lab, tmp_path / "one")
    other_raw, other_scored, other_rules = evaluate(spoiled, tmp_path / "two")
    held = scored["fold"] == 0
    assert not np.allclose(raw.loc[held, "p_b"], other_raw.loc[held, "p_b"]), "what is scored is another thing"
    assert (scored.loc[held, "label"] != other_scored.loc[held, "label"]).all()

    assert np.isfinite(rules[0].threshold) and rules[0] == other_rules[0]
    inner = [(tmp_path / name / name_fold(0) / OOF).read_bytes() for name in ("one", "two")]
    assert inner[0] == inner[1]
    assert rules[0].calibrator.calibrate(PROBES).tobytes() == other_rules[0].calibrator.calibrate(PROBES).tobytes()
    assert rules[0].format_sets(PROBES) == other_rules[0].format_sets(PROBES)
    assert scored.loc[held, "threshold"].tolist() == other_scored.loc[held, "threshold"].tolist()
    assert rules[1] != other_rules[1], "the other folds learned from it"

    naive, other_naive = (learn_rules(table, LABELS, SETTINGS) for table in (raw, other_raw))
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
            predicted = table[table["confidence"] >= rules.confidence_threshold]
            errors += (predicted["label"] != predicted["predicted"]).tolist()
    assert min(len(honest), len(naive)) > 100
    assert np.mean(naive) <= TARGET and np.mean(honest) > TARGET + 0.05


def draw_luck(random, n=40):
    """Recordings of two classes, predicted with a confidence that says nothing about being right."""
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


def make_classifier(folder, *oof):
    """A classifier on disk with these out-of-fold predictions, one table a fold."""
    folder.mkdir()
    for fold, table in enumerate(oof):
        (folder / name_fold(fold)).mkdir()
        write_table(folder / name_fold(fold) / OOF, table)
    save_classifier(
        Classifier(
            folder, {"rate": 1.0}, LABELS, 12, 12, 25_000, "mcs", 1.0, None, list(range(len(oof))), 0, "", {}, {}
        )
    )
    write_checksums(folder)
    return load_classifier(folder)


def test_calibration_can_change_a_prediction(tmp_path):
    """A model that never dares to say b, though its probabilities tell the two apart."""
    random = np.random.default_rng(3)
    inner = make_table(np.append(random.uniform(0.01, 0.1, 30), random.uniform(0.3, 0.45, 30)), ["a"] * 30 + ["b"] * 30)
    raw = add_raw_predictions(make_table([0.05, 0.4], "ab"))
    assert raw["predicted"].tolist() == ["a", "a"]
    scored, (rules,) = apply_fold_rules(make_classifier(tmp_path / "m", inner).load_oof, raw, LABELS, SETTINGS)
    assert rules.calibrator.method == "platt"
    assert scored["predicted"].tolist() == ["a", "b"] and scored["prediction_set"].tolist() == ["a", "b"]
    assert (scored["confidence"] == scored[["p_a", "p_b"]].max(1)).all()


def test_each_recording_is_read_by_the_rules_of_its_own_fold(tmp_path):
    """And the rows keep their order, whatever the folds are."""
    shy = make_table(np.tile([0.45, 0.55], 10), "ab" * 10)
    bold = make_table(np.append(np.tile([0.02, 0.98], 10), [0.99, 0.99]), "ab" * 10 + "aa")
    classifier = make_classifier(tmp_path / "m", shy, bold)
    raw = add_raw_predictions(make_table([0.45, 0.6, 0.7, 0.8], "abab"), fold=[1, 0, 1, 0])
    scored, rules = apply_fold_rules(classifier.load_oof, raw, LABELS, SETTINGS)
    assert scored["recording"].tolist() == raw["recording"].tolist() and scored["fold"].tolist() == [1, 0, 1, 0]
    by_fold = {1: rules[0], 0: rules[1]}  # in the order of first appearance
    for row, fold in enumerate([1, 0, 1, 0]):
        expected = by_fold[fold].calibrator.calibrate(get_probabilities(raw.iloc[[row]], LABELS))[0]
        assert scored[["p_a", "p_b"]].iloc[row].tolist() == expected.tolist()
        assert scored["threshold"].iloc[row] == by_fold[fold].threshold
    assert by_fold[0] != by_fold[1]


def test_nothing_held_out_inside_teaches_nothing(tmp_path):
    """All are predicted, as raw, and no label is ruled out."""
    empty = make_table([], "")
    raw = add_raw_predictions(make_table([0.1, 0.8], "ab"))
    scored, (rules,) = apply_fold_rules(make_classifier(tmp_path / "m", empty).load_oof, raw, LABELS, SETTINGS)
    pd.testing.assert_frame_equal(scored[raw.columns], raw)
    assert scored["threshold"].tolist() == [0.0, 0.0] and scored["prediction_set"].tolist() == ["(a)|(b)"] * 2
    assert rules.recordings == 0 and np.isnan(rules.threshold) and rules.conformal.thresholds == (ALWAYS, ALWAYS)
    assert rules.too_few == "too few recordings: 0 held out; at least 4, all correct, are needed for 20 % error"
    assert score_selection(scored, rules, 0.95)["coverage"] == 1.0
    assert score_sets(scored, [rules]) == {"coverage": 1.0, "mean_size": 2.0, "calibration_recordings": 0}


def test_chunks_in_several_folds_teach_nothing(tmp_path):
    """No model has not seen such a recording, so no inner table is right for it."""
    classifier = make_classifier(tmp_path / "m", make_table(np.tile([0.1, 0.9], 10), "ab" * 10))
    raw = add_raw_predictions(make_table([0.3], "a"), "mixed")
    scored, (rules,) = apply_fold_rules(classifier.load_oof, raw, LABELS, SETTINGS)
    assert rules.recordings == 0 and scored["p_b"].tolist() == [0.3]


def test_selection_and_sets_are_scored_by_hand():
    scored = add_raw_predictions(make_table([0.1, 0.2, 0.6, 0.9, 0.95], "abbba"))
    scored = scored.assign(threshold=[0.7, 0.7, 0.7, np.nan, 0.7], prediction_set=["a", "a", "a|b", "", "b"])
    selection = score_selection(scored, make_rules(threshold=0.66), 0.95)
    assert selection["threshold"] == 0.66, "that of the classifier that goes out"
    assert selection["coverage"] == 3 / 5, "0.6 is too low, and the fourth recording's fold calls none"
    assert selection["error"] == 2 / 3 and selection["error_low"] < 2 / 3 < selection["error_high"]
    # Surest first: .95 wrong, .9 and .9 right, .8 wrong, .6 right; the two of one confidence in no order.
    assert selection["aurc"] == pytest.approx(np.mean([1, 1 / 2, 1 / 3, 2 / 4, 2 / 5]))
    sets = score_sets(scored, [make_rules(recordings=20), make_rules(recordings=12)])
    assert sets == {"coverage": 2 / 5, "mean_size": 1.0, "calibration_recordings": 12}
