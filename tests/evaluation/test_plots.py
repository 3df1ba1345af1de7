"""What the plots show: the numbers that were given, at the right places, named with units, the same bytes again."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from PIL import Image

from mea.arrays.plots_electrodes import (
    draw_electrode_map,
    plot_electrode_health,
    plot_electrode_maps,
    plot_electrode_names,
)
from mea.arrays.plots_recordings import (
    draw_raster,
    draw_trace,
    pick_samples,
    plot_overlay,
    plot_raster,
    plot_traces,
)
from mea.classification.plots import AGAINST, FOR, plot_attributions
from mea.evaluation import plots_evaluation
from mea.evaluation.evaluation import ScoreSettings
from mea.evaluation.plots_honesty import plot_confounds, plot_optimism, plot_permutation
from mea.evaluation.plots_scores import (
    draw_classification_report,
    draw_confusion,
    draw_recordings,
    draw_reliability,
    draw_roc,
    plot_confusion,
    plot_recordings,
    plot_reliability,
    plot_report,
    plot_roc,
)
from mea.evaluation.plots_selective import plot_conformal, plot_risk_coverage
from mea.runtime.style import COLOURS, Plot, new_plot, save_plot, series_style
from mea.training.plots import draw_chunk_bars, draw_learning_curves, draw_pie, plot_chunks, plot_curves

RATE_HZ = 25000


@pytest.fixture
def ax():
    return new_plot()[1][0, 0]


def make_traces(n_samples=30000):
    """Two electrodes of noise with one planted spike each, and the cleaned traces."""
    raw = np.random.default_rng(3).normal(0, 4, (2, n_samples))
    peaks = [np.array([n_samples // 3]), np.array([n_samples // 2])]
    cleaned = np.zeros_like(raw)
    for row, (peak,) in enumerate(peaks):
        raw[row, peak] = -90.0 - row
        cleaned[row, peak - 5 : peak + 6] = raw[row, peak - 5 : peak + 6]
    return raw, cleaned, peaks


def make_grid():
    grid = np.arange(12.0).reshape(3, 4)
    grid[0, 0] = grid[2, 3] = np.nan
    return grid


def make_health():
    rows = [
        ("A1", 0, 0, 5.0, "works"),
        ("B1", 0, 1, 0.1, "dead"),
        ("C2", 1, 2, 60.0, "noisy"),
        ("D2", 1, 3, 4.0, "dead"),
    ]
    rows += [("A3", 2, 0, 300.0, "saturated"), ("D3", 2, 3, np.nan, "missing")]
    return pd.DataFrame(rows, columns=["electrode", "row", "col", "noise_uv", "status"])


def make_counts():
    rows = [("fold 0", "a", 30), ("fold 0", "b", 10), ("fold 1", "a", 25), ("fold 1", "b", 35)]
    return pd.DataFrame(rows, columns=["fold", "label", "chunks"])


def make_curves(epochs=4):
    table = pd.DataFrame([(epoch, fold) for fold in (0, 1) for epoch in range(epochs)], columns=["epoch", "fold"])
    for order, name in enumerate(("train_loss", "validation_loss", "train_accuracy", "validation_accuracy")):
        table[name] = (1 + table["epoch"] + 10 * table["fold"] + order) / 50
    return table


def make_predictions(n_recordings, labels=("a", "b")):
    generator = np.random.default_rng(5)
    chances = generator.dirichlet(np.ones(len(labels)), n_recordings)
    actual = np.arange(n_recordings) % len(labels)
    columns = {
        "recording": [f"rec_{number}" for number in range(n_recordings)],
        "label": [labels[index] for index in actual],
        "predicted": [labels[index] for index in chances.argmax(axis=1)],
    }
    return pd.DataFrame(columns | {f"p_{label}": chances[:, index] for index, label in enumerate(labels)})


def make_plots():
    """One of every plot there is, by the name of the function that makes it."""
    raw, cleaned, peaks = make_traces()
    curve = (np.array([0, 0, 1.0]), np.array([0, 0.8, 1.0]), 0.9)
    bins = pd.DataFrame({"confidence": [0.6, 0.9], "accuracy": [0.5, 0.8], "count": [4, 7]})
    bins = bins.assign(accuracy_low=[0.1, 0.4], accuracy_high=[0.9, 1.0])
    report = pd.DataFrame({"label": ["a", "b"], "f1": [0.5, np.nan], "recordings": [3, 4]})
    grid = make_grid()
    return {
        "plot_traces": plot_traces(raw, cleaned, peaks, RATE_HZ, np.array([20.0, 21.0]), ["F7", "G7"]),
        "plot_overlay": plot_overlay(raw, RATE_HZ, ["F7", "G7"], peaks),
        "plot_raster": plot_raster(np.array([0, 1, 1]), np.array([0.1, 0.5, 0.9]), 3, 1.0),
        "plot_electrode_maps": plot_electrode_maps(grid, grid),
        "plot_electrode_names": plot_electrode_names(np.array([0, 1]), np.array([1, 0]), ["B1", "A2"], 2, 2),
        "plot_electrode_health": plot_electrode_health(make_health(), 3, 4),
        "plot_chunks": plot_chunks(make_counts()),
        "plot_curves": plot_curves(make_curves()),
        "plot_confusion": plot_confusion(np.array([[3, 1], [0, 4]]), ["a", "b"]),
        "plot_report": plot_report(report),
        "plot_roc": plot_roc({"a": curve}),
        "plot_reliability": plot_reliability(bins),
        "plot_recordings": plot_recordings(make_predictions(9)),
        "plot_risk_coverage": plot_risk_coverage(make_risk_curve(), 0.8, 0.05, 0.1),
        "plot_conformal": plot_conformal(make_coverage(), 0.9),
        "plot_permutation": plot_permutation(np.linspace(0.2, 0.8, 50), 0.9, 0.02),
        "plot_confounds": plot_confounds(make_audit(), {"duration_s": "recording length"}, 0.5),
        "plot_attributions": plot_attributions(make_attributions(), "a", (2, 2), "r1"),
        "plot_optimism": plot_optimism({"label": 0.6, "chunk_split": 0.9, "recording": np.nan, "chance": 0.1}),
    }


def make_attributions():
    electrodes = [{"kind": "electrode", "row": k // 2, "col": k % 2, "log_odds": k - 1.0} for k in range(3)]
    windows = [{"kind": "window", "start_s": 30 * k, "stop_s": 30 * k + 30, "log_odds": 1.0 - k} for k in range(3)]
    families = [{"kind": "family", "family": name, "log_odds": odds} for name, odds in (("rates", 0.5), ("runs", -0.2))]
    columns = ["kind", "row", "col", "start_s", "stop_s", "family", "log_odds"]
    return pd.DataFrame([{"kind": "whole", "log_odds": 1.5}, *electrodes, *windows, *families], columns=columns)


def make_audit():
    rows = [("all together", 0.7, 0.75, 0.001, True, None), ("duration_s", 0.5, 0.5, 0.4, False, None)]
    return pd.DataFrame(rows, columns=["metadata", "accuracy", "balanced_accuracy", "p_value", "alarm", "predicted"])


def make_risk_curve():
    return pd.DataFrame({"coverage": [0.25, 0.5, 1.0], "risk": [0.0, 0.0, 0.25], "threshold": [0.9, 0.8, 0.6]})


def make_coverage():
    rows = [("a", 20, 0.9, 0.7, 0.98, 0.0, 0.7), ("b", 40, 0.95, 0.85, 0.99, 0.1, 0.6)]
    names = ["label", "count", "coverage", "coverage_low", "coverage_high", "empty_fraction", "single_fraction"]
    return pd.DataFrame(rows, columns=names)


def shown_texts(ax):
    return [text.get_text() for text in ax.texts]


# --- every plot ----------------------------------------------------------------------------------------------------


def test_every_plot_function_is_tested_here():
    rooms = Path(__file__).parents[2] / "mea"
    source = "\n".join(path.read_text(encoding="utf-8") for path in rooms.glob("*/plots*.py"))
    starts = [line.split("(")[0] for line in source.splitlines() if line.startswith("def plot_")]
    functions = {start.removeprefix("def ") for start in starts}
    assert functions == set(make_plots())


def test_every_plot_names_its_axes_with_units():
    """Panels in order; the upper of two that share an axis leaves its name to the lower."""
    voltage, grid = "voltage (µV)", ("column of the grid", "row of the grid")
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
        "plot_chunks": [("fold", "chunks (number)"), ("", "")],  # a pie has no axes
        "plot_curves": [("epoch", "loss (nats)"), ("epoch", "accuracy (%)")],
        "plot_confusion": [("predicted label", "actual label"), ("", "share of the actual label (%)")],
        "plot_report": [("", "")],  # a table has no axes
        "plot_roc": [("false positive rate (%)", "true positive rate (%)")],
        "plot_reliability": [("", "right (%)"), ("confidence (%)", "count (number)")],
        "plot_recordings": [("probability of its own label (%)", "recording")],
        "plot_risk_coverage": [("called, surest first (%)", "wrong among those called (%)")],
        "plot_conformal": [
            ("sets that hold the actual label (%)", "actual label (recordings)"),
            ("sets that name so many (%)", ""),
        ],
        "plot_permutation": [("balanced accuracy over recordings (%)", "permutations (number)")],
        "plot_confounds": [("balanced accuracy from metadata alone (%)", "")],
        "plot_attributions": [
            grid,
            ("time (s)", "log odds of the window alone"),
            ("log odds lost without it", ""),
            ("", "log odds lost without it"),
        ],
        "plot_optimism": [("held-out chunks named rightly (%)", "")],
    }
    shown = {name: [(ax.get_xlabel(), ax.get_ylabel()) for ax in made.axes] for name, made in make_plots().items()}
    assert shown == expected


def test_every_plot_is_saved_with_its_numbers(tmp_path):
    for name, plot in make_plots().items():
        save_plot(plot, tmp_path / f"{name}.png")
        table = pd.read_csv(tmp_path / f"{name}.csv")
        assert len(table) > 0
        pd.testing.assert_frame_equal(table, plot.table.reset_index(drop=True), check_dtype=False, rtol=1e-8)


def test_same_numbers_give_the_same_bytes(tmp_path):
    for name, plot in make_plots().items():
        save_plot(plot, tmp_path / f"{name}_1.png")
    for name, plot in make_plots().items():
        save_plot(plot, tmp_path / f"{name}_2.png")
        first, second = ((tmp_path / f"{name}_{number}.png").read_bytes() for number in (1, 2))
        assert first == second
        assert len(first) < 100_000


def test_plots_hold_no_text_chunks_and_have_256_colours_at_most(tmp_path):
    save_plot(make_plots()["plot_roc"], tmp_path / "roc.png")
    with Image.open(tmp_path / "roc.png") as image:
        assert image.mode == "P"
        assert image.size == (528, 506)  # 4.8 x 4.6 inches at 110 dots per inch
        assert set(image.info) == {"dpi"}


def test_saving_leaves_no_other_file_and_a_failed_save_leaves_the_old_one(tmp_path, ax):
    path = tmp_path / "new" / "trace.png"
    save_plot(ax.figure, path)
    before = path.read_bytes()
    assert [entry.name for entry in path.parent.iterdir()] == ["trace.png"]
    ax.set_title("$\\nosuchsymbol$")
    with pytest.raises(ValueError, match="nosuchsymbol"):
        save_plot(ax.figure, path)
    assert [entry.name for entry in path.parent.iterdir()] == ["trace.png"]
    assert path.read_bytes() == before


def test_given_table_stands_beside_the_plot_whole(tmp_path, ax):
    table = pd.DataFrame({"time_s": [0.1, 119.99996], "spikes": [3, 4], "name": ['µV, "x"', "b"]})
    save_plot(ax.figure, tmp_path / "a.b.png", table)
    assert (tmp_path / "a.b.csv").read_bytes() == 'time_s,spikes,name\n0.1,3,"µV, ""x"""\n119.99996,4,b\n'.encode()


