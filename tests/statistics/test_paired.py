"""Paired differences: known answers, independent references, and coverage where recordings of one group are alike."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap, permutation_test, ttest_1samp

from mea.statistics.paired import MIN_GROUPS, bound_difference, compare_predictions, flip_signs, name_verdict

LABELS = ["control", "treated"]


def draw_changes(rng, groups: int, size: int | None, won: float, lost: float, alike: float):
    """Changes of correctness in groups whose own shares of wins and losses vary, the more the more ``alike`` is 1."""
    sizes = np.full(groups, size) if size else rng.integers(2, 20, groups)
    shares = rng.dirichlet(np.maximum([won, lost, 1 - won - lost], 1e-9) * (1 / alike - 1), groups)
    counts = rng.multinomial(sizes, shares)
    return np.repeat(np.tile([1, -1, 0], groups), counts.ravel()), np.repeat(np.arange(groups), sizes)


def bound_naively(change, _groups):
    """What one would write first: resample recordings."""
    if not change.any():
        return 0.0, 0.0
    found = bootstrap((change,), np.mean, n_resamples=400, method="percentile", rng=np.random.default_rng(0))
    return found.confidence_interval.low, found.confidence_interval.high


def measure_coverage(bound, runs: int, won: float, lost: float, **world) -> float:
    rng = np.random.default_rng(7)
    hits = 0
    for _ in range(runs):
        low, high = bound(*draw_changes(rng, won=won, lost=lost, **world))
        hits += low <= won - lost <= high
    return hits / runs


WORLDS = [  # groups, recordings in each (None: 2 to 19), and how alike they are
    {"groups": 10, "size": 10, "alike": 0.1},
    {"groups": 10, "size": None, "alike": 0.3},
    {"groups": 16, "size": None, "alike": 0.3},
    {"groups": 30, "size": 10, "alike": 0.1},
    {"groups": 30, "size": None, "alike": 0.6},
]
EFFECTS = [(0.1, 0.1), (0.1, 0.0), (0.05, 0.0), (0.3, 0.1), (0.4, 0.0)]  # only B right, only A right; most agree


@pytest.mark.parametrize(("won", "lost"), EFFECTS)
@pytest.mark.parametrize(
    "world",
    [pytest.param(world, marks=[pytest.mark.slow] if world["groups"] == 30 else []) for world in WORLDS],
    ids=lambda world: "-".join(map(str, world.values())),
)
def test_the_interval_covers_the_true_difference(world, won, lost):
    runs = 600  # the standard error of a share of 93 % is then 1 point
    assert measure_coverage(bound_difference, runs, won, lost, **world) >= 0.93 - 0.01


@pytest.mark.parametrize("world", WORLDS[1:], ids=lambda world: "-".join(map(str, world.values())))
def test_resampling_recordings_does_not(world):
    assert measure_coverage(bound_naively, 100, 0.1, 0.1, **world) < 0.9


def test_without_a_difference_few_are_called_real():
    rng, real = np.random.default_rng(3), 0
    for _ in range(400):
        low, high = bound_difference(*draw_changes(rng, groups=12, size=10, won=0.15, lost=0.15, alike=0.3))
        real += not low <= 0 <= high
    assert real / 400 <= 0.05


def test_single_independent_recordings_have_the_interval_of_bonett_and_price():
    """Worked out by hand for 12 wins, 5 losses and 83 ties, at 99 recordings and Student's t of 99 degrees."""
    change = np.repeat([1, -1, 0], [12, 5, 83])
    size = 99 * (1.959964 / 1.984217) ** 2
    won, lost = (0.12 * size + 1) / (size + 2), (0.05 * size + 1) / (size + 2)
    half = 1.959964 * ((won + lost - (won - lost) ** 2) / (size + 2)) ** 0.5
    found = bound_difference(change, np.arange(100))
    assert found == pytest.approx((won - lost - half, won - lost + half), abs=1e-6)
    assert found[0] < 0.07 < found[1]


def test_agreement_everywhere_still_leaves_room():
    change, groups = np.zeros(100, int), np.repeat(np.arange(10), 10)
    low, high = bound_difference(change, groups)
    assert low == pytest.approx(-high) and 0.2 < high < 0.4  # 3 of 10 groups may differ unseen: 1 - .025 ** (1 / 10)


