"""In what the classes differ, by how much, and how sure that is: for every feature, with cultures as the unit.

Reads data/features. Writes metrics/contrast: features.csv (every feature and pair of classes), trend.csv (ordered
classes) and sample_size.csv (how many batches show a difference); metrics/contrast.json; plots/contrast. What each
number means: docs/contrast.md.
"""

from pathlib import Path
from typing import ClassVar

import pandas as pd
from pydantic import Field

from mea.evaluation.contrast import summarise_contrast
from mea.evaluation.plots_contrast import (
    MOST_DOTS,
    MOST_SHOWN,
    choose_strongest,
    plot_forest,
    plot_map,
    plot_sample_sizes,
    plot_units,
)
from mea.evaluation.plots_profiles import MOST_FEATURES, plot_course, plot_heatmap
from mea.runtime.command import print_line, run_command
from mea.runtime.errors import MeaError
from mea.runtime.files import fresh_folder, write_json
from mea.runtime.params import StageParams
from mea.runtime.style import save_plot
from mea.runtime.tables import read_table, write_table
from mea.splitting.groups import IDENTITY
from mea.statistics.contrast import ContrastSettings, average_cultures, compute_trend, contrast_classes, list_pairs
from mea.statistics.sample_size import tabulate_sample_sizes


class Params(StageParams):
    """The classes compared; the rest is as in the evaluation."""

    shared: ClassVar[dict[str, str]] = {
        name: f"evaluate.{name}" for name in ("permutations", "confidence_level", "order", "seed")
    }
    reference: str | None = Field(description="the class that all others are compared with; null: every pair")
    permutations: int = Field(ge=19, le=100_000, description="of the labels between groups, for the p-values")
    confidence_level: float = Field(gt=0.5, lt=1, description="of the intervals")
    order: list[str] | None = Field(description="the classes in order; null: without order")
    seed: int = Field(ge=0, lt=2**32, description="of the permutations")


def contrast(params: Params, features: Path, out: Path, metrics: Path, plots: Path) -> None:
    """Compare the classes in every feature."""
    table, dictionary = read_table(features / "features.csv"), read_table(features / "dictionary.csv")
    names = dictionary["name"].tolist()
    values, units = average_cultures(
        table[names].apply(pd.to_numeric, errors="coerce").to_numpy(float), table[IDENTITY]
    )
    labels = params.order or sorted(set(units["label"]))
    if params.reference is not None and params.reference not in labels:
        raise MeaError(f"contrast.reference = {params.reference!r}: no class; there are {', '.join(labels)}.")
    settings = ContrastSettings(
        params.permutations, params.seed, params.confidence_level, params.reference or "", tuple(params.order or ())
    )
    found = contrast_classes(values, units, names, settings)
    trend = compute_trend(values, units, names, settings) if params.order else None
    with fresh_folder(out) as folder:
        write_table(
            folder / "features.csv", dictionary.merge(found, left_on="name", right_on="feature").drop(columns="name")
        )
        write_table(folder / "trend.csv", trend if trend is not None else pd.DataFrame(columns=["feature", "rho"]))
        sizes = tabulate_sample_sizes(values, units, list_pairs(sorted(set(units["label"])), settings))
        write_table(folder / "sample_size.csv", sizes)
    families = dict(zip(names, dictionary["family"]))
    strongest = choose_strongest(found, values, names, MOST_SHOWN)
    dots = [names.index(name) for name in dict.fromkeys(found["feature"][strongest])][:MOST_DOTS]
    with fresh_folder(plots) as folder:
        forest = plot_forest(found.loc[strongest], families, params.confidence_level, "strongest effects")
        save_plot(forest, folder / "forest.png")
        chosen = [(column, names[column], dictionary["unit"][column]) for column in dots]
        save_plot(plot_units(values, units, chosen, labels), folder / "cultures.png")
        save_plot(plot_map(values, units, labels, "cultures by their features"), folder / "map.png")
        save_plot(plot_sample_sizes(sizes), folder / "sample_size.png")
        shown = dict.fromkeys(found["feature"][choose_strongest(found, values, names, MOST_FEATURES)])
        heat = [(names.index(name), name) for name in shown]
        save_plot(plot_heatmap(values, units, heat, labels, "strongest features"), folder / "heatmap.png")
        if params.order:
            save_plot(plot_course(values, units, chosen, params.order), folder / "course.png")
    summary = summarise_contrast(found, trend, units, settings, sizes, families)
    write_json(metrics, summary)
    for name, pair in summary["pairs"].items():
        print_line(
            f"contrast {name}: {pair['q_below_5_percent']} of {pair['features']} features differ ({pair['said']})"
        )
        print_line(f"contrast {name}: {pair['enough']}")


if __name__ == "__main__":
    run_command(
        contrast,
        Params,
        features="data/features",
        out="metrics/contrast",
        metrics="metrics/contrast.json",
        plots="plots/contrast",
    )
