"""In what the classes differ, by how much, and how sure that is, with the culture and the batch as the unit.

Recordings of one culture are averaged first, for they are not independent. What is left, one row for each culture and
class, is called a unit. Effects are Hedges' g between the units of two classes (doi:10.3102/10769986006002107); their
intervals come from leaving out one batch after the other (one culture, where no batches are known), and their p-values
from labels permuted between groups (:mod:`mea.statistics.permutation`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control, rankdata
from scipy.stats import t as student

from mea.splitting.groups import group_recordings
from mea.statistics.permutation import count_permutations, draw_permutations

LEAST_GROUPS = 3  # to leave one out
STEP = 250  # permutations at a time, which bounds the memory


@dataclass(frozen=True)
class ContrastSettings:
    """How classes are contrasted.

    Attributes
    ----------
    permutations, seed
        Of the labels between groups, for the p-values.
    confidence_level
        Of the intervals.
    reference
        The class that all others are compared with; empty: every pair.
    order
        The classes in their order, if they have one; empty if not.
    """

    permutations: int
    seed: int
    confidence_level: float
    reference: str = ""
    order: tuple[str, ...] = ()


def average_cultures(values: np.ndarray, recordings: pd.DataFrame) -> tuple[np.ndarray, pd.DataFrame]:
    """One row for each culture and class: the mean over its recordings in which a feature is defined.

    Parameters
    ----------
    values
        (n_recordings, n_features), NaN where undefined.
    recordings
        Columns recording, label, culture, batch; a recording of unknown culture is a culture of its own.

    Returns
    -------
    values
        (n_units, n_features).
    units
        Columns recording (the first), label, culture, batch, and recordings: how many it is the mean of.

    >>> recordings = pd.DataFrame({"recording": ["r1", "r2", "r3"], "label": ["a", "a", "b"],
    ...                            "culture": ["c", "c", ""], "batch": "b1"})
    >>> average_cultures(np.array([[1.0], [3.0], [9.0]]), recordings)[0].tolist()
    [[2.0], [9.0]]
    """
    recordings = recordings.reset_index(drop=True)
    culture = recordings["culture"].where(recordings["culture"] != "", "recording " + recordings["recording"])
    key = pd.MultiIndex.from_arrays([culture, recordings["batch"], recordings["label"]])
    unit, _ = pd.factorize(key)
    defined = ~np.isnan(values)
    total, count = np.zeros((unit.max() + 1, values.shape[1])), np.zeros((unit.max() + 1, values.shape[1]))
    np.add.at(total, unit, np.where(defined, values, 0.0))
    np.add.at(count, unit, defined)
    first = pd.Series(unit).drop_duplicates().index
    units = recordings.loc[first, ["recording", "label", "culture", "batch"]].reset_index(drop=True)
    return _divide(total, count), units.assign(recordings=np.bincount(unit))


def list_pairs(labels: Sequence[str], settings: ContrastSettings) -> list[tuple[str, str]]:
    """The pairs of classes to compare: each with the reference or, without one, every pair, in the classes' order."""
    ordered = [label for label in settings.order if label in labels] or sorted(labels)
    if settings.reference:
        return [(settings.reference, label) for label in ordered if label != settings.reference]
    return list(combinations(ordered, 2))


def contrast_classes(
    values: np.ndarray, units: pd.DataFrame, names: Sequence[str], settings: ContrastSettings
) -> pd.DataFrame:
    """Every feature and pair of classes: difference, effect, interval and p-values.

    Parameters
    ----------
    values, units
        As :func:`average_cultures` gives them.
    names
        (n_features,) of the features.
    settings
        Pairs, permutations and confidence level.

    Returns
    -------
    pd.DataFrame
        feature, a, b, units_a, units_b (in which it is defined), mean_a, mean_b, difference (b - a, in the feature's
        unit), g (Hedges'), g_low, g_high, p_value (two-sided, labels permuted), q_value (Benjamini and Hochberg 1995,
        over all rows), p_family (Westfall and Young 1993: from the largest effect of any feature in each permutation,
        within the pair). NaN where a feature is defined in fewer than two units of a class, or does not vary.
    """
    tables = []
    for a, b in list_pairs(sorted(set(units["label"])), settings):
        chosen = units["label"].isin([a, b]).to_numpy()
        tables.append(_contrast_pair(values[chosen], units[chosen].reset_index(drop=True), names, (a, b), settings))
    table = pd.concat(tables, ignore_index=True)
    return table.assign(q_value=adjust_fdr(table["p_value"].to_numpy()))


