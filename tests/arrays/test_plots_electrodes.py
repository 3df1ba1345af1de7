"""Plots of electrodes: maps, names and health, at the right places."""

import numpy as np
import pandas as pd
import pytest
from builders.plots import make_grid, make_health
from matplotlib.colors import to_hex
from PIL import Image

from mea.arrays.plots_electrodes import (
    draw_electrode_map,
    plot_electrode_health,
    plot_electrode_maps,
    plot_electrode_names,
)
from mea.arrays.plots_recordings import (
    plot_raster,
)
from mea.runtime.style import new_plot, save_plot


@pytest.mark.filterwarnings("error")
def test_silent_recording_can_be_drawn(tmp_path):
    save_plot(plot_raster(np.zeros(0, int), np.zeros(0), 8, 5.0), tmp_path / "raster.png")
    save_plot(plot_electrode_maps(np.ones((2, 2)), np.zeros((2, 2))), tmp_path / "maps.png")


def test_electrode_map_has_row_0_on_top_and_nothing_where_there_is_no_electrode(ax):
    grid = make_grid()
    draw_electrode_map(ax, grid, "noise (µV)", row_names="123", col_names="ABCD")
    drawn = ax.images[0].get_array()
    np.testing.assert_array_equal(np.ma.getmaskarray(drawn), np.isnan(grid))
    np.testing.assert_array_equal(drawn.compressed(), grid[np.isfinite(grid)])
    left, right, bottom, top = ax.images[0].get_extent()
    assert (left, right) == (-0.5, 3.5)
    assert ax.images[0].origin == "upper"
    assert top < bottom
    assert ax.get_ylim() == (2.5, -0.5)
    assert [text.get_text() for text in ax.get_yticklabels()] == ["1", "2", "3"]
    assert [text.get_text() for text in ax.get_xticklabels()] == ["A", "B", "C", "D"]
    assert ax.figure.axes[1].get_ylabel() == "noise (µV)"


def test_missing_electrode_is_white_in_the_saved_plot(tmp_path, ax):
    draw_electrode_map(ax, np.array([[np.nan, 1.0], [2.0, 3.0]]), "noise (µV)")
    save_plot(ax.figure, tmp_path / "map.png")
    image = np.asarray(Image.open(tmp_path / "map.png").convert("RGB"))

    def colour_at(row, col):
        x, y = ax.transData.transform((col - 0.2, row - 0.2))
        return tuple(int(value) for value in image[image.shape[0] - round(y), round(x)])

    assert colour_at(0, 0) == (255, 255, 255)
    assert len({colour_at(0, 0), colour_at(0, 1), colour_at(1, 0), colour_at(1, 1)}) == 4


def test_silent_electrodes_are_grey_on_a_log_scale(ax):
    draw_electrode_map(ax, np.array([[0.0, 0.5], [5.0, np.nan]]), "rate (Hz)", log=True)
    image = ax.images[0]
    colours = image.to_rgba(image.get_array())
    assert to_hex(colours[0, 0]) == "#cccccc"
    assert to_hex(colours[0, 1]) == "#440154"  # the two ends of viridis
    assert to_hex(colours[1, 0]) == "#fde725"
    assert ax.figure.axes[1].get_ylabel() == "rate (Hz), log scale; grey: 0"


def test_maps_save_one_line_per_electrode():
    grid = make_grid()
    both, spikes_only = plot_electrode_maps(grid, grid + 1), plot_electrode_maps(None, grid + 1)
    assert len(both.table) == len(spikes_only.table) == 10
    assert both.table.iloc[0].to_dict() == {"row": 0, "col": 1, "noise_uv": 1.0, "firing_rate_hz": 2.0}
    assert list(spikes_only.table) == ["row", "col", "firing_rate_hz"]
    assert [len(both.axes), len(spikes_only.axes)] == [4, 2]


def test_failing_electrodes_are_marked_at_their_places():
    plot = plot_electrode_health(make_health(), 3, 4)
    ax, table = plot.axes[0], make_health()
    found = {
        marks.get_label(): {tuple(place) for place in marks.get_offsets().round().data} for marks in ax.collections
    }
    assert found == {
        "dead: 2": {(1, 0), (3, 1)},
        "noisy: 1": {(2, 1)},
        "saturated: 1": {(0, 2)},
        "missing: 1": {(3, 2)},
    }
    assert {text.get_text() for text in ax.texts} == {"B1", "C2", "D2", "A3", "D3"}
    shown = ax.images[0].get_array()
    assert shown[2, 0] == 300 and shown.mask[2, 3] and shown.mask[0, 2]
    assert [text.get_text() for text in plot.legends[0].get_texts()] == [
        "dead: 2",
        "saturated: 1",
        "noisy: 1",
        "missing: 1",
    ]
    works = plot_electrode_health(table[table["status"] == "works"], 3, 4)
    assert not works.legends and not works.axes[0].texts


def test_plain_electrode_map_writes_each_name_at_its_place():
    ax = plot_electrode_names(np.array([0, 1]), np.array([1, 0]), ["B1", "A2"], 2, 2).axes[0]
    assert {text.get_text(): text.get_position() for text in ax.texts} == {"B1": (1, 0), "A2": (0, 1)}
    assert ax.get_ylim()[0] > ax.get_ylim()[1]


def test_electrodes_of_a_large_grid_are_dots_that_can_be_seen_at_their_places(tmp_path):
    values = np.full((120, 220), np.nan)
    values[3, 200], values[100, 7] = 1.0, 5.0
    plot, axes = new_plot()
    draw_electrode_map(axes[0, 0], values, "noise (µV)")
    (dots,) = axes[0, 0].collections
    assert sorted(map(tuple, dots.get_offsets().tolist())) == [(7.0, 100.0), (200.0, 3.0)]
    assert dots.get_sizes().min() >= 6 and sorted(dots.get_array().tolist()) == [1.0, 5.0]
    assert axes[0, 0].yaxis_inverted() and len(axes[0, 0].get_xticks()) <= 8
    save_plot(plot, tmp_path / "map.png", pd.DataFrame({"a": [1]}))
    with Image.open(tmp_path / "map.png") as image:
        assert len(set(image.convert("RGB").getdata())) > 20  # dots in two colours, and the colour bar


def test_names_of_a_large_grid_stand_in_the_table_only():
    row, col = np.array([3, 100]), np.array([200, 7])
    plot = plot_electrode_names(row, col, ["860", "22007"], 120, 220)
    assert not plot.axes[0].texts
    assert plot.table["electrode"].tolist() == ["860", "22007"]
