"""Classify recordings the model has never seen, or reject them, with the reason in words.

Takes a folder with zip archives or HDF5 files, or one such file; no labels are needed, and no parameters but the
model's own. Writes one row per recording; for an empty folder, a table without rows.
"""

from pathlib import Path

from pydantic import Field

from mea.classification.classify import NewPrior, classify_files
from mea.runtime.command import print_line, run_command
from mea.runtime.files import is_empty_folder
from mea.runtime.params import StageParams


class Params(StageParams):
    """What to classify."""

    source: str = Field(min_length=1, description="folder or file with recordings to classify; empty: nothing to do")
    prior: NewPrior = Field(
        description="shares of the classes among them: null (the classifier's own), equal, estimate, or {label: share}"
    )


def classify(params: Params, model: Path, out: Path) -> None:
    """Write the table of :func:`mea.classification.classify.classify_source` for every recording found."""
    source = Path(params.source)
    if is_empty_folder(source):
        print_line(f"{source}: empty, so that there is nothing to classify")
    classify_files(None if is_empty_folder(source) else source, model, out, params.prior)


if __name__ == "__main__":
    run_command(classify, Params, source="", model="models/classifier", out="metrics/classify.csv")