def _contrast_pair(
    values: np.ndarray, units: pd.DataFrame, names: Sequence[str], pair: tuple[str, str], settings: ContrastSettings
) -> pd.DataFrame:
    is_b = (units["label"] == pair[1]).to_numpy()
    scaled = _standardise(values)
    observed = _compute_g(scaled, is_b[None, :])[:, 0]
    low, high = _find_interval(scaled, is_b, observed, units, settings.confidence_level)
    drawn = draw_permutations(units, settings.permutations, settings.seed) == pair[1]
    more, largest = np.zeros(len(names)), np.zeros(len(drawn))
    for first in range(0, len(drawn), STEP):
        null = np.abs(_compute_g(scaled, drawn[first : first + STEP]))
        more += (null >= np.abs(observed)[:, None] - 1e-12).sum(1)
        largest[first : first + STEP] = np.nanmax(np.nan_to_num(null), axis=0)
    p_value = np.where(np.isnan(observed), np.nan, (1 + more) / (1 + len(drawn)))
    as_large = (largest[None, :] >= np.abs(np.nan_to_num(observed))[:, None] - 1e-12).sum(1)
    mean_a, mean_b = (_average(values[is_b == which]) for which in (False, True))
    return pd.DataFrame(
        {
            "feature": names,
            "a": pair[0],
            "b": pair[1],
            "units_a": (~np.isnan(values[~is_b])).sum(0),
            "units_b": (~np.isnan(values[is_b])).sum(0),
            "mean_a": mean_a,
            "mean_b": mean_b,
            "difference": mean_b - mean_a,
            "g": observed,
            "g_low": low,
            "g_high": high,
            "p_value": p_value,
            "p_family": np.where(np.isnan(observed), np.nan, (1 + as_large) / (1 + len(drawn))),
        }
    )


def _standardise(values: np.ndarray) -> np.ndarray:
    """Columns with mean 0 and standard deviation 1 where defined, so that sums of squares lose no digits."""
    centred = values - _average(values)
    scale = np.sqrt(_average(centred**2))
    return centred / np.where(scale > 1e-9 * np.nanmax(np.abs(values), axis=0, initial=1e-300), scale, np.nan)


def _compute_g(values: np.ndarray, is_b: np.ndarray) -> np.ndarray:
    """(n_features, n_draws) Hedges' g of the units of class b against the others, for each draw (n_draws, n_units)."""
    defined = ~np.isnan(values)
    filled = np.where(defined, values, 0.0)
    b = is_b.T.astype(float)
    sums = [np.stack([part.T @ (1 - b), part.T @ b]) for part in (defined.astype(float), filled, filled**2)]
    return _compute_g_from_sums(*sums)


