"""The truth behind simulated recordings: traits and spikes."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import LeaveOneGroupOut, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mea.simulation.plans import LABELS, plan_training
from mea.simulation.simulate import simulate_spikes
from mea.simulation.simulated_network import LARGEST_UV, MARGIN_S, REFRACTORY_S, SMALLEST_UV


def plan_one(**changes):
    return replace(plan_training(5, 1, 1, 1, class_effect=1.0, recording_variance=1.0)[0], **changes)


def test_refractory_period_margins_and_amplitudes_hold():
    for plan in plan_training(1, 2, 1, 1, class_effect=1.0, recording_variance=1.0):
        _, spikes = simulate_spikes(plan, 10.0)
        same = np.diff(spikes.electrode) == 0
        assert np.all(np.diff(spikes.electrode) >= 0)
        assert np.all(np.diff(spikes.time_s)[same] >= REFRACTORY_S)
        assert spikes.time_s.min() >= MARGIN_S
        assert spikes.time_s.max() <= 10.0 - MARGIN_S
        assert spikes.amplitude_uv.min() >= SMALLEST_UV
        assert spikes.amplitude_uv.max() <= LARGEST_UV


def test_class_effect_zero_leaves_classes_the_same():
    without, exposed = plan_training(7, 1, 1, 1, class_effect=0.0, recording_variance=1.0)
    assert (without.label, exposed.label) == LABELS
    exposed = replace(exposed, key=without.key)
    for mine, other in zip(simulate_spikes(without, 5.0), simulate_spikes(exposed, 5.0)):
        for name, value in vars(mine).items():
            np.testing.assert_array_equal(value, getattr(other, name))


def test_class_effect_acts_on_firing_and_not_on_the_rig():
    one, other = (simulate_spikes(plan_one(class_shift=shift), 1.0)[0] for shift in (-0.5, 0.5))
    for name in ("amplitude_uv", "width", "noise_uv", "delay_s"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert other.burst_hz > one.burst_hz
    assert other.burst_s < one.burst_s
    assert other.participation > one.participation


def test_spikes_come_at_the_rates_of_the_traits():
    # With electrodes that never burst, the background alone must give rate x time, up to Poisson noise of 5 sigma.
    plan = plan_one()
    traits, spikes = simulate_spikes(plan, 400.0)
    inside = np.zeros(len(spikes.time_s), bool)
    for start, length in zip(spikes.burst_start_s, spikes.burst_s):
        inside |= (spikes.time_s >= start) & (spikes.time_s <= start + length + traits.delay_s.max())
    quiet_s = 400.0 - np.sum(spikes.burst_s + traits.delay_s.max())
    expected = traits.background_hz.sum() * quiet_s
    assert abs((~inside).sum() - expected) < 0.05 * expected
    assert len(spikes.burst_s) == pytest.approx(400.0 * traits.burst_hz, rel=0.15)


def test_without_fingerprint_recordings_share_their_traits_and_not_their_spikes():
    one, _, other, _ = plan_training(2, 2, 1, 1, class_effect=1.0, recording_variance=0.0)
    (traits, spikes), (other_traits, other_spikes) = simulate_spikes(one, 4.0), simulate_spikes(other, 4.0)
    for name, value in vars(traits).items():
        np.testing.assert_array_equal(value, getattr(other_traits, name))
    assert not np.array_equal(spikes.time_s[:50], other_spikes.time_s[:50])


def test_recordings_of_one_culture_are_more_alike_than_others():
    plans = plan_training(2, 8, 1, 2, class_effect=0.0, recording_variance=1.0)
    rates = np.log1p([simulate_spikes(plan, 1.0)[0].background_hz for plan in plans])
    alike = np.corrcoef(rates)
    cultures = np.array([plan.culture for plan in plans])
    same = (cultures[:, None] == cultures) & ~np.eye(len(plans), dtype=bool)
    different = cultures[:, None] != cultures
    assert alike[same].mean() > alike[different].mean() + 0.2


def test_a_recording_does_not_depend_on_the_others():
    few = plan_training(9, 1, 1, 1, class_effect=1.0, recording_variance=1.0)
    many = plan_training(9, 3, 2, 2, class_effect=1.0, recording_variance=1.0)
    assert set(few) <= set(many)
    assert len({plan.recording for plan in many}) == len(many) == 24


def test_every_chunk_of_a_living_culture_holds_spikes():
    for plan in plan_training(4, 4, 1, 1, class_effect=1.0, recording_variance=1.0):
        _, spikes = simulate_spikes(plan, 9.6)
        assert np.bincount((spikes.time_s / 1.2).astype(int), minlength=8).min() > 5


def summarise(spikes, first_s: float, last_s: float) -> list[float]:
    time = spikes.time_s[(spikes.time_s >= first_s) & (spikes.time_s < last_s)]
    population = np.histogram(time, np.arange(first_s, last_s, 0.02))[0]
    busy = population > 8
    starts = np.sum(np.diff(busy.astype(int)) == 1)
    heights = [values.mean() if len(values) else 0 for values in (population[busy], population[~busy])]
    return [starts, np.log1p(busy.sum()), *np.log1p(heights), np.log1p(len(time))]


def describe_electrodes(spikes, first_s: float, last_s: float) -> np.ndarray:
    inside = (spikes.time_s >= first_s) & (spikes.time_s < last_s)
    count = np.bincount(spikes.electrode[inside], minlength=120)
    total = np.bincount(spikes.electrode[inside], spikes.amplitude_uv[inside], minlength=120)
    return np.concatenate([np.log1p(count), total / np.maximum(count, 1) / 30])


def score_lab(seed: int, class_effect: float) -> tuple[float, float, float]:
    """Accuracy of recordings by held-out batch; of chunks by held-out batch; of chunks mixed."""
    plans = plan_training(seed, 6, 2, 1, class_effect=class_effect, recording_variance=1.0)
    spikes = [simulate_spikes(plan, 9.6)[1] for plan in plans]
    labels, batches = (np.array([getattr(plan, name) for plan in plans]) for name in ("label", "batch"))
    whole = np.array([summarise(one, 0, 9.6) for one in spikes])
    chunks = np.array([describe_electrodes(one, 1.2 * k, 1.2 * k + 1.2) for one in spikes for k in range(8)])
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500))
    mixed = StratifiedKFold(4, shuffle=True, random_state=0)
    honest = cross_val_score(model, whole, labels, groups=batches, cv=LeaveOneGroupOut())
    by_batch = cross_val_score(model, chunks, labels.repeat(8), groups=batches.repeat(8), cv=LeaveOneGroupOut())
    return honest.mean(), by_batch.mean(), cross_val_score(model, chunks, labels.repeat(8), cv=mixed).mean()


def test_without_class_effect_only_the_chunk_split_finds_something():
    honest, by_batch, mixed = np.mean([score_lab(seed, 0.0) for seed in range(6)], axis=0)
    assert 0.3 < honest < 0.65
    assert 0.4 < by_batch < 0.6
    assert mixed > 0.9


def test_with_class_effect_the_honest_split_finds_it():
    honest, _, _ = np.mean([score_lab(seed, 1.0) for seed in range(4)], axis=0)
    assert 0.8 < honest < 0.99
