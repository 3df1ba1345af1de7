"""Chunks of recordings as the network sees them."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from mea.errors import MeaError
from mea.events import Events, load_events


def load_recordings(folder: Path, names: Iterable[str]) -> dict[str, Events]:
    """The events of the recordings named, from the folder of the array stage."""
    return {name: load_events(folder / f"{name}.npz") for name in names}


@dataclass(frozen=True)
class View:
    """How a chunk of the array is shown to a network.

    Attributes
    ----------
    input
        ``"full"``: every sample of the array in µV. ``"binned"``: time bins.
    bin_ms
        Length of a bin.
    bin
        What a bin holds: ``"peak"``, the signed sample of largest magnitude in µV, or ``"count"``, spikes.
    scale
        What the values are divided by. The predecessor fed plain µV: 1.
    """

    input: str
    bin_ms: float
    bin: str
    scale: float

    def show(self, events: Events, start_s: float, stop_s: float) -> np.ndarray:
        """(1, rows, cols, time) float32."""
        if self.input == "full":
            first, last = round(start_s * events.rate_hz), round(stop_s * events.rate_hz)
            values = events.dense(first, last)
        else:
            values = events.binned(start_s, stop_s, self.bin_ms, self.bin)
        if self.scale != 1:
            values = values / np.float32(self.scale)
        return values[None]

    def check(self, events: Events) -> None:
        """Raise when a recording cannot be shown this way.

        Raises
        ------
        MeaError
            If the view needs waveforms and the recording holds spike times only.
        """
        if not events.has_waveforms and (self.input == "full" or self.bin == "peak"):
            raise MeaError(
                f"{events.recording}: holds spike times without waveforms, which train.input = {self.input} with "
                f"train.bin = {self.bin} needs. Set train.input: binned and train.bin: count."
            )


class ChunkDataset(Dataset):
    """The chunks of a table, with the number of their label; built from the events when asked for."""

    def __init__(self, chunks: pd.DataFrame, events: dict[str, Events], view: View, labels: list[str]):
        for recording in chunks["recording"].unique():
            view.check(events[recording])
        self.events, self.view = events, view
        self.rows = list(chunks[["recording", "start_s", "stop_s"]].itertuples(index=False, name=None))
        self.targets = [labels.index(label) for label in chunks["label"]]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        recording, start_s, stop_s = self.rows[index]
        chunk = self.view.show(self.events[recording], start_s, stop_s)
        return torch.from_numpy(np.ascontiguousarray(chunk)), self.targets[index]


class EpochShuffle(Sampler):
    """A new order in every epoch, decided by seed and epoch alone, so that a resumed training sees the same order."""

    def __init__(self, length: int, seed: int):
        self.length, self.seed, self.epoch = length, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning at the start of every epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.length

    def __iter__(self):
        return iter(np.random.default_rng([self.seed, self.epoch]).permutation(self.length).tolist())


def measure_rates(chunks: pd.DataFrame, events: dict[str, Events]) -> np.ndarray:
    """(n_chunks,) spikes per second and electrode in each chunk, over all electrodes of the layout."""
    rows = chunks[["recording", "start_s", "stop_s"]].itertuples(index=False, name=None)
    return np.array([events[name].count_events(start, stop).mean() / (stop - start) for name, start, stop in rows])
