"""Summary features: invariants, and what happens where there is nothing to measure."""

import dataclasses
import warnings

import numpy as np
import pytest
from builders.arrays import make_events
from builders.spike_trains import compare, make_lively, make_trains, name_features, with_waveform
from hypothesis import given, settings
from hypothesis import strategies as st

from mea.arrays.events_file import load_events, save_events
from mea.features.compute import compute_features, compute_long_window_features, summarise_recording
from mea.features.families import (
    LONG_WINDOW_FAMILIES,
    list_families,
    list_features,
    list_long_window_features,
    list_summaries,
    list_summary_families,
)
from mea.runtime.errors import MeaError

# --- what must not matter ---------------------------------------------------------------------------------------------

SPATIAL = ("morans_i", "distance", "leader_move")


def test_every_feature_of_a_lively_recording_is_defined():
    features = name_features(make_lively(rows=8, cols=8))
    assert [name for name, value in features.items() if not np.isfinite(value)] == []


def test_names_families_and_values_agree():
    assert len(set(list_features(True))) == len(list_features(True)) == len(list_families(True))
    assert list_features(True)[: len(list_features(False))] == list_features(False)
    assert len(compute_features(make_events(), [(0, 4)])[0]) == len(list_features(True))
    assert all(name == name.lower() and name.isidentifier() for name in list_features(True))
    long_window = list_long_window_features()
    assert compute_long_window_features(make_events(), [(0, 4), (1, 2)]).shape == (2, len(long_window))
    assert all(name == name.lower() and name.isidentifier() for name in long_window)
    names = list_summaries(False)
    assert len(set(names)) == len(names) == 3 * len(list_features(False)) + len(long_window)
    assert len(names) == len(list_summary_families(False))
    assert {*list_families(False), *(family.name for family in LONG_WINDOW_FAMILIES)} == set(
        list_summary_families(False)
    )
    assert names[0].startswith("whole_") and names[-1] == f"long_window_{long_window[-1]}"


def test_shifting_by_whole_bins_changes_nothing():
    events = make_lively()
    shift = 6 * events.sampling_rate_hz  # a whole number of every bin
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
    assert one["firing_rate_morans_i"] != other["firing_rate_morans_i"]


def test_turning_the_grid_changes_nothing():
    events = make_lively()
    turned = dataclasses.replace(events, row=events.col, col=events.rows - 1 - events.row)
    compare(name_features(events), name_features(turned), rtol=1e-9, atol=1e-12)


def test_identity_and_length_do_not_matter():
    events = make_lively()
    longer = dataclasses.replace(events, n_samples=events.n_samples * 2, duration_s=events.duration_s * 2)
    other = dataclasses.replace(longer, recording="z", start="2020-01-01T00:00:00", samples_sha256="e")
    windows = [(0, 40), (0, 10), (10, 20)]
    for compute in (compute_features, compute_long_window_features):
        np.testing.assert_array_equal(compute(events, windows), compute(other, windows))


def test_twice_as_long_a_recording_has_the_same_features():
    """Counts and maxima over the recording would double or creep; beyond what ten recordings differ by chance."""
    found = []
    for seed in range(10):
        events = make_lively(duration_s=160, seed=seed)
        parts = [list(name_features(events, *window).values()) for window in ((0, 80), (80, 160), (0, 160))]
        found.append([np.mean(parts[:2], axis=0), parts[2]])
    halves, whole = np.swapaxes(found, 0, 1)
    change = (whole - halves).mean(axis=0)
    chance = 3 * (whole - halves).std(axis=0, ddof=1) / np.sqrt(len(found))
    names = np.array(list_features(False) + list_long_window_features())
    creeping = np.abs(change) > 0.02 + 0.05 * np.abs(whole.mean(axis=0)) + chance
    few = [name.endswith("interval_cv") for name in names]  # of a handful of intervals: the long ones are missing
    assert names[creeping & ~np.array(few)].tolist() == []


