"""Train one network on one training set: Lightning's loop with early stopping, checkpoints and live curves."""

import logging
import math
import os
import pickle
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import lightning
import pandas as pd
import torch
from dvclive import Live
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

from mea.chunks import BagShuffle, ChunkDataset, DescribedChunks, EpochShuffle
from mea.errors import MeaError
from mea.parallel import show_progress
from mea.recipes import PLAIN, Recipe

CURVES = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy")


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
    """

    epochs: int
    patience: int
    min_gain: float
    learning_rate: float
    batch_size: int
    seed: int


class _Loop(lightning.LightningModule):
    """Cross entropy and accuracy of a network, optimised as its recipe says."""

    def __init__(self, network: nn.Module, schedule: Schedule, recipe: Recipe, judged: Tensor | None):
        super().__init__()
        self.network, self.schedule, self.recipe = network, schedule, recipe
        self.judged = judged  # number of each validation chunk's recording
        self.seen: list[tuple[Tensor, Tensor]] = []

    def training_step(self, batch: list[Tensor], _index: int) -> Tensor:
        # What drops out is decided by seed and step alone, so that a resumed training drops the same.
        torch.manual_seed(self.schedule.seed * 1_000_003 + self.global_step)
        chunks, targets = batch
        if self.recipe.describes:
            loss = measure_misses(self.network(chunks), targets)
            self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(targets))
            return loss
        logits, bag = self.network(chunks), self.recipe.bag
        if bag:
            logits, targets = logits.unflatten(0, (-1, bag)).mean(1), targets[::bag]
        return self._score(logits, targets, "train", self.recipe.smoothing)

    def validation_step(self, batch: list[Tensor], _index: int) -> Tensor:
        chunks, targets = batch
        logits = self.network(chunks)
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

    def _score(self, logits: Tensor, targets: Tensor, side: str, smoothing: float = 0.0) -> Tensor:
        loss = cross_entropy(logits, targets, label_smoothing=smoothing)
        accuracy = (logits.argmax(1) == targets).float().mean()
        for name, value in (("loss", loss), ("accuracy", accuracy)):
            self.log(f"{side}_{name}", value, on_step=False, on_epoch=True, batch_size=len(targets))
        return loss


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


class _History(Callback):
    """The curves so far and the best weights; both travel in the checkpoint, so that a resumed training has them."""

    def __init__(self, live_folder: Path | None):
        self.rows: list[list[float]] = []
        self.best: dict[str, Tensor] = {}
        self.live_folder = live_folder

    def on_train_epoch_end(self, trainer, module) -> None:
        row = [float(trainer.callback_metrics.get(name, math.nan)) for name in CURVES]
        last_counts = "validation_loss" not in trainer.callback_metrics and math.isfinite(row[0])
        if last_counts or row[2] < min((earlier[2] for earlier in self.rows), default=math.inf):
            self.best = {name: value.detach().cpu().clone() for name, value in module.network.state_dict().items()}
        self.rows.append(row)
        if self.live_folder:
            write_live(self.rows, self.live_folder)

    def state_dict(self) -> dict:
        return {"rows": self.rows, "best": self.best}

    def load_state_dict(self, state: dict) -> None:
        self.rows, self.best = state["rows"], state["best"]


class _Progress(Callback):
    """One bar for all epochs of a fold: time left, and where the curves stand."""

    def __init__(self, title: str, position: int, epochs: int):
        self.title, self.position, self.epochs = title, position, epochs

    def on_train_start(self, trainer, _module) -> None:
        self.bar = show_progress(
            total=trainer.num_training_batches * self.epochs,
            initial=trainer.num_training_batches * trainer.current_epoch,
            desc=self.title,
            position=self.position if sys.stderr.isatty() else 0,
            unit="batch",
        )

    def on_train_batch_end(self, *_args) -> None:
        self.bar.update()

    def on_train_epoch_end(self, trainer, _module) -> None:
        side = "validation" if "validation_loss" in trainer.callback_metrics else "train"
        loss, accuracy = (trainer.callback_metrics.get(f"{side}_{name}") for name in ("loss", "accuracy"))
        said = f"epoch {trainer.current_epoch + 1}, {side} loss {float(loss):.3f}"
        self.bar.set_postfix_str(said if accuracy is None else f"{said}, {float(accuracy):.0%}")

    def on_train_end(self, _trainer, _module) -> None:
        self.bar.close()


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

    A training that was killed goes on from its last whole epoch, and ends with the same bits.

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
        One row an epoch: epoch (from 1), train_loss, train_accuracy, validation_loss, validation_accuracy.

    Raises
    ------
    MeaError
        If the training diverged before its first epoch ended.
    """
    _silence_lightning()
    keep_freed_memory()
    history = _History(live_folder)
    callbacks: list[Callback] = [history, _Progress(title, position, schedule.epochs)]
    if validation:
        callbacks.append(_Patience("validation_loss", patience=schedule.patience, min_delta=schedule.min_gain))
    if checkpoint_folder:
        callbacks.append(_keep_checkpoint(checkpoint_folder))
    trainer = lightning.Trainer(
        accelerator=choose_device(),
        devices=1,
        max_epochs=schedule.epochs,
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=checkpoint_folder is not None,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        deterministic="warn",  # all there is on a processor; on a graphics card the 3D pooling is not
    )
    trainer.fit(
        _Loop(network, schedule, recipe, torch.from_numpy(validation.recordings) if validation else None),
        _load_training(training, schedule, recipe),
        DataLoader(validation, schedule.batch_size) if validation else None,
        ckpt_path=_find_checkpoint(checkpoint_folder) if checkpoint_folder else None,
        weights_only=True,  # a checkpoint can hold numbers, never code
    )
    if trainer.interrupted:
        raise KeyboardInterrupt
    if not history.best:
        raise MeaError(f"{title}: no epoch gave a finite validation loss. Lower train.learning_rate.")
    return history.best, tabulate_curves(history.rows)


def _load_training(training: ChunkDataset | DescribedChunks, schedule: Schedule, recipe: Recipe) -> DataLoader:
    if isinstance(training, DescribedChunks) or not recipe.bag:
        return DataLoader(training, schedule.batch_size, sampler=EpochShuffle(len(training), schedule.seed))
    whole_bags = max(1, schedule.batch_size // recipe.bag) * recipe.bag
    bags = BagShuffle(training, recipe.bag, recipe.bags, schedule.seed)
    return DataLoader(training, whole_bags, sampler=bags)


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


def tabulate_curves(rows: Sequence[Sequence[float]]) -> pd.DataFrame:
    """One row an epoch, the epoch counted from 1."""
    table = pd.DataFrame(rows, columns=list(CURVES))
    table.insert(0, "epoch", range(1, len(table) + 1))
    return table


def write_live(rows: Sequence[Sequence[float]], folder: Path) -> None:
    """Write the curves so far as DVCLive does; ``dvc plots`` and the VS Code extension show them while they grow."""
    with Live(str(folder), save_dvc_exp=False, dvcyaml=None, report=None) as live:
        for row in rows:
            for name, value in zip(CURVES, row):
                if not math.isnan(value):  # there was no validation
                    live.log_metric(name, round(value, 6))
            live.next_step()


def keep_freed_memory() -> None:
    """Tell glibc to reuse large freed blocks instead of giving them back: page faults were half of a training step."""
    import ctypes

    trim_threshold, mmap_max = -1, -4  # from malloc.h
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            libc.mallopt(mmap_max, 0)
            libc.mallopt(trim_threshold, 2**31 - 1)


def _silence_lightning() -> None:
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
