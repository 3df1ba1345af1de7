"""The plot of models side by side."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from mea.runtime.style import NEUTRAL, Plot, label_axes, new_plot, series_style, styled


@styled
def draw_models(ax: Axes, table: pd.DataFrame, headline: tuple[float, float, float], title: str = "") -> None:
    """Draw the accuracy of each model with its interval, below that of the headline.

    Parameters
    ----------
    ax
        Panel.
    table
        As :func:`mea.evaluation.models.compare_models` gives it.
    headline
        Accuracy of what was chosen, and its interval, 0 to 1.
    title
        Above the panel.
    """
    names = ["headline", *table["model"]]
    values = np.array([headline, *table[["accuracy", "accuracy_low", "accuracy_high"]].to_numpy(float)])
    accuracy, low, high = 100 * values.T
    for row, (name, middle) in enumerate(zip(names, accuracy)):
        style = series_style(row)
        reach = np.nan_to_num([[middle - low[row]], [high[row] - middle]])
        ax.errorbar(middle, row, xerr=reach, fmt=style["marker"], color=style["color"], capsize=3, label=name)
    ax.axvline(accuracy[0], color=NEUTRAL, linewidth=0.8, linestyle=":")
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_xlim(None, 101)
    label_axes(ax, "accuracy (%), with its interval", "", title)


@styled
def plot_models(table: pd.DataFrame, headline: tuple[float, float, float], title: str = "") -> Plot:
    """Models side by side as a plot; see :func:`draw_models`."""
    plot, axes = new_plot(size=(6.5, 1.2 + 0.45 * (len(table) + 1)))
    draw_models(axes[0, 0], table, headline, title)
    plot.table = table
    return plot
