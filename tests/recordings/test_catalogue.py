"""mea.recordings.catalogue: what the classify stage needs of it; the rest is tested through the h5 stage's command."""

import numpy as np
import pytest
from builders.recordings import write_small_mcs, write_small_spike_times

from mea.recordings.archives import unpack
from mea.recordings.catalogue import (
    build_catalogue,
    count_recordings,
    reject_duplicates,
)
from mea.recordings.identities import identify_nobody
from mea.recordings.reading import Rejection, read_recordings
from mea.recordings.recording import LabelledRecording, read_recording

pytestmark = pytest.mark.usefixtures("alone")  # worker processes would take longer than the work


@pytest.fixture
def unpacked(tmp_path):
    """The folder and manifest of spike times, two voltage recordings in one file, a copy and a broken file."""
    (tmp_path / "new").mkdir()
    write_small_spike_times(tmp_path / "new" / "b.h5")
    write_small_spike_times(tmp_path / "new" / "copy of b.h5")
    write_small_mcs(tmp_path / "new" / "a.h5", n_samples=500, recordings=2)
    (tmp_path / "new" / "c.h5").write_bytes(b"broken")
    return tmp_path / "unzip", unpack(tmp_path / "new", tmp_path / "unzip")


def test_new_recordings_need_no_label(unpacked):
    results = read_recordings(*unpacked, "raw", identify_nobody)
    assert [result.recording for result in results] == ["a", "a#2", "b", "c", "copy of b"]
    assert [type(result) for result in results] == [
        LabelledRecording,
        LabelledRecording,
        LabelledRecording,
        Rejection,
        LabelledRecording,
    ]
    assert {result.label for result in results if isinstance(result, LabelledRecording)} == {""}
    assert results[3].reason.startswith("c.h5: not an HDF5 file")
    assert len(results[2].source.spike_times_s) > 0


def test_what_is_kept_is_whole_and_what_comes_back_is_light(unpacked, tmp_path):
    whole = read_recordings(*unpacked, "raw", identify_nobody)
    light = read_recordings(*unpacked, "raw", identify_nobody, tmp_path)
    for one, other in zip(whole, light):
        if isinstance(one, LabelledRecording):
            kept = read_recording(tmp_path / f"{one.recording}.h5")
            np.testing.assert_array_equal(kept.source.spike_times_s, one.source.spike_times_s)
            assert len(other.source.spike_times_s) == len(other.source.spike_electrode) == 0
    assert build_catalogue(whole).equals(build_catalogue(light))
    assert count_recordings(whole) == count_recordings(light)


def test_only_the_second_of_two_equal_files_is_refused_and_the_manifest_stays(unpacked):
    _folder, manifest = unpacked
    refused = reject_duplicates(manifest)
    assert list(refused.recording[refused.error != ""]) == ["copy of b"]
    assert set(manifest.error) == {""}
