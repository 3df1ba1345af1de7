"""Plots of recordings in space: maps of noise and firing rate, the plain electrode map, which electrodes fail."""

from collections.abc import Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.patheffects import withStroke

from mea.runtime.style import ALARM, COLOUR_MAP, COLOURS, Plot, label_axes, new_plot, styled

LARGE = 32  # rows or columns from which on electrodes are dots of a size that can be seen, without lines and names
PANEL_POINTS = 230  # about the width of a map
FAILURES = {"dead": "x", "saturated": "s", "noisy": "^", "missing": "o"}  # how each is marked


@styled
def draw_electrode_map(
    ax: Axes,
    values: np.ndarray,
    label: str,
    log: bool = False,
    row_names: Sequence[str] | None = None,
    col_names: Sequence[str] | None = None,
    title: str = "",
) -> None:
    """Draw one number per electrode at its place on the grid, row 0 on top, with a colour bar.

    Parameters
    ----------
    ax
        Panel.
    values
        (rows, cols), NaN where there is no electrode: nothing is drawn there.
    label
        Name and unit of the values, for instance ``noise (µV)``.
    log
        Colours in proportion to the logarithm; electrodes at 0 are grey.
    row_names, col_names
        Names of rows and columns on the rig; numbers from 0 by default.
    title
        Above the panel.
    """
    values = np.asarray(values, float)
    positive = values[values > 0]  # NaN compares as false
    lowest = positive.min() if len(positive) else 0.1
    norm = LogNorm(lowest, max(positive.max(initial=1.0), 1.01 * lowest)) if log else Normalize()
    silent = log and bool((values == 0).any())
    colours = matplotlib.colormaps[COLOUR_MAP].with_extremes(under="0.8", bad="white")
    shown = np.where(values == 0, lowest / 2, values) if silent else values
    if max(values.shape) > LARGE:
        row, col = np.nonzero(np.isfinite(shown))
        size = max(2.5, PANEL_POINTS / max(values.shape)) ** 2
        image: ScalarMappable = ax.scatter(
            col, row, s=size, c=shown[row, col], marker="s", linewidth=0, cmap=colours, norm=norm
        )
        ax.set(xlim=(-0.7, values.shape[1] - 0.3), ylim=(values.shape[0] - 0.3, -0.7), aspect="equal")
    else:
        image = ax.imshow(np.ma.masked_invalid(shown), cmap=colours, norm=norm, origin="upper")
    bar = ax.figure.colorbar(image, ax=ax, shrink=0.85, extend="min" if silent else "neither")
    bar.set_label(f"{label}{', log scale' if log else ''}{'; grey: 0' if silent else ''}")
    label_grid(ax, values.shape, row_names, col_names)
    ax.set_title(title)


