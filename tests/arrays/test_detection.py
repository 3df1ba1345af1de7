"""Events of one recording: whose they are, and where its electrodes are. Written for mutants that survived."""

import numpy as np
import pytest
from builders.arrays import make_events
from builders.h5_stage import write_spikes

from mea.arrays.detection import SpikeDetection, place_on_grid, read_events
from mea.recordings.formats import read_raw_recordings
from mea.recordings.recording import Recording


def test_each_electrodes_value_is_at_its_place_and_nothing_elsewhere():
    events = make_events("r1")
    values = np.arange(1.0, len(events.row) + 1)
    grid = place_on_grid(events, values)
    assert grid.shape == (events.rows, events.cols)
    for row, col, value in zip(events.row, events.col, values, strict=True):
        assert grid[row, col] == value
    assert np.isfinite(grid).sum() == len(values)


@pytest.mark.parametrize("rate", [25_000, 10_000])
def test_events_of_spike_times_say_whose_they_are(tmp_path, rate):
    write_spikes(tmp_path / "x.h5", seed=1)
    (source,) = read_raw_recordings(tmp_path / "x.h5", "raw")
    recording = Recording("r1", "x.h5", "", source)
    events = read_events(tmp_path / "x.h5", recording, SpikeDetection(rate, "set_aside", 5.0))
    assert events.recording == "r1"
    assert len(events) and events.sampling_rate_hz == rate
