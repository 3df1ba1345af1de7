"""Statistics of the defined values that give NaN, without a warning, where there are too few.

NumPy's ``nanmean``, ``nanstd`` and ``nanquantile`` warn in these cases, and its quantiles are several times slower.
"""

import math
from collections.abc import Iterable

import numpy as np

NAN = float("nan")
MIN_SPIKES = 5  # of an electrode, for measures of its own


def log10_offset(value, offset: float):
    """Decimal logarithm of ``value + offset``. The offset, in the value's unit, is where zero ends up.

    >>> float(log10_offset(0, 0.1))
    -1.0
    """
    return np.log10(value + offset)


def nanmean(values: np.ndarray) -> float:
    """Mean of the defined values; NaN where there are none."""
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else NAN


def nanstd(values: np.ndarray) -> float:
    """Standard deviation (divided by n) of the defined values; NaN for fewer than two, where NumPy gives 0.

    >>> nanstd(np.array([1, 3, np.nan])), nanstd(np.array([1.0]))
    (1.0, nan)
    """
    values = values[~np.isnan(values)]
    return float(values.std()) if len(values) > 1 else NAN


def nanquantile(values: np.ndarray, quantiles: Iterable[float]) -> list[float]:
    """Quantiles of the defined values, interpolated linearly; NaN where there are none.

    >>> nanquantile(np.array([3, 1, np.nan, 2]), [0.25, 0.5])
    [1.5, 2.0]
    """
    ordered = np.sort(values[~np.isnan(values)])
    if not len(ordered):
        return [NAN for _ in quantiles]
    positions = [quantile * (len(ordered) - 1) for quantile in quantiles]
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
    std = nanstd(values)
    if not std > 0:
        return NAN
    standardised = (values - values.mean()) / std
    return float((standardised * standardised * standardised).mean())  # ** 3 is six times as slow


def min_active_electrodes(fraction: float, n_electrodes: int) -> int:
    """Smallest number of electrodes that makes up the fraction, and at least two: one electrode alone is no network.

    >>> min_active_electrodes(0.1, 61)
    7
    """
    return max(2, math.ceil(round(fraction * n_electrodes, 6)))  # 0.1 * 70 is a little more than 7


def divide(numerator, denominator):
    """Quotient as float64; NaN where the denominator is zero."""
    numerator, denominator = np.asarray(numerator, np.float64), np.asarray(denominator, np.float64)
    shape = np.broadcast_shapes(numerator.shape, denominator.shape)
    return np.divide(numerator, denominator, out=np.full(shape, NAN), where=denominator != 0)[()]


def average_groups(values: np.ndarray, group: np.ndarray, n_groups: int) -> np.ndarray:
    """(n_groups,) mean of each group's values; NaN for a group without any."""
    return divide(np.bincount(group, values, n_groups), np.bincount(group, minlength=n_groups))


def compute_group_cv(values: np.ndarray, group: np.ndarray, n_groups: int, min_values: int) -> np.ndarray:
    """(n_groups,) standard deviation over mean of each group's values; NaN for fewer than ``min_values`` of them."""
    mean = average_groups(values, group, n_groups)
    std = np.sqrt(average_groups((values - mean[group]) ** 2, group, n_groups))
    return np.where(np.bincount(group, minlength=n_groups) >= min_values, divide(std, mean), NAN)
