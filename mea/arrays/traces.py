"""A few electrodes' samples, before and after cleaning, in a short window: what the plots of traces show."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mea.arrays.detection import SpikeDetection, open_at_rate
from mea.arrays.events import SpikeEvents
from mea.recordings.recording import Recording

SHOWN_S = 0.25


@dataclass(frozen=True)
class Traces:
    """The samples of ``k`` electrodes in one window; one to three electrodes are readable in a plot.

    Attributes
    ----------
    raw_uv, cleaned_uv
        (k, samples) in µV, before and after cleaning.
    peaks
        For each electrode (m,) int: the samples of ``raw_uv`` at which an event has its peak.
    sampling_rate_hz
        Samples per second.
    threshold_uv
        (k,) in µV.
    titles
        Name of each electrode.
    start_s
        Time of the first sample.
    """

    raw_uv: np.ndarray
    cleaned_uv: np.ndarray
    peaks: Sequence[np.ndarray]
    sampling_rate_hz: float
    threshold_uv: np.ndarray
    titles: Sequence[str]
    start_s: float = 0.0


def find_busiest(events: SpikeEvents) -> tuple[np.ndarray, int, int]:
    """The two electrodes with most events, and their busiest quarter of a second: first sample, and the one after it.

    Looked for in quarters of a second that follow each other; of equals the first.
    """
    chosen = np.argsort(-events.firing_rates_hz, kind="stable")[:2]
    width = min(round(SHOWN_S * events.sampling_rate_hz), events.n_samples)
    peaks = events.peak_sample[np.isin(events.electrode, chosen)]
    first = int(np.bincount(peaks // width, minlength=1).argmax()) * width
    return chosen, first, min(first + width, events.n_samples)


def cut_cleaned(events: SpikeEvents, chosen: np.ndarray, first: int, last: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Some electrodes' cleaned samples first to last, last excluded, in µV, and where their peaks are in these."""
    peaks = [events.peak_sample[events.electrode == electrode] for electrode in chosen]
    signals_uv = events.dense(first, last)[events.row[chosen], events.col[chosen]]
    return signals_uv, [found[(found >= first) & (found < last)] - first for found in peaks]


def cut_traces(path: Path, recording: Recording, events: SpikeEvents, detection: SpikeDetection) -> Traces:
    """The two busiest electrodes in their busiest quarter of a second, before and after cleaning.

    Parameters
    ----------
    path
        The rig's file.
    recording, events
        What is known of the recording, and its events.
    detection
        How its spikes were detected.
    """
    chosen, first, last = find_busiest(events)
    source, read = open_at_rate(path, recording.source.take(chosen), detection)
    counts = read(first, last)
    cleaned_uv, peaks = cut_cleaned(events, chosen, first, last)
    return Traces(
        raw_uv=(counts.astype(np.int64) - source.adc_zero[:, None]) * source.gain_v[:, None] * 1e6,
        cleaned_uv=cleaned_uv,
        peaks=peaks,
        sampling_rate_hz=events.sampling_rate_hz,
        threshold_uv=events.threshold_uv[chosen],
        titles=[f"electrode {name}" for name in source.names],
        start_s=first / events.sampling_rate_hz,
    )
