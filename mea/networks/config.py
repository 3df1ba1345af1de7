"""How long, how fast and with which optimizer a network is trained."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel


@dataclass(frozen=True)
class TrainingConfig:
    """Hyperparameters of one training, under PyTorch's names.

    The defaults after ``seed`` are the predecessor's training: Adam at a constant learning rate.

    Attributes
    ----------
    epochs
        At most so many.
    learning_rate, batch_size
        Of the optimizer; in chunks.
    seed
        Decides the initial weights and the order of the chunks.
    patience, min_gain
        Early stopping: stop after ``patience`` epochs in which the validation loss fell by less than ``min_gain``.
    precision
        ``float32``; or ``bfloat16``, in which layers compute from float32 weights.
    weight_decay
        Above 0 the optimizer is AdamW, else Adam.
    lr_schedule
        ``constant``; or ``cosine``: the learning rate rises over the first tenth of the training, then falls to 0 along
        a cosine.
    """

    epochs: int
    learning_rate: float
    batch_size: int
    seed: int
    patience: int = 1
    min_gain: float = 0.0
    precision: str = "float32"
    weight_decay: float = 0.0
    lr_schedule: Literal["constant", "cosine"] = "constant"

    @classmethod
    def from_params(cls, params: BaseModel, seed: int, **fixed: Any) -> "TrainingConfig":
        """From the parameters of a model that have the names above, and what the model fixes itself."""
        names = {field.name for field in fields(cls)}
        given = {name: value for name, value in params.model_dump().items() if name in names}
        return cls(**given, seed=seed, **fixed)


@dataclass(frozen=True)
class TrainingRun:
    """Where a training keeps its files, and what its progress bar says.

    Attributes
    ----------
    title, position
        Of the progress bar.
    checkpoint_folder
        Where the checkpoint after every epoch lives; None for no checkpoints.
    live_folder
        Where DVCLive writes the curves while training runs; None for nowhere.
    """

    title: str = "training"
    position: int = 0
    checkpoint_folder: Path | None = None
    live_folder: Path | None = None
