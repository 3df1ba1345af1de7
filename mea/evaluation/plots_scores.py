"""Plots of how good a classifier is: confusion matrix, report, ROC curve, calibration, probabilities of recordings."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Bbox

from mea.runtime.style import COLOUR_MAP, COLOURS, NEUTRAL, Plot, label_axes, new_plot, series_style, styled

INTERVAL = "interval of each bin, as if\nall in it were independent"  # too narrow if groups are similar
NAMED_RECORDINGS = 48  # more names than this cannot be read beside their bars
GOLDEN_RATIO = 0.6180339887498949


@styled
def draw_confusion(ax: Axes, matrix: np.ndarray, labels: Sequence[str], title: str = "") -> None:
    """Draw a confusion matrix: in each cell the count and its fraction of the row; the colour shows the fraction.

    Parameters
    ----------
    ax
        Panel.
    matrix
        (k, k) counts; rows are the actual, columns the predicted labels.
    labels
        k names.
    title
        Above the panel.
    """
    matrix = np.asarray(matrix)
    percent = _row_percent(matrix)
    image = ax.imshow(percent, cmap=matplotlib.colormaps[COLOUR_MAP], vmin=0, vmax=100)
    ax.figure.colorbar(image, ax=ax, shrink=0.85).set_label("fraction of the actual label (%)")
    size = max(7.0, 12.0 - len(labels))
    for (row, col), count in np.ndenumerate(matrix):
        colour = "black" if percent[row, col] > 50 else "white"
        text = f"{count}\n{percent[row, col]:.1f} %"
        ax.text(col, row, text, ha="center", va="center", color=colour, fontsize=size)
    ax.set_xticks(range(len(labels)), labels)
    ax.set_yticks(range(len(labels)), labels, rotation=90 if len(labels) < 4 else 0, va="center")
    if len(labels) > 4:
        ax.tick_params(axis="x", rotation=40)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    label_axes(ax, "predicted label", "actual label", title)


def _row_percent(matrix: np.ndarray) -> np.ndarray:
    return 100.0 * matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)


@styled
def plot_confusion(matrix: np.ndarray, labels: Sequence[str], title: str = "") -> Plot:
    """A confusion matrix as a plot; see :func:`draw_confusion`. Its numbers: actual, predicted, count, percent."""
    side = max(4.0, 1.6 + 0.85 * len(labels))
    plot, axes = new_plot(size=(side + 1.0, side))
    draw_confusion(axes[0, 0], matrix, labels, title)
    matrix = np.asarray(matrix)
    columns = {
        "actual": np.repeat(labels, len(labels)),
        "predicted": np.tile(labels, len(labels)),
        "count": matrix.ravel(),
        "percent_of_actual": _row_percent(matrix).ravel(),
    }
    plot.table = pd.DataFrame(columns)
    return plot


@styled
def draw_classification_report(ax: Axes, report: pd.DataFrame, title: str = "") -> None:
    """Draw a table: the first column names each row; fractions with three decimals, counts with none, NaN as a dash.

    Parameters
    ----------
    ax
        Panel.
    report
        For instance with columns ``label``, ``precision``, ``recall``, ``f1``, ``recordings``.
    title
        Above the table.
    """
    cells = np.transpose([_show_column(report[name]) for name in report.columns]).tolist()
    widths = [0.34] + [0.66 / (len(report.columns) - 1)] * (len(report.columns) - 1)
    drawn = ax.table(cells, colLabels=list(report.columns), colWidths=widths, bbox=Bbox.unit())
    drawn.auto_set_font_size(False)
    drawn.set_fontsize(9)
    for (row, col), cell in drawn.get_celld().items():
        cell.set_edgecolor("0.8")
        cell.visible_edges = "B"
        cell.get_text().set_horizontalalignment("left" if col == 0 else "right")
        if row == 0:
            cell.set_text_props(weight="bold")
    ax.set_axis_off()
    ax.set_title(title)


def _show_column(column: pd.Series) -> list[str]:
    if not pd.api.types.is_numeric_dtype(column):
        return [str(value) for value in column]
    known = column.dropna()
    counts = bool((known % 1 == 0).all() and (known > 1).any())
    return ["–" if pd.isna(value) else f"{value:.{0 if counts else 3}f}" for value in column]


@styled
def plot_report(report: pd.DataFrame, title: str = "") -> Plot:
    """A classification report as a plot; see :func:`draw_classification_report`."""
    plot, axes = new_plot(size=(6.5, 0.8 + 0.32 * (len(report) + 1)))
    draw_classification_report(axes[0, 0], report, title)
    plot.table = report
    return plot


@styled
def draw_roc(ax: Axes, curves: Mapping[str, tuple[np.ndarray, np.ndarray, float]], title: str = "") -> None:
    """Draw ROC curves, one per label against the rest.

    Parameters
    ----------
    ax
        Panel.
    curves
        For each name (false positive rate (m,), true positive rate (m,), area under the curve); rates 0 to 1.
    title
        Above the panel.
    """
    for series, (name, (false_positive, true_positive, area)) in enumerate(curves.items()):
        style = series_style(series)
        line: dict[str, Any] = {
            "color": style["color"],
            "linestyle": style["linestyle"],
            "label": f"{name} (area {area:.3f})",
        }
        ax.plot(100 * np.asarray(false_positive), 100 * np.asarray(true_positive), clip_on=False, zorder=3, **line)
    ax.plot([0, 100], [0, 100], color=NEUTRAL, linestyle=":", linewidth=1.0, label="chance")
    ax.set(xlim=(0, 100), ylim=(0, 100), aspect="equal")
    ax.grid(visible=True)
    ax.legend(loc="lower right")
    label_axes(ax, "false positive rate (%)", "true positive rate (%)", title)


@styled
def plot_roc(curves: Mapping[str, tuple[np.ndarray, np.ndarray, float]], title: str = "") -> Plot:
    """ROC curves as a plot; see :func:`draw_roc`."""
    plot, axes = new_plot(size=(4.8, 4.6))
    draw_roc(axes[0, 0], curves, title)
    tables = [
        pd.DataFrame({"label": name, "false_positive_rate": false_positive, "true_positive_rate": true_positive})
        for name, (false_positive, true_positive, _) in curves.items()
    ]
    plot.table = pd.concat(tables, ignore_index=True)
    return plot


@styled
def draw_reliability(ax: Axes, bins: pd.DataFrame, title: str = "") -> None:
    """Draw accuracy against confidence, one point per bin, with its interval and count.

    Parameters
    ----------
    ax
        Panel.
    bins
        Columns ``confidence`` (mean in the bin, 0 to 1), ``accuracy`` (0 to 1) with its interval
        ``accuracy_low`` and ``accuracy_high``, ``count``; empty bins are left out.
    title
        Above the panel.
    """
    bins = bins[bins["count"] > 0]
    ax.plot([0, 100], [0, 100], color=NEUTRAL, linestyle=":", linewidth=1.0, label="perfectly calibrated")
    style: dict[str, Any] = {"color": COLOURS[0], "marker": "o", "clip_on": False, "zorder": 3}
    ends = 100 * bins[["accuracy_low", "accuracy_high"]].to_numpy()
    ax.vlines(100 * bins["confidence"], *ends.T, color=COLOURS[0], linewidth=1.0, label=INTERVAL)
    ax.plot(100 * bins["confidence"], 100 * bins["accuracy"], label="this classifier", **style)
    boxed = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5}
    for confidence, accuracy, count in zip(bins["confidence"], bins["accuracy"], bins["count"], strict=True):
        left, below = confidence > 0.95, accuracy > 0.93  # inside the panel, and beside the interval
        place: dict[str, Any] = {"xytext": (-5 if left else 5, -5 if below else 5), "ha": "right" if left else "left"}
        place["va"] = "top" if below else "bottom"
        place |= {"textcoords": "offset points", "fontsize": 8, "bbox": boxed}
        ax.annotate(f"{count:.0f}", (100 * confidence, 100 * accuracy), **place)
    lowest = 0.0 if bins["confidence"].min() < 0.5 else 50.0
    ax.set(xlim=(lowest, 100), ylim=(0, 100))
    ax.grid(visible=True)
    ax.legend(loc="lower right")
    label_axes(ax, "confidence (%)", "accuracy (%)", title)


@styled
def plot_reliability(bins: pd.DataFrame, title: str = "") -> Plot:
    """Reliability diagram above the number in each bin; ``bins`` as for :func:`draw_reliability`."""
    plot, axes = new_plot(2, 1, (5.0, 5.2), sharex=True, gridspec_kw={"height_ratios": [3, 1]})
    diagram, numbers = axes[:, 0]
    draw_reliability(diagram, bins, title)
    diagram.set_xlabel("")
    filled = bins[bins["count"] > 0]
    numbers.bar(100 * filled["confidence"], filled["count"], width=2.5, color=COLOURS[0])
    numbers.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    label_axes(numbers, "confidence (%)", "count (number)")
    plot.table = bins
    return plot


@styled
def draw_recordings(ax: Axes, predictions: pd.DataFrame, title: str = "") -> None:
    """Draw each recording's probability of its own label: coloured and marked by label, crossed out if wrong.

    Few recordings are bars with their names; many are points, one strip per label.

    Parameters
    ----------
    ax
        Panel.
    predictions
        Columns ``recording``, ``label``, ``predicted``, ``p_<label>`` (0 to 1) for every label.
    title
        Above the panel.
    """
    labels = [name.removeprefix("p_") for name in predictions.columns if name.startswith("p_")]
    table = pd.DataFrame({"recording": predictions["recording"].to_numpy(), "label": predictions["label"].to_numpy()})
    table["percent"] = [100 * row[f"p_{row['label']}"] for row in predictions.to_dict("records")]
    table["wrong"] = (predictions["predicted"] != predictions["label"]).to_numpy()
    table["order"] = table["label"].map({label: order for order, label in enumerate(labels)})
    table = table.sort_values(["order", "percent"], ignore_index=True)
    chance = 100 / len(labels)
    (_draw_named if len(table) <= NAMED_RECORDINGS else _draw_strips)(ax, table, labels)
    draw_line = ax.axvline if len(table) <= NAMED_RECORDINGS else ax.axhline
    draw_line(chance, color=NEUTRAL, linestyle=":", linewidth=1.2, label=f"1 in {len(labels)}")
    handles, names = ax.get_legend_handles_labels()
    order = sorted(range(len(names)), key=lambda item: names[item].split(" (")[0] not in labels)
    ax.legend(
        [handles[item] for item in order], [names[item] for item in order], bbox_to_anchor=(1, 1), loc="upper left"
    )
    ax.set_title(title)


def _draw_named(ax: Axes, table: pd.DataFrame, labels: list[str]) -> None:
    for series, label in enumerate(labels):
        rows, style = table[table["label"] == label], series_style(series)
        ax.barh(rows.index, rows["percent"], color=style["color"], hatch=style["hatch"], label=label)
    wrong = table[table["wrong"]]
    ax.plot(wrong["percent"] + 2, wrong.index, linestyle="none", marker="x", color="black", label="misclassified")
    ax.set(xlim=(0, 104), ylim=(len(table) - 0.4, -0.6))
    ax.set_yticks(table.index, table["recording"], fontsize=7.5)
    label_axes(ax, "probability of its own label (%)", "recording")


def _draw_strips(ax: Axes, table: pd.DataFrame, labels: list[str]) -> None:
    for series, label in enumerate(labels):
        rows, style = table[table["label"] == label], series_style(series)
        places = series + 0.7 * (
            np.arange(len(rows)) * GOLDEN_RATIO % 1 - 0.5
        )  # evenly distributed, without randomness
        points: dict[str, Any] = {
            "color": style["color"],
            "marker": style["marker"],
            "markerfacecolor": "none",
            "alpha": 0.85,
        }
        ax.plot(places, rows["percent"], linestyle="none", label=f"{label} ({len(rows)})", **points)
        wrong = rows["wrong"].to_numpy()
        last = series == len(labels) - 1
        name = f"misclassified ({int(table['wrong'].sum())})" if last else None
        cross: dict[str, Any] = {"marker": "x", "color": "black", "markersize": 5.0, "markeredgewidth": 0.9}
        ax.plot(places[wrong], rows["percent"][wrong], linestyle="none", label=name, **cross)
    ax.set(xlim=(-0.6, len(labels) - 0.4), ylim=(-3, 103))
    ax.set_xticks(range(len(labels)), labels)
    label_axes(ax, "actual label", "probability of its own label (%)")


@styled
def plot_recordings(predictions: pd.DataFrame, title: str = "") -> Plot:
    """Every recording's probability of its own label; see :func:`draw_recordings`."""
    named = len(predictions) <= NAMED_RECORDINGS
    plot, axes = new_plot(size=(7.5, max(2.6, 1.4 + 0.17 * len(predictions))) if named else (7.0, 4.4))
    draw_recordings(axes[0, 0], predictions, title)
    plot.table = predictions
    return plot
