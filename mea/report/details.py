"""What a row of the report opens: raster, electrode maps, traces and votes of one recording, small enough for the page.

Numbers that are many travel as base64 of little-endian integers, which the page's script reads.
"""

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mea.cleaning import cut_cleaned, find_busiest, measure_noise, place_on_grid
from mea.events import Events
from mea.report.charts import to_list
from mea.report.results import Results

MOST_ON_PAGE = 600_000  # spikes: what keeps a page of hundreds of recordings under 10 MB
TICKS = 65_535  # a spike's time is one of so many, from the recording's start to its end
PICTURES = {  # of the array stage: (size on the page, words)
    "traces": ("wide", "Traces before and after cleaning, with the detected peaks, as the array stage drew them"),
    "electrodes": ("small", "The electrodes' names on the rig"),
}


def describe_recording(
    results: Results, events: Events, threshold: float, most_spikes: int, plots: Path
) -> dict[str, Any]:
    """Everything the page draws of one recording, ready for JSON.

    Parameters
    ----------
    results
        What the stages wrote.
    events
        Of the recording.
    threshold
        How many robust standard deviations of the noise high a spike is.
    most_spikes
        At most so many are drawn.
    plots
        Folder of the array stage's pictures.
    """
    return {
        "facts": list_facts(results, events),
        "raster": pick_spikes(events, most_spikes),
        "maps": draw_maps(events, threshold),
        "traces": draw_traces(events),
        "votes": list_votes(results, events.recording),
        "pictures": embed_pictures(plots, events.recording),
    }


def list_facts(results: Results, events: Events) -> list[tuple[str, str]]:
    """Where a recording comes from and what it is, (name, value)."""
    (line,) = results.catalogue[results.catalogue["recording"] == events.recording].to_dict("records")
    (file,) = results.manifest[results.manifest["file"] == line["file"]].to_dict("records")
    source = "/".join(part for part in (file["archive"], file["member"]) if part)
    return [
        ("file", source),
        ("SHA-256 of the file", file["sha256"]),
        ("began", events.start or "unknown"),
        ("length", f"{events.duration_s:g} s at {events.rate_hz} samples per second"),
        ("rig", f"format {line['format']}, layout {line['layout']}, stream {line['stream'] or 'none'}"),
        ("electrodes", f"{events.n_electrodes} on a grid of {events.rows} × {events.cols}"),
        ("spikes", f"{len(events)}, {events.rates_hz.mean():.3g} per second and electrode"),
    ]


def share_spikes(most: int, recordings: int) -> int:
    """How many spikes of each recording are drawn: at most ``most``, and fewer where there are many recordings."""
    return max(1, min(most, MOST_ON_PAGE // max(1, recordings)))


def pick_spikes(events: Events, most: int) -> dict[str, Any]:
    """Times and electrodes of at most ``most`` spikes, evenly picked in the order of time."""
    picked = np.arange(len(events))
    if len(events) > most:
        picked = np.linspace(0, len(events) - 1, most).round().astype(int)
    times = np.rint(events.spike_times_s[picked] / events.duration_s * TICKS)
    return {
        "times": encode(np.clip(times, 0, TICKS), "<u2"),
        "electrodes": encode(events.electrode[picked], "<u2"),
        "ticks": TICKS,
        "duration_s": events.duration_s,
        "n_electrodes": events.n_electrodes,
        "drawn": len(picked),
        "spikes": len(events),
    }


def draw_maps(events: Events, threshold: float) -> list[dict[str, Any]]:
    """Firing rate and, where there are voltages, noise of every electrode at its place."""
    maps = [("firing rate", "Hz", events.rates_hz)]
    if events.has_waveforms:
        maps.append(("noise", "µV", measure_noise(events, threshold)))
    return [
        {"name": name, "unit": unit, "grid": [to_list(row, 4) for row in place_on_grid(events, values)]}
        for name, unit, values in maps
    ]


def draw_traces(events: Events) -> list[dict[str, Any]]:
    """The two busiest electrodes in their busiest quarter of a second, after cleaning, with the peaks found.

    Empty for a recording of spike times. What a trace is before cleaning stands in the rig's file alone.
    """
    if not events.has_waveforms or not len(events):
        return []
    chosen, first, last = find_busiest(events)
    cut = zip(chosen, *cut_cleaned(events, chosen, first, last))
    return [_keep_spikes(signal, peaks, first, events, electrode) for electrode, signal, peaks in cut]


def _keep_spikes(signal: np.ndarray, peaks: np.ndarray, first: int, events: Events, electrode: int) -> dict[str, Any]:
    """A trace without the zeros between its spikes; their first and last ones stay, so that the drawn line is equal."""
    near = np.convolve(signal != 0, [1, 1, 1], "same") > 0
    near[[0, -1]] = True
    near[peaks] = True
    kept = np.flatnonzero(near)
    return {
        "name": f"electrode in row {events.row[electrode]}, column {events.col[electrode]}",
        "samples": encode(kept, "<u4"),
        "tenths_uv": encode(np.rint(10 * signal[kept]), "<i4"),
        "peaks": encode(peaks, "<u4"),
        "start_s": first / events.rate_hz,
        "rate_hz": events.rate_hz,
        "threshold_uv": float(events.threshold_uv[electrode]),
    }


def list_votes(results: Results, recording: str) -> dict[str, Any]:
    """How probable each chunk's own label was, over time, and whether it was called."""
    own = results.chunks[results.chunks["recording"] == recording].sort_values("start_s")
    label = own["label"].iloc[0]
    return {
        "label": label,
        "labels": len(results.labels),
        "middle_s": to_list((own["start_s"] + own["stop_s"]) / 2),
        "percent": to_list(100 * own[f"p_{label}"], 4),
        "predicted": own["predicted"].tolist(),
        "right": (own["predicted"] == label).tolist(),
    }


def embed_pictures(plots: Path, recording: str) -> list[dict[str, str]]:
    """The pictures that the array stage drew of this recording; it draws a few recordings only."""
    paths = {name: plots / f"{recording}_{name}.png" for name in PICTURES}
    return [
        {"size": PICTURES[name][0], "words": PICTURES[name][1], "source": embed_picture(path)}
        for name, path in paths.items()
        if path.is_file()
    ]


def embed_picture(path: Path) -> str:
    """A PNG as the address of an image that needs no file."""
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"


def encode(values: np.ndarray | pd.Series, kind: str) -> str:
    """Whole numbers as base64 of the NumPy type ``kind``."""
    return base64.b64encode(np.asarray(values).astype(kind).tobytes()).decode()
