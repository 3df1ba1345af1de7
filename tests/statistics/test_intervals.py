"""Intervals against the exact binomial, answers by hand, and simulated labs whose recordings are alike."""

import numpy as np
import pytest
from scipy.stats import beta, binomtest, norm
from sklearn.metrics import roc_auc_score

from mea.statistics.intervals import bound_accuracy, bound_auc, bound_balanced_accuracy, measure_mean_variance

AB = ["a", "b"]
ABC = ["a", "b", "c"]


def bound_exactly(hits, n, confidence_level=0.95):
    exact = binomtest(hits, n).proportion_ci(confidence_level, method="exact")
    return exact.low, exact.high


def test_the_variance_of_a_mean_counts_groups():
    values = np.array([0.3, 0.1, -0.2, 0.4, 0.0, 0.6])
    plain = measure_mean_variance(values, np.arange(6))
    assert plain == pytest.approx(values.var(ddof=1) / 6)
    repeated = measure_mean_variance(np.repeat(values, 5), np.repeat(list("fbdcea"), 5))
    assert repeated == pytest.approx(plain), "five alike recordings a group tell no more than one"


# --- accuracy --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("confidence_level", [0.9, 0.95])
@pytest.mark.parametrize(("hits", "n"), [(0, 12), (1, 12), (7, 12), (12, 12), (93, 120)])
def test_all_different_groups_give_the_exact_binomial_interval(hits, n, confidence_level):
    correct = np.arange(n) < hits
    np.testing.assert_allclose(
        bound_accuracy(correct, np.arange(n), confidence_level), bound_exactly(hits, n, confidence_level), atol=1e-9
    )


def test_alike_recordings_widen_the_interval():
    correct = np.repeat([True, True, True, True, True, True, False, False], 5)
    low, high = bound_accuracy(correct, np.repeat(np.arange(8), 5))
    naive_low, naive_high = bound_accuracy(correct, np.arange(40))
    assert low < naive_low < 0.75 < naive_high < high
    # Recordings that are wholly alike tell no more than their groups do: 8 things were seen, not 40.
    by_group = bound_exactly(6, 8)
    assert low <= by_group[0] and high >= by_group[1]


def test_groups_of_equal_accuracy_are_no_proof_that_recordings_are_not_alike():
    """Three of four right in each of ten groups: a variance of nought between groups, by luck; not the naive interval.

    The ten errors are spread over ten groups: an intraclass correlation of 1 / 11 is reckoned with, so 40 recordings
    in fours count as 40 / (1 + 3 / 11), and Student's t of 9 degrees of freedom takes its share of that.
    """
    correct = np.tile([True, True, True, False], 10)
    low, high = bound_accuracy(correct, np.repeat(np.arange(10), 4))
    naive_low, naive_high = bound_accuracy(correct, np.arange(40))
    assert low < naive_low and naive_high < high
    size = 40 / (1 + 3 / 11) * (2.02269 / 2.26216) ** 2  # Student's t at 0.975: 39 and 9 degrees of freedom
    expected = beta.ppf(0.025, 0.75 * size, 0.25 * size + 1), beta.ppf(0.975, 0.75 * size + 1, 0.25 * size)
    np.testing.assert_allclose((low, high), expected, atol=1e-5)


@pytest.mark.parametrize("value", [True, False])
def test_all_or_none_correct_counts_groups(value):
    correct, groups = np.full(30, value), np.repeat(np.arange(10), 3)
    np.testing.assert_allclose(bound_accuracy(correct, groups), bound_exactly(10 * value, 10), atol=1e-12)


def test_one_error_more_never_comes_with_a_much_better_interval():
    """From no error to a few, the lower bound does not jump: all right is no licence, one error no proof."""
    groups, lows = np.repeat(np.arange(20), 6), []
    for errors in range(4):
        lows.append(bound_accuracy(np.arange(120) % 6 >= (groups < errors), groups)[0])
    assert np.ptp(lows) < 0.06


def test_one_group_gives_no_interval():
    assert np.isnan(bound_accuracy(np.array([True, False, True]), np.zeros(3, int))).all()


def test_names_and_order_of_groups_do_not_matter():
    rng = np.random.default_rng(0)
    correct, groups = rng.random(50) < 0.7, rng.integers(0, 8, 50)
    order = rng.permutation(50)
    names = np.array([f"batch {k}" for k in 7 - groups])
    expected = bound_accuracy(correct, groups)
    np.testing.assert_allclose(bound_accuracy(correct[order], names[order]), expected, rtol=1e-9)


# --- balanced accuracy -----------------------------------------------------------------------------------------------


def test_one_class_is_the_accuracy():
    rng = np.random.default_rng(1)
    correct, groups = rng.random(60) < 0.8, np.repeat(np.arange(12), 5)
    assert bound_balanced_accuracy(np.full(60, "a"), correct, groups) == bound_accuracy(correct, groups)


def test_equal_classes_side_by_side_in_each_group_are_nearly_the_accuracy():
    rng = np.random.default_rng(2)
    correct, groups = rng.random(400) < 0.8, np.repeat(np.arange(40), 10)
    balanced = bound_balanced_accuracy(np.tile(AB, 200), correct, groups)
    np.testing.assert_allclose(balanced, bound_accuracy(correct, groups), atol=0.02)


