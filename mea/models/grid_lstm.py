"""A network that learns to regress summary features from the grid; recordings are classified by what it predicts.

It sees :func:`mea.networks.channels.compute_electrode_channels` of every electrode in its place: spikes, classes of
intervals, silence and coactivity in each bin, and where there are electrodes. There are hundreds of recordings but only
a few batches, so a network trained on the class labels overfits to the batches. This one is trained on no label: it
learns to predict the summary features of each chunk, which are known. One network a fold can so learn from all chunks
of the training side. Mean and standard deviation over a recording's chunks of the predicted features and of the 320
states of the last layer are then classified as in ``features`` (:mod:`mea.models.recording_svc`). Learning to predict
what is known of the input is self-supervision with a pretext task (Doersch and Zisserman, "Multi-task self-supervised
visual learning", ICCV 2017, doi:10.1109/ICCV.2017.226). Take it for a second opinion from images of the array, with
chunks of a minute (split.chunk_s: 60).
"""

import warnings
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from mea.arrays.events import SpikeEvents
from mea.features.cached import fetch_features, fetch_long_window_features
from mea.features.families import list_features, list_targets
from mea.models.base import TrainingSide
from mea.models.feature_model import FeatureModel
from mea.models.network_model import check_view, make_training_key, show_unlabelled
from mea.models.params import GridLstmParams
from mea.models.spec import ModelSpec
from mea.networks.channels import ELECTRODE, GridView
from mea.networks.chunks import ChunkDataset, RegressionDataset
from mea.networks.config import TrainingConfig, TrainingRun
from mea.networks.layers import convolve_time, pool_time
from mea.networks.tasks import FeatureRegression
from mea.networks.trained import TrainedNetwork, fetch_network, load_network, run_network, save_network, set_weights
from mea.networks.training import train_network
from mea.splitting.aggregation import summarise_chunks

CLIP = 3.0  # standard deviations at which the features to predict are clipped, against outliers
WEIGHT_DECAY = 0.01
FILE = "network.safetensors"
COUNTS = [k for k, name in enumerate(ELECTRODE) if name.startswith(("log_count", "isi"))]
POPULATION_CHANNELS = 2 * len(ELECTRODE) + len(COUNTS)
ELECTRODE_CHANNELS = 2 * len(ELECTRODE)
POPULATION_WIDTH, ELECTRODE_WIDTH = 48, 32
HIDDEN = 64
STATES = 3 * HIDDEN + 4 * ELECTRODE_WIDTH
STEP = 8  # bins that make one step of the LSTM
DROPOUT = 0.1


