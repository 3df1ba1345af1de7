"""Attributions of one recording: over the electrodes, along the time, by families of features."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import CenteredNorm, LinearSegmentedColormap

from mea.arrays.plots_electrodes import label_grid
from mea.runtime.style import COLOURS, Plot, label_axes, new_plot, styled

FOR, AGAINST = COLOURS[0], COLOURS[1]


@styled
def plot_attributions(attributions: pd.DataFrame, label: str, grid: tuple[int, int], title: str = "") -> Plot:
    """Electrodes, windows and families of features, each with its attribution to the predicted class.

    Parameters
    ----------
    attributions
        As :func:`mea.classification.occlusion.compute_attributions` gives them.
    label
        The predicted class.
    grid
        (rows, cols).
    title
        Of the plot, for instance the recording.
    """
    families = attributions[attributions["kind"] == "family"]
    whole = attributions["log_odds"].iloc[0]
    title = f"{title}: {label}, log odds {whole:+.2f}. Blue is evidence for it, orange against it"
    plot, axes = new_plot(1, 3 if len(families) else 2, (13.5 if len(families) else 9.5, 4.0), title)
    _draw_electrodes(axes[0, 0], attributions[attributions["kind"] == "electrode"], grid)
    _draw_windows(axes[0, 1], attributions[attributions["kind"] == "window"], whole)
    if len(families):
        _draw_families(axes[0, 2], families)
    plot.table = attributions
    return plot


def _draw_electrodes(ax: Axes, electrodes: pd.DataFrame, grid: tuple[int, int]) -> None:
    values = np.full(grid, np.nan)
    for part in electrodes.itertuples():
        values[int(part.row) : int(part.last_row) + 1, int(part.col) : int(part.last_col) + 1] = part.log_odds
    alone = bool((electrodes["row"] == electrodes["last_row"]).all())
    norm = CenteredNorm(0, max(np.nanmax(np.abs(values)), 1e-3))
    colours = LinearSegmentedColormap.from_list("attributions", [AGAINST, "0.96", FOR])
    image = ax.imshow(np.ma.masked_invalid(values), cmap=colours, norm=norm, origin="upper")
    ax.figure.colorbar(image, ax=ax, shrink=0.85).set_label("log odds lost without it")
    label_grid(ax, grid, None, None)
    ax.set_title("each electrode left out" if alone else "each part of the array left out")


def _draw_windows(ax: Axes, windows: pd.DataFrame, whole: float) -> None:
    colours = np.where(windows["log_odds"] >= 0, FOR, AGAINST)
    widths = windows["stop_s"] - windows["start_s"]
    ax.bar(windows["start_s"], windows["log_odds"], widths, align="edge", color=colours, edgecolor="white")
    ax.axhline(0, color="black", linewidth=0.8)
    ax.axhline(whole, color="black", linewidth=1.2, linestyle="--", label="the whole recording")
    ax.legend(loc="best")
    label_axes(ax, "time (s)", "log odds of the window alone", "each window alone")


def _draw_families(ax: Axes, families: pd.DataFrame) -> None:
    ordered = families.sort_values("log_odds")
    places = np.arange(len(ordered))
    ax.barh(places, ordered["log_odds"], color=np.where(ordered["log_odds"] >= 0, FOR, AGAINST))
    ax.axvline(0, color="black", linewidth=0.8)
    ax.set_yticks(places, ordered["family"].str.replace("_", " "))
    label_axes(ax, "log odds lost without it", "", "each family of features left out")
