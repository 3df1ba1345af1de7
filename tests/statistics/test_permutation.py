"""The permutation test: keeps the design, finds what is there, and at most 1 in 20 of what is not."""

import itertools
import math
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest, chisquare
from sklearn.metrics import balanced_accuracy_score

from mea.statistics.permutation import (
    count_permutations,
    draw_permutations,
    permute_labels,
    run_permutation_test,
)


def make_table(*rows):
    """A table of recordings from (label, culture, batch)."""
    table = pd.DataFrame(rows, columns=["label", "culture", "batch"])
    table.insert(0, "recording", [f"r{k}" for k in range(len(table))])
    return table


def draw_many(recordings, n=500):
    """(n,) strings, one letter a recording."""
    return ["".join(labels) for labels in draw_permutations(recordings, n, seed=0)]


def check_uniform(outcomes, expected):
    """Exactly these outcomes, each as often as the others."""
    counts = Counter(outcomes)
    assert set(counts) == set(expected)
    assert chisquare(list(counts.values())).pvalue > 1e-3


# --- what is permuted ------------------------------------------------------------------------------------------------


def test_pure_batches_exchange_whole():
    rows = [(label, f"c{batch}{culture}", f"b{batch}") for batch, label in enumerate("aabb") for culture in range(3)]
    recordings = make_table(*rows)
    expected = {"".join(letter * 3 for letter in letters) for letters in itertools.permutations("aabb")}
    check_uniform(draw_many(recordings), expected)
    assert count_permutations(recordings) == 6


def test_pure_batches_of_unequal_size_exchange_whole():
    """The small batch takes a large one's label: sizes stay with the batch, and nothing is rounded."""
    sizes = [1, 2, 5]
    rows = [(label, "", f"b{k}") for k, (label, size) in enumerate(zip("abb", sizes)) for _ in range(size)]
    expected = {"abbbbbbb", "baabbbbb", "bbbaaaaa"}
    check_uniform(draw_many(make_table(*rows)), expected)
    assert count_permutations(make_table(*rows)) == 3


def test_cultures_permute_inside_balanced_batches():
    rows = [(label, f"{batch}{k}", batch) for batch in "xy" for k, label in enumerate("ab") for _ in range(3)]
    recordings = make_table(*rows)
    expected = {first + second for first in ("aaabbb", "bbbaaa") for second in ("aaabbb", "bbbaaa")}
    check_uniform(draw_many(recordings), expected)
    assert count_permutations(recordings) == 4


def test_equal_shares_need_no_exchange_whatever_the_sizes():
    rows = [(label, f"{batch}{k}", batch) for batch, letters in (("x", "ab"), ("y", "aabb")) for k, label in
            enumerate(letters)]  # fmt: skip
    recordings = make_table(*rows)
    pairs = {"".join(letters) for letters in itertools.permutations("aabb")}
    check_uniform(draw_many(recordings, 800), {first + second for first in ("ab", "ba") for second in pairs})
    assert count_permutations(recordings) == 2 * 6


def test_without_batches_cultures_permute():
    recordings = make_table(("a", "1", ""), ("a", "1", ""), ("b", "2", ""), ("b", "3", ""), ("b", "3", ""))
    check_uniform(draw_many(recordings), {"aabbb", "bbabb", "bbbaa"})
    assert count_permutations(recordings) == 3


def test_without_anything_known_recordings_permute():
    recordings = make_table(*[(label, "", "") for label in "aabb"])
    check_uniform(draw_many(recordings), {"".join(letters) for letters in itertools.permutations("aabb")})
    assert count_permutations(recordings) == math.comb(4, 2)


def test_a_culture_of_two_labels_permutes_inside_itself():
    """Before and after in each culture: whose recording it is never changes."""
    rows = [(label, culture, "x") for culture in "12" for label in "ab"]
    check_uniform(draw_many(make_table(*rows)), {"abab", "abba", "baab", "baba"})
    assert count_permutations(make_table(*rows)) == 4


def test_mixed_and_whole_cultures_exchange_kinds():
    rows = [("a", "1", "x"), ("a", "1", "x"), ("b", "2", "x"), ("a", "2", "x")]
    check_uniform(draw_many(make_table(*rows)), {"aaab", "aaba", "abaa", "baaa"})
    assert count_permutations(make_table(*rows)) == 4


def test_batches_linked_by_a_culture_are_one():
    """A culture in two batches keeps one label, although each batch alone would be pure."""
    rows = [("a", "1", "x"), ("a", "1", "y"), ("b", "2", "y"), ("b", "3", "z")]
    for outcome in set(draw_many(make_table(*rows))):
        assert outcome[0] == outcome[1]


def test_a_recording_of_unknown_batch_is_a_group_of_its_own():
    rows = [("a", "1", "x"), ("a", "2", "x"), ("b", "", ""), ("b", "3", "")]
    check_uniform(draw_many(make_table(*rows)), {"aabb", "bbab", "bbba"})


