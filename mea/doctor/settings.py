"""The parameters that the doctor asks about, from params.yaml or, where there is none, with their defaults.

Each section holds only what the doctor reads, under the rules of the stage (a test compares them). What it does not
name is ignored, so a new parameter of a stage needs no line here.
"""

from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field, field_validator

from mea.recordings.labels import GroupPattern, LabelPatterns, Part
from mea.runtime.params import StageParams, apply_overrides, load_params, read_section
from mea.splitting.folds import check_folds

DEFAULTS: dict[str, dict[str, Any]] = {
    "unzip": {"source": "."},
    "h5": {"labels": {}, "part": "auto", "culture": "", "batch": "", "stream": "raw", "reader": "own"},
    "array": {"sampling_rate_hz": 25_000, "other_sampling_rate": "set_aside", "threshold": 5.0},
    "split": {"by": "auto", "folds": "auto", "score": "all", "chunk_s": 1.2, "first_s": None, "seed": 0},
    "evaluate": {"permutations": 1000, "seed": 0},
}


class Section(StageParams):
    """Some parameters of a stage."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Unzip(Section):
    """Where the recordings are."""

    source: str = Field(min_length=1)


class H5(Section):
    """How files are read, and who a recording is."""

    labels: LabelPatterns
    part: Part
    culture: GroupPattern
    batch: GroupPattern
    stream: Literal["raw", "filtered", "spikes"]
    reader: Literal["own", "neo"]


class Array(Section):
    """Which recordings are used."""

    sampling_rate_hz: int = Field(ge=100, le=1_000_000)
    other_sampling_rate: Literal["set_aside", "resample"]
    threshold: float = Field(gt=0)


class Split(Section):
    """What is held out together."""

    by: Literal["auto", "batch", "culture", "recording", "chunk"]
    folds: int | str
    score: Literal["all"] | list[int]
    chunk_s: float = Field(gt=0)
    first_s: float | None = Field(gt=0)
    seed: int = Field(ge=0, lt=2**32)

    @field_validator("folds", mode="before")
    @classmethod
    def _check_folds(cls, folds: Any) -> int | str:
        return check_folds(folds)


class Evaluate(Section):
    """How the permutation test is made."""

    permutations: int = Field(ge=19)
    seed: int = Field(ge=0, lt=2**32)


class Settings(StageParams):
    """One section a stage."""

    unzip: Unzip
    h5: H5
    array: Array
    split: Split
    evaluate: Evaluate


SECTIONS: dict[str, type[Section]] = {
    "unzip": Unzip, "h5": H5, "array": Array, "split": Split, "evaluate": Evaluate
}  # fmt: skip


def read_settings(path: Path | None, overrides: list[str]) -> Settings:
    """Read them from the parameter file (None: the defaults), overridden as a stage's are.

    Raises
    ------
    MeaError
        If the file is missing, or a value is not allowed.
    """
    if path is None:
        values, origin = apply_overrides(DEFAULTS, overrides, "the defaults"), "the defaults"
    else:
        values, origin = load_params(path, overrides), str(path)
    checked = {
        name: read_section(model, name, values.get(name, {}), origin, overrides) for name, model in SECTIONS.items()
    }
    return Settings.model_validate(checked)
