"""Plots of what differs between the classes: strongest effects, each culture as a dot, a map of the recordings."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mea.runtime.style import NEUTRAL, Plot, label_axes, new_panels, new_plot, series_style, styled
from mea.statistics.sample_size import UNKNOWN

MOST_SHOWN = 20  # effects in the forest plot
MOST_DOTS = 6  # features of which every culture is shown
SAME = 0.95  # correlation from which on a feature says what a stronger one has said
TICKS = (2, 5, 10, 20, 50, 100)  # of numbers of batches
CLIP = 5.0  # standard deviations, so that one odd recording does not decide the map


def choose_strongest(table: pd.DataFrame, values: np.ndarray, names: Sequence[str], most: int) -> list[int]:
    """Rows of a contrast with the largest effects, of features that are not correlated with one chosen before.

    Parameters
    ----------
    table
        As :func:`mea.statistics.contrast.contrast_classes` gives it.
    values, names
        (n_units, n_features) and the features' names.
    most
        How many rows.
    """
    place = {name: number for number, name in enumerate(names)}
    ranks = pd.DataFrame(values).rank()
    ranked = ((ranks - ranks.mean()) / ranks.std(ddof=0).where(lambda std: std > 0)).fillna(0.0).to_numpy()
    chosen: list[int] = []
    for row in table["g"].abs().sort_values(ascending=False, kind="stable").dropna().index:
        if len(chosen) == most:
            break
        column = ranked[:, place[table["feature"][row]]]
        others = ranked[:, [place[table["feature"][other]] for other in chosen]]
        if not (np.abs(column @ others) / len(ranked) > SAME).any():
            chosen.append(row)
    return chosen


@styled
def plot_forest(table: pd.DataFrame, families: dict[str, str], confidence_level: float, title: str = "") -> Plot:
    """The effects of some features with their intervals, by family; a filled marker: significant in the family.

    Parameters
    ----------
    table
        Rows of a contrast, the strongest first.
    families
        Of each feature.
    confidence_level
        Of the intervals.
    title
        Above the panel.
    """
    shown = table.assign(family=table["feature"].map(families))
    shown = shown.sort_values(["family", "g"], kind="stable").reset_index(drop=True)
    plot, axes = new_plot(size=(9.0, 1.2 + 0.24 * max(len(shown), 1)))
    ax = axes[0, 0]
    styles = {family: series_style(number) for number, family in enumerate(dict.fromkeys(shown["family"]))}
    for row in shown.itertuples():
        style = styles[row.family]
        reach = np.nan_to_num([[row.g - row.g_low], [row.g_high - row.g]])
        filled = style["color"] if row.p_family < 0.05 else "white"
        ax.errorbar(row.g, row.Index, xerr=reach, fmt=style["marker"], color=style["color"], mfc=filled, capsize=2)
    for family, style in styles.items():
        ax.plot([], [], style["marker"], color=style["color"], label=family)
    if styles:
        ax.legend(title="family", loc="center left", bbox_to_anchor=(1.0, 0.5))
    ax.axvline(0, color=NEUTRAL, linewidth=0.8, linestyle=":")
    ax.set_yticks(range(len(shown)), [f"{row.feature}  ({row.a} → {row.b})" for row in shown.itertuples()], fontsize=7)
    ax.set_ylim(len(shown) - 0.5, -0.5)
    label_axes(ax, f"Hedges' g between cultures, {100 * confidence_level:g} % interval", "", title)
    plot.table = shown
    return plot


@styled
def plot_units(
    values: np.ndarray, units: pd.DataFrame, chosen: Sequence[tuple[int, str, str]], labels: Sequence[str]
) -> Plot:
    """Every culture as a dot, by class; batches are told apart by marker.

    Parameters
    ----------
    values, units
        As :func:`mea.statistics.contrast.average_cultures` gives them.
    chosen
        Column, name and unit of each feature.
    labels
        The classes in the order in which they are drawn.
    """
    plot, panels = new_panels(len(chosen))
    batches = {batch: number for number, batch in enumerate(sorted(set(units["batch"])))}
    place = {label: number for number, label in enumerate(labels)}
    tables = []
    for ax, (column, name, unit) in zip(panels, chosen):
        for batch, part in units.groupby("batch", sort=True):
            style = series_style(batches[batch])
            jitter = 0.5 * (batches[batch] + 0.5) / len(batches) - 0.25
            x = part["label"].map(place).to_numpy(float) + jitter
            ax.plot(x, values[part.index, column], style["marker"], color=style["color"], markersize=3.5, alpha=0.8)
        for label, part in units.groupby("label"):
            middle = np.nanmean(values[part.index, column]) if np.isfinite(values[part.index, column]).any() else np.nan
            ax.plot([place[label] - 0.35, place[label] + 0.35], [middle, middle], color="black", linewidth=1.2)
        ax.set_xticks(range(len(labels)), labels, rotation=20 if len(labels) > 3 else 0)
        ax.set_xlim(-0.5, len(labels) - 0.5)
        label_axes(ax, "", unit or "value", "")
        ax.set_title(_break(name), fontsize=7)
        tables.append(units[["label", "culture", "batch"]].assign(feature=name, value=values[:, column]))
    plot.table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["feature", "value"])
    return plot


@styled
def plot_map(values: np.ndarray, units: pd.DataFrame, labels: Sequence[str], title: str = "") -> Plot:
    """The first two principal components of the standardised features: every culture as a dot, by class."""
    defined = (pd.DataFrame(values).std() > 0).to_numpy()
    scaler = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    scaled = np.clip(scaler.fit_transform(values[:, defined]), -CLIP, CLIP)
    pca = PCA(n_components=2, random_state=0).fit(scaled)
    x, y = pca.transform(scaled).T
    plot, axes = new_plot(size=(5.5, 4.2))
    ax = axes[0, 0]
    for number, label in enumerate(labels):
        own, style = (units["label"] == label).to_numpy(), series_style(number)
        ax.plot(x[own], y[own], style["marker"], color=style["color"], label=label, alpha=0.8)
    ax.legend()
    explained = [f"{100 * one:.0f} %" for one in pca.explained_variance_ratio_]
    label_axes(
        ax, f"component 1 ({explained[0]} of the variance)", f"component 2 ({explained[1]} of the variance)", title
    )
    plot.table = units[["label", "culture", "batch"]].assign(component_1=x, component_2=y)
    return plot


def _break(name: str) -> str:
    """A long name on two lines."""
    half = name.find("_", len(name) // 2)
    return name if len(name) < 32 or half < 0 else f"{name[: half + 1]}\n{name[half + 1 :]}"


@styled
def plot_sample_sizes(sizes: pd.DataFrame) -> Plot:
    """How many batches half of the features need, by the number of cultures in each and by the effect; a panel a pair.

    Parameters
    ----------
    sizes
        As :func:`mea.statistics.sample_size.tabulate_sample_sizes` gives it.
    """
    pairs = list(sizes.groupby(["a", "b"], sort=False))
    plot, panels = new_panels(len(pairs), size=(3.4, 2.9))
    for ax, ((a, b), part) in zip(panels, pairs):
        for number, (g, own) in enumerate(part.groupby("g")):
            style = series_style(number)
            ax.plot(
                own["cultures_per_batch"], own["batches"], f"{style['marker']}-", color=style["color"], label=f"{g:g}"
            )
        counted = "cultures" if part["design"].iloc[0] == UNKNOWN else "batches"
        ax.set_yscale("log")
        ax.set_yticks(TICKS, [str(tick) for tick in TICKS])
        ax.minorticks_off()
        ax.set_ylim(TICKS[0] * 0.9, TICKS[-1] * 1.1)
        ax.set_xticks(sorted(set(part["cultures_per_batch"])))
        label_axes(ax, "cultures of a class in a batch", f"{counted} for a power of 80 %", f"{a}, {b}")
    panels[0].legend(title="Hedges' g")
    plot.table = sizes
    return plot
