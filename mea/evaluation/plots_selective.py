"""Plots of selective prediction: risk-coverage curve, and coverage and size of prediction sets."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from mea.runtime.style import COLOURS, NEUTRAL, Plot, label_axes, new_plot, series_style, styled

INTERVAL = "interval, as if all were independent"  # too narrow if groups are similar
SIZES = {"empty_fraction": "no label", "single_fraction": "one label", "several_fraction": "several labels"}


@styled
def draw_risk_coverage(
    ax: Axes,
    curve: pd.DataFrame,
    threshold: float,
    target_error: float,
    aurc: float,
    scored: Mapping[str, float] | None = None,
    title: str = "",
) -> None:
    """Draw the risk-coverage curve: the error among the most confident recordings against how many are predicted.

    Parameters
    ----------
    ax
        Panel.
    curve
        Columns ``coverage`` and ``risk`` (0 to 1), ``threshold``, as
        :func:`mea.statistics.selective.trace_risk_coverage` gives.
    threshold
        The confidence chosen; NaN where there is none.
    target_error
        The error rate it was chosen for, 0 to 1.
    aurc
        Area under the curve, 0 to 1.
    scored
        ``coverage``, ``error``, ``error_low``, ``error_high`` (0 to 1) of recordings that had no part in the choice.
    title
        Above the panel.
    """
    line: dict[str, Any] = {"color": COLOURS[0], "marker": ".", "markersize": 3.5, "zorder": 3}
    faultless = not curve["risk"].any()
    words = "most confident first: no errors" if faultless else f"most confident first (area {aurc:.3f})"
    ax.plot(100 * curve["coverage"], 100 * curve["risk"], label=words, **line)
    target: dict[str, Any] = {"color": NEUTRAL, "linestyle": ":", "linewidth": 1.0}
    ax.axhline(100 * target_error, label=f"{100 * target_error:.4g} % wrong", **target)
    kept = curve[curve["threshold"] >= threshold]  # none where the threshold is NaN
    if len(kept):
        chosen: dict[str, Any] = {"color": COLOURS[1], "marker": "D", "markersize": 9, "linestyle": "none", "zorder": 4}
        chosen["markerfacecolor"] = "none"  # the score on other recordings is often at the same place
        name = f"chosen: confidence from {100 * threshold:.1f} %" if threshold > 0 else "chosen: all are predicted"
        ax.plot(100 * kept["coverage"].iloc[-1], 100 * kept["risk"].iloc[-1], label=name, **chosen)
    else:
        ax.plot([], [], linestyle="none", label="no confidence is high enough")
    if scored is not None and not np.isnan(scored["error"]):
        _draw_scored(ax, scored)
    highest = max(100 * curve["risk"].max(), 100 * target_error, 100 * (scored or {}).get("error_high", 0))
    top = min(102.0, 1.15 * np.nan_to_num(highest, nan=100.0) + 1)
    ax.set(xlim=(0, 102), ylim=(-0.03 * top, top))  # a line at 0 stands clear of the axis
    ax.grid(visible=True)
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    label_axes(ax, "coverage: predicted, most confident first (%)", "risk: wrong among those (%)", title)


def _draw_scored(ax: Axes, scored: Mapping[str, float]) -> None:
    x, style = 100 * scored["coverage"], dict[str, Any](color=COLOURS[2], zorder=5)
    name = "threshold chosen on others,\nwith interval"
    ax.plot(x, 100 * scored["error"], marker="s", linestyle="none", label=name, **style)
    ax.vlines(x, 100 * scored["error_low"], 100 * scored["error_high"], linewidth=1.0, **style)


@styled
def plot_risk_coverage(
    curve: pd.DataFrame,
    threshold: float,
    target_error: float,
    aurc: float,
    scored: Mapping[str, float] | None = None,
    title: str = "",
) -> Plot:
    """Risk against coverage as a plot; see :func:`draw_risk_coverage`. Its numbers: the curve."""
    plot, axes = new_plot(size=(7.6, 3.9))
    draw_risk_coverage(axes[0, 0], curve, threshold, target_error, aurc, scored, title)
    plot.table = curve
    return plot


@styled
def plot_conformal(coverage: pd.DataFrame, confidence_level: float, title: str = "") -> Plot:
    """How often the prediction sets of each class hold it, with the interval, and how many labels they name.

    Parameters
    ----------
    coverage
        Columns ``label``, ``count``, ``coverage``, ``coverage_low``, ``coverage_high``, ``empty_fraction``,
        ``single_fraction`` (0 to 1), as :func:`mea.statistics.conformal.list_coverage` gives.
    confidence_level
        The coverage asked for, 0 to 1.
    title
        Above both panels.
    """
    plot, axes = new_plot(1, 2, (8.4, 2.1 + 0.4 * len(coverage)), title, sharey=True)
    covered, sizes = axes[0]
    rows = np.arange(len(coverage))
    ends = 100 * coverage["coverage_low"], 100 * coverage["coverage_high"]
    covered.hlines(rows, *ends, color=COLOURS[0], linewidth=1.0, label=INTERVAL)
    covered.plot(
        100 * coverage["coverage"], rows, color=COLOURS[0], marker="o", linestyle="none", clip_on=False, zorder=3
    )
    covered.axvline(
        100 * confidence_level,
        color=NEUTRAL,
        linestyle=":",
        linewidth=1.0,
        label=f"asked for: {100 * confidence_level:.4g} %",
    )
    covered.set(xlim=(0, 101), ylim=(len(coverage) - 0.5, -0.5))
    covered.set_yticks(rows, [f"{label} ({count})" for label, count in zip(coverage["label"], coverage["count"])])
    covered.grid(visible=True, axis="x")
    covered.legend(loc="lower left", bbox_to_anchor=(0, 1))
    label_axes(covered, "sets that hold the actual label (%)", "actual label (recordings)")
    _draw_sizes(sizes, coverage)
    plot.table = coverage
    return plot


def _draw_sizes(ax: Axes, coverage: pd.DataFrame) -> None:
    fractions = coverage.assign(several_fraction=1 - coverage["empty_fraction"] - coverage["single_fraction"])
    left = np.zeros(len(fractions))
    for series, (column, name) in enumerate(SIZES.items()):
        style, width = series_style(series), 100 * fractions[column].to_numpy()
        look = {"color": style["color"], "hatch": style["hatch"], "label": name}
        ax.barh(np.arange(len(fractions)), width, left=left, height=0.6, **look)
        left += width
    ax.set(xlim=(0, 100))
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3)
    label_axes(ax, "sets by number of labels (%)", "")
