"""Models side by side: each is scored on the same held-out recordings, and compared with what was chosen."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mea.arrays.events import SpikeEvents
from mea.evaluation.choice import Choice, choose_inside, choose_shipped
from mea.evaluation.evaluation import ScoreSettings, list_fold_scores, score_table
from mea.evaluation.held_out import HeldOut, apply_rules, combine_predictions, predict_held_out
from mea.evaluation.rules import RuleSettings
from mea.models.base import Model
from mea.models.pool import Pool
from mea.recordings.lab_columns import PREFIX
from mea.runtime.files import fresh_folder
from mea.runtime.tables import write_table
from mea.splitting.aggregation import get_probabilities
from mea.splitting.groups import group_recordings
from mea.statistics.paired import compare_accuracy
from mea.training.classifier import Classifier, open_weighted


@dataclass(frozen=True)
class SideBySide:
    """Predictions of everything that the folds held out.

    Attributes
    ----------
    trained
        Classifiers of one model each, by its name.
    headline
        Of what was chosen in each fold.
    models
        Of every model, by its name.
    choices
        Of each fold, made inside its training set.
    shipped
        The choice for new recordings.
    """

    trained: dict[str, Classifier]
    headline: HeldOut
    models: dict[str, HeldOut]
    choices: dict[int, Choice]
    shipped: Choice

    def open_model(self, fold: int) -> Model | Pool:
        """What was chosen in a fold."""
        return open_weighted(self.trained, self.choices[fold].weights, fold)


SHOWN = ("accuracy", "accuracy_low", "accuracy_high", "balanced_accuracy", "roc_auc", "log_loss", "ece")


def predict_models(
    trained: dict[str, Classifier],
    chunks: pd.DataFrame,
    events: Mapping[str, SpikeEvents],
    rule: str,
    settings: RuleSettings,
) -> SideBySide:
    """Predict what each fold held out by every model, and choose among them.

    Parameters
    ----------
    trained
        Classifiers of one model each, in the order of ``train.models``.
    chunks
        All chunks with their fold.
    events
        Of each recording.
    rule
        ``evaluate.choose``.
    settings
        Of the rules that are learned inside each fold's training set.
    """
    first = next(iter(trained.values()))
    predictions = {name: predict_held_out(one, chunks, events) for name, one in trained.items()}
    choices = {fold: choose_inside(trained, fold, rule) for fold in first.folds}
    chosen = combine_predictions(predictions, choices, first.labels)
    headline = apply_rules(chosen, lambda fold: choices[fold].oof, first.labels, settings)
    models = {
        name: apply_rules(predictions[name], one.load_oof, first.labels, settings) for name, one in trained.items()
    }
    shipped = choose_shipped({name: one.raw for name, one in models.items()}, first.labels, rule)
    return SideBySide(trained, headline, models, choices, shipped)


def compare_models(found: SideBySide, scoring: ScoreSettings) -> pd.DataFrame:
    """The table of models.

    Parameters
    ----------
    found
        Predictions of what was chosen in each fold, and of every model.
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
    headline = found.headline
    groups = group_recordings(headline.by_recording, "batch")
    rows = []
    for name, one in found.models.items():
        scores = score_table(one.by_recording, scoring)
        difference = compare_accuracy(
            scoring.labels,
            headline.by_recording["label"].to_numpy(),
            groups,
            get_probabilities(headline.by_recording, scoring.labels),
            get_probabilities(one.by_recording, scoring.labels),
            scoring.confidence_level,
        )
        compared = {
            "difference": difference.value,
            "difference_low": difference.low,
            "difference_high": difference.high,
            "verdict": difference.verdict,
            "weight": float(np.mean([choice.weights.get(name, 0.0) for choice in found.choices.values()])),
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


def write_tables(
    out: Path,
    held_out: HeldOut,
    models: dict[str, HeldOut],
    labels: list[str],
    lab: pd.DataFrame,
    importance: pd.DataFrame,
) -> None:
    """Predictions by recording and by chunk, accuracy by fold, and what the models decide by.

    ``lab`` holds the lab's own columns, by recording: they stand last in the table of recordings.
    """
    predictions = add_models(held_out.by_recording, models, labels)
    with fresh_folder(out) as folder:
        write_table(folder / "predictions.csv", predictions.join(lab.add_prefix(PREFIX), on="recording"))
        write_table(folder / "chunks.csv", held_out.by_chunk)
        write_table(folder / "folds.csv", list_fold_scores(held_out.by_recording, held_out.by_chunk))
        write_table(folder / "importance.csv", importance)
