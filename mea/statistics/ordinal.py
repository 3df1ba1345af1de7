"""Metrics of classes that have an order, such as doses or days."""

import numpy as np


def score_order(labels: list[str], actual: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """How far predictions of ordered classes, such as doses or days, are from the actual ones.

    Gaudette and Japkowicz, "Evaluation methods for ordinal classification", Canadian AI 2009,
    doi:10.1007/978-3-642-01818-3_25.

    Parameters
    ----------
    labels
        The classes in their order.
    actual, predicted
        (n,) labels.

    Returns
    -------
    dict
        rank_error (mean absolute difference of ranks: 0 is faultless) and adjacent (fraction of predictions that are
        correct or one rank off).

    Examples
    --------
    >>> import numpy as np
    >>> score_order(["day 5", "day 9", "day 12"], np.array(["day 5", "day 9"]), np.array(["day 12", "day 9"]))
    {'rank_error': 1.0, 'adjacent': 0.5}
    """
    ranks = {label: rank for rank, label in enumerate(labels)}
    off = np.array([abs(ranks[one] - ranks[other]) for one, other in zip(actual, predicted)])
    return {"rank_error": float(off.mean()), "adjacent": float((off <= 1).mean())}
