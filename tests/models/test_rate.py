"""The firing-rate baseline, and scikit-learn models on disk."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import skops.io
from builders.arrays import describe_events, make_events
from builders.lab import ROOT
from builders.zips import ZIP_FAULTS, lengthen
from sklearn.pipeline import Pipeline

from mea.models.estimators import load_estimator, save_estimator
from mea.models.rate import build_classifier, measure_rates
from mea.runtime.errors import MeaError
from mea.splitting.chunks import cut_chunks


def fit(rates: np.ndarray, targets: np.ndarray) -> Pipeline:
    return build_classifier(0).fit(np.log1p(rates)[:, None], targets)


def predict(model: Pipeline, rates: np.ndarray) -> np.ndarray:
    return model.predict_proba(np.log1p(rates)[:, None])


def test_a_model_is_read_without_pytorch(tmp_path):
    """Which skops would import, by asking scikit-learn for every estimator there is: two seconds, for nothing."""
    save_estimator(tmp_path / "one.skops", fit(np.array([1.0, 2.0, 3.0, 4.0] * 5), np.array([0, 0, 1, 1] * 5)))
    code = "import sys; from pathlib import Path; from mea.models.estimators import load_estimator; "
    code += "load_estimator(Path(sys.argv[1])); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "one.skops")], cwd=ROOT, check=True)


def test_rates_are_spikes_per_second_and_electrode():
    events = make_events("r1", spikes_per_s=3.0, duration_s=5.0)
    chunks, _ = cut_chunks(pd.DataFrame([describe_events(events)]), 1.0, None)
    times = events.peak_sample / 25_000
    by_hand = [((times >= start) & (times < start + 1)).sum() / 144 for start in range(5)]
    np.testing.assert_allclose(measure_rates(chunks, {"r1": events}), by_hand)
    np.testing.assert_allclose(by_hand, 3.0, rtol=0.3)


def test_rate_tells_classes_apart_by_rate():
    random = np.random.default_rng(0)
    rates = np.concatenate([random.gamma(9, 0.1, 60), random.gamma(9, 1.0, 20)])
    model = fit(rates, np.repeat([0, 1], [60, 20]))
    low, high = predict(model, np.array([0.9, 9.0]))
    assert low[0] > 0.9 and high[1] > 0.9
    assert predict(model, rates).sum(1) == pytest.approx(np.ones(80))
    p = predict(model, np.linspace(0, 50, 100))[:, 1]
    assert (np.diff(p) > 0).all()


def test_rate_without_any_difference_favours_no_class():
    """The classes count alike, however unequal their numbers."""
    rates = np.tile([1.0, 2.0, 3.0, 4.0], 10)
    model = fit(rates, np.repeat([0, 1], [32, 8]))
    np.testing.assert_allclose(predict(model, rates), 0.5, atol=0.02)


def test_rate_with_three_classes_round_trip(tmp_path):
    random = np.random.default_rng(0)
    rates = np.concatenate([random.gamma(9, scale, 30) for scale in (0.1, 1.0, 10.0)])
    model = fit(rates, np.repeat([0, 1, 2], 30))
    assert predict(model, np.array([0.9, 9.0, 90.0])).argmax(1).tolist() == [0, 1, 2]
    save_estimator(tmp_path / "one.skops", model)
    np.testing.assert_array_equal(predict(load_estimator(tmp_path / "one.skops"), rates), predict(model, rates))
    kept = [np.zeros(7) for _ in range(99)]  # other addresses in memory, at another time
    save_estimator(tmp_path / "two.skops", fit(rates.copy(), np.repeat([0, 1, 2], 30)))
    assert (tmp_path / "one.skops").read_bytes() == (tmp_path / "two.skops").read_bytes() and kept


class Planted:
    """A type nobody trusts: loading it could run code."""

    def __init__(self):
        self.command = "rm"


def test_a_file_that_asks_for_another_type_is_refused(tmp_path):
    path = tmp_path / "fold_0_rate.skops"
    model = fit(np.arange(10.0), np.arange(10) % 2)
    model.steps.append(("last", Planted()))
    skops.io.dump(model, path)
    with pytest.raises(MeaError, match=r"fold_0_rate\.skops: asks for types we do not trust: \S*Planted\. Train it ag"):
        load_estimator(path)


@pytest.mark.parametrize("spoil", [*ZIP_FAULTS.values(), lengthen], ids=[*ZIP_FAULTS, "longer than the file"])
def test_a_damaged_file_is_refused(tmp_path, spoil):
    path = tmp_path / "rate.skops"
    save_estimator(path, fit(np.arange(10.0), np.arange(10) % 2))
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(MeaError, match=r"rate\.skops: not a model written by the train stage \(.+\)\. Train it again"):
        load_estimator(path)


@pytest.mark.parametrize("content", [None, b"", b"no zip", b"PK\x05\x06" + bytes(18)])
def test_a_foreign_file_is_refused(tmp_path, content):
    path = tmp_path / "fold_0_rate.skops"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(
        MeaError, match=r"fold_0_rate\.skops: not a model written by the train stage \(.*Train it again"
    ):
        load_estimator(path)