def test_copies_of_a_recording_add_nothing():
    change = np.random.default_rng(0).choice([1, -1, 0], 20)
    once = bound_difference(change, np.arange(20))
    many = bound_difference(np.repeat(change, 50), np.repeat(np.arange(20), 50))
    assert many == pytest.approx(once, abs=0.03)


def test_one_group_has_no_interval():
    assert np.isnan(bound_difference(np.array([1, 0, -1]), np.zeros(3, int))).all()


@given(st.lists(st.tuples(st.integers(-1, 1), st.integers(0, 6)), min_size=2, max_size=60))
@settings(max_examples=100, deadline=None)
def test_swapping_the_versions_mirrors_everything(drawn):
    change = np.array([value for value, _ in drawn])
    groups = np.unique([group for _, group in drawn], return_inverse=True)[1]
    low, high = bound_difference(change, groups)
    assert bound_difference(-change, groups) == pytest.approx((-high, -low), nan_ok=True)
    assert flip_signs(-change, groups) == flip_signs(change, groups)
    if groups.max() > 0:
        assert -1 <= low <= np.mean(change) <= high <= 1


# The permutation test


@pytest.mark.parametrize("seed", range(5))
def test_sign_flips_agree_with_scipy(seed):
    rng = np.random.default_rng(seed)
    change, groups = draw_changes(rng, groups=9, size=5, won=0.4, lost=0.1, alike=0.2)
    sums = np.bincount(groups, weights=change)
    reference = permutation_test(
        (sums,), lambda values, axis: np.abs(values.sum(axis)), permutation_type="samples", alternative="greater"
    )
    assert flip_signs(change, groups)[0] == pytest.approx(reference.pvalue)


def test_sign_flips_with_many_groups_are_drawn():
    rng = np.random.default_rng(0)
    change, groups = draw_changes(rng, groups=40, size=5, won=0.5, lost=0.0, alike=0.2)
    assert flip_signs(change, groups) == (0.0001, 0.0001)
    p_value, _ = flip_signs(*draw_changes(rng, groups=40, size=5, won=0.2, lost=0.2, alike=0.2))
    assert p_value > 0.01
    assert flip_signs(change, groups, seed=1) == flip_signs(change, groups, seed=1)


def test_smallest_p_is_that_of_the_groups_that_differ():
    change = np.repeat([1, 1, 1, 0, 0], 4)
    groups = np.repeat(np.arange(5), 4)
    assert flip_signs(change, groups) == (0.25, 0.25)
    assert flip_signs(np.zeros(8, int), np.arange(8)) == (1.0, 1.0)
    assert 2 / 2 ** (MIN_GROUPS - 1) > 0.05 > 2 / 2**MIN_GROUPS


# All metrics


def draw_predictions(rng, groups: int, size: int, skill: tuple[float, float], shared: float = 1.0):
    """Two versions' probabilities of the same recordings; ``skill`` is each one's, ``shared`` what both get wrong."""
    number = np.repeat(np.arange(groups), size)
    actual = np.tile(LABELS, len(number))[: len(number)]
    side = np.where(actual == LABELS[1], 1, -1)
    hard = rng.normal(0, shared, len(number)) + rng.normal(0, 0.5, groups)[number]
    logits = [side * value + hard + rng.normal(0, 0.3, len(number)) for value in skill]
    return actual, number, *(np.c_[1 / (1 + np.exp(logit)), 1 / (1 + np.exp(-logit))] for logit in logits)


def compare(actual, groups, a, b):
    return {item.metric: item for item in compare_predictions(LABELS, actual, groups, a, b, bins=10)}


def test_the_same_predictions_are_identical_without_interval():
    actual, groups, a, _ = draw_predictions(np.random.default_rng(0), 10, 6, (1, 1))
    for item in compare(actual, groups, a, a.copy()).values():
        assert item.verdict == "identical" and item.value == 0 and np.isnan([item.low, item.high]).all()


def test_the_same_calls_with_other_confidence_are_identical_where_calls_count():
    actual, groups, a, _ = draw_predictions(np.random.default_rng(0), 10, 6, (1, 1))
    surer = a**2 / (a**2).sum(1, keepdims=True)
    found = compare(actual, groups, a, surer)
    for name in ("accuracy", "balanced_accuracy", "f1"):
        assert found[name].verdict == "identical" and found[name].low < 0 < found[name].high
    assert found["roc_auc"].verdict == "within noise" and found["roc_auc"].low < 0 < found["roc_auc"].high
    assert found["log_loss"].verdict in ("within noise", "a real difference") and found["log_loss"].value != 0


