"""Trained networks on disk and in the cache, and their outputs for chunks."""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.utils.data import DataLoader

from mea.networks.chunks import ChunkDataset
from mea.networks.curves import tabulate_curves
from mea.runtime.cache import fetch_file, find_cache, forget_file, make_key
from mea.runtime.errors import MeaError
from mea.runtime.parallel import count_processes

WEIGHTS = "network."  # prefix of the network's tensors in a file; its curves lie beside them


@dataclass(frozen=True)
class TrainedNetwork:
    """What a training gives.

    Attributes
    ----------
    weights
        State of the network at its best epoch.
    curves
        One row an epoch: epoch (from 1), train_loss, train_accuracy, validation_loss, validation_accuracy. How many
        processes trained each epoch is in ``curves.attrs["processes"]``.
    """

    weights: dict[str, Tensor]
    curves: pd.DataFrame


def run_network(layers: Callable[[Tensor], Tensor], dataset: ChunkDataset, batch_size: int = 8) -> Tensor:
    """(n_chunks, n_values) float64: the outputs of a network in evaluation mode, or of its first part, for chunks."""
    with torch.inference_mode():
        return torch.cat([layers(chunks).double() for chunks, _ in DataLoader(dataset, batch_size)])


def set_weights(network: nn.Module, trained: TrainedNetwork) -> Any:
    """The network with trained weights, in evaluation mode."""
    network.load_state_dict(trained.weights)
    return network.eval()


def save_network(path: Path, trained: TrainedNetwork) -> None:
    """Write weights and curves as safetensors without metadata: the same bytes for the same numbers."""
    tensors = {WEIGHTS + name: value.contiguous() for name, value in trained.weights.items()}
    tensors["curves"] = torch.tensor(trained.curves.drop(columns="epoch").to_numpy(np.float64)).contiguous()
    tensors["processes"] = torch.tensor(trained.curves.attrs["processes"], dtype=torch.int64)  # of each epoch
    path.write_bytes(save(tensors))  # safetensors' own save_file lets nobody else read the file


def load_network(path: Path, build: Callable[[], nn.Module] | None = None) -> TrainedNetwork:
    """Read what :func:`save_network` wrote.

    Parameters
    ----------
    path
        The file.
    build
        Makes the network that the weights must fit; it is called without room for its weights.

    Raises
    ------
    MeaError
        If the file is missing or not readable, or of another network.
    """
    try:
        tensors = load_file(path)
        curves, processes = tensors.pop("curves").numpy(), tensors.pop("processes").tolist()
        table = tabulate_curves(curves.tolist(), processes)
    except (OSError, KeyError, ValueError, TypeError, SafetensorError) as error:
        raise MeaError(
            f"{path}: not readable as a fold's network ({error}). Train it again: dvc repro train."
        ) from None
    weights = {name.removeprefix(WEIGHTS): value for name, value in tensors.items()}
    if build:
        with torch.device("meta"):
            wanted = {name: value.shape for name, value in build().state_dict().items()}
        if wanted != {name: value.shape for name, value in weights.items()}:
            raise MeaError(f"{path}: not the weights of this fold's network. Train it again: dvc repro train.")
    return TrainedNetwork(weights, table)


def fetch_network(values: dict[str, Any], code: str, train: Callable[[Path | None], TrainedNetwork]) -> TrainedNetwork:
    """A trained network: from the cache, else trained by ``train(checkpoint_folder)`` and kept there.

    Parameters
    ----------
    values, code
        All that decides it, as :func:`mea.runtime.cache.make_key` takes them.
    train
        Continues from a checkpoint in its folder, where there is one.
    """
    key = make_key(values | {"processes": count_processes()}, code)
    # The checkpoints' key leaves the processes out: others may go on with them. What they make is kept for nobody.
    cache = find_cache()
    checkpoints = cache / "checkpoints" / make_key(values, code) if cache else None
    with tempfile.TemporaryDirectory(prefix="mea-network-") as folder:
        path = Path(folder) / "network.safetensors"
        fetch_file(key, path, lambda target: save_network(target, train(checkpoints)))
        trained = load_network(path)
    if checkpoints:
        shutil.rmtree(checkpoints, ignore_errors=True)
    if set(trained.curves.attrs["processes"]) != {count_processes()}:
        forget_file(key, path.suffix)
    return trained


def list_processes(folder: Path) -> list[int]:
    """How many processes trained the networks in a folder and those below it: every number that occurs, sorted."""
    found: set[int] = set()
    for path in folder.rglob("*.safetensors"):
        with safe_open(path, "pt") as tensors:
            found |= set(tensors.get_tensor("processes").tolist())
    return sorted(found or {1})
