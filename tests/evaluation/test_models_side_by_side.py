"""Several models through the stages train, evaluate and classify."""

import numpy as np
import pytest
from builders.arrays import plan_recordings, write_array
from builders.environment import work_alone
from builders.recordings import write_small_mcs
from builders.stages import run_lab, run_stage
from scipy.special import logit

from mea.arrays.events_file import RecordingsOnDisk
from mea.runtime.files import read_json
from mea.runtime.tables import read_table
from mea.training.classifier import load_classifier

pytestmark = pytest.mark.usefixtures("alone")
BOTH = "train.models=[rate, features]"


@pytest.fixture(scope="module")
def pooled(tmp_path_factory):
    """A lab of six batches evaluated with ``choose: pool``: folder, recordings, metrics."""
    folder = tmp_path_factory.mktemp("pooled")
    with work_alone(folder):
        array = folder / "array"
        write_array(array, plan_recordings(batches=6), duration_s=2.0)
        return folder, array, run_lab(folder, array, BOTH, "evaluate.choose=pool")


def test_each_model_has_its_own_outputs_and_metrics(pooled):
    folder, _, metrics = pooled
    assert list(metrics["models"]) == ["rate", "features"]
    for name, one in metrics["models"].items():
        assert read_json(folder / f"metrics/train/{name}.json") == {"model": name}
        assert (folder / f"plots/train/{name}/chunks.png").is_file()
        assert (folder / f"plots/evaluate/{name}/confusion_recording.png").is_file()
        params = load_classifier(folder / "models/folds" / name).params["train"]
        assert list(params) == ["inner_folds", "seed", name], "the other's parameters decide nothing of it"
        assert 0 < one["weight"] < 3
    table = read_table(folder / "plots/evaluate/models.csv")
    assert table["model"].tolist() == ["rate", "features"]


def test_a_pool_is_shipped_with_all_it_needs_and_classifies(pooled):
    folder, array, _ = pooled
    shipped = load_classifier(folder / "models/classifier")
    assert list(shipped.weights) == ["rate", "features"] and shipped.model == "rate + features"
    assert {path.name for path in (folder / "models/classifier/fold_0").iterdir()} == {"rate", "features"}
    card = read_json(folder / "models/classifier/card.json")
    assert card["chosen_among"] == ["rate", "features"] and card["choose"] == "pool"
    (folder / "new").mkdir()
    write_small_mcs(folder / "new/one.h5", n_samples=50_000)
    run_stage("classify", folder, array, argv=["--source", folder / "new"])
    (row,) = read_table(folder / "metrics/classify.csv").to_dict("records")
    assert row["p_a"] + row["p_b"] == pytest.approx(1)


def test_the_headline_is_the_weighted_pool_of_both(pooled):
    folder, _, metrics = pooled
    table = read_table(folder / "metrics/evaluate/predictions.csv")
    assert {"rate.p_a", "features.p_a", "rate.predicted", "features.predicted"} <= set(table.columns)
    assert metrics["recording"]["accuracy"] == (table["predicted"] == table["label"]).mean()
    for name in ("rate", "features"):
        assert metrics["models"][name]["accuracy"] == (table[f"{name}.predicted"] == table["label"]).mean()


@pytest.mark.slow
def test_one_model_is_chosen_shipped_and_told(pooled, tmp_path):
    """Named, it is the headline; what train.models does not list is removed from the folder that DVC hashes."""
    folder, array, _ = pooled
    run_stage("evaluate", folder, array, BOTH, "evaluate.choose=rate")
    metrics = read_json(folder / "metrics/evaluate.json")
    assert metrics["models"]["rate"]["verdict"] == "identical" and metrics["models"]["rate"]["weight"] == 1
    assert metrics["recording"]["log_loss"] == metrics["models"]["rate"]["log_loss"]
    shipped = load_classifier(folder / "models/classifier")
    assert shipped.weights == {"rate": 1.0} and not list((folder / "models/classifier").rglob("features"))
    assert list(shipped.params["train"]) == ["inner_folds", "seed", "rate", "features"], "what it was chosen among"
    run_stage("evaluate", folder, array, "train.models=[rate]", "evaluate.choose=best")
    assert [path.name for path in (folder / "models/folds").iterdir()] == ["rate"]
    alone = read_json(folder / "metrics/evaluate.json")
    assert {**alone["recording"]} == {**metrics["recording"]} and list(alone["models"]) == ["rate"]


def test_a_model_that_is_not_trained_cannot_be_chosen(pooled, capsys):
    folder, array, _ = pooled
    with pytest.raises(SystemExit, match=r"evaluate.choose = 'rocket' must be one of best, pool, rate"):
        run_stage("evaluate", folder, array, "train.models=[rate]", "evaluate.choose=rocket")


@pytest.mark.slow
def test_models_of_other_folds_are_not_compared(pooled, tmp_path):
    _, array, _ = pooled
    run_stage("split", tmp_path, array)
    run_stage("train", tmp_path, array, "train.models=[features]")
    run_stage("split", tmp_path, array, "split.score=[0]")
    run_stage("train", tmp_path, array, "train.models=[rate]")
    with pytest.raises(SystemExit, match=r"features: trained in other folds than .*rate. Train both: dvc repro train"):
        run_stage("evaluate", tmp_path, array, BOTH)


@pytest.mark.slow
def test_the_log_odds_of_a_pool_are_weighted_sums_of_its_models(pooled):
    """In each fold, with one pair of weights for all its chunks; the models are asked directly."""
    folder, array, _ = pooled
    run_stage("split", folder, array)
    run_stage("train", folder, array, BOTH)
    run_stage("evaluate", folder, array, BOTH, "evaluate.choose=pool")
    chunks = read_table(folder / "metrics/evaluate/chunks.csv")
    events = RecordingsOnDisk(array, chunks["recording"].unique())
    for fold, part in chunks.groupby("fold"):
        models = [load_classifier(folder / "models/folds" / name).open_model(fold) for name in ("rate", "features")]
        single = np.stack([logit(model.predict_proba(part, events)[:, 1]) for model in models], axis=1)
        pooled_odds = logit(part["p_b"].to_numpy())
        weights = np.linalg.lstsq(single, pooled_odds, rcond=None)[0]
        np.testing.assert_allclose(single @ weights, pooled_odds, atol=1e-4)
        assert (weights > 0).all() and np.abs(single[:, 0] - single[:, 1]).max() > 0.1, "the models differ"
