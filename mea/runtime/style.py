"""One style for every plot: readable, safe for colour-blind eyes, and in black-and-white print."""

import warnings
from collections.abc import Callable
from functools import cache, wraps
from pathlib import Path
from typing import Any, TypeVar

import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from PIL import Image

from mea.runtime.files import fresh_file
from mea.runtime.tables import write_table

DPI = 110
COLOUR_MAP = "viridis"  # lightness rises evenly, so it reads the same in grey
NEUTRAL = "0.45"
ALARM = "#A30000"
# Okabe and Ito's palette (https://jfly.uni-koeln.de/color), without its yellow, which is lost on white paper.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1, 1, 1)), (0, (1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
HATCHES = ("", "///", "...", "xxx", "\\\\\\", "++", "oo")

# Fonts with Chinese, Japanese and Korean characters, on Linux, macOS and Windows; used where DejaVu Sans lacks one.
WIDE_FONTS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Source Han Sans SC", "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei", "Droid Sans Fallback", "PingFang SC", "Hiragino Sans", "Apple SD Gothic Neo",
    "Microsoft YaHei", "Yu Gothic", "Malgun Gothic", "Arial Unicode MS",
)  # fmt: skip
BOXES = (
    "some characters in plots are drawn as boxes, because no installed font has them. Install one that does, for "
    "instance Noto Sans CJK (Debian and Ubuntu: apt-get install fonts-noto-cjk)."
)


def list_fonts() -> list[str]:
    """Font families in the order in which a character is looked for; only those that are installed."""
    installed = {font.name for font in fontManager.ttflist}
    return ["DejaVu Sans", *(name for name in WIDE_FONTS if name in installed)]


STYLE = {
    "font.family": list_fonts(),
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "figure.titlesize": 10.5,
    "legend.fontsize": 8.0,
    "legend.frameon": True,
    "legend.framealpha": 0.85,
    "legend.edgecolor": "0.8",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.axisbelow": True,
    "grid.color": "0.88",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.5,
    "hatch.linewidth": 0.6,
    "hatch.color": "white",
    "path.simplify": True,
}

Drawing = TypeVar("Drawing", bound=Callable[..., Any])


class Plot(Figure):
    """A matplotlib figure that carries the numbers it shows: ``table``, saved beside it."""

    table: pd.DataFrame | None = None


def styled(draw: Drawing) -> Drawing:
    """Run a drawing function in this style, whatever the user's own matplotlib settings are."""

    @wraps(draw)
    def draw_in_style(*arguments: Any, **options: Any) -> Any:
        with matplotlib.style.context(STYLE, after_reset=True):
            return draw(*arguments, **options)

    return draw_in_style  # type: ignore[return-value]


def series_style(index: int) -> dict[str, Any]:
    """Colour, line style, marker and hatch of the ``index``-th series; the four change together."""
    return {
        "color": COLOURS[index % len(COLOURS)],
        "linestyle": LINES[index % len(LINES)],
        "marker": MARKERS[index % len(MARKERS)],
        "hatch": HATCHES[index % len(HATCHES)],
    }


@styled
def new_plot(
    rows: int = 1, cols: int = 1, size: tuple[float, float] = (7.0, 4.0), title: str = "", **subplots: Any
) -> tuple[Plot, np.ndarray]:
    """An empty plot without any global state.

    Parameters
    ----------
    rows, cols
        Panels.
    size
        Width and height in inches, at 110 dots per inch.
    title
        Above all panels.
    **subplots
        Passed to :meth:`matplotlib.figure.Figure.subplots`, for instance ``sharex=True``.

    Returns
    -------
    plot, axes
        ``axes`` has the shape (rows, cols).
    """
    plot = Plot(figsize=size, dpi=DPI, layout="constrained")
    FigureCanvasAgg(plot)
    if title:
        plot.suptitle(title)
    return plot, plot.subplots(rows, cols, squeeze=False, **subplots)


def new_panels(count: int, size: tuple[float, float] = (3.2, 2.7)) -> tuple[Plot, list[Axes]]:
    """So many panels, three to a row, each of this size in inches; what is left over of the last row is empty."""
    cols = min(3, max(count, 1))
    rows = -(-max(count, 1) // cols)
    plot, axes = new_plot(rows, cols, size=(size[0] * cols, size[1] * rows))
    panels = list(axes.ravel())
    for ax in panels[count:]:
        ax.set_axis_off()
    return plot, panels


def label_axes(ax: Axes, x: str, y: str, title: str = "") -> None:
    """Name both axes, with their units in brackets, and the panel."""
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    if title:
        ax.set_title(title)


@styled
def save_plot(figure: Figure, path: Path, table: pd.DataFrame | None = None) -> None:
    """Write a plot as PNG (256 colours) and its numbers as ``<stem>.csv`` beside it, each whole or not at all.

    The same figure gives the same bytes: no date and no program version are written.

    Parameters
    ----------
    figure
        Any figure; a :class:`Plot` brings its own numbers.
    path
        Of the PNG.
    table
        Numbers to write instead of the plot's own.
    """
    canvas = FigureCanvasAgg(figure)
    _draw(canvas)
    image = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    with fresh_file(path) as work:
        # A palette makes the file a third as large; nothing that could differ from run to run is written.
        image.quantize(256, dither=Image.Dither.NONE).save(work, format="png", optimize=True, dpi=(DPI, DPI))
    table = getattr(figure, "table", None) if table is None else table
    if table is not None:
        write_table(path.with_suffix(".csv"), table)


def _draw(canvas: FigureCanvasAgg) -> None:
    """Draw; one warning stands for all characters that are in no font."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        canvas.draw()
    missing = [one for one in caught if "missing from font" in str(one.message)]
    for one in caught:
        if one not in missing:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
    if missing:
        _warn_of_boxes()


@cache
def _warn_of_boxes() -> None:
    """Once a process: a recording's name is in many plots."""
    warnings.warn(BOXES, stacklevel=2)
