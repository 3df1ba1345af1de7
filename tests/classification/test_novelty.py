"""The novelty detector: what it flags, what it rejects, and how often by mistake."""

from dataclasses import replace

import numpy as np
import pytest
from builders.arrays import make_events
from builders.novelty import GROUPS, NAMES, make_measured
from builders.zips import ZIP_FAULTS

from mea.classification.measurements import CHECKS, Measured, measure_recordings
from mea.classification.novelty import FILE, NoveltyDetector, count_false_alarms, load_detector, save_detector
from mea.features.families import list_families
from mea.runtime.errors import MeaError


@pytest.fixture(autouse=True)
def one_process(monkeypatch):
    monkeypatch.setenv("MEA_WORKERS", "1")


def test_spike_times_have_no_voltages_to_check():
    events = [make_events(waveforms=False, rows=8, cols=8, seed=seed) for seed in range(6)]
    measured = measure_recordings(
        {one.recording: one for one in events}, [one.recording for one in events], np.inf, 5.0
    )
    assert all(
        np.isnan([one.values[name] for name in ("gain_uv", "noise_uv", "dead_fraction")]).all() for one in measured
    )
    detector = NoveltyDetector.fit(measured, np.arange(6))
    assert detector.ranges["noise_uv"] == (-np.inf, np.inf)
    assert detector.check(measured[0]) == ([], [])


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("gain_uv", 0.2, "gain: 0.2 µV per count, expected 0.099 to 0.101 (check the rig's input range)"),
        ("noise_uv", 2.0, "noise floor: 2 µV, expected 3.2 to 5 (check the amplifier's gain and"),
        ("firing_rate_hz", 9.0, "firing rate: 9 spikes per second and electrode, expected 1 to 4 (look at the traces)"),
        ("silent_fraction", 0.9, "electrodes without a spike: 90%, expected 10 to 30% (look at the traces)"),
        ("length_s", 1.0, "length: 1 s, expected 6.67 to 15 (record as long as for training)"),
    ],
)  # fmt: skip
def test_a_number_out_of_range_is_flagged(name, value, sentence):
    measured = make_measured()
    detector = NoveltyDetector.fit(measured, GROUPS)
    odd = replace(measured[0], values=measured[0].values | {name: value})
    reasons, (flags,) = detector.check(odd)
    assert reasons == [] and flags.startswith(sentence)


@pytest.mark.parametrize("name", CHECKS)
def test_a_number_at_the_end_of_its_range_is_within_it(name):
    measured = make_measured()
    detector = NoveltyDetector.fit(measured, GROUPS)
    low, high = detector.ranges[name]
    for value in (low, high):
        odd = replace(measured[0], values=measured[0].values | {"firing_rate_hz": 2.0, name: value})
        assert detector.check(odd) == ([], []), f"{name} = {value}"
    for value in (low - 1e-6, high + 1e-6):
        odd = replace(measured[0], values=measured[0].values | {"firing_rate_hz": 2.0, name: value})
        assert (detector.check(odd) == ([], [])) == np.isinf(value), f"{name} = {value}"


def test_dead_electrodes_are_refused():
    measured = make_measured()
    odd = replace(measured[0], values=measured[0].values | {"dead_fraction": 1 / 3})
    assert NoveltyDetector.fit(measured, GROUPS).check(odd) == (
        ["dead electrodes: 33.3%, expected at most 5% (no noise: clean or replace them)"],
        [],
    )


def test_silence_is_said_once():
    measured = make_measured()
    values = {"firing_rate_hz": 0.0, "silent_fraction": 1.0, "dead_fraction": 1.0, "noise_uv": np.nan}
    odd = Measured(measured[0].values | values, np.full(len(NAMES), np.nan))
    reasons, flags = NoveltyDetector.fit(measured, GROUPS).check(odd)
    assert [sentence.split(":")[0] for sentence in reasons] == ["dead electrodes", "silent"] and flags == []


def test_a_broken_tie_between_features_is_far_though_each_is_usual():
    measured = make_measured(60)
    features = np.array([one.features for one in measured])
    detector = NoveltyDetector.fit(measured, np.repeat(np.arange(12), 5))
    broken = features[7].copy()
    broken[0::6] *= -1  # half of those that show one hidden number now contradict the other half
    inside = (broken > features.min(0)) & (broken < features.max(0))
    assert inside[0::6].mean() > 0.9, "no feature alone gives it away"
    assert detector.measure_distance(broken) > detector.reject_limit > detector.measure_distance(features[7])
    (sentence,), _ = detector.check(replace(measured[7], features=broken))
    assert sentence.startswith("activity: ") and "% of ordinary recordings" in sentence


def test_the_sentence_names_the_family_that_is_farthest():
    measured = make_measured(60)
    detector = NoveltyDetector.fit(measured, np.repeat(np.arange(12), 5))
    features = measured[3].features.copy()
    families = np.array(list_families(True))
    features[families == "network_bursts"] = 50.0
    (sentence,), _ = detector.check(replace(measured[3], features=features))
    assert sentence.startswith("activity: distance to the training data ")
    assert "(1 = median of held-out recordings), largest in network bursts; only 1% of ordinary recordings" in sentence


