"""Summary features: known answers, invariants, and what happens where there is nothing to describe."""

import dataclasses
import warnings

import numpy as np
import pytest
from arrays import make_events
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import welch

from mea.errors import BadRecording, MeaError
from mea.events import Events, load_events, save_events
from mea.features import (
    describe_piece,
    describe_recording,
    list_families,
    list_features,
    list_recording_features,
)
from mea.features.bursts import find_bursts
from mea.features.correlations import correlate_counts
from mea.features.intervals import count_intervals
from mea.features.network_bursts import find_network_bursts
from mea.features.population import autocorrelate, estimate_spectrum
from mea.features.rates import measure_clustering, measure_inequality
from mea.features.statistics import count_crowd

RATE_HZ = 10_000


def make_trains(times_s, duration_s, rows=3, cols=3, rate_hz=RATE_HZ):
    """A spike-time recording: one array of times (s) per electrode, row after row; further electrodes are silent."""
    samples = [np.floor(np.asarray(times) * rate_hz + 1e-6).astype(np.int64) for times in times_s]
    sample = np.concatenate([*samples, np.zeros(0, np.int64)])
    electrode = np.repeat(np.arange(len(samples)), [len(train) for train in samples])
    order = np.lexsort((electrode, sample))
    empty = make_events(spikes_per_s=0, duration_s=duration_s, rows=rows, cols=cols, rate_hz=rate_hz, waveforms=False)
    return dataclasses.replace(
        empty,
        electrode=electrode[order],
        first_sample=sample[order],
        peak_sample=sample[order],
        offset=np.zeros(len(sample) + 1, np.int64),
    )


def make_poisson(rate_hz, duration_s, electrodes, seed=0):
    random = np.random.default_rng(seed)
    return [np.sort(random.uniform(0, duration_s, random.poisson(rate_hz * duration_s))) for _ in range(electrodes)]


def name_features(events: Events, start_s=0.0, stop_s=None) -> dict[str, float]:
    values = describe_piece(events, start_s, events.duration_s if stop_s is None else stop_s)
    return dict(zip(list_features(events.has_waveforms), values))


def compare(one, other, **tolerance):
    assert one.keys() == other.keys()
    wrong = [name for name in one if not np.isclose(one[name], other[name], equal_nan=True, **tolerance)]
    assert wrong == [], [(name, one[name], other[name]) for name in wrong]


# --- intervals ---------------------------------------------------------------------------------------------------


def test_regular_train_has_cv_and_lv_zero():
    features = name_features(make_trains([np.arange(0.05, 60, 0.1)], 60))
    assert features["interval_cv_median"] == pytest.approx(0, abs=1e-12)
    assert features["interval_lv_median"] == pytest.approx(0, abs=1e-12)
    assert features["interval_pooled_share_73_to_173_ms"] == 1
    assert features["interval_electrode_share_73_to_173_ms"] == 1


def test_poisson_trains_have_cv_lv_and_fano_factor_one():
    features = name_features(make_trains(make_poisson(20, 300, 9), 300))
    assert features["interval_cv_median"] == pytest.approx(1, abs=0.03)
    assert features["interval_lv_median"] == pytest.approx(1, abs=0.03)
    for bin_ms in (5, 10, 20, 50, 100):
        assert features[f"population_log10_fano_{bin_ms}_ms"] == pytest.approx(0, abs=0.03)
        assert features[f"population_log10_cv_{bin_ms}_ms"] == pytest.approx(
            np.log10(180 * bin_ms / 1000) / -2, abs=0.03
        )
    assert features["electrode_log10_fano_20_ms"] == pytest.approx(0, abs=0.02)
    assert features["population_autocorrelation_50_ms"] == pytest.approx(0, abs=0.03)
    assert abs(features["correlation_20_ms_mean_all"]) < 0.01
    assert features["correlation_20_ms_dimension_share"] > 0.99
    assert features["rate_log10_mean_hz"] == pytest.approx(np.log10(20), abs=0.02)


