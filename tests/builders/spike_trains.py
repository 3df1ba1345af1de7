"""Recordings made of known spike trains, for the tests of what is measured of them."""

import dataclasses

import numpy as np

from builders.arrays import make_events
from mea.arrays.events import SpikeEvents
from mea.features.compute import compute_features, compute_long_window_features
from mea.features.families import list_features, list_long_window_features
from mea.features.trains import Trains, cut_trains

SAMPLING_RATE_HZ = 10_000


def make_trains(times_s, duration_s, rows=3, cols=3, sampling_rate_hz=SAMPLING_RATE_HZ):
    """A spike-time recording: one array of times (s) per electrode, row after row; further electrodes are silent."""
    samples = [np.floor(np.asarray(times) * sampling_rate_hz + 1e-6).astype(np.int64) for times in times_s]
    sample = np.concatenate([*samples, np.zeros(0, np.int64)])
    electrode = np.repeat(np.arange(len(samples)), [len(train) for train in samples])
    order = np.lexsort((electrode, sample))
    empty = make_events(
        spikes_per_s=0, duration_s=duration_s, rows=rows, cols=cols, sampling_rate_hz=sampling_rate_hz, waveforms=False
    )
    return dataclasses.replace(
        empty,
        electrode=electrode[order],
        first_sample=sample[order],
        peak_sample=sample[order],
        offset=np.zeros(len(sample) + 1, np.int64),
    )


def make_poisson(firing_rate_hz, duration_s, electrodes, seed=0):
    random = np.random.default_rng(seed)
    return [
        np.sort(random.uniform(0, duration_s, random.poisson(firing_rate_hz * duration_s))) for _ in range(electrodes)
    ]


def order_spikes(events: SpikeEvents) -> Trains:
    """All spikes of a recording."""
    return cut_trains(events, 0.0, events.duration_s)


def name_features(events: SpikeEvents, start_s=0.0, stop_s=None) -> dict[str, float]:
    """All features of a window, long-window features included."""
    window = (start_s, events.duration_s if stop_s is None else stop_s)
    values = np.concatenate([compute_features(events, [window])[0], compute_long_window_features(events, [window])[0]])
    return dict(zip(list_features(events.has_waveforms) + list_long_window_features(), values, strict=True))


def compare(one, other, **tolerance):
    assert one.keys() == other.keys()
    wrong = [name for name in one if not np.isclose(one[name], other[name], equal_nan=True, **tolerance)]
    assert wrong == [], [(name, one[name], other[name]) for name in wrong]


def make_lively(rows=4, cols=4, duration_s=40.0, seed=5):
    """Poisson spikes at different rates, and network bursts: every feature is defined."""
    random = np.random.default_rng(seed)
    starts = np.arange(1, duration_s - 1, 2.3) + random.uniform(0, 0.4, len(np.arange(1, duration_s - 1, 2.3)))
    trains = []
    for background in make_poisson(1, duration_s, rows * cols, seed):
        burst = [start + np.cumsum(random.exponential(0.009, 8)) for start in starts if random.uniform() < 0.8]
        keep = random.uniform(0.2, 1)
        train = np.unique(np.concatenate([background, *burst]).round(4))  # no two spikes in one sample
        trains.append(train[random.uniform(size=len(train)) < keep])
    return make_trains(trains, duration_s, rows, cols)


def with_waveform(events, shape, peak):
    """The same spikes, each with this waveform (counts of 0.1 µV) whose peak lies at this sample of it."""
    many = len(events)
    return dataclasses.replace(
        events,
        peak_sample=events.first_sample + peak,
        offset=np.arange(many + 1) * len(shape),
        waveform_counts=np.tile(np.asarray(shape, np.int16), many),
    )
