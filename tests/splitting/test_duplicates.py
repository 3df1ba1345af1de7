"""One measurement under two names is found however it was dressed up, and recordings that are only alike are not."""

import zipfile
from dataclasses import replace
from functools import cache
from itertools import combinations

import h5py
import numpy as np
import pandas as pd
import pytest
from builders.arrays import make_events
from builders.recordings import make_source, write_small_mcs, write_small_spike_times
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mea.splitting.duplicates as duplicates
from mea.arrays.events import events_from_spike_times
from mea.arrays.resampling import resample_counts
from mea.arrays.spikes import detect_events
from mea.recordings.archives import unpack
from mea.recordings.formats import read_counts, read_raw_recordings
from mea.recordings.layouts import electrode_labels
from mea.runtime.errors import MeaError
from mea.simulation.simulate import list_channels, plan_training, simulate_counts, simulate_spikes
from mea.splitting.duplicates import check_duplicates, explain_same_start, find_duplicates
from mea.splitting.fingerprints import KEPT, compute_fingerprint, compute_fingerprints

RATE_HZ = 25_000
DURATION_S = 8.0
LAYOUT = "60MEA200/30iR-Ti"


# --- voltages --------------------------------------------------------------------------------------------------------


def plan_cultures(batches=1, cultures=1, recordings=2, seed=3):
    plans = plan_training(seed, batches, cultures, recordings, class_effect=1.0, recording_variance=1.0)
    return [replace(plan, layout=LAYOUT) for plan in plans]


@cache
def measure(number=0):
    """Counts, and what they mean, of one simulated recording: each culture is recorded on two days."""
    counts, adc_zero, factor = simulate_counts(plan_cultures()[number], DURATION_S)
    places = electrode_labels(LAYOUT)
    row, col = np.array([places[label] for label in list_channels(LAYOUT)]).T
    source = make_source(counts, RATE_HZ, factor * 1e-12, adc_zero)
    names = np.array(list_channels(LAYOUT))
    return counts, replace(source, layout=LAYOUT, rows=8, cols=8, names=names, row=row, col=col)


def clean(name, counts, source, **changes):
    """Events of counts that were changed, and of electrodes that were left out."""
    source = replace(source, n_samples=counts.shape[1], duration_s=counts.shape[1] / source.sampling_rate_hz, **changes)
    return replace(detect_events(counts, source, 5.0), recording=name)


@cache
def original(number=0):
    return clean(f"r{number}", *measure(number))


def keep_electrodes(source, kept, but_places=()):
    """Those electrodes in that order; what ``but_places`` names stays with the place in the order."""
    names = ("names", "row", "col", "x_um", "y_um", "source_row", "gain_v", "adc_zero")
    place = np.arange(len(kept))
    return replace(source, **{name: getattr(source, name)[place if name in but_places else kept] for name in names})


def second(value_s):
    return round(value_s * RATE_HZ)


def dress_up(how):
    """The first recording's samples under another name."""
    counts, source = measure()
    centred, none = counts - source.adc_zero[:, None], np.zeros_like(source.adc_zero)
    rounded = np.rint(centred * 0.43).astype(np.int32)
    every_other = np.arange(0, len(counts), 2)
    shuffled = np.random.default_rng(1).permutation(len(counts))
    places = ("names", "row", "col", "x_um", "y_um")
    half_reordered = keep_electrodes(replace(source, adc_zero=none), shuffled[::2], places)
    changed = {
        "renamed": lambda: clean("x", counts, source),
        "cropped at the start": lambda: clean("x", counts[:, second(1.0) + 7 :], source),
        "cropped at the end": lambda: clean("x", counts[:, : -second(2.5)], source),
        "cropped at both ends": lambda: clean("x", counts[:, second(2.0) : -second(1.5)], source),
        "another gain": lambda: clean("x", counts, source, gain_v=source.gain_v * 1.37),
        "counts times 2": lambda: clean("x", 2 * counts, source, adc_zero=2 * source.adc_zero),
        "voltages times 0.43, rounded": lambda: clean("x", rounded, source, adc_zero=none),
        "another zero": lambda: clean("x", counts + 1000, source, adc_zero=source.adc_zero + 1000),
        "a zero that is wrong by a little": lambda: clean("x", counts + 1, source),
        "narrower integers": lambda: clean("x", centred.astype(np.int16), source, adc_zero=none),
        "flipped": lambda: clean("x", -centred, source, adc_zero=none),
        "half of the electrodes": lambda: clean("x", counts[every_other], keep_electrodes(source, every_other)),
        "reordered electrodes": lambda: clean("x", counts[shuffled], keep_electrodes(source, shuffled, places)),
        "backwards": lambda: clean("x", counts[:, ::-1], source),
        "backwards, flipped, cropped, half of the electrodes reordered": lambda: clean(
            "x", -centred[shuffled[::2], second(1.0) : -second(1.5)][:, ::-1], half_reordered
        ),
        "another threshold": lambda: replace(detect_events(counts, source, 6.0), recording="x"),
        "flipped, scaled, cropped, half of the electrodes": lambda: clean(
            "x", -3 * centred[every_other, second(1.3) :], keep_electrodes(replace(source, adc_zero=none), every_other)
        ),
    }  # fmt: skip
    return changed[how]()


