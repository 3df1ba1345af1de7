"""Recordings of simulated cultures: voltages as a rig measures them, in the counts it writes.

What the cultures fire is :mod:`mea.simulation.simulated_network`.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import numba
import numpy as np
from scipy.signal import freqz

from mea.recordings.formats.mcs_writer import DIGITAL_LABEL, RigRecording, Stream, write_mcs_file
from mea.recordings.layouts import RIG_ROW_ORDER, electrode_labels
from mea.simulation.simulated_network import SimulatedSpikes, Traits, draw_spikes, draw_traits, silence_traits

LABELS = ("w_oMNPs", "withMNPs")
FIRST_PLATING = datetime(2024, 3, 4)
AGE_DAYS = 21
EXPONENT = -12
CONVERSION_FACTOR = 762_940  # 0.76294 µV per count: a common rig's step, at twice its usual input range
# A converter's offset of half a byte: the noise then stays within the lowest byte of each count, and the other three,
# which around 0 would flip with every change of sign, compress to almost nothing. A file is half as large.
ZERO = 0x80
BURN_IN = 1000
HIGH_PASS_HZ = 100.0
SLOW_HZ, SLOW_WEIGHT = 300.0, 3.0
FAST_HZ, FAST_WEIGHT = 2000.0, 1.0
HUM_HZ, HUM_UV = 50.0, 0.4
ODD: dict[str, dict[str, Any]] = {  # what is unlike the rest in new recordings
    "slow": {"sampling_rate_hz": 10_000},
    "small": {"layout": "60MEA200/30iR-Ti"},
    "truncated": {},
    "noise": {"lifeless": True},
    "half": {"gain": 0.5},
    "dead": {"dead_share": 1 / 3},
    "silent": {"dead_share": 1.0},
}
AUXILIARY_LABEL = "Data Acquisition (1) Auxiliary Data"


@dataclass(frozen=True)
class Plan:
    """One recording to simulate. Its spikes and samples follow from this and a duration, and from nothing else.

    Attributes
    ----------
    recording, label, culture, batch
        Who it is; ``recording`` is its file's stem.
    start
        ISO 8601.
    seed
        Of the whole simulation.
    key
        Numbers of batch, class, culture and recording: with ``seed`` they choose the random streams.
    class_shift, recording_variance
        As in :func:`mea.simulation.simulated_network.draw_traits`.
    sampling_rate_hz, layout
        What the rig writes.
    lifeless
        No neuron is alive: the rig's noise is all there is.
    gain
        What the amplifier does to all voltages, unknown to the file; 1 where it is set as the file says.
    dead_share
        Share of the electrodes, chosen by chance, that measure nothing: every count is that of 0 V.
    """

    recording: str
    label: str
    culture: str
    batch: str
    start: str
    seed: int
    key: tuple[int, int, int, int]
    class_shift: float
    recording_variance: float
    sampling_rate_hz: int = 25_000
    layout: str = "120MEA200/30iR-Ti"
    lifeless: bool = False
    gain: float = 1.0
    dead_share: float = 0.0


def plan_training(
    seed: int, batches: int, cultures: int, recordings: int, class_effect: float, recording_variance: float
) -> list[Plan]:
    """The recordings to learn from: ``cultures`` of each class in every batch, each recorded ``recordings`` times."""
    keys = np.ndindex(batches, len(LABELS), cultures, recordings)
    return [_plan_recording(seed, key, class_effect, recording_variance) for key in keys]


def plan_new(seed: int, batch: int, class_effect: float, recording_variance: float) -> dict[str, Plan]:
    """Recordings the model has not met, from batch number ``batch``: one of each class, and one of each :data:`ODD`.

    ``truncated`` is to be cut short after it was written. Those unlike the rest say so in their names.
    """
    keys = {"plain": (batch, 0, 0, 0), "exposed": (batch, 1, 0, 0)}
    plans = {name: _plan_recording(seed, key, class_effect, recording_variance) for name, key in keys.items()}
    for number, (name, what) in enumerate(ODD.items(), start=1):
        plan = _plan_recording(seed, (batch, number % 2, number, 0), class_effect, recording_variance)
        plans[name] = replace(plan, recording=f"{plan.recording}_{name}", **what)
    return plans


def _plan_recording(seed: int, key: tuple[int, ...], class_effect: float, recording_variance: float) -> Plan:
    batch, label, culture, recording = key
    plating = FIRST_PLATING + timedelta(weeks=batch)
    # The time of day is drawn, so that the order of the recordings says nothing about the class.
    delay_s = int(_open_stream(seed, 4, *key).integers(9 * 3600, 17 * 3600))
    start = plating + timedelta(days=AGE_DAYS + 2 * recording, seconds=delay_s)
    name = f"{plating:%Y-%m-%d}_{LABELS[label]}_{culture + 1}"
    return Plan(
        recording=f"{start:%Y-%m-%dT%H-%M-%S}_{LABELS[label]}_{culture + 1}",
        label=LABELS[label],
        culture=name,
        batch=f"{plating:%Y-%m-%d}",
        start=start.isoformat(),
        seed=seed,
        key=(batch, label, culture, recording),
        class_shift=class_effect * (label - 0.5),
        recording_variance=recording_variance,
    )


def simulate_spikes(plan: Plan, duration_s: float) -> tuple[Traits, SimulatedSpikes]:
    """The truth behind a recording, without its voltages: fast enough for hundreds of recordings.

    Electrodes are numbered in the order of :func:`list_channels`; dead ones keep their neurons, which nobody hears.
    """
    places = electrode_labels(plan.layout)
    row, col = np.array([places[label] for label in list_channels(plan.layout)]).T
    lab, culture = _open_stream(plan.seed, 0), _open_stream(plan.seed, 1, *plan.key[:3])
    traits = draw_traits(
        row, col, plan.class_shift, plan.recording_variance, (lab, culture, _open_stream(plan.seed, 2, *plan.key))
    )
    traits = silence_traits(traits) if plan.lifeless else traits
    return traits, draw_spikes(traits, duration_s, _open_stream(plan.seed, 3, *plan.key))


def list_channels(layout: str) -> list[str]:
    """The electrodes' labels in the order of the rig's rows."""
    return list(RIG_ROW_ORDER) if layout.startswith("120MEA") else sorted(electrode_labels(layout))


def simulate_counts(plan: Plan, duration_s: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Noise and spikes of one recording in the rig's counts.

    Returns
    -------
    counts
        (n, samples) int32, in the order of :func:`list_channels`.
    adc_zero
        (n,) int32 count that means 0 V.
    conversion_factor
        (n,) int64: µV = (count - adc_zero) * conversion_factor * 1e-6.
    """
    traits, spikes = simulate_spikes(plan, duration_s)
    generator = _open_stream(plan.seed, 5, *plan.key)
    n, samples = len(traits.width), round(duration_s * plan.sampling_rate_hz)
    adc_zero = (ZERO + generator.integers(-2, 3, n)).astype(np.int32)
    factor = np.rint(CONVERSION_FACTOR * (1 + 0.003 * generator.standard_normal(n))).astype(np.int64)
    hum = _make_hum(samples, plan.sampling_rate_hz, generator.uniform())
    hum_uv = HUM_UV * np.exp(0.3 * generator.standard_normal(n))
    counts = np.empty((n, samples), np.int32)
    borders = np.searchsorted(spikes.electrode, np.arange(n + 1))
    dead = _choose_dead(plan, n)
    counts[dead] = adc_zero[dead, None]
    for electrode in np.flatnonzero(~dead):
        trace_uv = make_noise(samples, plan.sampling_rate_hz, traits.noise_uv[electrode], generator)
        trace_uv += np.float32(hum_uv[electrode]) * hum
        own = slice(borders[electrode], borders[electrode + 1])
        first, shape = make_waveform(plan.sampling_rate_hz, traits.width[electrode], traits.hump)
        trough = np.rint(spikes.time_s[own] * plan.sampling_rate_hz).astype(np.int64) + first
        place = trough[:, None] + np.arange(len(shape))
        inside = place < samples
        spike_uv = traits.polarity[electrode] * spikes.amplitude_uv[own, None] * shape
        np.add.at(trace_uv, place[inside], spike_uv[inside])
        trace_uv *= np.float32(plan.gain)
        counts[electrode] = np.rint(trace_uv / np.float32(factor[electrode] * 1e-6) + adc_zero[electrode])
    return counts, adc_zero, factor


