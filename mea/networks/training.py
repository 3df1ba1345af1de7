"""Train one network on one training set, in this process or in several."""

from torch import nn

from mea.networks.chunks import ChunkDataset, RegressionDataset
from mea.networks.config import TrainingConfig, TrainingRun
from mea.networks.devices import check_processes, choose_device, is_started_by_torchrun
from mea.networks.tasks import Task, count_units
from mea.networks.trained import TrainedNetwork
from mea.runtime.parallel import count_processes


def train_network(
    network: nn.Module,
    task: Task,
    training: ChunkDataset | RegressionDataset,
    validation: ChunkDataset | None,
    config: TrainingConfig,
    run: TrainingRun | None = None,
) -> TrainedNetwork:
    """Train, and give the weights of the epoch with the lowest validation loss.

    A training that was killed continues from its last whole epoch, and ends with the same bits. With ``MEA_PROCESSES``
    several processes share every batch. The result is the same up to rounding, except that on a CPU batch
    normalisation uses each process's part of the batch, and other units drop out.

    Parameters
    ----------
    network
        Takes (B, ...) chunks as the datasets show them, gives the outputs of the task: (B, n_labels) logits, or
        (B, n_features).
    task
        Loss and grouping of the outputs: :mod:`mea.networks.tasks`.
    training, validation
        The chunks to learn from, and those that choose the epoch; without these, it is the last.
    config
        Epochs, learning rate, optimizer.
    run
        Folders and progress bar.

    Raises
    ------
    MeaError
        If the training diverged before its first epoch ended, or several processes cannot share it.
    """
    # Lightning takes seconds to import: only where a network is trained.
    from mea.networks.loop import run_training
    from mea.networks.processes import train_in_processes

    run = run or TrainingRun()
    check_processes(choose_device(), count_units(task, config.batch_size))
    if count_processes() > 1 and not is_started_by_torchrun():
        return train_in_processes(network, task, training, validation, config, run)
    return run_training(network, task, training, validation, config, run)