def find_shared_digests(one, other):
    """The audit as it was: equal digests of samples or events, and nothing else."""
    return {one.samples_sha256, one.content_sha256} & {other.samples_sha256, other.content_sha256}


@pytest.mark.parametrize(
    ("how", "shift_s", "overlap_s"),
    [
        ("cropped at the start", 1.0 + 7 / RATE_HZ, 7.0),
        ("cropped at the end", 0.0, 5.5),
        ("cropped at both ends", 2.0, 4.5),
        ("counts times 2", 0.0, 8.0),
        ("voltages times 0.43, rounded", 0.0, 8.0),
        ("a zero that is wrong by a little", 0.0, 8.0),
        ("flipped", 0.0, 8.0),
        ("half of the electrodes", 0.0, 8.0),
        ("reordered electrodes", 0.0, 8.0),
        ("another threshold", 0.0, 8.0),
        ("flipped, scaled, cropped, half of the electrodes", 1.3, 6.7),
    ],
)
def test_the_same_samples_under_two_names(how, shift_s, overlap_s):
    copy = original(), dress_up(how)
    if how != "another threshold":  # its samples are the same
        assert not find_shared_digests(*copy), "digests alone do not see it"
        (found,) = find_duplicates(list(compute_fingerprints([*copy, original(1)])))
        assert (found.first, found.second, found.identical) == ("r0", "x", False)
        assert found.shift_s == pytest.approx(shift_s, abs=2 / RATE_HZ)
        assert found.overlap_s == pytest.approx(overlap_s, abs=0.001)
        assert 0.5 < found.share <= 1
    unhashed = [replace(compute_fingerprint(events), digests=()) for events in copy]
    assert len(find_duplicates(unhashed)) == 1


@pytest.mark.parametrize("how", ["renamed", "another gain", "another zero", "narrower integers"])
def test_copies_that_digests_see(how):
    copy = original(), dress_up(how)
    assert find_shared_digests(*copy)
    (found,) = find_duplicates(list(compute_fingerprints([*copy, original(1)])))
    assert (found.first, found.second, found.identical, found.share) == ("r0", "x", True, 1.0)
    unhashed = [replace(compute_fingerprint(events), digests=()) for events in copy]
    assert find_duplicates(unhashed)[0].share == 1.0, "and patterns see them too"


def test_pieces_that_overlap_partly():
    """The first and the last 5 s of 8: 2 s in common."""
    counts, source = measure()
    pieces = [clean("first", counts[:, : second(5)], source), clean("last", counts[:, second(3) :], source)]
    assert not find_shared_digests(*pieces)
    (found,) = find_duplicates(list(compute_fingerprints(pieces)))
    assert (found.shift_s, found.overlap_s) == (pytest.approx(3.0, abs=1e-9), pytest.approx(2.0, abs=1e-9))
    assert found.share > 0.5


@pytest.mark.parametrize(
    ("how", "shift_s", "overlap_s"),
    [("backwards", 0.0, 8.0), ("backwards, flipped, cropped, half of the electrodes reordered", 1.0, 5.5)],
)
def test_a_recording_played_backwards(how, shift_s, overlap_s):
    copy = dress_up(how)
    assert not find_shared_digests(original(), copy)
    (found,) = find_duplicates(list(compute_fingerprints([original(), copy, original(1)])))
    assert (found.first, found.second, found.is_reversed) == ("r0", "x", True)
    assert found.shift_s == pytest.approx(shift_s, abs=2 / RATE_HZ)
    assert found.overlap_s == pytest.approx(overlap_s, abs=0.001)
    assert 0.5 < found.share <= 1
    (turned,) = find_duplicates(list(compute_fingerprints([copy, original()])))
    assert (turned.first, turned.second, turned.is_reversed) == ("x", "r0", True)
    assert turned.overlap_s == pytest.approx(overlap_s, abs=0.001)
    with pytest.raises(
        MeaError, match=r"x and r0 share \d+% of the spike patterns in .* s \(x runs backwards against r0"
    ):
        check_duplicates(compute_fingerprints([original(), copy]))