def _choose_dead(plan: Plan, n: int) -> np.ndarray:
    order = _open_stream(plan.seed, 7, *plan.key).permutation(n)
    return order < round(plan.dead_share * n)


def make_waveform(sampling_rate_hz: int, width: float, hump: float) -> tuple[int, np.ndarray]:
    """A biphasic spike: trough of depth 1 at sample 0, then a longer hump of height ``hump``; about 1 ms in all.

    Returns the first sample, relative to the trough, and the (k,) float32 values from there on.
    """
    first, last = round(-0.0005 * width * sampling_rate_hz), round(0.0014 * width * sampling_rate_hz)
    time_ms = np.arange(first, last + 1) / sampling_rate_hz * 1000 / width
    trough = np.exp(-0.5 * (time_ms / 0.12) ** 2)
    second = hump * np.exp(-0.5 * ((time_ms - 0.5) / 0.22) ** 2) * (time_ms > 0)
    return first, (second - (1 + second[-first]) * trough).astype(np.float32)


def make_noise(samples: int, sampling_rate_hz: int, noise_uv: float, generator: np.random.Generator) -> np.ndarray:
    """Noise as an amplifier with a high-pass filter gives it: white, with more power below 2 kHz, little below 100 Hz.

    Returns (samples,) float32 µV of standard deviation ``noise_uv``; its spectrum is :func:`noise_density`.
    """
    trace = generator.standard_normal(samples + BURN_IN, dtype=np.float32)
    slow, fast, high = (np.float32(_find_pole(corner, sampling_rate_hz)) for corner in (SLOW_HZ, FAST_HZ, HIGH_PASS_HZ))
    _color_noise(trace, slow, fast, high, np.float32(noise_uv / _find_spread(sampling_rate_hz)))
    return trace[BURN_IN:]


