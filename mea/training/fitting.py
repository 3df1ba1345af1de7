"""Fit the model of one fold: choose the inner validation, train, keep."""

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import torch

from mea.arrays.events import Events
from mea.models import ESTIMATORS, JUDGES, ensemble, find_network, is_describer, rate
from mea.models.estimators import save_estimator
from mea.models.machine import fit_judge, save_judge
from mea.networks.chunks import load_recordings
from mea.networks.curves import tabulate_curves, write_live
from mea.networks.training import choose_device
from mea.runtime.errors import MeaError
from mea.runtime.files import write_json
from mea.runtime.parallel import count_processes, count_workers, run_parallel
from mea.runtime.tables import write_table
from mea.splitting.aggregation import add_predictions, aggregate_recordings, summarise_chunks
from mea.splitting.folds import assign_inner_folds
from mea.splitting.groups import IDENTITY, group_recordings
from mea.training.classifier import baseline_file, inner_file
from mea.training.describers import fit_describer, measure_targets
from mea.training.fold_models import estimator_file, judge_file, open_model, weights_file
from mea.training.folds import FoldJob
from mea.training.members import fit_members, plan_members, predict_members, split_inside

Curves = list[list[float]]  # (epochs, 4)


def count_trainers() -> int:
    """Folds that train at once: one on a graphics card or in several processes, else as many as there are workers."""
    return count_workers() if choose_device() == "cpu" and count_processes() == 1 else 1


def fit_fold(job: FoldJob) -> pd.DataFrame:
    """Fit one fold's baseline and model, and give the curves; an empty table for a model without epochs."""
    torch.set_num_threads(job.threads)
    training = job.chunks[job.chunks["fold"] != job.fold]
    events = load_recordings(job.array_folder, job.chunks["recording"].unique())
    _fit_estimator(rate, job, training, events, job.folder / baseline_file(job.fold))
    inner, curves = _fit_model(job, training, events)
    write_table(job.folder / inner_file(job.fold), inner)
    return tabulate_curves(curves)


def _fit_model(job: FoldJob, training: pd.DataFrame, events: dict[str, Events]) -> tuple[pd.DataFrame, Curves]:
    """Fit the model, and give the recordings that inner folds held out as it judged them, and its curves."""
    name = job.train["model"]
    if name == "ensemble":
        return _fit_ensemble(job, training, events)
    if name in ESTIMATORS:
        model = ESTIMATORS[name]
        _fit_estimator(model, job, training, events, job.folder / estimator_file(job.fold))
        if name not in JUDGES:
            return _predict_inner_folds(model, job, training, events), []
        return _fit_judge(job, training, *model.describe_recordings(training, events)), []
    if is_describer(job.train):
        return _fit_describing(job, training, events), []
    members = plan_members(job, training)
    curves = fit_members(job, members, events)
    write_live(curves, job.live_folder)  # the same curves whether it was trained now, resumed or kept
    return _vote_inside(job, *predict_members(job, members, events)), curves


def _fit_ensemble(job: FoldJob, training: pd.DataFrame, events: dict[str, Events]) -> tuple[pd.DataFrame, Curves]:
    """Fit every member in a folder of its own, and learn from their inner predictions how much each counts."""
    tables, curves = [], []
    for name in ensemble.MEMBERS:
        folder = job.folder / name
        folder.mkdir(exist_ok=True)  # the folds share it
        inner, own = _fit_model(replace(job, folder=folder, train=job.train | {"model": name}), training, events)
        tables.append(inner.set_index("recording"))
        curves += own
    judged = [name for name in tables[0].index if all(name in table.index for table in tables)]
    columns = [f"p_{label}" for label in job.labels]
    stated = np.array([table.loc[judged, columns].to_numpy(float) for table in tables])
    recordings = tables[0].loc[judged].reset_index()
    targets = recordings["label"].map(job.labels.index).to_numpy(int)
    weights = ensemble.fit_weights(stated, targets)
    write_json(job.folder / weights_file(job.fold), dict(zip(ensemble.MEMBERS, weights.tolist())), digits=17)
    folds = _try_inner_folds(_judge_level(job), recordings) if judged else None
    if folds is None:
        return _select_columns(job, recordings[:0]), curves
    combined = ensemble.combine_held_out(stated, targets, folds)
    return _select_columns(job, add_predictions(recordings, combined, job.labels)), curves