def test_plots_leave_pyplot_and_the_users_settings_alone():
    code = (
        "import sys, tempfile, matplotlib\n"
        "from test_plots import make_plots, save_plot, Path\n"
        "matplotlib.rcParams['font.size'] = 31.0\n"
        "names = set(matplotlib.rcParams) - {'backend'}  # asking for the backend imports pyplot\n"
        "before = {name: matplotlib.rcParams[name] for name in names}\n"
        "with tempfile.TemporaryDirectory() as folder:\n"
        "    for plot in make_plots().values(): save_plot(plot, Path(folder) / 'x.png')\n"
        "assert 'matplotlib.pyplot' not in sys.modules, 'pyplot was imported'\n"
        "assert {name: matplotlib.rcParams[name] for name in names} == before, 'settings changed'\n"
    )
    here = Path(__file__).resolve().parent
    subprocess.run(
        [sys.executable, "-c", code], check=True, cwd=here, env=os.environ | {"PYTHONPATH": f"{here.parents[1]}"}
    )


def test_users_settings_change_nothing(tmp_path):
    import matplotlib

    save_plot(make_plots()["plot_confusion"], tmp_path / "plain.png")
    with matplotlib.rc_context({"font.size": 31.0, "image.origin": "lower", "lines.linewidth": 9}):
        save_plot(make_plots()["plot_confusion"], tmp_path / "odd.png")
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "odd.png").read_bytes()


