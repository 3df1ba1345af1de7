"""All plots of the evaluate stage, with their titles."""

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mea.evaluation.confounds import WORDS
from mea.evaluation.evaluation import ScoreSettings
from mea.evaluation.held_out import HeldOut
from mea.evaluation.metrics import Checks
from mea.evaluation.plots_honesty import plot_confounds, plot_importance, plot_optimism, plot_permutation
from mea.evaluation.plots_models import plot_models
from mea.evaluation.plots_scores import (
    plot_confusion,
    plot_recordings,
    plot_reliability,
    plot_report,
    plot_roc,
)
from mea.evaluation.plots_selective import plot_conformal, plot_risk_coverage
from mea.evaluation.rules import Rules, read_sets
from mea.runtime.style import ALARM, Plot, save_plot
from mea.splitting.aggregation import get_probabilities
from mea.statistics.conformal import list_coverage
from mea.statistics.scores import count_confusion, measure_calibration, report_classes, trace_roc
from mea.statistics.selective import trace_risk_coverage


def draw_unit(
    folder: Path, unit: str, table: pd.DataFrame, settings: ScoreSettings, doubts: str, model: str = ""
) -> None:
    """Confusion matrix, classification report, calibration and ROC curve of recordings or chunks.

    Parameters
    ----------
    folder
        To write to.
    unit
        ``recording`` or ``chunk``: what a row of the table is.
    table
        Columns label, predicted and ``p_<label>``.
    settings
        Classes, bins and confidence level.
    doubts
        What makes the metrics doubtful, in words; it stands above the plots.
    model
        Whose predictions they are, if not the headline's.
    """
    what = f"held-out {unit}s" + (f", {model}" if model else "")
    labels = settings.labels
    actual, predicted = table["label"].to_numpy(), table["predicted"].to_numpy()
    probabilities = get_probabilities(table, labels)
    shown = settings.order or labels
    matrix = count_confusion(shown, actual, predicted)
    # The actual and predicted labels, one line each, are what DVC's confusion template draws.
    pairs = table[["label", "predicted"]].rename(columns={"label": "actual"})
    confusion = _warn_above(plot_confusion(matrix, shown, f"Confusion matrix: {what}"), doubts)
    save_plot(confusion, folder / f"confusion_{unit}.png", pairs)
    report = plot_report(report_classes(shown, actual, predicted), f"Classification report: {what}")
    save_plot(report, folder / f"report_{unit}.png")
    calibration, _ = measure_calibration(labels, actual, probabilities, settings.bins, settings.confidence_level)
    save_plot(
        plot_reliability(calibration, f"Calibration: {what}"),
        folder / f"reliability_{unit}.png",
    )
    curves = trace_roc(labels, actual, probabilities)
    if curves:
        save_plot(
            _warn_above(plot_roc(curves, f"ROC curve: {what}"), doubts),
            folder / f"roc_{unit}.png",
        )


def draw_models_side_by_side(
    folder: Path,
    table: pd.DataFrame,
    models: Mapping[str, HeldOut],
    headline: dict[str, Any],
    settings: ScoreSettings,
    doubts: str,
) -> None:
    """The table of models, and each one's confusion matrix and ROC curve in ``<model>/``, if there are several."""
    accuracy = headline["accuracy"], headline["accuracy_low"], headline["accuracy_high"]
    plot = _warn_above(plot_models(table, accuracy, "Models side by side: held-out recordings"), doubts)
    save_plot(plot, folder / "models.png")
    for name, one in models.items() if len(models) > 1 else ():
        (folder / name).mkdir()
        draw_unit(folder / name, "recording", one.by_recording, settings, doubts, name)


def draw_recordings(folder: Path, recordings: pd.DataFrame, doubts: str) -> None:
    """Every recording's probabilities."""
    plot = _warn_above(plot_recordings(recordings, "Probability of the actual label: held-out recordings"), doubts)
    save_plot(plot, folder / "recordings.png")


def draw_honesty(
    folder: Path,
    recordings: pd.DataFrame,
    checks: Checks,
    rules: Rules,
    selective: dict[str, Any],
) -> None:
    """Permutation test, confounds, linear probes, importance, risk-coverage curve and prediction sets."""
    test, audit = checks.permutation, checks.confounds
    plots = {
        "permutation": plot_permutation(test.null, test.observed, test.p_value, "Permutation test: held-out recordings")
    }
    if len(audit):
        plots["confounds"] = plot_confounds(
            audit, WORDS, 1 / len(rules.labels), "Confounds: the class predicted from metadata alone"
        )
    plots["optimism"] = plot_optimism(checks.probes, "Linear probes on the features: held-out chunks")
    if len(checks.importance):
        plots["importance"] = plot_importance(checks.importance, "What the models decide by: held-out recordings")
    labels = rules.labels
    correct = (recordings["label"] == recordings["predicted"]).to_numpy()
    curve = trace_risk_coverage(recordings["confidence"].to_numpy(), correct)
    scored = selective if np.isfinite(selective["error"]) else None
    threshold = (rules.threshold, rules.target_error)
    title = "Risk-coverage curve: held-out recordings"
    plots["risk_coverage"] = plot_risk_coverage(curve, *threshold, selective["aurc"], scored, title)
    sets = read_sets(recordings["prediction_set"], labels)
    targets = recordings["label"].map(labels.index).to_numpy(int)
    confidence_level = rules.conformal.confidence_level
    title = "Prediction sets: held-out recordings"
    plots["conformal"] = plot_conformal(list_coverage(sets, targets, labels, confidence_level), confidence_level, title)
    for name, plot in plots.items():
        save_plot(plot, folder / f"{name}.png")


def _warn_above(plot: Plot, doubts: str) -> Plot:
    if doubts:
        width = int(plot.get_figwidth() * 14)
        plot.suptitle(textwrap.fill(f"Warning: {doubts}", width), color=ALARM, fontsize=8, fontweight="bold")
    return plot
