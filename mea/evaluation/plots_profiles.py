"""Plots of many features or many classes at once: the heat map of cultures, and their course over ordered classes."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import leaves_list, linkage

from mea.runtime.style import COLOUR_MAP, Plot, label_axes, new_panels, new_plot, series_style, styled

MOST_FEATURES = 40  # of the heat map
CLIP = 3.0  # standard deviations from which on a value has the last colour


@styled
def plot_heatmap(
    values: np.ndarray, units: pd.DataFrame, chosen: Sequence[tuple[int, str]], labels: Sequence[str], title: str = ""
) -> Plot:
    """Standardised features (rows) of every culture (columns): classes side by side, alike ones next to each other.

    Features, and cultures within a class, are ordered by hierarchical clustering (average linkage, Euclidean distance).

    Parameters
    ----------
    values, units
        As :func:`mea.statistics.contrast.average_cultures` gives them.
    chosen
        Column and name of each feature.
    labels
        The classes in the order in which they are drawn.
    title
        Above the panel.
    """
    columns = [column for column, _ in chosen]
    own = values[:, columns]
    std = np.nanstd(own, axis=0)
    scaled = np.clip((own - np.nanmean(own, axis=0)) / np.where(std > 0, std, 1.0), -CLIP, CLIP)
    filled = np.nan_to_num(scaled)
    rows = order_alike(filled.T)
    parts = [np.flatnonzero((units["label"] == label).to_numpy()) for label in labels]
    cols = np.concatenate([part[order_alike(filled[part])] for part in parts])
    plot, axes = new_plot(size=(2.8 + min(0.16 * len(cols), 7.0), 1.4 + 0.17 * len(rows)))
    ax = axes[0, 0]
    image = ax.imshow(scaled[np.ix_(cols, rows)].T, cmap=COLOUR_MAP, vmin=-CLIP, vmax=CLIP, aspect="auto")
    ax.figure.colorbar(image, ax=ax, label="standard deviations from the mean", fraction=0.04, pad=0.02)
    ax.set_yticks(range(len(rows)), [chosen[row][1] for row in rows], fontsize=6)
    borders = np.cumsum([0, *(len(part) for part in parts)])
    for border in borders[1:-1]:
        ax.axvline(border - 0.5, color="black", linewidth=1.5)
    ax.set_xticks((borders[:-1] + borders[1:] - 1) / 2, labels)
    label_axes(ax, "cultures, by class", "", title)
    names = [chosen[row][1] for row in rows]
    table = pd.DataFrame(scaled[np.ix_(cols, rows)], columns=names)
    about = units.iloc[cols][["label", "culture", "batch"]].reset_index(drop=True)
    plot.table = pd.concat([about, table], axis=1)
    return plot


@styled
def plot_course(
    values: np.ndarray, units: pd.DataFrame, chosen: Sequence[tuple[int, str, str]], order: Sequence[str]
) -> Plot:
    """Features over ordered classes (days, doses): a thin line for each culture, the mean in black.

    Parameters
    ----------
    values, units
        As :func:`mea.statistics.contrast.average_cultures` gives them.
    chosen
        Column, name and unit of each feature.
    order
        The classes in their order.
    """
    plot, panels = new_panels(len(chosen))
    place = {label: number for number, label in enumerate(order)}
    batches = {batch: number for number, batch in enumerate(sorted(set(units["batch"])))}
    at = units["label"].map(place)
    tables = []
    for ax, (column, name, unit) in zip(panels, chosen):
        own = units.assign(place=at, value=values[:, column]).dropna(subset=["value"])
        for (_, batch), part in own[own["culture"] != ""].groupby(["culture", "batch"]):
            part = part.sort_values("place")
            colour = series_style(batches[batch])["color"]
            ax.plot(part["place"], part["value"], ".-", color=colour, linewidth=0.5, markersize=2.5, alpha=0.4)
        mean = own.groupby("place")["value"].mean()
        ax.plot(mean.index, mean, "o-", color="black", linewidth=1.6)
        ax.set_xticks(range(len(order)), order, rotation=20 if len(order) > 3 else 0)
        label_axes(ax, "", unit or "value", "")
        ax.set_title(name, fontsize=7)
        tables.append(own[["label", "culture", "batch", "value"]].assign(feature=name))
    plot.table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["feature", "value"])
    return plot


def order_alike(rows: np.ndarray) -> np.ndarray:
    """(n,) an order of the rows in which alike ones are neighbours.

    >>> order_alike(np.array([[0.0], [9.0], [0.1], [9.1]])).tolist()
    [3, 1, 2, 0]
    """
    return leaves_list(linkage(rows, "average", optimal_ordering=True)) if len(rows) > 2 else np.arange(len(rows))
