"""A part of a recording is found, at any shift and of any length; also of real recordings."""

from dataclasses import replace

import numpy as np
import pytest
from builders.arrays import make_events
from builders.copies import SAMPLING_RATE_HZ, find_shared_digests
from builders.recordings import write_small_spike_times
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mea.arrays.events import events_from_spike_times
from mea.recordings.archives import unpack
from mea.recordings.formats import read_raw_recordings
from mea.splitting.duplicates import find_duplicates
from mea.splitting.fingerprints import compute_fingerprint, compute_fingerprints


@given(
    first=st.integers(0, 20 * SAMPLING_RATE_HZ),
    length_s=st.floats(8, 40),
    seed=st.integers(0, 1000),
    spikes_per_s=st.floats(1.0, 30.0),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_crop_is_found(first, length_s, seed, spikes_per_s):
    """Spikes at random times, more than are kept of a recording where there are many."""
    whole = make_events("whole", seed=seed, spikes_per_s=spikes_per_s, duration_s=60.0, rows=4, cols=4, waveforms=False)
    last = first + round(length_s * SAMPLING_RATE_HZ)
    inside = (whole.peak_sample >= first) & (whole.peak_sample < last)
    piece = replace(
        whole,
        recording="piece",
        samples_sha256="other",
        n_samples=last - first,
        duration_s=(last - first) / SAMPLING_RATE_HZ,
        electrode=whole.electrode[inside],
        first_sample=whole.first_sample[inside] - first,
        peak_sample=whole.peak_sample[inside] - first,
        offset=np.zeros(inside.sum() + 1, np.int64),
    )
    other = make_events("other", seed=seed + 1, spikes_per_s=spikes_per_s, duration_s=60.0, rows=4, cols=4)
    (found,) = find_duplicates(list(compute_fingerprints([whole, other, piece])))
    assert (found.first, found.second) == ("whole", "piece")
    assert found.shift_s == pytest.approx(first / SAMPLING_RATE_HZ, abs=1e-6) and found.fraction > 0.9


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
        replace(events_from_spike_times(item, SAMPLING_RATE_HZ), recording=name)
        for item, name in ((source, "a"), (piece, "b"))
    ]
    assert not find_shared_digests(*pair)
    (found,) = find_duplicates(list(compute_fingerprints(pair)))
    assert found.shift_s == pytest.approx(cut_s, abs=1 / SAMPLING_RATE_HZ) and found.overlap_s == pytest.approx(
        120 - cut_s, abs=1e-3
    )


def test_real_recordings_are_not_one_another(shared_data, tmp_path):
    """Two plating dates of charlesworth2015: cultures recorded on many days, and none of them twice."""
    archives = sorted((shared_data / "charlesworth2015").glob("*.zip"))[:2]
    fingerprints = []
    for archive in archives:
        unpack(archive, tmp_path / archive.stem)
        for path in sorted((tmp_path / archive.stem).rglob("*.h5")):
            (source,) = read_raw_recordings(path, "raw")
            events = events_from_spike_times(source, SAMPLING_RATE_HZ)
            fingerprints.append(compute_fingerprint(replace(events, recording=path.stem)))
    assert len(fingerprints) > 10
    assert find_duplicates(fingerprints) == []
    times = read_raw_recordings(path, "raw")[0]
    kept = times.spike_times_s > 300
    piece = replace(times, spike_times_s=times.spike_times_s[kept] - 300, spike_electrode=times.spike_electrode[kept])
    piece = replace(events_from_spike_times(piece, SAMPLING_RATE_HZ), recording="piece")
    (found,) = find_duplicates([*fingerprints, compute_fingerprint(piece)])
    assert (found.first, found.second) == (path.stem, "piece") and found.shift_s == pytest.approx(300, abs=1e-3)
    whole = replace(events, recording="turned", samples_sha256="", electrode=59 - events.electrode[::-1])
    backwards = {name: whole.n_samples - 1 - getattr(whole, name)[::-1] for name in ("first_sample", "peak_sample")}
    (found,) = find_duplicates([*fingerprints, compute_fingerprint(replace(whole, **backwards))])
    assert (found.first, found.second, found.is_reversed) == (path.stem, "turned", True) and found.fraction > 0.7
