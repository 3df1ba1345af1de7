"""Summary features of the chunks of a split, and of whole recordings; cached ones are not computed again."""

from collections.abc import Mapping
from functools import cache

import numpy as np
import pandas as pd

from mea.arrays.events import SpikeEvents
from mea.features.cached import fetch_features, fetch_long_window_features
from mea.features.compute import average, summarise_recording
from mea.features.families import build_feature_table, list_features
from mea.runtime.errors import MeaError
from mea.splitting.baselines import refer_values
from mea.splitting.chunks import place_chunks


def compute_chunks(chunks: pd.DataFrame, events: Mapping[str, SpikeEvents]) -> np.ndarray:
    """(n_chunks, n_features) of chunks, relative to the mean over those of the baseline where a recording has one."""
    found = np.empty((len(chunks), len(list_features(events[chunks["recording"].iloc[0]].has_waveforms))))
    for name, number in chunks.groupby("recording", sort=False).indices.items():
        part = chunks.iloc[number]
        values, baseline = _look_up_chunks(part, events[name]), events[name].baseline
        if baseline:
            before = _look_up_chunks(_cut_baseline(part, baseline.events), baseline.events)
            is_log = find_logarithms(events[name].has_waveforms)[0]
            values = refer_values(values, average(before, np.ones(len(before))), is_log, baseline.how)
        found[number] = values
    return found


@cache
def find_logarithms(has_waveforms: bool) -> tuple[np.ndarray, np.ndarray]:
    """Which features of chunks, (n_features,), and of recordings, (n_summaries,), are logarithms: by their units."""
    table = build_feature_table(has_waveforms)
    is_log = dict(zip(table["name"], table["unit"].str.startswith("log10")))
    of_chunks = np.array([is_log[f"whole_{name}"] for name in list_features(has_waveforms)])
    return of_chunks, np.array(list(is_log.values()))


def _look_up_chunks(chunks: pd.DataFrame, events: SpikeEvents) -> np.ndarray:
    """(n_chunks, n_features) of chunks of one recording."""
    lengths = (chunks["stop_s"] - chunks["start_s"]).to_numpy()
    start_s, values = _fetch_chunks(events, lengths[0])
    return values[np.searchsorted(start_s, chunks["start_s"] - lengths / 2)]  # both are rounded


def _cut_baseline(chunks: pd.DataFrame, events: SpikeEvents) -> pd.DataFrame:
    """Chunks of a baseline: as long as those of the recording that is referred to it, and as far as these reach.

    Raises
    ------
    MeaError
        If the baseline is shorter than one chunk.
    """
    length_s, last_s = (chunks["stop_s"] - chunks["start_s"]).iloc[0], chunks["stop_s"].max()
    rate = events.sampling_rate_hz
    start_s = place_chunks(events.parts, round(length_s * rate)) / rate
    start_s = start_s[start_s + length_s <= last_s + 1 / rate]
    if not len(start_s):
        raise MeaError(
            f"{events.recording}: the baseline of {chunks['recording'].iloc[0]} is shorter than one chunk "
            f"({length_s:g} s). Choose a shorter split.chunk_s, or leave its name out of the column 'baseline'."
        )
    return pd.DataFrame({"recording": events.recording, "start_s": start_s, "stop_s": start_s + length_s})


def summarise_recordings(chunks: pd.DataFrame, events: Mapping[str, SpikeEvents], values: np.ndarray) -> np.ndarray:
    """(n_recordings, n_summaries) of the parts of recordings that chunks cover, sorted by name.

    ``values`` are the features of the chunks, (n_chunks, n_features). A recording with a baseline is summarised for
    itself, and then referred to its baseline.
    """
    rows = []
    for name, number in sorted(chunks.groupby("recording").indices.items()):
        part, baseline = chunks.iloc[number], events[name].baseline
        if baseline is None:
            rows.append(_summarise(part, events[name], values[number]))
            continue
        before = _cut_baseline(part, baseline.events)
        own, reference = (
            _summarise(cut, one, _look_up_chunks(cut, one))
            for cut, one in ((part, events[name]), (before, baseline.events))
        )
        rows.append(refer_values(own, reference, find_logarithms(events[name].has_waveforms)[1], baseline.how))
    return np.array(rows)


def _summarise(chunks: pd.DataFrame, events: SpikeEvents, values: np.ndarray) -> np.ndarray:
    windows = _find_windows(chunks, events)
    whole, long_window = fetch_features(events, windows), fetch_long_window_features(events, windows)
    length = np.array([stop - start for start, stop in windows])
    return summarise_recording(average(whole, length), values, average(long_window, length))


def _find_windows(chunks: pd.DataFrame, events: SpikeEvents) -> list[tuple[float, float]]:
    """From the first to the last chunk of each uninterrupted part of a recording: start and stop, s."""
    middle = (chunks["start_s"] + chunks["stop_s"]).to_numpy() / 2
    part = np.searchsorted(events.pauses / events.sampling_rate_hz, middle)
    return [
        (float(chunks["start_s"][part == one].min()), float(chunks["stop_s"][part == one].max()))
        for one in np.unique(part)
    ]


def _fetch_chunks(events: SpikeEvents, chunk_s: float) -> tuple[np.ndarray, np.ndarray]:
    """(n,) start, s, and (n, n_features) of all chunks of a recording."""
    rate = events.sampling_rate_hz
    length = round(chunk_s * rate)
    first = place_chunks(events.parts, length)
    windows = list(zip((first / rate).tolist(), ((first + length) / rate).tolist()))
    return first / rate, fetch_features(events, windows)