def test_slow_change_of_rate_raises_cv_and_not_lv():
    """Shinomoto et al. 2003: what LV is for. A clock that slows down tenfold is irregular to the CV only."""
    steps = np.geomspace(0.01, 0.1, 1000)
    features = name_features(make_trains([np.cumsum(steps)], steps.sum() + 1, rate_hz=1_000_000))
    assert features["interval_cv_median"] > 0.5
    assert features["interval_lv_median"] < 1e-4


def test_intervals_count_once_pooled_and_once_per_electrode():
    """Ten intervals of 10 ms on one electrode, one of 1 s on another."""
    trains = [np.arange(11) * 0.01, [0, 1.0]]
    features = name_features(make_trains(trains, 5))
    assert features["interval_pooled_share_5p6_to_13_ms"] == pytest.approx(10 / 11)
    assert features["interval_electrode_share_5p6_to_13_ms"] == pytest.approx(1 / 2)
    assert features["interval_electrode_share_965_to_2280_ms"] == pytest.approx(1 / 2)


def test_intervals_beyond_the_edges_count_in_the_end_bins():
    counts = count_intervals(np.array([0, 0, 1, 1000]), np.array([0, 4]), np.array([5.0, 50.0, 500.0]))
    assert counts.tolist() == [[2, 1]]
    assert count_intervals(np.array([0, 50]), np.array([0, 2]), np.array([5.0, 50.0, 500.0])).tolist() == [[0, 1]]


# --- bursts ------------------------------------------------------------------------------------------------------


def test_planted_bursts_are_found():
    """Four bursts of 6 spikes 10 ms apart, one every 5 s, and three single spikes between: 24 of 27 spikes."""
    starts = np.array([5.0, 10.0, 15.0, 20.0])
    bursts = (starts[:, None] + np.arange(6) * 0.01).ravel()
    train = np.sort(np.concatenate([bursts, [2.5, 7.5, 12.5]]))
    features = name_features(make_trains([train], 60, 2, 2))
    for limit in ("burst_20_ms", "burst_100_ms"):
        per_minute = [4.0, 0, 0, 0]
        assert features[f"{limit}_log10_rate_per_min"] == pytest.approx(np.mean(np.log10(np.add(per_minute, 0.1))))
        assert features[f"{limit}_electrode_share"] == 1 / 4
        assert features[f"{limit}_spike_share"] == pytest.approx(24 / 27)
        assert features[f"{limit}_spike_share_electrode"] == pytest.approx(24 / 27)
        assert features[f"{limit}_log10_size"] == pytest.approx(np.log10(6))
        assert features[f"{limit}_log10_size_spread"] == pytest.approx(0)
        assert features[f"{limit}_log10_duration_s"] == pytest.approx(np.log10(0.05))
        assert features[f"{limit}_log10_rate_hz"] == pytest.approx(np.log10(100))
        assert features[f"{limit}_log10_interval_s"] == pytest.approx(np.log10(5))
        assert features[f"{limit}_interval_cv"] == pytest.approx(0)


@pytest.mark.parametrize(("gap", "expected"), [(20, [(0, 0, 4)]), (21, [])])
def test_burst_limit_is_included_and_five_spikes_are_enough(gap, expected):
    train = np.array([0, 1, 2, 3, 3 + gap])
    found = find_bursts(train, np.array([0, 5]), 20.0, 5)
    assert list(zip(*found)) == expected


def test_bursts_do_not_run_on_to_the_next_electrode():
    train = np.concatenate([np.arange(4), np.arange(4, 10)])
    electrode, first, last = find_bursts(train, np.array([0, 4, 10]), 20.0, 5)
    assert (electrode.tolist(), first.tolist(), last.tolist()) == ([1], [4], [9])


