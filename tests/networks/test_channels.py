"""What the networks of spike trains see: known answers, a slow reference, and what must not be seen."""

from dataclasses import replace

import numpy as np
import pytest
from builders.arrays import make_events, reorder

from mea.features.trains import Trains, cut_trains
from mea.networks.channels import (
    EDGES_MS,
    ELECTRODE,
    POPULATION,
    GridView,
    PopulationView,
    compute_electrode_channels,
    compute_population_channels,
    find_touching_pairs,
)
from mea.runtime.errors import MeaError

RATE = 10_000


def make_trains(spikes, n=4, duration_s=1.0, row=None, col=None):
    """Spikes as (seconds, electrode)."""
    spikes = sorted(spikes)
    sample = np.array([round(time * RATE) for time, _ in spikes], np.int64)
    electrode = np.array([unit for _, unit in spikes], np.int64)
    row = np.arange(n) // 2 if row is None else np.array(row)
    col = np.arange(n) % 2 if col is None else np.array(col)
    return Trains(RATE, round(duration_s * RATE), row, col, sample, electrode, np.arange(len(spikes)))


def make_random(seed=0, n=16, spikes=600, duration_s=4.0):
    generator = np.random.default_rng(seed)
    times, units = generator.uniform(0, duration_s, spikes), generator.integers(0, n - 2, spikes)
    return make_trains(zip(times, units), n, duration_s, np.arange(n) // 4, np.arange(n) % 4)


def by_name(values, names):
    return dict(zip(names, values))


# --- the population --------------------------------------------------------------------------------------------------


def test_known_population():
    """Electrode 0 at 0.101, 0.103 and 0.123 s, electrode 1 at 0.105 s; four electrodes, bins of 100 ms."""
    shown = compute_population_channels(make_trains([(0.101, 0), (0.103, 0), (0.123, 0), (0.105, 1)]), 100)
    assert shown.shape == (22, 10) and shown.dtype == np.float32
    assert not np.delete(shown, 1, axis=1).any()
    one = by_name(shown[:, 1], POPULATION)
    assert one["log_firing_rate"] == pytest.approx(np.log1p(4 / 4 / 0.1))
    assert one["active_fraction"] == pytest.approx(0.5)
    assert one["log_count_std"] == pytest.approx(np.std(np.log1p([3, 1, 0, 0])))
    assert one["filled_fraction"] == pytest.approx(0.2)  # of ten steps, the first and the third
    assert one["synchrony"] == pytest.approx(0.5)
    assert one["active_neighbours"] == pytest.approx(1 / 6)  # of the six pairs of a square
    assert one["isi_0"] == pytest.approx(np.log1p(1 / 4 / 0.1))  # 2 ms
    assert one["isi_2"] == pytest.approx(np.log1p(1 / 4 / 0.1))  # 20 ms
    assert one["isi_electrodes_0"] == one["isi_electrodes_2"] == pytest.approx(0.25)
    assert sum(one[f"isi_{k}"] for k in (1, 3, 4, 5, 6, 7)) == 0


def test_an_interval_belongs_to_the_bin_of_its_second_spike():
    shown = by_name(compute_population_channels(make_trains([(0.05, 0), (0.75, 0)]), 100), POPULATION)
    (place,) = np.flatnonzero(shown["isi_5"])
    assert place == 7 and EDGES_MS[4] < 700 <= EDGES_MS[5]


def test_population_against_a_slow_reference():
    trains = make_random()
    shown = by_name(compute_population_channels(trains, 100), POPULATION)
    times = trains.sample / RATE * 1000
    for place in range(40):
        inside = (times >= 100 * place) & (times < 100 * (place + 1))
        counts = np.bincount(trains.electrode[inside], minlength=16)
        assert shown["log_firing_rate"][place] == pytest.approx(np.log1p(counts.sum() / 16 / 0.1), abs=1e-5)
        assert shown["active_fraction"][place] == pytest.approx((counts > 0).mean())
        assert shown["log_count_std"][place] == pytest.approx(np.log1p(counts).std(), abs=1e-5)
        fine = [set(trains.electrode[(trains.sample // 100) == 10 * place + k]) for k in range(10)]
        assert shown["filled_fraction"][place] == pytest.approx(np.mean([bool(units) for units in fine]))
        assert shown["synchrony"][place] == pytest.approx(max(len(units) for units in fine) / 16)
        pairs = find_touching_pairs(trains.row, trains.col)
        assert shown["active_neighbours"][place] == pytest.approx((counts[pairs] > 0).all(1).mean())


def test_every_interval_is_counted_once():
    trains = make_random(seed=1)
    shown = compute_population_channels(trains, 100)[6:14].astype(float)
    per_class = np.expm1(shown).sum(1) * 16 * 0.1
    intervals = np.concatenate([np.diff(trains.sample[trains.electrode == unit]) for unit in range(16)]) / RATE * 1000
    expected, _ = np.histogram(intervals, [-1, *(edge + 1e-6 for edge in EDGES_MS), np.inf])
    np.testing.assert_allclose(per_class, expected, atol=1e-3)


def test_neighbours_touch():
    pairs = find_touching_pairs(np.array([0, 0, 1, 3]), np.array([0, 1, 1, 1]))
    assert pairs.tolist() == [[0, 1], [0, 2], [1, 2]]


# --- single electrodes -----------------------------------------------------------------------------------------------


def test_known_electrodes():
    shown = compute_electrode_channels(make_trains([(0.101, 0), (0.103, 0), (0.123, 0), (0.105, 1)]), 100)
    assert shown.shape == (11, 4, 10) and shown.dtype == np.float32
    one = by_name(shown[:, 0, 1], ELECTRODE)
    assert one["log_count"] == pytest.approx(np.log1p(3))
    assert one["coactivity"] == pytest.approx((1 + 1 + 0) / 3 / 3)  # electrode 1 is there in the first 10 ms only
    assert one["isi_0"] == one["isi_2"] == pytest.approx(np.log(2))  # 2 ms and 20 ms
    silence = by_name(shown[:, 0], ELECTRODE)["silence"]
    seconds = np.expm1(silence * np.log1p(10))
    np.testing.assert_allclose(seconds, [0.1, *(0.077 + 0.1 * np.arange(9))], atol=1e-3)
    assert (by_name(shown[:, 2], ELECTRODE)["log_count"] == 0).all()


def test_silence_ends_at_ten_seconds():
    shown = compute_electrode_channels(make_trains([(0.5, 0)], duration_s=20.0), 1000)[2, 0]
    assert shown.max() == pytest.approx(1) and (np.diff(shown[1:]) >= 0).all()


def test_electrodes_and_population_agree():
    trains = make_random(seed=2)
    whole, single = (
        by_name(compute_population_channels(trains, 100), POPULATION),
        by_name(compute_electrode_channels(trains, 100), ELECTRODE),
    )
    counts = np.expm1(single["log_count"])
    np.testing.assert_allclose(whole["log_firing_rate"], np.log1p(counts.mean(0) / 0.1), atol=1e-5)
    np.testing.assert_allclose(whole["active_fraction"], (counts > 0).mean(0), atol=1e-6)
    np.testing.assert_allclose(whole["log_count_std"], single["log_count"].std(0), atol=1e-5)
    for k in range(len(EDGES_MS) + 1):
        found = np.expm1(single[f"isi_{k}"]).sum(0)
        np.testing.assert_allclose(found, np.expm1(whole[f"isi_{k}"]) * 16 * 0.1, atol=1e-3)


# --- what must not be seen -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("view", [PopulationView(100), GridView(100)])
def test_the_order_of_electrodes_is_not_seen(view):
    events = make_events("r1", spikes_per_s=8, duration_s=4.0)
    np.testing.assert_allclose(view.show(events, 1.0, 3.0), view.show(reorder(events), 1.0, 3.0), atol=1e-6)


@pytest.mark.parametrize("view", [PopulationView(100), GridView(100)])
def test_clock_length_gain_and_name_are_not_seen(view):
    events = make_events("r1", spikes_per_s=8, duration_s=4.0)
    shown = view.show(events, 1.0, 3.0)
    shift = events.sampling_rate_hz
    later = replace(
        events, first_sample=events.first_sample + shift, peak_sample=events.peak_sample + shift, recording="other",
        n_samples=events.n_samples + 5 * shift, duration_s=events.duration_s + 5, start="2001-01-01T00:00:00",
        gain_v=events.gain_v * 3, threshold_uv=events.threshold_uv * 3,
    )  # fmt: skip
    np.testing.assert_array_equal(shown, view.show(later, 2.0, 4.0))


def test_the_size_of_the_layout_is_not_seen():
    """Every electrode twice: all shares and rates per electrode stay, but for who is whose neighbour."""
    trains = make_random(seed=4)
    twice = replace(
        trains, row=np.tile(trains.row, 2), col=np.tile(trains.col, 2), sample=np.repeat(trains.sample, 2),
        electrode=np.stack([trains.electrode, trains.electrode + 16], 1).ravel(), event=np.repeat(trains.event, 2),
    )  # fmt: skip
    kept = [k for k, name in enumerate(POPULATION) if name != "active_neighbours"]
    np.testing.assert_allclose(
        compute_population_channels(twice, 100)[kept], compute_population_channels(trains, 100)[kept], atol=1e-5
    )


def test_the_population_does_not_see_how_the_grid_lies():
    trains = make_random(seed=5)
    turned = replace(trains, row=trains.col, col=3 - trains.row)
    np.testing.assert_array_equal(compute_population_channels(trains, 100), compute_population_channels(turned, 100))


def test_silence_is_shown():
    trains = make_trains([], duration_s=2.0)
    assert not compute_population_channels(trains, 100).any()
    shown = compute_electrode_channels(trains, 100)
    assert np.isfinite(shown).all() and not np.delete(shown, 2, axis=0).any()


# --- views -----------------------------------------------------------------------------------------------------------


def test_every_electrode_stands_in_its_place():
    events = make_events("r1", spikes_per_s=8, duration_s=4.0)
    shown = GridView(100).show(events, 0.0, 2.0)
    values = compute_electrode_channels(cut_trains(events, 0.0, 2.0), 100)
    assert shown.shape == (12, 12, 12, 20)
    for unit in range(events.n_electrodes):
        np.testing.assert_array_equal(shown[:-1, events.row[unit], events.col[unit]], values[:, unit])
    assert shown[-1, :, :, 0].sum() == events.n_electrodes and not shown[:, shown[-1, :, :, 0] == 0].any()


def test_spikes_of_a_window_come_in_order_of_time():
    events = make_events("r1", spikes_per_s=8, duration_s=4.0)
    trains = cut_trains(events, 1.0, 3.0)
    assert (np.diff(trains.sample) >= 0).all() and trains.duration_s == 2.0
    np.testing.assert_array_equal(trains.counts, events.count_events(1.0, 3.0))
    np.testing.assert_array_equal(trains.sample, events.peak_sample[trains.event] - events.sampling_rate_hz)


def test_bins_that_do_not_fit():
    events = make_events("r1", duration_s=4.0)
    with pytest.raises(MeaError, match=r"bin_ms = 25 ms: .* steps of 10 ms .*Choose a multiple of 10"):
        PopulationView(25).check(events)
    GridView(100).check(events)
    with pytest.raises(MeaError, match=r"split\.chunk_s = 0\.5 s: .* 8 bins of bin_ms = 100 ms at least"):
        GridView(100, min_bins=8).show(events, 0.0, 0.5)
