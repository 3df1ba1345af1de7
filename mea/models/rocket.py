"""Random convolutions over population channels: nothing is learned but how to weigh them; a minute or two to train.

It sees what :mod:`mea.models.tcn` sees (:func:`mea.networks.channels.compute_population_channels`), and asks of each
bin which of eight random kernels fits best. How often each wins says which shapes in time there are, from half a second
to half a minute: Hydra (Dempster, Schmidt, Webb, "Hydra: competing convolutional kernels for fast and accurate time
series classification", Data Mining and Knowledge Discovery 37, 2023, doi:10.1007/s10618-023-00939-3). Kernels do not
see how large a channel is, so mean and standard deviation of each channel stand beside them. A recording is judged as
with ``features``, by :mod:`mea.models.machine`. Take it for a second opinion that owes nothing to chosen features.
"""

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor
from torch.nn.functional import conv1d, one_hot

from mea.arrays.events import Events
from mea.networks.channels import POPULATION, PopulationView
from mea.runtime.cache import fetch_array, make_key

BIN_MS = 100
GROUPS, KERNELS, LENGTH = 8, 8, 9  # kernels of a group compete; each group has a channel or two of its own
DILATIONS = (1, 2, 4, 8, 16, 32)  # bins between a kernel's weights: kernels of 0.9 to 26 s
SEED = 0  # of the kernels, the same for every training, so that features can be kept


def describe_chunks(chunks: pd.DataFrame, events: dict[str, Events]) -> np.ndarray:
    """(n_chunks, 1580): root of the share of bins that each kernel wins and loses; mean and spread of each channel."""
    parts = []
    for name, part in chunks.groupby("recording", sort=False):
        windows = list(zip(part["start_s"].tolist(), part["stop_s"].tolist()))
        parts.append(pd.DataFrame(_describe_windows(events[name], windows), index=part.index))
    return pd.concat(parts).loc[chunks.index].to_numpy(np.float64)


def describe_recordings(chunks: pd.DataFrame, events: dict[str, Events]) -> tuple[np.ndarray, np.ndarray]:
    """Names (n,), sorted, and (n, 1580) means over the chunks of each recording."""
    parts = dict(list(chunks.groupby("recording", sort=True)))
    return np.array(list(parts)), np.array([describe_chunks(part, events).mean(0) for part in parts.values()])


def list_families(_has_waveforms: bool) -> list[str]:
    """Family of each feature of a recording."""
    n_shapes, n_levels = 4 * len(DILATIONS) * GROUPS * KERNELS, 2 * len(POPULATION)
    return ["shapes"] * n_shapes + ["levels"] * n_levels


def _describe_windows(events: Events, windows: list[tuple[float, float]]) -> np.ndarray:
    """(n_windows, n_features) float32, from the cache where these windows were described before."""

    def describe() -> np.ndarray:
        view = PopulationView(BIN_MS)
        return describe_channels(torch.from_numpy(np.stack([view.show(events, *one) for one in windows])))

    return fetch_array(make_key({"events": events.content_sha256, "windows": windows}, __name__), describe)


def describe_channels(values: Tensor) -> np.ndarray:
    """(B, 22, bins) → (B, n_features) float32."""
    mean, spread = values.mean(2), values.std(2, correction=0)
    scaled = (values - mean[..., None]) / spread.clamp_min(1e-6)[..., None]
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
            found += [_share_bins(fits.argmax(2)), _share_bins(fits.argmin(2))]
    return torch.cat([*found, mean, spread], dim=1).numpy()


def _share_bins(best: Tensor) -> Tensor:
    """(B, groups, bins) number of a kernel → (B, groups * kernels) root of the share of bins."""
    return one_hot(best, KERNELS).float().mean(2).sqrt().flatten(1)


def build_estimator(seed: int) -> Pipeline:
    """Logistic regression, for there are more features than recordings a cautious one; classes count alike."""
    return make_pipeline(
        StandardScaler(),
        LogisticRegression(C=0.001, class_weight="balanced", max_iter=2000, random_state=seed),
    )
