"""Tiny recordings for the tests, written in the rigs' own formats."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import ArrayLike

from mea.recordings.formats.mcs_layout import RigRecording, Stream
from mea.recordings.formats.mcs_writer import write_mcs_file
from mea.recordings.layouts import RIG_ROW_ORDER
from mea.recordings.recording import RawRecording

GAIN_V = 59605 * 10.0**-12


def make_small_counts(n_channels: int, n_samples: int, *, sampling_rate_hz: int = 25_000, seed: int = 0) -> np.ndarray:
    """(n_channels, n_samples) int32 counts: noise, and on every channel about 5 spikes/s far above 5 noise levels."""
    random = np.random.default_rng(seed)
    counts = random.normal(0, 80, (n_channels, n_samples)).round().astype(np.int32)
    width = max(2, sampling_rate_hz // 2500)
    shape = (-2500 * np.sin(np.linspace(0, 2 * np.pi, 2 * width))).astype(np.int32)
    for channel in counts:
        for first in random.integers(0, max(1, n_samples - len(shape)), 1 + 5 * n_samples // sampling_rate_hz):
            piece = channel[first : first + len(shape)]
            piece += shape[: len(piece)]
    return counts


def make_source(
    counts: np.ndarray,
    sampling_rate_hz: int = 25_000,
    gain_v: ArrayLike = GAIN_V,
    adc_zero: ArrayLike = 0,
) -> RawRecording:
    """What there is to know of (n, samples) counts: electrodes E0, E1, ... row by row on a grid of 12 columns."""
    n, n_samples = counts.shape
    electrode = np.arange(n)
    return RawRecording(
        format="mcs",
        dataset="",
        sampling_rate_hz=sampling_rate_hz,
        n_samples=n_samples,
        duration_s=n_samples / sampling_rate_hz,
        start="",
        layout="120MEA",
        rows=max(1, -(-n // 12)),
        cols=12,
        stream="",
        names=np.array([f"E{number}" for number in electrode]),
        row=electrode // 12,
        col=electrode % 12,
        x_um=np.zeros(n),
        y_um=np.zeros(n),
        source_row=electrode,
        gain_v=np.broadcast_to(np.asarray(gain_v, float), n).copy(),
        adc_zero=np.broadcast_to(np.asarray(adc_zero, np.int64), n).copy(),
    )


def write_small_mcs(
    path: Path,
    *,
    n_samples: int = 25_000,
    sampling_rate_hz: int = 25_000,
    seed: int = 0,
    labels: Sequence[str] = RIG_ROW_ORDER,
    layout: str = "120MEA200/30iR-Ti",
    start: str = "2024-03-05T10:20:30",
    recordings: int = 1,
    filtered: bool = False,
    **oddities: Any,
) -> np.ndarray:
    """Write a small vendor file: by default 120 electrodes, 1 s at 25 kHz, 59.605 nV per count.

    ``oddities`` are fields of :class:`mea.recordings.formats.mcs_layout.Stream` (``adc_zero``, ``row_index``, ``unit``,
    ``tick_us``, ...) and plant faults in the electrode stream. With ``filtered``, ``Stream_0`` is a filtered copy (the
    counts halved) and ``Stream_1`` the raw one, as in the vendor's own file. Further recordings have seed + 1, ...
    Returns the first recording's counts, (channels, n_samples) int32, in the order of the rows.
    """
    assert set(oddities) <= {item.name for item in fields(Stream)}, oddities
    all_counts = [
        make_small_counts(len(labels), n_samples, sampling_rate_hz=sampling_rate_hz, seed=seed + number)
        for number in range(recordings)
    ]
    written = []
    for number, counts in enumerate(all_counts):
        values = {"counts": counts, "labels": labels, "tick_us": round(1e6 / sampling_rate_hz)} | oddities
        streams = [Stream(**values)]
        if filtered:
            streams.insert(
                0, Stream(**values | {"counts": counts // 2, "source": 1, "label": "Filter (1) Filter Data"})
            )
        written.append(RigRecording(streams, timestamp_us=number * 60_000_000))
    write_mcs_file(path, written, layout=layout, start=start)
    return all_counts[0]


def write_small_spike_times(
    path: Path,
    *,
    names: Sequence[str] = ("ch_12A_unit_0", "ch_55A_unit_0", "ch_87A_unit_0"),
    duration_s: float = 30.0,
    firing_rate_hz: float = 3.0,
    seed: int = 0,
    **replaced: Any,
) -> np.ndarray:
    """Write a small spike-time file in the layout of ``charlesworth2015``.

    ``replaced`` gives datasets (``spikes``, ``sCount``, ``array``, ``recordingtime``, ``names``) other values, or
    leaves one out with None, to plant faults. Returns the spike times in s, one channel after the other.
    """
    random = np.random.default_rng(seed)
    trains = [np.sort(random.uniform(0, duration_s, random.poisson(firing_rate_hz * duration_s))) for _ in names]
    values = {
        "spikes": np.concatenate([*trains, np.zeros(0)]),
        "sCount": np.array([len(train) for train in trains], np.int32),
        "names": np.array(names, "S"),
        "epos": np.zeros((2, len(names))),
        "recordingtime": np.array([0.0, duration_s]),
        "array": np.array(["MCS_8x8_200um"], "S"),
    } | replaced
    with h5py.File(path, "w") as h5:
        for name, value in values.items():
            if value is not None:
                h5[name] = value
        h5["meta/region"] = np.array(["hpc"], "S")
    return values["spikes"]
