"""Train one network on one training set: Lightning's loop with early stopping, checkpoints and live curves."""

import logging
import math
import os
import pickle
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import pandas as pd
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset, Sampler, SequentialSampler

from mea.networks.chunks import BagShuffle, ChunkDataset, DescribedChunks, EpochShuffle
from mea.networks.curves import History, Progress, tabulate_curves
from mea.networks.processes import BatchShare, check_processes, is_started_by_torchrun, list_devices, train_in_processes
from mea.networks.recipes import PLAIN, Recipe
from mea.networks.sparse_chunks import SparseBatch, SparseChunks, build_chunks, collate_sparse, is_built_on
from mea.runtime.errors import MeaError
from mea.runtime.memory import keep_freed_memory
from mea.runtime.parallel import count_processes

PRECISIONS: dict[str, Any] = {"float32": "32-true", "bfloat16": "bf16-mixed"}  # Lightning's names


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train.

    Attributes
    ----------
    epochs
        At most so many.
    patience, min_gain
        Stop after ``patience`` epochs in which the validation loss fell by less than ``min_gain``.
    learning_rate, batch_size
        Of Adam; in chunks.
    seed
        Decides the initial weights and the order of the chunks.
    precision
        ``float32``; or ``bfloat16``, in which layers compute from float32 weights.
    """

    epochs: int
    patience: int
    min_gain: float
    learning_rate: float
    batch_size: int
    seed: int
    precision: str = "float32"


class _Loop(lightning.LightningModule):
    """Cross entropy and accuracy of a network, optimised as its recipe says."""

    def __init__(self, network: nn.Module, schedule: Schedule, recipe: Recipe, judged: Tensor | None):
        super().__init__()
        self.network, self.schedule, self.recipe = network, schedule, recipe
        self.judged = judged  # number of each validation chunk's recording
        self.seen: list[tuple[Tensor, Tensor]] = []

    def on_after_batch_transfer(self, batch: Any, _dataloader: int) -> Any:
        chunks, targets = batch
        return (build_chunks(chunks), targets) if isinstance(chunks, SparseBatch) else batch

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        share = _find_share(self.trainer.train_dataloader)
        # What drops out is decided by seed and step alone, so that a resumed training drops the same.
        torch.manual_seed(self.schedule.seed * 1_000_003 + self.global_step + share.rank * 2**48)
        chunks, targets = batch
        outputs, bag = self.network(chunks), self.recipe.bag
        if bag:
            outputs, targets = outputs.unflatten(0, (-1, bag)).mean(1), targets[::bag]
        whole = share.gather(targets, index)
        loss = self._score(share.gather(outputs, index), whole, "train", self.recipe.smoothing)
        if share.world == 1:
            return loss
        # The processes' gradients are averaged: weighted like this, that is the gradient of the whole batch's loss.
        own = self._count_terms(targets[: share.count_own(index)]) * share.world / max(1, self._count_terms(whole))
        return self._measure(outputs, targets, self.recipe.smoothing) * own

    def validation_step(self, batch: list[Tensor], index: int) -> Tensor:
        share = _find_share(self.trainer.val_dataloaders)
        chunks, targets = batch
        logits = share.gather(self.network(chunks), index)
        targets = share.gather(targets, index)
        if not self.recipe.bag:
            return self._score(logits, targets, "validation")
        self.seen.append((logits, targets))
        return logits.mean()

    def on_validation_epoch_end(self) -> None:
        if self.recipe.bag and self.judged is not None:
            logits, targets = (torch.cat(parts) for parts in zip(*self.seen))
            self.seen = []
            self._score(*average_logits(logits, targets, self.judged.to(logits.device)), "validation")

    def configure_optimizers(self):
        rate = self.schedule.learning_rate
        if not self.recipe.cosine:
            return torch.optim.Adam(self.parameters(), lr=rate)
        optimizer = torch.optim.AdamW(self.parameters(), lr=rate, weight_decay=self.recipe.weight_decay)
        steps = int(self.trainer.estimated_stepping_batches)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: find_rate(step, steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _score(self, outputs: Tensor, targets: Tensor, side: str, smoothing: float = 0.0) -> Tensor:
        figures = {"loss": self._measure(outputs, targets, smoothing)}
        if not self.recipe.describes:
            figures["accuracy"] = (outputs.argmax(1) == targets).float().mean()
        for name, value in figures.items():
            self.log(f"{side}_{name}", value, on_step=False, on_epoch=True, batch_size=len(targets))
        return figures["loss"]

    def _measure(self, outputs: Tensor, targets: Tensor, smoothing: float) -> Tensor:
        if self.recipe.describes:
            return measure_misses(outputs, targets)
        return cross_entropy(outputs, targets, label_smoothing=smoothing)

    def _count_terms(self, targets: Tensor) -> int:
        """Of how many terms the loss is the mean."""
        return int((~targets.isnan()).sum()) if self.recipe.describes else len(targets)


def _find_share(loader: Any) -> BatchShare:
    return loader.batch_sampler


def measure_misses(said: Tensor, targets: Tensor) -> Tensor:
    """Mean square by which what is said of chunks, (B, n_features), misses the features that are defined."""
    defined = ~targets.isnan()
    return (said - targets)[defined].square().sum() / defined.sum().clamp(min=1)


def average_logits(logits: Tensor, targets: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
    """Mean logits of each recording over its chunks, and its target; chunks of recording ``k`` have number ``k``."""
    count = int(numbers.max()) + 1
    sums = logits.new_zeros(count, logits.shape[1]).index_add(0, numbers, logits)
    sizes = torch.bincount(numbers, minlength=count)
    return sums / sizes[:, None], targets.new_zeros(count).index_copy(0, numbers, targets)


def find_rate(step: int, steps: int) -> float:
    """Share of the learning rate at a step: up over the first tenth of the training, then down along a cosine."""
    return min(1.0, (step + 1) / (0.1 * steps)) * (1 + math.cos(math.pi * min(1.0, step / steps))) / 2


class _Patience(EarlyStopping):
    """Early stopping that stays stopped: a training killed after its last epoch gets no further one."""

    def on_train_start(self, trainer, _module) -> None:
        trainer.should_stop = trainer.should_stop or self.wait_count >= self.patience


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


def train_network(
    network: nn.Module,
    training: ChunkDataset | DescribedChunks,
    validation: ChunkDataset | None,
    schedule: Schedule,
    checkpoint_folder: Path | None = None,
    live_folder: Path | None = None,
    title: str = "training",
    position: int = 0,
    recipe: Recipe = PLAIN,
) -> tuple[dict[str, Tensor], pd.DataFrame]:
    """Train, and give the weights of the epoch with the lowest validation loss.

    A training that was killed goes on from its last whole epoch, and ends with the same bits. With ``MEA_PROCESSES``
    several processes share every batch; the result is the same up to rounding, save that networks which normalise by
    the batch do so by each process's part of it on a CPU, and drop out others.

    Parameters
    ----------
    network
        Takes (B, ...) chunks as the datasets show them, gives (B, n_labels) logits.
    training, validation
        The chunks to learn from, and those that choose the epoch; without these, it is the last.
    schedule
        Length and speed.
    checkpoint_folder
        Where the checkpoint after every epoch lives; None for no checkpoints.
    live_folder
        Where DVCLive writes the curves while training runs; None for nowhere.
    title, position
        Of the progress bar.
    recipe
        How the network learns, beyond the schedule.

    Returns
    -------
    weights
        State of the network at its best epoch.
    curves
        One row an epoch: epoch (from 1), train_loss, train_accuracy, validation_loss, validation_accuracy. How many
        processes trained each epoch stands in ``curves.attrs["processes"]``.

    Raises
    ------
    MeaError
        If the training diverged before its first epoch ended, or several processes cannot share it.
    """
    units = max(1, schedule.batch_size // (recipe.bag or 1))
    check_processes(choose_device(), units)
    if count_processes() > 1 and not is_started_by_torchrun():
        sides = {"network": network, "training": training, "validation": validation}
        folders = {"checkpoint_folder": checkpoint_folder, "live_folder": live_folder}
        rest = {"schedule": schedule, "title": title, "position": position, "recipe": recipe}
        answer = train_in_processes(train_network, {**sides, **folders, **rest}, checkpoint_folder)
        return answer["weights"], tabulate_curves(answer["rows"], answer["processes"])
    _silence_lightning()
    keep_freed_memory()
    # All new memory is written to anyway; writing it twice took 6 % of a long step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    history = History(live_folder)
    callbacks: list[Callback] = [history, Progress(title, position, schedule.epochs)]
    if validation:
        callbacks.append(_Patience("validation_loss", patience=schedule.patience, min_delta=schedule.min_gain))
    if checkpoint_folder:
        callbacks.append(_keep_checkpoint(checkpoint_folder))
    trainer = lightning.Trainer(
        accelerator=choose_device(),
        precision=PRECISIONS[schedule.precision],
        **list_devices(choose_device()),
        use_distributed_sampler=False,
        max_epochs=schedule.epochs,
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=checkpoint_folder is not None,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        deterministic="warn",  # all there is on a processor; on a graphics card the 3D pooling is not
    )
    try:
        trainer.fit(
            _Loop(network, schedule, recipe, torch.from_numpy(validation.recordings) if validation else None),
            _load_training(training, units, schedule, recipe),
            _load_share(validation, SequentialSampler(validation), schedule.batch_size) if validation else None,
            ckpt_path=_find_checkpoint(checkpoint_folder) if checkpoint_folder else None,
            weights_only=True,  # a checkpoint can hold numbers, never code
        )
    except SystemExit:  # Lightning ends the process at Ctrl-C; whoever called says how to go on
        raise KeyboardInterrupt from None
    if not history.best:
        raise MeaError(f"{title}: no epoch gave a finite validation loss. Lower train.learning_rate.")
    return history.best, tabulate_curves(history.rows, history.processes)


def _load_training(
    training: ChunkDataset | DescribedChunks, units: int, schedule: Schedule, recipe: Recipe
) -> DataLoader:
    if isinstance(training, DescribedChunks) or not recipe.bag:
        return _load_share(training, EpochShuffle(len(training), schedule.seed), units)
    bags = BagShuffle(training, recipe.bag, recipe.bags, schedule.seed)
    return _load_share(training, bags, units, recipe.bag)


def _load_share(dataset: Dataset, sampler: Sampler, batch_size: int, unit: int = 1) -> DataLoader:
    share = BatchShare(sampler, batch_size, unit)
    if is_built_on(dataset, choose_device()):
        return DataLoader(SparseChunks(dataset), batch_sampler=share, collate_fn=collate_sparse)
    return DataLoader(dataset, batch_sampler=share)


def _keep_checkpoint(folder: Path) -> ModelCheckpoint:
    return ModelCheckpoint(folder, "last", save_top_k=1, enable_version_counter=False, save_on_train_epoch_end=True)


def _find_checkpoint(folder: Path) -> Path | None:
    """The last checkpoint; none to go on from when there is none, or it was cut off while it was written."""
    path = folder / "last.ckpt"
    try:
        torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError):
        return None
    return path


def _silence_lightning() -> None:
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