class GridLstmModel(FeatureModel):
    """A network that regresses summary features, and classifiers of what it predicts."""

    name = "grid_lstm"
    shares_features = True
    uses_torch = True
    Params = GridLstmParams
    chunk_C = 0.01
    trained: TrainedNetwork
    network: Any

    def fit_features(self, data: TrainingSide) -> None:
        """Train the network on the whole training side, or take it from the cache."""
        key = make_training_key(self.name, data, self.spec.params)
        self._set_network(fetch_network(key, __name__, partial(self._train, data)))

    def _train(self, data: TrainingSide, checkpoint_folder: Path | None) -> TrainedNetwork:
        config = TrainingConfig.from_params(
            self.spec.params, data.seed, weight_decay=WEIGHT_DECAY, lr_schedule="cosine"
        )
        torch.manual_seed(config.seed)
        network = GridLstmNetwork(len(list_targets()))
        shown = ChunkDataset(data.chunks, data.events, self._make_view(), data.labels)
        targets = torch.from_numpy(scale_targets(compute_targets(data.chunks, data.events)))
        dataset = RegressionDataset(shown, pool_chunk, targets)
        run = TrainingRun(f"fold {data.fold}", data.fold, checkpoint_folder)
        return train_network(network, FeatureRegression(), dataset, None, config, run)

    def _set_network(self, trained: TrainedNetwork) -> None:
        self.trained = trained
        self.network = set_weights(GridLstmNetwork(len(list_targets())), trained)

    def _make_view(self) -> GridView:
        return GridView(self.spec.params.bin_ms, STEP)

    def compute_features(self, chunks: pd.DataFrame, events: Mapping[str, SpikeEvents]) -> np.ndarray:
        """(n_chunks, 320 + n_targets) states of the last layer and predicted features."""
        shown = show_unlabelled(chunks, events, self._make_view(), self.spec.labels)
        return run_network(self.network.compute_features, shown).numpy()

    def summarise_recordings(
        self, chunks: pd.DataFrame, events: Mapping[str, SpikeEvents], values: np.ndarray
    ) -> np.ndarray:
        """(n_recordings, 2 * (320 + n_targets)) mean and standard deviation over the chunks of each."""
        return summarise_chunks(chunks, values)[1]

    def name_recording_features(self, has_waveforms: bool) -> list[str]:
        """Mean and standard deviation of ``state_<k>`` and of the predicted features."""
        names = [*(f"state_{number}" for number in range(STATES)), *list_targets()]
        return [f"{name}_{summary}" for summary in ("mean", "std") for name in names]

    def check_input(self, events: SpikeEvents) -> str:
        """Whether its view can show the recording; the grid may have any size."""
        return check_view(self._make_view(), events)

    def save(self, folder: Path) -> None:
        """The classifiers and the network."""
        super().save(folder)
        save_network(folder / FILE, self.trained)

    @classmethod
    def load(cls, folder: Path, spec: ModelSpec) -> Self:
        """Read what :meth:`save` wrote."""
        model = super().load(folder, spec)
        model._set_network(load_network(folder / FILE, partial(GridLstmNetwork, len(list_targets()))))
        return model

    @classmethod
    def precompute(cls, chunks: pd.DataFrame, events: Mapping[str, SpikeEvents], params: Any) -> None:
        """The features to predict, of one recording."""
        compute_targets(chunks, events)


def compute_targets(chunks: pd.DataFrame, events: Mapping[str, SpikeEvents]) -> np.ndarray:
    """(n_chunks, n_targets) of each chunk, named by :func:`mea.features.families.list_targets`; NaN if undefined."""
    parts = []
    for name, part in chunks.groupby("recording", sort=False):
        windows = list(zip(part["start_s"].tolist(), part["stop_s"].tolist()))
        spikes = fetch_features(events[name], windows)[:, : len(list_features(has_waveforms=False))]
        values = np.concatenate([spikes, fetch_long_window_features(events[name], windows)], axis=1)
        parts.append(pd.DataFrame(values, index=part.index))
    return pd.concat(parts).loc[chunks.index].to_numpy()


