"""How many batches and cultures show a difference between two classes: from the variances that were measured.

What varies is divided into cultures within a batch and batches. Where batches hold both classes, the difference within
each is tested (paired), and what is common to a batch cancels; where each batch holds one class, batches are compared.
The power of Student's t test of these numbers then follows from the noncentral t distribution (Cohen 1988, *Statistical
Power Analysis for the Behavioral Sciences*, chapter 2). How many wells are needed was asked of such data by Cotterill
and others 2016, doi:10.1177/1087057116640520.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import nct
from scipy.stats import t as student

from mea.splitting.groups import group_recordings

POWER, SIGNIFICANCE = 0.8, 0.05
MOST_BATCHES = 100  # more are not looked for
EFFECTS = (0.5, 1.0, 2.0)  # Hedges' g
CULTURES = (1, 2, 4, 8)  # of each class in a batch
PAIRED, APART, UNKNOWN = "both classes in each batch", "one class in each batch", "batches unknown: cultures"


@dataclass(frozen=True)
class Variances:
    """What varies, for each feature: (n_features,) arrays; NaN where it cannot be told.

    Attributes
    ----------
    design
        Which of the three: :data:`PAIRED`, :data:`APART` or :data:`UNKNOWN`.
    culture
        Variance of cultures of one class within a batch.
    batch
        Of batches: of the difference between the classes from batch to batch (paired), else of the batches themselves;
        0 where batches are unknown.
    unit
        Of all units of a class, pooled: the square of what an effect is a multiple of.
    """

    design: str
    culture: np.ndarray
    batch: np.ndarray
    unit: np.ndarray


def measure_variances(values: np.ndarray, units: pd.DataFrame, pair: tuple[str, str]) -> Variances:
    """From the units of two classes: analysis of variance with batches as a random factor, by the method of moments.

    Parameters
    ----------
    values, units
        (n_units, n_features) and what they are of, as :func:`mea.statistics.contrast.average_cultures` gives them.
    pair
        The classes.
    """
    chosen = units["label"].isin(pair).to_numpy()
    values, units = values[chosen], units[chosen].reset_index(drop=True)
    is_b = (units["label"] == pair[1]).to_numpy()
    unit = _pool_variance(values, is_b.astype(int))
    batch = group_recordings(units, "batch")
    holds = [np.unique(batch[is_b == which]) for which in (False, True)]
    shared = np.intersect1d(holds[0], holds[1])
    design = find_design(units, pair)
    if design == UNKNOWN:
        return Variances(UNKNOWN, unit, np.zeros(values.shape[1]), unit)
    cell = batch * 2 + is_b
    culture = _pool_variance(values, np.unique(cell, return_inverse=True)[1])
    means, inverse_sizes = _average_cells(values, cell)
    within = np.nan_to_num(culture)  # one culture to a cell: all of it counts as of the batches
    if design == PAIRED:
        a, b = means.loc[shared * 2].to_numpy(), means.loc[shared * 2 + 1].to_numpy()
        sizes = inverse_sizes.loc[shared * 2].to_numpy() + inverse_sizes.loc[shared * 2 + 1].to_numpy()
        between = np.var(b - a, axis=0, ddof=1) - within * sizes.mean()
        return Variances(PAIRED, culture, np.maximum(between, 0.0), unit)
    parts = []
    for which in (0, 1):
        own = means.loc[holds[which] * 2 + which].to_numpy()
        parts.append(np.var(own, axis=0, ddof=1))
    between = np.mean(parts, axis=0) - within * inverse_sizes.mean()
    return Variances(APART, culture, np.maximum(between, 0.0), unit)


def find_design(units: pd.DataFrame, pair: tuple[str, str]) -> str:
    """Which of the three designs the batches of two classes are; ``units`` has the columns of recordings.

    >>> units = pd.DataFrame({"recording": list("wxyz"), "label": list("abab"), "culture": list("wxyz"),
    ...                       "batch": ["b1", "b1", "b2", "b2"]})
    >>> find_design(units, ("a", "b"))
    'both classes in each batch'
    """
    units = units[units["label"].isin(pair)]
    holds = [set(units.loc[units["label"] == label, "batch"]) for label in pair]
    if (units["batch"] == "").any() or (len(holds[0] & holds[1]) < 2 and min(map(len, holds)) < 2):
        return UNKNOWN
    return PAIRED if len(holds[0] & holds[1]) >= 2 else APART


def assume_variances(design: str, correlation: float) -> Variances:
    """Of one feature that nobody has measured: batches have this share of the variance in common, whatever the class.

    What is common to a batch cancels where batches hold both classes.
    """
    batch = correlation if design == APART else 0.0
    culture = 1.0 if design == UNKNOWN else 1.0 - correlation
    return Variances(design, np.array([culture]), np.array([batch]), np.array([1.0]))


def count_batches(found: Variances, effect: float, cultures: int) -> np.ndarray:
    """(n_features,) the least number of batches that show an effect with a power of 80 %; NaN above 100.

    In the paired design all batches count, in the others those (or the cultures) of each class.

    Parameters
    ----------
    found
        What was measured.
    effect
        Hedges' g, in standard deviations of the units of a class.
    cultures
        Of each class in a batch; 1 where batches are unknown.
    """
    culture = np.nan_to_num(found.culture)
    variance = found.batch + (2 if found.design == PAIRED else 1) * culture / cultures
    needed = np.full(len(variance), np.nan)
    waiting = np.flatnonzero(np.isfinite(found.unit) & (found.unit > 0))
    for count in range(2, MOST_BATCHES + 1):
        difference = effect * np.sqrt(found.unit[waiting])
        enough = compute_power(difference, variance[waiting], count, paired=found.design == PAIRED) >= POWER
        needed[waiting[enough]] = count
        waiting = waiting[~enough]
    return needed


def compute_power(difference: np.ndarray, variance: np.ndarray, count: int, paired: bool) -> np.ndarray:
    """The power of a two-sided t test at 5 %: of one mean of ``count`` differences, or of two means of ``count`` each.

    >>> round(float(compute_power(np.array([0.5]), np.array([1.0]), 64, paired=False)[0]), 2)  # Cohen 1988, table 2.3
    0.8
    """
    freedom = count - 1 if paired else 2 * count - 2
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = difference / np.sqrt(variance * (1 if paired else 2) / count)
    limit = student.ppf(1 - SIGNIFICANCE / 2, freedom)
    finite = np.where(np.isfinite(shift), np.minimum(shift, 50.0), 0.0)
    power = nct.sf(limit, freedom, finite) + nct.cdf(-limit, freedom, finite)
    return np.where(np.isposinf(shift), 1.0, np.where(np.isnan(shift), np.nan, power))


def tabulate_sample_sizes(values: np.ndarray, units: pd.DataFrame, pairs: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """For each pair of classes, effect and number of cultures: how many batches half and 80 % of the features need.

    Returns
    -------
    pd.DataFrame
        a, b, design, g, cultures_per_batch (of each class), batches (median over features; NaN: more than 100),
        batches_80_percent (the least that is enough for 80 % of the features).
    """
    rows = []
    for pair in pairs:
        found = measure_variances(values, units, pair)
        known = np.isfinite(found.unit) & (found.unit > 0)
        for effect in EFFECTS:
            for cultures in CULTURES if found.design != UNKNOWN else (1,):
                needed = np.sort(np.nan_to_num(count_batches(found, effect, cultures)[known], nan=np.inf))
                at = [needed[int(np.ceil(share * len(needed))) - 1] if len(needed) else np.inf for share in (0.5, 0.8)]
                half, most = (np.nan if np.isinf(one) else int(one) for one in at)
                rows.append((*pair, found.design, effect, cultures, half, most))
    columns = ["a", "b", "design", "g", "cultures_per_batch", "batches", "batches_80_percent"]
    return pd.DataFrame(rows, columns=columns)


def _pool_variance(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    """(n_features,) variance within groups, over all of them; NaN where no group has two values."""
    total, freedom = np.zeros(values.shape[1]), np.zeros(values.shape[1])
    for one in np.unique(group):
        own = values[group == one]
        count = (~np.isnan(own)).sum(0)
        mean = np.divide(np.nansum(own, 0), count, out=np.zeros(values.shape[1]), where=count > 0)
        total += np.nansum((own - mean) ** 2, 0)
        freedom += np.maximum(count - 1, 0)
    return np.divide(total, freedom, out=np.full(values.shape[1], np.nan), where=freedom > 0)


def _average_cells(values: np.ndarray, cell: np.ndarray) -> tuple[pd.DataFrame, pd.Series]:
    """The mean of each cell of batch and class, and one over its number of cultures."""
    grouped = pd.DataFrame(values).groupby(cell)
    return grouped.mean(), 1 / grouped.size()
