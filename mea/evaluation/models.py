"""Models side by side: each is scored on the same held-out recordings, and compared with what was chosen."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from mea.evaluation.choice import Choice
from mea.evaluation.evaluation import ScoreSettings, score_table
from mea.evaluation.held_out import HeldOut
from mea.splitting.aggregation import get_probabilities
from mea.splitting.groups import group_recordings
from mea.statistics.paired import compare_predictions

SHOWN = ("accuracy", "accuracy_low", "accuracy_high", "balanced_accuracy", "roc_auc", "log_loss", "ece")


def compare_models(
    headline: HeldOut, models: Mapping[str, HeldOut], choices: Mapping[int, Choice], scoring: ScoreSettings
) -> pd.DataFrame:
    """The table of models.

    Parameters
    ----------
    headline
        Predictions of what was chosen in each fold.
    models
        Those of every model, by its name.
    choices
        Of each fold.
    scoring
        Classes, bins and confidence level.

    Returns
    -------
    pd.DataFrame
        One row a model, in the order of ``models``: model, the metrics ``SHOWN`` of recordings, difference (its
        accuracy minus that of the headline, on the same recordings) with difference_low and difference_high, verdict
        (:class:`mea.statistics.paired.Difference`), and weight (its mean over the folds: with ``best`` the fraction of
        folds in which it was chosen).
    """
    groups = group_recordings(headline.by_recording, "batch")
    rows = []
    for name, one in models.items():
        scores = score_table(one.by_recording, scoring)
        difference = compare_predictions(
            scoring.labels,
            headline.by_recording["label"].to_numpy(),
            groups,
            get_probabilities(headline.by_recording, scoring.labels),
            get_probabilities(one.by_recording, scoring.labels),
            scoring.bins,
            scoring.confidence_level,
        )[0]
        compared = {
            "difference": difference.value,
            "difference_low": difference.low,
            "difference_high": difference.high,
            "verdict": difference.verdict,
            "weight": float(np.mean([choice.weights.get(name, 0.0) for choice in choices.values()])),
        }
        rows.append({"model": name} | {key: scores.get(key, float("nan")) for key in SHOWN} | compared)
    return pd.DataFrame(rows)


def add_models(recordings: pd.DataFrame, models: Mapping[str, HeldOut], labels: list[str]) -> pd.DataFrame:
    """The headline's predictions with those of every model beside them: ``<model>.predicted``, ``<model>.p_<label>``.

    With a single model the headline is that model, and nothing is added.
    """
    if len(models) == 1:
        return recordings
    own = ["predicted", *(f"p_{label}" for label in labels)]
    return recordings.join([one.by_recording[own].add_prefix(f"{name}.") for name, one in models.items()])
