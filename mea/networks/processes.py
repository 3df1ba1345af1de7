"""One training on several processes: torchrun starts them from inside the stage, Lightning's DDP joins them.

Every process trains on its part of each batch, so that the batches, and the results up to rounding, are those of one
process.
"""

import contextlib
import os
import pickle
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import Sampler

from mea.runtime.errors import MeaError
from mea.runtime.parallel import count_processes

TASK, RESULT, MISTAKE = "task.pickle", "result.pt", "mistake.txt"
Train = Callable[..., tuple[dict[str, Tensor], pd.DataFrame]]  # gives weights and curves


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
            "most so many, or raise train.batch_size."
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


def train_in_processes(train: Train, arguments: dict[str, Any], folder: Path | None) -> dict[str, Any]:
    """Call ``train(**arguments)`` in several processes at once, and give the answer of the first.

    Parameters
    ----------
    train
        Trains one network in each process, on its part of each batch; gives weights and curves.
    arguments
        Its arguments; ``title`` names the training in messages.
    folder
        Seen by all machines, for what is handed over; None for this machine's temporary folder.

    Raises
    ------
    MeaError
        If the processes cannot be started, or end without an answer.
    """
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="processes-", dir=folder) as name:
        place = Path(name).resolve()
        (place / TASK).write_bytes(pickle.dumps((train, arguments)))
        status = _run_torchrun(place)
        if (place / MISTAKE).exists():
            raise MeaError((place / MISTAKE).read_text(encoding="utf-8"))
        if status or not (place / RESULT).exists():
            raise MeaError(
                f"{arguments['title']}: its {count_processes()} processes ended with status {status}; what they said "
                "stands above. The same command goes on from the last whole epoch."
            )
        return torch.load(place / RESULT, weights_only=True)


def _run_torchrun(place: Path) -> int:
    count = count_processes()
    here = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
    command = shlex.split(os.environ.get("MEA_TORCHRUN") or "") or here
    package = str(Path(__file__).parents[2])
    paths = os.pathsep.join([package, os.environ.get("PYTHONPATH", "")]).strip(os.pathsep)
    environment = os.environ | {"MEA_TASK": str(place), "PYTHONPATH": paths}
    environment |= {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    try:
        process = subprocess.Popen([*command, "-m", "mea.networks.processes"], env=environment)
    except OSError as error:
        raise MeaError(
            f"MEA_TORCHRUN = {shlex.join(command)}: cannot be started ({error}). Mend it, or unset it."
        ) from None
    try:
        return process.wait()
    except BaseException:
        process.terminate()  # torchrun ends the processes it started
        process.wait()
        raise


class BatchShare(Sampler):
    """The part of each batch that falls to one of several processes: every so-many-th unit; all of it for a single one.

    A process to which nothing falls is given the first unit, so that all take the same number of steps;
    :meth:`count_own` tells it from the others.

    Parameters
    ----------
    sampler
        Gives the chunks of an epoch in order.
    batch_size
        Units in a batch, for all processes together.
    unit
        Chunks that stay together.
    """

    def __init__(self, sampler: Any, batch_size: int, unit: int = 1):
        self.sampler, self.batch_size, self.unit = sampler, batch_size, unit
        shared = is_started_by_torchrun()
        self.rank, self.world = (int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])) if shared else (0, 1)

    def __len__(self) -> int:
        return -(-len(self.sampler) // (self.batch_size * self.unit))

    def __iter__(self) -> Iterator[list[Any]]:
        chunks = list(self.sampler)
        for batch in range(len(self)):
            first = batch * self.batch_size
            units = [chunks[(first + k) * self.unit : (first + k + 1) * self.unit] for k in range(self.count(batch))]
            own = units[self.rank :: self.world] or units[:1]
            yield [chunk for unit in own for chunk in unit]

    def count(self, batch: int) -> int:
        """Units in a batch, of all processes."""
        return min(self.batch_size, len(self.sampler) // self.unit - batch * self.batch_size)

    def count_own(self, batch: int) -> int:
        """Units in a batch that fall to this process."""
        return len(range(self.rank, self.count(batch), self.world))

    def gather(self, values: Tensor, batch: int) -> Tensor:
        """(units, ...) a batch's values from all processes, in the batch's order; those given are of this one."""
        if self.world == 1:
            return values
        own, most = self.count_own(batch), -(-self.count(batch) // self.world)
        padded = values.new_zeros(most, *values.shape[1:])
        padded[:own] = values.detach()[:own]
        parts = [torch.empty_like(padded) for _ in range(self.world)]
        torch.distributed.all_gather(parts, padded)
        return torch.stack(parts, 1).flatten(0, 1)[: self.count(batch)]


def _train_here(place: Path) -> None:
    """What each process does: train on its part, and the first one says what came out."""
    train, arguments = pickle.loads((place / TASK).read_bytes())
    first = os.environ["RANK"] == "0"
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    if not first:
        os.environ["MEA_QUIET"] = "1"
    try:
        if int(os.environ["WORLD_SIZE"]) != count_processes():
            raise MeaError(
                f"MEA_TORCHRUN started {os.environ['WORLD_SIZE']} processes, but MEA_PROCESSES = {count_processes()}. "
                "Make the two agree."
            )
        weights, curves = train(**arguments)
    except MeaError as error:
        if first:
            (place / MISTAKE).write_text(str(error), encoding="utf-8")
        return
    if first:
        answer = {"weights": weights, "rows": curves.drop(columns="epoch").to_numpy().tolist(), **curves.attrs}
        torch.save(answer, place / RESULT)


if __name__ == "__main__":
    if "MEA_TASK" not in os.environ:
        sys.exit("processes: only the train stage starts this, where MEA_PROCESSES is set: see docs/cluster.md.")
    with contextlib.suppress(KeyboardInterrupt):  # the stage says so
        _train_here(Path(os.environ["MEA_TASK"]))
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
