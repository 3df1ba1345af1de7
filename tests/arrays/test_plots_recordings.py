"""Plots of recordings: traces, spikes drawn together, rasters."""

import numpy as np
from builders.plots import SAMPLING_RATE_HZ, list_axes, make_traces, plot_arrays
from PIL import Image

from mea.arrays.plots_recordings import (
    draw_raster,
    draw_trace,
    pick_samples,
    plot_overlay,
    plot_raster,
    plot_traces,
)
from mea.arrays.traces import Traces
from mea.runtime.style import new_plot, save_plot


def test_plots_name_their_axes_with_units():
    """Panels in order; the upper of two that share an axis leaves its name to the lower."""
    voltage = "voltage (µV)"
    grid = ("column of the grid", "row of the grid")
    expected = {
        "plot_traces": [("", voltage), ("", voltage), ("time (s)", voltage), ("time (s)", voltage)],
        "plot_overlay": [("time (s)", voltage)],
        "plot_raster": [
            ("", "electrode (number)"),
            ("time (s), in bins of 0.005 s", "mean rate\n(Hz per electrode)"),
        ],
        "plot_electrode_maps": [grid, grid, ("", "noise (µV)"), ("", "rate (Hz), log scale")],
        "plot_electrode_names": [grid],
        "plot_electrode_health": [grid, ("", "noise (µV)")],
    }
    assert list_axes(plot_arrays()) == expected


def test_short_trace_is_drawn_sample_by_sample(ax):
    signal = np.array([0.0, 3.0, -2.0, 8.0, 1.0])
    draw_trace(ax, signal, 100, start_s=2.0, peaks=np.array([3]), threshold_uv=5.0)
    trace, upper, lower, peaks = ax.lines
    np.testing.assert_array_equal(trace.get_ydata(), signal)
    np.testing.assert_allclose(trace.get_xdata(), [2.0, 2.01, 2.02, 2.03, 2.04], rtol=0, atol=1e-12)
    assert list(upper.get_ydata()) == [5.0, 5.0]
    assert list(lower.get_ydata()) == [-5.0, -5.0]
    assert (peaks.get_xdata().item(), peaks.get_ydata().item()) == (2.03, 8.0)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time (s)", "voltage (µV)")


def test_trace_over_samples_counts_from_the_recordings_start(ax):
    draw_trace(ax, np.arange(4.0), 100, start_s=2.0, axis="sample")
    assert list(ax.lines[0].get_xdata()) == [200, 201, 202, 203]
    assert ax.get_xlabel() == "sample"
    assert len(ax.lines) == 1


def test_thinning_keeps_the_extremes_of_every_piece():
    signals = np.random.default_rng(0).normal(size=(2, 100_003))
    picked = pick_samples(signals, bins=500)
    assert len(picked) <= 4 * 500
    assert picked.max() < 100_003
    width = -(-100_003 // 500)
    for start in range(0, 100_003, width):
        inside = picked[(picked >= start) & (picked < start + width)]
        piece = signals[:, start : start + width]
        assert signals[:, inside].max(axis=1).tolist() == piece.max(axis=1).tolist()
        assert signals[:, inside].min(axis=1).tolist() == piece.min(axis=1).tolist()


def test_thinned_trace_is_the_same_plot_as_the_whole(tmp_path):
    raw, _, _ = make_traces(120_000)
    images = []
    for bins in (2000, 10**9):
        picked = pick_samples(raw[:1], bins)
        plot, axes = new_plot(size=(5.0, 3.0))
        axes[0, 0].plot(picked, raw[0][picked], color="black", linewidth=0.7)
        save_plot(plot, tmp_path / f"{bins}.png")
        images.append(np.asarray(Image.open(tmp_path / f"{bins}.png").convert("L"), float))
    assert np.abs(images[0] - images[1]).mean() < 2.0  # of 255 grey levels
    assert len(pick_samples(raw[:1], 2000)) <= 4000 < len(picked)


def test_before_and_after_cleaning_share_time_and_mark_the_same_peaks():
    raw, cleaned, peaks = make_traces()
    plot = plot_traces(
        Traces(raw, cleaned, peaks, SAMPLING_RATE_HZ, np.array([20.0, 21.0]), ["F7", "G7"], start_s=1.0), title="x"
    )
    before_0, before_1, after_0, after_1 = plot.axes
    assert before_0.get_shared_x_axes().joined(before_0, after_1)
    assert [ax.get_title() for ax in plot.axes] == [
        "F7, before cleaning",
        "G7, before cleaning",
        "F7, after cleaning",
        "G7, after cleaning",
    ]
    for ax, peak, height in ((before_0, 10000, -90.0), (after_0, 10000, -90.0), (before_1, 15000, -91.0)):
        assert ax.lines[-1].get_xdata().tolist() == [(SAMPLING_RATE_HZ + peak) / SAMPLING_RATE_HZ]
        assert ax.lines[-1].get_ydata().tolist() == [height]
    assert not after_1.lines[0].get_ydata()[0]
    rows = plot.table[plot.table["peak"] == 1]
    assert rows["electrode"].tolist() == ["F7", "G7"]
    assert rows["raw_uv"].tolist() == rows["cleaned_uv"].tolist() == [-90.0, -91.0]
    assert rows["time_s"].tolist() == [1.4, 1.6]


def test_two_electrodes_together_with_and_without_peaks():
    raw, _, peaks = make_traces(1000)
    plain = plot_overlay(raw, SAMPLING_RATE_HZ, ["F7", "G7"]).axes[0]
    marked = plot_overlay(raw, SAMPLING_RATE_HZ, ["F7", "G7"], peaks).axes[0]
    assert [len(plain.lines), len(marked.lines)] == [2, 4]
    np.testing.assert_array_equal([line.get_ydata() for line in plain.lines], raw)
    assert plain.lines[0].get_color() != plain.lines[1].get_color()


def test_raster_shows_every_spike_and_electrode_0_on_top(ax):
    electrode, times = np.array([0, 2, 2]), np.array([0.5, 1.0, 1.5])
    draw_raster(ax, electrode, times, 4, 0.0, 2.0)
    assert ax.lines[0].get_xdata().tolist() == times.tolist()
    assert ax.lines[0].get_ydata().tolist() == electrode.tolist()
    bottom, top = ax.get_ylim()
    assert (bottom, top) == (3.5, -0.5)
    assert ax.get_xlim() == (0.0, 2.0)
    assert ax.get_xlabel() == "time (s)"


def test_raster_counts_every_spike_once_in_its_rates():
    electrode, times = np.array([0, 2, 2, 1]), np.array([0.0, 0.26, 0.49, 1.0])
    table = plot_raster(electrode, times, 4, 1.0, bins=4).table
    assert table["spikes"].tolist() == [1, 2, 0, 1]
    assert table["mean_firing_rate_hz"].tolist() == [1.0, 2.0, 0.0, 1.0]  # spikes / 0.25 s / 4 electrodes
    assert table["start_s"].tolist() == [0.0, 0.25, 0.5, 0.75]
