"""The classifier of whole recordings: normalisation, the choice of hyperparameters, Platt scaling, and the file."""

import numpy as np
import pytest
import skops.io
from scipy.special import expit
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.svm import SVC

from mea.models import recording_svc
from mea.models.estimators import TRUSTED
from mea.models.multiclass import combine_problems
from mea.models.recording_svc import (
    CLIP,
    RecordingSVC,
    SvmParams,
    build_pipeline,
    build_scaler,
    choose_default,
    choose_params,
    compare_params,
    compute_losses,
    select_within_2se,
)
from mea.models.wccn import CultureNormalizer, find_culture_directions
from mea.runtime.errors import MeaError
from mea.statistics.calibration import fit_platt


def make_lab(seed=0, cultures=12, each=6, size=20, effect=1.0, fingerprint=4.0):
    """Recordings of cultures that differ in ten features, of two classes that differ in one other."""
    random = np.random.default_rng(seed)
    culture = np.repeat(np.arange(cultures), each)
    targets = (culture % 2).astype(bool)
    values = random.normal(size=(len(culture), size))
    values[:, :10] += fingerprint * random.normal(size=(cultures, 10))[culture]
    values[:, 10] += effect * np.where(targets, 1, -1)
    return values, targets, culture


def fit(values, targets, cultures, params=SvmParams()):  # noqa: B008 - it is frozen
    approximate = len(values) > recording_svc.MOST_EXACT
    return build_pipeline(params, approximate).fit(values, targets, normalize__cultures=cultures)


def test_differences_of_cultures_are_shrunk_and_nothing_else():
    values, targets, culture = make_lab()
    normalizer = CultureNormalizer(0.1).fit(values, targets, culture)
    directions, factors = normalizer.directions_, normalizer.factors_
    assert (factors[:6] < 0.5).all() and (factors <= 1).all() and (np.diff(factors) >= 0).all()
    np.testing.assert_allclose(directions @ directions.T, np.eye(len(directions)), atol=1e-9)
    shrunk = normalizer.transform(values) / normalizer.scale_

    def between(table):
        return np.var([table[culture == k].mean(0) for k in np.unique(culture)], axis=0)

    assert (between(shrunk)[:10] < 0.5 * between(values)[:10]).all()
    normalizer.factors_ = np.ones_like(factors)
    np.testing.assert_allclose(normalizer.transform(values) / normalizer.scale_, values)


def test_the_factors_are_those_of_the_formula():
    """A direction with ``shrinkage`` times the mean variance is scaled by 1 / sqrt(2)."""
    values, targets, culture = make_lab()
    _, variances = find_culture_directions(values, targets, culture)
    normalizer = CultureNormalizer(variances[3] / variances.mean()).fit(values, targets, culture)
    assert normalizer.factors_[3] == pytest.approx(np.sqrt(0.5))


def test_the_total_variance_of_the_training_set_is_1():
    values, targets, culture = make_lab()
    assert CultureNormalizer(0.1).fit_transform(values, targets, cultures=culture).var(0).sum() == pytest.approx(1)


def test_new_cultures_are_told_better_than_by_a_plain_svc():
    """The planted fault: a classifier without the normalisation finds the cultures it was trained with."""
    ours, plain = [], []
    for seed in range(6):
        values, targets, culture = make_lab(seed, cultures=40, effect=1.5)
        training = culture < 28
        pipeline = fit(values[training], targets[training], culture[training])
        ours.append((pipeline.predict(values[~training]) == targets[~training]).mean())
        naive = SVC(C=10, gamma="scale").fit(values[training], targets[training])
        plain.append((naive.predict(values[~training]) == targets[~training]).mean())
    assert np.mean(ours) > np.mean(plain) + 0.05 and np.mean(ours) > 0.65


def make_dishes(seed, dishes=24):
    """One recording of each class from every dish; what tells the classes apart also differs most between dishes."""
    random = np.random.default_rng(seed)
    targets, dish = np.tile([0, 1], dishes), np.repeat(np.arange(dishes), 2)
    values = random.normal(size=(2 * dishes, 60))
    values[:, :20] += (targets + random.normal(0, 0.5, len(targets)))[:, None]
    return values, targets, dish


