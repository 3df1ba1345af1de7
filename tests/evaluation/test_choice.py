"""The choice among models: by what was held out inside, whatever is best on what is scored."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from builders.predictions import LABELS, add_raw_predictions, make_table

from mea.evaluation.choice import choose_inside, choose_models, choose_shipped
from mea.evaluation.evaluation import ScoreSettings
from mea.evaluation.held_out import RawPredictions, apply_rules, combine_predictions
from mea.evaluation.models import SideBySide, add_models, compare_models
from mea.evaluation.rules import RuleSettings
from mea.models.pool import fit_weights, pool_probabilities
from mea.splitting.aggregation import get_probabilities

SCORING = ScoreSettings(LABELS, 10, 0.95)
SETTINGS = RuleSettings(0.2, 0.8, 0)
TRUTH = "ab" * 12


def right(confidence, wrong=()):
    """Twenty-four recordings predicted rightly with one confidence, but for those in ``wrong``."""
    p_b = np.where(np.array(list(TRUTH)) == "b", confidence, 1 - confidence)
    p_b[list(wrong)] = 1 - p_b[list(wrong)]
    return make_table(p_b, TRUTH)


def no_folds(table):
    return None


def test_the_best_is_that_of_lowest_log_loss_and_not_of_highest_accuracy():
    bold = right(0.999, wrong=[0])  # one wrong, and very sure of it
    shy = right(0.9, wrong=[0])
    choice = choose_models({"bold": bold, "shy": shy}, LABELS, "best", no_folds)
    assert choice.weights == {"shy": 1.0} and choice.oof.equals(shy)
    expected = -(23 * np.log(0.9) + np.log(0.1)) / 24
    assert choice.losses["shy"] == pytest.approx(expected) and choice.losses["bold"] > expected
    assert choose_models({"one": shy, "other": shy}, LABELS, "best", no_folds).weights == {"one": 1.0}, "of equals"


def test_models_are_compared_on_what_all_of_them_held_out():
    """The second is worse on all, and better on the recordings that the first held out, too."""
    few = right(0.8).iloc[:6]
    many = right(0.9, wrong=range(6, 24))
    choice = choose_models({"few": few, "many": many}, LABELS, "best", no_folds)
    assert choice.weights == {"many": 1.0} and len(choice.oof) == 24
    assert choice.losses == pytest.approx({"few": -np.log(0.8), "many": -np.log(0.9)})


def test_a_model_that_is_named_is_taken_whatever_it_is_worth():
    good, bad = right(0.9), right(0.1)
    choice = choose_models({"good": good, "bad": bad}, LABELS, "bad", no_folds)
    assert choice.weights == {"bad": 1.0} and choice.oof.equals(bad) and choice.losses == {}


@pytest.mark.parametrize(("rule", "weights"), [("best", {"one": 1.0}), ("pool", {"one": 0.5, "other": 0.5})])
def test_nothing_held_out_inside_decides_nothing(rule, weights):
    empty = right(0.9).iloc[:0]
    choice = choose_models({"one": empty, "other": right(0.9)}, LABELS, rule, no_folds)
    assert choice.weights == weights and len(choice.oof) == 0


def test_a_pool_is_calibrated_on_what_had_no_part_in_its_weights():
    one, other = right(0.8, wrong=[0, 5]), right(0.7, wrong=[3, 8, 9])
    folds = np.arange(24) // 2 % 3
    choice = choose_models({"one": one, "other": other}, LABELS, "pool", lambda table: folds)
    stacked = np.stack([get_probabilities(table, LABELS) for table in (one, other)])
    targets = (np.array(list(TRUTH)) == "b").astype(int)
    assert list(choice.weights.values()) == fit_weights(stacked, targets).tolist()
    for fold in range(3):
        weights = fit_weights(stacked[:, folds != fold], targets[folds != fold])
        expected = pool_probabilities(stacked[:, folds == fold], weights)
        np.testing.assert_allclose(get_probabilities(choice.oof[folds == fold], LABELS), expected)


# --- nested ----------------------------------------------------------------------------------------------------------


class Trained:
    """Stands in for a classifier: what was held out inside each of its two outer folds."""

    labels, facts, params = LABELS, {"split_level": "batch"}, {"train": {"inner_folds": 2, "seed": 0}}

    def __init__(self, *inner):
        self.inner = inner

    def load_oof(self, fold):
        return self.inner[fold]


def plant():
    """A model that is right inside as often as outside, and one that is best on the outer folds only."""
    honest = Trained(right(0.8, wrong=[0]), right(0.8, wrong=[1]))
    planted = Trained(right(0.8, wrong=range(12)), right(0.8, wrong=range(12, 24)))
    outer = {"honest": right(0.8, wrong=[2, 7, 10, 15]), "planted": right(0.99)}
    fold = [k // 12 for k in range(24)]
    tables = {name: add_raw_predictions(table, fold) for name, table in outer.items()}
    predictions = {name: RawPredictions(table, table) for name, table in tables.items()}
    return {"honest": honest, "planted": planted}, predictions


def test_a_model_that_is_best_on_the_outer_folds_only_is_not_chosen():
    trained, predictions = plant()
    choices = {fold: choose_inside(trained, fold, "best") for fold in (0, 1)}
    assert [choice.weights for choice in choices.values()] == [{"honest": 1.0}, {"honest": 1.0}]
    chosen = combine_predictions(predictions, choices, LABELS)
    headline = apply_rules(chosen, lambda fold: choices[fold].oof, LABELS, SETTINGS)
    models = {name: apply_rules(predictions[name], trained[name].load_oof, LABELS, SETTINGS) for name in trained}
    table = compare_models(SideBySide(trained, headline, models, choices, choices[0]), SCORING).set_index("model")
    assert (headline.by_recording["predicted"] == headline.by_recording["label"]).mean() == pytest.approx(20 / 24)
    assert table["accuracy"].round(6).to_dict() == {"honest": round(20 / 24, 6), "planted": 1.0}
    assert table["weight"].to_dict() == {"honest": 1.0, "planted": 0.0}
    assert table.loc["honest", "verdict"] == "identical"
    assert table.loc["planted", "difference"] == pytest.approx(4 / 24)
    # The mistake that this is about: the choice made on what is scored.
    raw = {name: one.by_fold for name, one in predictions.items()}
    assert choose_models(raw, LABELS, "best", no_folds).weights == {"planted": 1.0}


def test_for_new_recordings_the_outer_folds_decide():
    _, predictions = plant()
    raw = {name: one.list_recordings(LABELS) for name, one in predictions.items()}
    assert choose_shipped(raw, LABELS, "best").weights == {"planted": 1.0}
    pooled = choose_shipped(raw, LABELS, "pool")
    assert list(pooled.weights) == ["honest", "planted"] and len(pooled.oof) == 24


def test_each_fold_is_predicted_by_its_own_choice():
    _, predictions = plant()
    choices = {0: SimpleNamespace(weights={"honest": 1.0}), 1: SimpleNamespace(weights={"planted": 1.0})}
    chosen = combine_predictions(predictions, choices, LABELS)
    expected = [0.8 if k < 12 else 0.99 for k in range(24)]
    assert chosen.by_fold["confidence"].tolist() == pytest.approx(expected)
    mixed = {fold: SimpleNamespace(weights={"honest": 0.5, "planted": 0.25}) for fold in (0, 1)}
    pooled = combine_predictions(predictions, mixed, LABELS).by_chunk.iloc[0]
    odds = 0.5 * np.log(0.8 / 0.2) + 0.25 * np.log(0.99 / 0.01)
    assert pooled["p_a"] == pytest.approx(1 / (1 + np.exp(-odds)))


def test_predictions_of_every_model_stand_beside_the_headline():
    trained, predictions = plant()
    models = {name: apply_rules(predictions[name], trained[name].load_oof, LABELS, SETTINGS) for name in trained}
    headline = models["honest"].by_recording
    table = add_models(headline, models, LABELS)
    assert list(table.columns)[-6:] == [
        f"{name}.{column}" for name in trained for column in ("predicted", "p_a", "p_b")
    ]
    pd.testing.assert_series_equal(table["honest.p_b"], table["p_b"], check_names=False)
    assert (table["planted.predicted"] == table["label"]).all()
    assert add_models(headline, {"honest": models["honest"]}, LABELS) is headline, "one model: nothing to add"
