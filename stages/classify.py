"""Classify recordings the model has never seen, or reject them, with the reason in words.

Takes a folder with zip archives or HDF5 files, or one such file; no labels are needed, and no parameters but the
model's own. Writes one row per recording. With the source `none` it writes a table without rows.
"""

from pathlib import Path

from pydantic import Field

from mea.classification.classify import classify_files
from mea.runtime.command import run_command
from mea.runtime.params import StageParams


class Params(StageParams):
    """What to classify."""

    source: str = Field(min_length=1, description="folder or file with recordings to classify; none: nothing to do")


def classify(params: Params, model: Path, out: Path) -> None:
    """Write the table of :func:`mea.classification.classify.classify_source` for every recording found."""
    classify_files(None if params.source == "none" else Path(params.source), model, out)


if __name__ == "__main__":
    run_command(classify, Params, source="", model="models/classifier", out="metrics/classify.csv")