def test_without_replicates_nothing_is_normalised():
    """The planted fault: the differences of single recordings, taken for those of cultures, are all directions."""
    values, targets, dish = make_dishes(0)
    assert choose_default(targets, dish).shrinkage is None
    assert choose_default(*make_lab()[1:]).shrinkage == SvmParams().shrinkage
    plain, normalised = [], []
    for seed in range(12):
        values, targets, dish = make_dishes(seed)
        training = dish < 16
        for params, found in ((SvmParams(shrinkage=None), plain), (SvmParams(shrinkage=0.03), normalised)):
            pipeline = fit(values[training], targets[training], dish[training], params)
            found.append((pipeline.predict(values[~training]) == targets[~training]).mean())
    assert np.mean(plain) > np.mean(normalised) + 0.03
    values, targets, dish = make_dishes(1)
    model, _ = RecordingSVC.fit(values, targets, dish, dish % 4, 2, ["x"] * 60)
    assert model.pipelines[0]["normalize"].shrinkage is None, "nothing was clearly better"


def test_nothing_shrunk_is_the_identity_but_for_its_scale():
    values, targets, culture = make_lab()
    plain = CultureNormalizer(None).fit_transform(values, targets, cultures=culture)
    np.testing.assert_allclose(plain, values / np.sqrt(values.var(0).sum()))


def test_without_differences_it_is_a_plain_svc():
    values, targets, _ = make_lab(fingerprint=0.0)
    pipeline = fit(values, targets, targets, SvmParams(3.0, 0.2, 0.1))  # one culture a class: no differences
    scaled = np.clip((values - values.mean(0)) / values.std(0), -CLIP, CLIP)
    reference = SVC(C=3.0, gamma=0.2 / scaled.var(0).sum()).fit(scaled, targets)
    np.testing.assert_allclose(pipeline.decision_function(values), reference.decision_function(scaled), atol=1e-6)


def test_undefined_features_count_as_the_median():
    values, targets, culture = make_lab()
    values[0, :5] = np.nan
    values[:, 7] = np.nan  # defined nowhere
    pipeline = fit(values, targets, culture)
    filled = values.copy()
    filled[0, :5] = np.nanmedian(values[:, :5], axis=0)
    assert np.isfinite(pipeline.decision_function(values)).all()
    np.testing.assert_allclose(pipeline.decision_function(values[:1]), pipeline.decision_function(filled[:1]))


def test_a_feature_that_is_constant_up_to_rounding_says_nothing():
    """The planted fault: divided by its tiny standard deviation, rounding would be as large as any feature."""
    values = np.full((40, 1), 0.1 + 0.2)
    values[::2] = 0.3
    assert values.std() > 0
    np.testing.assert_allclose(build_scaler().fit_transform(values), 0, atol=1e-9)