def test_bursts_agree_with_a_plain_search():
    random = np.random.default_rng(3)
    trains = [np.sort(random.integers(0, 20_000, count)) for count in (0, 1, 300, 900, 40)]
    first = np.concatenate([[0], np.cumsum([len(train) for train in trains])])
    expected = []
    for electrode, train in enumerate(trains):
        pieces = np.split(np.arange(len(train)), np.flatnonzero(np.diff(train) > 20) + 1) if len(train) else []
        expected += [
            (electrode, first[electrode] + piece[0], first[electrode] + piece[-1])
            for piece in pieces
            if len(piece) >= 5
        ]
    assert list(zip(*find_bursts(np.concatenate(trains), first, 20.0, 5))) == expected
    assert len(expected) > 20


# --- population --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hertz", "band"),
    [(0.5, "0p35_to_0p6"), (2.5, "1p8_to_3p2"), (7, "5p5_to_9p5"), (20, "17_to_29"), (40, "29_to_50")],
)
def test_sine_modulated_rate_peaks_in_its_band(hertz, band):
    random = np.random.default_rng(1)
    trains = []
    for train in make_poisson(80, 120, 9):
        trains.append(train[random.uniform(size=len(train)) < 0.5 + 0.5 * np.sin(2 * np.pi * hertz * train)])
    features = name_features(make_trains(trains, 120))
    power = {name: value for name, value in features.items() if "power_share" in name}
    width = np.log10(np.diff(np.geomspace(0.2, 50, 11)))  # a flat spectrum is higher in a wider band
    density = dict(zip(power, np.array(list(power.values())) - width))
    assert max(density, key=density.get) == f"population_log10_power_share_{band}_hz"
    assert sum(10 ** np.array(list(power.values())) - 1e-6) == pytest.approx(1)


def test_autocorrelation_follows_the_period():
    """Population spikes every 200 ms: counts in 10 ms agree with themselves after 200 ms, and not after 100."""
    features = name_features(make_trains([np.arange(0.005, 60, 0.2)], 60))
    assert features["population_autocorrelation_200_ms"] == pytest.approx(1, abs=0.01)
    assert features["population_autocorrelation_100_ms"] == pytest.approx(-1 / 19, abs=0.01)
    assert features["population_log10_fano_200_ms"] == pytest.approx(-3)  # exactly one spike in each


def test_autocorrelation_agrees_with_the_definition():
    counts = np.random.default_rng(0).poisson(3, 500).cumsum() % 17
    deviation = counts - counts.mean()
    for lag in (1, 7, 250):
        expected = np.mean(deviation[lag:] * deviation[:-lag]) / counts.var()
        assert autocorrelate(counts, lag) == pytest.approx(expected, rel=1e-10)
    assert np.isnan(autocorrelate(counts, 251))
    assert np.isnan(autocorrelate(np.ones(500, np.int64), 1))


def test_spectrum_agrees_with_scipy():
    counts = np.random.default_rng(0).poisson(2, 5000)
    _, expected = welch(counts, fs=100, nperseg=1024, detrend="constant")
    found = estimate_spectrum(counts)
    ratio = found[1:-1] / expected[1:-1]  # scipy scales, and halves both ends
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-9)
    assert len(estimate_spectrum(counts[:1023])) == 0


# --- together, network bursts ------------------------------------------------------------------------------------


def test_electrodes_active_together():
    """Nine electrodes fire within 8 ms every second; one of them also alone, half-way."""
    trains = [np.arange(0.001, 20, 1) + 0.0005 * electrode for electrode in range(9)]
    trains[0] = np.sort(np.concatenate([trains[0], np.arange(0.501, 20, 1)]))
    features = name_features(make_trains(trains, 20))
    assert features["together_10_ms_mean"] == pytest.approx(9 / 10)
    assert features["together_10_ms_spread"] == pytest.approx(3 / 10)
    assert features["together_10_ms_q50"] == pytest.approx(1 / 2)  # between a bin of one and a bin of all
    assert features["together_10_ms_max"] == 1
    for bin_ms in (10, 50, 200):
        share = 10 ** features[f"together_{bin_ms}_ms_log10_share_above_50"] - 1e-4
        assert share == pytest.approx(bin_ms / 1000)