def test_series_differ_in_print_too():
    styles = [series_style(index) for index in range(len(COLOURS))]
    for key in ("color", "linestyle", "marker", "hatch"):
        assert len({str(style[key]) for style in styles}) == len(COLOURS)


# --- traces -------------------------------------------------------------------------------------------------------


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
    plot = plot_traces(raw, cleaned, peaks, RATE_HZ, np.array([20.0, 21.0]), ["F7", "G7"], start_s=1.0, title="x")
    before_0, before_1, after_0, after_1 = plot.axes
    assert before_0.get_shared_x_axes().joined(before_0, after_1)
    assert [ax.get_title() for ax in plot.axes] == [
        "F7, before cleaning",
        "G7, before cleaning",
        "F7, after cleaning",
        "G7, after cleaning",
    ]
    for ax, peak, height in ((before_0, 10000, -90.0), (after_0, 10000, -90.0), (before_1, 15000, -91.0)):
        assert ax.lines[-1].get_xdata().tolist() == [(RATE_HZ + peak) / RATE_HZ]
        assert ax.lines[-1].get_ydata().tolist() == [height]
    assert not after_1.lines[0].get_ydata()[0]
    rows = plot.table[plot.table["peak"] == 1]
    assert rows["electrode"].tolist() == ["F7", "G7"]
    assert rows["raw_uv"].tolist() == rows["cleaned_uv"].tolist() == [-90.0, -91.0]
    assert rows["time_s"].tolist() == [1.4, 1.6]


