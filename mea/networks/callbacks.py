"""What follows a network while it trains: learning curves, the best weights, a progress bar, live plots."""

import math
import sqlite3
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from dvclive import Live
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from mea.networks.curves import CURVES
from mea.runtime.errors import MeaError
from mea.runtime.parallel import show_progress

LIVE_EVERY_S = 3.0  # DVCLive takes 0.1 s
SIGNAL_FILE = "DVCLIVE_STEP_COMPLETED"  # of DVCLive, for the VS Code extension


class History(Callback):
    """The curves so far and the best weights; both travel in the checkpoint, so that a resumed training has them."""

    def __init__(self, live_folder: Path | None):
        self.rows: list[list[float]] = []
        self.processes: list[int] = []  # that trained each epoch
        self.best: dict[str, Tensor] = {}
        self.live_folder, self.next_live = live_folder, 0.0

    def on_train_epoch_end(self, trainer, module) -> None:
        row = [float(trainer.callback_metrics.get(name, math.nan)) for name in CURVES]
        last_counts = "validation_loss" not in trainer.callback_metrics and math.isfinite(row[0])
        if last_counts or row[2] < min((earlier[2] for earlier in self.rows), default=math.inf):
            self.best = {name: value.detach().cpu().clone() for name, value in module.network.state_dict().items()}
        self.rows.append(row)
        self.processes.append(trainer.world_size)
        if time.monotonic() > self.next_live:
            self._write_live(trainer)
            self.next_live = time.monotonic() + LIVE_EVERY_S

    def on_train_end(self, trainer, _module) -> None:
        self._write_live(trainer)

    def _write_live(self, trainer) -> None:
        if self.live_folder and trainer.is_global_zero:
            write_live(self.rows, self.live_folder)

    def state_dict(self) -> dict:
        return {"rows": self.rows, "best": self.best, "processes": self.processes}

    def load_state_dict(self, state: dict) -> None:
        self.rows, self.best, self.processes = state["rows"], state["best"], state["processes"]


class Progress(Callback):
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


def write_live(rows: Sequence[Sequence[float]], folder: Path) -> None:
    """Write the curves so far as DVCLive does; ``dvc plots`` and the VS Code extension show them while they grow."""
    try:
        with Live(str(folder), save_dvc_exp=False, dvcyaml=None, report=None) as live:
            for row in rows:
                for name, value in zip(CURVES, row):
                    if not math.isnan(value):  # there was no validation
                        live.log_metric(name, round(value, 6))
                live.next_step()
    except FileNotFoundError as error:  # folds share this file, and another has just removed it
        if Path(error.filename or "").name != SIGNAL_FILE:
            raise
    except sqlite3.OperationalError as error:
        raise MeaError(
            f"{folder}: DVC cannot write its own files ({error}). Make room on the disk of the project, then give the "
            "same command again: the training goes on from its last epoch."
        ) from None
