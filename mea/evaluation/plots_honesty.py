"""Plots of the checks of an accuracy: permutation test, confounds, linear probes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from mea.runtime.style import COLOURS, NEUTRAL, Plot, label_axes, new_plot, styled

PALE = "0.8"  # text can be read on it


@styled
def plot_permutation(null: np.ndarray, observed: float, p_value: float, title: str = "") -> Plot:
    """Where the observed balanced accuracy lies among those of labels permuted between groups.

    Parameters
    ----------
    null
        (n,) balanced accuracies with permuted labels.
    observed
        With the actual labels.
    p_value
        Fraction of the permutations that are as good, counting the observed one.
    title
        Above the panel.
    """
    plot, axes = new_plot(size=(6.0, 3.6))
    ax = axes[0, 0]
    counts, edges, _ = ax.hist(
        100 * null, bins=np.linspace(0, 100, 41), color=NEUTRAL, label="labels permuted between groups"
    )
    ax.axvline(100 * observed, color=COLOURS[1], linewidth=2, label=f"actual labels, p = {p_value:.3g}")
    ax.legend(loc="upper left")
    label_axes(ax, "balanced accuracy over recordings (%)", "permutations (number)", title)
    plot.table = pd.DataFrame({"low_percent": edges[:-1], "high_percent": edges[1:], "permutations": counts})
    return plot


@styled
def plot_importance(table: pd.DataFrame, title: str = "") -> Plot:
    """How much the log loss rises without each family of features, or part of the array: mean, and every fold.

    Parameters
    ----------
    table
        As :func:`mea.evaluation.importance.measure_importance` gives it.
    title
        Above the panel.
    """
    means = table.groupby("name")["log_loss"].mean().sort_values(kind="stable")
    place = {name: number for number, name in enumerate(means.index)}
    plot, axes = new_plot(size=(6.5, 1.4 + 0.3 * len(means)))
    ax = axes[0, 0]
    ax.barh(range(len(means)), means, color=PALE, height=0.7, label="mean over folds")
    ax.plot(table["log_loss"], table["name"].map(place), "o", markersize=4, color=COLOURS[0], label="a fold")
    ax.axvline(0, color=NEUTRAL, linewidth=1)
    ax.set_yticks(range(len(means)), [name.replace("_", " ") for name in means.index])
    ax.legend(loc="lower right")
    label_axes(ax, "rise of the log loss without it (nats per recording)", table["kind"].iloc[0], title)
    plot.table = table
    return plot


@styled
def plot_confounds(audit: pd.DataFrame, words: Mapping[str, str], chance: float, title: str = "") -> Plot:
    """Balanced accuracy of each metadatum alone; those that raise the alarm are marked.

    Parameters
    ----------
    audit
        As :func:`mea.evaluation.confounds.audit_confounds` gives it.
    words
        Names to show for the metadata.
    chance
        Balanced accuracy of chance: 1 / number of classes.
    title
        Above the panel.
    """
    plot, axes = new_plot(size=(6.5, 1.4 + 0.45 * max(len(audit), 1)))
    ax = axes[0, 0]
    shown = audit[::-1].reset_index(drop=True)
    colours = [COLOURS[1] if alarm else PALE for alarm in shown["alarm"]]
    ax.barh(shown.index, 100 * shown["balanced_accuracy"], color=colours, height=0.6)
    for place, row in shown.iterrows():
        text = f"p = {row['p_value']:.2g}" + (": predicts the class" if row["alarm"] else "")
        ax.text(2, place, text, va="center", color="black", fontsize=9)
    ax.axvline(100 * chance, color="black", linewidth=1, linestyle=":")
    ax.text(100 * chance, len(shown) - 0.65, " chance", va="bottom", fontsize=8)
    ax.set_ylim(-0.5, len(shown) - 0.2)
    ax.set_yticks(shown.index, [words.get(name, name) for name in shown["metadata"]])
    ax.set_xlim(0, 100)
    label_axes(ax, "balanced accuracy from metadata alone (%)", "", title)
    plot.table = audit.drop(columns="predicted")
    return plot


@styled
def plot_optimism(probes: Mapping[str, Any], title: str = "") -> Plot:
    """How well linear probes on the classifier's features predict class and recording.

    Parameters
    ----------
    probes
        As :func:`mea.evaluation.probes.probe_classifier` gives it.
    title
        Above the panel.
    """
    bars = {
        "class, recordings never seen": probes["label"],
        "class, other chunks of them seen": probes["chunk_split"],
        "which recording it is": probes["recording"],
        "which recording, by chance": probes["chance"],
    }
    plot, axes = new_plot(size=(6.5, 2.8))
    ax = axes[0, 0]
    names = list(bars)[::-1]
    ax.barh(
        range(len(names)),
        [100 * bars[name] for name in names],
        height=0.6,
        color=[NEUTRAL, COLOURS[1]] + [COLOURS[0]] * 2,
    )
    for place, name in enumerate(names):
        ax.text(2, place, f"{bars[name]:.0%}" if np.isfinite(bars[name]) else "unknown", va="center", fontsize=9)
    ax.set_yticks(range(len(names)), names)
    ax.set_xlim(0, 100)
    label_axes(ax, "held-out chunks predicted correctly (%)", "", title)
    plot.table = pd.DataFrame({"probe": list(bars), "fraction": list(bars.values())})
    return plot
