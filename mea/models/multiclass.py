"""Several classes by classifiers of two: one class against the rest, and one against one.

Each class against the rest, normalised to sum 1, is underconfident: classes are weighted equally in every problem, so
"the rest" counts as much as the class. Pairwise coupling (Wu, Lin, Weng, "Probability estimates for multi-class
classification by pairwise coupling", JMLR 5:975, 2004), which scikit-learn's ``SVC`` uses, is not, but each pair sees
fewer recordings. Their geometric mean had the lowest log loss and calibration error on the inner folds of a data set
with four classes (docs/notebook.md).
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

SMALLEST = 1e-6  # probability


@dataclass(frozen=True)
class Problem:
    """Two sides that a classifier tells apart.

    Attributes
    ----------
    positive, negative
        Numbers of the labels of each side.
    """

    positive: tuple[int, ...]
    negative: tuple[int, ...]

    def select(self, targets: np.ndarray) -> np.ndarray:
        """(n,) bool: recordings that belong to either side."""
        return np.isin(targets, self.positive + self.negative)


def list_problems(n_labels: int) -> list[Problem]:
    """Of two classes one problem; of more, each against the rest and then each pair.

    >>> len(list_problems(2)), len(list_problems(4))
    (1, 10)
    """
    pairs = [Problem((second,), (first,)) for first, second in combinations(range(n_labels), 2)]
    if n_labels == 2:
        return pairs
    labels = range(n_labels)
    return [Problem((label,), tuple(other for other in labels if other != label)) for label in labels] + pairs


def combine_problems(proba: np.ndarray, n_labels: int) -> np.ndarray:
    """(n, n_labels) probabilities that sum to 1, of the probabilities of the positive sides, (n, n_problems).

    Parameters
    ----------
    proba
        In the order of :func:`list_problems`.
    n_labels
        Number of classes.

    Examples
    --------
    >>> import numpy as np
    >>> combine_problems(np.array([[0.9]]), 2).round(2).tolist()
    [[0.1, 0.9]]
    """
    if n_labels == 2:
        return np.concatenate([1 - proba, proba], axis=1)
    rest = np.maximum(proba[:, :n_labels], SMALLEST)
    coupled = couple_pairs(proba[:, n_labels:], n_labels)
    mean = np.sqrt(rest / rest.sum(1, keepdims=True) * coupled)
    return mean / mean.sum(1, keepdims=True)


def couple_pairs(proba: np.ndarray, n_labels: int) -> np.ndarray:
    """(n, n_labels) probabilities of those of the second class of each pair, (n, n_pairs): Wu, Lin, Weng 2004, eq. 24.

    Examples
    --------
    >>> import numpy as np
    >>> p = np.array([0.5, 0.3, 0.2])  # pairs that agree give back what they were made of
    >>> pairs = [p[j] / (p[i] + p[j]) for i, j in ((0, 1), (0, 2), (1, 2))]
    >>> couple_pairs(np.array([pairs]), 3).round(6).tolist()
    [[0.5, 0.3, 0.2]]
    """
    won = np.zeros((len(proba), n_labels, n_labels))  # [:, i, j]: probability of i in the pair of i and j
    for column, (first, second) in enumerate(combinations(range(n_labels), 2)):
        won[:, second, first], won[:, first, second] = proba[:, column], 1 - proba[:, column]
    system = np.zeros((len(proba), n_labels + 1, n_labels + 1))
    system[:, :n_labels, :n_labels] = -won * won.transpose(0, 2, 1)
    for label in range(n_labels):
        system[:, label, label] = (won[:, :, label] ** 2).sum(1)
    system[:, :n_labels, n_labels] = system[:, n_labels, :n_labels] = 1  # Lagrange multiplier; they sum to 1
    right = np.zeros((len(proba), n_labels + 1, 1))
    right[:, n_labels] = 1
    found = np.maximum(np.linalg.solve(system, right)[:, :n_labels, 0], SMALLEST)
    return found / found.sum(1, keepdims=True)
