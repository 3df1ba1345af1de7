"""Parameters of the models: the sections of ``params.yaml`` below ``train``. Nothing here imports PyTorch."""

from typing import Annotated, Literal

from pydantic import Field

from mea.runtime.params import StageParams

BinMs = Annotated[float, Field(gt=0, description="length of a bin in ms")]
Patience = Annotated[int, Field(ge=1, description="early stopping after so many epochs without gain")]
MinGain = Annotated[float, Field(ge=0, description="smallest fall of the validation loss that is a gain")]
Precision = Annotated[
    Literal["float32", "bfloat16"],
    Field(
        description="in which layers compute; bfloat16: several times faster on recent graphics cards, about 3 digits"
    ),
]


class ModelParams(StageParams):
    """Parameters of one model, its section ``train.<model>`` in ``params.yaml``; this base has none."""

    @property
    def leak(self) -> str:
        """Why scores of a model with these parameters are not honest; empty where they are."""
        return ""


class TcnParams(ModelParams):
    """What the temporal convolutional network sees, and how it learns."""

    bin_ms: BinMs
    epochs: int = Field(ge=1, description="at most so many epochs")
    patience: Patience
    min_gain: MinGain
    learning_rate: float = Field(gt=0, description="of AdamW, at its highest")
    batch_size: int = Field(ge=1, description="chunks in a training step, in bags of 4 of one recording")
    precision: Precision


class CnnLstmParams(ModelParams):
    """What the CNN-LSTM sees, and how it learns."""

    sequence: Literal["reshape", "transpose"] = Field(description="what one LSTM step holds; reshape: predecessor")
    silence: Literal["skipped", "computed"] = Field(
        description="convolutions where nothing fires; skipped: faster, the same up to rounding; computed: to the bit"
    )
    input: Literal["full", "binned", "channels"] = Field(
        description="full: every sample; binned: over 100 times cheaper; channels: 11 of each electrode, in bins"
    )
    examples: Literal["chunks", "bags"] = Field(
        description="chunks: each is one; bags: 4 of a recording are one, electrodes are silenced, grids are mirrored"
    )
    bin_ms: BinMs
    bin: Literal["peak", "count"] = Field(description="what a bin holds: largest sample in µV, or number of spikes")
    scale: float = Field(gt=0, description="values are divided by this; 1: plain µV or counts, as the predecessor")
    class_weight: Literal["balanced"] | None = Field(
        description="balanced: all classes count equally in the loss; null: all chunks, as in the predecessor"
    )
    validation: Literal["nested", "test_fold"] = Field(
        description="which chunks choose the epoch: an inner fold; or the test fold, as the predecessor did (a leak)"
    )
    epochs: int = Field(ge=1, description="at most so many epochs")
    patience: Patience
    min_gain: MinGain
    learning_rate: float = Field(gt=0, description="of Adam")
    batch_size: int = Field(ge=1, description="chunks in a training step")
    precision: Precision

    @property
    def leak(self) -> str:
        """The epoch was chosen on the test fold."""
        return "leaky: the epoch was chosen on the fold it is scored on" if self.validation == "test_fold" else ""


class GridLstmParams(ModelParams):
    """What the network that regresses features sees, and how it learns."""

    bin_ms: BinMs
    epochs: int = Field(ge=1, description="epochs, all of which are trained")
    learning_rate: float = Field(gt=0, description="of AdamW, at its highest")
    batch_size: int = Field(ge=1, description="chunks in a training step")
    precision: Precision