def test_the_rare_class_decides_how_wide():
    """Three batches of b weigh as much as nine of a: wider than were there nine of each, or of the accuracy."""
    groups = np.repeat(np.arange(12), 4)
    correct = np.arange(48) % 4 != 0
    few = bound_balanced_accuracy(np.where(groups < 3, "b", "a"), correct, groups)
    even = bound_balanced_accuracy(np.where(groups < 6, "b", "a"), correct, groups)
    accuracy = bound_accuracy(correct, groups)
    assert np.ptp(few) > np.ptp(even) > 0
    assert np.ptp(few) > np.ptp(accuracy)
    assert few[0] < 0.75 < few[1]


def test_all_right_counts_groups_by_their_weight():
    """Two classes of four groups each: eight groups of equal weight."""
    groups = np.repeat(np.arange(8), 3)
    interval = bound_balanced_accuracy(np.where(groups < 4, "a", "b"), np.full(24, True), groups)
    np.testing.assert_allclose(interval, bound_exactly(8, 8), atol=1e-12)


def test_a_class_in_one_group_has_no_interval():
    groups = np.repeat(np.arange(4), 3)
    actual = np.where(groups == 0, "a", "b")
    assert np.isnan(bound_balanced_accuracy(actual, np.full(12, True), groups)).all()
    assert np.isnan(bound_auc(AB, actual, np.full((12, 2), 0.5), groups)).all()


# --- area under the ROC curve ----------------------------------------------------------------------------------------


def make_scores(rng, n, shift, labels=AB):
    actual = np.array(labels)[np.arange(n) % len(labels)]
    scores = rng.normal(size=(n, len(labels))) + shift * (actual[:, None] == np.array(labels))
    probabilities = np.exp(scores)
    return actual, probabilities / probabilities.sum(1, keepdims=True)


def test_independent_recordings_give_about_the_bootstraps_interval():
    rng = np.random.default_rng(3)
    actual, probabilities = make_scores(rng, 200, 0.8)
    low, high = bound_auc(AB, actual, probabilities, np.arange(200))
    positive, score = actual == "b", probabilities[:, 1]
    drawn = [rng.integers(0, 200, 200) for _ in range(500)]
    areas = [roc_auc_score(positive[k], score[k]) for k in drawn]
    np.testing.assert_allclose((low, high), np.quantile(areas, [0.025, 0.975]), atol=0.02)


@pytest.mark.parametrize("labels", [AB, ABC])
def test_the_area_stands_inside_and_alike_recordings_widen(labels):
    rng = np.random.default_rng(4)
    actual, probabilities = make_scores(rng, 20 * len(labels), 1.5, labels)
    area = roc_auc_score(actual == "b", probabilities[:, 1]) if labels == AB else roc_auc_score(
        actual, probabilities, multi_class="ovr")  # fmt: skip
    low, high = bound_auc(labels, actual, probabilities, np.arange(len(actual)))
    assert 0 < low < area < high < 1
    copies = np.repeat(np.arange(len(actual)), 4)  # each recording four times: nothing new was seen
    naive = bound_auc(labels, actual[copies], probabilities[copies], np.arange(len(copies)))
    honest = bound_auc(labels, actual[copies], probabilities[copies], copies)
    assert np.ptp(naive) < 0.6 * np.ptp((low, high))
    assert np.ptp(honest) > 1.2 * np.ptp(naive)


def test_a_tie_counts_half_and_only_the_order_counts():
    rng = np.random.default_rng(5)
    actual, probabilities = make_scores(rng, 60, 1.0)
    groups = np.arange(60) // 4
    interval = bound_auc(AB, actual, probabilities, groups)
    np.testing.assert_allclose(bound_auc(AB, actual, probabilities**3, groups), interval)
    low, high = bound_auc(AB, actual, np.full((60, 2), 0.5), groups)
    assert low == pytest.approx(1 - high) and low < 0.5


def test_swapped_labels_swap_the_bounds():
    actual, probabilities = make_scores(np.random.default_rng(6), 60, 1.0)
    groups = np.arange(60) // 4
    low, high = bound_auc(AB, actual, probabilities, groups)
    np.testing.assert_allclose(bound_auc(AB, actual, 1 - probabilities, groups), (1 - high, 1 - low))


def test_faultless_order_counts_groups():
    """Five batches of each class: no more than eight or nine independent things were seen (4 · 25 / 12)."""
    groups = np.repeat(np.arange(10), 6)
    positive = groups < 5
    low, high = bound_auc(
        AB, np.where(positive, "b", "a"), np.column_stack([~positive, positive]).astype(float), groups
    )
    assert high == 1 and bound_exactly(8, 8)[0] < low < bound_exactly(9, 9)[0]


