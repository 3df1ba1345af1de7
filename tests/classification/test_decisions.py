"""One new recording: predicted, or rejected with the reason in words."""

from dataclasses import replace

import numpy as np
import pytest
from builders.arrays import make_events
from builders.classifiers import cut, make_classifier
from builders.novelty import save_open_detector
from builders.predictions import make_rules

from mea.classification.decisions import classify_recording, load_predictor, predict_proba
from mea.classification.known import TRAINED_ON, list_digests
from mea.evaluation.rules import save_rules
from mea.runtime.errors import MeaError
from mea.runtime.tables import write_table

pytestmark = pytest.mark.usefixtures("alone")


def decide(classifier, events, odd_rate=""):
    return classify_recording(load_predictor(classifier), events, odd_rate)


@pytest.mark.parametrize("model", ["cnn_lstm", "rate"])
def test_a_prediction_is_the_mean_of_the_folds_probabilities(tmp_path, model):
    classifier = make_classifier(tmp_path / "model", model)
    events = make_events("new", spikes_per_s=4.0, duration_s=2.0)
    chunks = cut(events, classifier)
    by_fold = [classifier.open_model(fold).predict_proba(chunks, {"new": events}) for fold in (0, 1)]
    expected = np.mean(by_fold, axis=(0, 1))
    row = decide(classifier, events)
    assert set(row) == {"p_a", "p_b", "predicted", "confidence", "decision", "reason", "flags"}
    np.testing.assert_allclose([row["p_a"], row["p_b"]], expected)
    assert row["predicted"] == "ab"[expected.argmax()] and row["confidence"] == max(row["p_a"], row["p_b"])
    assert (row["decision"], row["reason"]) == ("predicted", "")


def test_rejected_recordings_keep_their_probabilities_where_there_are_any(tmp_path):
    classifier = make_classifier(tmp_path / "model")
    small = make_events("small", rows=8, cols=8)
    row = decide(classifier, small)
    assert row["decision"] == "rejected" and "predicted" not in row and row["p_a"] + row["p_b"] == pytest.approx(1)
    assert row["reason"] == "grid: 8 × 8 electrodes, but the classifier learned from 12 × 12"
    for rows, cols in ((16, 12), (6, 6)):
        row = decide(classifier, make_events("odd", rows=rows, cols=cols))
        assert "p_a" not in row and row["reason"].endswith(f"a grid of {rows} × {cols} does not fit the network")
    short = decide(classifier, make_events("short", duration_s=0.3))
    assert short == {
        "decision": "rejected",
        "reason": "length: 0.3 s are shorter than one chunk of 0.4 s (split.chunk_s)",
        "flags": "",
    }
    times = decide(classifier, make_events("times", waveforms=False))
    assert "p_a" not in times and times["decision"] == "rejected"
    assert times["reason"].startswith("format: spike_times, but the classifier learned from mcs; times: holds spike ti")
    both = decide(classifier, small, "recorded at 10000 Hz, not at 25000 Hz")
    assert (
        both["reason"].startswith("sampling rate: recorded at 10000 Hz, not at 25000 Hz (array.sampling_rate_hz); grid")
        and "p_a" in both
    )


def test_what_the_classifier_itself_lacks_flags_its_predictions_and_no_rejection(tmp_path):
    classifier = make_classifier(tmp_path / "model")
    save_rules(classifier.folder, make_rules(threshold=0.0, flags=("no threshold: few", "not told from chance: p")))
    save_open_detector(classifier.folder)
    row = decide(classifier, make_events("new"))
    assert row["decision"] == "predicted" and row["flags"] == "no threshold: few; not told from chance: p"
    assert decide(classifier, make_events("small", rows=8, cols=8))["flags"] == ""


@pytest.mark.parametrize("missing", ["novelty.npz", "rules.json"])
def test_a_part_of_the_evaluation_alone_is_not_used(tmp_path, missing):
    """Without the detector, what it would reject would be predicted; without the rules, everything would be."""
    classifier = make_classifier(tmp_path / "model")
    save_rules(classifier.folder, make_rules())
    save_open_detector(classifier.folder)
    load_predictor(classifier)
    (classifier.folder / missing).unlink()
    with pytest.raises(MeaError, match=rf"{missing}: is missing, but .* is there\. Run dvc checkout"):
        load_predictor(classifier)


def test_rules_of_other_classes_are_not_used(tmp_path):
    classifier = make_classifier(tmp_path / "model", labels=("a", "c"))
    save_rules(classifier.folder, make_rules())
    save_open_detector(classifier.folder)
    with pytest.raises(MeaError, match=r"rules\.json: about other classes than the classifier"):
        load_predictor(classifier)


def test_a_recording_that_it_learned_from_is_known_by_any_name(tmp_path):
    classifier = make_classifier(tmp_path / "model")
    events = make_events("r05", seed=5)
    write_table(classifier.folder / TRAINED_ON, list_digests([events, make_events("r06", seed=6)]))
    renamed = decide(classifier, replace(events, recording="new"))
    assert (
        renamed["flags"].startswith("not evaluated") and "trained on: the classifier learned from" in renamed["flags"]
    )
    assert "(r05)" in renamed["flags"]
    assert "trained on" not in decide(classifier, make_events("r05", seed=7))["flags"], "its name alone says nothing"


def test_rate_alone_has_probabilities_for_any_grid_and_format(tmp_path):
    classifier = make_classifier(tmp_path / "model", "rate")
    for events in (make_events("odd", rows=6, cols=6), make_events("times", waveforms=False)):
        row = decide(classifier, events)
        assert row["decision"] == "rejected" and row["p_a"] + row["p_b"] == pytest.approx(1)


def test_only_the_first_seconds_count(tmp_path):
    classifier = make_classifier(tmp_path / "model", first_s=1.0)
    events = make_events("new", duration_s=2.0)
    early = events.first_sample < 25_000 - 100
    lengths = np.diff(events.offset)[early]
    cropped = replace(
        events, electrode=events.electrode[early], first_sample=events.first_sample[early],
        peak_sample=events.peak_sample[early], offset=np.concatenate([[0], np.cumsum(lengths)]),
        waveform_counts=events.waveform_counts[: lengths.sum()],
    )  # fmt: skip
    np.testing.assert_array_equal(predict_proba(classifier, events)[0], predict_proba(classifier, cropped)[0])
