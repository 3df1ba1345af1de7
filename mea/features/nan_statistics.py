"""Statistics that say NaN, without a warning, where there is nothing to describe."""

import math
from collections.abc import Iterable

import numpy as np

NAN = float("nan")
MIN_SPIKES = 5  # of an electrode, for measures of its own


def log10_offset(value, small: float):
    """Decimal logarithm of ``value + small``: the small number, in the value's unit, is where zero ends up."""
    return np.log10(value + small)


def nanmean(values: np.ndarray) -> float:
    """Mean of the defined values; NaN where there are none."""
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else NAN


def nanstd(values: np.ndarray) -> float:
    """Standard deviation (of the population, not of a sample) of the defined values; NaN below two of them."""
    values = values[~np.isnan(values)]
    return float(values.std()) if len(values) > 1 else NAN


def nanquantile(values: np.ndarray, shares: Iterable[float]) -> list[float]:
    """Quantiles of the defined values, interpolated linearly; NaN where there are none."""
    ordered = np.sort(values[~np.isnan(values)])
    if not len(ordered):
        return [NAN for _ in shares]
    positions = [share * (len(ordered) - 1) for share in shares]
    lower = [int(position) for position in positions]
    upper = [min(low + 1, len(ordered) - 1) for low in lower]
    return [
        float(ordered[low] + (position - low) * (ordered[high] - ordered[low]))
        for position, low, high in zip(positions, lower, upper)
    ]


def nanmedian(values: np.ndarray) -> float:
    """Median of the defined values; NaN where there are none."""
    return nanquantile(values, [0.5])[0]


def nanskew(values: np.ndarray) -> float:
    """Third standardised moment of the defined values; NaN where they do not vary."""
    values = values[~np.isnan(values)]
    spread = nanstd(values)
    if not spread > 0:
        return NAN
    return float((((values - values.mean()) / spread) ** 3).mean())


def min_active_electrodes(share: float, n_electrodes: int) -> int:
    """Least number of electrodes that make up the share, and at least two: one electrode is no crowd."""
    return max(2, math.ceil(round(share * n_electrodes, 6)))  # 0.1 * 70 is a little more than 7


def divide(numerator, denominator):
    """Quotient as float64; NaN where the denominator is zero."""
    numerator, denominator = np.asarray(numerator, np.float64), np.asarray(denominator, np.float64)
    shape = np.broadcast_shapes(numerator.shape, denominator.shape)
    return np.divide(numerator, denominator, out=np.full(shape, NAN), where=denominator != 0)[()]


def group_cv(values: np.ndarray, group: np.ndarray, n_groups: int, least: int) -> np.ndarray:
    """(n_groups,) standard deviation over mean of each group's values; NaN for fewer than ``least`` of them."""
    count = np.bincount(group, minlength=n_groups)
    mean = divide(np.bincount(group, values, n_groups), count)
    spread = np.sqrt(divide(np.bincount(group, (values - mean[group]) ** 2, n_groups), count))
    return np.where(count >= least, divide(spread, mean), NAN)