def label_grid(ax: Axes, shape, row_names, col_names) -> None:
    """Ticks, names and white lines between the places of a grid, (rows, cols); numbers where no names are given."""
    rows, cols = shape
    for axis, size, names in ((ax.yaxis, rows, row_names), (ax.xaxis, cols, col_names)):
        places = np.arange(0, size, -(-size // (16 if size <= LARGE else 8)))
        axis.set_ticks(places, [str(place if names is None else names[place]) for place in places])
        axis.set_ticks(np.arange(1, size) - 0.5 if max(shape) <= LARGE else [], minor=True)
    ax.tick_params(which="both", length=0)
    ax.grid(which="minor", color="white", linewidth=0.8)
    ax.set_axisbelow(False)
    ax.spines[:].set_visible(False)
    label_axes(ax, "column of the grid", "row of the grid")


@styled
def draw_electrode_names(
    ax: Axes, row: np.ndarray, col: np.ndarray, names: Sequence[str], rows: int, cols: int
) -> None:
    """Draw the plain electrode map: a circle with its name for each of n electrodes, row 0 on top.

    On a large grid the names stand in the plot's table only.
    """
    is_large = max(rows, cols) > LARGE
    size = 5.0 if is_large else 330 * (12 / max(rows, cols)) ** 2
    ax.scatter(col, row, s=size, facecolor="white", edgecolor=COLOURS[0], linewidth=0.9)
    for y, x, name in zip(row, col, names, strict=True) if not is_large else ():
        ax.text(x, y, name, ha="center", va="center", fontsize=min(9.0, 84 / max(rows, cols)))
    ax.set_xlim(-0.7, cols - 0.3)
    ax.set_ylim(rows - 0.3, -0.7)
    ax.set_aspect("equal")
    label_grid(ax, (rows, cols), None, None)
    ax.grid(visible=False, which="both")


@styled
def plot_electrode_names(
    row: np.ndarray, col: np.ndarray, names: Sequence[str], rows: int, cols: int, title: str = ""
) -> Plot:
    """The plain electrode map as a plot; its numbers are the electrodes' places."""
    plot, axes = new_plot(size=(5.2, 5.2), title=title)
    draw_electrode_names(axes[0, 0], row, col, names, rows, cols)
    plot.table = pd.DataFrame({"electrode": list(names), "row": row, "col": col})
    return plot


@styled
def plot_electrode_maps(
    noise_uv_grid: np.ndarray | None,
    firing_rate_hz_grid: np.ndarray,
    row_names: Sequence[str] | None = None,
    col_names: Sequence[str] | None = None,
    title: str = "",
) -> Plot:
    """Maps of each electrode's noise (µV) and firing rate (Hz, log scale), side by side.

    Parameters
    ----------
    noise_uv_grid
        (rows, cols), NaN where there is no electrode; None for a recording of spike times, which has no noise.
    firing_rate_hz_grid
        (rows, cols), NaN where there is no electrode.
    row_names, col_names
        Names of rows and columns on the rig; numbers from 0 by default.
    title
        Above both, for instance the recording.
    """
    maps = [("firing rate", "rate (Hz)", firing_rate_hz_grid, True)]
    if noise_uv_grid is not None:
        maps.insert(0, ("noise", "noise (µV)", noise_uv_grid, False))
    plot, axes = new_plot(1, len(maps), (4.5 * len(maps), 4.0), title)
    for ax, (name, label, values, log) in zip(axes[0], maps, strict=True):
        draw_electrode_map(ax, values, label, log, row_names, col_names, name)
    row, col = np.nonzero(np.isfinite(firing_rate_hz_grid))
    columns = {"row": row, "col": col}
    if noise_uv_grid is not None:
        columns["noise_uv"] = noise_uv_grid[row, col]
    plot.table = pd.DataFrame(columns | {"firing_rate_hz": firing_rate_hz_grid[row, col]})
    return plot


@styled
def plot_electrode_health(electrodes: pd.DataFrame, rows: int, cols: int, title: str = "") -> Plot:
    """Map of each electrode's noise (µV), those that fail marked.

    Parameters
    ----------
    electrodes
        One row an electrode of the layout: electrode (its name), row, col, noise_uv (NaN for one that is missing) and
        status: ``works`` or one of :data:`FAILURES`.
    rows, cols
        Size of the grid.
    title
        Above the map, for instance the recording.
    """
    plot, axes = new_plot(size=(6.2, 5.0), title=title)
    grid = np.full((rows, cols), np.nan)
    grid[electrodes["row"], electrodes["col"]] = electrodes["noise_uv"]
    draw_electrode_map(axes[0, 0], grid, "noise (µV)")
    halo = [withStroke(linewidth=3.0, foreground="white")]
    for status, marker in FAILURES.items():
        failing = electrodes[electrodes["status"] == status]
        if len(failing):
            style = {"facecolor": "none", "edgecolor": ALARM} if marker != "x" else {"color": ALARM}
            place = (failing["col"], failing["row"] - 0.12)
            axes[0, 0].scatter(
                *place,
                s=40,
                marker=marker,
                linewidth=1.4,
                label=f"{status}: {len(failing)}",
                path_effects=halo,
                **style,
            )
        for name, col, row in zip(failing["electrode"], failing["col"], failing["row"]):
            axes[0, 0].text(col, row + 0.34, name, ha="center", va="center", fontsize=6.0, path_effects=halo)
    if axes[0, 0].get_legend_handles_labels()[0]:
        plot.legend(loc="outside lower center", ncols=len(FAILURES))
    plot.table = electrodes
    return plot
