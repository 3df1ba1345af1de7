"""Spike detection in one recording: from the rig's file to the stored events."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mea.arrays.electrodes import find_dead_electrodes
from mea.arrays.events import SpikeEvents, events_from_spike_times
from mea.arrays.events_file import FORMAT_VERSION, load_events, save_events
from mea.arrays.quality import format_quality
from mea.arrays.resampling import Read, resample, resample_source
from mea.arrays.spikes import find_spikes, join_spikes
from mea.arrays.streaming import stream_spikes
from mea.recordings.formats import read_counts
from mea.recordings.recording import RawRecording, Recording, format_pauses, pack_places, read_recording
from mea.runtime.cache import fetch_file, make_key
from mea.runtime.errors import BadRecording
from mea.runtime.files import hash_file, redo
from mea.runtime.memory import keep_freed_memory

MOST_BYTES = 800_000_000  # of a recording's counts in memory, where they fit into 16 bits
COLUMNS = [
    "recording", "label", "culture", "batch", "sampling_rate_hz", "recorded_sampling_rate_hz", "duration_s",
    "pauses_s", "electrodes", "start", "places", "events", "spikes_per_s", "noise_uv", "bytes", "status", "reason",
    "quality",
]  # fmt: skip
OTHER_RATE = "recorded at"  # begins the reason why a recording of another sampling rate is set aside


@dataclass(frozen=True)
class SpikeDetection:
    """How spikes are detected.

    Attributes
    ----------
    sampling_rate_hz
        Sampling rate that all recordings have in common.
    other_sampling_rate
        What happens to a recording with another sampling rate: ``set_aside`` or ``resample``.
    threshold
        Height of a peak, in robust standard deviations.
    """

    sampling_rate_hz: int
    other_sampling_rate: str
    threshold: float

    def explain_rejection(self, source: RawRecording) -> str:
        """Why a recording is set aside; an empty string for one that is used. Spike times fit any rate."""
        if (
            _has_spike_times_only(source)
            or source.sampling_rate_hz == self.sampling_rate_hz
            or self.other_sampling_rate == "resample"
        ):
            return ""
        return f"{OTHER_RATE} {source.sampling_rate_hz} Hz, not at {self.sampling_rate_hz} Hz"


def read_events(path: Path, recording: Recording, detection: SpikeDetection) -> SpikeEvents:
    """Read a recording's samples or spike times from its rig's file and find its events.

    Raises
    ------
    BadRecording
        If the file is damaged or not the one described.
    """
    if _has_spike_times_only(recording.source):
        events = events_from_spike_times(recording.source, detection.sampling_rate_hz)
    else:
        events = _find_events(path, recording.source, detection)
    return replace(events, recording=recording.recording)


def _find_events(path: Path, source: RawRecording, detection: SpikeDetection) -> SpikeEvents:
    at_rate, read = open_at_rate(path, source, detection)
    parts = split_electrodes(at_rate)
    if len(parts) > 1:
        streamed = stream_spikes(read, at_rate, detection.threshold)
        if streamed is not None:
            return join_spikes(at_rate, at_rate.n_samples, streamed)
    spikes = []
    for electrodes in parts:
        part, read = open_at_rate(path, source.take(electrodes), detection)
        spikes += find_spikes(read(0, part.n_samples), part, detection.threshold)
    return join_spikes(at_rate, at_rate.n_samples, spikes)


def split_electrodes(source: RawRecording) -> list[slice]:
    """Electrodes to hold in memory together: all, or as many as keep a worker under 2 GB however long the recording.

    The chunks of the file hold all electrodes, so that each further part reads and inflates the file again: only counts
    of more than 16 bits are read so; anything else by :func:`mea.arrays.streaming.stream_spikes`.
    """
    together = max(1, MOST_BYTES // (2 * max(1, source.n_samples)))
    return [slice(first, first + together) for first in range(0, source.n_electrodes, together)]


def detect_recording(
    path: Path, unzip: Path, out: Path, detection: SpikeDetection, skip: bool = False
) -> dict[str, Any]:
    """Store the events of one recording, from the cache where possible; returns its line of the catalogue.

    Parameters
    ----------
    path
        The recording's small HDF5 file.
    unzip
        Folder of the rigs' files.
    out
        Folder for ``<recording>.npz``.
    detection
        How its spikes are detected.
    skip
        Whether a recording whose samples are damaged is set aside.

    Returns
    -------
    dict
        A line of the catalogue, without who was measured.

    Raises
    ------
    BadRecording
        If the samples are damaged and nothing is to be set aside, or the file is not the one that was looked at.
    """
    keep_freed_memory()  # the next recording's samples take the place of this one's
    recording = read_recording(path)
    source = recording.source
    line: dict[str, Any] = {
        "recording": recording.recording,
        "sampling_rate_hz": source.sampling_rate_hz,
        "recorded_sampling_rate_hz": source.sampling_rate_hz,
        "duration_s": source.duration_s,
        "pauses_s": "",
        "electrodes": source.n_electrodes,
    }
    line |= {"start": source.start, "places": "", "quality": ""}
    reason = detection.explain_rejection(source)
    if reason:
        return line | {"status": "set aside", "reason": reason}
    target = out / f"{recording.recording}.npz"
    # The small file holds the checksum of the rig's file and everything else that is known of the recording.
    values = {"recording": hash_file(path), "detection": vars(detection), "version": FORMAT_VERSION}
    try:
        fetch_file(make_key(values, __name__), target, lambda made: _make_events(made, unzip, recording, detection))
    except BadRecording as error:
        target.unlink(missing_ok=True)
        if not skip:
            raise
        reason = " ".join(str(error).replace(f"{unzip}{os.sep}", "").split())
        return line | {"status": "set aside", "reason": reason}
    events = load_events(target)
    return line | {
        "sampling_rate_hz": events.sampling_rate_hz,
        "pauses_s": format_pauses(events),
        "places": pack_places(events, ~find_dead_electrodes(events.threshold_uv)) if events.has_waveforms else "",
        "events": len(events),
        "spikes_per_s": float(events.firing_rates_hz.mean()),
        "noise_uv": float(np.median(measure_noise(events, detection.threshold))),
        "bytes": target.stat().st_size,
        "dense_bytes": events.rows * events.cols * events.n_samples * 8 if events.has_waveforms else 0,
        "quality": "; ".join(format_quality(events)),
        "status": "used",
        "reason": "",
    }


def _make_events(made: Path, unzip: Path, recording: Recording, detection: SpikeDetection) -> None:
    path = unzip / recording.file
    if hash_file(path) != recording.sha256:
        raise BadRecording(f"{path}: not the file that the stage h5 looked at (its SHA-256 differs). {redo('unzip')}")
    save_events(made, read_events(path, recording, detection))


def summarise(catalogue: pd.DataFrame) -> dict[str, Any]:
    """Totals of a catalogue; the ratio is to the dense float64 array (rows, cols, samples) the predecessor stored."""
    used = catalogue[catalogue["status"] == "used"]
    stored = used["bytes"][used["dense_bytes"] > 0].sum()
    set_aside = catalogue[catalogue["status"] == "set aside"]
    return {
        "recordings": len(used),
        "hours": used["duration_s"].sum() / 3600,
        "events": int(used["events"].sum()),
        "bytes": int(used["bytes"].sum()),
        "dense_ratio": used["dense_bytes"].sum() / stored if stored else math.nan,
        "quality": {name: text for name, text in zip(used["recording"], used["quality"], strict=True) if text},
        "set_aside": dict(zip(set_aside["recording"], set_aside["reason"], strict=True)),
    }


def measure_noise(events: SpikeEvents, threshold: float) -> np.ndarray:
    """(n,) float64 µV: each electrode's robust standard deviation, median(abs(x)) / 0.6745; NaN for spike times."""
    return events.threshold_uv / threshold