def test_sampling_rate_matters_little():
    fast = make_lively()
    half = dataclasses.replace(
        fast,
        sampling_rate_hz=fast.sampling_rate_hz // 2,
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
    bare = dataclasses.replace(events, gain_v=np.full(9, np.nan))
    ordered = dataclasses.replace(
        bare,
        electrode=bare.electrode[by_peak],
        first_sample=bare.peak_sample[by_peak],
        peak_sample=bare.peak_sample[by_peak],
    )
    compare(name_features(bare), name_features(ordered))


# --- recordings and their chunks --------------------------------------------------------------------------------------


def test_recording_is_its_whole_and_the_mean_and_std_of_its_chunks():
    events = make_lively(duration_s=47)
    windows = [(0, 10), (10, 20), (20, 30), (30, 40)]
    chunks = np.stack([compute_features(events, [window])[0] for window in windows])
    np.testing.assert_array_equal(compute_features(events, windows), chunks)
    chunks[0, :9] = np.nan
    chunks[:, 5] = np.nan
    whole = compute_features(events, [(0, 45)])[0]
    found = dict(zip(list_summaries(False), summarise_recording(whole, chunks, np.zeros(0))))
    for number, name in enumerate(list_features(False)):
        defined = chunks[:, number][~np.isnan(chunks[:, number])]
        expected = (defined.mean(), defined.std()) if len(defined) else (np.nan, np.nan)
        np.testing.assert_allclose((found[f"mean_{name}"], found[f"std_{name}"]), expected)
        np.testing.assert_equal(found[f"whole_{name}"], whole[number])


def test_features_survive_the_file(tmp_path):
    events = make_events(spikes_per_s=10)
    save_events(tmp_path / "r.npz", events)
    again = load_events(tmp_path / "r.npz")
    np.testing.assert_array_equal(compute_features(events, [(0, 4)])[0], compute_features(again, [(0, 4)])[0])


@pytest.mark.parametrize(("start_s", "stop_s"), [(-1, 2), (3, 5), (2, 2), (3, 1)])
def test_window_outside_the_recording_is_refused(start_s, stop_s):
    with pytest.raises(MeaError, match=r"r1: .* asked for; the window must not be empty and must lie within 0 s to 4"):
        compute_features(make_events(), [(start_s, stop_s)])[0]


# --- nothing, or nearly nothing, to measure ---------------------------------------------------------------------------

DEFINED_IN_SILENCE = {
    "burst_20_ms_log10_rate_per_min": -1,
    "burst_20_ms_electrode_fraction": 0,
    "network_burst_10_log10_rate_per_min": -1,
    "network_burst_10_time_fraction": 0,
    "synchrony_10_ms_log10_fraction_above_10": -4,
    "correlation_20_ms_mean_all": 0,
    "firing_rate_log10_mean_hz": -2,
    "firing_rate_log10_std": 0,
    "firing_rate_active_fraction_0p01_hz": 0,
}
UNDEFINED_IN_SILENCE = (
    "isi_pooled_fraction_1_to_2p4_ms",
    "isi_cv_median",
    "burst_20_ms_spike_fraction",
    "burst_100_ms_log10_size",
    "population_log10_fano_5_ms",
    "population_autocorrelation_10_ms",
    "synchrony_50_ms_mean",
    "correlation_20_ms_median",
    "correlation_20_ms_participation_ratio",
    "network_burst_10_peak_fraction",
    "firing_rate_gini",
    "firing_rate_morans_i",
)


@pytest.mark.parametrize("waveforms", [True, False])
def test_silence_gives_no_warning(waveforms):
    silent = make_events(spikes_per_s=0, waveforms=waveforms, duration_s=60)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        features = name_features(silent)
        summarise_recording(
            compute_features(silent, [(0, 60)])[0], compute_features(silent, [(0, 20), (20, 40)]), np.zeros(0)
        )
    assert {name: features[name] for name in DEFINED_IN_SILENCE} == pytest.approx(DEFINED_IN_SILENCE)
    assert [name for name in UNDEFINED_IN_SILENCE if not np.isnan(features[name])] == []
    shown = {name for name, value in features.items() if not np.isnan(value)}
    families = dict(zip(list_features(waveforms), list_families(waveforms)))
    defined = {"bursts", "network_bursts", "synchrony", "correlations", "firing_rates"}
    assert {families.get(name, "long window") for name in shown} <= defined


@settings(max_examples=60, deadline=None)
@given(
    trains=st.lists(st.lists(st.integers(0, 59_999), max_size=12), min_size=1, max_size=6),
    duration_s=st.sampled_from([0.001, 0.03, 1.0, 6.0]),
)
def test_any_recording_gives_neither_warning_nor_infinity(trains, duration_s):
    """Silent, one spike, one electrode, equal times, shorter than every bin."""
    times = [np.sort(np.array(train, float)) / 60_000 * duration_s for train in trains]
    events = make_trains(times, duration_s, 1, len(trains))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        values = compute_features(events, [(0, duration_s)])[0]
        whole = summarise_recording(values, values[None], values)
    assert values.shape == (len(list_features(False)),) and values.dtype == np.float64
    assert not np.isinf(values).any() and not np.isinf(whole).any()
    named = name_features(events)
    assert not np.isinf(list(named.values())).any()
    bounded = [name for name in named if ("fraction" in name or "participation" in name) and "log10" not in name]
    assert all(np.isnan(named[name]) or -1e-12 <= named[name] <= 1 + 1e-12 for name in bounded)


@settings(max_examples=20, deadline=None)
@given(spikes=st.integers(0, 3), seed=st.integers(0, 100), length=st.integers(1, 4))
def test_any_waveform_gives_no_infinity(spikes, seed, length):
    random = np.random.default_rng(seed)
    events = make_events(spikes_per_s=spikes / 4, rows=1, cols=1, seed=seed)
    events = with_waveform(events, random.integers(-2, 3, length), int(random.integers(0, length)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not np.isinf(compute_features(events, [(0, 4)])[0]).any()
