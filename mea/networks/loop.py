"""Lightning's loop for one network on one training set, in this process: early stopping, checkpoints, live curves."""

import logging
import math
import warnings
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler, SequentialSampler

from mea.networks.callbacks import History, Progress
from mea.networks.chunks import ChunkDataset, RegressionDataset
from mea.networks.config import TrainingConfig, TrainingRun
from mea.networks.curves import tabulate_curves
from mea.networks.devices import choose_device, list_devices
from mea.networks.sampling import BagShuffle, BatchShare, EpochShuffle
from mea.networks.sparse_chunks import SparseBatch, SparseChunks, build_chunks, collate_sparse, is_built_on
from mea.networks.tasks import Task, average_logits, count_units
from mea.networks.trained import TrainedNetwork
from mea.runtime.errors import MeaError
from mea.runtime.files import fresh_file, hash_file
from mea.runtime.memory import keep_freed_memory

CHECKSUM = ".sha256"
PRECISIONS: dict[str, Any] = {"float32": "32-true", "bfloat16": "bf16-mixed"}  # Lightning's names


class _Module(lightning.LightningModule):
    """A network, its task and its optimizer."""

    def __init__(self, network: nn.Module, task: Task, config: TrainingConfig, recordings: Tensor | None):
        super().__init__()
        self.network, self.task, self.config = network, task, config
        self.recordings = recordings  # number of each validation chunk's recording
        self.validated: list[tuple[Tensor, Tensor]] = []
        self.scores: dict[str, Tensor] = {}  # of an epoch so far: sums over what was counted
        self.counted = 0

    def on_after_batch_transfer(self, batch: Any, _dataloader: int) -> Any:
        chunks, targets = batch
        return (build_chunks(chunks), targets) if isinstance(chunks, SparseBatch) else batch

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        share = _find_share(self.trainer.train_dataloader)
        # Seed and step alone decide what drops out, so that a resumed training drops the same.
        seed = self.config.seed * 1_000_003 + self.global_step + share.rank * 2**48
        if self.device.type == "cpu":
            torch.default_generator.manual_seed(seed)  # torch.manual_seed asks every kind of device, in every step
        else:
            torch.manual_seed(seed)
        chunks, targets = batch
        outputs, targets = self.task.group(self.network(chunks), targets)
        all_targets = share.gather(targets, index)
        loss = self._add_scores(share.gather(outputs, index), all_targets, "train")
        if self.trainer.is_last_batch:
            self._log_scores()
        if share.world == 1:
            return loss
        # The processes' gradients are averaged: weighted like this, that is the gradient of the whole batch's loss.
        own_terms = self.task.count_terms(targets[: share.count_own(index)])
        weight = own_terms * share.world / max(1, self.task.count_terms(all_targets))
        return self.task.loss(outputs, targets, training=True) * weight

    def validation_step(self, batch: list[Tensor], index: int) -> Tensor:
        share = _find_share(self.trainer.val_dataloaders)
        chunks, targets = batch
        outputs = share.gather(self.network(chunks), index)
        targets = share.gather(targets, index)
        if not self.task.bag_size:
            return self._add_scores(outputs, targets, "validation")
        self.validated.append((outputs, targets))
        return outputs.mean()

    def on_validation_epoch_end(self) -> None:
        if self.task.bag_size and self.recordings is not None:
            logits, targets = (torch.cat(parts) for parts in zip(*self.validated))
            self.validated = []
            self._add_scores(*average_logits(logits, targets, self.recordings.to(logits.device)), "validation")
        self._log_scores()

    def configure_optimizers(self):
        config = self.config
        if config.weight_decay:
            optimizer: torch.optim.Optimizer = torch.optim.AdamW(
                self.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
            )
        else:
            optimizer = torch.optim.Adam(self.parameters(), lr=config.learning_rate)
        if config.lr_schedule == "constant":
            return optimizer
        steps = int(self.trainer.estimated_stepping_batches)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: warm_up_and_anneal(step, steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _add_scores(self, outputs: Tensor, targets: Tensor, side: str) -> Tensor:
        loss = self.task.loss(outputs, targets, training=side == "train")
        for name, value in ({"loss": loss.detach()} | self.task.metrics(outputs, targets)).items():
            self.scores[f"{side}_{name}"] = self.scores.get(f"{side}_{name}", 0) + value * len(targets)
        self.counted += len(targets)
        return loss

    def _log_scores(self) -> None:
        """Their means over the epoch; logging each step took a tenth of a small network's training."""
        self.log_dict({name: total / self.counted for name, total in self.scores.items()}, on_step=False, on_epoch=True)
        self.scores, self.counted = {}, 0


def _find_share(loader: Any) -> BatchShare:
    return loader.batch_sampler


def warm_up_and_anneal(step: int, steps: int) -> float:
    """Fraction of the learning rate at a step: up over the first tenth of the training, then down along a cosine."""
    return min(1.0, (step + 1) / (0.1 * steps)) * (1 + math.cos(math.pi * min(1.0, step / steps))) / 2


class _Patience(EarlyStopping):
    """Early stopping that stays stopped: a training killed after its last epoch gets no further one."""

    def on_train_start(self, trainer, _module) -> None:
        trainer.should_stop = trainer.should_stop or self.wait_count >= self.patience


def run_training(
    network: nn.Module,
    task: Task,
    training: ChunkDataset | RegressionDataset,
    validation: ChunkDataset | None,
    config: TrainingConfig,
    run: TrainingRun,
) -> TrainedNetwork:
    """Train in this process, which may be one of several; the arguments are those of :func:`~.training.train_network`.

    Raises
    ------
    MeaError
        If the training diverged before its first epoch ended.
    """
    _silence_lightning()
    keep_freed_memory()
    # All new memory is written to anyway; writing it twice took 6 % of a long step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    history = History(run.live_folder)
    callbacks: list[Callback] = [history, Progress(run.title, run.position, config.epochs)]
    if validation:
        callbacks.append(_Patience("validation_loss", patience=config.patience, min_delta=config.min_gain))
    if run.checkpoint_folder:
        callbacks.append(_keep_checkpoint(run.checkpoint_folder))
    trainer = lightning.Trainer(
        accelerator=choose_device(),
        precision=PRECISIONS[config.precision],
        **list_devices(choose_device()),
        use_distributed_sampler=False,
        max_epochs=config.epochs,
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=run.checkpoint_folder is not None,
        plugins=[CheckedIO()],
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        deterministic="warn",  # all there is on a processor; on a graphics card the 3D pooling is not
    )
    try:
        trainer.fit(
            _Module(network, task, config, torch.from_numpy(validation.recordings) if validation else None),
            _load_training(training, task, config),
            _load_share(validation, SequentialSampler(validation), config.batch_size) if validation else None,
            ckpt_path=_find_checkpoint(run.checkpoint_folder) if run.checkpoint_folder else None,
            weights_only=True,  # a checkpoint can hold numbers, never code
        )
    except SystemExit:  # Lightning ends the process at Ctrl-C; whoever called says how to go on
        raise KeyboardInterrupt from None
    if not history.best:
        raise MeaError(f"{run.title}: no epoch gave a finite validation loss. Lower the model's learning_rate.")
    return TrainedNetwork(history.best, tabulate_curves(history.rows, history.processes))


def _load_training(training: ChunkDataset | RegressionDataset, task: Task, config: TrainingConfig) -> DataLoader:
    units = count_units(task, config.batch_size)
    if isinstance(training, RegressionDataset) or not task.bag_size:
        return _load_share(training, EpochShuffle(len(training), config.seed), units)
    bags = BagShuffle(training, task.bag_size, task.bags_per_recording, config.seed)
    return _load_share(training, bags, units, task.bag_size)


def _load_share(dataset: Dataset, sampler: Sampler, batch_size: int, unit: int = 1) -> DataLoader:
    share = BatchShare(sampler, batch_size, unit)
    if is_built_on(dataset, choose_device()):
        return DataLoader(SparseChunks(dataset), batch_sampler=share, collate_fn=collate_sparse)
    return DataLoader(dataset, batch_sampler=share)


def _keep_checkpoint(folder: Path) -> ModelCheckpoint:
    return ModelCheckpoint(folder, "last", save_top_k=1, enable_version_counter=False, save_on_train_epoch_end=True)


class CheckedIO(TorchCheckpointIO):
    """Writes the SHA-256 of a checkpoint beside it: PyTorch reads a changed number without a word."""

    def save_checkpoint(self, checkpoint: Any, path: Any, storage_options: Any = None) -> None:
        """Write the checkpoint, then its checksum."""
        super().save_checkpoint(checkpoint, path, storage_options)
        checksum = Path(f"{path}{CHECKSUM}")
        with fresh_file(checksum) as work:
            work.write_text(hash_file(Path(path)), encoding="ascii")


def _find_checkpoint(folder: Path) -> Path | None:
    """The last checkpoint; None where there is none, or it is not as it was written: training begins anew."""
    path = folder / "last.ckpt"
    checksum = Path(f"{path}{CHECKSUM}")
    if not path.is_file() or not checksum.is_file():
        return None
    return path if checksum.read_bytes() == hash_file(path).encode() else None


def _silence_lightning() -> None:
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
