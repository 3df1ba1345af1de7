"""What differs between the classes: known answers, an independent reference, and what happens where nothing differs."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mea.statistics.contrast import (
    ContrastSettings,
    average_cultures,
    compute_trend,
    contrast_classes,
    find_groups,
    find_min_p,
    list_pairs,
)

SETTINGS = ContrastSettings(permutations=199, seed=0, confidence_level=0.95)


def make_lab(batches=6, cultures=3, labels="ab", recordings=1, pure=False):
    """Every batch holds so many cultures of each class, or of one class in turn."""
    lines = [
        (f"r{b}{label}{c}{r}", label, f"{b}{label}{c}", f"b{b}")
        for b in range(batches) for label in (labels[b % len(labels)] if pure else labels)
        for c in range(cultures) for r in range(recordings)
    ]  # fmt: skip
    return pd.DataFrame(lines, columns=["recording", "label", "culture", "batch"])


def draw(lab, random, features=1, batch=0.0, culture=0.0, noise=1.0):
    """(n, features) values whose batches and cultures differ, but not their classes."""
    number_b, number_c = (pd.factorize(lab[name])[0] for name in ("batch", "culture"))
    by_batch = random.normal(size=(number_b.max() + 1, features))[number_b]
    by_culture = random.normal(size=(number_c.max() + 1, features))[number_c]
    return batch * by_batch + culture * by_culture + noise * random.normal(size=(len(lab), features))


def compare(values, lab, settings=SETTINGS):
    means, units = average_cultures(values, lab)
    return contrast_classes(means, units, [f"f{k}" for k in range(values.shape[1])], settings)


# Known answers


def test_effect_and_difference_equal_an_independent_formula():
    """Student's t of independent samples gives g: t = g / J * sqrt(n1 n2 / (n1 + n2))."""
    lab, random = make_lab(batches=5, cultures=2), np.random.default_rng(0)
    values = draw(lab, random, features=4) + 2.0 * (lab["label"] == "b").to_numpy()[:, None]
    found = compare(values, lab)
    is_b = (lab["label"] == "b").to_numpy()
    t = stats.ttest_ind(values[is_b], values[~is_b]).statistic
    n = is_b.sum()
    correction = 1 - 3 / (4 * (2 * n - 2) - 1)
    np.testing.assert_allclose(found["g"], t * np.sqrt(2 / n) * correction, rtol=1e-12)
    np.testing.assert_allclose(found["difference"], values[is_b].mean(0) - values[~is_b].mean(0), rtol=1e-12)
    assert (found["units_a"] == n).all() and (found["a"] == "a").all() and (found["b"] == "b").all()


def test_recordings_of_a_culture_count_once():
    lab = make_lab(batches=4, cultures=2)
    values = draw(lab, np.random.default_rng(1), features=3)
    copied = pd.concat([lab.assign(recording=lab["recording"] + end) for end in ("", "x", "y")])
    once, thrice = compare(values, lab), compare(np.vstack([values] * 3), copied)
    pd.testing.assert_frame_equal(once, thrice)


def test_undefined_features_are_left_out_of_the_means():
    lab = make_lab(batches=4, cultures=2, recordings=2)
    values = draw(lab, np.random.default_rng(2))
    holes = values.copy()
    holes[::2] = np.nan  # one of the two recordings of each culture
    means, units = average_cultures(holes, lab)
    assert np.array_equal(means, values[1::2]) and (units["recordings"] == 2).all()


def test_what_does_not_vary_or_is_never_defined_has_no_effect():
    lab = make_lab()
    values = draw(lab, np.random.default_rng(3), features=3)
    values[:, 0], values[:, 1] = 3.0, np.nan
    values[:, 1][lab["label"] == "a"] = 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = compare(values, lab)
    assert found["g"].isna().tolist() == [True, True, False]
    assert found["p_value"].isna().tolist() == found["p_family"].isna().tolist() == [True, True, False]
    assert found["q_value"][2] == found["p_value"][2], "what has no p-value is no test"


def test_units_do_not_change_the_effect():
    lab = make_lab()
    values = draw(lab, np.random.default_rng(4), features=3)
    one, other = compare(values, lab), compare(10.0 - 1e-3 * values, lab)
    np.testing.assert_allclose(one["g"], -other["g"], rtol=1e-6)
    np.testing.assert_allclose(one[["p_value", "p_family"]], other[["p_value", "p_family"]])


