"""Random convolutions over population channels: nothing is learned but their weights; a minute or two to train.

It sees what :mod:`mea.models.tcn` sees (:func:`mea.networks.channels.compute_population_channels`), and asks of each
bin which of eight random kernels fits best. How often each wins tells the shapes in time, from half a second to half a
minute: Hydra (Dempster, Schmidt, Webb, "Hydra: competing convolutional kernels for fast and accurate time series
classification", Data Mining and Knowledge Discovery 37, 2023, doi:10.1007/s10618-023-00939-3). Kernels do not see how
large a channel is, so mean and standard deviation of each channel stand beside them. Recordings are classified as in
``features`` (:mod:`mea.models.recording_svc`). Take it for a second opinion that owes nothing to chosen features.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import conv1d, one_hot

from mea.arrays.events import SpikeEvents
from mea.models.feature_model import FeatureModel
from mea.networks.channels import POPULATION, PopulationView
from mea.runtime.cache import fetch_array, make_key

BIN_MS = 100
GROUPS, KERNELS, LENGTH = 8, 8, 9  # kernels of a group compete; each group has a channel or two of its own
DILATIONS = (1, 2, 4, 8, 16, 32)  # bins between a kernel's weights: kernels of 0.9 to 26 s
SEED = 0  # of the kernels, the same for every training, so that features can be kept


class RocketModel(FeatureModel):
    """Random convolutions (Hydra) over population channels."""

    name = "rocket"
    shares_features = True
    uses_torch = True
    chunk_C = 0.001

    def compute_features(self, chunks: pd.DataFrame, events: Mapping[str, SpikeEvents]) -> np.ndarray:
        """(n_chunks, 1580): root of the fraction of bins that each kernel wins and loses; mean, std of each channel."""
        return compute_chunks(chunks, events)

    def summarise_recordings(
        self, chunks: pd.DataFrame, events: Mapping[str, SpikeEvents], values: np.ndarray
    ) -> np.ndarray:
        """(n_recordings, 1580): means over the chunks of each recording."""
        numbers = sorted(chunks.groupby("recording").indices.items())
        return np.array([values[number].mean(0) for _, number in numbers])

    def name_recording_features(self, has_waveforms: bool) -> list[str]:
        """``shapes_<k>`` and ``levels_<k>``."""
        return [f"{family}_{number}" for number, family in enumerate(self.name_families(has_waveforms))]

    def name_families(self, has_waveforms: bool) -> list[str]:
        """Shapes in time, and levels of the channels."""
        n_shapes, n_levels = 4 * len(DILATIONS) * GROUPS * KERNELS, 2 * len(POPULATION)
        return ["shapes"] * n_shapes + ["levels"] * n_levels

    @classmethod
    def precompute(cls, chunks: pd.DataFrame, events: Mapping[str, SpikeEvents], params: Any) -> None:
        """The features of one recording's chunks."""
        compute_chunks(chunks, events)


def compute_chunks(chunks: pd.DataFrame, events: Mapping[str, SpikeEvents]) -> np.ndarray:
    """(n_chunks, 1580) float64, from the cache where these windows were computed before."""
    parts = []
    for name, part in chunks.groupby("recording", sort=False):
        windows = list(zip(part["start_s"].tolist(), part["stop_s"].tolist()))
        parts.append(pd.DataFrame(_fetch_windows(events[name], windows), index=part.index))
    return pd.concat(parts).loc[chunks.index].to_numpy(np.float64)


def _fetch_windows(events: SpikeEvents, windows: list[tuple[float, float]]) -> np.ndarray:
    def compute() -> np.ndarray:
        view = PopulationView(BIN_MS)
        return convolve_channels(torch.from_numpy(np.stack([view.show(events, *one) for one in windows])))

    return fetch_array(make_key({"events": events.content_sha256, "windows": windows}, __name__), compute)


def convolve_channels(values: Tensor) -> np.ndarray:
    """(B, 22, bins) → (B, n_features) float32."""
    mean, std = values.mean(2), values.std(2, correction=0)
    scaled = (values - mean[..., None]) / std.clamp_min(1e-6)[..., None]
    generator = torch.Generator().manual_seed(SEED)
    found = []
    for dilation in DILATIONS:
        for signal in (scaled, scaled.diff(dim=2)):
            kernels = torch.randn(GROUPS * KERNELS, 1, LENGTH, generator=generator)
            kernels = kernels - kernels.mean(2, keepdim=True)
            pairs = torch.randint(len(POPULATION), (2, GROUPS), generator=generator)  # twice the same: that one alone
            mixed = signal[:, pairs[0]] + signal[:, pairs[1]]
            fits = conv1d(mixed, kernels, padding=dilation * (LENGTH // 2), dilation=dilation, groups=GROUPS)
            fits = fits.reshape(len(values), GROUPS, KERNELS, -1)
            found += [_count_wins(fits.argmax(2)), _count_wins(fits.argmin(2))]
    return torch.cat([*found, mean, std], dim=1).numpy()


def _count_wins(best: Tensor) -> Tensor:
    """(B, groups, bins) number of a kernel → (B, groups * kernels) root of the fraction of bins."""
    return one_hot(best, KERNELS).float().mean(2).sqrt().flatten(1)
