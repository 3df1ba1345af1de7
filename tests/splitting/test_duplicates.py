"""One measurement under two names is found, however it was changed."""

import zipfile
from dataclasses import replace

import h5py
import pandas as pd
import pytest
from builders.copies import (
    SAMPLING_RATE_HZ,
    beat,
    detect,
    find_shared_digests,
    make_copy,
    make_train,
    original,
    simulate_voltages,
    to_samples,
)
from builders.recordings import write_small_mcs

from mea.arrays.resampling import resample_counts
from mea.arrays.spikes import detect_events
from mea.recordings.archives import unpack
from mea.recordings.formats import read_counts, read_raw_recordings
from mea.runtime.errors import MeaError
from mea.splitting import duplicates
from mea.splitting.duplicates import check_duplicates, explain_same_start, find_duplicates
from mea.splitting.fingerprints import compute_fingerprint, compute_fingerprints


@pytest.mark.parametrize(
    ("how", "shift_s", "overlap_s"),
    [
        ("cropped at the start", 1.0 + 7 / SAMPLING_RATE_HZ, 7.0),
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
    copy = original(), make_copy(how)
    if how != "another threshold":  # its samples are the same
        assert not find_shared_digests(*copy), "digests alone do not see it"
        (found,) = find_duplicates(list(compute_fingerprints([*copy, original(1)])))
        assert (found.first, found.second, found.identical) == ("r0", "x", False)
        assert found.shift_s == pytest.approx(shift_s, abs=2 / SAMPLING_RATE_HZ)
        assert found.overlap_s == pytest.approx(overlap_s, abs=0.001)
        assert 0.5 < found.fraction <= 1
    unhashed = [replace(compute_fingerprint(events), digests=()) for events in copy]
    assert len(find_duplicates(unhashed)) == 1


@pytest.mark.parametrize("most", [30, 3000])
def test_patterns_that_are_sorted_in_parts_find_the_same(monkeypatch, most):
    counts, source = simulate_voltages()
    pieces = [detect("first", counts[:, : to_samples(5)], source), detect("last", counts[:, to_samples(3) :], source)]
    copies = [make_copy(how) for how in ("cropped at both ends", "reordered electrodes", "flipped")]
    events = [*pieces, *(replace(copy, recording=f"copy {number}") for number, copy in enumerate(copies)), original(1)]
    fingerprints = [replace(compute_fingerprint(one), digests=()) for one in events]
    whole = find_duplicates(fingerprints)
    assert len(whole) > 5 and sum(len(one.hashes) for one in fingerprints) > 6000
    monkeypatch.setattr(duplicates, "MOST_SORTED", most)
    assert find_duplicates(fingerprints) == whole


@pytest.mark.parametrize("how", ["renamed", "another gain", "another zero", "narrower integers"])
def test_copies_that_digests_see(how):
    copy = original(), make_copy(how)
    assert find_shared_digests(*copy)
    (found,) = find_duplicates(list(compute_fingerprints([*copy, original(1)])))
    assert (found.first, found.second, found.identical, found.fraction) == ("r0", "x", True, 1.0)
    unhashed = [replace(compute_fingerprint(events), digests=()) for events in copy]
    assert find_duplicates(unhashed)[0].fraction == 1.0, "and patterns see them too"


def test_pieces_that_overlap_partly():
    """The first and the last 5 s of 8: 2 s in common."""
    counts, source = simulate_voltages()
    pieces = [detect("first", counts[:, : to_samples(5)], source), detect("last", counts[:, to_samples(3) :], source)]
    assert not find_shared_digests(*pieces)
    (found,) = find_duplicates(list(compute_fingerprints(pieces)))
    assert (found.shift_s, found.overlap_s) == (pytest.approx(3.0, abs=1e-9), pytest.approx(2.0, abs=1e-9))
    assert found.fraction > 0.5


@pytest.mark.parametrize(
    ("how", "shift_s", "overlap_s"),
    [("backwards", 0.0, 8.0), ("backwards, flipped, cropped, half of the electrodes reordered", 1.0, 5.5)],
)
def test_a_recording_played_backwards(how, shift_s, overlap_s):
    copy = make_copy(how)
    assert not find_shared_digests(original(), copy)
    (found,) = find_duplicates(list(compute_fingerprints([original(), copy, original(1)])))
    assert (found.first, found.second, found.is_reversed) == ("r0", "x", True)
    assert found.shift_s == pytest.approx(shift_s, abs=2 / SAMPLING_RATE_HZ)
    assert found.overlap_s == pytest.approx(overlap_s, abs=0.001)
    assert 0.5 < found.fraction <= 1
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
    begin = to_samples(20.0)
    inside = whole.peak_sample >= begin
    sample = whole.peak_sample[inside] - begin
    piece = make_train("piece", sample / SAMPLING_RATE_HZ, whole.electrode[inside], 40.0)
    (found,) = find_duplicates(list(compute_fingerprints([whole, piece, beat("other", 60.0, 0.8001, 0.002, 2, 8)])))
    assert (found.second, found.shift_s) == ("piece", pytest.approx(20.0, abs=1e-4))


def test_pieces_that_do_not_overlap_pass_but_began_at_one_moment():
    counts, source = simulate_voltages()
    pieces = [detect("first", counts[:, : to_samples(4)], source), detect("last", counts[:, to_samples(4) :], source)]
    assert find_duplicates(list(compute_fingerprints(pieces))) == []
    moment = "2024-03-25T10:21:57"
    table = pd.DataFrame(
        {"recording": ["last", "first", "other"], "batch": ["a", "a", "b"], "start": [moment, moment, moment]}
    )
    text = explain_same_start(table)
    assert text.startswith(
        f"recordings of one batch began at the same moment (first, last at {moment}): they are parts"
    )
    assert "unless several rigs were started at once" in text and "recordings.csv" in text
    assert explain_same_start(table.assign(batch=["a", "c", "b"])) == ""
    assert explain_same_start(table.assign(start="")) == ""
    many = pd.DataFrame({"recording": list("abcdefghij"), "batch": "a", "start": [*"00112233", "4", "4"]})
    assert "(a, b at 0; c, d at 1; e, f at 2 and 2 more)" in explain_same_start(many)


def test_pairs_are_named_in_the_order_of_their_names():
    fingerprints = list(compute_fingerprints([original(), make_copy("cropped at the start")]))
    others = [replace(fingerprint, recording=name) for fingerprint, name in zip(fingerprints, ("b2", "b1"))]
    copies = [replace(original(1), recording=name) for name in ("a2", "a1")]
    with pytest.raises(MeaError) as caught:
        check_duplicates([*others, *compute_fingerprints(copies)])
    assert [line.split(" ")[0] for line in str(caught.value).splitlines()] == ["a1", "b1"]


def test_a_copy_at_another_rate():
    """A bonus: resampled to 10 kHz and back, spikes move by up to half a sample of the coarser clock."""
    counts, source = simulate_voltages()
    coarse, coarse_source = resample_counts(counts, source, 12_500)
    back, back_source = resample_counts(coarse, coarse_source, SAMPLING_RATE_HZ)
    (found,) = find_duplicates(list(compute_fingerprints([original(), detect("x", back, back_source)])))
    assert abs(found.shift_s) < 0.001


def test_the_message_names_both_what_they_share_and_the_remedy():
    with pytest.raises(MeaError) as caught:
        check_duplicates(compute_fingerprints([make_copy("cropped at the start"), original(1), original()]))
    text = str(caught.value)
    assert text.startswith("r0 and x share ") and "% of the spike patterns in 7 s (r0 begins 1.0003 s before x)" in text
    assert "one measurement under two names, cropped, scaled, rearranged or copied." in text
    assert "Remove one of them (and its line in recordings.csv)." in text
    with pytest.raises(MeaError, match=r"x and r0 share .* in 7 s \(x begins 1\.0003 s after r0\)"):
        check_duplicates(compute_fingerprints([original(), make_copy("cropped at the start")]))
    with pytest.raises(
        MeaError, match=r"x and r0 hold the same samples or events: one recording under two names\. Rem"
    ):
        check_duplicates(compute_fingerprints([original(), make_copy("another gain")]))


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
    fingerprints = [compute_fingerprint(read_file(path)) for path in (plain, unpacked, tmp_path / "other.h5")]
    (found,) = find_duplicates(fingerprints)
    assert (found.first, found.second, found.identical) == ("plain", "renamed", True)
    assert fingerprints[0].digests[0] == fingerprints[1].digests[0]


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
