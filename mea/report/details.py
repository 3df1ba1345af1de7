"""What a row of the report opens: raster, electrode maps, traces and chunk predictions of one recording.

On a page of up to 500 recordings it is inside the page, which stays under 10 MB. Of more recordings, it lies beside the
page, a file each, for those that matter most.

Numbers that are many travel as base64 of little-endian integers, which the page's script reads.
"""

import base64
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mea.arrays.detection import SpikeDetection, measure_noise, place_on_grid
from mea.arrays.events import SpikeEvents
from mea.arrays.events_file import load_events
from mea.arrays.plots_recordings import pick_samples
from mea.arrays.traces import cut_traces
from mea.recordings.recording import Recording, read_recording
from mea.report.attributions import choose_doubtful
from mea.report.results import Results, find_file
from mea.runtime.errors import MeaError

# What keeps a page of hundreds of recordings under 10 MB: spikes, and samples of traces before spike detection.
MOST_SPIKES, MOST_SAMPLES = 400_000, 300_000
MOST_INSIDE = 500  # recordings of which everything is in the page itself
MOST_BESIDE = 500  # recordings that are drawn, where there are more
TICKS = 65_535  # a spike's time is one of so many, from the recording's start to its end
KINDS = ("uint16", "int16", "int32")  # the first that holds all values is taken


@dataclass(frozen=True)
class Places:
    """Where recordings are, and how much of each the page shows.

    Attributes
    ----------
    unzip, h5, array
        What these stages wrote.
    detection
        How the array stage detected their spikes.
    most_spikes, most_samples
        At most so many of each recording are drawn.
    """

    unzip: Path
    h5: Path
    array: Path
    detection: SpikeDetection
    most_spikes: int
    most_samples: int


@dataclass(frozen=True)
class Shown:
    """A recording that the page draws.

    Attributes
    ----------
    name
        Of the recording.
    line, file
        Its line of the catalogue, and that of its file in the manifest.
    lab
        The lab's own columns, (name, value).
    chunks
        Predictions of its chunks.
    n_labels
        How many classes there are.
    """

    name: str
    line: dict[str, Any]
    file: dict[str, Any]
    lab: list[tuple[str, Any]]
    chunks: pd.DataFrame
    n_labels: int


def list_shown(results: Results, names: list[str]) -> list[Shown]:
    """The recordings of these names, each with what the stages wrote of it."""
    catalogue = {line["recording"]: line for line in results.catalogue.to_dict("records")}
    manifest = {line["file"]: line for line in results.manifest.to_dict("records")}
    chunks = dict(list(results.chunks.groupby("recording")))
    lab = results.lab.reindex(names).fillna("")
    shown = []
    for name in names:
        line = catalogue[name]
        own_columns = list(lab.loc[name].items())
        shown.append(Shown(name, line, manifest[line["file"]], own_columns, chunks[name], len(results.labels)))
    return shown


def build_detail(shown: Shown, places: Places) -> dict[str, Any]:
    """Everything the page draws of one recording, ready for JSON.

    Raises
    ------
    MeaError
        If one of its files is missing or damaged.
    """
    events = load_events(find_file(places.array / f"{shown.name}.npz", "array"))
    recording = read_recording(find_file(places.h5 / f"{shown.name}.h5", "h5"))
    return {
        "properties": list_properties(shown, events),
        "raster": pick_spikes(events, places.most_spikes),
        "electrodes": name_electrodes(recording, events),
        "maps": draw_maps(events, places.detection.threshold),
        "traces": draw_traces(recording, events, places),
        "chunks": list_chunks(shown),
    }


def list_properties(shown: Shown, events: SpikeEvents) -> list[tuple[str, Any]]:
    """Where a recording comes from and what it is, (name, value)."""
    line, file = shown.line, shown.file
    source = "/".join(part for part in (file["archive"], file["member"]) if part)
    return [
        ("file", source),
        ("SHA-256 of the file", file["sha256"]),
        ("began", events.start or "unknown"),
        ("length", f"{events.duration_s:g} s at {events.sampling_rate_hz} samples per second"),
        ("rig", f"format {line['format']}, layout {line['layout']}, stream {line['stream'] or 'none'}"),
        ("electrodes", f"{events.n_electrodes} on a grid of {events.rows} × {events.cols}"),
        ("spikes", f"{len(events)}, {events.firing_rates_hz.mean():.3g} per second and electrode"),
        *shown.lab,
    ]


def choose_drawn(recordings: pd.DataFrame, asked: list[str]) -> list[str]:
    """Recordings that are drawn, sorted: all, or of many those that matter most and those that were asked for.

    Parameters
    ----------
    recordings
        The predictions of the recordings.
    asked
        Names of ``report.show``.

    Raises
    ------
    MeaError
        If there is no recording of a name that was asked for.
    """
    names = sorted(recordings["recording"])
    unknown = sorted(set(asked) - set(names))
    if unknown:
        raise MeaError(
            f"report.show: no recording {unknown[0]!r}. Name some of the column recording of "
            "metrics/evaluate/predictions.csv."
        )
    if len(names) <= MOST_INSIDE:
        return names
    return sorted({*choose_doubtful(recordings, MOST_BESIDE), *asked})


