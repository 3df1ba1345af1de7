"""One of every plot there is, room by room, and what they are drawn from."""

import numpy as np
import pandas as pd

from mea.arrays.plots_electrodes import (
    plot_electrode_health,
    plot_electrode_maps,
    plot_electrode_names,
)
from mea.arrays.plots_recordings import (
    plot_overlay,
    plot_raster,
    plot_traces,
)
from mea.arrays.traces import Traces
from mea.classification.occlusion import COLUMNS
from mea.classification.plots import plot_attributions
from mea.evaluation.plots_contrast import plot_forest, plot_map, plot_sample_sizes, plot_units
from mea.evaluation.plots_honesty import plot_confounds, plot_importance, plot_optimism, plot_permutation
from mea.evaluation.plots_models import plot_models
from mea.evaluation.plots_profiles import plot_course, plot_heatmap
from mea.evaluation.plots_scores import (
    plot_confusion,
    plot_recordings,
    plot_reliability,
    plot_report,
    plot_roc,
)
from mea.evaluation.plots_selective import plot_conformal, plot_risk_coverage
from mea.statistics.sample_size import tabulate_sample_sizes
from mea.training.plots import plot_chunks, plot_curves

SAMPLING_RATE_HZ = 25000


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


def make_attributions():
    electrodes = [{"kind": "electrode", "row": k // 2, "col": k % 2, "log_odds": k - 1.0} for k in range(3)]
    electrodes = [one | {"last_row": one["row"], "last_col": one["col"]} for one in electrodes]
    windows = [{"kind": "window", "start_s": 30 * k, "stop_s": 30 * k + 30, "log_odds": 1.0 - k} for k in range(3)]
    families = [{"kind": "family", "family": name, "log_odds": odds} for name, odds in (("rates", 0.5), ("runs", -0.2))]
    rows = [{"kind": "whole", "log_odds": 1.5}, *electrodes, *windows, *families]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def make_audit():
    rows = [("all together", 0.7, 0.75, 0.001, True, None), ("duration_s", 0.5, 0.5, 0.4, False, None)]
    return pd.DataFrame(rows, columns=["metadata", "accuracy", "balanced_accuracy", "p_value", "alarm", "predicted"])


def make_risk_curve():
    return pd.DataFrame({"coverage": [0.25, 0.5, 1.0], "risk": [0.0, 0.0, 0.25], "threshold": [0.9, 0.8, 0.6]})


def make_coverage():
    rows = [("a", 20, 0.9, 0.7, 0.98, 0.0, 0.7), ("b", 40, 0.95, 0.85, 0.99, 0.1, 0.6)]
    names = ["label", "count", "coverage", "coverage_low", "coverage_high", "empty_fraction", "single_fraction"]
    return pd.DataFrame(rows, columns=names)


def plot_arrays():
    """One of every plot of the room, by the name of the function that makes it."""
    raw, cleaned, peaks = make_traces()
    grid = make_grid()
    return {
        "plot_traces": plot_traces(Traces(raw, cleaned, peaks, SAMPLING_RATE_HZ, np.array([20.0, 21.0]), ["F7", "G7"])),
        "plot_overlay": plot_overlay(raw, SAMPLING_RATE_HZ, ["F7", "G7"], peaks),
        "plot_raster": plot_raster(np.array([0, 1, 1]), np.array([0.1, 0.5, 0.9]), 3, 1.0),
        "plot_electrode_maps": plot_electrode_maps(grid, grid),
        "plot_electrode_names": plot_electrode_names(np.array([0, 1]), np.array([1, 0]), ["B1", "A2"], 2, 2),
        "plot_electrode_health": plot_electrode_health(make_health(), 3, 4),
    }


def plot_training():
    """One of every plot of the room, by the name of the function that makes it."""
    return {
        "plot_chunks": plot_chunks(make_counts()),
        "plot_curves": plot_curves(make_curves()),
    }


def plot_classification():
    """One of every plot of the room, by the name of the function that makes it."""
    return {
        "plot_attributions": plot_attributions(make_attributions(), "a", (2, 2), "r1"),
    }


def plot_evaluation():
    """One of every plot of the room, by the name of the function that makes it."""
    curve = (np.array([0, 0, 1.0]), np.array([0, 0.8, 1.0]), 0.9)
    bins = pd.DataFrame({"confidence": [0.6, 0.9], "accuracy": [0.5, 0.8], "count": [4, 7]})
    bins = bins.assign(accuracy_low=[0.1, 0.4], accuracy_high=[0.9, 1.0])
    report = pd.DataFrame({"label": ["a", "b"], "f1": [0.5, np.nan], "recordings": [3, 4]})
    models = pd.DataFrame({"model": ["one", "two"], "accuracy": [0.8, 0.7]})
    models = models.assign(accuracy_low=[0.6, np.nan], accuracy_high=[0.9, np.nan])
    units = pd.DataFrame({"label": ["a", "b"] * 3, "culture": list("uvwxyz"), "batch": ["b1", "b1", "b2"] * 2})
    values = np.random.default_rng(0).normal(size=(6, 3))
    contrast = pd.DataFrame({"feature": ["f0", "f1"], "a": "a", "b": "b", "g": [1.0, -0.5], "p_family": [0.01, 0.5]})
    contrast = contrast.assign(g_low=[0.5, np.nan], g_high=[1.5, np.nan])
    return {
        "plot_forest": plot_forest(contrast, {"f0": "rates", "f1": "bursts"}, 0.95),
        "plot_units": plot_units(values, units, [(0, "f0", "Hz"), (1, "f1", "")], ["a", "b"]),
        "plot_heatmap": plot_heatmap(values, units, [(0, "f0"), (1, "f1"), (2, "f2")], ["a", "b"]),
        "plot_course": plot_course(values, units, [(0, "f0", "Hz")], ["a", "b"]),
        "plot_map": plot_map(values, units, ["a", "b"]),
        "plot_sample_sizes": plot_sample_sizes(tabulate_sample_sizes(values, units, [("a", "b")])),
        "plot_models": plot_models(models, (0.8, 0.6, 0.9)),
        "plot_confusion": plot_confusion(np.array([[3, 1], [0, 4]]), ["a", "b"]),
        "plot_report": plot_report(report),
        "plot_roc": plot_roc({"a": curve}),
        "plot_reliability": plot_reliability(bins),
        "plot_recordings": plot_recordings(make_predictions(9)),
        "plot_risk_coverage": plot_risk_coverage(make_risk_curve(), 0.8, 0.05, 0.1),
        "plot_conformal": plot_conformal(make_coverage(), 0.9),
        "plot_permutation": plot_permutation(np.linspace(0.2, 0.8, 50), 0.9, 0.02),
        "plot_confounds": plot_confounds(make_audit(), {"duration_s": "recording length"}, 0.5),
        "plot_importance": plot_importance(make_importance()),
        "plot_optimism": plot_optimism({"label": 0.6, "chunk_split": 0.9, "recording": np.nan, "chance": 0.1}),
    }


def make_importance():
    """Two families in three folds."""
    return pd.DataFrame(
        {
            "kind": "family of features",
            "name": ["bursts", "firing_rates"] * 3,
            "fold": [0, 0, 1, 1, 2, 2],
            "log_loss": [0.4, 0.01, 0.5, -0.02, 0.3, 0.0],
            "accuracy": [0.1, 0.0, 0.2, 0.0, 0.1, 0.0],
        }
    )


def make_plots():
    """One of every plot there is, by the name of the function that makes it."""
    return plot_arrays() | plot_training() | plot_classification() | plot_evaluation()


def list_axes(plots):
    """The names of both axes of every panel, in their order, of every plot."""
    return {name: [(ax.get_xlabel(), ax.get_ylabel()) for ax in plot.axes] for name, plot in plots.items()}


def shown_texts(ax):
    """Texts in a panel."""
    return [text.get_text() for text in ax.texts]