def test_planted_network_bursts_are_found():
    """Every 4 s all but one of nine electrodes fire in three bins of 50 ms, fullest in the second."""
    active = {0.01: 3, 0.06: 8, 0.11: 4}  # time after the beginning: electrodes that fire
    starts = np.arange(1, 39, 4)
    trains = [np.add.outer(starts, [at for at, many in active.items() if unit < many]).ravel() for unit in range(8)]
    features = name_features(make_trains(trains, 40))
    for crowd in ("network_burst_10", "network_burst_25"):
        assert features[f"{crowd}_log10_rate_per_min"] == pytest.approx(np.log10(15 + 0.1))
        assert features[f"{crowd}_spike_share"] == 1
        assert features[f"{crowd}_time_share"] == pytest.approx(0.15 / 4)
        assert features[f"{crowd}_log10_duration_s"] == pytest.approx(np.log10(0.15))
        assert features[f"{crowd}_log10_size_per_electrode"] == pytest.approx(np.log10(15 / 9))
        assert features[f"{crowd}_peak_share"] == pytest.approx(8 / 9)
        assert features[f"{crowd}_peak_time"] == pytest.approx(1 / 2)
        assert features[f"{crowd}_log10_interval_s"] == pytest.approx(np.log10(4))
        assert features[f"{crowd}_interval_cv"] == pytest.approx(0)


def test_one_bin_between_two_runs_is_bridged_and_two_are_not():
    first, last = find_network_bursts(np.array([9, 0, 9, 0, 0, 9, 1, 1, 1]), 4)
    assert (first.tolist(), last.tolist()) == ([0, 5], [3, 6])


@pytest.mark.parametrize(("share", "electrodes", "least"), [(0.1, 70, 7), (0.1, 61, 7), (0.25, 60, 15), (0.1, 1, 2)])
def test_crowd_is_a_share_of_the_electrodes_and_at_least_two(share, electrodes, least):
    assert count_crowd(share, electrodes) == least


# --- correlations, space -----------------------------------------------------------------------------------------


def test_correlation_falls_with_distance():
    """Neighbouring columns share spikes; the nearer, the more."""
    random = np.random.default_rng(0)
    sources = make_poisson(5, 200, 9)
    trains = []
    for col in range(8):
        shared = [sources[near][random.uniform(size=len(sources[near])) < 0.8] for near in (col, col + 1)]
        trains.append(np.sort(np.concatenate(shared)))
    features = name_features(make_trains(trains, 200, 1, 8))
    assert features["correlation_20_ms_distance_1_to_1p5_steps"] > 0.3
    assert abs(features["correlation_20_ms_distance_2p5_to_4p5_steps"]) < 0.05
    assert features["correlation_20_ms_distance_trend"] < -0.3


def test_identical_trains_have_one_eigenvalue():
    train = make_poisson(5, 100, 1)[0]
    features = name_features(make_trains([train] * 4, 100, 2, 2))
    assert features["correlation_200_ms_median"] == pytest.approx(1)
    assert features["correlation_200_ms_eigenvalue_1_share"] == pytest.approx(1)
    assert features["correlation_200_ms_dimension_share"] == pytest.approx(1 / 4)
    assert features["correlation_200_ms_entropy"] == pytest.approx(0, abs=1e-9)


def test_silent_electrodes_correlate_zero_with_all():
    train = make_poisson(5, 100, 1)[0]
    features = name_features(make_trains([train, train], 100, 2, 2))
    assert features["correlation_20_ms_mean_all"] == pytest.approx(1 / 6)
    assert features["correlation_20_ms_median"] == pytest.approx(1)
    assert features["correlation_20_ms_eigenvalue_1_share"] == pytest.approx(1 / 2)


