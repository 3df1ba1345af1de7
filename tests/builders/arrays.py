"""Tiny outputs of the array stage for the tests: random spikes, and more of them in every further class."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mea.arrays.detection import COLUMNS
from mea.arrays.events import SpikeEvents
from mea.arrays.events_file import save_events
from mea.recordings.recording import format_pauses, pack_places
from mea.runtime.files import write_json
from mea.runtime.tables import write_table

SAMPLING_RATE_HZ = 25_000
WAVEFORM = (-400 * np.sin(np.linspace(0, 2 * np.pi, 41))).astype(np.int16)  # counts of 0.1 µV
H5_PARAMS = {"labels": {}, "culture": "", "batch": "", "stream": "raw", "reader": "own", "on_bad_recording": "error"}


def make_events(
    recording: str = "r1",
    *,
    spikes_per_s: float = 2.0,
    duration_s: float = 4.0,
    rows: int = 12,
    cols: int = 12,
    sampling_rate_hz: int = SAMPLING_RATE_HZ,
    seed: int = 0,
    waveforms: bool = True,
    start: str = "",
) -> SpikeEvents:
    """A recording with an electrode at every place of the grid and Poisson spikes of one shape at random samples."""
    random = np.random.default_rng(seed)
    n, n_samples = rows * cols, round(duration_s * sampling_rate_hz)
    m = random.poisson(spikes_per_s * duration_s * n)
    first, electrode = random.integers(0, n_samples - len(WAVEFORM), m), random.integers(0, n, m)
    order = np.lexsort((electrode, first))
    lengths = np.full(m, len(WAVEFORM) if waveforms else 0)
    row, col = np.divmod(np.arange(n), cols)
    return SpikeEvents(
        recording=recording,
        format="mcs" if waveforms else "spike_times",
        start=start,
        samples_sha256=f"samples of {recording}",
        sampling_rate_hz=sampling_rate_hz,
        rows=rows,
        cols=cols,
        n_samples=n_samples,
        duration_s=duration_s,
        row=row,
        col=col,
        threshold_uv=np.full(n, 20.0 if waveforms else np.nan),
        gain_v=np.full(n, 1e-7 if waveforms else np.nan),
        electrode=electrode[order],
        first_sample=first[order],
        peak_sample=first[order] + (10 if waveforms else 0),
        offset=np.concatenate([[0], np.cumsum(lengths)]),
        waveform_counts=np.tile(WAVEFORM, m) if waveforms else np.zeros(0, np.int16),
    )


def plan_recordings(labels: Sequence[str] = ("a", "b"), batches: int = 3, cultures: int = 2) -> list[dict[str, Any]]:
    """One recording of every culture; every batch holds so many cultures of each label."""
    return [
        {"label": label, "batch": f"b{batch}", "culture": f"b{batch}-{label}-{culture}"}
        for batch in range(batches)
        for label in labels
        for culture in range(cultures)
    ]


def write_array(folder: Path, plan: Sequence[dict[str, Any]] | None = None, **common: Any) -> list[SpikeEvents]:
    """Write what the array stage would: the recordings of the plan, catalogue.csv and params.json.

    A line of the plan holds label, culture, batch and arguments of :func:`make_events`, ``common`` those of all; the
    rate is 2 spikes per second and electrode in the first class and four times as high in every further one.
    """
    plan = plan_recordings() if plan is None else plan
    labels = sorted({line["label"] for line in plan})
    folder.mkdir(parents=True)
    written, lines = [], []
    for number, line in enumerate(plan):
        who = {name: line.get(name, "") for name in ("label", "culture", "batch")}
        given = {"recording": f"r{number:02d}", "seed": number, "spikes_per_s": 2.0 * 4 ** labels.index(line["label"])}
        events = make_events(**{name: value for name, value in (given | common | line).items() if name not in who})
        save_events(folder / f"{events.recording}.npz", events)
        written.append(events)
        lines.append(describe_events(events, **who))
    write_table(folder / "catalogue.csv", pd.DataFrame(lines, columns=COLUMNS))
    array = {"sampling_rate_hz": SAMPLING_RATE_HZ, "other_sampling_rate": "set_aside", "threshold": 5.0}
    write_json(folder / "params.json", {"h5": H5_PARAMS, "array": array})
    return written


def describe_events(events: SpikeEvents, label: str = "a", culture: str = "", batch: str = "") -> dict[str, Any]:
    """A line of the catalogue, or of the recordings that :mod:`mea.splitting` takes."""
    who = {"recording": events.recording, "label": label, "culture": culture, "batch": batch}
    noise_uv = float(np.median(events.threshold_uv / 5))
    known = {
        "sampling_rate_hz": events.sampling_rate_hz,
        "duration_s": events.duration_s,
        "recorded_sampling_rate_hz": events.sampling_rate_hz,
        "pauses_s": format_pauses(events),
        "start": events.start,
        "places": pack_places(events, np.ones(events.n_electrodes, bool)) if events.has_waveforms else "",
        "electrodes": events.n_electrodes,
        "noise_uv": noise_uv,
    }
    return who | known | {"status": "used", "reason": "", "quality": ""}


def spoil_held_out(lab, folder):
    """The same array folder and chunks, but what fold 0 holds out are other spikes, and every label is wrong."""
    array, chunks = lab
    shutil.copytree(array, folder)
    held_out = chunks["fold"] == 0
    for number, (name, label) in enumerate(chunks[held_out].groupby("recording")["label"].first().items()):
        events = make_events(name, spikes_per_s={"a": 2.0, "b": 8.0}[label], seed=100 + number, duration_s=2.0)
        save_events(folder / f"{name}.npz", events)
    spoiled = chunks.copy()
    spoiled.loc[held_out, "label"] = np.where(chunks["label"][held_out] == "a", "b", "a")
    return folder, spoiled


def reorder(events, seed=3):
    """The same recording from a file that lists its electrodes in another order."""
    order = np.random.default_rng(seed).permutation(events.n_electrodes)
    number = np.argsort(order)
    return replace(events, row=events.row[order], col=events.col[order], electrode=number[events.electrode])
