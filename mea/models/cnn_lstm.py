"""The project's network: convolutions over the grid, an LSTM over time, all seconds of a recording together.

It sees :func:`mea.channels.show_electrodes` of every electrode in its place: spikes, classes of intervals, silence and
company in each bin, and where there are electrodes. Take it for pictures of what happens where on the array; it takes
some times as long as ``tcn``. With ``train.network: predecessor``, the predecessor's network stands in its place
(:mod:`mea.models.predecessor`), to the bit.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from mea.channels import ELECTRODE, GridView
from mea.chunks import ChunkView
from mea.models.tcn import convolve_time, pool_time
from mea.recipes import Recipe

COUNTS = [k for k, name in enumerate(ELECTRODE) if name.startswith(("log_count", "intervals"))]
CROWD = 2 * len(ELECTRODE) + len(COUNTS)
CROWD_WIDTH = 32
WIDTH = 8
HIDDEN = 64
STEP = 8  # bins that make one step of the LSTM
DROPOUT = 0.5
UNPLACED = 0.5  # share of training chunks shown without their places: where things happen tells the recording
RECIPE = Recipe(bag=4, bags=4, varied=True, weight_decay=0.1, smoothing=0.05, cosine=True, members=True, whole=2)


class GridLstm(nn.Module):
    """(B, 8, rows, cols, time) → (B, n_labels) logits.

    Two looks at the same chunk, joined in steps of eight bins: how the channels are distributed over the electrodes,
    followed in time as in :class:`mea.models.tcn.Tcn`; and where on the grid what happens, each electrode described by
    itself and then with its neighbours, which half of the training chunks do without. Only existing electrodes are
    pooled, so that neither the size of the grid nor its missing corners can be seen. An LSTM follows the steps, and the
    mean, the spread and the largest of its states decide.

    Parameters
    ----------
    n_labels
        Number of classes.
    """

    def __init__(self, n_labels: int):
        super().__init__()
        self.crowd = nn.Sequential(
            nn.BatchNorm1d(CROWD, affine=False),
            convolve_time(CROWD, CROWD_WIDTH, 5, stride=2),
            convolve_time(CROWD_WIDTH, CROWD_WIDTH, 5, stride=2),
            nn.AvgPool1d(STEP // 4),
        )
        self.own = nn.Sequential(nn.Conv1d(len(ELECTRODE), WIDTH, STEP, STEP), nn.BatchNorm1d(WIDTH), nn.ReLU())
        self.near = nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        self.scale_crowd, self.scale_places = nn.BatchNorm1d(CROWD_WIDTH), nn.BatchNorm1d(2 * WIDTH)
        self.lstm = nn.LSTM(CROWD_WIDTH + 2 * WIDTH, HIDDEN, batch_first=True)
        self.dropout = nn.Dropout(DROPOUT)
        self.head = nn.Linear(3 * HIDDEN, n_labels)

    def forward(self, chunk: Tensor) -> Tensor:
        """(B, 8, rows, cols, time) → (B, n_labels) logits."""
        return self.head(self.dropout(self.describe(chunk)))

    def describe(self, chunk: Tensor) -> Tensor:
        """(B, 8, rows, cols, time) → (B, 192): what the head decides by."""
        channels, there = chunk[:, :-1], chunk[:, -1, :, :, 0]  # (B, rows, cols): 1 where there is an electrode
        crowd = self.scale_crowd(self.crowd(pool_electrodes(channels, there)))  # (B, 32, steps)
        places = self.scale_places(self._look_around(channels, there))  # (B, 16, steps)
        if self.training:
            places = places * (torch.rand(len(places), 1, 1, device=places.device) >= UNPLACED)
        steps = min(crowd.shape[2], places.shape[2])  # they round a rest of bins differently
        joined = torch.cat([crowd[..., :steps], places[..., :steps]], 1)
        states, _ = self.lstm(joined.transpose(1, 2))  # (B, steps, 64)
        return pool_time(states.transpose(1, 2))

    def _look_around(self, channels: Tensor, there: Tensor) -> Tensor:
        """(B, 7, rows, cols, time) → (B, 16, steps): mean and largest over the neighbourhoods."""
        places = there.nonzero(as_tuple=True)
        own = self.own(channels.permute(0, 2, 3, 1, 4)[places])  # (electrodes of all chunks, 8, steps)
        steps = own.shape[2]
        grid = own.new_zeros(*there.shape, WIDTH, steps).index_put(places, own)
        maps = grid.permute(0, 4, 3, 1, 2).flatten(0, 1)  # (B * steps, 8, rows, cols)
        mask = there[:, None, None].expand(-1, steps, -1, -1, -1).flatten(0, 1)  # (B * steps, 1, rows, cols)
        maps = convolve_partly(self.near, maps, mask)
        mean = maps.sum((2, 3)) / mask.sum((2, 3))
        return torch.cat([mean, maps.amax((2, 3))], 1).unflatten(0, (-1, steps)).transpose(1, 2)


def pool_electrodes(channels: Tensor, there: Tensor) -> Tensor:
    """(B, 7, rows, cols, time) → (B, 19, time): how each channel is distributed over existing electrodes.

    Mean and standard deviation of each, and for spikes and classes of intervals the share of electrodes with any.
    """
    count = there.sum((1, 2))[:, None, None]
    mean = channels.sum((2, 3)) / count  # channels are 0 where there is no electrode
    spread = ((channels**2).sum((2, 3)) / count - mean**2).clamp(min=0).sqrt()
    some = (channels[:, COUNTS] > 0).to(mean.dtype).sum((2, 3)) / count
    return torch.cat([mean, spread, some], 1)


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
