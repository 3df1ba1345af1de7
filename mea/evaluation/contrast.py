"""What the contrast of the classes found, in a few numbers and words."""

from typing import Any

import numpy as np
import pandas as pd

from mea.statistics.contrast import LEAST_GROUPS, ContrastSettings, find_groups, find_min_p
from mea.statistics.permutation import SIGNIFICANCE

STRONGEST = ("feature", "g", "g_low", "g_high", "p_family")


def count_cultures(units: pd.DataFrame) -> int:
    """Distinct cultures; one that has two classes, such as before and after, counts once, an unknown one for itself."""
    known = units["culture"] != ""
    return int(units["culture"][known].nunique() + (~known).sum())


def summarise_contrast(
    found: pd.DataFrame, trend: pd.DataFrame | None, units: pd.DataFrame, settings: ContrastSettings
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
            "strongest": {}
            if top is None
            else {key: top[key] for key in ("feature", "g", "g_low", "g_high", "p_family")},
            "said": said,
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
