"""What the contrast of the classes found, in a few numbers and words."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from mea.statistics.contrast import LEAST_GROUPS, ContrastSettings, find_groups, find_min_p
from mea.statistics.permutation import SIGNIFICANCE
from mea.statistics.sample_size import APART, PAIRED, UNKNOWN

STRONGEST = ("feature", "g", "g_low", "g_high", "p_family")


def count_cultures(units: pd.DataFrame) -> int:
    """Distinct cultures; one that has two classes, such as before and after, counts once, an unknown one for itself."""
    known = units["culture"] != ""
    return int(units["culture"][known].nunique() + (~known).sum())


def say_enough(sizes: pd.DataFrame, units: pd.DataFrame) -> str:
    """How many batches show a difference of one standard deviation, with about as many cultures in each as here."""
    one = sizes[sizes["g"] == 1.0].reset_index(drop=True)
    there = 1 if one["design"][0] == UNKNOWN else len(units) / max(units.groupby(["batch", "label"]).ngroups, 1)
    row = one.loc[(one["cultures_per_batch"] - there).abs().idxmin()]
    what = {PAIRED: "batches that hold both classes", APART: "batches of each class", UNKNOWN: "cultures of each class"}
    each = "1 culture" if row["cultures_per_batch"] == 1 else f"{row['cultures_per_batch']} cultures"
    many = "" if row["design"] == UNKNOWN else f", of {each} of a class each,"
    counts = [
        "more than 100" if np.isnan(row[name]) else f"{row[name]:.0f}" for name in ("batches", "batches_80_percent")
    ]
    return (
        f"{counts[0]} {what[row['design']]}{many} show a difference of one standard deviation between cultures with a "
        f"power of 80 % in half of the features, {counts[1]} in four of five"
    )


def count_families(part: pd.DataFrame, families: Mapping[str, str]) -> dict[str, dict[str, float]]:
    """For each family of features: how many vary, how many of them differ, and the largest effect."""
    known = part[part["g"].notna()]
    counted = {}
    for family, own in known.groupby(known["feature"].map(families), sort=False):
        counted[str(family)] = {
            "features": len(own),
            "q_below_5_percent": int((own["q_value"] < SIGNIFICANCE).sum()),
            "largest_g": float(own["g"].abs().max()),
        }
    return counted


def summarise_contrast(
    found: pd.DataFrame,
    trend: pd.DataFrame | None,
    units: pd.DataFrame,
    settings: ContrastSettings,
    sizes: pd.DataFrame,
    families: Mapping[str, str],
) -> dict[str, Any]:
    """The headline numbers, by pair of classes.

    Parameters
    ----------
    found, trend
        As :func:`mea.statistics.contrast.contrast_classes` and ``compute_trend`` give them; no trend without an order.
    units
        As :func:`mea.statistics.contrast.average_cultures` gives them.
    settings
        How the classes were contrasted.
    sizes
        As :func:`mea.statistics.sample_size.tabulate_sample_sizes` gives it.
    families
        Of each feature.
    """
    pairs: dict[str, Any] = {}
    for (a, b), part in found.groupby(["a", "b"], sort=False):
        own = units[units["label"].isin([a, b])].reset_index(drop=True)
        own_groups, least = int(find_groups(own).max()) + 1, find_min_p(own, settings.permutations)
        said = f"false discovery rate below 5 %; {count_cultures(own)} cultures in {own_groups} groups"
        if least >= SIGNIFICANCE:
            said += f"; so few groups allow no p below {least:.2g}: at least four of each class are needed"
        if own_groups < LEAST_GROUPS:
            said += "; no interval from fewer than three groups"
        top = part.loc[part["g"].abs().idxmax()] if part["g"].notna().any() else None
        pairs[f"{a} and {b}"] = {
            "features": int(part["g"].notna().sum()),
            "p_below_5_percent": int((part["p_value"] < SIGNIFICANCE).sum()),
            "q_below_5_percent": int((part["q_value"] < SIGNIFICANCE).sum()),
            "p_family_below_5_percent": int((part["p_family"] < SIGNIFICANCE).sum()),
            "min_attainable_p": least,
            "strongest": {} if top is None else {key: top[key] for key in STRONGEST},
            "families": count_families(part, families),
            "said": said,
            "enough": say_enough(sizes[(sizes["a"] == a) & (sizes["b"] == b)], own),
        }
    rising = {} if trend is None else {
        "q_below_5_percent": int((trend["q_value"] < SIGNIFICANCE).sum()),
        "rising": int(((trend["q_value"] < SIGNIFICANCE) & (trend["rho"] > 0)).sum()),
        "falling": int(((trend["q_value"] < SIGNIFICANCE) & (trend["rho"] < 0)).sum()),
    }  # fmt: skip
    return {
        "cultures": count_cultures(units),
        "groups": int(np.max(find_groups(units))) + 1,
        "pairs": pairs,
        "trend": rising,
    }