def test_two_electrodes_together_with_and_without_peaks():
    raw, _, peaks = make_traces(1000)
    plain = plot_overlay(raw, RATE_HZ, ["F7", "G7"]).axes[0]
    marked = plot_overlay(raw, RATE_HZ, ["F7", "G7"], peaks).axes[0]
    assert [len(plain.lines), len(marked.lines)] == [2, 4]
    np.testing.assert_array_equal([line.get_ydata() for line in plain.lines], raw)
    assert plain.lines[0].get_color() != plain.lines[1].get_color()


# --- rasters and maps ---------------------------------------------------------------------------------------------


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


# --- training -----------------------------------------------------------------------------------------------------


def test_chunk_bars_stack_the_labels_of_each_fold(ax):
    draw_chunk_bars(ax, make_counts())
    first, second = ax.containers
    assert [bar.get_height() for bar in first] == [30, 25]
    assert [bar.get_height() for bar in second] == [10, 35]
    assert [bar.get_y() for bar in second] == [30, 25]
    assert shown_texts(ax) == ["30", "25", "10", "35"]
    assert first[0].get_hatch() != second[0].get_hatch()
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("fold", "chunks (number)")


def test_pie_has_a_wedge_per_label_and_fold_and_says_its_share(ax):
    draw_pie(ax, make_counts())
    angles = [wedge.theta2 - wedge.theta1 for wedge in ax.patches]
    np.testing.assert_allclose(angles, [108, 90, 36, 126], atol=1e-3)
    assert [text for text in shown_texts(ax) if text] == [
        "a, fold 0\n30 (30 %)",
        "a, fold 1\n25 (25 %)",
        "b, fold 0\n10 (10 %)",
        "b, fold 1\n35 (35 %)",
    ]


def test_folds_may_be_numbers(ax):
    counts = make_counts().assign(fold=[0, 0, 1, 1])
    draw_pie(ax, counts)
    assert "a, fold 1\n25 (25 %)" in shown_texts(ax)
    bars = new_plot()[1][0, 0]
    draw_chunk_bars(bars, counts)
    assert [text.get_text() for text in bars.get_xticklabels()] == ["0", "1"]


