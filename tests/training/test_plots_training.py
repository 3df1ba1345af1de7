"""Plots of training: chunks of each fold and label, learning curves."""

import numpy as np
from builders.plots import list_axes, make_counts, make_curves, plot_training, shown_texts

from mea.runtime.style import new_plot
from mea.training.plots import draw_chunk_bars, draw_learning_curves, draw_pie, plot_curves


def test_plots_name_their_axes_with_units():
    """Panels in order; the upper of two that share an axis leaves its name to the lower."""
    expected = {
        "plot_chunks": [("fold", "chunks (number)"), ("", "")],  # a pie has no axes
        "plot_curves": [("epoch", "loss (nats)"), ("epoch", "accuracy (%)")],
    }
    assert list_axes(plot_training()) == expected


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
