"""How many batches are needed: against published tables, simulated power, and variances that are known."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_1samp, ttest_ind

from mea.statistics.sample_size import (
    APART,
    PAIRED,
    UNKNOWN,
    Variances,
    assume_variances,
    compute_power,
    count_batches,
    find_design,
    measure_variances,
    tabulate_sample_sizes,
)

PAIR = ("a", "b")


def make_units(
    batches: int, cultures: int, *, both: bool, batch_sd: float, culture_sd: float, seed: int = 0, n: int = 1
):
    """Units of two classes without a difference between them: (n_units, n) values, and what they are of."""
    random = np.random.default_rng(seed)
    rows, values = [], []
    for batch in range(batches):
        level = {label: random.normal(0, batch_sd, n) for label in PAIR}
        for label in PAIR if both else (PAIR[batch % 2],):
            for culture in range(cultures):
                rows.append((f"r{len(rows)}", label, f"c{batch}{label}{culture}", f"b{batch}"))
                values.append(level[label] + random.normal(0, culture_sd, n))
    return np.array(values), pd.DataFrame(rows, columns=["recording", "label", "culture", "batch"])


@pytest.mark.parametrize(("g", "count"), [(0.2, 394), (0.5, 64), (0.8, 26), (1.0, 17)])
def test_power_is_that_of_the_published_table(g, count):
    """Cohen 1988, table 2.4.1: n of each group for a power of .80 at a two-sided .05."""
    power = [compute_power(np.array([g]), np.array([1.0]), n, paired=False)[0] for n in (count, count - 2)]
    assert power[0] >= 0.799 and power[1] < 0.801


@pytest.mark.parametrize("both", [True, False])
def test_the_variances_are_those_that_were_put_in(both):
    values, units = make_units(400, 4, both=both, batch_sd=2.0, culture_sd=1.0)
    found = measure_variances(values, units, PAIR)
    assert found.design == (PAIRED if both else APART)
    assert found.culture[0] == pytest.approx(1.0, rel=0.1)
    assert found.batch[0] == pytest.approx(8.0 if both else 4.0, rel=0.15)  # of a difference: twice that of a level
    assert found.unit[0] == pytest.approx(5.0, rel=0.1)


@pytest.mark.parametrize("both", [True, False])
@pytest.mark.parametrize(("batch_sd", "cultures"), [(0.0, 1), (0.7, 2), (1.5, 4)])
def test_as_many_batches_as_it_says_show_the_effect_in_80_percent_of_trials(both, batch_sd, cultures):
    """The planted effect, in trials of the design, tested as the batches allow; one batch fewer is not enough."""
    values, units = make_units(600, cultures, both=both, batch_sd=batch_sd, culture_sd=1.0, seed=1)
    found = measure_variances(values, units, PAIR)
    needed = int(count_batches(found, 1.0, cultures)[0])
    effect = np.sqrt(batch_sd**2 + 1)
    shown = {}
    for count in (needed, needed - 2):
        n = count if both else 2 * count
        trial, own = make_units(max(n, 4), cultures, both=both, batch_sd=batch_sd, culture_sd=1.0, seed=2, n=4000)
        cells = pd.DataFrame(trial).groupby([own["batch"], own["label"]]).mean()
        a, b = (cells.xs(label, level=1).to_numpy() for label in PAIR)
        p = ttest_1samp(b - a + effect, 0).pvalue if both else ttest_ind(b + effect, a).pvalue
        shown[count] = np.mean(p < 0.05)
    assert shown[needed] >= 0.76
    if needed > 4:
        assert shown[needed - 2] < 0.82


def test_a_batch_that_varies_more_needs_more_batches_and_more_cultures_help_only_against_cultures():
    values, units = make_units(200, 4, both=True, batch_sd=1.0, culture_sd=2.0, seed=3)
    calm, _ = make_units(200, 4, both=True, batch_sd=0.0, culture_sd=2.0, seed=3)
    rough, even = (measure_variances(one, units, PAIR) for one in (values, calm))
    few, many = (count_batches(even, 1.0, cultures)[0] for cultures in (1, 8))
    assert many < few
    assert count_batches(rough, 1.0, 8)[0] > many


def test_without_batches_cultures_are_counted():
    values, units = make_units(40, 3, both=True, batch_sd=0.0, culture_sd=1.0)
    found = measure_variances(values, units.assign(batch=""), PAIR)
    assert found.design == UNKNOWN
    assert 15 <= count_batches(found, 1.0, 1)[0] <= 19  # Cohen: 17 of each


def test_the_table_has_each_pair_effect_and_number_of_cultures():
    values, units = make_units(12, 2, both=True, batch_sd=0.5, culture_sd=1.0, n=5)
    values = np.column_stack([values, np.full(len(values), np.nan), np.full(len(values), 7.0)])  # undefined, constant
    table = tabulate_sample_sizes(values, units, [PAIR])
    assert table[["a", "b"]].drop_duplicates().to_numpy().tolist() == [["a", "b"]]
    assert len(table) == 12 and set(table["design"]) == {PAIRED}
    large = table[(table["g"] == 2.0)].set_index("cultures_per_batch")["batches"]
    small = table[(table["g"] == 0.5)].set_index("cultures_per_batch")["batches"]
    assert (large < small.fillna(np.inf)).all() and large.is_monotonic_decreasing
    assert (table["batches_80_percent"].fillna(np.inf) >= table["batches"].fillna(np.inf)).all()


@pytest.mark.parametrize("design", [PAIRED, APART, UNKNOWN])
def test_one_less_is_too_few(design):
    """Against the power of the number found and of that below, for variances over ten decades."""
    random = np.random.default_rng(1)
    found = Variances(design, 10 ** random.uniform(-5, 5, 300), 10 ** random.uniform(-5, 5, 300), np.ones(300))
    needed = count_batches(found, 1.0, 2)
    variance = found.batch + (2 if design == PAIRED else 1) * found.culture / 2
    power = [compute_power(np.ones(300), variance, count, design == PAIRED) for count in range(2, 101)]
    enough = np.array(power) >= 0.8
    np.testing.assert_array_equal(needed, np.where(enough.any(0), enough.argmax(0) + 2, np.nan))
    assert np.isnan(needed).any() and len(set(needed[np.isfinite(needed)])) > 10


def test_an_effect_that_no_hundred_batches_show_is_unknown():
    values, units = make_units(10, 1, both=False, batch_sd=1.0, culture_sd=1.0)
    found = measure_variances(values, units, PAIR)
    assert np.isnan(count_batches(found, 0.1, 1)[0])


def test_the_assumed_variances_give_what_cohen_gives():
    """Two independent groups, one standard deviation: 17 of each (Cohen 1988, table 2.4.1); pairs of correlation .5."""
    assert count_batches(assume_variances(UNKNOWN, 0.5), 1.0, 1)[0] == 17
    assert count_batches(assume_variances(APART, 0.0), 1.0, 1)[0] == 17, "batches have nothing in common"
    paired, apart = (count_batches(assume_variances(design, 0.5), 1.0, 4)[0] for design in (PAIRED, APART))
    assert paired < apart, "what is common to a batch cancels"
    assert count_batches(assume_variances(PAIRED, 0.5), 1.0, 1)[0] == 10  # a difference of SD 1: t test of one sample
    assert count_batches(assume_variances(APART, 1.0), 1.0, 8)[0] == 17, "only batches count"


@pytest.mark.parametrize(
    ("batches", "design"), [("1122", PAIRED), ("1234", APART), ("1212", UNKNOWN), ("1 34", UNKNOWN), ("1113", UNKNOWN)]
)
def test_the_design_is_read_from_the_batches(batches, design):
    units = pd.DataFrame({"recording": list("wxyz"), "label": list("abab"), "culture": list("wxyz")})
    units["batch"] = [one.strip() for one in batches]
    assert find_design(units, ("a", "b")) == design