def place_on_grid(events: SpikeEvents, values: np.ndarray) -> np.ndarray:
    """From (n,) one number per electrode to float64 (rows, cols), NaN where there is no electrode."""
    grid = np.full((events.rows, events.cols), np.nan)
    grid[events.row, events.col] = values
    return grid


def choose_shown(catalogue: Sequence[dict[str, Any]], most: int) -> list[str]:
    """Ids of up to ``most`` used recordings to draw: the first of every label, then the second of every label, ..."""
    turns: dict[str, int] = {}
    ranked = []
    for line in sorted((line for line in catalogue if line["status"] == "used"), key=lambda line: line["recording"]):
        turns[line["label"]] = turns.get(line["label"], 0) + 1
        ranked.append((turns[line["label"]], line["label"], line["recording"]))
    return [recording for _, _, recording in sorted(ranked)[:most]]


def open_at_rate(path: Path, source: RawRecording, detection: SpikeDetection) -> tuple[RawRecording, Read]:
    """The source at the sampling rate of the detection, and what reads its samples from first to last, excluded."""
    read, rate = partial(read_counts, path, source), detection.sampling_rate_hz
    if source.sampling_rate_hz == rate:
        return source, read
    return resample_source(source, rate), partial(resample, read, source, rate)


def _has_spike_times_only(source: RawRecording) -> bool:
    return source.n_samples == 0
