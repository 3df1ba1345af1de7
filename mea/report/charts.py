"""Curves of the report as Plotly draws them (plain mappings, for the page's own script), from the stages' numbers.

Series differ in colour, line and marker together, so that they can be told apart on paper without colours.
"""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mea.report.headline import show_number
from mea.report.results import Results
from mea.runtime.style import COLOURS

LINES = ("solid", "dash", "dashdot", "dot", "longdash", "longdashdot", "5px,2px")
SYMBOLS = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "x")
GREY = "#767676"
MOST_MARKED = 60  # points of a line that have a marker each
UNITS = ("recording", "chunk")
VALIDATION = {
    "inner": "recordings held out inside the training side",
    "scored": "the scored recordings themselves, as the predecessor did",
}


@dataclass(frozen=True)
class Chart:
    """What is drawn, and what it says.

    Attributes
    ----------
    name
        Unique on its page.
    title
        Above it.
    words
        Below it: what it shows, for those who see it and for those who cannot.
    data, layout
        As Plotly takes them.
    """

    name: str
    title: str
    words: str
    data: list[dict[str, Any]]
    layout: dict[str, Any]


def draw_scores(results: Results) -> list[Chart]:
    """ROC, calibration and risk against coverage."""
    charts = [draw_roc(results, unit) for unit in UNITS if f"roc_{unit}" in results.curves]
    return [*charts, *(draw_calibration(results, unit) for unit in UNITS), draw_risk(results)]


def draw_roc(results: Results, unit: str) -> Chart:
    """How well the classes are told apart at every threshold; ``unit`` is ``recording`` or ``chunk``."""
    table, area = results.curves[f"roc_{unit}"], show_number(results.metrics[unit]["roc_auc"])
    data = [_draw_line([0, 100], [0, 100], "chance", 0, color=GREY, dash="dot", mode="lines")]
    for series, (label, rows) in enumerate(table.groupby("label", sort=False)):
        sides = 100 * rows["false_positive_rate"], 100 * rows["true_positive_rate"]
        data.append(_draw_line(*sides, html.escape(str(label), quote=False), series, mode="lines"))  # Plotly reads tags
    words = f"Area under the curve of {unit}s: {area}; 0.5 is chance, 1 is perfect."
    layout = _make_layout("false positive rate (%)", "true positive rate (%)", [-2, 102], [-2, 102])
    return Chart(f"roc-{unit}", f"ROC, {unit}s", words, data, layout)


def draw_calibration(results: Results, unit: str) -> Chart:
    """How often it is right, and how sure it said it was."""
    table = results.curves[f"reliability_{unit}"]
    right, sure = 100 * table["accuracy"], 100 * table["confidence"]
    line = _draw_line(sure, right, "this classifier", 0)
    ends: dict[str, Any] = {"array": to_list(100 * table["accuracy_high"] - right)}
    ends |= {"arrayminus": to_list(right - 100 * table["accuracy_low"]), "symmetric": False, "thickness": 1}
    line |= {"error_y": ends, "text": [f"{count} {unit}s" for count in table["count"]]}
    line["hovertemplate"] = "%{x:.1f} % sure, %{y:.1f} % right<br>%{text}<extra></extra>"
    lowest = 0 if table["confidence"].min() < 0.5 else 50
    ideal = _draw_line([lowest, 100], [lowest, 100], "perfectly calibrated", 0, color=GREY, dash="dot", mode="lines")
    error = show_number(results.metrics[unit]["ece"])
    words = f"Expected calibration error of {unit}s: {error}. Bars: intervals as if all were independent."
    layout = _make_layout("confidence (%)", "right (%)", [lowest - 2, 102], [-4, 104])
    return Chart(f"calibration-{unit}", f"Calibration, {unit}s", words, [ideal, line], layout)


def draw_risk(results: Results) -> Chart:
    """Errors when only the surest recordings are called."""
    table, target = results.curves["risk_coverage"], 100 * results.card["confidence"]["target_error"]
    mode = "lines+markers" if len(table) <= MOST_MARKED else "lines"
    line = _draw_line(100 * table["coverage"], 100 * table["risk"], "recordings", 0, mode=mode)
    line |= {"text": [f"{kept} called, {wrong} wrong" for kept, wrong in zip(table["kept"], table["wrong"])]}
    line["hovertemplate"] = "%{text}: %{y:.1f} %<extra></extra>"
    accepted = _draw_line([0, 100], [target, target], "accepted error", 1, mode="lines")
    called = results.card["confidence"]["predicted"]
    words = f"New recordings that are called: {called}. Area under the curve: "
    words += f"{show_number(results.metrics['selective']['aurc'])}."
    top = max(1.6 * target, 105 * float(table["risk"].max()))
    layout = _make_layout("recordings called, surest first (%)", "wrong among them (%)", [-2, 102], [-top / 25, top])
    return Chart("risk", "Risk against coverage", words, [line, accepted], layout)


def draw_learning(results: Results) -> list[Chart]:
    """Loss and accuracy by epoch: the mean over folds; empty for a model that is not trained by epochs."""
    judge = VALIDATION[results.card["parameters"]["train"]["validation"]]
    table = results.curves.get("mean_curves", pd.DataFrame())
    return [
        _draw_quantity(table, quantity, unit, judge)
        for quantity, unit in (("loss", "loss (nats)"), ("accuracy", "accuracy (%)"))
        if len(table) and {f"train_{quantity}", f"validation_{quantity}"} <= set(table)
    ]


def _draw_quantity(table: pd.DataFrame, quantity: str, unit: str, judge: str) -> Chart:
    scale = 100 if quantity == "accuracy" else 1
    data = [
        _draw_line(table["epoch"], scale * table[f"{side}_{quantity}"], side, series)
        for series, side in enumerate(("train", "validation"))
    ]
    words = f"Mean over the folds that were still training. Validation: {judge}."
    return Chart(f"learning-{quantity}", f"Learning: {quantity}", words, data, _make_layout("epoch", unit))


def _draw_line(x: Sequence[float], y: Sequence[float], name: str, series: int, **changed: Any) -> dict[str, Any]:
    """One line; ``changed``: its mode, color or dash instead of the series' own."""
    style = {"color": COLOURS[series % len(COLOURS)], "dash": LINES[series % len(LINES)], "mode": "lines+markers"}
    style |= changed
    return {
        "x": to_list(x),
        "y": to_list(y),
        "name": name,
        "mode": style["mode"],
        "line": {"color": style["color"], "dash": style["dash"], "width": 1.8},
        "marker": {"symbol": SYMBOLS[series % len(SYMBOLS)], "size": 6, "color": style["color"]},
    }


def _make_layout(x: str, y: str, x_range: list[float] | None = None, y_range: list[float] | None = None) -> dict:
    axes: dict[str, dict[str, Any]] = {"xaxis": {"title": {"text": x}}, "yaxis": {"title": {"text": y}}}
    for axis, bounds in zip(axes.values(), (x_range, y_range)):
        axis |= {"range": bounds} if bounds else {}
    return axes


def to_list(values: Sequence[float] | np.ndarray | pd.Series, digits: int = 6) -> list[float | None]:
    """Numbers as JSON knows them: NaN becomes null."""
    numbers = (float(value) for value in values)
    return [float(f"{number:.{digits}g}") if math.isfinite(number) else None for number in numbers]
