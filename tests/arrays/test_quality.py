"""Signs that spikes are none: a signal that is mostly zero, and an artefact on all electrodes at once."""

from dataclasses import replace

import numpy as np
import pytest
from builders.arrays import SAMPLING_RATE_HZ, make_events
from builders.mcs_files import read_one, replace_samples
from builders.recordings import write_small_mcs

from mea.arrays.detection import SpikeDetection, read_events
from mea.arrays.quality import find_mostly_zero, format_quality, measure_artefacts
from mea.recordings.formats import read_counts
from mea.recordings.recording import Recording


def test_a_signal_that_is_mostly_zero_is_named(tmp_path):
    """Blanked on three electrodes of twelve; one that is zero throughout is silent, and no finding."""
    path = tmp_path / "a.h5"
    write_small_mcs(path, n_samples=20_000, labels=[f"{column}7" for column in "ABCDEFGHJKLM"], adc_zero=0)
    source = read_one(path)
    counts = read_counts(path, source)
    blanked = counts[np.argsort(source.source_row)].copy()
    blanked[[1, 4, 7], :12_000] = 0
    blanked[9] = 0
    replace_samples(path, data=blanked)
    events = read_events(path, Recording("a", "a.h5", "", read_one(path)), SpikeDetection(25_000, "resample", 5.0))
    rows = source.source_row[find_mostly_zero(events)]
    assert sorted(rows.tolist()) == [1, 4, 7]
    (said,) = format_quality(events)
    assert said.startswith("on 3 of 12 electrodes over half of the samples are exactly 0")


@pytest.mark.parametrize(("electrodes", "expected"), [(144, True), (80, True), (60, False)])
def test_an_artefact_reaches_many_electrodes_at_once(electrodes, expected):
    """30 of them in 4 s, on so many of 144 electrodes, among spikes of which there are fewer."""
    events = make_events(spikes_per_s=0.5)
    when = np.repeat(np.linspace(0.05, 3.9, 30) * SAMPLING_RATE_HZ, electrodes).astype(int)
    where = np.tile(np.arange(electrodes), 30)
    own = events.peak_sample[: len(events)]
    none = np.zeros(1 + len(own) + len(when), np.int64)
    mixed = replace(
        events,
        electrode=np.concatenate([events.electrode, where]),
        first_sample=np.concatenate([own, when]),
        peak_sample=np.concatenate([own, when + np.arange(len(when)) % 3]),  # not on the same sample
        offset=none,
        waveform_counts=np.zeros(0, np.int16),
    )
    assert (measure_artefacts(mixed) > 0.5) == expected
    assert bool(format_quality(mixed)) == expected


def test_spikes_are_no_artefact():
    assert format_quality(make_events(spikes_per_s=20.0)) == []
    silent = make_events(spikes_per_s=0.0)
    assert len(silent) == 0 and np.isnan(measure_artefacts(silent)) and format_quality(silent) == []
