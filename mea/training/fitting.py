"""Fit the model of one fold and its baseline, and keep them in one folder."""

from pathlib import Path

import pandas as pd

from mea.models.base import TrainingSide, save_model
from mea.models.params import ModelParams
from mea.models.rate import fit_rate
from mea.models.registry import find_model
from mea.runtime.parallel import count_processes, count_workers, run_parallel
from mea.runtime.tables import write_table
from mea.splitting.audit import hash_split
from mea.splitting.baselines import open_recordings
from mea.training.classifier import BASELINE, OOF, name_fold
from mea.training.folds import FoldJob
from mea.training.params import TrainParams


def fit_fold(job: FoldJob) -> pd.DataFrame:
    """Fit one fold's model and baseline, keep them with the out-of-fold predictions, and give the learning curves."""
    data, folder = read_training_side(job), job.folder / name_fold(job.fold)
    if find_model(job.model).uses_torch:
        import torch

        torch.set_num_threads(job.threads)
    fit = find_model(job.model).fit(data, job.params)
    save_model(fit.model, folder / job.model)
    save_model(fit_rate(data, ModelParams()), folder / BASELINE)
    write_table(folder / OOF, fit.oof)
    if len(fit.curves):  # the same curves whether it was trained now, resumed or cached
        from mea.networks.callbacks import write_live

        write_live(fit.curves.drop(columns="epoch").to_numpy().tolist(), job.live_folder)
    return fit.curves


def read_training_side(job: FoldJob) -> TrainingSide:
    """All that a fold does not hold out, with the events of every recording."""
    is_test = job.chunks["fold"] == job.fold
    return TrainingSide(
        fold=job.fold,
        chunks=job.chunks[~is_test],
        test_chunks=job.chunks[is_test],
        events=open_recordings(job.array_folder, job.chunks),
        labels=job.labels,
        rows=job.rows,
        cols=job.cols,
        split_level=job.split_level,
        inner_folds=job.inner_folds,
        seed=job.seed,
        data_key={"chunks": hash_split(job.chunks), "events_sha256": job.events_sha256},
        threads=job.threads,
        live_folder=job.live_folder,
    )


def precompute_features(params: TrainParams, model: str, chunks: pd.DataFrame, array: Path) -> None:
    """Compute what a model's folds share of every recording, on all cores, so that each finds it in the cache."""
    if find_model(model).shares_features:
        parts = [(model, params.of_model(model), part, array) for _, part in chunks.groupby("recording")]
        run_parallel(_precompute_one, parts, "features of recordings", begin_here=True)


def _precompute_one(part: tuple[str, ModelParams, pd.DataFrame, Path]) -> None:
    model, params, chunks, array = part
    find_model(model).precompute(chunks, open_recordings(array, chunks), params)


def count_trainers(model: str) -> int:
    """Folds that train at once: as many as there are workers, but one on a graphics card or in several processes."""
    if find_model(model).uses_torch:
        from mea.networks.devices import choose_device

        return count_workers() if choose_device() == "cpu" and count_processes() == 1 else 1
    return count_workers()
