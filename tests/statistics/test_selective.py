"""Selective classification against counts by hand, all orders of ties, and thresholds a naive choice would take."""

from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score

from mea.statistics.intervals import bound_accuracy
from mea.statistics.selective import (
    choose_threshold,
    count_needed,
    explain_threshold,
    measure_aurc,
    score_selective,
    trace_risk_coverage,
)


def make_recordings(n, seed=0, sharp=3.0):
    """Confidences that mean what they say."""
    random = np.random.default_rng(seed)
    confidence = 0.5 + 0.5 * random.beta(sharp, 1, n)
    return confidence, random.random(n) < confidence


# --- the curve -------------------------------------------------------------------------------------------------------


def test_the_curve_by_hand():
    confidence = np.array([0.6, 0.9, 0.8, 0.8, 0.7])
    correct = np.array([False, True, True, False, True])
    curve = trace_risk_coverage(confidence, correct)
    assert curve["threshold"].tolist() == [0.9, 0.8, 0.7, 0.6]
    np.testing.assert_allclose(curve["coverage"], [1 / 5, 3 / 5, 4 / 5, 1])
    np.testing.assert_allclose(curve["risk"], [0, 1 / 3, 1 / 4, 2 / 5])
    assert curve["kept"].tolist() == [1, 3, 4, 5] and curve["wrong"].tolist() == [0, 1, 1, 2]


def test_the_curve_is_what_scikit_learn_scores_at_each_threshold():
    confidence, correct = make_recordings(200)
    for row in trace_risk_coverage(confidence.round(2), correct).itertuples():
        kept = confidence.round(2) >= row.threshold
        assert row.coverage == kept.mean()
        assert row.risk == pytest.approx(1 - accuracy_score(np.ones(kept.sum(), bool), correct[kept]))


def test_the_area_by_hand():
    """Surest first: right, wrong, right: the error rates are 0, 1/2 and 1/3."""
    assert measure_aurc(np.array([0.7, 0.9, 0.8]), np.array([True, True, False])) == pytest.approx((1 / 2 + 1 / 3) / 3)
    assert measure_aurc(np.full(4, 0.5), np.ones(4, bool)) == 0
    assert measure_aurc(np.full(4, 0.5), np.zeros(4, bool)) == 1
    assert np.isnan(measure_aurc(np.zeros(0), np.zeros(0, bool)))


@pytest.mark.parametrize(
    ("confidence", "correct"),
    [([0.9, 0.8, 0.8, 0.8, 0.6], [1, 1, 0, 1, 0]), ([0.7] * 5, [1, 1, 0, 0, 1]), ([0.9, 0.9, 0.5, 0.5], [0, 1, 0, 1])],
)
def test_ties_count_as_the_mean_of_all_orders(confidence, correct):
    confidence, correct = np.array(confidence), np.array(correct, bool)
    areas = []
    for order in permutations(range(len(confidence))):
        if (np.diff(confidence[list(order)]) <= 0).all():  # one of the orders that is most confident first
            wrong = ~correct[list(order)]
            areas.append((wrong.cumsum() / np.arange(1, len(wrong) + 1)).mean())
    assert measure_aurc(confidence, correct) == pytest.approx(np.mean(areas))


def test_the_order_of_rows_does_not_matter():
    confidence, correct = make_recordings(60)
    confidence = confidence.round(1)
    shuffled = np.random.default_rng(1).permutation(60)
    assert measure_aurc(confidence, correct) == measure_aurc(confidence[shuffled], correct[shuffled])
    curves = [trace_risk_coverage(confidence[order], correct[order]) for order in (np.arange(60), shuffled)]
    pd.testing.assert_frame_equal(*curves)
    errors_last, errors_first = np.argsort(correct)[::-1], np.argsort(correct)
    assert measure_aurc(confidence[errors_last], correct[errors_last]) == pytest.approx(
        measure_aurc(confidence[errors_first], correct[errors_first])
    )


def test_knowing_ones_errors_gives_a_smaller_area():
    confidence, correct = make_recordings(500, sharp=1.0)
    informed, blind = measure_aurc(confidence, correct), measure_aurc(np.full(500, 0.9), correct)
    assert blind == pytest.approx(1 - correct.mean()) and informed < 0.7 * blind


# --- the threshold ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("target", "needed"), [(0.05, 19), (0.1, 9), (0.2, 4), (0.01, 99), (0.07, 14), (0.5, 1)])
def test_how_many_correct_ones_it_takes(target, needed):
    confidence = np.linspace(0.9, 0.6, needed)
    assert count_needed(target) == needed
    assert choose_threshold(confidence, np.ones(needed, bool), target) == 0, "a less confident one, too"
    less, wrong = np.append(confidence, [0.55] * 9), np.append(np.ones(needed, bool), np.zeros(9, bool))
    assert choose_threshold(less, wrong, target) == confidence[-1]
    assert np.isnan(choose_threshold(confidence[1:], np.ones(needed - 1, bool), target))


