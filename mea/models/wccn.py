"""Within-class covariance normalisation: differences between cultures of one class are shrunk."""

from typing import Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin


class CultureNormalizer(TransformerMixin, BaseEstimator):
    """Shrink the directions in which cultures of one class differ, then scale to unit total variance.

    A classifier that learns to recognise training cultures has learned nothing about the class. Within-class covariance
    normalisation was introduced for telling languages, rather than speakers, apart: Hatch, Kajarekar, Stolcke,
    "Within-class covariance normalization for SVM-based speaker recognition", Interspeech 2006.

    Parameters
    ----------
    shrinkage
        A direction whose variance between cultures is ``shrinkage`` times the mean one is scaled by 1 / sqrt(2). None
        shrinks nothing: only the scale is changed.

    Attributes
    ----------
    directions_, factors_
        (k, n_features) in which cultures of one class differ, and (k,) what is left of each.
    scale_
        1 / sqrt(total variance) of the training recordings after shrinking.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[0.0, 5.0], [0.0, -5.0], [1.0, 5.0], [1.0, -5.0]])  # column 0 is the class, column 1 the culture
    >>> y, cultures = np.array([0, 0, 1, 1]), np.array(["a", "b", "c", "d"])
    >>> before, after = X.std(0), CultureNormalizer().fit_transform(X, y, cultures=cultures).std(0)
    >>> round(float(before[1] / before[0])), round(float(after[1] / after[0]), 1)  # 10 / sqrt(1 + 25 / (0.1 * 12.5))
    (10, 2.2)
    """

    def __init__(self, shrinkage: float | None = 0.1):
        self.shrinkage = shrinkage

    def fit(self, X: np.ndarray, y: np.ndarray, cultures: np.ndarray) -> Self:
        """Learn from (n, n_features) standardised features, (n,) classes and (n,) cultures."""
        if self.shrinkage is None:
            self.directions_, self.factors_ = np.zeros((0, X.shape[1])), np.zeros(0)
        else:
            self.directions_, variances = find_culture_directions(X, y, cultures)
            self.factors_ = 1 / np.sqrt(1 + variances / (self.shrinkage * max(variances.mean(), 1e-12)))
        self.scale_ = 1.0
        self.scale_ = 1 / np.sqrt(max(float(self.transform(X).var(0).sum()), 1e-12))
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        """(n, n_features) shrunk and scaled."""
        shrunk = X + ((X @ self.directions_.T) * (self.factors_ - 1)) @ self.directions_
        return shrunk * self.scale_


def have_replicates(y: np.ndarray, cultures: np.ndarray) -> bool:
    """Whether more than half of the cultures have several recordings of a class.

    Without replicates the difference of two cultures cannot be told from that of two recordings: what cultures differ
    in is then estimated as what recordings differ in, and shrinking it shrinks everything, the class included.

    Parameters
    ----------
    y, cultures
        (n,) class and culture of each recording.

    Examples
    --------
    >>> import numpy as np
    >>> y = np.array([0, 0, 1, 1])
    >>> have_replicates(y, np.array(["a", "a", "b", "b"])), have_replicates(y, np.array(["a", "b", "a", "b"]))
    (True, False)
    """
    counts = np.unique(np.stack([y.astype(str), cultures.astype(str)]), axis=1, return_counts=True)[1]
    return bool((counts > 1).mean() > 0.5)


def find_culture_directions(X: np.ndarray, y: np.ndarray, cultures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Directions in which the means of cultures of one class differ, (k, n_features), and their variance, (k,)."""
    differences = []
    for target in np.unique(y):
        own = y == target
        means = np.stack([X[own & (cultures == culture)].mean(0) for culture in np.unique(cultures[own])])
        differences.append(means - means.mean(0))
    rows = np.concatenate(differences)
    _, sizes, directions = np.linalg.svd(rows / np.sqrt(len(rows)), full_matrices=False)
    return directions, sizes**2