@pytest.mark.parametrize(
    ("reference", "order", "pairs"),
    [
        ("", (), [("a", "b"), ("a", "c"), ("b", "c")]),
        ("b", (), [("b", "a"), ("b", "c")]),
        ("", ("c", "a", "b"), [("c", "a"), ("c", "b"), ("a", "b")]),
    ],
)
def test_the_pairs(reference, order, pairs):
    settings = ContrastSettings(19, 0, 0.95, reference, order)
    assert list_pairs(["a", "b", "c"], settings) == pairs
    lab = make_lab(labels="abc")
    found = compare(draw(lab, np.random.default_rng(5), features=2), lab, settings)
    assert list(zip(found["a"], found["b"]))[::2] == pairs


# Intervals and p-values


def test_a_real_difference_is_found():
    lab, random = make_lab(batches=8, cultures=3), np.random.default_rng(6)
    values = draw(lab, random, features=20, batch=1.0, culture=0.5)
    values[:, 7] += 4.0 * (lab["label"] == "b")
    found = compare(values, lab)
    assert found["p_family"][7] == found["p_value"][7] == 1 / 200 and found["q_value"][7] <= 0.1
    assert found["g_low"][7] > 0 and (found["p_family"].drop(7) > 0.05).all()


@pytest.mark.parametrize("pure", [False, True], ids=["every batch holds both", "a batch holds one class"])
def test_where_nothing_differs_few_features_seem_to(pure):
    """Strong batches and cultures, three recordings of each. A t-test over recordings claims differences if pure."""
    lab, random = make_lab(batches=8, cultures=2, recordings=3, pure=pure), np.random.default_rng(7)
    below, family, covered, naive = [], [], [], []
    for seed in range(40):
        values = draw(lab, random, features=25, batch=1.5, culture=1.0, noise=0.3)
        found = compare(values, lab, ContrastSettings(99, seed, 0.95))
        below.append((found["p_value"] < 0.05).mean())
        family.append((found["p_family"] < 0.05).any())
        covered.append(((found["g_low"] < 0) & (found["g_high"] > 0)).mean())
        is_b = (lab["label"] == "b").to_numpy()
        naive.append((stats.ttest_ind(values[is_b], values[~is_b]).pvalue < 0.05).mean())
    assert np.mean(below) <= 0.06 and np.mean(family) <= 0.1 and np.mean(covered) >= 0.9
    assert not pure or np.mean(naive) > 0.2


def test_days_of_one_culture_are_exchanged_inside_it():
    """Each culture has every label: its level, however strong, is no evidence; a small change with the day is."""
    days = make_lab(batches=6, cultures=2, labels="a", recordings=3)
    days["label"] = ["d1", "d2", "d3"] * 12
    random = np.random.default_rng(8)
    values = draw(days, random, features=10, batch=3.0, culture=3.0, noise=0.1)
    values[:, 4] += 0.3 * days["label"].map({"d1": 0, "d2": 1, "d3": 2})
    settings = ContrastSettings(199, 0, 0.95, order=("d1", "d2", "d3"))
    means, units = average_cultures(values, days)
    assert len(units) == len(days)
    trend = compute_trend(means, units, [f"f{k}" for k in range(10)], settings)
    assert trend["p_value"][4] == 1 / 200 and trend["rho"][4] > 0 and (trend["p_family"].drop(4) > 0.05).all()


def test_the_trend_is_spearmans():
    lab = make_lab(labels="abc")
    values = draw(lab, np.random.default_rng(9), features=3)
    values[5, 1] = np.nan
    means, units = average_cultures(values, lab)
    order = ("b", "a", "c")
    found = compute_trend(means, units, ["x", "y", "z"], ContrastSettings(19, 0, 0.95, order=order))
    rank = units["label"].map(dict(zip(order, range(3))))
    for column, rho in zip(means.T, found["rho"]):
        assert rho == pytest.approx(stats.spearmanr(column, rank, nan_policy="omit").statistic)


def test_groups_are_batches_or_else_cultures():
    lab = make_lab(batches=4, cultures=2)
    _, units = average_cultures(draw(lab, np.random.default_rng(10)), lab)
    assert find_groups(units).max() + 1 == 4
    assert find_groups(units.assign(batch="")).max() + 1 == 16
    two = units[units["batch"].isin(["b0", "b1"])].reset_index(drop=True)
    assert find_groups(two).max() + 1 == 8, "two batches cannot be left out one by one"


@pytest.mark.parametrize(("batches", "least"), [(4, 2 / 6), (6, 2 / 20), (8, 2 / 70), (20, 1 / 1000)])
def test_few_groups_allow_no_small_p(batches, least):
    """Half of the batches hold one class: with n of 2n exchanged there are C(2n, n) ways."""
    lab = make_lab(batches=batches, cultures=2, pure=True)
    _, units = average_cultures(draw(lab, np.random.default_rng(11)), lab)
    assert find_min_p(units, 999) == pytest.approx(least)