def test_a_profile_is_rounded_to_another_size_by_its_remainders():
    """Two thirds a, one third b, for a batch of two: one a for certain (4/3), the other by remainders 1/3 and 2/3."""
    rows = [("a", "1", "x"), ("a", "2", "x"), ("b", "3", "x"), ("b", "4", "y"), ("b", "5", "y")]
    exchanged = [outcome[3:] for outcome in draw_many(make_table(*rows), 800) if outcome[:3] == "bbb"]
    check_shares = Counter("".join(sorted(letters)) for letters in exchanged)
    assert set(check_shares) == {"aa", "ab"}
    assert binomtest(check_shares["aa"], len(exchanged), 1 / 3).pvalue > 1e-3


@pytest.mark.parametrize("seed", range(20))
def test_any_design_keeps_its_groups_and_labels(seed):
    """Random tables with gaps: no whole culture is split, every label is left, shares are kept but for rounding."""
    rng = np.random.default_rng(seed)
    kind = dict(zip("0123456", rng.choice(list("abc"), 7)))
    rows = [(kind[culture], culture, rng.choice(["x", "y", ""])) for culture in rng.choice(list("0123456"), 30)]
    rows += [(label, "", batch) for label, batch in zip("abc", rng.choice(["x", "y", "z", ""], 3))]
    recordings = make_table(*rows)
    for permuted in draw_permutations(recordings, 30, seed):
        assert permuted.shape == (33,) and set(permuted) == set("abc")
        assert (recordings.assign(label=permuted)[:30].groupby("culture")["label"].nunique() == 1).all()


def test_a_rare_label_is_never_lost():
    """One b among ten cultures, other batches of one culture: by rounding alone b would be lost in most draws."""
    rows = [("b" if k == 0 else "a", f"x{k}", "x") for k in range(10)] + [("a", f"y{k}", f"y{k}") for k in range(5)]
    assert all("b" in outcome for outcome in draw_many(make_table(*rows)))


def test_same_seed_same_labels_and_any_index():
    recordings = make_table(*[(label, "", "") for label in "aaabbb"])
    first = permute_labels(recordings, np.random.default_rng(1))
    again = permute_labels(recordings.set_index(pd.Index([5, 3, 9, 1, 0, 2])), np.random.default_rng(1))
    assert first.tolist() == again.tolist()
    rng = np.random.default_rng(1)
    one_by_one = [permute_labels(recordings, rng).tolist() for _ in range(9)]
    assert draw_permutations(recordings, 9, seed=1).tolist() == one_by_one


def test_a_huge_number_of_permutations_is_infinite():
    assert count_permutations(make_table(*[("ab"[k % 2], "", "") for k in range(3000)])) == math.inf


# --- the p-value -----------------------------------------------------------------------------------------------------


def test_statistic_is_scikit_learns_balanced_accuracy():
    rng = np.random.default_rng(3)
    recordings = make_table(*[(label, "", "") for label in rng.choice(list("abc"), 50, p=[0.6, 0.3, 0.1])])
    predicted = rng.choice(list("abcd"), 50)  # d: a label that the scored recordings do not have
    result = run_permutation_test(recordings, predicted, 10, 0)
    recalls = [np.mean(predicted[recordings["label"] == label] == label) for label in "abc"]
    assert result.observed == pytest.approx(np.mean(recalls))
    known = np.where(predicted == "d", "a", predicted)
    expected = balanced_accuracy_score(recordings["label"], known)
    assert run_permutation_test(recordings, known, 10, 0).observed == pytest.approx(expected)


def test_null_is_the_widened_score_of_permuted_labels():
    rng = np.random.default_rng(4)
    recordings = make_table(*[("ab"[k % 2], f"c{k // 3}", "") for k in range(60)])
    predicted = rng.choice(list("ab"), 60)
    result = run_permutation_test(recordings, predicted, 200, 7)
    plain = np.array([balanced_accuracy_score(labels, predicted) for labels in draw_permutations(recordings, 200, 7)])
    np.testing.assert_allclose(result.null, plain.mean() + 2**0.5 * (plain - plain.mean()))
    assert result.p_value == pytest.approx((1 + (result.null >= result.observed - 1e-9).sum()) / 201)


def test_ties_count_as_at_least_as_good():
    """Predictions that say always the same score 1/2 against any labels."""
    recordings = make_table(*[(label, "", "") for label in "aabb"])
    assert run_permutation_test(recordings, np.full(4, "a"), 50, 0).p_value == 1.0


def test_smallest_p_is_what_faultless_predictions_get():
    """Three batches each: 20 permutations, one of which is the truth, so no p is much below 1/20."""
    recordings = make_table(*[(label, "", f"b{k}") for k, label in enumerate("aaabbb") for _ in range(4)])
    result = run_permutation_test(recordings, recordings["label"].to_numpy(), 4999, 0)
    assert result.count == 20 and result.p_value == result.min_attainable_p == pytest.approx(1 / 20, rel=0.2)
    assert run_permutation_test(recordings, np.array(list("abab") * 6), 999, 0).p_value > result.min_attainable_p