@pytest.mark.parametrize(("labels", "present"), [(AB, ["b"]), (ABC, ["a", "c"])])
def test_a_missing_class_has_no_area_and_no_interval(labels, present):
    _, probabilities = make_scores(np.random.default_rng(7), 40, 1.0, labels)
    assert np.isnan(bound_auc(labels, np.array(present * (40 // len(present))), probabilities, np.arange(40))).all()


# --- coverage: labs whose recordings are alike -----------------------------------------------------------------------

SIZES = {"two": (2, 3), "eight": (8, 9), "uneven": (2, 9)}


def draw_sizes(rng, groups, sizes):
    return np.repeat(np.arange(groups), rng.integers(*SIZES[sizes], groups))


def draw_shares(rng, share, alike, n):
    """(n,) chances of one group each: a beta distribution, so that its recordings correlate by ``alike``."""
    return rng.beta(share * (1 - alike) / alike, (1 - share) * (1 - alike) / alike, n) if alike else np.full(n, share)


def measure_coverage(draw, truth, draws):
    """How often the honest and the naive interval hold the truth, and how wide they are; ``draw`` gives both."""
    bounds = np.array([draw() for _ in range(draws)])  # (draws, 2, 2)
    held = (bounds[..., 0] <= truth) & (truth <= bounds[..., 1])
    return held.mean(0), np.ptp(bounds, axis=2).mean(0)


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("alike", [0.1, pytest.param(0.2, marks=pytest.mark.slow), 0.3])
@pytest.mark.parametrize("groups", [10, pytest.param(12, marks=pytest.mark.slow), 16])
def test_the_accuracys_interval_holds_the_truth(groups, alike, sizes):
    """At a nominal 95 %: at least 93 % in every cell. The naive one falls short in all where groups are not tiny."""
    naive = []
    for accuracy in (0.6, 0.8, 0.9, 0.95):
        rng = np.random.default_rng(0)

        def draw(accuracy=accuracy, rng=rng):
            group = draw_sizes(rng, groups, sizes)
            correct = rng.random(len(group)) < draw_shares(rng, accuracy, alike, groups)[group]
            return bound_accuracy(correct, group), bound_accuracy(correct, np.arange(len(group)))

        held, _ = measure_coverage(draw, accuracy, 300)
        assert held[0] >= 0.93
        naive.append(held[1])
    assert sizes == "two" or min(naive) < 0.93


def test_where_recordings_are_not_alike_the_interval_is_not_absurd():
    """The price of the doubt: less than half as wide again at 20 groups of six, a fifth at 40."""
    for groups, most in ((20, 1.4), (40, 1.25)):
        rng = np.random.default_rng(1)

        def draw(rng=rng, groups=groups):
            group = np.repeat(np.arange(groups), 6)
            correct = rng.random(len(group)) < 0.8
            return bound_accuracy(correct, group), bound_accuracy(correct, np.arange(len(group)))

        held, width = measure_coverage(draw, 0.8, 200)
        assert held[0] >= held[1] >= 0.93
        assert width[0] < most * width[1]


@pytest.mark.parametrize("pure", [True, False])
@pytest.mark.parametrize(
    ("groups", "share"), [(10, 0.5), (10, 0.3), pytest.param(16, 0.5, marks=pytest.mark.slow), (20, 0.25)]
)
def test_the_balanced_accuracys_interval_holds_the_truth(groups, share, pure):
    """Batches of one class or of both, classes of unequal size and of unequal recall."""
    for recalls in ((0.6, 0.6), (0.9, 0.9), (0.95, 0.7)):
        rng = np.random.default_rng(2)

        def draw(recalls=recalls, rng=rng):
            group = draw_sizes(rng, groups, "uneven")
            label = (np.arange(groups) < share * groups)[group] if pure else rng.random(len(group)) < share
            chance = np.array([draw_shares(rng, recall, 0.3, groups) for recall in recalls])
            correct = rng.random(len(group)) < chance[label.astype(int), group]
            own = np.arange(len(group))
            return bound_balanced_accuracy(label, correct, group), bound_balanced_accuracy(label, correct, own)

        held, _ = measure_coverage(draw, np.mean(recalls), 300)
        assert held[0] >= 0.93 and held[0] > held[1]


@pytest.mark.parametrize("pure", [True, False])
@pytest.mark.parametrize(("groups", "share"), [(10, 0.5), pytest.param(16, 0.5, marks=pytest.mark.slow), (20, 0.25)])
def test_the_areas_interval_holds_the_truth(groups, share, pure):
    """Normal scores; a group's recordings share three tenths of their variance."""
    for area in (0.6, 0.85, 0.95):
        rng = np.random.default_rng(3)

        def draw(area=area, rng=rng):
            group = draw_sizes(rng, groups, "uneven")
            label = (np.arange(groups) < share * groups)[group] if pure else rng.random(len(group)) < share
            noise = 0.3**0.5 * rng.normal(size=groups)[group] + 0.7**0.5 * rng.normal(size=len(group))
            p = norm.cdf(noise + 2**0.5 * norm.ppf(area) * label)
            table = (AB, np.where(label, "b", "a"), np.column_stack([1 - p, p]))
            return bound_auc(*table, group), bound_auc(*table, np.arange(len(group)))

        held, _ = measure_coverage(draw, area, 200)
        assert held[0] >= 0.93 and held[0] >= held[1]
