"""One simulated recording and its copies: cropped, scaled, rearranged; and spike trains that are only similar."""

from dataclasses import replace
from functools import cache

import numpy as np

from builders.arrays import make_events
from builders.recordings import make_source
from mea.arrays.spikes import detect_events
from mea.recordings.layouts import electrode_labels
from mea.simulation.plans import plan_training
from mea.simulation.simulate import list_channels, simulate_counts, simulate_spikes

SAMPLING_RATE_HZ = 25_000
DURATION_S = 8.0
LAYOUT = "60MEA200/30iR-Ti"


def plan_cultures(batches=1, cultures=1, recordings=2, seed=3):
    plans = plan_training(seed, batches, cultures, recordings, class_effect=1.0, recording_variance=1.0)
    return [replace(plan, layout=LAYOUT) for plan in plans]


@cache
def simulate_voltages(number=0):
    """Counts, and what they mean, of one simulated recording: each culture is recorded on two days."""
    counts, adc_zero, factor = simulate_counts(plan_cultures()[number], DURATION_S)
    places = electrode_labels(LAYOUT)
    row, col = np.array([places[label] for label in list_channels(LAYOUT)]).T
    source = make_source(counts, SAMPLING_RATE_HZ, factor * 1e-12, adc_zero)
    names = np.array(list_channels(LAYOUT))
    return counts, replace(source, layout=LAYOUT, rows=8, cols=8, names=names, row=row, col=col)


def detect(name, counts, source, **changes):
    """Events of counts that were changed, and of electrodes that were left out."""
    source = replace(source, n_samples=counts.shape[1], duration_s=counts.shape[1] / source.sampling_rate_hz, **changes)
    return replace(detect_events(counts, source, 5.0), recording=name)


@cache
def original(number=0):
    return detect(f"r{number}", *simulate_voltages(number))


def keep_electrodes(source, kept, but_places=()):
    """Those electrodes in that order; what ``but_places`` names stays with the place in the order."""
    names = ("names", "row", "col", "x_um", "y_um", "source_row", "gain_v", "adc_zero")
    place = np.arange(len(kept))
    return replace(source, **{name: getattr(source, name)[place if name in but_places else kept] for name in names})


def to_samples(value_s):
    return round(value_s * SAMPLING_RATE_HZ)


def make_copy(how):
    """The samples of the first recording under the name ``x``, changed as one of ``COPIES`` says."""
    counts, source = simulate_voltages()
    return COPIES[how](counts, source)


def scale(counts, source, factor):
    """Voltages times a factor, rounded, around an ADC zero of 0."""
    scaled = np.rint((counts - source.adc_zero[:, None]) * factor).astype(np.int32)
    return scaled, replace(source, adc_zero=np.zeros_like(source.adc_zero))


def crop(counts, source, start_s=0.0, stop_s=DURATION_S, samples=0):
    return counts[:, to_samples(start_s) + samples : to_samples(stop_s)], source


def shuffle(counts, source, step=1):
    """Every ``step``-th electrode in random order; each place keeps its number in the order."""
    shuffled = np.random.default_rng(1).permutation(len(counts))
    return counts[shuffled[::step]], keep_electrodes(source, shuffled[::step], ("names", "row", "col", "x_um", "y_um"))


def halve(counts, source):
    kept = np.arange(0, len(counts), 2)
    return counts[kept], keep_electrodes(source, kept)


COPIES = {
    "renamed": lambda counts, source: detect("x", counts, source),
    "cropped at the start": lambda counts, source: detect("x", *crop(counts, source, 1.0, samples=7)),
    "cropped at the end": lambda counts, source: detect("x", *crop(counts, source, stop_s=5.5)),
    "cropped at both ends": lambda counts, source: detect("x", *crop(counts, source, 2.0, 6.5)),
    "another gain": lambda counts, source: detect("x", counts, source, gain_v=source.gain_v * 1.37),
    "counts times 2": lambda counts, source: detect("x", 2 * counts, source, adc_zero=2 * source.adc_zero),
    "voltages times 0.43, rounded": lambda counts, source: detect("x", *scale(counts, source, 0.43)),
    "another zero": lambda counts, source: detect("x", counts + 1000, source, adc_zero=source.adc_zero + 1000),
    "a zero that is wrong by a little": lambda counts, source: detect("x", counts + 1, source),
    "narrower integers": lambda counts, source: detect_narrow(*scale(counts, source, 1)),
    "flipped": lambda counts, source: detect("x", *scale(counts, source, -1)),
    "half of the electrodes": lambda counts, source: detect("x", *halve(counts, source)),
    "reordered electrodes": lambda counts, source: detect("x", *shuffle(counts, source)),
    "backwards": lambda counts, source: detect("x", counts[:, ::-1], source),
    "backwards, flipped, cropped, half of the electrodes reordered": lambda counts, source: detect_backwards(
        *crop(*shuffle(*scale(counts, source, -1), step=2), 1.0, 6.5)
    ),
    "another threshold": lambda counts, source: replace(detect_events(counts, source, 6.0), recording="x"),
    "flipped, scaled, cropped, half of the electrodes": lambda counts, source: detect(
        "x", *crop(*halve(*scale(counts, source, -3)), 1.3)
    ),
}


def detect_narrow(counts, source):
    return detect("x", counts.astype(np.int16), source)


def detect_backwards(counts, source):
    return detect("x", counts[:, ::-1], source)


def fire(plan, duration_s=60.0):
    """Events without voltages of a simulated recording."""
    _, spikes = simulate_spikes(plan, duration_s)
    places = electrode_labels(plan.layout)
    row, col = np.array([places[label] for label in list_channels(plan.layout)]).T
    return make_train(plan.recording, spikes.time_s, spikes.electrode, duration_s, row=row, col=col)


def make_train(name, time_s, electrode, duration_s, **changes):
    sample = np.rint(np.asarray(time_s) * SAMPLING_RATE_HZ).astype(np.int64)
    inside = (sample >= 0) & (sample < duration_s * SAMPLING_RATE_HZ)
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


def beat(name, duration_s, period_s, jitter_s, own_samples, seed):
    """A pacemaker seen by all electrodes: each with its own delay, and its own error of some samples at every beat."""
    random = np.random.default_rng(seed)
    beats = np.cumsum(period_s + jitter_s * random.standard_normal(int(duration_s / period_s)))
    electrode = np.tile(np.arange(64), len(beats))
    time_s = np.repeat(beats, 64) + random.integers(0, 200, 64)[electrode] / SAMPLING_RATE_HZ
    error = random.integers(-own_samples, own_samples + 1, len(electrode)) / SAMPLING_RATE_HZ
    return make_train(name, time_s + error, electrode, duration_s)


def find_shared_digests(one, other):
    """The audit as it was: equal digests of samples or events, and nothing else."""
    return {one.samples_sha256, one.content_sha256} & {other.samples_sha256, other.content_sha256}