def test_correlations_agree_with_numpy():
    counts = np.random.default_rng(0).poisson(0.3, (7, 400)).astype(float)
    counts[3] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = np.corrcoef(counts)
    np.testing.assert_allclose(correlate_counts(counts), expected, rtol=1e-10, atol=1e-14)


def test_gini_of_equal_and_of_single_rates():
    assert measure_inequality(np.full(8, 3.0)) == pytest.approx(0)
    assert measure_inequality(np.array([0, 0, 0, 5.0])) == pytest.approx(3 / 4)
    values = np.random.default_rng(0).exponential(size=40)
    expected = np.abs(np.subtract.outer(values, values)).mean() / (2 * values.mean())
    assert measure_inequality(values) == pytest.approx(expected)
    assert np.isnan(measure_inequality(np.zeros(3)))


def test_morans_i_tells_clusters_from_checkerboards():
    row, col = np.divmod(np.arange(64), 8)
    assert measure_clustering(((row + col) % 2).astype(float), row, col) == pytest.approx(-1)
    assert measure_clustering((row < 4).astype(float), row, col) == pytest.approx(1 - 2 * 16 / 224)
    random = [measure_clustering(np.random.default_rng(seed).normal(size=64), row, col) for seed in range(400)]
    assert np.mean(random) == pytest.approx(-1 / 63, abs=0.02)


def test_clustered_rates_of_a_recording():
    row, col = np.divmod(np.arange(36), 6)
    for pattern, sign in [((row < 3) & (col < 3), 1), ((row + col) % 2 == 0, -1)]:
        trains = [train if on else train[::10] for train, on in zip(make_poisson(10, 60, 36), pattern)]
        features = name_features(make_trains(trains, 60, 6, 6))
        assert sign * features["rate_morans_i"] > 0.5
        assert sign * features["rate_log10_morans_i"] > 0.5


def test_rates_run_over_silent_electrodes_too():
    features = name_features(make_trains([np.arange(0.1, 10, 0.1), [1.0]], 10, 2, 2))
    assert features["rate_active_share_0p01_hz"] == 1 / 2
    assert features["rate_active_share_1_hz"] == 1 / 4
    assert features["rate_log10_mean_hz"] == pytest.approx(np.log10((9.9 + 0.1) / 4 + 0.01))
    assert features["rate_log10_q10_hz"] == pytest.approx(-2)


# --- waveforms ---------------------------------------------------------------------------------------------------


def with_waveform(events, shape, peak):
    """The same spikes, each with this waveform (counts of 0.1 µV) whose peak lies at this sample of it."""
    many = len(events)
    return dataclasses.replace(
        events,
        peak_sample=events.first_sample + peak,
        offset=np.arange(many + 1) * len(shape),
        waveform_counts=np.tile(np.asarray(shape, np.int16), many),
    )


def test_amplitude_width_and_rebound_of_a_triangle():
    """A trough of -100 µV that returns linearly within 10 samples on both sides, then a hump of 40 µV."""
    trough = -1000 + 100 * np.abs(np.arange(-10, 11))
    shape = np.concatenate([trough, [200, 400, 200]])
    features = name_features(with_waveform(make_events(spikes_per_s=5, rows=3, cols=3), shape, 10))
    assert features["amplitude_log10_median_uv"] == pytest.approx(2)
    assert features["amplitude_log10_spread"] == pytest.approx(0, abs=1e-9)
    assert features["amplitude_electrode_log10_uv"] == pytest.approx(2)
    assert features["peak_positive_share"] == features["peak_positive_share_electrode"] == 0
    assert features["width_median_ms"] == pytest.approx(10 / 25)
    assert features["rebound_median_ratio"] == pytest.approx(0.4)
    assert features["rebound_median_ms"] == pytest.approx(12 / 25)


