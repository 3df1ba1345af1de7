"""Parameters of the train stage as params.yaml has them, and tiny labs: written, split, fitted."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from ruamel.yaml import YAML

from builders.arrays import H5_PARAMS, SAMPLING_RATE_HZ, write_array
from builders.lab import ROOT
from mea.runtime.checksums import write_checksums
from mea.runtime.files import fresh_folder
from mea.runtime.tables import list_used
from mea.splitting.chunks import cut_chunks
from mea.splitting.folds import assign_folds
from mea.training.classifier import Classifier, save_classifier
from mea.training.fitting import fit_fold, precompute_features
from mea.training.folds import FoldJob, build_classifier, plan_folds
from mea.training.params import TrainParams, add_model_sections

ARRAY_PARAMS = {"sampling_rate_hz": SAMPLING_RATE_HZ, "other_sampling_rate": "set_aside", "threshold": 5.0}
Params = add_model_sections(__name__)


def train_params(model: str = "features", **changed: Any) -> TrainParams:
    """The section ``train`` of params.yaml with changes: ``train_params("tcn", seed=3, tcn={"epochs": 1})``."""
    values = YAML(typ="safe").load((ROOT / "params.yaml").read_text(encoding="utf-8"))["train"]
    for name, value in (changed | {"models": [model]}).items():
        values[name] = values[name] | value if isinstance(value, dict) else value
    return Params.model_validate(values)


def write_lab(
    folder: Path, plan: Sequence[dict[str, Any]] | None = None, folds: int = 3, chunk_s: float = 1.0, **common: Any
) -> tuple[Path, pd.DataFrame]:
    """Write recordings (:func:`builders.arrays.write_array`), and give their folder and chunks, held out by batch."""
    write_array(folder / "array", plan, **common)
    chunks, _ = cut_chunks(list_used(folder / "array" / "catalogue.csv"), chunk_s, None)
    return folder / "array", chunks.assign(fold=assign_folds(chunks, "batch", folds, 0))


def make_split(params: TrainParams, score: Sequence[int] = (0,), warning: str = "", chunk_s: float = 1.0) -> dict:
    """What the split stage decided, with the parameters of all stages."""
    sections = {"h5": H5_PARAMS, "array": ARRAY_PARAMS, "split": {"chunk_s": chunk_s, "first_s": None}}
    sections |= {"train": params.keep_model(params.models[0])}
    about = {"leaky": int(bool(warning)), "warning": warning, "params": sections}
    return {"split_level": "batch", "score": list(score)} | about


def plan_lab(
    lab: tuple[Path, pd.DataFrame], folder: Path, params: TrainParams, score: Sequence[int] = (0,)
) -> list[FoldJob]:
    """The jobs of the scored folds, each on one thread; models go to ``folder``."""
    array, chunks = lab
    folder.mkdir(parents=True, exist_ok=True)
    jobs = plan_folds(chunks, make_split(params, score), params, params.models[0], array, folder, folder / "live")
    return [replace(job, threads=1) for job in jobs]


def fit_lab(
    lab: tuple[Path, pd.DataFrame],
    folder: Path,
    params: TrainParams,
    score: Sequence[int] = (0,),
    chunk_s: float = 1.0,
) -> tuple[Classifier, list[pd.DataFrame]]:
    """Fit the scored folds as the train stage does; the classifier is saved. Also gives the learning curves."""
    array, chunks = lab
    precompute_features(params, params.models[0], chunks, array)
    with fresh_folder(folder) as work:
        jobs = plan_lab(lab, work, params, score)
        curves = [fit_fold(replace(job, live_folder=folder.parent / "live")) for job in jobs]
        classifier = build_classifier(work, jobs, make_split(params, score, chunk_s=chunk_s))
        save_classifier(classifier)
        write_checksums(work)
    return replace(classifier, folder=folder), curves