def describe_first(train: dict[str, Any], chunks: pd.DataFrame, array: Path) -> None:
    """Measure what a model sees, or learns to name, of every recording, on all cores, so that the folds find it."""
    names = ensemble.MEMBERS if train["model"] == "ensemble" else (train["model"],)
    describers: list[Callable] = [_find_describer(name) for name in names if name in ESTIMATORS]
    describers += [measure_targets for name in names if is_describer(train | {"model": name})]
    parts = [(describe, part, array) for describe in describers for _, part in chunks.groupby("recording")]
    if parts:
        run_parallel(_describe_one, parts, "recordings described")


def _find_describer(model: str) -> Callable:
    return JUDGES[model].describe_recordings if model in JUDGES else ESTIMATORS[model].describe_chunks


def _describe_one(part: tuple[Callable, pd.DataFrame, Path]) -> None:
    describe, chunks, array = part
    describe(chunks, load_recordings(array, chunks["recording"].unique()))


def _fit_estimator(model: ModuleType, job: FoldJob, training: pd.DataFrame, events: dict[str, Events], path: Path):
    estimator = model.build_estimator(job.train["seed"])
    save_estimator(path, estimator.fit(model.describe_chunks(training, events), training["label"]))


def _predict_inner_folds(
    model: ModuleType, job: FoldJob, training: pd.DataFrame, events: dict[str, Events]
) -> pd.DataFrame:
    """Every recording of the training side, predicted by an estimator fitted without its group."""
    inner = _try_inner_folds(job, training)
    if inner is None:
        return _vote_inside(job, training[:0], np.zeros((0, len(job.labels))))
    values, targets = model.describe_chunks(training, events), training["label"].to_numpy()
    probabilities = np.zeros((len(training), len(job.labels)))
    for number in set(inner):
        held = inner == number
        estimator = model.build_estimator(job.train["seed"]).fit(values[~held], targets[~held])
        probabilities[held] = estimator.predict_proba(values[held])
    return _vote_inside(job, training, probabilities)


def _fit_describing(job: FoldJob, training: pd.DataFrame, events: dict[str, Events]) -> pd.DataFrame:
    """Teach a network to describe chunks, and fit what judges chunks and recordings by its descriptions."""
    fit_describer(job, training, events)
    about = (job.labels, job.rows, job.cols)
    described = open_model(job.folder, job.fold, job.train, *about).describe(training, events)
    estimator = find_network(job.train).build_estimator(job.train["seed"])
    save_estimator(job.folder / estimator_file(job.fold), estimator.fit(described, training["label"]))
    return _fit_judge(job, training, *summarise_chunks(training, described))


def _fit_judge(job: FoldJob, training: pd.DataFrame, names: np.ndarray, values: np.ndarray) -> pd.DataFrame:
    """Fit what judges whole recordings, and give those of the training side as judged without their group.

    ``values`` are (n, n_features) of the recordings ``names``, (n,).
    """
    recordings = training.drop_duplicates("recording").set_index("recording").loc[names].reset_index()
    targets = recordings["label"].map(job.labels.index).to_numpy(int)
    cultures = group_recordings(recordings, "culture")
    folds = _try_inner_folds(_judge_level(job), recordings)
    judge, inner = fit_judge(values, targets, cultures, folds, len(job.labels))
    save_judge(job.folder / judge_file(job.fold), judge)
    return _select_columns(job, add_predictions(recordings[: len(inner)], inner, job.labels))


def _vote_inside(job: FoldJob, chunks: pd.DataFrame, probabilities: np.ndarray) -> pd.DataFrame:
    return _select_columns(job, aggregate_recordings(add_predictions(chunks, probabilities, job.labels), job.labels))


def _select_columns(job: FoldJob, recordings: pd.DataFrame) -> pd.DataFrame:
    return recordings[[*IDENTITY, *(f"p_{label}" for label in job.labels)]]


def _judge_level(job: FoldJob) -> FoldJob:
    """The same for what judges whole recordings, which cannot be split by chunk."""
    return replace(job, split_level="recording" if job.split_level == "chunk" else job.split_level)


def _try_inner_folds(job: FoldJob, training: pd.DataFrame) -> np.ndarray | None:
    """(n,) inner fold of each row; None, with a warning, where no inner folds are possible."""
    try:
        return split_inside(assign_inner_folds, job, training)
    except MeaError as error:
        warnings.warn(f"fold {job.fold} is not calibrated and has no threshold: {error}", stacklevel=1)
        return None
