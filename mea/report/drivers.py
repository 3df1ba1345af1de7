"""What drove the call, for a few recordings: the report's words and plot of :mod:`mea.classification.explain`."""

import base64
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mea.classification.explain import explain_recording, find_questions
from mea.classification.plots import plot_explanation
from mea.runtime.style import save_plot
from mea.training.classifier import Classifier

MOST_NAMED = 3  # of each kind, in words


@dataclass(frozen=True)
class Driver:
    """One recording's evidence.

    Attributes
    ----------
    recording, label
        Whose, and the class that was called.
    words
        What spoke most for it and against it, a line a kind.
    plot
        Address of the embedded plot.
    """

    recording: str
    label: str
    words: list[str]
    plot: str


def choose_doubtful(recordings: pd.DataFrame, most: int) -> list[str]:
    """Recordings to explain: those called wrongly, then those called least surely."""
    right = recordings["predicted"] == recordings["label"]
    ranked = recordings.assign(right=right).sort_values(["right", "confidence", "recording"])
    return ranked["recording"].head(most).tolist()


def explain_calls(classifier: Classifier, names: list[str], array: Path, split: Path) -> list[Driver]:
    """Put the questions of ``make explain`` to the model that held each recording out."""
    drivers = []
    for question in find_questions(classifier, names, array, split) if names else []:
        label, evidence = explain_recording(question)
        events = question.events
        with tempfile.TemporaryDirectory(prefix="mea-report-") as folder:
            path = Path(folder) / "evidence.png"
            save_plot(plot_explanation(evidence, label, (events.rows, events.cols), events.recording), path)
            plot = f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
        drivers.append(Driver(events.recording, label, describe_evidence(evidence), plot))
    return drivers


def describe_evidence(evidence: pd.DataFrame) -> list[str]:
    """What spoke most, in log odds of the class that was called; a line for families, electrodes and seconds."""
    lines = []
    for kind, heading in (
        ("family", "Families of features"),
        ("electrode", "Electrodes"),
        ("seconds", "Seconds, each stretch alone"),
    ):
        own = evidence[evidence["kind"] == kind]
        order = own["log_odds"].abs().sort_values(ascending=False, kind="stable").index[:MOST_NAMED]
        named = [f"{_name_thing(row)} ({row['log_odds']:+.2f})" for row in own.loc[order].to_dict("records")]
        lines += [f"{heading}: {', '.join(named)}"] if named else []
    return lines


def _name_thing(row: dict) -> str:
    if row["kind"] == "family":
        return row["family"].replace("_", " ")
    if row["kind"] == "electrode":
        return f"row {row['row']:.0f}, column {row['col']:.0f}"
    return f"{row['start_s']:g} to {row['stop_s']:g} s"
