"""The project's network: it learns to say what happens on the array, and a recording is judged by what it says.

It sees :func:`mea.networks.channels.compute_electrode_channels` of every electrode in its place: spikes, classes of
intervals, silence and coactivity in each bin, and where there are electrodes. Recordings are many and batches few, so
that a network taught the class learns the batches by heart. This one is taught no class: it learns to name the summary
features of each chunk (:mod:`mea.training.describers`). What it says of a recording's chunks, and the states of its
last layer, are then judged as with ``features``, by :mod:`mea.models.machine`. Take it for a second opinion from images
of the array, with chunks of a minute (split.chunk_s: 60). With ``train.network: predecessor``, the predecessor's
network stands in its place (:mod:`mea.models.predecessor`), to the bit.
"""

from typing import Any

import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.nn.functional import conv2d

from mea.features.families import list_targets
from mea.models.tcn import convolve_time, pool_time
from mea.networks.channels import ELECTRODE, GridView
from mea.networks.chunks import ChunkView
from mea.networks.recipes import Recipe

COUNTS = [k for k, name in enumerate(ELECTRODE) if name.startswith(("log_count", "isi"))]
CROWD = 2 * len(ELECTRODE) + len(COUNTS)
MAPS = 2 * len(ELECTRODE)
CROWD_WIDTH, PLACES_WIDTH = 48, 32
HIDDEN = 64
STATES = 3 * HIDDEN + 4 * PLACES_WIDTH
STEP = 8  # bins that make one step of the LSTM
DROPOUT = 0.1
RECIPE = Recipe(weight_decay=0.01, cosine=True, describes=True)


class GridLstm(nn.Module):
    """A chunk, pooled by :func:`pool_chunk` → (B, n_features) what it says of it.

    Two looks at the same chunk: how the channels are distributed over the electrodes, followed over time by
    convolutions and an LSTM, of whose states the mean, the spread and the largest are kept; and what each electrode
    does all in all, by itself and then with its neighbours on the grid, of which mean and spread over the electrodes
    are kept. Only existing electrodes are pooled, so that neither the size of the grid nor its missing corners can be
    seen.

    Parameters
    ----------
    n_features
        Number of features it learns to name.
    """

    def __init__(self, n_features: int):
        super().__init__()
        self.scale_crowd = nn.BatchNorm1d(CROWD, affine=False)  # what is common in the training recordings
        self.follow = nn.Sequential(
            convolve_time(CROWD, CROWD_WIDTH, 5, stride=2),
            convolve_time(CROWD_WIDTH, CROWD_WIDTH, 5, stride=2),
            nn.AvgPool1d(STEP // 4),
        )
        self.lstm = nn.LSTM(CROWD_WIDTH, HIDDEN, batch_first=True)
        self.scale_places = nn.BatchNorm1d(MAPS, affine=False)
        self.own = nn.Linear(MAPS, PLACES_WIDTH)
        self.near = nn.Conv2d(PLACES_WIDTH, PLACES_WIDTH, 3, padding=1)
        self.scale_states = nn.BatchNorm1d(STATES, affine=False)
        self.dropout = nn.Dropout(DROPOUT)
        self.head = nn.Linear(STATES, n_features)

    def forward(self, pooled: tuple[Tensor, Tensor]) -> Tensor:
        """What :func:`pool_chunk` made of chunks → (B, n_features), standardised."""
        return self.head(self.dropout(self._find_states(*pooled)))

    def describe(self, chunk: Tensor) -> Tensor:
        """(B, 12, rows, cols, time) → (B, 320 + n_features): the states it decides by, and what it says."""
        states = self._find_states(*pool_chunk(chunk))
        return torch.cat([states, self.head(states)], 1)

    def _find_states(self, crowd: Tensor, places: Tensor) -> Tensor:
        steps = self.follow(self.scale_crowd(crowd))  # (B, 48, steps)
        over_time, _ = self.lstm(steps.transpose(1, 2))  # (B, steps, 64)
        looks = [pool_time(over_time.transpose(1, 2)), self._look_around(places[:, :-1], places[:, -1])]
        return self.scale_states(torch.cat(looks, 1))

    def _look_around(self, maps: Tensor, there: Tensor) -> Tensor:
        """(B, 22, rows, cols) → (B, 128): mean and spread over the electrodes, by themselves and with neighbours."""
        places = there.nonzero(as_tuple=True)
        own = self.own(self.scale_places(maps.permute(0, 2, 3, 1)[places])).relu()  # (electrodes of all chunks, 32)
        grid = own.new_zeros(*there.shape, PLACES_WIDTH).index_put(places, own).permute(0, 3, 1, 2)
        mask = there[:, None]
        near = convolve_partly(self.near, grid, mask)
        return torch.cat([part for look in (grid, near) for part in pool_places(look, mask)], 1)


def pool_chunk(chunk: Tensor) -> tuple[Tensor, Tensor]:
    """(B, 12, rows, cols, time) → (B, 31, time) and (B, 23, rows, cols): the crowd over time, and the places.

    The places are described by mean and standard deviation over time of each channel; the last channel says again where
    there is an electrode. Nothing here is learned, so that training chunks are pooled once.
    """
    channels, there = chunk[:, :-1], chunk[:, -1, :, :, 0]  # (B, rows, cols): 1 where there is an electrode
    over_time = [channels.mean(4), channels.std(4, correction=0)]
    return pool_electrodes(channels, there), torch.cat([*over_time, there[:, None]], 1)


def pool_places(maps: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """(B, c, rows, cols) → twice (B, c): mean and standard deviation over existing places; maps are 0 elsewhere."""
    count = mask.sum((2, 3))
    mean = maps.sum((2, 3)) / count
    return mean, ((maps**2).sum((2, 3)) / count - mean**2).clamp(min=1e-6).sqrt()


def pool_electrodes(channels: Tensor, there: Tensor) -> Tensor:
    """(B, 11, rows, cols, time) → (B, 31, time): how each channel is distributed over existing electrodes.

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


def build_network(_train: dict[str, Any], _rows: int, _cols: int, _n_labels: int) -> nn.Module:
    """With fresh weights; it knows of no labels."""
    return GridLstm(len(list_targets()))


def fits_grid(_own: tuple[int, int], _other: tuple[int, int]) -> bool:
    """Whether a network for one grid, (rows, cols), takes recordings of another: always."""
    return True


def build_estimator(seed: int) -> Pipeline:
    """Logistic regression on descriptions of chunks, as with ``features`` a cautious one; classes count alike."""
    return make_pipeline(
        StandardScaler(),
        LogisticRegression(C=0.01, class_weight="balanced", max_iter=2000, random_state=seed),
    )