def test_as_many_won_as_lost_is_not_identical():
    actual = np.array(LABELS * 10)
    a = np.tile([[0.9, 0.1], [0.1, 0.9]], (10, 1))
    b = a.copy()
    a[0], b[2] = a[0, ::-1], b[2, ::-1]
    item = compare(actual, np.repeat(np.arange(5), 4), a, b)["accuracy"]
    assert item.value == 0 and item.verdict == "within noise" and item.low < -0.1 and item.high > 0.1


def test_a_planted_difference_is_real_in_every_metric_it_touches():
    found = compare(*draw_predictions(np.random.default_rng(0), 40, 6, (0.3, 3)))
    for name in ("accuracy", "balanced_accuracy", "f1", "roc_auc", "log_loss", "brier"):
        assert found[name].verdict == "a real difference" and found[name].better == "B", name
    back = compare(*(draw_predictions(np.random.default_rng(0), 40, 6, (3, 0.3))))
    assert back["brier"].better == back["accuracy"].better == "A"


@pytest.mark.slow
def test_noise_is_noise():
    """Of 12 pairs of equally good versions, no metric calls more than one real."""
    rng = np.random.default_rng(1)
    real = [
        [item.verdict == "a real difference" for item in compare(*draw_predictions(rng, 12, 4, (1, 1))).values()]
        for _ in range(12)
    ]
    assert (np.sum(real, axis=0) <= 1).all()


def test_the_brier_interval_is_students_t_over_groups_of_one_size():
    actual, groups, a, b = draw_predictions(np.random.default_rng(5), 15, 4, (0.5, 1))
    column = (actual == LABELS[1]).astype(float)
    change = (b[:, 1] - column) ** 2 - (a[:, 1] - column) ** 2
    item = compare(actual, groups, a, b)["brier"]
    expected = ttest_1samp(change.reshape(15, 4).mean(1), 0).confidence_interval(0.95)
    assert (item.low, item.high) == pytest.approx((expected.low, expected.high))
    assert item.value == pytest.approx(change.mean())


def test_shares_with_few_changes_reach_as_far_as_the_accuracy():
    actual, groups, a, _ = draw_predictions(np.random.default_rng(2), 10, 6, (3, 3))
    b = a.copy()
    b[0] = b[0, ::-1]  # the only call that differs
    found = compare(actual, groups, a, b)
    assert found["f1"].high - found["f1"].value >= found["accuracy"].high - found["accuracy"].value - 1e-12
    assert found["f1"].verdict == found["balanced_accuracy"].verdict == "within noise"


def test_a_metric_that_a_left_out_group_leaves_undefined_has_no_interval():
    actual, groups = np.repeat(LABELS, 6), np.repeat(np.arange(2), 6)
    a = draw_predictions(np.random.default_rng(0), 2, 6, (1, 1))[2]
    found = compare(actual, groups, a, a[::-1].copy())
    assert found["roc_auc"].verdict == "undefined" and np.isnan(found["roc_auc"].low)
    assert found["roc_auc"].better == ""


def test_three_classes():
    rng = np.random.default_rng(0)
    actual = np.tile(["a", "b", "c"], 40)
    sure = np.eye(3)[np.tile([0, 1, 2], 40)]
    bad, good = (rng.dirichlet([1, 1, 1], 120) + weight * sure for weight in (0.1, 2))
    bad, good = bad / bad.sum(1, keepdims=True), good / good.sum(1, keepdims=True)
    found = compare_predictions(["a", "b", "c"], actual, np.repeat(np.arange(20), 6), bad, good, bins=10)
    assert {item.verdict for item in found if item.metric in ("accuracy", "f1", "brier")} == {"a real difference"}


def test_words():
    assert name_verdict(-0.1, 0.1, True) == "identical"
    assert name_verdict(0.0, 0.0, False) == "within noise"
    assert name_verdict(0.01, 0.1, False) == name_verdict(-0.1, -0.01, False) == "a real difference"
    assert name_verdict(float("nan"), 0.1, False) == "undefined"
