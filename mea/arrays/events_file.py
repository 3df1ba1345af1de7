"""Events on disk: one npz per recording, ``data/array/<recording>.npz``."""

import json
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from mea.arrays.events import Baseline, SpikeEvents
from mea.runtime.errors import MeaError
from mea.runtime.files import redo, refuse_damage
from mea.runtime.npz import save_npz

FORMAT_VERSION = 4
TEXT_AND_NUMBERS = (str, int, float)
MOST_KEPT_BYTES = 100_000_000  # of events in the memory of a process: some thirty recordings of ten minutes


def save_events(path: Path, events: SpikeEvents) -> None:
    """Write an uncompressed npz, in the narrowest integers that hold the values: the same bytes for the same events."""
    about = {"format_version": FORMAT_VERSION}
    about |= {item.name: getattr(events, item.name) for item in fields(SpikeEvents) if item.type in TEXT_AND_NUMBERS}
    arrays: dict[str, Any] = {
        "about": np.frombuffer(json.dumps(about, ensure_ascii=False).encode(), np.uint8),
        "threshold_uv": events.threshold_uv,
        "gain_v": events.gain_v,
        "row": _narrow(events.row),
        "col": _narrow(events.col),
        "pauses": _narrow(events.pauses),
        "electrode": _narrow(events.electrode),
        "first_sample": _narrow(events.first_sample),
    }
    if events.has_waveforms:
        arrays["peak_offset"] = _narrow(events.peak_sample - events.first_sample)
        arrays["length"] = _narrow(np.diff(events.offset))
        arrays["waveform_counts"] = events.waveform_counts
    save_npz(path, arrays)


def _narrow(values: np.ndarray) -> np.ndarray:
    """The same non-negative values in the narrowest unsigned integers."""
    return values.astype(np.min_scalar_type(int(values.max(initial=0))))


def load_events(path: Path) -> SpikeEvents:
    """Read what :func:`save_events` wrote.

    Raises
    ------
    MeaError
        If the file is missing, damaged, not one of these, or of another version of the format.
    """
    with refuse_damage(path, "a file written by the array stage", redo("array")):
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        about = json.loads(arrays.pop("about").tobytes())
        version = about.pop("format_version")
        if version == FORMAT_VERSION:
            return _build_events(about, arrays)
    raise MeaError(f"{path}: format version {version}, this code reads {FORMAT_VERSION}. Run dvc repro array.")


def _build_events(about: dict, arrays: dict[str, np.ndarray]) -> SpikeEvents:
    whole: dict[str, Any] = {
        name: arrays[name].astype(np.int64) for name in ("row", "col", "pauses", "electrode", "first_sample")
    }
    none = np.zeros(len(whole["electrode"]), np.int64)
    length = arrays.get("length", none)
    return SpikeEvents(
        **about,
        **whole,
        threshold_uv=arrays["threshold_uv"],
        gain_v=arrays["gain_v"],
        peak_sample=whole["first_sample"] + arrays.get("peak_offset", none).astype(np.int64),
        offset=np.concatenate([[0], np.cumsum(length, dtype=np.int64)]),
        waveform_counts=arrays.get("waveform_counts", np.zeros(0, np.int16)),
    )


class RecordingsOnDisk(Mapping[str, SpikeEvents]):
    """The events of recordings by name, read when they are asked for; the last used stay in memory.

    Parameters
    ----------
    folder
        Of the array stage.
    names
        Of the recordings.
    baselines
        How the features of a recording are referred to another one, and to which, by name: (how, name).
    """

    def __init__(self, folder: Path, names: Iterable[str], baselines: Mapping[str, tuple[str, str]] | None = None):
        self.folder, self.names, self.baselines = folder, dict.fromkeys(names), baselines or {}
        self.kept: OrderedDict[str, SpikeEvents] = OrderedDict()
        self.kept_bytes = 0

    def __getitem__(self, name: str) -> SpikeEvents:
        if name in self.kept:
            self.kept.move_to_end(name)
            return self.kept[name]
        if name not in self.names:
            raise KeyError(name)
        events = load_events(self.folder / f"{name}.npz")
        if name in self.baselines:
            how, baseline = self.baselines[name]
            events = events.refer(Baseline(how, load_events(self.folder / f"{baseline}.npz")))
        self.kept[name] = events
        self.kept_bytes += events.nbytes
        while self.kept_bytes > MOST_KEPT_BYTES and len(self.kept) > 1:
            self.kept_bytes -= self.kept.popitem(last=False)[1].nbytes
        return events

    def __reduce__(self) -> tuple:
        """What a worker process is sent: where they are, and no spikes."""
        return RecordingsOnDisk, (self.folder, list(self.names), self.baselines)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)