def test_scaling_voltages_shifts_amplitudes_and_nothing_else():
    events = make_events(spikes_per_s=20, rows=3, cols=3)
    events = dataclasses.replace(events, volts_per_count=events.volts_per_count * np.linspace(1, 3, 9))
    louder = dataclasses.replace(events, volts_per_count=events.volts_per_count * 4)
    one, other = name_features(events), name_features(louder)
    shifted = {name for name in one if name.startswith("amplitude") and name.endswith("_uv")}
    compare({name: value + (np.log10(4) if name in shifted else 0) for name, value in one.items()}, other)
    assert len(shifted) == 4


def test_sign_of_the_peak():
    events = make_events(spikes_per_s=20, rows=3, cols=3)
    flipped = dataclasses.replace(events, volts_per_count=-events.volts_per_count)
    one, other = name_features(events), name_features(flipped)
    assert one["peak_positive_share"] + other["peak_positive_share"] == 1
    changed = {name for name in one if not np.array_equal(one[name], other[name], equal_nan=True)}
    assert changed == {"peak_positive_share", "peak_positive_share_electrode"}


def test_spike_times_are_described_alike_with_and_without_waveforms():
    events = make_events(spikes_per_s=5)
    bare = dataclasses.replace(events, volts_per_count=np.full(events.n_electrodes, np.nan))
    found, expected = name_features(bare), name_features(events)
    compare(found, {name: expected[name] for name in found}, rtol=0, atol=0)


# --- what must not matter ----------------------------------------------------------------------------------------

SPATIAL = ("rate_morans_i", "rate_log10_morans_i", "distance")


def make_lively(rows=4, cols=4, duration_s=40.0, seed=5):
    """Poisson spikes at different rates, and network bursts: every feature is defined."""
    random = np.random.default_rng(seed)
    starts = np.arange(1, duration_s - 1, 2.3) + random.uniform(0, 0.4, len(np.arange(1, duration_s - 1, 2.3)))
    trains = []
    for background in make_poisson(1, duration_s, rows * cols, seed):
        burst = [start + np.cumsum(random.exponential(0.009, 8)) for start in starts if random.uniform() < 0.8]
        keep = random.uniform(0.2, 1)
        train = np.unique(np.concatenate([background, *burst]).round(4))  # no two spikes in one sample
        trains.append(train[random.uniform(size=len(train)) < keep])
    return make_trains(trains, duration_s, rows, cols)


def test_every_feature_of_a_lively_recording_is_defined():
    features = name_features(make_lively(rows=8, cols=8))
    assert [name for name, value in features.items() if not np.isfinite(value)] == []