def test_a_cropped_copy_of_heartbeats_is_found_by_the_patterns_that_tell_electrodes_apart():
    """Every electrode shows the same intervals, so patterns that do not tell them apart recur and are left out."""
    whole = beat("whole", 60.0, 0.8001, 0.002, 2, 7)
    begin = second(20.0)
    inside = whole.peak_sample >= begin
    sample = whole.peak_sample[inside] - begin
    piece = make_train("piece", sample / RATE_HZ, whole.electrode[inside], 40.0)
    (found,) = find_duplicates(list(compute_fingerprints([whole, piece, beat("other", 60.0, 0.8001, 0.002, 2, 8)])))
    assert (found.second, found.shift_s) == ("piece", pytest.approx(20.0, abs=1e-4))


def test_pieces_that_do_not_overlap_pass_but_began_at_one_moment():
    counts, source = measure()
    pieces = [clean("first", counts[:, : second(4)], source), clean("last", counts[:, second(4) :], source)]
    assert find_duplicates(list(compute_fingerprints(pieces))) == []
    moment = "2024-03-25T10:21:57"
    table = pd.DataFrame(
        {"recording": ["last", "first", "other"], "batch": ["a", "a", "b"], "start": [moment, moment, moment]}
    )
    text = explain_same_start(table)
    assert text.startswith(f"recordings of one batch began at the same moment (first, last at {moment}): pieces of one")
    assert "unless several rigs were started at once" in text and "recordings.csv" in text
    assert explain_same_start(table.assign(batch=["a", "c", "b"])) == ""
    assert explain_same_start(table.assign(start="")) == ""
    many = pd.DataFrame({"recording": list("abcdefghij"), "batch": "a", "start": [*"00112233", "4", "4"]})
    assert "(a, b at 0; c, d at 1; e, f at 2 and 2 more)" in explain_same_start(many)


def test_pairs_are_named_in_the_order_of_their_names():
    contents = list(compute_fingerprints([original(), dress_up("cropped at the start")]))
    others = [replace(content, recording=name) for content, name in zip(contents, ("b2", "b1"))]
    copies = [replace(original(1), recording=name) for name in ("a2", "a1")]
    with pytest.raises(MeaError) as caught:
        check_duplicates([*others, *compute_fingerprints(copies)])
    assert [line.split(" ")[0] for line in str(caught.value).splitlines()] == ["a1", "b1"]


def test_a_copy_at_another_rate():
    """A bonus: resampled to 10 kHz and back, spikes move by up to half a sample of the coarser clock."""
    counts, source = measure()
    coarse, coarse_source = resample_counts(counts, source, 12_500)
    back, back_source = resample_counts(coarse, coarse_source, RATE_HZ)
    (found,) = find_duplicates(list(compute_fingerprints([original(), clean("x", back, back_source)])))
    assert abs(found.shift_s) < 0.001


def test_the_message_names_both_what_they_share_and_the_remedy():
    with pytest.raises(MeaError) as caught:
        check_duplicates(compute_fingerprints([dress_up("cropped at the start"), original(1), original()]))
    text = str(caught.value)
    assert text.startswith("r0 and x share ") and "% of the spike patterns in 7 s (r0 begins 1.0003 s before x)" in text
    assert "one measurement under two names, cropped, scaled, rearranged or copied." in text
    assert "Remove one of them (and its line in recordings.csv)." in text
    with pytest.raises(MeaError, match=r"x and r0 share .* in 7 s \(x begins 1\.0003 s after r0\)"):
        check_duplicates(compute_fingerprints([original(), dress_up("cropped at the start")]))
    with pytest.raises(
        MeaError, match=r"x and r0 hold the same samples or events: one recording under two names\. Rem"
    ):
        check_duplicates(compute_fingerprints([original(), dress_up("another gain")]))


