"""The networks of one fold: one, or one per inner fold and some more, with the recordings that chose their epochs."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from mea.arrays.events import Events
from mea.models import find_network
from mea.networks.chunks import ChunkDataset
from mea.networks.training import Schedule, choose_device, train_network
from mea.splitting.aggregation import average_recordings
from mea.splitting.audit import hash_split
from mea.splitting.folds import assign_inner_folds
from mea.training.folds import FoldJob
from mea.training.networks import fetch_network, fold_file, load_fold, load_network, member_file, run_network


@dataclass(frozen=True)
class Member:
    """One network of a fold.

    Attributes
    ----------
    number
        From 0; added to the seed, so that no two members begin alike.
    file
        Name of its file.
    learned, held
        The chunks it learns from, and those that choose its epoch; none where it learns to the end of the schedule.
    """

    number: int
    file: str
    learned: pd.DataFrame
    held: pd.DataFrame


def plan_members(job: FoldJob, training: pd.DataFrame) -> list[Member]:
    """The networks of a fold, as the recipe of its model says.

    Raises
    ------
    MeaError
        If no inner validation is possible.
    """
    if job.train["validation"] == "scored":
        return [Member(0, fold_file(job.fold), training, job.chunks[job.chunks["fold"] == job.fold])]
    inner = split_inside(assign_inner_folds, job, training)
    recipe, count = find_network(job.train).RECIPE, int(inner.max()) + 1
    if not recipe.members:
        return [Member(0, fold_file(job.fold), training[inner != 0], training[inner == 0])]
    return [  # the last ones have numbers that no inner fold has
        Member(number, member_file(job.fold, number), training[inner != number], training[inner == number])
        for number in range(count + recipe.whole)
    ]


def split_inside(split: Callable[..., np.ndarray], job: FoldJob, training: pd.DataFrame) -> np.ndarray:
    """(n,) what a split says of the rows of a training side, as the parameters say."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")  # scikit-learn, of small inner folds
        return split(training, job.split_level, job.train["inner_folds"], job.train["seed"])


def fit_members(job: FoldJob, members: list[Member], events: dict[str, Events]) -> list[list[float]]:
    """Train each member, or take it from the cache, and give the mean of their learning curves, (epochs, 4)."""
    curves = []
    for member in members:
        path = job.folder / member.file
        fetch_network(
            path, describe_job(job) | {"member": member.number}, __name__, partial(_fit_member, job, member, events)
        )
        curves.append(pd.DataFrame(load_fold(path)[1]))
    return pd.concat(curves).groupby(level=0).mean().to_numpy().tolist()


def predict_members(job: FoldJob, members: list[Member], events: dict[str, Events]) -> tuple[pd.DataFrame, np.ndarray]:
    """The chunks that chose the epochs, each judged by the network that has not learned from them.

    Returns
    -------
    chunks
        Those of all members; none where the epoch was chosen on the scored fold.
    probabilities
        (n_chunks, n_labels); the same for all chunks of a recording where the network judges recordings.
    """
    held, parts = job.chunks[:0], [np.zeros((0, len(job.labels)))]
    if job.train["validation"] == "scored":
        return held, parts[0]
    model = find_network(job.train)
    members = [member for member in members if len(member.held)]
    for member in members:
        network = load_network(job.folder / member.file, job.train, job.rows, job.cols, len(job.labels))
        dataset = ChunkDataset(member.held, events, model.make_view(job.train), job.labels)
        logits = run_network(network, dataset).numpy()
        if model.RECIPE.bag:
            logits = average_recordings(member.held, logits)
        parts.append(torch.from_numpy(logits).softmax(1).numpy())
    return pd.concat([member.held for member in members]), np.concatenate(parts)


def plan_schedule(train: dict[str, Any]) -> Schedule:
    """What the parameters of the training say of its length and speed."""
    return Schedule(**{name: train[name] for name in Schedule.__dataclass_fields__})


def describe_job(job: FoldJob) -> dict[str, Any]:
    """All that decides a fold's networks, beside the code: for the key of the cache."""
    return {
        "fold": job.fold,
        "chunks": hash_split(job.chunks),
        "events_sha256": job.events_sha256,
        "split_level": job.split_level,
        "train": job.train,
        "threads": job.threads,
        "device": choose_device(),
        "torch": torch.__version__,
    }


def _fit_member(
    job: FoldJob, member: Member, events: dict[str, Events], checkpoint_folder: Path | None
) -> tuple[dict[str, torch.Tensor], pd.DataFrame]:
    train, model = job.train, find_network(job.train)
    schedule = plan_schedule(train)
    schedule = replace(schedule, seed=schedule.seed + member.number)
    torch.manual_seed(schedule.seed)
    network = model.build_network(train, job.rows, job.cols, len(job.labels))
    view, keep = model.make_view(train), model.RECIPE.keep
    sides = [ChunkDataset(part, events, view, job.labels, keep) for part in (member.learned, member.held)]
    return train_network(
        network,
        sides[0],
        sides[1] if len(sides[1]) else None,
        schedule,
        checkpoint_folder=checkpoint_folder,
        live_folder=job.live_folder,
        title=f"fold {job.fold}" + (f", network {member.number}" if model.RECIPE.members else ""),
        position=job.fold,
        recipe=model.RECIPE,
    )
