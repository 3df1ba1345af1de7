"""Fit the model of one fold: choose the inner validation, train, keep."""

import shutil
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import torch
from joblib import cpu_count
from torch import Tensor

import mea.chunks
import mea.classifier
import mea.events
import mea.models.cnn_lstm
import mea.splits
import mea.training
import mea.views
from mea.cache import fetch_file, find_cache, make_key
from mea.chunks import ChunkDataset, load_recordings
from mea.classifier import (
    Classifier,
    baseline_file,
    build_network,
    estimator_file,
    fold_file,
    inner_file,
    load_fold,
    make_view,
    run_network,
    save_fold,
)
from mea.errors import MeaError
from mea.estimators import save_estimator
from mea.events import Events, load_events
from mea.files import hash_file
from mea.models import ESTIMATORS, rate
from mea.parallel import count_workers
from mea.splits import IDENTITY, assign_inner_folds, choose_validation, hash_split
from mea.tables import write_table
from mea.training import Schedule, choose_device, tabulate_curves, train_network, write_live
from mea.votes import add_predictions, vote_recordings

CODE = (
    sys.modules[__name__],
    mea.chunks,
    mea.classifier,
    mea.events,
    mea.models.cnn_lstm,
    mea.splits,
    mea.training,
    mea.views,
)


@dataclass(frozen=True)
class FoldJob:
    """All that decides the model of one fold.

    Attributes
    ----------
    fold
        Its number.
    chunks
        All chunks, with the fold in which each is held out.
    array_folder
        Where the recordings' events are.
    level
        The level split by.
    labels
        The classes, sorted.
    rows, cols
        The grid.
    train
        Parameters of the training.
    threads
        Threads of this process; part of what decides the bits.
    folder
        Where the fold's model goes.
    live_folder
        Where its curves go while it trains.
    """

    fold: int
    chunks: pd.DataFrame
    array_folder: Path
    level: str
    labels: list[str]
    rows: int
    cols: int
    train: dict[str, Any]
    threads: int
    folder: Path
    live_folder: Path


