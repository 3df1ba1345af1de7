"""Plots of what was trained on and how it went: chunks per label and fold, loss and accuracy per epoch."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from mea.runtime.style import COLOURS, HATCHES, Plot, label_axes, new_plot, series_style, styled


@styled
def draw_chunk_bars(ax: Axes, counts: pd.DataFrame, title: str = "") -> None:
    """Draw one stacked bar per fold or subset, with the number of chunks of each label inside.

    Parameters
    ----------
    ax
        Panel.
    counts
        Columns ``fold`` (or any subset's name), ``label``, ``chunks``; one row per bar piece.
    title
        Above the panel.
    """
    table = _tabulate_counts(counts)
    names = [str(fold) for fold in table.index]
    bottom = np.zeros(len(table))
    for series, label in enumerate(table.columns):
        style = series_style(series)
        height = table[label].to_numpy()
        bars = ax.bar(names, height, bottom=bottom, color=style["color"], hatch=style["hatch"], label=str(label))
        texts = [f"{int(value)}" if value else "" for value in height]
        boxed = {"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.85}
        for text, shown in zip(ax.bar_label(bars, texts, label_type="center", fontsize=8), texts, strict=True):
            text.set_bbox(boxed if shown else None)
        bottom += height
    ax.margins(y=0.12)
    ax.legend(title="label", loc="upper left", bbox_to_anchor=(1.0, 1.0))
    label_axes(ax, "fold", "chunks (number)", title)


def _tabulate_counts(counts: pd.DataFrame) -> pd.DataFrame:
    return counts.pivot_table(index="fold", columns="label", values="chunks", aggfunc="sum", fill_value=0, sort=False)


@styled
def draw_pie(ax: Axes, counts: pd.DataFrame, title: str = "") -> None:
    """Draw the fraction of each label (colour) in each fold (hatch) as a pie; see :func:`draw_chunk_bars`."""
    counts = counts[counts["chunks"] > 0].sort_values("label", kind="stable")
    labels, folds = list(dict.fromkeys(counts["label"])), list(dict.fromkeys(counts["fold"]))
    total = counts["chunks"].sum()
    percents = 100 * counts["chunks"] / total
    texts = [
        f"{label}, {fold if isinstance(fold, str) else f'fold {fold}'}\n{number} ({percent:.0f} %)"
        for label, fold, number, percent in zip(
            counts["label"], counts["fold"], counts["chunks"], percents, strict=True
        )
    ]
    ax.pie(
        counts["chunks"],
        labels=texts,
        colors=[COLOURS[labels.index(label) % len(COLOURS)] for label in counts["label"]],
        hatch=[HATCHES[folds.index(fold) % len(HATCHES)] for fold in counts["fold"]],
        wedgeprops={"edgecolor": "white", "linewidth": 1.0},
        textprops={"fontsize": 8},
        startangle=90,
        counterclock=False,
        labeldistance=1.12,
    )
    ax.set_title(title or f"{total} chunks: label, fold, number (percent)")


@styled
def plot_chunks(counts: pd.DataFrame, title: str = "") -> Plot:
    """Chunks per label and fold as stacked bars, and as the pie the predecessor drew.

    Parameters
    ----------
    counts
        Columns ``fold``, ``label``, ``chunks``.
    title
        Above both.
    """
    plot, axes = new_plot(1, 2, (10.0, 4.2), title)
    draw_chunk_bars(axes[0, 0], counts)
    draw_pie(axes[0, 1], counts)
    plot.table = counts
    return plot


@styled
def draw_learning_curves(ax: Axes, table: pd.DataFrame, quantity: str = "loss") -> None:
    """Draw one quantity per epoch: validation solid with markers (if there is one), training dashed.

    Each fold has its colour and marker.

    Parameters
    ----------
    ax
        Panel.
    table
        Columns ``epoch``, ``fold``, ``train_<quantity>``, ``validation_<quantity>``.
    quantity
        ``loss`` (cross entropy, nats) or ``accuracy`` (drawn in percent).
    """
    scale = 100.0 if quantity == "accuracy" else 1.0
    for series, (fold, rows) in enumerate(table.groupby("fold", sort=False)):
        style = series_style(series)
        marked = {"color": style["color"], "marker": style["marker"], "markevery": max(1, len(rows) // 20)}
        validation, train = scale * rows[f"validation_{quantity}"], scale * rows[f"train_{quantity}"]
        if validation.notna().any():
            ax.plot(rows["epoch"], validation, linestyle="-", label=f"fold {fold}, validation", **marked)
        thin: dict[str, Any] = {
            "linestyle": "--",
            "linewidth": 1.0,
            "marker": ".",
            "markersize": 2.5,
            "color": style["color"],
        }
        ax.plot(rows["epoch"], train, label=f"fold {fold}, train", **thin)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.grid(visible=True)
    label_axes(ax, "epoch", "accuracy (%)" if quantity == "accuracy" else f"{quantity} (nats)")


@styled
def plot_curves(table: pd.DataFrame, title: str = "") -> Plot:
    """Loss, and accuracy where the table has it, per epoch and fold.

    Parameters
    ----------
    table
        Columns ``epoch``, ``fold``, ``train_loss``, ``validation_loss`` and, where known, ``train_accuracy``,
        ``validation_accuracy`` (0 to 1).
    title
        Above both panels.
    """
    known = [name for name in ("loss", "accuracy") if f"validation_{name}" in table and f"train_{name}" in table]
    plot, axes = new_plot(1, len(known), (4.0 * len(known) + 2.0, 3.9), title)
    for ax, quantity in zip(axes[0], known, strict=True):
        draw_learning_curves(ax, table, quantity)
    axes[0, -1].legend(loc="upper left", bbox_to_anchor=(1.02, 1.0))
    plot.table = table
    return plot
