"""Unlike the training data: plain checks, the distance, its limits, and new recordings of a whole simulated lab."""

from dataclasses import replace

import numpy as np
import pytest
from builders.arrays import make_events

import mea.classification.feature_space
from mea.classification.feature_space import find_space, foretell_distance, measure_held_out
from mea.classification.novelty import (
    CHECKS,
    FILE,
    Measured,
    count_false_alarms,
    gain_experience,
    list_strange,
    load_experience,
    measure_novelty,
    measure_recording,
    measure_recordings,
    save_experience,
)
from mea.features.families import list_features
from mea.runtime.errors import MeaError

NAMES = list_features(has_waveforms=True)
GROUPS = np.repeat(np.arange(6), 4)


@pytest.fixture(autouse=True)
def one_process(monkeypatch):
    monkeypatch.setenv("MEA_WORKERS", "1")


def make_measured(n: int = 24, seed: int = 0, **values: float) -> list[Measured]:
    """Recordings whose features are three hidden numbers, each seen in a third of the features, and noise."""
    random = np.random.default_rng(seed)
    hidden = np.tile(random.normal(size=(n, 3)), len(NAMES) // 3 + 1)[:, : len(NAMES)]
    usual = {
        "gain_uv": 0.1,
        "noise_uv": 4.0,
        "firing_rate_hz": 2.0,
        "silent_share": 0.2,
        "dead_share": 0.0,
        "length_s": 10.0,
    }
    return [Measured(usual | values, features) for features in hidden + 0.2 * random.normal(size=hidden.shape)]


def spread_values(name: str, values) -> list[Measured]:
    usual = make_measured(len(values))
    return [replace(one, values=one.values | {name: float(value)}) for one, value in zip(usual, values)]


# --- what is measured -----------------------------------------------------------------------------------------------


def test_numbers_of_a_recording_are_the_known_ones():
    """Electrodes 0 to 35 are flat, 36 to 39 hum faintly; only the other 104 fire, 10 spikes each in the first 2 s."""
    events = make_events(duration_s=4.0, spikes_per_s=0.0)
    electrode = np.repeat(np.arange(40, 144), 11)
    sample = np.tile([*range(2500, 27_500, 2500), 60_000], 104)  # the last in the third second
    order = np.lexsort((electrode, sample))
    threshold_uv = np.concatenate([np.zeros(36), np.full(4, 5.5), np.full(104, 20.0)])
    events = replace(
        events, electrode=electrode[order], first_sample=sample[order], peak_sample=sample[order],
        offset=np.arange(len(order) + 1), waveform_counts=np.full(len(order), -300, np.int16),
        threshold_uv=threshold_uv,
    )  # fmt: skip
    values = measure_recording(events, used_s=2.0, threshold=5.0).values
    expected = {
        "gain_uv": 0.1,
        "noise_uv": 4.0,  # of the living
        "firing_rate_hz": 104 * 10 / 144 / 2,
        "silent_share": 40 / 144,
        "dead_share": 40 / 144,
        "length_s": 2.0,
    }
    assert values == pytest.approx(expected)
    whole = measure_recording(events, used_s=np.inf, threshold=5.0)
    assert whole.values["length_s"] == 4.0 and whole.values["firing_rate_hz"] == pytest.approx(104 * 11 / 144 / 4)
    assert whole.features.shape == (len(NAMES),)


def test_most_electrodes_may_be_dead():
    for many in (30, 100):  # more than half, too: the noise of the living is what counts
        threshold_uv = np.where(np.arange(144) < many, 0.0, 20.0)
        values = measure_recording(replace(make_events(), threshold_uv=threshold_uv), np.inf, 5.0).values
        assert (values["dead_share"], values["noise_uv"]) == (many / 144, 4.0)
    values = measure_recording(replace(make_events(), threshold_uv=np.zeros(144)), np.inf, 5.0).values
    assert values["dead_share"] == 1 and np.isnan(values["noise_uv"])


def test_spike_times_have_no_voltages_to_check():
    events = [make_events(waveforms=False, rows=8, cols=8, seed=seed) for seed in range(6)]
    measured = measure_recordings(events, np.inf, 5.0)
    assert all(np.isnan([one.values[name] for name in ("gain_uv", "noise_uv", "dead_share")]).all() for one in measured)
    experience = gain_experience(measured, np.arange(6))
    assert experience.ranges["noise_uv"] == (-np.inf, np.inf)
    assert list_strange(experience, measured[0]) == ([], [])


# --- ranges ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "values", "low", "high"),
    [
        ("firing_rate_hz", [1.0, 16.0, 4.0], 0.25, 64.0),  # a range of 16 to 1: half of it again is 4 to 1
        ("firing_rate_hz", [3.0, 3.0, 3.0], 1.5, 6.0),  # all alike: the least slack
        ("noise_uv", [4.0, 4.0, 4.0], 3.2, 5.0),
        ("length_s", [120.0, 120.0, 120.0], 80.0, 180.0),
        ("silent_share", [0.2, 0.6, 0.3], 0.0, 0.8),
        ("dead_share", [0.0, 0.0, 0.0], -0.05, 0.05),
        ("gain_uv", [np.nan, 1.0, 1.0], 1 / 1.01, 1.01),
        ("gain_uv", [np.nan] * 3, -np.inf, np.inf),
    ],
)
def test_ranges(name, values, low, high):
    found = gain_experience(spread_values(name, values), np.arange(3)).ranges[name]
    assert found == pytest.approx((low, high))


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("gain_uv", 0.2, "gain: 0.2 µV per count, expected 0.099 to 0.101 (check the rig's input range)"),
        ("noise_uv", 2.0, "noise floor: 2 µV, expected 3.2 to 5 (check the amplifier's gain and"),
        ("firing_rate_hz", 9.0, "firing rate: 9 spikes per second and electrode, expected 1 to 4 (look at the traces)"),
        ("silent_share", 0.9, "electrodes without a spike: 90%, expected 10 to 30% (look at the traces)"),
        ("length_s", 1.0, "length: 1 s, expected 6.67 to 15 (record as long as for training)"),
    ],
)  # fmt: skip
def test_a_number_out_of_range_is_flagged(name, value, sentence):
    measured = make_measured()
    experience = gain_experience(measured, GROUPS)
    odd = replace(measured[0], values=measured[0].values | {name: value})
    grave, (slight,) = list_strange(experience, odd)
    assert grave == [] and slight.startswith(sentence)