def test_the_order_of_recordings_does_not_matter():
    measured = make_measured()
    order = np.random.default_rng(1).permutation(len(measured))
    one = NoveltyDetector.fit(measured, GROUPS)
    other = NoveltyDetector.fit([measured[index] for index in order], GROUPS[order])
    assert one.ranges == other.ranges
    odd = make_measured(1, seed=9)[0].features
    assert one.measure_distance(odd) == pytest.approx(other.measure_distance(odd), rel=1e-9)
    assert one.reject_limit == pytest.approx(other.reject_limit, rel=1e-9)


def test_what_all_recordings_have_and_one_lacks_is_far_and_what_some_lack_is_not():
    measured = make_measured()
    lacking = measured[5].features.copy()
    lacking[:60] = np.nan
    odd = replace(measured[5], features=lacking)
    detector = NoveltyDetector.fit(measured, GROUPS)
    assert detector.measure_distance(lacking) > 2 * detector.measure_distance(measured[5].features)
    some = [replace(one, features=np.where(np.arange(len(NAMES)) < 60, np.nan, one.features)) for one in measured[:4]]
    used_to_it = NoveltyDetector.fit([*some, *measured[4:]], GROUPS)
    assert used_to_it.check(odd) == ([], [])
    nobody = [replace(one, features=np.where(np.arange(len(NAMES)) < 60, np.nan, one.features)) for one in measured]
    assert np.isfinite(NoveltyDetector.fit(nobody, GROUPS).measure_distance(measured[0].features))


def test_one_recording_knows_its_ranges_and_no_distance():
    measured = make_measured(1)
    detector = NoveltyDetector.fit(measured, np.zeros(1))
    assert detector.reject_limit == detector.flag_limit == np.inf
    assert detector.check(make_measured(1, seed=5)[0]) == ([], [])
    assert np.isnan(count_false_alarms(measured, np.zeros(1), np.zeros(1))["rejected_fraction"])


def test_false_alarms_are_those_of_folds_never_seen():
    measured, folds = make_measured(48), np.repeat(np.arange(4), 12)
    groups = np.repeat(np.arange(12), 4)
    assert count_false_alarms(measured, groups, folds)["rejected_fraction"] <= 0.05
    loud = [replace(one, values=one.values | {"noise_uv": 40.0}) for one in measured[:12]]
    alarms = count_false_alarms([*loud, *measured[12:]], groups, folds)
    assert alarms["flagged_fraction"] >= 0.25  # usual only to who has learned from it


@pytest.mark.parametrize("n", [1, 24])
def test_round_trip_is_exact(tmp_path, n):
    assert load_detector(tmp_path) is None
    detector = NoveltyDetector.fit(make_measured(n, gain_uv=np.nan), GROUPS[:n])
    save_detector(tmp_path, detector)
    read = load_detector(tmp_path)
    assert read.ranges == detector.ranges and list(read.ranges) == list(CHECKS)
    limits = ("median_distance", "flag_limit", "reject_limit")
    assert [getattr(read, name) for name in limits] == [getattr(detector, name) for name in limits]
    for name, value in vars(detector.space).items():
        np.testing.assert_array_equal(getattr(read.space, name), value)
    first = (tmp_path / FILE).read_bytes()
    save_detector(tmp_path, read)
    assert (tmp_path / FILE).read_bytes() == first


@pytest.mark.parametrize("fault", ZIP_FAULTS)
def test_a_damaged_file(tmp_path, fault):
    save_detector(tmp_path, NoveltyDetector.fit(make_measured(24), GROUPS[:24]))
    (tmp_path / FILE).write_bytes(ZIP_FAULTS[fault]((tmp_path / FILE).read_bytes()))
    with pytest.raises(MeaError, match=r"novelty\.npz: not a file written by the evaluate stage \(.+\)\. Run dvc"):
        load_detector(tmp_path)


def test_a_file_of_another_kind(tmp_path):
    text = r"novelty\.npz: not a file written by the evaluate stage \(.*\)\. Run dvc repro evaluate\."
    (tmp_path / FILE).write_bytes(b"no zip")
    with pytest.raises(MeaError, match=text):
        load_detector(tmp_path)
    with (tmp_path / FILE).open("wb") as stream:
        np.savez(stream, checks=np.array(["colour"]), ranges=np.zeros((1, 2)))
    with pytest.raises(MeaError, match=r"\(checks colour\)"):
        load_detector(tmp_path)
    with (tmp_path / FILE).open("wb") as stream:
        np.savez(stream, checks=np.array(list(CHECKS)), ranges=np.zeros((6, 2)))
    with pytest.raises(MeaError, match=text):
        load_detector(tmp_path)
