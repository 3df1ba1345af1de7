"""What decides the model of each fold, and what all of them together are."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from joblib import cpu_count

from mea.arrays.events_file import RecordingsOnDisk, load_events
from mea.models.params import ModelParams
from mea.models.registry import find_model
from mea.runtime.errors import MeaError
from mea.runtime.files import hash_file
from mea.splitting.audit import hash_split
from mea.splitting.baselines import list_needed
from mea.training.classifier import Classifier
from mea.training.params import TrainParams


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
    events_sha256
        Of all their files: :func:`hash_events`.
    split_level
        The split level.
    labels
        The classes, sorted.
    rows, cols
        The grid.
    model, params
        Name of the model; its parameters.
    inner_folds, seed
        Of the training.
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
    events_sha256: str
    split_level: str
    labels: list[str]
    rows: int
    cols: int
    model: str
    params: ModelParams
    inner_folds: int
    seed: int
    threads: int
    folder: Path
    live_folder: Path


def plan_folds(
    chunks: pd.DataFrame, split: dict[str, Any], train: TrainParams, model: str, array: Path, folder: Path, live: Path
) -> list[FoldJob]:
    """One job of a model for every fold that is scored.

    Parameters
    ----------
    chunks
        The chunks with their folds.
    split
        What the split stage decided.
    train, model
        Parameters of the training; name of the model.
    array, folder, live
        Where the events are, where the models go, and where the curves go while they train.

    Raises
    ------
    MeaError
        If the recordings have different grids.
    """
    needed = RecordingsOnDisk(array, list_needed(chunks)).values()
    grids = {(events.rows, events.cols) for events in needed}
    if len(grids) > 1:
        raise MeaError(f"{array}: recordings of different grids, {sorted(grids)}: a classifier takes one. Split them.")
    rows, cols = grids.pop()
    events_sha256 = hash_events(array, list_needed(chunks))
    threads = max(1, cpu_count() // len(split["score"]))
    return [
        FoldJob(
            fold=fold,
            chunks=chunks,
            array_folder=array,
            events_sha256=events_sha256,
            split_level=split["split_level"],
            labels=sorted(set(chunks["label"])),
            rows=rows,
            cols=cols,
            model=model,
            params=train.of_model(model),
            inner_folds=train.inner_folds,
            seed=train.seed,
            threads=threads,
            folder=folder,
            live_folder=live / f"fold_{fold}",
        )
        for fold in split["score"]
    ]


def hash_events(folder: Path, recordings: Iterable[str]) -> str:
    """SHA-256 of the names and files of recordings, in whatever order they are given."""
    lines = [f"{name} {hash_file(folder / f'{name}.npz')}" for name in sorted(recordings)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def summarise_curves(folds: list[int], curves: list[pd.DataFrame]) -> tuple[pd.DataFrame, dict[str, Any]]:
    """All folds' curves in one table, with a column ``fold``, and the best epoch of each fold as metrics."""
    table = pd.concat([part.assign(fold=fold) for fold, part in zip(folds, curves)], ignore_index=True)
    best = {}
    for fold, part in zip(folds, curves):
        if len(part):
            validated = part["validation_loss"].notna().any()  # else it learned to the end
            row = part.loc[part["validation_loss"].idxmin()] if validated else part.iloc[-1]
            best[f"fold_{fold}"] = {"epochs": len(part), "best_epoch": int(row["epoch"]), **row.drop("epoch").to_dict()}
    if best:
        names = ("validation_loss", "validation_accuracy", "best_epoch")
        best = {"mean": {name: float(np.mean([fold[name] for fold in best.values()])) for name in names}} | best
    return table, best


def build_classifier(folder: Path, jobs: list[FoldJob], split: dict[str, Any]) -> Classifier:
    """The classifier that the fitted folds make, with all that is needed to classify a new recording."""
    job, params = jobs[0], split["params"]
    events = load_events(job.array_folder / f"{job.chunks['recording'].iloc[0]}.npz")
    leak = job.params.leak
    return Classifier(
        folder=folder,
        weights={job.model: 1.0},
        labels=job.labels,
        rows=job.rows,
        cols=job.cols,
        sampling_rate_hz=events.sampling_rate_hz,
        format=events.format,
        chunk_s=params["split"]["chunk_s"],
        first_s=params["split"]["first_s"],
        folds=[job.fold for job in jobs],
        leaky=int(bool(split["leaky"] or leak)),
        warning="; ".join(reason for reason in (split["warning"], leak) if reason),
        params=params,
        facts={
            "recordings": job.chunks["recording"].nunique(),
            "chunks": len(job.chunks),
            "split_level": job.split_level,
            "split_sha256": hash_split(job.chunks),
            "events_sha256": job.events_sha256,
            "threads": job.threads,
            **_list_torch_facts(job.model, folder),
        },
    )


def _list_torch_facts(model: str, folder: Path) -> dict[str, Any]:
    if not find_model(model).uses_torch:
        return {}
    import torch  # 2 s

    from mea.networks.devices import choose_device
    from mea.networks.trained import list_processes

    processes = list_processes(folder)  # more than one number where a training went on with others
    return {
        "processes": ", ".join(map(str, processes)) if len(processes) > 1 else processes[0],
        "device": choose_device(),
        "torch": torch.__version__,
    }