def noise_density(frequency_hz: np.ndarray, sampling_rate_hz: int, noise_uv: float) -> np.ndarray:
    """Power spectral density of the noise, one-sided, in µV² per Hz."""
    power = _filter_power(frequency_hz, sampling_rate_hz)
    return noise_uv**2 * power / _find_spread(sampling_rate_hz) ** 2 * 2 / sampling_rate_hz


@numba.njit(cache=True)
def _color_noise(trace, slow_pole, fast_pole, high_pole, scale):
    one = np.float32(1)
    slow_weight, fast_weight = np.float32(SLOW_WEIGHT), np.float32(FAST_WEIGHT)
    slow = fast = before = passed = np.float32(0)
    for position in range(len(trace)):
        white = trace[position]
        slow += (one - slow_pole) * (white - slow)
        fast += (one - fast_pole) * (white - fast)
        mixed = white + slow_weight * slow + fast_weight * fast
        passed = high_pole * passed + mixed - before
        before = mixed
        trace[position] = scale * passed


def _find_pole(corner_hz: float, sampling_rate_hz: int) -> float:
    return float(np.exp(-2 * np.pi * corner_hz / sampling_rate_hz))


def _filter_power(frequency_hz: np.ndarray, sampling_rate_hz: int) -> np.ndarray:
    """Squared gain of what :func:`_color_noise` does with ``scale`` 1."""
    gain = 1
    for corner_hz, weight in ((SLOW_HZ, SLOW_WEIGHT), (FAST_HZ, FAST_WEIGHT)):
        pole = _find_pole(corner_hz, sampling_rate_hz)
        gain = gain + weight * freqz([1 - pole], [1, -pole], frequency_hz, fs=sampling_rate_hz)[1]
    gain = gain * freqz([1, -1], [1, -_find_pole(HIGH_PASS_HZ, sampling_rate_hz)], frequency_hz, fs=sampling_rate_hz)[1]
    return np.abs(gain) ** 2


@lru_cache
def _find_spread(sampling_rate_hz: int) -> float:
    """Standard deviation of white noise of standard deviation 1 after the filter."""
    midpoints = (np.arange(100_000) + 0.5) * sampling_rate_hz / 200_000
    return float(np.sqrt(_filter_power(midpoints, sampling_rate_hz).mean()))


def _make_hum(samples: int, sampling_rate_hz: int, phase: float) -> np.ndarray:
    turns = np.arange(samples) * (HUM_HZ / sampling_rate_hz) + phase
    return np.sin(2 * np.pi * turns).astype(np.float32)


def write_simulated(path: Path, plan: Plan, duration_s: float) -> None:
    """Write one recording in the vendor's layout: the same bytes for the same plan and duration.

    The electrodes' stream stands beside a digital port's, and sometimes beside auxiliary inputs, in an order that
    differs between recordings as it does between rigs. Channels are listed by name, rows are in the rig's order.
    """
    counts, adc_zero, factor = simulate_counts(plan, duration_s)
    names = list_channels(plan.layout)
    by_name = np.array(sorted(range(len(names)), key=lambda index: (names[index][0], int(names[index][1:]))))
    tick_us = 1_000_000 // plan.sampling_rate_hz
    electrodes = Stream(
        counts,
        [names[index] for index in by_name],
        tick_us,
        conversion_factor=factor[by_name],
        exponent=EXPONENT,
        adc_zero=adc_zero[by_name],
        row_index=by_name.tolist(),
    )
    others = _make_other_streams(counts.shape[1], tick_us)
    generator = _open_stream(plan.seed, 6, *plan.key)
    streams = [electrodes, *others[: generator.integers(1, len(others) + 1)]]
    order = generator.permutation(len(streams))
    recording = RigRecording([streams[index] for index in order])
    write_mcs_file(path, [recording], layout=plan.layout, start=plan.start)


def _make_other_streams(samples: int, tick_us: int) -> list[Stream]:
    port = np.full((1, samples), -32768, np.int32)
    inputs = np.zeros((2, samples), np.int32)
    return [
        Stream(
            port, ["1"], tick_us, conversion_factor=0, exponent=0, unit="NoUnit", label=DIGITAL_LABEL, subtype="Digital"
        ),
        Stream(inputs, ["1", "2"], tick_us, exponent=EXPONENT, label=AUXILIARY_LABEL, subtype="Auxiliary"),
    ]


def _open_stream(seed: int, *key: int) -> np.random.Generator:
    """A stream of random numbers of its own for every key, whatever else is drawn before, after or beside it."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