def test_learning_curves_show_both_sides_of_every_fold(ax):
    table = make_curves()
    draw_learning_curves(ax, table, "loss")
    validation_0, train_0, validation_1, _ = ax.lines
    assert validation_0.get_ydata().tolist() == table["validation_loss"][:4].tolist()
    assert train_0.get_ydata().tolist() == table["train_loss"][:4].tolist()
    assert validation_1.get_xdata().tolist() == [0, 1, 2, 3]
    assert [validation_0.get_linestyle(), train_0.get_linestyle()] == ["-", "--"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "loss (nats)")


def test_curves_leave_out_an_accuracy_that_is_not_known():
    both, loss_only = plot_curves(make_curves()), plot_curves(make_curves().drop(columns="train_accuracy"))
    assert [ax.get_ylabel() for ax in both.axes] == ["loss (nats)", "accuracy (%)"]
    assert [ax.get_ylabel() for ax in loss_only.axes] == ["loss (nats)"]
    np.testing.assert_allclose(both.axes[1].lines[0].get_ydata()[:1], 100 * make_curves()["validation_accuracy"][0])


# --- scores -------------------------------------------------------------------------------------------------------


def test_confusion_writes_counts_and_shares_of_the_actual_label(ax):
    draw_confusion(ax, np.array([[340, 60], [5, 495]]), ["w_oMNPs", "withMNPs"], "base")
    assert {text.get_position(): text.get_text() for text in ax.texts} == {
        (0, 0): "340\n85.0 %",
        (1, 0): "60\n15.0 %",
        (0, 1): "5\n1.0 %",
        (1, 1): "495\n99.0 %",
    }
    assert ax.get_ylim() == (1.5, -0.5)
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("predicted label", "actual label", "base")


def test_confusion_of_several_labels_one_of_them_absent():
    plot = plot_confusion(np.array([[2, 1, 1], [0, 0, 0], [0, 3, 0]]), ["a", "b", "c"])
    table = plot.table.set_index(["actual", "predicted"])
    assert len(table) == len(plot.axes[0].texts) == 9
    assert table.loc[("a", "a")].tolist() == [2, 50.0]
    assert table.loc[("c", "b")].tolist() == [3, 100.0]
    assert table.loc["b"]["percent_of_actual"].tolist() == [0.0, 0.0, 0.0]


def test_report_writes_every_cell(ax):
    report = pd.DataFrame({"label": ["a", "accuracy"], "recall": [0.98765, np.nan], "recordings": [20, 42.0]})
    report["precision"] = 1.0
    draw_classification_report(ax, report)
    cells = {place: cell.get_text().get_text() for place, cell in ax.tables[0].get_celld().items()}
    assert [cells[0, col] for col in range(4)] == ["label", "recall", "recordings", "precision"]
    assert [cells[1, col] for col in range(4)] == ["a", "0.988", "20", "1.000"]
    assert [cells[2, col] for col in range(4)] == ["accuracy", "–", "42", "1.000"]


def test_roc_draws_every_label_and_chance(ax):
    curves = {
        "a": (np.array([0, 0.0, 1]), np.array([0, 0.8, 1]), 0.9),
        "b": (np.array([0, 0.5, 1]), np.array([0, 0.6, 1]), 0.55),
    }
    draw_roc(ax, curves)
    assert len(ax.lines) == 3
    assert ax.lines[1].get_xdata().tolist() == [0, 50, 100]
    assert ax.lines[0].get_ydata().tolist() == [0, 80, 100]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a (area 0.900)", "b (area 0.550)", "chance"]
    assert plot_roc(curves).table["label"].tolist() == ["a"] * 3 + ["b"] * 3


def test_reliability_shows_counts_and_intervals_and_leaves_empty_bins_out(ax):
    columns = {"confidence": [0.55, np.nan, 0.95], "accuracy": [0.5, np.nan, 0.9], "count": [4, 0, 30]}
    columns |= {"accuracy_low": [0.07, np.nan, 0.73], "accuracy_high": [0.93, np.nan, 0.98]}
    draw_reliability(ax, pd.DataFrame(columns))
    np.testing.assert_allclose(ax.lines[1].get_xdata(), [55, 95])
    np.testing.assert_allclose(ax.lines[1].get_ydata(), [50, 90])
    (intervals,) = ax.collections
    np.testing.assert_allclose(intervals.get_segments(), [[[55, 7], [55, 93]], [[95, 73], [95, 98]]])
    assert shown_texts(ax) == ["4", "30"]
    assert "as if\nall in it were independent" in ax.get_legend().get_texts()[1].get_text(), "it ignores groups"
    bars = plot_reliability(pd.DataFrame(columns)).axes[1].patches
    assert [bar.get_height() for bar in bars] == [4, 30]