def test_names_families_and_values_agree():
    assert len(set(list_features(True))) == len(list_features(True)) == len(list_families(True))
    assert list_features(True)[: len(list_features(False))] == list_features(False)
    assert len(describe_piece(make_events(), 0, 4)) == len(list_features(True))
    assert all(name == name.lower() and name.isidentifier() for name in list_features(True))
    names = list_recording_features(False)
    assert len(names) == 3 * len(list_features(False))
    assert names[0].startswith("whole_") and names[-1].startswith("spread_")
    assert list_recording_features(False, with_pieces=False) == names[: len(names) // 3]


def test_shifting_by_whole_bins_changes_nothing():
    events = make_lively()
    shift = 6 * events.rate_hz  # a whole number of every bin
    later = dataclasses.replace(
        events,
        n_samples=events.n_samples + shift,
        duration_s=events.duration_s + 6,
        first_sample=events.first_sample + shift,
        peak_sample=events.peak_sample + shift,
    )
    compare(name_features(events), name_features(later, 6, 46), rtol=0, atol=0)


def test_order_of_electrodes_changes_nothing():
    """Neither the order in which a file lists them, nor (but for measures of place) where they lie."""
    events = make_lively()
    order = np.random.default_rng(0).permutation(events.n_electrodes)
    rank = np.argsort(order)
    listed = dataclasses.replace(events, row=events.row[order], col=events.col[order], electrode=rank[events.electrode])
    compare(name_features(events), name_features(listed), rtol=1e-9, atol=1e-12)
    moved = dataclasses.replace(events, electrode=rank[events.electrode])
    one, other = name_features(events), name_features(moved)
    flat = [name for name in one if not any(word in name for word in SPATIAL)]
    compare({name: one[name] for name in flat}, {name: other[name] for name in flat}, rtol=1e-9, atol=1e-12)
    assert one["rate_morans_i"] != other["rate_morans_i"]


def test_turning_the_grid_changes_nothing():
    events = make_lively()
    turned = dataclasses.replace(events, row=events.col, col=events.rows - 1 - events.row)
    compare(name_features(events), name_features(turned), rtol=1e-9, atol=1e-12)


def test_identity_and_length_do_not_matter():
    events = make_lively()
    longer = dataclasses.replace(events, n_samples=events.n_samples * 2, duration_s=events.duration_s * 2)
    other = dataclasses.replace(
        longer, recording="z", label="b", culture="c", batch="d", start="2020-01-01T00:00:00", samples_sha256="e"
    )
    np.testing.assert_array_equal(describe_recording(events, 10, 40), describe_recording(other, 10, 40))


def test_sampling_rate_matters_little():
    fast = make_lively()
    half = dataclasses.replace(
        fast,
        rate_hz=fast.rate_hz // 2,
        n_samples=fast.n_samples // 2,
        first_sample=fast.first_sample // 2,
        peak_sample=fast.peak_sample // 2,
    )
    compare(name_features(fast), name_features(half), atol=0.05)


def test_events_whose_peaks_come_out_of_order():
    """Events are sorted by first sample; a later one may peak earlier on another electrode."""
    events = make_events(spikes_per_s=30, rows=3, cols=3)
    random = np.random.default_rng(0)
    events = dataclasses.replace(events, peak_sample=events.first_sample + random.integers(0, 40, len(events)))
    by_peak = np.argsort(events.peak_sample, kind="stable")
    bare = dataclasses.replace(events, volts_per_count=np.full(9, np.nan))
    ordered = dataclasses.replace(
        bare,
        electrode=bare.electrode[by_peak],
        first_sample=bare.peak_sample[by_peak],
        peak_sample=bare.peak_sample[by_peak],
    )
    compare(name_features(bare), name_features(ordered))


# --- recordings and their pieces ---------------------------------------------------------------------------------


def test_recording_is_its_whole_and_the_mean_and_spread_of_its_pieces():
    events = make_lively(duration_s=47)
    pieces = np.stack([describe_piece(events, start, start + 10) for start in (0, 10, 20, 30)])
    found = describe_recording(events, 10, 45)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        expected = [describe_piece(events, 0, 45), np.nanmean(pieces, axis=0), np.nanstd(pieces, axis=0)]
    np.testing.assert_array_equal(found, np.concatenate(expected))
    np.testing.assert_array_equal(describe_recording(events, None, 45), expected[0])
    np.testing.assert_array_equal(describe_recording(events, None, None), describe_piece(events, 0, 47))
    np.testing.assert_array_equal(describe_recording(events, None, 100), describe_piece(events, 0, 47))


def test_features_survive_the_file(tmp_path):
    events = make_events(spikes_per_s=10)
    save_events(tmp_path / "r.npz", events)
    again = load_events(tmp_path / "r.npz")
    np.testing.assert_array_equal(describe_recording(events, 1, None), describe_recording(again, 1, None))


@pytest.mark.parametrize(("start_s", "stop_s"), [(-1, 2), (3, 5), (2, 2), (3, 1)])
def test_window_outside_the_recording_is_refused(start_s, stop_s):
    with pytest.raises(MeaError, match=r"r1: .* asked for; the window must not be empty and must lie within 0 s to 4"):
        describe_piece(make_events(), start_s, stop_s)


def test_recording_shorter_than_a_piece_is_refused():
    with pytest.raises(BadRecording, match=r"r1: 4 s are shorter than one piece \(piece_s = 30 s\)\. Choose shorter"):
        describe_recording(make_events(), 30, 900)


@pytest.mark.parametrize(
    ("piece_s", "first_s", "name"), [(0, None, "piece_s"), (1, 0, "first_s"), (-3, None, "piece_s")]
)
def test_pieces_of_no_length_are_refused(piece_s, first_s, name):
    with pytest.raises(MeaError, match=rf"{name} = .* of recording r1 .*: must hold at least one sample\. Choose"):
        describe_recording(make_events(), piece_s, first_s)


# --- nothing, or nearly nothing, to describe ---------------------------------------------------------------------

DEFINED_IN_SILENCE = {
    "burst_20_ms_log10_rate_per_min": -1,
    "burst_20_ms_electrode_share": 0,
    "network_burst_10_log10_rate_per_min": -1,
    "network_burst_10_time_share": 0,
    "together_10_ms_log10_share_above_10": -4,
    "correlation_20_ms_mean_all": 0,
    "rate_log10_mean_hz": -2,
    "rate_log10_spread": 0,
    "rate_active_share_0p01_hz": 0,
}
UNDEFINED_IN_SILENCE = (
    "interval_pooled_share_1_to_2p4_ms",
    "interval_cv_median",
    "burst_20_ms_spike_share",
    "burst_100_ms_log10_size",
    "population_log10_fano_5_ms",
    "population_autocorrelation_10_ms",
    "together_50_ms_mean",
    "correlation_20_ms_median",
    "correlation_20_ms_dimension_share",
    "network_burst_10_peak_share",
    "rate_gini",
    "rate_morans_i",
)


@pytest.mark.parametrize("waveforms", [True, False])
def test_silence_is_described_without_a_warning(waveforms):
    silent = make_events(spikes_per_s=0, waveforms=waveforms, duration_s=60)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        features = name_features(silent)
        describe_recording(silent, 20, None)
    assert {name: features[name] for name in DEFINED_IN_SILENCE} == pytest.approx(DEFINED_IN_SILENCE)
    assert [name for name in UNDEFINED_IN_SILENCE if not np.isnan(features[name])] == []
    shown = {name for name, value in features.items() if not np.isnan(value)}
    assert all(name.startswith(("burst", "network_burst", "together", "correlation", "rate")) for name in shown)


@settings(max_examples=60, deadline=None)
@given(
    trains=st.lists(st.lists(st.integers(0, 59_999), max_size=12), min_size=1, max_size=6),
    duration_s=st.sampled_from([0.001, 0.03, 1.0, 6.0]),
)
def test_any_recording_is_described_without_warning_or_infinity(trains, duration_s):
    """Silent, one spike, one electrode, equal times, shorter than every bin."""
    times = [np.sort(np.array(train, float)) / 60_000 * duration_s for train in trains]
    events = make_trains(times, duration_s, 1, len(trains))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        values = describe_piece(events, 0, duration_s)
        whole = describe_recording(events, duration_s, None)
    assert values.shape == (len(list_features(False)),) and values.dtype == np.float64
    assert not np.isinf(values).any() and not np.isinf(whole).any()
    named = dict(zip(list_features(False), values))
    shares = [value for name, value in named.items() if "share" in name and "log10" not in name]
    assert all(np.isnan(value) or -1e-12 <= value <= 1 + 1e-12 for value in shares)


@settings(max_examples=20, deadline=None)
@given(spikes=st.integers(0, 3), seed=st.integers(0, 100), length=st.integers(1, 4))
def test_any_waveform_is_described_without_infinity(spikes, seed, length):
    random = np.random.default_rng(seed)
    events = make_events(spikes_per_s=spikes / 4, rows=1, cols=1, seed=seed)
    events = with_waveform(events, random.integers(-2, 3, length), int(random.integers(0, length)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not np.isinf(describe_piece(events, 0, 4)).any()
