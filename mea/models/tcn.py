"""Temporal convolution over population channels: minutes to train, whatever the grid.

It sees :func:`mea.networks.channels.compute_population_channels`: how many electrodes are active in each bin, how
alike, how long the intervals between their spikes are; nothing of single electrodes or places. Four convolutions over
time look for what happens within some seconds; the mean, the spread and the largest value of what they find over the
chunk decide. Take it for a second opinion that is taught nothing but the class, with chunks long enough to hold bursts
(split.chunk_s of 10 s and more).
"""

from typing import Any

import torch
from torch import Tensor, nn

from mea.networks.channels import POPULATION, PopulationView
from mea.networks.recipes import Recipe

WIDTH = 32
DROPOUT = 0.5
RECIPE = Recipe(bag=4, bags=3, keep=True, weight_decay=0.1, smoothing=0.05, cosine=True, members=True, whole=2)


class Tcn(nn.Module):
    """(B, 22, time) → (B, n_labels) logits.

    Parameters
    ----------
    n_labels
        Number of classes.
    """

    def __init__(self, n_labels: int):
        super().__init__()
        self.scale = nn.BatchNorm1d(len(POPULATION), affine=False)  # what is common in the training recordings
        self.layers = nn.Sequential(
            convolve_time(len(POPULATION), WIDTH, 5, stride=2),
            convolve_time(WIDTH, WIDTH, 5, stride=2),
            convolve_time(WIDTH, 2 * WIDTH, 3, dilation=2),
            convolve_time(2 * WIDTH, 2 * WIDTH, 3, dilation=4),
        )
        self.dropout = nn.Dropout(DROPOUT)
        self.head = nn.Linear(3 * 2 * WIDTH, n_labels)

    def forward(self, chunk: Tensor) -> Tensor:
        """(B, 22, time) → (B, n_labels) logits."""
        return self.head(self.dropout(self.describe(chunk)))

    def describe(self, chunk: Tensor) -> Tensor:
        """(B, 22, time) → (B, 192): what the head decides by."""
        return pool_time(self.layers(self.scale(chunk)))  # (B, 64, time / 4)


def convolve_time(inputs: int, outputs: int, width: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """A convolution over time, standardised and rectified; the ends are padded with 0, the common value."""
    padding = dilation * (width // 2)
    layer = nn.Conv1d(inputs, outputs, width, stride, padding, dilation)
    return nn.Sequential(layer, nn.BatchNorm1d(outputs), nn.ReLU())


def pool_time(values: Tensor) -> Tensor:
    """(B, features, time) → (B, 3 * features): mean, standard deviation and largest over time."""
    spread = (values.var(2, correction=0) + 1e-5).sqrt()
    return torch.cat([values.mean(2), spread, values.amax(2)], 1)


def make_view(train: dict[str, Any]) -> PopulationView:
    """What the parameters of the training say a chunk looks like."""
    return PopulationView(train["bin_ms"])


def build_network(_train: dict[str, Any], _rows: int, _cols: int, n_labels: int) -> nn.Module:
    """With fresh weights."""
    return Tcn(n_labels)


def fits_grid(_own: tuple[int, int], _other: tuple[int, int]) -> bool:
    """Whether a network for one grid, (rows, cols), takes recordings of another: always."""
    return True
