"""A support vector machine on features of recordings that looks away from what differs between cultures of one class.

Two cultures of the same class differ, and a classifier that finds the culture finds nothing about the class. The
directions in which cultures of one class differ on the training side are measured and shrunk before the machine is
trained: within-class covariance normalisation (Hatch, Kajarekar, Stolcke, "Within-class covariance normalization for
SVM-based speaker recognition", Interspeech 2006), known from telling languages apart rather than speakers.

What is kept are plain arrays. Strengths are chosen by the inner folds, by the log loss of recordings they hold out.
"""

import warnings
from dataclasses import dataclass, fields, replace
from itertools import product
from typing import Any

import numpy as np
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC
from sklearn.utils.class_weight import compute_sample_weight

CLIP = 3.0  # standard deviations; what lies beyond is as odd as that
COSTS = (1.0, 10.0)
WIDTHS = (0.1, 0.2, 0.5)  # of the kernel: gamma times the total variance
SHRINKS = (0.03, 0.1, 0.3)  # differences this many times the mean one are shrunk by the square root of 2


Judge = dict[str, np.ndarray]  # arrays of a fitted judge, as they are stored


@dataclass(frozen=True)
class Strengths:
    """What the inner folds choose: cost of a margin error, width of the kernel, and where shrinking sets in."""

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

    def decide(self, looks: np.ndarray) -> np.ndarray:
        """(n,) mean decision over the looks at each recording, (n, n_looks, p); above 0 for the class."""
        values = shrink_differences(self.scale(looks.reshape(-1, looks.shape[2])), self.directions, self.factors)
        kernel = np.exp(-self.gamma * measure_squares(values, self.support))
        return (kernel @ self.weights + self.offset).reshape(looks.shape[:2]).mean(1)

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
        (m, p) scaled looks, one recording after the other.
    targets, weights
        (m,) 1 for the class, and how much each look counts: both classes, and all recordings of one, alike.
    directions, variances
        (k, p) in which cultures of one class differ, and (k,) how much.
    """

    scaler: Machine
    values: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    directions: np.ndarray
    variances: np.ndarray


def prepare_training(looks: np.ndarray, targets: np.ndarray, cultures: np.ndarray) -> Training:
    """Scale, and find in what the cultures of one class differ.

    Parameters
    ----------
    looks
        (n, n_looks, p) features of each recording, looked at as a whole and in parts; NaN where undefined.
    targets
        (n,) bool, of the class.
    cultures
        (n,) culture of each.
    """
    n_looks = looks.shape[1]
    table = looks.reshape(-1, looks.shape[2])
    positive, group = np.repeat(targets, n_looks).astype(int), np.repeat(cultures, n_looks)
    scaler = _fit_scaler(table)
    values = scaler.scale(table)
    weights = compute_sample_weight("balanced", positive) / n_looks
    return Training(scaler, values, positive, weights, *find_differences(values, positive, group))


def fit_machine(training: Training, strengths: Strengths) -> Machine:
    """Train one class against the others."""
    factors = choose_factors(training.variances, strengths.shrink)
    values = shrink_differences(training.values, training.directions, factors)
    gamma = strengths.width / max(values.var(0).sum(), 1e-12)
    model = SVC(C=strengths.cost, gamma=gamma).fit(values, training.targets, sample_weight=training.weights)
    return replace(
        training.scaler,
        directions=training.directions,
        factors=factors,
        support=model.support_vectors_,
        weights=model.dual_coef_[0],
        offset=float(model.intercept_[0]),
        gamma=float(gamma),
    )


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


def choose_strengths(
    looks: np.ndarray, targets: np.ndarray, cultures: np.ndarray, folds: np.ndarray
) -> tuple[Strengths, np.ndarray]:
    """The strengths of lowest log loss on recordings held out by inner folds, and their decisions there, (n,).

    Only looks at whole recordings are compared, the first of each: enough to choose by.
    """
    tried = [Strengths(*each) for each in product(COSTS, WIDTHS, SHRINKS)]
    best, lowest = Strengths(), np.inf
    for strengths, decisions in zip(tried, decide_held_out(looks[:, :1], targets, cultures, folds, tried)):
        loss = fit_link(decisions, targets)[2]
        if loss < lowest - 1e-9:
            best, lowest = strengths, loss
    return best, decide_held_out(looks, targets, cultures, folds, [best])[0]


def decide_held_out(
    looks: np.ndarray, targets: np.ndarray, cultures: np.ndarray, folds: np.ndarray, tried: list[Strengths]
) -> np.ndarray:
    """(len(tried), n) decision of each recording by machines of each strengths that have not seen its fold."""
    decisions = np.zeros((len(tried), len(targets)))
    for fold in np.unique(folds):
        held = folds == fold
        training = prepare_training(looks[~held], targets[~held], cultures[~held])
        for number, strengths in enumerate(tried):
            decisions[number, held] = fit_machine(training, strengths).decide(looks[held])
    return decisions


def fit_link(decisions: np.ndarray, targets: np.ndarray) -> tuple[float, float, float]:
    """Slope and offset from decisions to log odds, and their log loss; both classes count alike."""
    size = max(decisions.std(), 1e-12)
    model = LogisticRegression(C=10, class_weight="balanced").fit(decisions[:, None] / size, targets)
    odds = model.decision_function(decisions[:, None] / size)
    loss = np.average(
        np.logaddexp(0, np.where(targets, -odds, odds)), weights=compute_sample_weight("balanced", targets)
    )
    return float(model.coef_[0, 0] / size), float(model.intercept_[0]), float(loss)


def fit_judge(
    looks: np.ndarray, targets: np.ndarray, cultures: np.ndarray, folds: np.ndarray | None, n_labels: int
) -> tuple[Judge, np.ndarray]:
    """Train one machine a class (with two classes, for the second), strengths chosen and linked by inner folds.

    Parameters
    ----------
    looks
        (n, n_looks, p) features of the training recordings.
    targets
        (n,) int, number of the label.
    cultures
        (n,) culture of each.
    folds
        (n,) inner fold of each; None where there can be none: then strengths and link are set, not chosen.
    n_labels
        Number of classes.

    Returns
    -------
    judge
        For :func:`judge_recordings`.
    inner
        (n, n_labels) probabilities of the training recordings, each by machines that had not seen its inner fold;
        (0, n_labels) without inner folds.
    """
    judge: Judge = {}
    odds = []
    for label in [1] if n_labels == 2 else range(n_labels):
        own = targets == label
        if folds is None:
            strengths, link = Strengths(), (2.0, 0.0)
        else:
            strengths, decisions = choose_strengths(looks, own, cultures, folds)
            link = fit_link(decisions, own)[:2]
            odds.append(link[0] * decisions + link[1])
        machine = fit_machine(prepare_training(looks, own, cultures), strengths)
        arrays = {name: np.atleast_1d(np.asarray(value, np.float64)) for name, value in vars(machine).items()}
        judge |= {f"{label}.{name}": value for name, value in (arrays | {"link": np.array(link)}).items()}
    inner = share_odds(np.array(odds).T, n_labels) if odds else np.zeros((0, n_labels))
    return judge, inner


def judge_recordings(judge: Judge, looks: np.ndarray, n_labels: int) -> np.ndarray:
    """(n, n_labels) probabilities of recordings, (n, n_looks, p)."""
    odds = []
    for label in [1] if n_labels == 2 else range(n_labels):
        arrays = {field.name: judge[f"{label}.{field.name}"] for field in fields(Machine)}
        values: dict[str, Any] = arrays | {name: float(arrays[name][0]) for name in ("offset", "gamma")}
        slope, offset = judge[f"{label}.link"]
        odds.append(slope * Machine(**values).decide(looks) + offset)
    return share_odds(np.array(odds).T, n_labels)


def share_odds(odds: np.ndarray, n_labels: int) -> np.ndarray:
    """(n, n_labels) probabilities from log odds: (n, 1) of the second of two classes, or (n, n_labels) one a class."""
    if n_labels == 2:
        second = expit(odds[:, 0])
        return np.stack([1 - second, second], axis=1)
    shares = expit(odds)
    return shares / np.maximum(shares.sum(1, keepdims=True), 1e-12)
