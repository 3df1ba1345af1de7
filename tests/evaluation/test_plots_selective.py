"""The plots of refusing show the numbers given, at the right places."""

import numpy as np
import pandas as pd
import pytest

from mea.evaluation.plots_selective import draw_risk_coverage, plot_conformal, plot_risk_coverage
from mea.runtime.style import new_plot, save_plot

CURVE = pd.DataFrame({"coverage": [0.25, 0.5, 1.0], "risk": [0.0, 0.1, 0.25], "threshold": [0.9, 0.8, 0.6]})
NAMES = ["label", "count", "coverage", "coverage_low", "coverage_high", "empty_fraction", "single_fraction"]
ROWS = [("a", 20, 0.9, 0.7, 0.98, 0.0, 0.7), ("b", 40, 0.95, 0.85, 0.99, 0.1, 0.6)]


@pytest.fixture
def ax():
    return new_plot()[1][0, 0]


def list_legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_the_curve_the_target_and_the_choice_are_drawn(ax):
    draw_risk_coverage(ax, CURVE, 0.8, 0.15, 0.0712, title="recordings")
    curve, target, chosen = ax.lines
    assert curve.get_xdata().tolist() == [25, 50, 100] and curve.get_ydata().tolist() == [0, 10, 25]
    assert list(target.get_ydata()) == [15, 15]
    assert (chosen.get_xdata().item(), chosen.get_ydata().item()) == (50, 10)
    assert list_legend(ax) == ["most confident first (area 0.071)", "15 % wrong", "chosen: confidence from 80.0 %"]
    assert ax.get_ylim()[1] > 25 and ax.get_title() == "recordings"


def test_a_curve_without_errors_is_said_and_stands_clear_of_the_axis(ax):
    draw_risk_coverage(ax, CURVE.assign(risk=0.0), 0.0, 0.05, 0.0)
    assert list_legend(ax) == ["most confident first: no errors", "5 % wrong", "chosen: all are predicted"]
    assert ax.get_ylim()[0] < 0 and ax.lines[0].get_ydata().tolist() == [0, 0, 0]


@pytest.mark.parametrize("threshold", [float("nan"), 0.95])
def test_no_choice_is_said(ax, threshold):
    draw_risk_coverage(ax, CURVE, threshold, 0.05, 0.1)
    assert list_legend(ax)[-1] == "no confidence is high enough"
    assert len(ax.lines[-1].get_xdata()) == 0


def test_what_the_choice_is_worth_elsewhere_is_drawn_with_its_interval(ax):
    scored = {"coverage": 0.6, "error": 0.2, "error_low": 0.05, "error_high": 0.45}
    draw_risk_coverage(ax, CURVE, 0.8, 0.15, 0.07, scored)
    assert (ax.lines[-1].get_xdata().item(), ax.lines[-1].get_ydata().item()) == (60, 20)
    np.testing.assert_allclose(ax.collections[0].get_segments(), [[[60, 5], [60, 45]]])
    assert list_legend(ax)[-1] == "threshold chosen on others,\nwith interval"
    assert ax.get_ylim()[1] > 45


@pytest.mark.filterwarnings("error")
def test_a_score_without_recordings_or_interval_can_be_drawn(tmp_path):
    nothing = {"coverage": 0.0, "error": np.nan, "error_low": np.nan, "error_high": np.nan}
    few = {"coverage": 0.1, "error": 0.5, "error_low": np.nan, "error_high": np.nan}
    for number, scored in enumerate((nothing, few)):
        plot = plot_risk_coverage(CURVE, np.nan, 0.05, 0.1, scored)
        save_plot(plot, tmp_path / f"{number}.png")
        assert np.isfinite(plot.axes[0].get_ylim()).all()
        assert ("threshold chosen on others,\nwith interval" in list_legend(plot.axes[0])) == (scored is few)


def test_sets_of_each_class_are_drawn_with_interval_and_sizes():
    plot = plot_conformal(pd.DataFrame(ROWS, columns=NAMES), 0.9)
    held, sizes = plot.axes
    assert [text.get_text() for text in held.get_yticklabels()] == ["a (20)", "b (40)"]
    np.testing.assert_allclose(held.lines[0].get_xdata(), [90, 95])
    assert list(held.lines[1].get_xdata()) == [90, 90] and list_legend(held)[1:] == ["asked for: 90 %"]
    np.testing.assert_allclose(held.collections[0].get_segments(), [[[70, 0], [98, 0]], [[85, 1], [99, 1]]])
    assert list_legend(held)[0] == "interval, as if all were independent", "it ignores groups, and says so"
    widths = [[bar.get_width() for bar in bars] for bars in sizes.containers]
    np.testing.assert_allclose(widths, [[0, 10], [70, 60], [30, 30]])
    np.testing.assert_allclose([bar.get_x() for bar in sizes.containers[2]], [70, 70])
    assert list_legend(sizes) == ["no label", "one label", "several labels"]
