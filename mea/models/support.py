"""A support vector machine that looks away from what differs between cultures of one class.

Two cultures of the same class differ, and a classifier that finds the culture finds nothing about the class. The
directions in which cultures of one class differ on the training side are measured and shrunk before the machine is
trained: within-class covariance normalisation (Hatch, Kajarekar, Stolcke, "Within-class covariance normalization for
SVM-based speaker recognition", Interspeech 2006), known from telling languages apart rather than speakers.
"""

import warnings
from dataclasses import dataclass, replace

import numpy as np
from sklearn.svm import SVC
from sklearn.utils.class_weight import compute_sample_weight

CLIP = 3.0  # standard deviations; what lies beyond is as odd as that


@dataclass(frozen=True)
class Strengths:
    """What the inner folds choose.

    Attributes
    ----------
    cost
        Of a margin error.
    width
        Of the kernel: gamma times the total variance.
    shrink
        Differences this many times the mean one are shrunk by the square root of 2.
    """

    cost: float = 10.0
    width: float = 0.2
    shrink: float = 0.1


@dataclass(frozen=True)
class Machine:
    """One class against the others.

    Attributes
    ----------
    median, mean, spread
        (p,) of the training recordings: undefined features become the median, then all are standardised and clipped.
    directions, factors
        (k, p) in which cultures of one class differ, and (k,) what is left of each.
    support
        (m, p) support vectors.
    weights
        (m,) of the support vectors.
    offset, gamma
        Of the decision, and of the kernel ``exp(-gamma * distance²)``.
    """

    median: np.ndarray
    mean: np.ndarray
    spread: np.ndarray
    directions: np.ndarray
    factors: np.ndarray
    support: np.ndarray
    weights: np.ndarray
    offset: float
    gamma: float

    def decide(self, values: np.ndarray) -> np.ndarray:
        """(n,) decision on each recording, (n, p) features; above 0 for the class."""
        shrunk = shrink_differences(self.scale(values), self.directions, self.factors)
        return np.exp(-self.gamma * measure_squares(shrunk, self.support)) @ self.weights + self.offset

    def scale(self, values: np.ndarray) -> np.ndarray:
        """(n, p) standardised and clipped, undefined ones at the median."""
        filled = np.where(np.isnan(values), self.median, values)
        return np.clip((filled - self.mean) / self.spread, -CLIP, CLIP)


@dataclass(frozen=True)
class Training:
    """What a machine is trained with, ready for any strengths.

    Attributes
    ----------
    scaler
        A machine that does nothing but scale.
    values
        (n, p) scaled.
    targets, weights
        (n,) 1 for the class, and how much each recording counts: both classes, and all recordings of one, alike.
    directions, variances
        (k, p) in which cultures of one class differ, and (k,) how much.
    """

    scaler: Machine
    values: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    directions: np.ndarray
    variances: np.ndarray


def prepare_training(values: np.ndarray, targets: np.ndarray, cultures: np.ndarray) -> Training:
    """Scale, and find in what the cultures of one class differ.

    Parameters
    ----------
    values
        (n, p) features of each recording; NaN where undefined.
    targets
        (n,) bool, of the class.
    cultures
        (n,) culture of each.
    """
    scaler, positive = _fit_scaler(values), targets.astype(int)
    scaled = scaler.scale(values)
    weights = compute_sample_weight("balanced", positive)
    return Training(scaler, scaled, positive, weights, *find_differences(scaled, positive, cultures))


def fit_machine(training: Training, strengths: Strengths) -> Machine:
    """Train one class against the others."""
    shrunk = shrink_training(training, strengths.shrink)
    gamma = strengths.width / shrunk.variance
    model = fit_support(shrunk.squares, gamma, strengths.cost, training)
    return replace(
        training.scaler,
        directions=training.directions,
        factors=shrunk.factors,
        support=shrunk.values[model.support_],
        weights=model.dual_coef_[0],
        offset=float(model.intercept_[0]),
        gamma=float(gamma),
    )


@dataclass(frozen=True)
class Shrunk:
    """Values of a training after shrinking, and their distances.

    Attributes
    ----------
    factors
        (k,) what is left of each direction.
    values
        (n, p).
    squares
        (n, n) squared distances between them.
    variance
        Sum over the features of their variance.
    """

    factors: np.ndarray
    values: np.ndarray
    squares: np.ndarray
    variance: float


def shrink_training(training: Training, shrink: float) -> Shrunk:
    """Shrink the differences between cultures of a class."""
    factors = choose_factors(training.variances, shrink)
    values = shrink_differences(training.values, training.directions, factors)
    return Shrunk(factors, values, measure_squares(values, values), max(float(values.var(0).sum()), 1e-12))


def fit_support(squares: np.ndarray, gamma: float, cost: float, training: Training) -> SVC:
    """A support vector machine on the kernel of squared distances, (n, n)."""
    model = SVC(C=cost, kernel="precomputed")
    return model.fit(np.exp(-gamma * squares), training.targets, sample_weight=training.weights)


def _fit_scaler(table: np.ndarray) -> Machine:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a feature that is nowhere defined is 0 everywhere
        median = np.nan_to_num(np.nanmedian(table, axis=0))
    filled = np.where(np.isnan(table), median, table)
    spread = filled.std(0)
    nothing = np.zeros((0, table.shape[1]))
    spread = np.where(spread > 0, spread, 1.0)
    return Machine(median, filled.mean(0), spread, nothing, np.zeros(0), nothing, np.zeros(0), 0.0, 1.0)


def find_differences(values: np.ndarray, targets: np.ndarray, cultures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Directions in which the means of cultures of one class differ, (k, p), and their variance along each, (k,)."""
    rows = []
    for target in np.unique(targets):
        own = targets == target
        means = np.stack([values[own & (cultures == culture)].mean(0) for culture in np.unique(cultures[own])])
        rows.append(means - means.mean(0))
    differences = np.concatenate(rows)
    _, sizes, directions = np.linalg.svd(differences / np.sqrt(len(differences)), full_matrices=False)
    return directions, sizes**2


def choose_factors(variances: np.ndarray, shrink: float) -> np.ndarray:
    """(k,) what to leave of directions with these variances."""
    return 1 / np.sqrt(1 + variances / (shrink * max(variances.mean(), 1e-12)))


def shrink_differences(values: np.ndarray, directions: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """(n, p) values with the share ``factors`` left along each direction."""
    return values + ((values @ directions.T) * (factors - 1)) @ directions


def measure_squares(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(n, m) squared distances between the rows of (n, p) and (m, p)."""
    squares = (one**2).sum(1)[:, None] + (other**2).sum(1) - 2 * one @ other.T
    return np.maximum(squares, 0)