def test_copies_that_unpacking_sees(tmp_path):
    """Compressed anew inside the file, and zipped anew: other bytes, the same samples, the same digest."""
    plain, packed = tmp_path / "plain.h5", tmp_path / "packed.h5"
    write_small_mcs(plain, seed=4, n_samples=10_000)
    write_small_mcs(tmp_path / "other.h5", seed=5, n_samples=10_000)
    with h5py.File(plain) as source, h5py.File(packed, "w") as target:
        target.attrs.update(source.attrs)
        source.visititems(lambda name, item: compress_anew(target, name, item))
    with zipfile.ZipFile(tmp_path / "again.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.write(packed, "renamed.h5")
    unpack(tmp_path / "again.zip", tmp_path / "out")
    (unpacked,) = (tmp_path / "out").rglob("renamed.h5")
    assert unpacked.read_bytes() != plain.read_bytes()
    contents = [compute_fingerprint(read_file(path)) for path in (plain, unpacked, tmp_path / "other.h5")]
    (found,) = find_duplicates(contents)
    assert (found.first, found.second, found.identical) == ("plain", "renamed", True)
    assert contents[0].digests[0] == contents[1].digests[0]


def compress_anew(target, name, item):
    if isinstance(item, h5py.Dataset):
        values = item[()]
        is_large = values.ndim == 2 and values.shape[1] > 5000
        how = {"compression": "gzip", "compression_opts": 2, "chunks": (8, 5000)} if is_large else {}
        target.create_dataset(name, data=values, **how).attrs.update(item.attrs)
    else:
        target.require_group(name).attrs.update(item.attrs)


def read_file(path):
    (source,) = read_raw_recordings(path, "raw")
    return replace(detect_events(read_counts(path, source), source, 5.0), recording=path.stem)


# --- what is only alike ----------------------------------------------------------------------------------------------


def fire(plan, duration_s=60.0):
    """Events without voltages of a simulated recording."""
    _, spikes = simulate_spikes(plan, duration_s)
    places = electrode_labels(plan.layout)
    row, col = np.array([places[label] for label in list_channels(plan.layout)]).T
    return make_train(plan.recording, spikes.time_s, spikes.electrode, duration_s, row=row, col=col)


def make_train(name, time_s, electrode, duration_s, **changes):
    sample = np.rint(np.asarray(time_s) * RATE_HZ).astype(np.int64)
    inside = (sample >= 0) & (sample < duration_s * RATE_HZ)
    sample, electrode = sample[inside], np.asarray(electrode)[inside]
    order = np.lexsort((electrode, sample))
    return replace(
        make_events(name, rows=8, cols=8, duration_s=duration_s, spikes_per_s=0.0, waveforms=False),
        electrode=electrode[order],
        first_sample=sample[order],
        peak_sample=sample[order],
        offset=np.zeros(len(sample) + 1, np.int64),
        **changes,
    )


def test_recordings_of_one_culture_are_not_one_recording():
    plans = plan_cultures(batches=3, cultures=2, recordings=3)
    contents = list(compute_fingerprints(fire(plan) for plan in plans))
    assert len(contents) == 36 and min(len(content.hashes) for content in contents) > 100
    assert find_duplicates(contents) == []


def beat(name, duration_s, period_s, jitter_s, own_samples, seed):
    """A pacemaker seen by all electrodes: each with its own delay, and its own error of some samples at every beat."""
    random = np.random.default_rng(seed)
    beats = np.cumsum(period_s + jitter_s * random.standard_normal(int(duration_s / period_s)))
    electrode = np.tile(np.arange(64), len(beats))
    time_s = np.repeat(beats, 64) + random.integers(0, 200, 64)[electrode] / RATE_HZ
    error = random.integers(-own_samples, own_samples + 1, len(electrode)) / RATE_HZ
    return make_train(name, time_s + error, electrode, duration_s)


@pytest.mark.parametrize("jitter_s", [0, 0.0001, 0.0005, 0.002])
@pytest.mark.parametrize("own_samples", [0, 2])
@pytest.mark.parametrize(("duration_s", "period_s"), [(9.6, 0.1), (60.0, 0.1), (60.0, 0.8001)])
def test_pacemakers_are_not_one_recording(duration_s, period_s, jitter_s, own_samples):
    trains = [beat(f"r{n}", duration_s, period_s, jitter_s, own_samples, n) for n in range(12)]
    assert find_duplicates(list(compute_fingerprints(trains))) == []


def test_a_count_of_shared_patterns_without_a_shift_would_be_a_false_alarm():
    """Beats that vary a little share hundreds of patterns by chance, but not at one shift and at several times."""
    contents = list(compute_fingerprints(beat(f"r{n}", 60.0, 0.1, 0.0005, 2, n) for n in range(12)))
    shared = [len(np.intersect1d(a.hashes, b.hashes)) for a, b in combinations(contents, 2)]
    assert max(shared) > 10 * duplicates.LEAST_PATTERNS
    assert find_duplicates(contents) == []


def test_one_stretch_of_equal_beats_on_all_electrodes_is_a_coincidence():
    """Planted: 8 beats in a row at the same intervals, seen by all electrodes at once."""
    random = np.random.default_rng(0)
    shared = 0.8 + 0.05 * random.standard_normal(7)
    trains = []
    for number in range(2):
        beats = np.cumsum(np.concatenate([0.8 + 0.05 * random.standard_normal(30), shared, [0.9, 0.7]]))
        delay_s = np.arange(64) / 1000
        trains.append(make_train(f"r{number}", (beats[:, None] + delay_s).ravel(), np.tile(np.arange(64), 39), 40.0))
    contents = [compute_fingerprint(train) for train in trains]
    assert len(np.intersect1d(contents[0].hashes, contents[1].hashes)) >= 64
    assert find_duplicates(contents) == []


def test_stimuli_that_all_recordings_share_are_not_one_recording():
    """A protocol of irregular stimuli seen by all electrodes, and a culture's own spikes between them."""
    protocol_s = np.cumsum(np.random.default_rng(99).uniform(0.2, 0.6, 140))
    trains = []
    for number in range(40):
        random = np.random.default_rng(number)
        own_s, own = random.uniform(0, 60, 3000), random.integers(0, 20, 3000)
        time_s = np.concatenate([np.repeat(protocol_s, 64), own_s])
        trains.append(make_train(f"r{number}", time_s, np.concatenate([np.tile(np.arange(64), 140), own]), 60.0))
    assert find_duplicates(list(compute_fingerprints(trains))) == []
    copy = replace(trains[7], recording="x", samples_sha256="other", n_samples=trains[7].n_samples + 1)
    (found,) = find_duplicates(list(compute_fingerprints([*trains, copy])))
    assert (found.first, found.second) == ("r7", "x")


def test_silent_recordings_pass_and_silent_voltages_are_compared_by_their_samples():
    silent = [make_events(f"r{number}", spikes_per_s=0.0) for number in range(2)]
    assert find_duplicates(list(compute_fingerprints(silent))) == []
    assert find_duplicates(list(compute_fingerprints([replace(events, samples_sha256="same") for events in silent])))
    spike_times = [
        replace(make_events(f"s{n}", spikes_per_s=0.0, waveforms=False), samples_sha256="") for n in range(2)
    ]
    assert find_duplicates(list(compute_fingerprints(spike_times))) == []


def test_hardly_anything_to_compare():
    few = [make_events(f"r{n}", spikes_per_s=1.0, rows=1, cols=2, seed=n) for n in range(3)]
    assert find_duplicates([]) == [] and find_duplicates(list(compute_fingerprints(few))) == []
    check_duplicates(compute_fingerprints(few))


def test_many_copies_are_all_named_up_to_ten():
    """More copies of one recording than a pattern may have holders are found as long as others are the majority."""
    others = [make_events(f"o{number:02d}", seed=number + 1, duration_s=10.0) for number in range(25)]
    counts = [make_events(f"c{number:02d}", duration_s=10.0) for number in range(20)]
    shifted = [replace(events, peak_sample=events.peak_sample + 3 * number) for number, events in enumerate(counts)]
    contents = list(compute_fingerprints([*others, *shifted]))
    found = find_duplicates(contents)
    assert {found.first for found in found} | {found.second for found in found} == {
        events.recording for events in counts
    }
    with pytest.raises(MeaError, match=rf"… and {len(found) - 10} more pairs\.") as caught:
        check_duplicates(contents)
    assert len(str(caught.value).splitlines()) == 11


# --- any shift, any length -------------------------------------------------------------------------------------------


@given(
    first=st.integers(0, 20 * RATE_HZ),
    length_s=st.floats(8, 40),
    seed=st.integers(0, 1000),
    spikes_per_s=st.floats(1.0, 30.0),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_crop_is_found(first, length_s, seed, spikes_per_s):
    """Spikes at random times, more than are kept of a recording where there are many."""
    whole = make_events("whole", seed=seed, spikes_per_s=spikes_per_s, duration_s=60.0, rows=4, cols=4, waveforms=False)
    last = first + round(length_s * RATE_HZ)
    inside = (whole.peak_sample >= first) & (whole.peak_sample < last)
    piece = replace(
        whole,
        recording="piece",
        samples_sha256="other",
        n_samples=last - first,
        duration_s=(last - first) / RATE_HZ,
        electrode=whole.electrode[inside],
        first_sample=whole.first_sample[inside] - first,
        peak_sample=whole.peak_sample[inside] - first,
        offset=np.zeros(inside.sum() + 1, np.int64),
    )
    other = make_events("other", seed=seed + 1, spikes_per_s=spikes_per_s, duration_s=60.0, rows=4, cols=4)
    (found,) = find_duplicates(list(compute_fingerprints([whole, other, piece])))
    assert (found.first, found.second) == ("whole", "piece")
    assert found.shift_s == pytest.approx(first / RATE_HZ, abs=1e-6) and found.share > 0.9


@pytest.mark.parametrize("cut_s", [10.0, 10.00001, 10.123456])
def test_spike_times_cropped_between_two_samples(tmp_path, cut_s):
    """Rounded anew, a spike may come to stand a sample further; most patterns survive it."""
    write_small_spike_times(tmp_path / "whole.h5", duration_s=120.0, firing_rate_hz=5.0)
    (source,) = read_raw_recordings(tmp_path / "whole.h5", "raw")
    kept = source.spike_times_s >= cut_s
    piece = replace(
        source,
        duration_s=source.duration_s - cut_s,
        spike_times_s=source.spike_times_s[kept] - cut_s,
        spike_electrode=source.spike_electrode[kept],
    )
    pair = [
        replace(events_from_spike_times(item, RATE_HZ), recording=name) for item, name in ((source, "a"), (piece, "b"))
    ]
    assert not find_shared_digests(*pair)
    (found,) = find_duplicates(list(compute_fingerprints(pair)))
    assert found.shift_s == pytest.approx(cut_s, abs=1 / RATE_HZ) and found.overlap_s == pytest.approx(
        120 - cut_s, abs=1e-3
    )


def test_the_same_recording_has_the_same_patterns_whatever_the_order_of_its_electrodes():
    events = make_events(spikes_per_s=20.0, duration_s=20.0, rows=4, cols=4)
    assert np.bincount(events.electrode).sum() > KEPT
    order = np.random.default_rng(0).permutation(16)
    place = np.argsort(order)
    turned = replace(events, row=events.row[order], col=events.col[order], electrode=place[events.electrode])
    one, other = compute_fingerprint(events), compute_fingerprint(turned)
    np.testing.assert_array_equal(one.hashes, other.hashes)
    np.testing.assert_array_equal(one.start_s, other.start_s)
    assert 0.8 * KEPT < len(one.hashes) < 1.2 * KEPT


def test_real_recordings_are_not_one_another(shared_data, tmp_path):
    """Two plating dates of charlesworth2015: cultures recorded on many days, and none of them twice."""
    archives = sorted((shared_data / "charlesworth2015").glob("*.zip"))[:2]
    contents = []
    for archive in archives:
        unpack(archive, tmp_path / archive.stem)
        for path in sorted((tmp_path / archive.stem).rglob("*.h5")):
            (source,) = read_raw_recordings(path, "raw")
            events = events_from_spike_times(source, RATE_HZ)
            contents.append(compute_fingerprint(replace(events, recording=path.stem)))
    assert len(contents) > 10
    assert find_duplicates(contents) == []
    times = read_raw_recordings(path, "raw")[0]
    kept = times.spike_times_s > 300
    piece = replace(times, spike_times_s=times.spike_times_s[kept] - 300, spike_electrode=times.spike_electrode[kept])
    piece = replace(events_from_spike_times(piece, RATE_HZ), recording="piece")
    (found,) = find_duplicates([*contents, compute_fingerprint(piece)])
    assert (found.first, found.second) == (path.stem, "piece") and found.shift_s == pytest.approx(300, abs=1e-3)
    whole = replace(events, recording="turned", samples_sha256="", electrode=59 - events.electrode[::-1])
    backwards = {name: whole.n_samples - 1 - getattr(whole, name)[::-1] for name in ("first_sample", "peak_sample")}
    (found,) = find_duplicates([*contents, compute_fingerprint(replace(whole, **backwards))])
    assert (found.first, found.second, found.is_reversed) == (path.stem, "turned", True) and found.share > 0.7
