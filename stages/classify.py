"""Classify recordings the model has never seen, or refuse to, with the reason in words.

Takes a folder with zip archives or HDF5 files, or one such file; no labels are needed, and no parameters but the
model's own. Writes one line per recording. With the source `none` it writes a table without lines.
"""

from pathlib import Path

from pydantic import Field

from mea.classification.decisions import classify_source
from mea.runtime.command import print_line, run_command
from mea.runtime.params import StageParams
from mea.runtime.tables import write_table
from mea.training.classifier import load_classifier


class Params(StageParams):
    """What to classify."""

    source: str = Field(min_length=1, description="folder or file with recordings to classify; none: nothing to do")


def classify(params: Params, model: Path, out: Path) -> None:
    """Write recording, predicted, confidence, ``p_<label>``, decision and reason of every recording found."""
    classifier = load_classifier(model)
    table = classify_source(classifier, None if params.source == "none" else Path(params.source))
    write_table(out, table)
    refused = table["decision"] == "refused"
    flagged = (~refused & (table["flags"].fillna("") != "")).sum()
    strange = f" ({flagged} of them flagged: look before you trust it)" if flagged else ""
    print_line(f"{(~refused).sum()} recordings called{strange}, {refused.sum()} refused: {out}")


if __name__ == "__main__":
    run_command(classify, Params, source="", model="models/classifier", out="metrics/classify.csv")
