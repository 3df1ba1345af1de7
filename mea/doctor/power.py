"""How small an effect a number of recordings could show.

The fraction of held-out recordings that a classifier predicts correctly is tested against always predicting the largest
class, by a one-sided exact binomial test at 5 %. Recordings of one group (the batch, culture or recording held out
together) are correct or wrong together to some degree, the intraclass correlation, so N recordings are worth
N / (1 + (m - 1) * icc) independent ones, where m is the mean size of the group that a recording is in, the sum of
squared sizes over N. Kerry and Bland, "The intracluster correlation coefficient in cluster randomisation", BMJ
316:1455 (1998), doi:10.1136/bmj.316.7142.1455; groups of unequal size: Eldridge, Ashby and Kerry, "Sample size for
cluster randomized trials", International Journal of Epidemiology 35:1292 (2006), doi:10.1093/ije/dyl129.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.stats import binom

from mea.statistics.permutation import SIGNIFICANCE

POWER = 0.8
CORRELATIONS = (0.0, 0.5, 1.0)  # it is unknown before the experiment: none, an assumed one, and only groups count
ASSUMED_CORRELATION = 0.5
EXAMPLE = 0.75  # an accuracy of which it is said how many groups would show it
MOST_UNITS = 100_000


@dataclass(frozen=True)
class Power:
    """What can be shown at one intraclass correlation.

    Attributes
    ----------
    correlation
        Intraclass correlation of being right.
    units
        Independent recordings that all of them are worth, rounded down.
    min_accuracy
        Smallest true accuracy that is found significant with a probability of 80 %; NaN where none is.
    """

    correlation: float
    units: int
    min_accuracy: float


def find_design_effect(sizes: np.ndarray, correlation: float) -> float:
    """By how much groups of these sizes (k,) widen the variance of a share, against independent recordings."""
    sizes = np.asarray(sizes, float)
    return float(1 + ((sizes**2).sum() / sizes.sum() - 1) * correlation)


def find_critical(units: int, chance: float) -> int:
    """How many of ``units`` must be right to be significantly more than chance; units + 1 where not even all are."""
    return int(binom.isf(SIGNIFICANCE, units, chance)) + 1


def find_power(accuracy: float, units: int, chance: float) -> float:
    """Probability that a classifier of this true accuracy comes out significant."""
    return float(binom.sf(find_critical(units, chance) - 1, units, accuracy))


def find_min_accuracy(units: int, chance: float) -> float:
    """Smallest true accuracy found with a probability of 80 %; NaN where no accuracy is."""
    if units < 1 or find_critical(units, chance) > units:
        return math.nan
    return float(brentq(lambda accuracy: find_power(accuracy, units, chance) - POWER, chance, 1.0))


def find_units_needed(accuracy: float, chance: float) -> int | None:
    """Fewest independent recordings that show an accuracy, as all larger numbers do; None where it is not above chance.

    More recordings can do with a little less power than fewer, because right ones are counted in whole numbers.
    """
    if accuracy <= chance:
        return None
    for most in (100, 1000, 10_000, MOST_UNITS):
        units = np.arange(1, most + 1)
        critical = binom.isf(SIGNIFICANCE, units, chance) + 1
        enough = binom.sf(critical - 1, units, accuracy) >= POWER
        if enough[-most // 2 :].all():
            return int(units[~enough][-1]) + 1 if not enough.all() else 1
    return None


def measure_power(sizes: np.ndarray, chance: float) -> list[Power]:
    """What groups of these sizes (k,) can show, at each of the correlations."""
    found = []
    for correlation in CORRELATIONS:
        units = math.floor(np.sum(sizes) / find_design_effect(sizes, correlation) + 1e-9)
        found.append(Power(correlation, units, find_min_accuracy(units, chance)))
    return found


def find_groups_needed(sizes: np.ndarray, chance: float, accuracy: float) -> int | None:
    """How many groups like these would show an accuracy, at the assumed correlation; None where none would."""
    units = find_units_needed(accuracy, chance)
    if units is None:
        return None
    return math.ceil(units * find_design_effect(sizes, ASSUMED_CORRELATION) / float(np.mean(sizes)))
