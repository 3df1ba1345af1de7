"""Samples inflated on threads against HDF5's own reading, whatever the chunks and filters."""

import zlib

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mea.arrays.detection import SpikeDetection, read_events
from mea.recordings.formats import read_counts, read_raw_recordings
from mea.recordings.formats.inflate import can_inflate, read_inflated
from mea.recordings.formats.mcs_layout import Stream
from mea.recordings.formats.mcs_writer import find_tick_us, write_mcs
from mea.recordings.layouts import RIG_ROW_ORDER
from mea.recordings.recording import Recording
from mea.runtime.errors import BadRecording

INT16, INT32 = np.dtype(np.int16), np.dtype(np.int32)


def write_samples(path, counts, chunks, **filters):
    with h5py.File(path, "w") as h5:
        h5.create_dataset("x", data=counts, chunks=chunks, **filters)
    return h5py.File(path, "r")


def make_counts(shape, limit, seed=0):
    return np.random.default_rng(seed).integers(-limit, limit, shape).astype(np.int32)


def make_noise(shape):
    return np.random.default_rng(0).normal(0, 1000, shape).round().astype(np.int32)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_rows_of_any_chunks_are_as_hdf5_reads_them(tmp_path_factory, data):
    shape = (data.draw(st.integers(1, 9)), data.draw(st.integers(1, 9000)))
    chunks = (data.draw(st.integers(1, shape[0])), data.draw(st.integers(1, shape[1])))
    limit = data.draw(st.sampled_from([100, 2**15, 2**31 - 1]))
    counts = make_counts(shape, limit, seed=shape[1])
    filters = {"compression": "gzip", "shuffle": data.draw(st.booleans())}
    rows = np.array(data.draw(st.permutations(range(shape[0])))[: data.draw(st.integers(1, shape[0]))])
    first = data.draw(st.integers(0, shape[1] - 1))
    last = data.draw(st.integers(first + 1, shape[1]))
    with write_samples(tmp_path_factory.mktemp("any") / "a.h5", counts, chunks, **filters) as h5:
        expected = h5["x"][:, first:last][rows]
        assert np.array_equal(read_inflated(h5["x"], rows, INT32, first, last), expected)
        found = read_inflated(h5["x"], rows, INT16, first, last)
        if abs(expected + 0.5).max() < 2**15:
            assert found.dtype == np.int16 and np.array_equal(found, expected)
        else:
            assert found is None


@pytest.mark.parametrize("value", [2**15, -(2**15) - 1, 2**31 - 1, -(2**31), 2**16, 2**24])
def test_one_sample_beyond_16_bits_is_noticed(tmp_path, value):
    counts = np.zeros((2, 9000), np.int32)
    counts[1, 8999] = value
    with write_samples(tmp_path / "a.h5", counts, (2, 4096), compression="gzip", shuffle=True) as h5:
        assert read_inflated(h5["x"], np.array([0, 1]), INT16, 0, 9000) is None
        assert read_inflated(h5["x"], np.array([0]), INT16, 0, 9000).shape == (1, 9000)
        assert read_inflated(h5["x"], np.array([1]), INT32, 0, 9000)[0, -1] == value


def test_chunks_stored_without_their_filters_are_read(tmp_path):
    """HDF5 may leave a filter out, for instance where it would make a chunk larger."""
    counts = make_counts((4, 4000), 1000)
    write_samples(tmp_path / "a.h5", counts, (4, 2000), compression="gzip").close()
    with h5py.File(tmp_path / "a.h5", "r+") as h5:
        h5["x"].id.write_direct_chunk((0, 2000), np.ascontiguousarray(counts[:, 2000:]).tobytes(), filter_mask=1)
        assert can_inflate(h5["x"])
        assert np.array_equal(read_inflated(h5["x"], np.arange(4), INT32, 0, 4000), counts)


GZIP = {"compression": "gzip"}


@pytest.mark.parametrize(
    "filters", [{"compression": "lzf"}, GZIP | {"fletcher32": True}, {}, GZIP | {"scaleoffset": 0}]
)
def test_other_filters_are_left_to_hdf5(tmp_path, filters):
    with write_samples(tmp_path / "a.h5", make_counts((4, 9000), 100), (4, 4096), **filters) as h5:
        assert not can_inflate(h5["x"])


@pytest.mark.parametrize("dtype", ["<i2", ">i4", "<u4", "<i8"])
def test_other_integers_are_left_to_hdf5(tmp_path, dtype):
    counts = np.zeros((4, 9000), dtype)
    with write_samples(tmp_path / "a.h5", counts, (4, 4096), compression="gzip", shuffle=True) as h5:
        assert not can_inflate(h5["x"])


def damage_chunk(path, stored):
    with h5py.File(path, "r+") as h5:
        data = h5["Data/Recording_0/AnalogStream/Stream_0/ChannelData"]
        data.id.write_direct_chunk((0, data.chunks[1]), stored)


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        (b"no deflate at all" * 9, "chunk at"),
        (zlib.compress(bytes(4 * 8192))[:-8], "chunk at"),
        (zlib.compress(bytes(1000)), "1000 bytes, not"),
    ],
)
def test_a_damaged_chunk_is_refused(tmp_path, stored, message):
    path = tmp_path / "a.h5"
    write_mcs(path, Stream(make_counts((4, 20_000), 100), RIG_ROW_ORDER[:4], tick_us=40))
    source = read_raw_recordings(path, "raw")[0]
    damage_chunk(path, stored)
    with pytest.raises(BadRecording, match=f"ChannelData: cannot be read .*{message}.*copy it again"):
        read_counts(path, source)


def test_the_number_of_threads_changes_nothing(tmp_path, monkeypatch):
    path = tmp_path / "a.h5"
    write_mcs(path, Stream(make_noise((8, 50_000)), RIG_ROW_ORDER[:8], tick_us=40))
    recording = Recording("a", path.name, "", read_raw_recordings(path, "raw")[0])
    found = []
    for number in ("1", "4"):
        monkeypatch.setenv("NUMBA_NUM_THREADS", number)
        found.append(read_events(path, recording, SpikeDetection(25_000, "set_aside", 3.0)).content_sha256)
    assert len(set(found)) == 1


@pytest.mark.parametrize(("sampling_rate_hz", "loudest"), [(25_000, 0), (25_000, 2**20), (10_000, 0), (10_000, 2**20)])
def test_recordings_too_long_for_memory_give_the_same_events(tmp_path, monkeypatch, sampling_rate_hz, loudest):
    """Block by block and, where 16 bits are not enough, some electrodes at a time; also at another rate."""
    path = tmp_path / "a.h5"
    counts = make_noise((7, 30_000))
    counts[3, 20_000] += loudest
    write_mcs(path, Stream(counts, RIG_ROW_ORDER[:7], find_tick_us(sampling_rate_hz)))
    recording = Recording("a", path.name, "", read_raw_recordings(path, "raw")[0])
    detection = SpikeDetection(25_000, "resample", 2.0)
    whole = read_events(path, recording, detection)
    monkeypatch.setattr("mea.arrays.streaming.BLOCK_BYTES", 7 * 2 * 10_000)
    for together in (1, 2, 3):
        n_samples = 30_000 * 25_000 // sampling_rate_hz
        monkeypatch.setattr("mea.arrays.detection.MOST_BYTES", together * n_samples * 2)
        parts = read_events(path, recording, detection)
        assert (parts.content_sha256, parts.samples_sha256) == (whole.content_sha256, whole.samples_sha256)
        assert np.array_equal(parts.threshold_uv, whole.threshold_uv)
    assert len(whole) > 100
