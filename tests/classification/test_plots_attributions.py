"""Plots of attributions: electrodes, windows and families for and against a class."""

import numpy as np
from builders.plots import list_axes, make_attributions, plot_classification
from matplotlib.colors import to_hex

from mea.classification.plots import AGAINST, FOR, plot_attributions


def test_plots_name_their_axes_with_units():
    """Panels in order; the upper of two that share an axis leaves its name to the lower."""
    grid = ("column of the grid", "row of the grid")
    expected = {
        "plot_attributions": [
            grid,
            ("time (s)", "log odds of the window alone"),
            ("log odds lost without it", ""),
            ("", "log odds lost without it"),
        ],
    }
    assert list_axes(plot_classification()) == expected


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
