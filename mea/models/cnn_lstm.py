"""The project's network: convolutions over the grid, an LSTM over time, all seconds of a recording together.

It sees :func:`mea.channels.show_electrodes` of every electrode in its place: spikes, classes of intervals, silence and
company in each bin, and where there are electrodes. Take it for pictures of what happens where on the array; it takes
some times as long as ``tcn``. With ``train.network: predecessor``, the predecessor's network stands in its place
(:mod:`mea.models.predecessor`), to the bit.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, conv2d

from mea.channels import ELECTRODE, GridView
from mea.chunks import ChunkView
from mea.models.tcn import pool_time
from mea.recipes import Recipe

WIDTH = 16
HIDDEN = 64
STEP = 5  # bins that make one step of the LSTM
DROPOUT = 0.3
RECIPE = Recipe(bag=4, weight_decay=0.01, smoothing=0.05, cosine=True, members=True)


class GridLstm(nn.Module):
    """(B, 8, rows, cols, time) → (B, n_labels) logits.

    Each electrode is described by itself in steps of five bins; convolutions over the grid describe neighbourhoods,
    and their pooling, over existing electrodes alone, makes the size of the grid and its missing corners invisible.

    Parameters
    ----------
    n_labels
        Number of classes.
    """

    def __init__(self, n_labels: int):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv1d(len(ELECTRODE), WIDTH, STEP, STEP), nn.BatchNorm1d(WIDTH), nn.ReLU())
        self.near = nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        self.far = nn.Conv2d(WIDTH, 2 * WIDTH, 3, padding=1)
        self.scale = nn.BatchNorm1d(6 * WIDTH)
        self.lstm = nn.LSTM(6 * WIDTH, HIDDEN, batch_first=True)
        self.dropout = nn.Dropout(DROPOUT)
        self.head = nn.Linear(3 * HIDDEN, n_labels)

    def forward(self, chunk: Tensor) -> Tensor:
        """(B, 8, rows, cols, time) → (B, n_labels) logits."""
        return self.head(self.dropout(self.describe(chunk)))

    def describe(self, chunk: Tensor) -> Tensor:
        """(B, 8, rows, cols, time) → (B, 192): what the head decides by."""
        there = chunk[:, -1, :, :, 0]  # (B, rows, cols): 1 where there is an electrode
        places = there.nonzero(as_tuple=True)
        trains = chunk[:, :-1].permute(0, 2, 3, 1, 4)[places]  # (electrodes of all chunks, 7, time)
        own = self.stem(trains)  # (electrodes of all chunks, 16, steps)
        grid = own.new_zeros(*there.shape, *own.shape[1:]).index_put(places, own)  # (B, rows, cols, 16, steps)
        steps = torch.cat([pool_electrodes(grid, there), self._look_around(grid, there)], 1)  # (B, 96, steps)
        states, _ = self.lstm(self.scale(steps).transpose(1, 2))  # (B, steps, 64)
        return pool_time(states.transpose(1, 2))

    def _look_around(self, grid: Tensor, there: Tensor) -> Tensor:
        """(B, rows, cols, 16, steps) → (B, 64, steps): mean and largest over the neighbourhoods."""
        chunks, _, _, _, steps = grid.shape
        maps = grid.permute(0, 4, 3, 1, 2).flatten(0, 1)  # (B * steps, 16, rows, cols)
        mask = there[:, None, None].expand(-1, steps, -1, -1, -1).flatten(0, 1)  # (B * steps, 1, rows, cols)
        maps = convolve_partly(self.near, maps, mask)
        share = avg_pool2d(mask, 2, ceil_mode=True)
        maps = avg_pool2d(maps, 2, ceil_mode=True) / share.clamp(min=0.25)
        mask = (share > 0).to(maps.dtype)
        maps = convolve_partly(self.far, maps * mask, mask)
        mean = maps.sum((2, 3)) / mask.sum((2, 3))
        return torch.cat([mean, maps.amax((2, 3))], 1).unflatten(0, (chunks, steps)).transpose(1, 2)


def pool_electrodes(grid: Tensor, there: Tensor) -> Tensor:
    """(B, rows, cols, features, steps) → (B, 2 * features, steps): mean and spread over existing electrodes."""
    count = there.sum((1, 2))[:, None, None]
    mean = grid.sum((1, 2)) / count
    spread = ((grid**2).sum((1, 2)) / count - mean**2).clamp(min=0)
    return torch.cat([mean, (spread + 1e-4).sqrt()], 1)


def convolve_partly(layer: nn.Conv2d, maps: Tensor, mask: Tensor) -> Tensor:
    """A 3 × 3 convolution over existing places, as much as if all nine were there; 0 elsewhere.

    Partial convolution: Liu and others, "Image inpainting for irregular holes using partial convolutions", ECCV 2018,
    doi:10.1007/978-3-030-01252-6_6. ``maps`` must be 0 where ``mask`` is.
    """
    seen = conv2d(mask, mask.new_ones(1, 1, 3, 3), padding=1).clamp(min=1)
    bias = layer.bias[:, None, None] if layer.bias is not None else 0
    return (conv2d(maps, layer.weight, padding=1) * (9 / seen) + bias).relu() * mask


def make_view(train: dict[str, Any]) -> ChunkView:
    """What the parameters of the training say a chunk looks like."""
    return GridView(train["bin_ms"], STEP)


def build_network(_train: dict[str, Any], _rows: int, _cols: int, n_labels: int) -> nn.Module:
    """With fresh weights."""
    return GridLstm(n_labels)


def fits_grid(_own: tuple[int, int], _other: tuple[int, int]) -> bool:
    """Whether a network for one grid, (rows, cols), takes recordings of another: always."""
    return True
