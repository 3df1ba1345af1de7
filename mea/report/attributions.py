"""Attributions of a few recordings for the report: the most important parts in words, and the plot."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mea.classification.explain import load_held_out
from mea.classification.occlusion import compute_attributions
from mea.classification.plots import plot_attributions
from mea.report.plots import embed_image
from mea.runtime.style import save_plot
from mea.training.classifier import Classifier

MOST_NAMED = 3  # of each kind, in words
HEADINGS = {"family": "Families of features", "electrode": "Electrodes", "window": "Windows, each alone"}


@dataclass(frozen=True)
class Attribution:
    """The attributions of one recording.

    Attributes
    ----------
    recording, label
        Whose, and the predicted class.
    words
        The largest ones, for the class and against it, a line a kind.
    plot
        Address of the embedded plot.
    """

    recording: str
    label: str
    words: list[str]
    plot: str


def choose_doubtful(recordings: pd.DataFrame, most: int) -> list[str]:
    """Recordings to explain: those predicted wrongly, then those with the lowest confidence."""
    correct = recordings["predicted"] == recordings["label"]
    ranked = recordings.assign(correct=correct).sort_values(["correct", "confidence", "recording"])
    return ranked["recording"].head(most).tolist()


def attribute_recordings(classifier: Classifier, names: list[str], array: Path, split: Path) -> list[Attribution]:
    """Attributions by the model that held each recording out, as ``mea explain`` computes them."""
    found = []
    for occlusion in load_held_out(classifier, names, array, split) if names else []:
        label, attributions = compute_attributions(occlusion)
        events = occlusion.events
        with tempfile.TemporaryDirectory(prefix="mea-report-") as folder:
            path = Path(folder) / "attributions.png"
            save_plot(plot_attributions(attributions, label, (events.rows, events.cols), events.recording), path)
            plot = embed_image(path)
        found.append(Attribution(events.recording, label, format_attributions(attributions), plot))
    return found


def format_attributions(attributions: pd.DataFrame) -> list[str]:
    """The largest attributions in words, in log odds of the predicted class; a line for each kind of part.

    >>> rows = [("whole", "", 2.0), ("family", "network_bursts", 0.5), ("family", "isi", -1.25)]
    >>> format_attributions(pd.DataFrame(rows, columns=["kind", "family", "log_odds"]))
    ['Families of features: isi (-1.25), network bursts (+0.50)']
    """
    lines = []
    for kind, heading in HEADINGS.items():
        own = attributions[attributions["kind"] == kind]
        order = own["log_odds"].abs().sort_values(ascending=False, kind="stable").index[:MOST_NAMED]
        named = [f"{_name_part(row)} ({row['log_odds']:+.2f})" for row in own.loc[order].to_dict("records")]
        lines += [f"{heading}: {', '.join(named)}"] if named else []
    return lines


def _name_part(row: dict) -> str:
    if row["kind"] == "family":
        return row["family"].replace("_", " ")
    if row["kind"] == "electrode":
        rows, cols = (f"{row[name]:.0f}" for name in ("row", "col"))
        if (row["last_row"], row["last_col"]) == (row["row"], row["col"]):
            return f"row {rows}, column {cols}"
        return f"rows {rows} to {row['last_row']:.0f}, columns {cols} to {row['last_col']:.0f}"
    return f"{row['start_s']:g} to {row['stop_s']:g} s"