def test_dead_electrodes_are_refused():
    measured = make_measured()
    odd = replace(measured[0], values=measured[0].values | {"dead_share": 1 / 3})
    assert list_strange(gain_experience(measured, GROUPS), odd) == (
        ["dead electrodes: 33.3%, expected at most 5% (without noise: clean or replace them)"],
        [],
    )


def test_silence_is_said_once():
    measured = make_measured()
    values = {"firing_rate_hz": 0.0, "silent_share": 1.0, "dead_share": 1.0, "noise_uv": np.nan}
    odd = Measured(measured[0].values | values, np.full(len(NAMES), np.nan))
    grave, slight = list_strange(gain_experience(measured, GROUPS), odd)
    assert [sentence.split(":")[0] for sentence in grave] == ["dead electrodes", "silent"] and slight == []


# --- distance -------------------------------------------------------------------------------------------------------


def test_distance_along_and_beside_the_main_directions_is_the_known_one():
    """Features of spread 3 and 1 that do not depend on each other, and enough recordings for both directions."""
    angle = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    features = np.stack([3 * np.cos(angle), np.sin(angle)], 1)
    space = find_space(features)
    # Quartiles of a cosine lie at sqrt(1/2) of its height: both features then have the variance (1.349/2)².
    spread = 1.349 / 2
    scaled = np.array([1.0, 2.0])
    feature = scaled * np.array([3, 1]) * np.sqrt(2) / 1.349
    expected = np.sqrt((scaled**2 / spread**2).mean())
    assert space.measure_distances(feature[None]) == pytest.approx(expected, rel=0.01)


def test_a_broken_tie_between_features_is_far_though_each_is_usual():
    measured = make_measured(60)
    features = np.array([one.features for one in measured])
    experience = gain_experience(measured, np.repeat(np.arange(12), 5))
    broken = features[7].copy()
    broken[0::6] *= -1  # half of those that show one hidden number now contradict the other half
    inside = (broken > features.min(0)) & (broken < features.max(0))
    assert inside[0::6].mean() > 0.9, "no feature alone gives it away"
    assert measure_novelty(experience, broken) > experience.refused_from > measure_novelty(experience, features[7])
    (sentence,), _ = list_strange(experience, replace(measured[7], features=broken))
    assert sentence.startswith("activity: ") and "% of ordinary recordings" in sentence


def test_the_sentence_names_the_family_that_is_farthest():
    measured = make_measured(60)
    experience = gain_experience(measured, np.repeat(np.arange(12), 5))
    features = measured[3].features.copy()
    families = np.array(mea.classification.novelty.list_families(True))
    features[families == "network_bursts"] = 50.0
    (sentence,), _ = list_strange(experience, replace(measured[3], features=features))
    assert "times as far from the training data as is common, above all in network bursts (1% of ordinary" in sentence


def test_the_order_of_recordings_does_not_matter():
    measured = make_measured()
    order = np.random.default_rng(1).permutation(len(measured))
    one = gain_experience(measured, GROUPS)
    other = gain_experience([measured[index] for index in order], GROUPS[order])
    assert one.ranges == other.ranges
    odd = make_measured(1, seed=9)[0].features
    assert measure_novelty(one, odd) == pytest.approx(measure_novelty(other, odd), rel=1e-9)
    assert one.refused_from == pytest.approx(other.refused_from, rel=1e-9)