def test_platt_scaling_knows_planted_odds_and_weighs_both_classes_equally():
    random = np.random.default_rng(0)
    decisions = random.normal(size=20_000) * 2
    targets = random.random(20_000) < 1 / (1 + np.exp(-1.5 * decisions))
    slope, intercept = fit_platt(decisions, targets)
    assert slope == pytest.approx(1.5, abs=0.05) and intercept == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize("n_labels", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_recordings_are_classified_and_the_file_gives_the_same(n_labels, tmp_path):
    values, _, culture = make_lab(effect=3.0)
    targets = culture % n_labels
    values[:, 10] = 3.0 * targets + np.random.default_rng(1).normal(size=len(targets)) * 0.3
    names = [f"feature_{number}" for number in range(values.shape[1])]
    model, oof = RecordingSVC.fit(values, targets, culture, culture // n_labels % 3, n_labels, names)
    probabilities = model.predict_proba(values)
    np.testing.assert_allclose(probabilities.sum(1), 1)
    np.testing.assert_allclose(oof.sum(1), 1)
    assert (probabilities.argmax(1) == targets).mean() > 0.9 and oof.shape == (len(targets), n_labels)
    for name in ("one", "two"):
        model.save(tmp_path / f"{name}.skops")
    read = RecordingSVC.load(tmp_path / "one.skops")
    np.testing.assert_array_equal(read.predict_proba(values), probabilities)
    assert read.feature_names == names
    assert (tmp_path / "one.skops").read_bytes() == (tmp_path / "two.skops").read_bytes()
    with pytest.raises(MeaError, match=r"was fitted on 20 features of a recording, but this version computes 19\. Tr"):
        read.predict_proba(values[:, 1:])


def test_two_classes_have_one_pipeline_and_three_are_normalised_to_sum_1():
    two = RecordingSVC([None], 2, np.array([[2.0, 1.0]]), [])
    np.testing.assert_allclose(two.scale_decisions(np.array([[0.5]])), [[1 - expit(2), expit(2)]])
    three = RecordingSVC([None] * 6, 3, np.array([[1.0, 0.0]] * 6), [])
    odds = np.array([[0.3, -2.0, 1.0, 0.5, -0.1, 2.0]])
    np.testing.assert_allclose(three.scale_decisions(odds), combine_problems(expit(odds), 3))


def test_a_file_may_hold_nothing_but_what_we_wrote(tmp_path):
    """Types are trusted by a list in the code, never because a file asks for them."""
    values, targets, culture = make_lab()
    model, _ = RecordingSVC.fit(values, targets.astype(int), culture, None, 2, ["x"] * 20)
    model.save(tmp_path / "a.skops")
    asked = set(skops.io.get_untrusted_types(file=tmp_path / "a.skops"))
    assert asked == {"mea.models.wccn.CultureNormalizer", "numpy.clip", "numpy.dtype"} == set(TRUSTED)


def test_what_is_held_out_inside_has_no_part_in_its_own_decision():
    values, targets, culture = make_lab()
    folds = culture // 2 % 3
    params, decisions = choose_params(values, targets, culture, folds, SvmParams())
    others = folds != 0
    pipeline = fit(values[others], targets[others], culture[others], params)
    np.testing.assert_allclose(pipeline.decision_function(values[~others]), decisions[~others], atol=1e-9)
    spoiled = values.copy()
    spoiled[~others] = np.random.default_rng(9).normal(size=spoiled[~others].shape)
    again = fit(spoiled[others], targets[others], culture[others], params)
    np.testing.assert_array_equal(again["svc"].support_vectors_, pipeline["svc"].support_vectors_)


def test_other_hyperparameters_must_be_clearly_better():
    """The planted fault: the lowest of many losses is low by chance; here it comes from a single one of four folds."""
    folds = np.repeat(np.arange(4), 10)
    default, other = SvmParams(), SvmParams(30.0, 0.1, 0.03)
    by_chance, in_all = np.ones(40), np.full(40, 0.9)
    by_chance[:10] = 0.5
    in_all[::2] = 0.8
    assert select_within_2se({default: np.ones(40), other: by_chance}, folds, default) == default
    assert select_within_2se({default: np.ones(40), other: in_all}, folds, default) == other
    assert select_within_2se({other: np.full(40, 1.1), default: np.ones(40)}, folds, default) == default


def test_losses_weigh_both_classes_equally():
    decisions, targets = np.random.default_rng(0).normal(size=40), np.arange(40) < 10
    slope, intercept = fit_platt(decisions, targets)
    probability = 1 / (1 + np.exp(-(slope * decisions + intercept)))
    expected = [-np.log(probability[targets]).mean(), -np.log(1 - probability[~targets]).mean()]
    assert compute_losses(decisions, targets).mean() == pytest.approx(np.mean(expected))


def test_hyperparameters_are_compared_as_if_each_were_fitted_by_itself():
    values, targets, culture = make_lab()
    folds = culture // 2 % 3
    compared = compare_params(values, targets, culture, folds)
    assert len(compared) == 36
    for params in list(compared)[::5]:
        for fold in range(3):
            own = folds != fold
            pipeline = fit(values[own], targets[own], culture[own], params)
            np.testing.assert_allclose(compared[params][~own], pipeline.decision_function(values[~own]), atol=1e-9)


@pytest.fixture
def approximated(monkeypatch):
    monkeypatch.setattr(recording_svc, "MOST_EXACT", 150)
    monkeypatch.setattr(recording_svc, "LANDMARKS", 100)


def fit_all(values, targets, culture, folds):
    return RecordingSVC.fit(values, targets.astype(int), culture, folds, 2, [f"x{k}" for k in range(values.shape[1])])


def test_the_approximation_by_all_recordings_is_exact_and_by_some_nearly(approximated, monkeypatch):
    """With every recording a landmark the kernel is whole: a support vector classifier finds the same decisions."""
    values, targets, culture = make_lab(cultures=40, effect=0.6)
    assert len(values) == 240
    new, _, _ = make_lab(seed=1, cultures=40, effect=0.6)
    exact = SVC(C=10.0, gamma=0.2, class_weight="balanced")
    for landmarks, likeness in ((240, 1 - 1e-6), (100, 0.95)):
        monkeypatch.setattr(recording_svc, "LANDMARKS", landmarks)
        pipeline = fit(values, targets, culture)
        features = pipeline[:-1].transform(values)
        scaled, of_new = pipeline[:-2].transform(values), pipeline[:-2].transform(new)
        kernel = rbf_kernel(scaled, gamma=0.2)
        assert np.corrcoef((features @ features.T).ravel(), kernel.ravel())[0, 1] > likeness
        found = pipeline.decision_function(new)
        assert np.corrcoef(found, exact.fit(scaled, targets).decision_function(of_new))[0, 1] > 0.9


def test_folds_are_approximated_where_the_model_is(approximated, monkeypatch):
    """Platt scaling is learned from the folds' decisions: they must be of the same kind as the model's."""
    values, targets, culture = make_lab(cultures=30)
    assert len(values) == 180 > recording_svc.MOST_EXACT > 180 * 2 / 3
    built, build = [], recording_svc.build_pipeline

    def note(params, approximate):
        built.append(approximate)
        return build(params, approximate)

    monkeypatch.setattr(recording_svc, "build_pipeline", note)
    fit_all(values, targets, culture, culture // 2 % 3)
    assert built == [True] * 4, "three folds and the model"


def test_many_recordings_are_approximated_as_well_as_said(approximated, tmp_path, monkeypatch):
    values, targets, culture = make_lab(cultures=60, effect=1.0)
    new, of_new, _ = make_lab(seed=1, cultures=60, effect=1.0)
    folds = culture // 2 % 3
    model, oof = fit_all(values, targets, culture, folds)
    (limit,) = model.list_limits()
    assert "150 recordings" in limit and "100 of them (Nyström" in limit
    assert oof.shape == (360, 2) and ((oof[:, 1] > 0.5) == targets).mean() > 0.75
    model.save(tmp_path / "model.skops")
    again = RecordingSVC.load(tmp_path / "model.skops")
    np.testing.assert_array_equal(again.predict_proba(new), model.predict_proba(new))
    monkeypatch.setattr(recording_svc, "MOST_EXACT", 1000)
    exact, exact_oof = fit_all(values, targets, culture, folds)
    assert exact.list_limits() == []
    assert abs(np.mean((oof[:, 1] > 0.5) == targets) - np.mean((exact_oof[:, 1] > 0.5) == targets)) < 0.06
    accuracies = [((one.predict_proba(new)[:, 1] > 0.5) == of_new).mean() for one in (model, exact)]
    assert min(accuracies) > 0.75 and abs(accuracies[0] - accuracies[1]) < 0.06


def test_without_inner_folds_nothing_is_chosen():
    values, targets, culture = make_lab()
    model, oof = RecordingSVC.fit(values, targets.astype(int), culture, None, 2, ["x"] * 20)
    assert oof.shape == (0, 2) and model.platt.tolist() == [[2.0, 0.0]]
    assert model.pipelines[0]["svc"].C == SvmParams().C
