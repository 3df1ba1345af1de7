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
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import Dataset

from mea.networks.config import TrainingConfig, TrainingRun
from mea.networks.curves import tabulate_curves
from mea.networks.loop import run_training
from mea.networks.tasks import Task
from mea.networks.trained import TrainedNetwork
from mea.runtime.errors import MeaError
from mea.runtime.parallel import count_processes

TASK, RESULT, MISTAKE = "task.pickle", "result.pt", "mistake.txt"


def train_in_processes(
    network: nn.Module,
    task: Task,
    training: Dataset,
    validation: Dataset | None,
    config: TrainingConfig,
    run: TrainingRun,
) -> TrainedNetwork:
    """Train as :func:`mea.networks.loop.run_training` would, on several processes.

    What is handed over lies in the folder of the checkpoints, which all machines see; without one, in this machine's
    temporary folder.

    Raises
    ------
    MeaError
        If the processes cannot be started, or end without an answer.
    """
    folder = run.checkpoint_folder
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="processes-", dir=folder) as name:
        place = Path(name).resolve()
        (place / TASK).write_bytes(pickle.dumps((network, task, training, validation, config, run)))
        status = _run_torchrun(place)
        if (place / MISTAKE).exists():
            raise MeaError((place / MISTAKE).read_text(encoding="utf-8"))
        if status or not (place / RESULT).exists():
            raise MeaError(
                f"{run.title}: its {count_processes()} processes ended with status {status}; what they said stands "
                "above. The same command goes on from the last whole epoch."
            )
        answer = torch.load(place / RESULT, weights_only=True)
    return TrainedNetwork(answer["weights"], tabulate_curves(answer["rows"], answer["processes"]))


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
            f"MEA_TORCHRUN = {shlex.join(command)}: cannot be started ({error}). Correct it, or unset it."
        ) from None
    try:
        return process.wait()
    except BaseException:
        process.terminate()  # torchrun ends the processes it started
        process.wait()
        raise


def _train_here(place: Path) -> None:
    """What each process does: train on its part, and the first one says what came out."""
    task, first = pickle.loads((place / TASK).read_bytes()), os.environ["RANK"] == "0"
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    if not first:
        os.environ["MEA_QUIET"] = "1"
    try:
        if int(os.environ["WORLD_SIZE"]) != count_processes():
            raise MeaError(
                f"MEA_TORCHRUN started {os.environ['WORLD_SIZE']} processes, but MEA_PROCESSES = {count_processes()}. "
                "Make the two agree."
            )
        trained = run_training(*task)
    except MeaError as error:
        if first:
            (place / MISTAKE).write_text(str(error), encoding="utf-8")
        return
    if first:
        rows = trained.curves.drop(columns="epoch").to_numpy().tolist()
        answer = {"weights": trained.weights, "rows": rows, **trained.curves.attrs}
        torch.save(answer, place / RESULT)


if __name__ == "__main__":
    if "MEA_TASK" not in os.environ:
        sys.exit("processes: only the train stage starts this, where MEA_PROCESSES is set: see docs/cluster.md.")
    with contextlib.suppress(KeyboardInterrupt):  # the stage says so
        _train_here(Path(os.environ["MEA_TASK"]))
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