@pytest.mark.parametrize("unit", ["recording", "chunk"])
def test_titles_say_what_is_shown_and_of_what(tmp_path, monkeypatch, unit):
    titles = {}

    def keep(figure, path, _table=None):
        titles[path.stem] = figure.axes[0].get_title()

    monkeypatch.setattr(plots_evaluation, "save_plot", keep)
    plots_evaluation.draw_unit(tmp_path, unit, make_predictions(20), ScoreSettings(["a", "b"], 10, 0.95), "")
    assert set(titles) == {f"{kind}_{unit}" for kind in ("confusion", "report", "reliability", "roc")}
    for title in titles.values():
        shown, _, scored = title.partition(": ")
        assert len(shown.split()) > 3 and scored == f"held-out {unit}s"
    assert len(set(titles.values())) == 4


@pytest.mark.parametrize("n_recordings", [10, 200])
@pytest.mark.parametrize("labels", [("a", "b"), ("a", "b", "c")])
def test_recordings_show_the_probability_of_their_own_label_and_mark_the_wrong_ones(ax, n_recordings, labels):
    predictions = make_predictions(n_recordings, labels)
    draw_recordings(ax, predictions)
    own = sorted(100 * row[f"p_{row['label']}"] for row in predictions.to_dict("records"))
    wrong = int((predictions["predicted"] != predictions["label"]).sum())
    crosses = [line for line in ax.lines if line.get_marker() == "x"]
    assert 0 < sum(len(line.get_xdata()) for line in crosses) == wrong
    if n_recordings == 10:
        shown = sorted(bar.get_width() for bar in ax.patches)
        assert {text.get_text() for text in ax.get_yticklabels()} == set(predictions["recording"])
        chance = ax.lines[-1].get_xdata()[0]
    else:
        strips = [line for line in ax.lines if line.get_marker() in "os^" and len(line.get_xdata()) > 2]
        shown = sorted(value for line in strips for value in line.get_ydata())
        chance = ax.lines[-1].get_ydata()[0]
    np.testing.assert_allclose(shown, own)
    assert chance == 100 / len(labels)
    assert len({to_hex(line.get_color()) for line in ax.lines if line.get_marker() in "os^"}) in (0, len(labels))


def test_named_bars_belong_to_their_names(ax):
    predictions = make_predictions(6)
    draw_recordings(ax, predictions)
    names = [text.get_text() for text in ax.get_yticklabels()]
    own = {row["recording"]: 100 * row[f"p_{row['label']}"] for row in predictions.to_dict("records")}
    shown = {names[round(bar.get_y() + bar.get_height() / 2)]: bar.get_width() for bar in ax.patches}
    assert shown == pytest.approx(own)


def test_plots_are_closed_with_their_last_reference():
    import gc
    import weakref

    plot = make_plots()["plot_roc"]
    assert isinstance(plot, Plot)
    gone = weakref.ref(plot)
    del plot
    gc.collect()
    assert gone() is None


# --- explanations ---------------------------------------------------------------------------------------------------


def test_evidence_for_a_class_is_blue_and_evidence_against_it_orange():
    electrodes, windows, families = plot_attributions(make_attributions(), "a", (2, 2), "r1").axes[:3]
    np.testing.assert_array_equal(electrodes.images[0].get_array().filled(np.nan), [[-1, 0], [1, np.nan]])
    shown = [(patch.get_x(), patch.get_width(), patch.get_height()) for patch in windows.patches]
    assert shown == [(0, 30, 1), (30, 30, 0), (60, 30, -1)]
    colours = [to_hex(patch.get_facecolor()).upper() for patch in windows.patches]
    assert colours == [FOR, FOR, AGAINST]
    assert windows.lines[-1].get_ydata()[0] == 1.5, "the whole recording"
    names = [label.get_text() for label in families.get_yticklabels()]
    assert names == ["runs", "rates"] and [patch.get_width() for patch in families.patches] == [-0.2, 0.5]


def test_a_model_without_families_has_two_panels():
    attributions = make_attributions()
    plot = plot_attributions(attributions[attributions["kind"] != "family"], "a", (2, 2))
    assert len(plot.axes) == 3, "with the colour bar"