def test_what_all_recordings_have_and_one_lacks_is_far_and_what_some_lack_is_not():
    measured = make_measured()
    lacking = measured[5].features.copy()
    lacking[:60] = np.nan
    odd = replace(measured[5], features=lacking)
    experience = gain_experience(measured, GROUPS)
    assert measure_novelty(experience, lacking) > 2 * measure_novelty(experience, measured[5].features)
    some = [replace(one, features=np.where(np.arange(len(NAMES)) < 60, np.nan, one.features)) for one in measured[:4]]
    used_to_it = gain_experience([*some, *measured[4:]], GROUPS)
    assert list_strange(used_to_it, odd) == ([], [])
    nobody = [replace(one, features=np.where(np.arange(len(NAMES)) < 60, np.nan, one.features)) for one in measured]
    assert np.isfinite(measure_novelty(gain_experience(nobody, GROUPS), measured[0].features))


def test_one_recording_knows_its_ranges_and_no_distance():
    measured = make_measured(1)
    experience = gain_experience(measured, np.zeros(1))
    assert experience.refused_from == experience.flagged_from == np.inf
    assert list_strange(experience, make_measured(1, seed=5)[0]) == ([], [])
    assert np.isnan(count_false_alarms(measured, np.zeros(1), np.zeros(1))["refused_share"])


# --- limits ---------------------------------------------------------------------------------------------------------


def test_the_limit_foretells_a_new_group():
    """Logarithms of distances are normal, with a part that a group shares: of new ones so many lie beyond."""
    random = np.random.default_rng(0)
    beyond = []
    for _ in range(400):
        logs = 0.3 * np.repeat(random.normal(size=11), 6) + 0.1 * random.normal(size=66)
        limit = foretell_distance(np.exp(logs[:60]), 10, 0.05)
        beyond.append(np.exp(logs[60:]) > limit)
    assert 0.02 < np.mean(beyond) < 0.08


def test_a_new_batch_is_farther_than_another_recording_of_a_known_one():
    """Limits from recordings held out one by one, their siblings left in, would refuse new batches."""
    random = np.random.default_rng(3)
    batches = random.normal(size=(9, len(NAMES)))
    features = np.repeat(batches, 6, axis=0) + 0.1 * random.normal(size=(54, len(NAMES)))
    groups = np.repeat(np.arange(8), 6)
    new = find_space(features[:48]).measure_distances(features[48:])
    distances, count = measure_held_out(features[:48], groups)
    naive, _ = measure_held_out(features[:48], np.arange(48))
    assert count == 8
    assert (new > foretell_distance(naive, 48, 0.01)).all()
    assert not (new > foretell_distance(distances, count, 0.01)).any()


def test_many_groups_are_held_out_several_at_a_time(monkeypatch):
    features = np.array([one.features for one in make_measured(45)])
    called = []
    space = mea.classification.feature_space.find_space

    def count(features):
        called.append(len(features))
        return space(features)

    monkeypatch.setattr(mea.classification.feature_space, "find_space", count)
    distances, groups = measure_held_out(features, np.arange(45))
    assert groups == 45 and len(called) == 20 and (distances > 0).all()


def test_false_alarms_are_those_of_folds_never_seen():
    measured, folds = make_measured(48), np.repeat(np.arange(4), 12)
    groups = np.repeat(np.arange(12), 4)
    assert count_false_alarms(measured, groups, folds)["refused_share"] <= 0.05
    loud = [replace(one, values=one.values | {"noise_uv": 40.0}) for one in measured[:12]]
    alarms = count_false_alarms([*loud, *measured[12:]], groups, folds)
    assert alarms["flagged_share"] >= 0.25  # usual only to who has learned from it


# --- written and read -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 24])
def test_round_trip_is_exact(tmp_path, n):
    assert load_experience(tmp_path) is None
    experience = gain_experience(make_measured(n, gain_uv=np.nan), GROUPS[:n])
    save_experience(tmp_path, experience)
    read = load_experience(tmp_path)
    assert read.ranges == experience.ranges and list(read.ranges) == list(CHECKS)
    limits = ("common", "flagged_from", "refused_from")
    assert [getattr(read, name) for name in limits] == [getattr(experience, name) for name in limits]
    for name, value in vars(experience.space).items():
        np.testing.assert_array_equal(getattr(read.space, name), value)
    first = (tmp_path / FILE).read_bytes()
    save_experience(tmp_path, read)
    assert (tmp_path / FILE).read_bytes() == first


def test_a_file_of_another_kind(tmp_path):
    text = r"novelty\.npz: not a file written by the evaluate stage \(.*\)\. Run dvc repro evaluate\."
    (tmp_path / FILE).write_bytes(b"no zip")
    with pytest.raises(MeaError, match=text):
        load_experience(tmp_path)
    with (tmp_path / FILE).open("wb") as stream:
        np.savez(stream, checks=np.array(["colour"]), ranges=np.zeros((1, 2)))
    with pytest.raises(MeaError, match=r"\(checks colour\)"):
        load_experience(tmp_path)
    with (tmp_path / FILE).open("wb") as stream:
        np.savez(stream, checks=np.array(list(CHECKS)), ranges=np.zeros((6, 2)))
    with pytest.raises(MeaError, match=text):
        load_experience(tmp_path)
