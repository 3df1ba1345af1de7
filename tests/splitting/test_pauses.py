"""A recording that paused: nothing is measured across the pause, and what was recorded on both sides counts."""

from dataclasses import replace

import numpy as np
import pandas as pd
from builders.arrays import SAMPLING_RATE_HZ, describe_events, make_events
from builders.mcs_files import read_one
from builders.recordings import write_small_mcs
from builders.splits import quick
from hypothesis import given
from hypothesis import strategies as st

from mea.arrays.detection import SpikeDetection, read_events
from mea.arrays.events import SpikeEvents
from mea.arrays.events_file import load_events, save_events
from mea.classification.decisions import cut_recording
from mea.features.families import list_features, list_long_window_features
from mea.features.recordings import compute_chunks, summarise_recordings
from mea.recordings.recording import Recording, format_pauses, read_recording, write_recording
from mea.splitting.chunks import cut_chunks


def join(first: SpikeEvents, second: SpikeEvents) -> SpikeEvents:
    """One recording that paused between two."""
    shift = first.n_samples
    return replace(
        first,
        n_samples=shift + second.n_samples,
        duration_s=first.duration_s + second.duration_s,
        pauses=np.array([shift]),
        electrode=np.concatenate([first.electrode, second.electrode]),
        first_sample=np.concatenate([first.first_sample, second.first_sample + shift]),
        peak_sample=np.concatenate([first.peak_sample, second.peak_sample + shift]),
        offset=np.concatenate([first.offset, second.offset[1:] + first.offset[-1]]),
        waveform_counts=np.concatenate([first.waveform_counts, second.waveform_counts]),
    )


def summarise(events: SpikeEvents, chunk_s: float) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Chunks, their features, and the features of the recording."""
    chunks, _ = cut_chunks(pd.DataFrame([describe_events(events)]), chunk_s, None)
    one = {events.recording: events}
    values = compute_chunks(chunks, one)
    return chunks, values, summarise_recordings(chunks, one, values)[0]


def make_parts() -> tuple[SpikeEvents, SpikeEvents]:
    small = {"rows": 4, "cols": 4}
    return make_events(duration_s=4.3, seed=1, **small), make_events(duration_s=8.7, seed=2, spikes_per_s=6, **small)


@given(
    lengths=st.lists(st.integers(1, 300_000), min_size=1, max_size=5),
    chunk_samples=st.integers(1000, 100_000),
    first_samples=st.none() | st.integers(1, 600_000),
)
@quick
def test_no_chunk_spans_a_pause_and_no_more_fit(lengths, chunk_samples, first_samples):
    borders = np.cumsum(lengths)
    line = describe_events(make_events()) | {
        "duration_s": borders[-1] / SAMPLING_RATE_HZ,
        "pauses_s": " ".join(repr(border / SAMPLING_RATE_HZ) for border in borders[:-1].tolist()),
    }
    first_s = None if first_samples is None else first_samples / SAMPLING_RATE_HZ
    chunks, too_short = cut_chunks(pd.DataFrame([line]), chunk_samples / SAMPLING_RATE_HZ, first_s)
    starts = np.rint(chunks["start_s"].to_numpy(float) * SAMPLING_RATE_HZ).astype(int)
    used = np.minimum(borders, first_samples or borders[-1])
    fitting = np.diff(np.concatenate([[0], used])) // chunk_samples
    assert len(chunks) == fitting.sum() and bool(too_short) == (fitting.sum() == 0)
    part = np.searchsorted(borders, starts, side="right")
    assert (part == np.searchsorted(borders, starts + chunk_samples - 1, side="right")).all()
    assert np.bincount(part, minlength=len(borders)).tolist() == fitting.tolist()
    assert (np.diff(starts) >= chunk_samples).all() and chunks["chunk"].is_unique


def test_features_are_those_of_the_parts():
    """Each part alone is the reference: its chunks have the same features, and the whole is the mean by length."""
    parts = make_parts()
    joined = join(*parts)
    chunks, values, summary = summarise(joined, 1.0)
    assert chunks["start_s"].tolist() == [0, 1, 2, 3, *(4.3 + k for k in range(8))]
    alone = [summarise(part, 1.0) for part in parts]
    np.testing.assert_allclose(values, np.concatenate([found for _, found, _ in alone]), rtol=1e-9)
    n, n_long = len(list_features(has_waveforms=True)), len(list_long_window_features())
    for where in (slice(0, n), slice(3 * n, 3 * n + n_long)):
        both = np.ma.masked_invalid([found[where] for _, _, found in alone])
        expected = np.ma.average(both, axis=0, weights=np.broadcast_to([[4.0], [8.0]], both.shape)).filled(np.nan)
        np.testing.assert_allclose(summary[where], expected, rtol=1e-9)


def test_without_the_pause_an_interval_would_span_it():
    """The fault this mends, planted: without the pause, the chunks and the features are others."""
    joined = join(*make_parts())
    _, values, summary = summarise(joined, 1.0)
    _, spanning, wrong = summarise(replace(joined, pauses=np.zeros(0, np.int64)), 1.0)
    assert len(spanning) == len(values) + 1
    assert not np.allclose(summary, wrong, equal_nan=True)


def test_a_recording_without_pauses_is_one_part():
    first, _ = make_parts()
    assert first.parts == [(0, first.n_samples)]
    assert join(*make_parts()).parts == [(0, 107_500), (107_500, 325_000)]


def test_a_pause_is_part_of_the_content_and_stays_on_disk(tmp_path):
    joined = join(*make_parts())
    save_events(tmp_path / "a.npz", joined)
    loaded = load_events(tmp_path / "a.npz")
    assert loaded.pauses.tolist() == [107_500] and loaded.content_sha256 == joined.content_sha256
    assert joined.content_sha256 != replace(joined, pauses=np.zeros(0, np.int64)).content_sha256


def test_classify_cuts_as_the_split_does():
    joined = join(*make_parts())

    class Standard:
        chunk_s, first_s = 1.0, None

        def check_input(self, _):
            return ""

    chunks, obstacle = cut_recording(Standard(), joined)
    assert not obstacle
    assert chunks["start_s"].tolist() == summarise(joined, 1.0)[0]["start_s"].tolist()


def test_a_pause_goes_from_the_rigs_file_to_the_events_at_any_rate(tmp_path):
    """A pause of 4.6 s at 20 kHz, resampled to 10 kHz; and a border between segments that is none."""
    segments = [[0, 0, 7999], [400_000, 8000, 11_999], [5_200_000, 12_000, 19_999]]
    write_small_mcs(tmp_path / "a.h5", n_samples=20_000, sampling_rate_hz=20_000, segments=segments)
    source = read_one(tmp_path / "a.h5")
    assert format_pauses(source) == "0.6" and source.notes == ("pause of 4.6 s before sample 12000",)
    recording = Recording("a", "a.h5", "", source)
    write_recording(tmp_path / "a_small.h5", recording)
    assert read_recording(tmp_path / "a_small.h5").source.parts == [(0, 12_000), (12_000, 20_000)]
    events = read_events(tmp_path / "a.h5", recording, SpikeDetection(10_000, "resample", 5.0))
    assert events.sampling_rate_hz == 10_000 and events.parts == [(0, 6000), (6000, 10_000)]