def test_the_largest_set_that_will_do_is_taken():
    """30 right, 1 wrong, 8 right: (1 + 1) / (39 + 1) is 5 %; with another wrong one it is not."""
    correct = np.array([True] * 30 + [False] + [True] * 8 + [False])
    confidence = np.linspace(0.99, 0.60, 40)
    assert choose_threshold(confidence, correct, 0.05) == confidence[38]
    # At 31 the condition is broken, and it holds again at 39: the curve is not monotonic.
    assert choose_threshold(confidence[:38], correct[:38], 0.05) == confidence[29]


def test_a_tie_is_predicted_whole_or_not_at_all():
    confidence = np.array([0.9] * 19 + [0.8] * 20)
    correct = np.array([True] * 37 + [False] * 2)
    assert choose_threshold(confidence, correct, 0.05) == 0.9
    assert np.isnan(choose_threshold(confidence, correct[::-1], 0.05))


def test_no_threshold_is_said_in_words():
    right = np.ones(12, bool)
    assert explain_threshold(np.linspace(0.9, 0.6, 12), right, 0.05) == (
        "too few recordings: 12 held out; at least 19, all correct, are needed for 5 % error"
    )
    confidence, correct = np.linspace(0.99, 0.6, 40), np.arange(40) % 8 != 0
    assert np.isnan(choose_threshold(confidence, correct, 0.05))
    assert explain_threshold(confidence, correct, 0.05) == (
        "no confidence is high enough for 5 % error: 5 of 40 held-out recordings are wrong, some of them with high "
        "confidence; it would be enough if the 19 most confident ones were all correct"
    )
    assert explain_threshold(confidence, np.ones(40, bool), 0.05) == ""
    assert explain_threshold(np.zeros(0), np.zeros(0, bool), 0.125) == (
        "too few recordings: 0 held out; at least 7, all correct, are needed for 12.5 % error"
    )


def test_the_threshold_keeps_its_promise_better_than_the_naive_one():
    """Chosen on 60 recordings, scored on others: the plain error rate among those kept is taken in by luck."""

    def choose_naive(confidence, correct, target):
        curve = trace_risk_coverage(confidence, correct)
        good = curve[curve["risk"] <= target]
        return good["threshold"].iloc[-1] if len(good) else np.nan

    new, right = make_recordings(20_000, seed=10_000, sharp=1.0)
    errors = {choose_threshold: [], choose_naive: []}
    for seed in range(300):
        for choose, found in errors.items():
            threshold = choose(*make_recordings(60, seed, sharp=1.0), 0.1)
            if not np.isnan(threshold):
                found.append(1 - right[new >= threshold].mean())
    honest, naive = np.mean(errors[choose_threshold]), np.mean(errors[choose_naive])
    assert honest <= 0.1 + 0.005  # two standard errors of the simulation
    assert naive > 0.1 + 0.005 and naive > honest + 0.01


# --- its score -------------------------------------------------------------------------------------------------------


def make_table():
    return pd.DataFrame(
        {
            "label": ["a", "a", "b", "b", "a", "b"],
            "predicted": ["a", "b", "b", "b", "a", "a"],
            "confidence": [0.9, 0.7, 0.8, 0.6, 0.95, 0.75],
        }
    )


def test_score_by_hand_with_one_threshold():
    table, groups = make_table(), np.arange(6)
    score = score_selective(table, 0.75, groups, 0.95)  # calls rows 0, 2, 4, 5, of which 5 is wrong
    assert list(score) == ["coverage", "error", "error_low", "error_high", "predicted", "count"]
    assert (score["coverage"], score["error"], score["predicted"], score["count"]) == (4 / 6, 1 / 4, 4, 6)
    low, high = bound_accuracy(np.array([True, True, True, False]), np.arange(4), 0.95)
    assert (score["error_low"], score["error_high"]) == pytest.approx((1 - high, 1 - low))


def test_every_row_has_the_threshold_of_its_fold():
    thresholds = np.array([0.99, 0.7, 0.5, 0.7, np.nan, np.nan])  # calls rows 1 (wrong) and 2
    score = score_selective(make_table(), thresholds, np.arange(6), 0.95)
    assert (score["predicted"], score["error"]) == (2, 0.5)


def test_nothing_predicted_has_no_error():
    score = score_selective(make_table(), float("nan"), np.arange(6), 0.95)
    assert (score["coverage"], score["predicted"], score["count"]) == (0.0, 0, 6)
    assert np.isnan([score["error"], score["error_low"], score["error_high"]]).all()


def test_alike_recordings_widen_the_interval_of_the_error():
    table = pd.concat([make_table()] * 5, ignore_index=True)
    groups = np.tile(np.arange(6), 5)
    wide, naive = (score_selective(table, 0.5, numbers, 0.95) for numbers in (groups, np.arange(30)))
    assert wide["error_low"] < naive["error_low"] and wide["error_high"] > naive["error_high"]
