"""A fold's networks: their files, and what they say of chunks."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils.data import DataLoader

from mea.models import find_network
from mea.networks.chunks import ChunkDataset
from mea.runtime.cache import fetch_file, find_cache, forget_file, make_key
from mea.runtime.errors import MeaError
from mea.runtime.parallel import count_processes

WEIGHTS = "network."  # prefix of the network's tensors in a file; its curves lie beside them


def fold_file(fold: int) -> str:
    """Name of the file of one fold's network, where it is a single one."""
    return f"fold_{fold}.safetensors"


def member_file(fold: int, member: int | str) -> str:
    """Name of the file of one of a fold's networks, where there are several."""
    return f"fold_{fold}_member_{member}.safetensors"


def find_members(folder: Path, fold: int) -> list[Path]:
    """Files of a fold's networks: its members, or the only one."""
    return sorted(folder.glob(member_file(fold, "*"))) or [folder / fold_file(fold)]


def load_network(path: Path, train: dict[str, Any], rows: int, cols: int, n_labels: int) -> Any:
    """A network as the training's parameters say, with the weights of a file, ready to judge.

    Raises
    ------
    MeaError
        If the file is missing or not readable.
    """
    network = find_network(train).build_network(train, rows, cols, n_labels)
    network.load_state_dict(load_fold(path)[0])
    return network.eval()


def run_network(layers: Callable[[Tensor], Tensor], dataset: ChunkDataset, batch_size: int = 8) -> Tensor:
    """(n_chunks, n_values) float64: what a network in evaluation mode, or the first part of one, makes of chunks."""
    with torch.inference_mode():
        return torch.cat([layers(chunks).double() for chunks, _ in DataLoader(dataset, batch_size)])


def save_fold(path: Path, weights: dict[str, Tensor], curves: pd.DataFrame) -> None:
    """Write one fold's weights and curves as safetensors without metadata: the same bytes for the same numbers."""
    tensors = {WEIGHTS + name: value.contiguous() for name, value in weights.items()}
    tensors["curves"] = torch.tensor(curves.drop(columns="epoch").to_numpy(np.float64)).contiguous()
    tensors["processes"] = torch.tensor(curves.attrs.get("processes", []), dtype=torch.int64)  # of each epoch
    save_file(tensors, path)


def fetch_network(
    path: Path,
    values: dict[str, Any],
    code: str,
    train: Callable[[Path | None], tuple[dict[str, Tensor], pd.DataFrame]],
) -> None:
    """Put a trained network at ``path``: from the cache, else made by ``train(checkpoint_folder)``.

    Parameters
    ----------
    path
        Of the network's file.
    values, code
        What decides it, as :func:`mea.runtime.cache.make_key` takes them.
    train
        Gives weights and curves; goes on from a checkpoint in its folder, where there is one.
    """
    key = make_key(values | {"processes": count_processes()}, code)
    # The checkpoints' key leaves the processes out: others may go on with them. What they make is kept for nobody.
    cache = find_cache()
    checkpoints = cache / "checkpoints" / make_key(values, code) if cache else None
    fetch_file(key, path, lambda target: save_fold(target, *train(checkpoints)))
    if checkpoints:
        shutil.rmtree(checkpoints, ignore_errors=True)
    if load_processes(path) != [count_processes()]:
        forget_file(key, path.suffix)


def read_processes(folder: Path) -> list[int]:
    """How many processes trained the networks in a folder and those below it: every number that occurs, sorted."""
    found = {count for path in folder.rglob("*.safetensors") for count in load_processes(path)}
    return sorted(found or {1})


def load_processes(path: Path) -> list[int]:
    """The same of one file; empty for one that holds no network."""
    with safe_open(path, "pt") as tensors:
        held = "processes" in tensors.keys()  # noqa: SIM118 - what is open is no dict
        return sorted(set(tensors.get_tensor("processes").tolist())) if held else []


def load_fold(path: Path) -> tuple[dict[str, Tensor], np.ndarray]:
    """Read what :func:`save_fold` wrote: weights, and curves as (epochs, 4).

    Raises
    ------
    MeaError
        If the file is missing or not readable.
    """
    try:
        tensors = load_file(path)
        curves, _ = tensors.pop("curves").numpy(), tensors.pop("processes", None)
    except (OSError, KeyError, SafetensorError) as error:
        raise MeaError(
            f"{path}: not readable as a fold's network ({error}). Train it again: dvc repro train."
        ) from None
    return {name.removeprefix(WEIGHTS): value for name, value in tensors.items()}, curves
