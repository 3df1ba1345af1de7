"""What a model must know, beside what it learned; typed and checked when it is read."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationError

from mea.runtime.errors import MeaError


def check_labels(labels: list[str]) -> list[str]:
    """Refuse classes that are not sorted, each once."""
    if labels != sorted(set(labels)):
        raise ValueError("must be sorted, each once: column k of every probability is labels[k]")
    return labels


Labels = Annotated[list[str], Field(min_length=2), AfterValidator(check_labels)]
Side = Annotated[int, Field(gt=0, le=65_536)]


@dataclass(frozen=True)
class ModelSpec:
    """What a model must know, beside what it learned, to be used.

    Attributes
    ----------
    labels
        The classes, sorted; column ``k`` of every probability is ``labels[k]``.
    rows, cols
        Grid of the recordings it learned from.
    params
        Of the model's own class ``Params``.
    """

    labels: Labels
    rows: Side
    cols: Side
    params: Any


def explain_invalid(path: Path, error: ValidationError) -> MeaError:
    """The first thing wrong in a file of a classifier, in a line."""
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    return MeaError(
        f"{path}: {where}: {first['msg']}; not as the train stage writes it. Train it again: dvc repro train."
    )
