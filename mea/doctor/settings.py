"""The parameters that decide what the pipeline would make of a lab's files: those the doctor asks about."""

from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, Field

from mea.recordings.labels import GroupPattern, LabelPatterns
from mea.runtime.params import StageParams, load_params, read_section


class Section(StageParams):
    """Some parameters of a stage, under its rules; the others are for the stage itself to check."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Unzip(Section):
    """Where the recordings are."""

    source: str = Field(min_length=1, description="folder or file of recordings")


class H5(Section):
    """How files are read, and who a recording is."""

    labels: LabelPatterns = Field(description="for each label, the texts that name it in a file name")
    culture: GroupPattern = Field(description="regular expression that finds the culture in a file name, or empty")
    batch: GroupPattern = Field(description="regular expression that finds the batch in a file name, or empty")
    stream: Literal["raw", "filtered"] = Field(description="which electrode stream to take")


class Array(Section):
    """Which recordings are used."""

    sampling_rate_hz: int = Field(ge=100, le=1_000_000, description="samples per second that all recordings share")
    other_sampling_rate: Literal["set_aside", "resample"] = Field(
        description="what becomes of a recording at another rate"
    )
    threshold: float = Field(gt=0, description="least height of a spike, in robust standard deviations of the noise")


class Split(Section):
    """What is held out together."""

    by: Literal["auto", "batch", "culture", "recording", "chunk"] = Field(description="what is held out as a whole")
    folds: int = Field(ge=2, description="number of parts, each held out in turn")
    score: Literal["all"] | list[int] = Field(description="numbers of the folds to score, or all")
    chunk_s: float = Field(gt=0, description="length of a chunk in seconds")
    first_s: float | None = Field(gt=0, description="use only this many seconds of each recording; null: all")
    seed: int = Field(ge=0, description="decides which groups share a fold")


class CnnLstm(Section):
    """How the epoch of cnn_lstm is chosen."""

    validation: Literal["nested", "test_fold"] = Field(description="which chunks choose the epoch")


class Train(Section):
    """Which model, and whether it needs inner folds."""

    model: str = Field(description="what learns")
    cnn_lstm: CnnLstm = Field(description="parameters of cnn_lstm")

    @property
    def needs_inner_folds(self) -> bool:
        """Whether anything is chosen inside the training set; not if the test fold chooses, as the predecessor did."""
        return not (self.model == "cnn_lstm" and self.cnn_lstm.validation == "test_fold")


class Evaluate(Section):
    """How the permutation test is made."""

    permutations: int = Field(ge=19, description="of the labels between groups")
    seed: int = Field(ge=0, description="of the permutations")


class Settings(StageParams):
    """One section a stage."""

    unzip: Unzip
    h5: H5
    array: Array
    split: Split
    train: Train
    evaluate: Evaluate


def read_settings(path: Path, overrides: list[str]) -> Settings:
    """Read them from the parameter file, overridden as a stage's are.

    Raises
    ------
    MeaError
        If it is missing, or a value is not allowed.
    """
    values = load_params(path, overrides)
    sections: dict[str, type[Section]] = {
        "unzip": Unzip, "h5": H5, "array": Array, "split": Split, "train": Train, "evaluate": Evaluate
    }  # fmt: skip
    checked = {
        name: read_section(model, name, values.get(name, {}), str(path), overrides) for name, model in sections.items()
    }
    return Settings.model_validate(checked)
