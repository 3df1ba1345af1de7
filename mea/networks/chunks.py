"""Chunks of recordings as the network sees them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import Dataset

from mea.arrays.events import SpikeEvents
from mea.runtime.errors import MeaError


class ChunkView(Protocol):
    """How a chunk is shown to a network; every network has its own."""

    def check(self, events: SpikeEvents) -> None:
        """Raise :class:`MeaError` when a recording cannot be shown this way."""

    def show(self, events: SpikeEvents, start_s: float, stop_s: float) -> np.ndarray:
        """float32 array, time last."""
        ...


@dataclass(frozen=True)
class ArrayView:
    """A chunk of the array, as the predecessor's network sees it.

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

    def show(self, events: SpikeEvents, start_s: float, stop_s: float) -> np.ndarray:
        """(1, rows, cols, time) float32."""
        if self.input == "full":
            values = events.dense(*events.convert_window(start_s, stop_s))
        else:
            values = events.binned(start_s, stop_s, self.bin_ms, self.bin)
        return self.rescale(values)[None]

    def rescale(self, values: Any) -> Any:
        """An array or tensor of float32 values, divided by the scale."""
        return values if self.scale == 1 else values / np.float32(self.scale)

    def check(self, events: SpikeEvents) -> None:
        """Raise when a recording cannot be shown this way.

        Raises
        ------
        MeaError
            If the view needs waveforms and the recording holds spike times only.
        """
        if not events.has_waveforms and (self.input == "full" or self.bin == "peak"):
            raise MeaError(
                f"{events.recording}: holds spike times without waveforms, which train.cnn_lstm.input = "
                f"{self.input} with train.cnn_lstm.bin = {self.bin} needs. Set train.cnn_lstm.input: binned and "
                "train.cnn_lstm.bin: count."
            )


class ChunkDataset(Dataset):
    """The chunks of a table, with the number of their label; built from the events when asked for.

    With ``keep``, they stay in memory.
    """

    def __init__(
        self,
        chunks: pd.DataFrame,
        events: Mapping[str, SpikeEvents],
        view: ChunkView,
        labels: list[str],
        keep: bool = False,
    ):
        for recording in chunks["recording"].unique():
            view.check(events[recording])
        self.events, self.view = events, view
        self.rows = list(chunks[["recording", "start_s", "stop_s"]].itertuples(index=False, name=None))
        self.targets = [labels.index(label) for label in chunks["label"]]
        self.kept: dict[int, Tensor] | None = {} if keep else None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def recordings(self) -> np.ndarray:
        """(n_chunks,) number of each chunk's recording, in the order of first appearance."""
        return np.array(pd.factorize(np.array([recording for recording, _, _ in self.rows]))[0])

    def __getitem__(self, number: int) -> tuple[Tensor, int]:
        if self.kept is None:
            return self._show(number), self.targets[number]
        if number not in self.kept:
            self.kept[number] = self._show(number)
        return self.kept[number], self.targets[number]

    def _show(self, number: int) -> Tensor:
        recording, start_s, stop_s = self.rows[number]
        return torch.from_numpy(np.ascontiguousarray(self.view.show(self.events[recording], start_s, stop_s)))


class RegressionDataset(Dataset):
    """Chunks as a describing network takes them in, each with the features it should name; kept in memory once made.

    Parameters
    ----------
    chunks
        As they are shown.
    pool
        What the network makes of (B, ...) chunks before anything is learned: tensors with one row a chunk.
    targets
        (n_chunks, n_features); NaN where one is undefined.
    """

    def __init__(self, chunks: ChunkDataset, pool: Callable[[Tensor], tuple[Tensor, ...]], targets: Tensor):
        self.chunks, self.pool, self.targets = chunks, pool, targets
        self.kept: dict[int, list[Tensor]] = {}

    def __len__(self) -> int:
        return len(self.chunks)

    def __getitem__(self, number: int) -> tuple[list[Tensor], Tensor]:
        if number not in self.kept:
            self.kept[number] = [part[0] for part in self.pool(self.chunks[number][0][None])]
        return self.kept[number], self.targets[number]