def scale_targets(values: np.ndarray) -> np.ndarray:
    """(n_chunks, n_targets) float32, standardised and clipped; what is undefined stays NaN."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a feature that is undefined everywhere is never predicted
        mean, std = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
    return np.clip((values - mean) / np.where(std > 1e-9, std, 1.0), -CLIP, CLIP).astype(np.float32)


class GridLstmNetwork(nn.Module):
    """A chunk, pooled by :func:`pool_chunk` → (B, n_features) the features it predicts.

    Two branches see the same chunk:

    - time: how the channels are distributed over the electrodes, through convolutions over time and an LSTM; the mean,
      the standard deviation and the maximum of its states are kept;
    - electrodes: what each electrode does over the whole chunk, by itself and then with its neighbours on the grid;
      mean
      and standard deviation over the electrodes are kept.

    Only existing electrodes are pooled, so that neither the size of the grid nor its missing corners can be seen.

    Parameters
    ----------
    n_features
        Number of features it learns to predict.
    """

    def __init__(self, n_features: int):
        super().__init__()
        self.scale_population = nn.BatchNorm1d(POPULATION_CHANNELS, affine=False)
        self.time_layers = nn.Sequential(
            convolve_time(POPULATION_CHANNELS, POPULATION_WIDTH, 5, stride=2),
            convolve_time(POPULATION_WIDTH, POPULATION_WIDTH, 5, stride=2),
            nn.AvgPool1d(STEP // 4),
        )
        self.lstm = nn.LSTM(POPULATION_WIDTH, HIDDEN, batch_first=True)
        self.scale_electrodes = nn.BatchNorm1d(ELECTRODE_CHANNELS, affine=False)
        self.electrode_layer = nn.Linear(ELECTRODE_CHANNELS, ELECTRODE_WIDTH)
        self.neighbour_layer = nn.Conv2d(ELECTRODE_WIDTH, ELECTRODE_WIDTH, 3, padding=1)
        self.scale_states = nn.BatchNorm1d(STATES, affine=False)
        self.dropout = nn.Dropout(DROPOUT)
        self.head = nn.Linear(STATES, n_features)

    def forward(self, pooled: tuple[Tensor, Tensor]) -> Tensor:
        """What :func:`pool_chunk` made of chunks → (B, n_features), standardised."""
        return self.head(self.dropout(self._compute_states(*pooled)))

    def compute_features(self, chunk: Tensor) -> Tensor:
        """(B, 12, rows, cols, time) → (B, 320 + n_features): states of the last layer, and predicted features."""
        states = self._compute_states(*pool_chunk(chunk))
        return torch.cat([states, self.head(states)], 1)

    def _compute_states(self, population: Tensor, places: Tensor) -> Tensor:
        steps = self.time_layers(self.scale_population(population))  # (B, 48, steps)
        over_time, _ = self.lstm(steps.transpose(1, 2))  # (B, steps, 64)
        branches = [pool_time(over_time.transpose(1, 2)), self._compute_electrodes(places[:, :-1], places[:, -1])]
        return self.scale_states(torch.cat(branches, 1))

    def _compute_electrodes(self, maps: Tensor, there: Tensor) -> Tensor:
        """(B, 22, rows, cols) → (B, 128): mean and std over the electrodes, by themselves and with neighbours."""
        places = there.nonzero(as_tuple=True)
        own = self.electrode_layer(self.scale_electrodes(maps.permute(0, 2, 3, 1)[places])).relu()
        grid = own.new_zeros(*there.shape, ELECTRODE_WIDTH).index_put(places, own).permute(0, 3, 1, 2)
        mask = there[:, None]
        near = convolve_partially(self.neighbour_layer, grid, mask)
        return torch.cat([part for look in (grid, near) for part in pool_places(look, mask)], 1)


def pool_chunk(chunk: Tensor) -> tuple[Tensor, Tensor]:
    """(B, 12, rows, cols, time) → (B, 31, time) and (B, 23, rows, cols): the population over time, and the electrodes.

    Each electrode has the mean and standard deviation over time of each channel; the last channel says again where
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

    Mean and standard deviation of each, and for spikes and classes of intervals the fraction of electrodes with any.
    """
    count = there.sum((1, 2))[:, None, None]
    mean = channels.sum((2, 3)) / count  # channels are 0 where there is no electrode
    std = ((channels**2).sum((2, 3)) / count - mean**2).clamp(min=0).sqrt()
    some = (channels[:, COUNTS] > 0).to(mean.dtype).sum((2, 3)) / count
    return torch.cat([mean, std, some], 1)


def convolve_partially(layer: nn.Conv2d, maps: Tensor, mask: Tensor) -> Tensor:
    """A 3 × 3 convolution over existing places, scaled as if all nine existed; 0 elsewhere.

    Partial convolution: Liu and others, "Image inpainting for irregular holes using partial convolutions", ECCV 2018,
    doi:10.1007/978-3-030-01252-6_6. ``maps`` must be 0 where ``mask`` is.
    """
    seen = conv2d(mask, mask.new_ones(1, 1, 3, 3), padding=1).clamp(min=1)
    bias = layer.bias[:, None, None] if layer.bias is not None else 0
    return (conv2d(maps, layer.weight, padding=1) * (9 / seen) + bias).relu() * mask
