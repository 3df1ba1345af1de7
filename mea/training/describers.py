"""A network that learns to say of chunks what summary features would: how it is taught, and what is kept of it.

The features of every chunk are known without a label, so that one network a fold learns from all chunks of the training
side, and what tells the classes apart is left to what judges recordings by few and plain numbers
(:mod:`mea.models.machine`). Learning to predict what is known of the input, and judging by what was learned, is
self-supervision with pretext tasks (Doersch and Zisserman, "Multi-task self-supervised visual learning", ICCV 2017,
doi:10.1109/ICCV.2017.226).
"""

import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from mea.arrays.events import Events
from mea.features.cached import fetch_features, fetch_long_window_features
from mea.features.families import list_features
from mea.models import find_network
from mea.networks.chunks import ChunkDataset, DescribedChunks
from mea.networks.training import train_network
from mea.training.folds import FoldJob
from mea.training.members import describe_job, plan_schedule
from mea.training.networks import fetch_network, fold_file

CLIP = 3.0  # standard deviations; what lies beyond is as odd as that


def measure_targets(chunks: pd.DataFrame, events: dict[str, Events]) -> np.ndarray:
    """(n_chunks, n_targets), named by :func:`mea.features.families.list_targets`; NaN where one is undefined."""
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
        warnings.simplefilter("ignore", RuntimeWarning)  # a feature that is nowhere defined is never asked for
        mean, spread = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
    return np.clip((values - mean) / np.where(spread > 1e-9, spread, 1.0), -CLIP, CLIP).astype(np.float32)


def fit_describer(job: FoldJob, training: pd.DataFrame, events: dict[str, Events]) -> None:
    """Train a fold's network on its training side, or take it from the cache."""
    train = partial(_train_describer, job, training, events)
    fetch_network(job.folder / fold_file(job.fold), describe_job(job), __name__, train)


def _train_describer(
    job: FoldJob, training: pd.DataFrame, events: dict[str, Events], checkpoint_folder: Path | None
) -> tuple[dict[str, torch.Tensor], pd.DataFrame]:
    model, schedule = find_network(job.train), plan_schedule(job.train)
    torch.manual_seed(schedule.seed)
    network = model.build_network(job.train, job.rows, job.cols, len(job.labels))
    shown = ChunkDataset(training, events, model.make_view(job.train), job.labels)
    targets = torch.from_numpy(scale_targets(measure_targets(training, events)))
    return train_network(
        network,
        DescribedChunks(shown, model.pool_chunk, targets),
        None,
        schedule,
        checkpoint_folder=checkpoint_folder,
        title=f"fold {job.fold}",
        position=job.fold,
        recipe=model.RECIPE,
    )
