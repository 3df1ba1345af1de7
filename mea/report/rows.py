"""Every recording as a row of the report: its prediction, its flags, and the predictions of its chunks over time."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from mea.evaluation.rules import read_sets
from mea.recordings.lab_columns import list_categories
from mea.report.results import Results

STRIP_WIDTH, STRIP_HEIGHT = 150, 22  # pixels


@dataclass(frozen=True)
class Row:
    """One recording that was held out.

    Attributes
    ----------
    recording, label, culture, batch, fold
        Who it is; empty where unknown.
    predicted, confidence, correct
        What the model of its fold predicted, the confidence (0 to 1), and whether the prediction is the label.
    flags
        What is unusual about it: (word, sentence).
    strip
        For every label the path of an SVG of 150 x 22 pixels: the chunks with that prediction.
    chunk_counts
        How many chunks were predicted as each class, in words.
    lab
        The lab's own columns by which the report filters, in order.
    """

    recording: str
    label: str
    culture: str
    batch: str
    fold: str
    predicted: str
    confidence: float
    correct: bool
    flags: list[tuple[str, str]] = field(default_factory=list)
    strip: list[str] = field(default_factory=list)
    chunk_counts: str = ""
    lab: list[str] = field(default_factory=list)


def list_rows(results: Results) -> list[Row]:
    """Every recording that was held out, in the order of its name."""
    notes = dict(zip(results.catalogue["recording"], results.catalogue["notes"]))
    chunks = dict(list(results.chunks.groupby("recording")))
    categories = list_categories(results.recordings)
    rows = []
    for line in results.recordings.sort_values("recording").to_dict("records"):
        own = chunks[line["recording"]].sort_values("start_s")
        counts = own["predicted"].value_counts()
        row = Row(
            **{name: str(line[name]) for name in ("recording", "label", "culture", "batch", "fold", "predicted")},
            confidence=float(line["confidence"]),
            correct=line["predicted"] == line["label"],
            flags=list_flags(line, notes.get(line["recording"], "")),
            strip=[trace_strip(own, label, place, len(results.labels)) for place, label in enumerate(results.labels)],
            chunk_counts=", ".join(f"{counts.get(label, 0)} of {len(own)} chunks {label}" for label in results.labels),
            lab=[str(line[name]) for name in categories],
        )
        rows.append(row)
    return rows


def list_flags(line: dict, notes: str) -> list[tuple[str, str]]:
    """What is unusual about a recording: (word, sentence).

    Parameters
    ----------
    line
        Of the evaluate stage's predictions.
    notes
        What the h5 stage noted about its file.
    """
    flags = []
    if line["predicted"] != line["label"]:
        flags.append(("wrong", f"Its label is {line['label']}, its prediction {line['predicted']}."))
    threshold = pd.to_numeric(line["threshold"], errors="coerce")
    if not line["confidence"] >= threshold:  # NaN: no threshold
        why = (
            "its fold found no confidence that is high enough"
            if np.isnan(threshold)
            else f"its confidence is below {threshold:.1%}"
        )
        flags.append(("unsure", f"A new recording like it would be rejected: {why}."))
    if not read_sets(pd.Series([str(line["prediction_set"])]), [line["label"]]).all():
        flags.append(("ruled out", "Its prediction set does not contain its label."))
    return [*flags, *([("note", notes)] if notes else [])]


def trace_strip(chunks: pd.DataFrame, label: str, lane: int, lanes: int) -> str:
    """The chunks of one recording predicted as ``label``, as an SVG path.

    Every label has a lane, the first on top, so that classes differ without colours, too. Time runs from left to right;
    the height of a chunk in its lane is its confidence.
    """
    height = STRIP_HEIGHT / lanes
    scale = STRIP_WIDTH / float(chunks["stop_s"].max())
    parts = []
    for chunk in chunks[chunks["predicted"] == label].itertuples():
        left, right = scale * chunk.start_s, scale * chunk.stop_s
        width = max(right - left - (1 if right - left > 3 else 0), 0.5)
        tall = (height - 1) * chunk.confidence
        parts.append(f"M{left:.1f} {(lane + 1) * height:.1f}h{width:.1f}v{-tall:.1f}h{-width:.1f}z")
    return "".join(parts)


def count_groups(results: Results, column: str) -> pd.DataFrame:
    """How many recordings and chunks of each culture, batch or value of the lab's columns were predicted correctly.

    Returns
    -------
    pd.DataFrame
        One row a group, sorted: group (``unknown`` where it is), labels, recordings, correct, wrong (of these), chunks,
        chunks_correct.
    """
    group = results.recordings.set_index("recording")[column].astype(str).replace("", "unknown")
    tables = [table.assign(group=table["recording"].map(group)) for table in (results.recordings, results.chunks)]
    counted = []
    for table in tables:
        correct = (table["predicted"] == table["label"]).groupby(table["group"])
        counted.append(pd.DataFrame({"all": correct.size(), "correct": correct.sum()}))
    labels = tables[0].groupby("group")["label"].agg(lambda label: ", ".join(sorted(set(label))))
    whole, chunks = counted
    found = pd.DataFrame({"labels": labels, "recordings": whole["all"], "correct": whole["correct"]})
    found["wrong"] = found["recordings"] - found["correct"]
    return found.join(chunks.set_axis(["chunks", "chunks_correct"], axis=1)).rename_axis("group").reset_index()