def plan_folds(chunks: pd.DataFrame, split: dict[str, Any], array: Path, folder: Path, live: Path) -> list[FoldJob]:
    """One job for every fold that is scored.

    Parameters
    ----------
    chunks
        The chunks with their folds.
    split
        What the split stage decided, with the parameters of all stages so far under ``params``.
    array, folder, live
        Where the events are, where the models go, and where the curves go while they train.

    Raises
    ------
    MeaError
        If the recordings have different grids.
    """
    grids = {(events.rows, events.cols) for events in load_recordings(array, chunks["recording"].unique()).values()}
    if len(grids) > 1:
        raise MeaError(f"{array}: recordings of different grids, {sorted(grids)}: a classifier takes one. Split them.")
    rows, cols = grids.pop()
    threads = max(1, cpu_count() // len(split["score"]))
    return [
        FoldJob(
            fold=fold,
            chunks=chunks,
            array_folder=array,
            level=split["level"],
            labels=sorted(set(chunks["label"])),
            rows=rows,
            cols=cols,
            train=split["params"]["train"],
            threads=threads,
            folder=folder,
            live_folder=live / f"fold_{fold}",
        )
        for fold in split["score"]
    ]


def count_trainers() -> int:
    """Folds that train at once: one on a graphics card, else as many as there are workers."""
    return count_workers() if choose_device() == "cpu" else 1


def fit_fold(job: FoldJob) -> pd.DataFrame:
    """Fit one fold's baseline and model, and give the curves; an empty table for a model without epochs."""
    torch.set_num_threads(job.threads)
    training = job.chunks[job.chunks["fold"] != job.fold]
    events = load_recordings(job.array_folder, job.chunks["recording"].unique())
    _fit_estimator(rate, job, training, events, job.folder / baseline_file(job.fold))
    if job.train["model"] in ESTIMATORS:
        model = ESTIMATORS[job.train["model"]]
        _fit_estimator(model, job, training, events, job.folder / estimator_file(job.fold))
        inner = _predict_inner_folds(model, job, training, events)
        curves: list[list[float]] = []
    else:
        key = make_key(_describe_job(job), CODE)
        path = job.folder / fold_file(job.fold)
        fetch_file(key, path, lambda target: _fit_network(job, training, events, key, target))
        weights, rows = load_fold(path)
        curves = rows.tolist()
        write_live(curves, job.live_folder)  # the same curves whether it was trained now, resumed or kept
        inner = _predict_validation(job, weights, training, events)
    write_table(job.folder / inner_file(job.fold), inner)
    return tabulate_curves(curves)


def _fit_estimator(model: ModuleType, job: FoldJob, training: pd.DataFrame, events: dict[str, Events], path: Path):
    estimator = model.build_estimator(job.train["seed"])
    save_estimator(path, estimator.fit(model.describe_chunks(training, events), training["label"]))


def _predict_inner_folds(
    model: ModuleType, job: FoldJob, training: pd.DataFrame, events: dict[str, Events]
) -> pd.DataFrame:
    """Every recording of the training side, predicted by an estimator fitted without its group."""
    values, targets = model.describe_chunks(training, events), training["label"].to_numpy()
    probabilities = np.zeros((len(training), len(job.labels)))
    inner = _split_inside(assign_inner_folds, job, training)
    for number in set(inner):
        held = inner == number
        estimator = model.build_estimator(job.train["seed"]).fit(values[~held], targets[~held])
        probabilities[held] = estimator.predict_proba(values[held])
    return _vote_inside(job, training, probabilities)


def _predict_validation(
    job: FoldJob, weights: dict[str, Tensor], training: pd.DataFrame, events: dict[str, Events]
) -> pd.DataFrame:
    """The recordings that chose a network's epoch; none where that was the scored fold."""
    if job.train["validation"] == "scored":
        return _vote_inside(job, training[:0], np.zeros((0, len(job.labels))))
    held = training[_split_inside(choose_validation, job, training)]
    network = build_network(job.train, job.rows, job.cols, len(job.labels))
    network.load_state_dict(weights)
    dataset = ChunkDataset(held, events, make_view(job.train), job.labels)
    return _vote_inside(job, held, run_network(network.eval(), dataset).softmax(1).numpy())


def _vote_inside(job: FoldJob, chunks: pd.DataFrame, probabilities: np.ndarray) -> pd.DataFrame:
    table = vote_recordings(add_predictions(chunks, probabilities, job.labels), job.labels)
    return table[[*IDENTITY, *(f"p_{label}" for label in job.labels)]]


def _split_inside(split: Callable[..., np.ndarray], job: FoldJob, training: pd.DataFrame) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the split stage has said what is unknown
        return split(training, job.level, job.train["inner_folds"], job.train["seed"])


def _describe_job(job: FoldJob) -> dict[str, Any]:
    recordings = sorted(job.chunks["recording"].unique())
    return {
        "fold": job.fold,
        "chunks": hash_split(job.chunks),
        "events": [hash_file(job.array_folder / f"{name}.npz") for name in recordings],
        "level": job.level,
        "train": job.train,
        "threads": job.threads,
        "device": choose_device(),
        "torch": torch.__version__,
    }


def _fit_network(job: FoldJob, training: pd.DataFrame, events: dict[str, Events], key: str, target: Path) -> None:
    train = job.train
    if train["validation"] == "scored":
        validation = job.chunks[job.chunks["fold"] == job.fold]
    else:
        inner = _split_inside(choose_validation, job, training)
        training, validation = training[~inner], training[inner]
    torch.manual_seed(train["seed"])
    network = build_network(train, job.rows, job.cols, len(job.labels))
    schedule = Schedule(**{name: train[name] for name in Schedule.__dataclass_fields__})
    cache = find_cache()
    checkpoints = cache / "checkpoints" / key if cache else None
    weights, curves = train_network(
        network,
        ChunkDataset(training, events, make_view(train), job.labels),
        ChunkDataset(validation, events, make_view(train), job.labels),
        schedule,
        checkpoint_folder=checkpoints,
        live_folder=job.live_folder,
        title=f"fold {job.fold}",
        position=job.fold,
    )
    save_fold(target, weights, curves)
    if checkpoints:
        shutil.rmtree(checkpoints, ignore_errors=True)


def summarise_curves(folds: list[int], curves: list[pd.DataFrame]) -> tuple[pd.DataFrame, dict[str, Any]]:
    """All folds' curves in one table, with a column ``fold``, and the best epoch of each fold as metrics."""
    table = pd.concat([part.assign(fold=fold) for fold, part in zip(folds, curves)], ignore_index=True)
    best = {}
    for fold, part in zip(folds, curves):
        if len(part):
            row = part.loc[part["validation_loss"].idxmin()]
            best[f"fold_{fold}"] = {"epochs": len(part), "best_epoch": int(row["epoch"]), **row.drop("epoch").to_dict()}
    if best:
        names = ("validation_loss", "validation_accuracy", "best_epoch")
        best = {"mean": {name: float(np.mean([fold[name] for fold in best.values()])) for name in names}} | best
    return table, best


def describe_training(folder: Path, jobs: list[FoldJob], split: dict[str, Any]) -> Classifier:
    """The classifier that the fitted folds make, with all that is needed to classify a new recording."""
    job, params = jobs[0], split["params"]
    events = load_events(job.array_folder / f"{job.chunks['recording'].iloc[0]}.npz")
    scored = job.train["validation"] == "scored" and job.train["model"] not in ESTIMATORS
    reasons = [split["warning"], "leaky: the epoch was chosen on the fold it is scored on" if scored else ""]
    return Classifier(
        folder=folder,
        model=job.train["model"],
        labels=job.labels,
        rows=job.rows,
        cols=job.cols,
        rate_hz=events.rate_hz,
        format=events.format,
        chunk_s=params["split"]["chunk_s"],
        first_s=params["split"]["first_s"],
        folds=[job.fold for job in jobs],
        leaky=int(bool(split["leaky"] or scored)),
        warning="; ".join(reason for reason in reasons if reason),
        params=params,
        facts={
            "recordings": job.chunks["recording"].nunique(),
            "chunks": len(job.chunks),
            "split_sha256": hash_split(job.chunks),
            "processes": 1,
            "threads": job.threads,
            "device": choose_device(),
            "torch": torch.__version__,
        },
    )