def _compute_g_from_sums(count: np.ndarray, total: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """Hedges' g from number, sum and sum of squares of both classes, each (2, …)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / count
        within = squares - count * mean**2
        freedom = count.sum(0) - 2
        deviation = np.sqrt(np.maximum(within.sum(0), 0) / freedom)
        g = (mean[1] - mean[0]) / deviation * (1 - 3 / (4 * freedom - 1))
    enough = (count >= 2).all(0) & (freedom > 0) & (deviation > 1e-12)
    return np.where(enough, g, np.nan)


def _find_interval(
    values: np.ndarray, is_b: np.ndarray, observed: np.ndarray, units: pd.DataFrame, confidence_level: float
) -> tuple[np.ndarray, np.ndarray]:
    """From effects without one group after the other: the jackknife's standard error, and Student's t."""
    group = find_groups(units)
    n = group.max() + 1
    unknown = np.full(len(observed), np.nan)
    if n < LEAST_GROUPS:
        return unknown, unknown
    without = np.empty((n, len(observed)))
    for one in range(n):
        kept = group != one
        without[one] = _compute_g(values[kept], is_b[None, kept])[:, 0]
    variance = (n - 1) / n * ((without - without.mean(0)) ** 2).sum(0)  # NaN where one group holds all of a class
    reach = student.ppf(0.5 + confidence_level / 2, n - 1) * np.sqrt(variance)
    return observed - reach, observed + reach


def find_groups(units: pd.DataFrame) -> np.ndarray:
    """(n_units,) int: the batch of each or, where fewer than three are known, its culture."""
    batch = group_recordings(units, "batch")
    known = (units["batch"] != "").all() and batch.max() + 1 >= LEAST_GROUPS
    return batch if known else group_recordings(units, "culture")


def compute_trend(
    values: np.ndarray, units: pd.DataFrame, names: Sequence[str], settings: ContrastSettings
) -> pd.DataFrame:
    """Whether features rise or fall with the order of the classes.

    Returns
    -------
    pd.DataFrame
        feature, rho (Spearman's correlation with the rank of the class, over units), p_value, q_value, p_family, as in
        :func:`contrast_classes`.
    """
    rank = {label: float(place) for place, label in enumerate(settings.order)}
    place = units["label"].map(rank).to_numpy(float)
    drawn = pd.DataFrame(draw_permutations(units, settings.permutations, settings.seed)).replace(rank).to_numpy(float)
    rows = []
    largest = np.zeros(len(drawn))
    for column in values.T:
        defined = ~np.isnan(column)
        ranked = rankdata(column[defined])
        observed, null = _correlate(ranked, place[None, defined])[0], _correlate(ranked, drawn[:, defined])
        largest = np.maximum(largest, np.nan_to_num(np.abs(null)))
        more = (np.abs(null) >= abs(observed) - 1e-12).sum()
        rows.append((observed, np.nan if np.isnan(observed) else (1 + more) / (1 + len(drawn))))
    rho, p_value = np.array(rows).T
    as_large = (largest[None, :] >= np.abs(np.nan_to_num(rho))[:, None] - 1e-12).sum(1)
    p_family = np.where(np.isnan(rho), np.nan, (1 + as_large) / (1 + len(drawn)))
    columns = {"feature": names, "rho": rho, "p_value": p_value, "q_value": adjust_fdr(p_value), "p_family": p_family}
    return pd.DataFrame(columns)


def _correlate(ranked: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Spearman's correlation of ranks (n,) with each row of places (n_draws, n); NaN where one does not vary."""
    if len(ranked) < 3:
        return np.full(len(places), np.nan)
    x = ranked - ranked.mean()
    y = rankdata(places, axis=1)
    y -= y.mean(1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return y @ x / np.sqrt((x**2).sum() * (y**2).sum(1))


def adjust_fdr(p_value: np.ndarray) -> np.ndarray:
    """False discovery rates (Benjamini and Hochberg 1995, doi:10.1111/j.2517-6161.1995.tb02031.x); NaN stays.

    >>> adjust_fdr(np.array([0.01, np.nan, 0.04])).tolist()
    [0.02, nan, 0.04]
    """
    adjusted, known = np.full(len(p_value), np.nan), ~np.isnan(p_value)
    if known.any():
        adjusted[known] = false_discovery_control(p_value[known])
    return adjusted


def find_min_p(units: pd.DataFrame, permutations: int) -> float:
    """About the smallest p-value that the groups allow: labels exchanged as a whole give the same effect."""
    return max(2 / count_permutations(units), 1 / (1 + permutations))


def _average(values: np.ndarray) -> np.ndarray:
    """(n_features,) means over the units in which a feature is defined."""
    return _divide(np.nansum(values, 0), (~np.isnan(values)).sum(0))


def _divide(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    return np.divide(total, count, out=np.full(np.shape(total), np.nan), where=count > 0)
