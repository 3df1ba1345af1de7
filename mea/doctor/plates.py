"""Plates as the doctor shows them: a picture of each file's wells, and a plates.csv to be filled in."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mea.doctor.files import Examined
from mea.recordings.plates import ROW_LETTERS
from mea.recordings.recording import LabelledRecording
from mea.runtime.style import Plot, label_axes, new_plot, save_plot, styled
from mea.runtime.tables import write_table

MOST_LETTERS = 12  # of a label in a well


Well = tuple[LabelledRecording, float]  # with its firing rate, Hz


def group_wells(examined: Sequence[Examined]) -> list[list[Well]]:
    """The wells of each file that is a plate."""
    files: dict[str, list[Well]] = {}
    for one in examined:
        if isinstance(one.result, LabelledRecording) and one.result.source.well:
            files.setdefault(one.result.sha256, []).append((one.result, one.firing_rate_hz))
    return list(files.values())


def draw_plates(examined: Sequence[Examined], folder: Path) -> int:
    """Draw each file that is a plate to ``<file>_plate.png``, and return how many there are."""
    plates = group_wells(examined)
    for wells in plates:
        first, _ = wells[0]
        name = first.recording.removesuffix(f"_{first.source.well}")
        rows = [(recording.source.well, rate, recording.label) for recording, rate in wells]
        table = pd.DataFrame(rows, columns=["well", "firing_rate_hz", "label"])
        save_plot(plot_plate(table, name), folder / f"{name}_plate.png")
    return len(plates)


@styled
def plot_plate(wells: pd.DataFrame, title: str = "") -> Plot:
    """Firing rate (Hz, mean over electrodes; log scale) and label of each well.

    Parameters
    ----------
    wells
        Columns well (``A1``), firing_rate_hz (NaN where unknown) and label.
    title
        Above the panel.
    """
    place = [(ROW_LETTERS.index(name[0]), int(name[1:]) - 1) for name in wells["well"]]
    rows, cols = np.max(place, axis=0) + 1
    grid = np.full((rows, cols), np.nan)
    for (row, col), rate in zip(place, wells["firing_rate_hz"]):
        grid[row, col] = np.log10(max(rate, 1e-3)) if np.isfinite(rate) else np.nan
    plot, axes = new_plot(size=(1.8 + 0.75 * cols, 1.2 + 0.55 * rows))
    ax = axes[0, 0]
    shown = ax.imshow(grid, cmap="Greys", vmin=-3, vmax=max(1.0, float(np.nanmax(grid, initial=1.0))), aspect="auto")
    for (row, col), label in zip(place, wells["label"]):
        dark = np.isfinite(grid[row, col]) and grid[row, col] > -0.5
        text = label if len(label) <= MOST_LETTERS else f"{label[: MOST_LETTERS - 1]}…"
        ax.text(col, row, text or "?", ha="center", va="center", fontsize=7, color="white" if dark else "black")
    ax.set_xticks(range(cols), [str(col + 1) for col in range(cols)])
    ax.set_yticks(range(rows), list(ROW_LETTERS[:rows]))
    bar = plot.colorbar(shown, ax=ax, label="firing rate (Hz)")
    ticks = [tick for tick in range(-3, 3) if tick <= shown.norm.vmax]
    bar.set_ticks(ticks, labels=[f"{10.0**tick:g}" for tick in ticks])
    label_axes(ax, "", "", title)
    plot.table = wells
    return plot


def propose_plates(examined: Sequence[Examined], path: Path) -> int:
    """Write a plates.csv with a line for every well of every plate, and return how many wells there are.

    A file that gives the plate another day has no line of its own: a well is the same culture on every day.
    """
    found = {(one.source.plate, one.source.well) for wells in group_wells(examined) for one, _ in wells}
    ordered = sorted(found, key=lambda key: (key[0], key[1][0], int(key[1][1:])))
    table = pd.DataFrame(ordered, columns=["plate", "well"]).assign(label="", culture="", batch="")
    write_table(path, table)
    return len(table)