def limit_each(most_on_page: int, recordings: int) -> int:
    """How many spikes or samples of each recording are drawn, so that the page stays small.

    A recording that lies beside the page gets as many as one of a hundred on it.

    >>> limit_each(400_000, 200), limit_each(400_000, 10_000)
    (2000, 4000)
    """
    return max(1, most_on_page // max(1, recordings if recordings <= MOST_INSIDE else 100))


def pick_spikes(events: SpikeEvents, most: int) -> dict[str, Any]:
    """Times and electrodes of at most ``most`` spikes, evenly picked in the order of time."""
    picked = np.arange(len(events))
    if len(events) > most:
        picked = np.linspace(0, len(events) - 1, most).round().astype(int)
    times = np.rint(events.spike_times_s[picked] / events.duration_s * TICKS)
    return {
        "times": pack(np.clip(times, 0, TICKS)),
        "electrodes": pack(events.electrode[picked]),
        "ticks": TICKS,
        "duration_s": events.duration_s,
        "n_electrodes": events.n_electrodes,
        "drawn": len(picked),
        "spikes": len(events),
    }


def name_electrodes(recording: Recording, events: SpikeEvents) -> list[list[str]]:
    """The rig's names of the electrodes at their places; empty where there is none."""
    grid = [[""] * events.cols for _ in range(events.rows)]
    for row, col, name in zip(events.row, events.col, recording.source.names):
        grid[row][col] = str(name)
    return grid


def draw_maps(events: SpikeEvents, threshold: float) -> list[dict[str, Any]]:
    """Firing rate and, where there are voltages, noise of every electrode at its place."""
    maps = [("firing rate", "Hz", events.firing_rates_hz)]
    if events.has_waveforms:
        maps.append(("noise", "µV", measure_noise(events, threshold)))
    return [
        {"name": name, "unit": unit, "grid": [to_list(row, 4) for row in place_on_grid(events, values)]}
        for name, unit, values in maps
    ]


def draw_traces(recording: Recording, events: SpikeEvents, places: Places) -> list[dict[str, Any]]:
    """The two busiest electrodes in their busiest quarter of a second, before and after spike detection.

    Empty for a recording of spike times.
    """
    if not events.has_waveforms:
        return []
    cut = cut_traces(find_file(places.unzip / recording.file, "unzip"), recording, events, places.detection)
    bins = max(1, places.most_samples // (2 * len(cut.titles)))  # two samples of each are kept
    return [
        {
            "name": title,
            "before": pack_line(raw, np.union1d(pick_samples(raw[None], bins), peaks)),
            "after": pack_line(cleaned, np.union1d(find_turns(cleaned), peaks)),
            "peaks": pack(peaks),
            "start_s": cut.start_s,
            "sampling_rate_hz": cut.sampling_rate_hz,
            "threshold_uv": float(threshold),
        }
        for title, raw, cleaned, peaks, threshold in zip(
            cut.titles, cut.raw_uv, cut.cleaned_uv, cut.peaks, cut.threshold_uv, strict=True
        )
    ]


def find_turns(signal: np.ndarray) -> np.ndarray:
    """Samples that are enough to draw a cleaned trace: the zeros between its spikes are left out."""
    near = np.convolve(signal != 0, [1, 1, 1], "same") > 0
    near[[0, -1]] = True
    return np.flatnonzero(near)


def pack_line(signal_uv: np.ndarray, kept: np.ndarray) -> dict[str, Any]:
    """Some samples of a trace."""
    kept = kept.astype(np.int64)
    return {"samples": pack(kept), "tenths_uv": pack(np.rint(10 * signal_uv[kept]))}


def list_chunks(shown: Shown) -> dict[str, Any]:
    """The probability of the label in each chunk, over time, and whether the chunk was predicted correctly."""
    own = shown.chunks.sort_values("start_s")
    label = own["label"].iloc[0]
    return {
        "label": label,
        "labels": shown.n_labels,
        "middle_s": to_list((own["start_s"] + own["stop_s"]) / 2),
        "percent": to_list(100 * own[f"p_{label}"], 4),
        "predicted": own["predicted"].tolist(),
        "correct": (own["predicted"] == label).tolist(),
    }


def to_list(values: Iterable[float], digits: int = 6) -> list[float | None]:
    """Numbers as JSON knows them: NaN becomes null."""
    numbers = (float(value) for value in values)
    return [float(f"{number:.{digits}g}") if math.isfinite(number) else None for number in numbers]


def pack(values: np.ndarray | pd.Series) -> dict[str, str]:
    """Whole numbers as base64, and the type they have there."""
    values = np.asarray(values)
    low, high = (values.min(), values.max()) if values.size else (0, 0)
    kind = next(kind for kind in KINDS if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max)
    stored = values.astype(np.dtype(kind).newbyteorder("<"))
    return {"kind": kind, "base64": base64.b64encode(stored.tobytes()).decode()}