def test_with_many_groups_the_number_of_permutations_bounds_p():
    recordings = make_table(*[("ab"[k % 2], f"c{k}", "") for k in range(60)])
    result = run_permutation_test(recordings, recordings["label"].to_numpy(), 99, 0)
    assert result.p_value == result.min_attainable_p == 1 / 100
    assert result.null.shape == (99,) and result.null.min() >= 0 and result.null.max() <= 1


def test_one_label_gives_no_evidence():
    result = run_permutation_test(make_table(("a", "", ""), ("a", "", "")), np.array(["a", "a"]), 9, 0)
    assert result.p_value == result.min_attainable_p == result.count == 1


# --- calibration and power -------------------------------------------------------------------------------------------

DESIGNS = {  # batches, cultures a batch, recordings a culture
    "pure": (12, 4, 3),
    "many pure": (30, 2, 2),
    "balanced": (8, 4, 6),
    "cultures": (24, 1, 4),
}


def simulate_recordings(name, rng, effect=0.0, features=8):
    """A table of recordings and their features: fingerprints of batch and culture, and noise a third of them."""
    batches, cultures, each = DESIGNS[name]
    batch = np.repeat(np.arange(batches), cultures * each)
    culture = np.repeat(np.arange(batches * cultures), each)
    if name == "balanced":
        by_culture = np.concatenate([rng.permutation(np.arange(cultures) % 2) for _ in range(batches)])
        label = by_culture[culture]
    else:
        label = rng.permutation(np.arange(batches) % 2)[batch]
    fingerprint = rng.normal(size=(batches, features))[batch] + rng.normal(size=(batches * cultures, features))[culture]
    x = 3 * fingerprint + rng.normal(size=fingerprint.shape)
    x[:, 0] += effect * label
    known = name != "cultures"
    rows = [("ab"[k], f"c{c}", f"b{b}" if known else "") for k, c, b in zip(label, culture, batch)]
    return make_table(*rows), x


def predict_held_out(recordings, x, rng):
    """Predictions by the nearer class mean, a fifth of the batches (cultures where batches are unknown) held out."""
    positive = (recordings["label"] == "b").to_numpy()
    group = pd.factorize(recordings["batch"].where(recordings["batch"] != "", recordings["culture"]))[0]
    share = np.bincount(group, weights=positive) / np.bincount(group)
    order = np.lexsort((rng.random(len(share)), share))  # stratified: neighbours in the order go to different folds
    fold = (order.argsort() % 5)[group]
    predicted = np.empty(len(recordings), bool)
    for k in range(5):
        means = [x[(fold != k) & (positive == side)].mean(0) for side in (False, True)]
        predicted[fold == k] = (x[fold == k] - np.mean(means, 0)) @ (means[1] - means[0]) > 0
    return np.where(predicted, "b", "a")


def permute_recordings(recordings, predicted, rng, n=99):
    """p by labels permuted recording by recording: the mistake to avoid."""
    label, hit = recordings["label"].to_numpy() == "b", predicted == "b"
    permuted = np.array([rng.permutation(label) for _ in range(n)])
    null = ((permuted & hit).sum(1) / label.sum() + (~permuted & ~hit).sum(1) / (~label).sum()) / 2
    observed = (hit[label].mean() + (~hit)[~label].mean()) / 2
    return (1 + (null >= observed - 1e-12).sum()) / (1 + n)


def find_effects(name, count=200, effect=0.0):
    """How many of ``count`` data sets have p < 0.05: by our test, by its null before widening, by recordings."""
    found = np.zeros(3, int)
    for seed in range(count):
        rng = np.random.default_rng(seed)
        recordings, x = simulate_recordings(name, rng, effect)
        predicted = predict_held_out(recordings, x, rng)
        result = run_permutation_test(recordings, predicted, 99, seed)
        narrow = result.null.mean() + (result.null - result.null.mean()) / 2**0.5
        plain = (1 + (narrow >= result.observed - 1e-12).sum()) / 100
        found += np.array([result.p_value, plain, permute_recordings(recordings, predicted, rng)]) < 0.05
    return found.tolist()


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == "cultures" else [pytest.mark.slow]) for name in DESIGNS]
)
def test_at_most_one_in_twenty_where_there_is_nothing(name):
    """200 data sets with strong fingerprints and no effect: at most 10 p-values are below 0.05.

    With labels permuted recording by recording far more are, of the same predictions: so many that a test that keeps
    to 1 in 20 reaches it less than once in 1,000 times (binomial: 21 of 200).
    """
    found, _, by_recording = find_effects(name)
    assert found <= 10
    assert binomtest(by_recording, 200, 0.05, "greater").pvalue < 1e-3


@pytest.mark.slow
def test_the_plain_null_is_too_narrow():
    """Between groups, but as if the folds' scores were independent: more than 1 in 20 (binomial, 1 in 100)."""
    found, plain, _ = find_effects("balanced", 1000)
    assert found <= 50
    assert binomtest(plain, 1000, 0.05, "greater").pvalue < 0.01


@pytest.mark.parametrize("name", DESIGNS)
def test_a_real_effect_is_found(name):
    assert find_effects(name, 20, effect=20.0)[0] == 20
