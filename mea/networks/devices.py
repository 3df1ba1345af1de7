"""Where networks train: which device, and how many processes share it."""

import os
from typing import Any

import torch

from mea.runtime.errors import MeaError
from mea.runtime.parallel import count_processes


def choose_device() -> str:
    """Where networks train: ``MEA_DEVICE``, else ``cuda`` or ``mps`` where there is one, else ``cpu``.

    Raises
    ------
    MeaError
        If ``MEA_DEVICE`` names none of these, or one that is not there.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    wanted = os.environ.get("MEA_DEVICE")
    if not wanted:
        return next(name for name, available in there.items() if available)
    if not there.get(wanted):
        names = ", ".join(name for name, available in there.items() if available)
        raise MeaError(f"MEA_DEVICE={wanted}: there is no such device here; there is {names}. Unset it to choose.")
    return wanted


def check_processes(device: str, units: int) -> None:
    """Refuse what several processes cannot train.

    Parameters
    ----------
    device
        Where they train.
    units
        Chunks, or bags of them, in a training step.

    Raises
    ------
    MeaError
        If there are more processes than units or graphics cards, or the device is of another kind.
    """
    count = count_processes()
    if count > units:
        raise MeaError(
            f"MEA_PROCESSES = {count}: a training step has only {units} chunks or bags of chunks to share out. Take at "
            "most so many, or raise the model's batch_size."
        )
    if count > 1 and device not in ("cpu", "cuda"):
        raise MeaError(
            f"MEA_PROCESSES = {count}: {device} trains in one process only. Unset it, or set MEA_DEVICE=cpu."
        )
    cards = torch.cuda.device_count()
    if device == "cuda" and count > max(1, cards) and not os.environ.get("MEA_TORCHRUN"):
        raise MeaError(f"MEA_PROCESSES = {count}: there are {cards} graphics cards here, and each takes one process.")


def is_started_by_torchrun() -> bool:
    """Whether this is one of the processes that :func:`train_in_processes` started."""
    return "MEA_TASK" in os.environ and torch.distributed.is_torchelastic_launched()


def list_devices(device: str) -> dict[str, Any]:
    """How Lightning's trainer is to share the work: alone, or with the others that torchrun started."""
    if not is_started_by_torchrun():
        return {"devices": 1}
    world, local = (int(os.environ[name]) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    whole = device == "cuda"  # torch normalises by the batch of all processes on graphics cards only
    return {"devices": local, "num_nodes": world // local, "strategy": "ddp", "sync_batchnorm": whole}
