"""Recordings of simulated cultures: voltages as a rig measures them, in the counts it writes.

What the cultures fire is :mod:`mea.simulation.simulated_network`.
"""

from pathlib import Path

import numpy as np

from mea.recordings.formats.mcs_layout import DIGITAL_LABEL, RigRecording, Stream
from mea.recordings.formats.mcs_writer import write_mcs_file
from mea.recordings.layouts import RIG_ROW_ORDER, electrode_labels
from mea.simulation.noise import make_noise
from mea.simulation.plans import Plan, open_stream
from mea.simulation.simulated_network import SimulatedSpikes, Traits, draw_spikes, draw_traits, silence_traits

EXPONENT = -12
CONVERSION_FACTOR = 762_940  # 0.76294 µV per count: a common rig's step, at twice its usual input range
# A converter's offset of half a byte: the noise then stays within the lowest byte of each count, and the other three,
# which around 0 would flip with every change of sign, compress to almost nothing. A file is half as large.
ZERO = 0x80
HUM_HZ, HUM_UV = 50.0, 0.4
AUXILIARY_LABEL = "Data Acquisition (1) Auxiliary Data"


def simulate_spikes(plan: Plan, duration_s: float) -> tuple[Traits, SimulatedSpikes]:
    """The truth behind a recording, without its voltages: fast enough for hundreds of recordings.

    Electrodes are numbered in the order of :func:`list_channels`; dead ones keep their neurons, which nobody hears.
    """
    places = electrode_labels(plan.layout)
    row, col = np.array([places[label] for label in list_channels(plan.layout)]).T
    lab, culture = open_stream(plan.seed, 0), open_stream(plan.seed, 1, *plan.key[:3])
    traits = draw_traits(
        row, col, plan.class_shift, plan.recording_variance, (lab, culture, open_stream(plan.seed, 2, *plan.key))
    )
    traits = silence_traits(traits) if plan.lifeless else traits
    return traits, draw_spikes(traits, duration_s, open_stream(plan.seed, 3, *plan.key))


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
    generator = open_stream(plan.seed, 5, *plan.key)
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
    order = open_stream(plan.seed, 7, *plan.key).permutation(n)
    return order < round(plan.dead_fraction * n)


def make_waveform(sampling_rate_hz: int, width: float, hump: float) -> tuple[int, np.ndarray]:
    """A biphasic spike: trough of depth 1 at sample 0, then a longer hump of height ``hump``; about 1 ms in all.

    Returns the first sample, relative to the trough, and the (k,) float32 values from there on.
    """
    first, last = round(-0.0005 * width * sampling_rate_hz), round(0.0014 * width * sampling_rate_hz)
    time_ms = np.arange(first, last + 1) / sampling_rate_hz * 1000 / width
    trough = np.exp(-0.5 * (time_ms / 0.12) ** 2)
    second = hump * np.exp(-0.5 * ((time_ms - 0.5) / 0.22) ** 2) * (time_ms > 0)
    return first, (second - (1 + second[-first]) * trough).astype(np.float32)


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
    generator = open_stream(plan.seed, 6, *plan.key)
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
