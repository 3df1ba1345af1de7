"""Plots of the evaluation: confusion matrix, report, ROC, calibration, recordings."""

import re

import numpy as np
import pandas as pd
import pytest
from builders.plots import list_axes, make_predictions, plot_evaluation, shown_texts
from matplotlib.colors import to_hex

from mea.evaluation import plots_evaluation
from mea.evaluation.evaluation import ScoreSettings
from mea.evaluation.plots_scores import (
    draw_classification_report,
    draw_confusion,
    draw_recordings,
    draw_reliability,
    draw_roc,
    plot_confusion,
    plot_reliability,
    plot_roc,
)


def test_plots_name_their_axes_with_units():
    """Panels in order; the upper of two that share an axis leaves its name to the lower."""
    expected = {
        "plot_confusion": [("predicted label", "actual label"), ("", "fraction of the actual label (%)")],
        "plot_report": [("", "")],  # a table has no axes
        "plot_roc": [("false positive rate (%)", "true positive rate (%)")],
        "plot_reliability": [("", "accuracy (%)"), ("confidence (%)", "count (number)")],
        "plot_recordings": [("probability of its own label (%)", "recording")],
        "plot_risk_coverage": [("coverage: predicted, most confident first (%)", "risk: wrong among those (%)")],
        "plot_conformal": [
            ("sets that hold the actual label (%)", "actual label (recordings)"),
            ("sets by number of labels (%)", ""),
        ],
        "plot_permutation": [("balanced accuracy over recordings (%)", "permutations (number)")],
        "plot_confounds": [("balanced accuracy from metadata alone (%)", "")],
        "plot_models": [("accuracy (%), with its interval", "")],
        "plot_importance": [("rise of the log loss without it (nats per recording)", "family of features")],
        "plot_optimism": [("held-out chunks predicted correctly (%)", "")],
        "plot_forest": [("Hedges' g between cultures, 95 % interval", "")],
        "plot_heatmap": [("cultures, by class", ""), ("", "standard deviations from the mean")],
        "plot_course": [("", "Hz")],
        "plot_sample_sizes": [("cultures of a class in a batch", "batches for a power of 80 %")],
        "plot_units": [("", "Hz"), ("", "value")],
    }
    found = list_axes(plot_evaluation())
    ((x, y),) = found.pop("plot_map")  # the fractions hang on the values drawn
    assert found == expected
    assert re.fullmatch(r"component 1 \(\d+ % of the variance\)", x) and y.startswith("component 2 (")


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
    assert titles == {
        f"confusion_{unit}": f"Confusion matrix: held-out {unit}s",
        f"report_{unit}": f"Classification report: held-out {unit}s",
        f"reliability_{unit}": f"Calibration: held-out {unit}s",
        f"roc_{unit}": f"ROC curve: held-out {unit}s",
    }


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
