"""Chunks: the predecessor's, end to end, and of whole samples."""

import numpy as np
import pytest
from builders.splits import make_batches, make_lab, quick
from hypothesis import assume, given
from hypothesis import strategies as st

from mea.runtime.errors import MeaError
from mea.splitting.chunks import cut_chunks, explain_too_short


@pytest.mark.parametrize(("sampling_rate_hz", "chunk_samples"), [(25_000, 30_000), (10_000, 12_000)])
def test_chunks_of_the_predecessor(sampling_rate_hz, chunk_samples):
    """1.2 s are 30,000 samples at 25 kHz; 120 s give 100 chunks without a gap, and what is left over is dropped."""
    lab = make_lab([("a", "c1", "b1"), ("b", "", "")], sampling_rate_hz, 120.0)
    lab.loc[1, "duration_s"] = 1.2 * 3 - 1 / sampling_rate_hz  # one sample too short for three
    chunks, refused = cut_chunks(lab, 1.2, None)
    assert not refused
    first = chunks[chunks["recording"] == "r00"]
    assert len(first) == 100 and (chunks["recording"] == "r01").sum() == 2
    borders = np.arange(101) * chunk_samples
    starts = [round(value * sampling_rate_hz) for value in first["start_s"]]
    stops = [round(value * sampling_rate_hz) for value in first["stop_s"]]
    assert starts == borders[:-1].tolist() and stops == borders[1:].tolist()
    np.testing.assert_allclose(first["start_s"] * sampling_rate_hz, starts, atol=1e-3)
    assert first["chunk"].is_unique and first["chunk"].iloc[7] == "r00@0007"
    assert first[["label", "culture", "batch"]].drop_duplicates().values.tolist() == [["a", "c1", "b1"]]


@given(
    sampling_rate_hz=st.sampled_from([500, 10_000, 20_000, 25_000, 30_000]),
    chunk_samples=st.integers(1, 100_000),
    n_samples=st.integers(1, 3_000_000),
)
@quick
def test_chunks_lie_end_to_end_inside_the_recording(sampling_rate_hz, chunk_samples, n_samples):
    assume(n_samples // chunk_samples < 2000)
    lab = make_lab([("a", "", "")], sampling_rate_hz, n_samples / sampling_rate_hz)
    chunks, refused = cut_chunks(lab, chunk_samples / sampling_rate_hz, None)
    assert len(chunks) == n_samples // chunk_samples
    assert bool(refused) == (n_samples < chunk_samples)
    starts = np.rint(chunks["start_s"] * sampling_rate_hz).astype(int)
    stops = np.rint(chunks["stop_s"] * sampling_rate_hz).astype(int)
    assert (starts == np.arange(len(chunks)) * chunk_samples).all() and (stops - starts == chunk_samples).all()


def test_only_the_first_seconds_are_used():
    lab = make_lab([("a", "", ""), ("b", "", "")])
    lab.loc[1, "duration_s"] = 100.0
    chunks, _ = cut_chunks(lab, 1.2, 3.7)
    assert chunks["recording"].value_counts().to_dict() == {"r00": 3, "r01": 3}
    assert chunks["stop_s"].max() == 3.6


def test_a_recording_shorter_than_a_chunk_is_named():
    lab = make_lab([("a", "", ""), ("b", "", "")])
    lab.loc[1, "duration_s"] = 1.1
    chunks, refused = cut_chunks(lab, 1.2, None)
    assert set(chunks["recording"]) == {"r00"} and list(refused) == ["r01"]
    assert str(refused["r01"]) == (
        "r01: 1.1 s are shorter than one chunk (split.chunk_s = 1.2 s). Choose a shorter chunk, remove the recording, "
        "or set split.on_bad_recording: skip."
    )
    chunks, refused = cut_chunks(lab, 1.2, 1.0)
    assert chunks.empty and list(chunks.columns[:3]) == ["chunk", "recording", "label"] and len(refused) == 2


@pytest.mark.parametrize(("chunk_s", "samples"), [(1e-6, "0.025"), (0.00006, "1.5"), (1.00001, "25000.2")])
def test_a_chunk_is_a_whole_number_of_samples(chunk_s, samples):
    with pytest.raises(
        MeaError, match=rf"split\.chunk_s = \S+ s: {samples}\d* samples of r00 at 25000 Hz; a chunk must"
    ):
        cut_chunks(make_batches(), chunk_s, None)


def test_chunks_of_all_recordings_are_numbered_through():
    chunks, _ = cut_chunks(make_lab([("a", "", ""), ("b", "", "")]), 1.2, 3.7)
    assert chunks.index.tolist() == list(range(6))


@pytest.mark.parametrize(
    ("pauses_s", "texts"),
    [("", ("1.1 s are", "1.2 s).")), ("0.5", ("1.1 s with pauses are", "1.2 s without a pause)."))],
)
def test_what_is_too_short_says_whether_pauses_are_why(pauses_s, texts):
    lab = make_lab([("a", "", "")])
    lab["duration_s"], lab["pauses_s"] = 1.1, pauses_s
    _, refused = cut_chunks(lab, 1.2, None)
    assert str(refused["r00"]) == (
        f"r00: {texts[0]} shorter than one chunk (split.chunk_s = {texts[1]} Choose a shorter chunk, remove the "
        "recording, or set split.on_bad_recording: skip."
    )


@pytest.mark.parametrize(
    ("count", "rest"),
    [
        (1, ""),
        (2, " The same holds for 1 more: r01"),
        (4, " The same holds for 3 more: r01, r02, r03"),
        (5, " The same holds for 4 more: r01, r02, r03…"),
    ],
)
def test_what_is_too_short_is_one_line(count, rest):
    lab = make_lab([("a", "", "")] * count)
    lab["duration_s"] = 1.0
    _, refused = cut_chunks(lab, 1.2, None)
    assert explain_too_short(refused) == f"{refused['r00']}{rest}"
