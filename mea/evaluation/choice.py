"""The choice among models: made on recordings that no model has seen, and that are not those it is scored on.

In every outer fold it is made on what inner folds held out of the training set, so that the scores of what was chosen
are honest (nested cross-validation: Varma and Simon, "Bias in error estimation when using cross-validation for model
selection", BMC Bioinformatics 7:91, 2006, doi:10.1186/1471-2105-7-91). For the classifier of new recordings it is made
by the same rule on what the outer folds held out.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mea.models.base import draw_recording_folds
from mea.models.pool import fit_weights, pool_oof
from mea.runtime.errors import MeaError
from mea.splitting.aggregation import get_probabilities
from mea.splitting.groups import IDENTITY
from mea.statistics.calibration import take_logs
from mea.training.classifier import Classifier

BEST, POOL = "best", "pool"


def check_rule(rule: str, models: list[str]) -> None:
    """Check ``evaluate.choose``.

    Raises
    ------
    ValueError
        If it is neither a rule nor a model that is trained.
    """
    if rule not in (BEST, POOL, *models):
        names = ", ".join([BEST, POOL, *models])
        raise ValueError(f"evaluate.choose = {rule!r} must be one of {names} (best, pool or train.models)")


@dataclass(frozen=True)
class Choice:
    """Which models predict, and how much each counts.

    Attributes
    ----------
    weights
        Of the chosen models, by name: 1 of a single one.
    oof
        The held-out predictions by which it was chosen, of what was chosen: recording, label, culture, batch and
        ``p_<label>``. Rules are learned from them. Of a pool each comes from weights that were fitted without the
        recording's fold.
    losses
        Log loss of each model on the recordings that all of them held out, in nats; empty where nothing was compared.
    """

    weights: dict[str, float]
    oof: pd.DataFrame
    losses: dict[str, float]


def choose_models(
    tables: dict[str, pd.DataFrame],
    labels: list[str],
    rule: str,
    find_folds: Callable[[pd.DataFrame], np.ndarray | None],
) -> Choice:
    """Choose by a rule on held-out predictions.

    Parameters
    ----------
    tables
        Of each model, in the order of ``train.models``: recording, label, culture, batch and ``p_<label>`` of
        recordings that it had not seen.
    labels
        The classes, sorted.
    rule
        ``best``: the model of lowest log loss, the first of equals; ``pool``: all of them, weighted; or a model's name.
    find_folds
        (n,) fold of each row of such a table; None where they cannot be split.

    Examples
    --------
    >>> table = pd.DataFrame({"recording": ["r1", "r2"], "label": ["a", "b"], "culture": "", "batch": ["b1", "b2"]})
    >>> sure = table.assign(p_a=[0.9, 0.1], p_b=[0.1, 0.9])
    >>> unsure = table.assign(p_a=[0.6, 0.4], p_b=[0.4, 0.6])
    >>> choose_models({"unsure": unsure, "sure": sure}, ["a", "b"], "best", lambda table: None).weights
    {'sure': 1.0}
    """
    names = list(tables)
    if rule not in (BEST, POOL) or len(names) == 1:
        name = rule if rule in tables else names[0]
        return Choice({name: 1.0}, tables[name], {})
    indexed = [table.set_index("recording", drop=False) for table in tables.values()]
    shared = [name for name in indexed[0].index if all(name in table.index for table in indexed)]
    if not shared:  # nothing was held out inside: the first of the list, or all of them alike
        equal = dict.fromkeys(names, 1 / len(names)) if rule == POOL else {names[0]: 1.0}
        return Choice(equal, tables[names[0]][:0], {})
    stacked = np.array([get_probabilities(table.loc[shared], labels) for table in indexed])
    recordings = indexed[0].loc[shared].reset_index(drop=True)
    targets = recordings["label"].map(labels.index).to_numpy(int)
    losses = -take_logs(stacked)[:, np.arange(len(targets)), targets].mean(1)
    measured = dict(zip(names, losses.tolist()))
    if rule == BEST:
        name = names[int(losses.argmin())]
        return Choice({name: 1.0}, tables[name], measured)
    weights = dict(zip(names, fit_weights(stacked, targets).tolist()))
    folds = find_folds(recordings)
    if folds is None or len(np.unique(folds)) < 2:
        return Choice(weights, recordings[:0], measured)
    pooled = pd.DataFrame(pool_oof(stacked, targets, folds), columns=[f"p_{label}" for label in labels])
    return Choice(weights, recordings[IDENTITY].join(pooled), measured)


def choose_inside(trained: dict[str, Classifier], fold: int, rule: str) -> Choice:
    """The choice of one outer fold, on what the inner folds of its training set held out."""
    first = next(iter(trained.values()))

    def find_folds(recordings: pd.DataFrame) -> np.ndarray | None:
        try:
            train = first.params["train"]
            return draw_recording_folds(recordings, first.facts["split_level"], train["inner_folds"], train["seed"])
        except MeaError:
            return None

    return choose_models({name: one.load_oof(fold) for name, one in trained.items()}, first.labels, rule, find_folds)


def choose_shipped(raw: dict[str, pd.DataFrame], labels: list[str], rule: str) -> Choice:
    """The choice for new recordings, on what the outer folds held out, by the same rule; it is never scored."""
    folds = dict(zip(next(iter(raw.values()))["recording"], next(iter(raw.values()))["fold"]))

    def find_folds(recordings: pd.DataFrame) -> np.ndarray:
        return np.unique(recordings["recording"].map(folds).astype(str), return_inverse=True)[1]

    return choose_models(raw, labels, rule, find_folds)
