"""The voltages of simulated recordings: waveforms, noise, hum."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import welch

from mea.recordings.layouts import electrode_labels
from mea.simulation.noise import make_noise, noise_density
from mea.simulation.plans import plan_training
from mea.simulation.simulate import list_channels, make_waveform, simulate_counts, simulate_spikes
from mea.simulation.simulated_network import LARGEST_UV


def plan_one(**changes):
    return replace(plan_training(5, 1, 1, 1, class_effect=1.0, recording_variance=1.0)[0], **changes)


@pytest.fixture(scope="module")
def measured():
    """A plan, its spikes and its voltages in µV (float64, n electrodes x 2 s)."""
    plan = plan_one()
    counts, adc_zero, factor = simulate_counts(plan, 2.0)
    assert counts.dtype == np.int32
    return plan, *simulate_spikes(plan, 2.0), (counts - adc_zero[:, None]) * factor[:, None] * 1e-6


def test_waveform_is_biphasic_and_about_a_millisecond_long():
    first, shape = make_waveform(25_000, 1.0, 0.3)
    time_ms = (first + np.arange(len(shape))) / 25
    assert shape.min() == shape[-first] == -1
    assert 0.2 < shape.max() < 0.4
    assert 0.3 < time_ms[shape.argmax()] < 0.8
    assert np.abs(shape[(time_ms < -0.4) | (time_ms > 1.1)]).max() < 0.02


def test_planted_spikes_are_found_at_their_times(measured):
    _, traits, spikes, voltage_uv = measured
    assert len(spikes.time_s) > 300
    near = np.rint(spikes.time_s * 25_000).astype(int)[:, None] + np.arange(-4, 5)
    seen = voltage_uv[spikes.electrode[:, None], near] * traits.polarity[spikes.electrode, None]
    noise_uv = traits.noise_uv[spikes.electrode]
    assert np.all(seen.min(axis=1) < -4 * noise_uv)
    # The trough is as deep as planted, up to noise and the small foot of a spike just before it.
    assert np.all(np.abs(seen.min(axis=1) + spikes.amplitude_uv) < 5 * noise_uv + 0.05 * LARGEST_UV)
    found_late = np.abs(seen.argmin(axis=1) - 4)
    assert np.median(found_late) == 0
    assert np.mean(found_late <= 1) > 0.97


def test_nothing_but_planted_spikes_stands_out_of_the_noise(measured):
    _, traits, spikes, voltage_uv = measured
    planted = np.zeros(voltage_uv.shape, bool)
    for electrode, trough in zip(spikes.electrode, np.rint(spikes.time_s * 25_000).astype(int)):
        planted[electrode, max(0, trough - 25) : trough + 60] = True
    rest = np.where(planted, 0, voltage_uv) / traits.noise_uv[:, None]
    assert np.abs(rest).max() < 6.5
    spread = np.sqrt(np.sum(rest**2) / np.sum(~planted))
    assert spread == pytest.approx(1, abs=0.02)
    assert traits.noise_uv.min() >= 4
    assert traits.noise_uv.max() <= 6


@pytest.mark.parametrize("sampling_rate_hz", [25_000, 10_000])
def test_noise_has_the_spectrum_that_noise_density_states(sampling_rate_hz):
    noise = make_noise(40 * sampling_rate_hz, sampling_rate_hz, 5.0, np.random.default_rng(1))
    assert noise.std() == pytest.approx(5.0, rel=0.01)
    frequency_hz, density = welch(noise, sampling_rate_hz, nperseg=2048)
    middle = slice(4, -4)  # the window blurs both ends
    np.testing.assert_allclose(density[middle], noise_density(frequency_hz[middle], sampling_rate_hz, 5.0), rtol=0.25)
    assert np.mean(density[middle] / noise_density(frequency_hz[middle], sampling_rate_hz, 5.0)) == pytest.approx(
        1, abs=0.01
    )


def test_noise_falls_towards_both_ends():
    below, low, high, highest = noise_density(np.array([10.0, 250.0, 2000.0, 10_000.0]), 25_000, 5.0)
    assert below < 0.1 * low
    assert low > 2 * high > 3 * highest
    frequency_hz = np.linspace(0, 12_500, 100_001)
    assert np.trapezoid(noise_density(frequency_hz, 25_000, 5.0), frequency_hz) == pytest.approx(25, rel=1e-3)


def test_mains_hum_is_there_and_faint():
    counts, adc_zero, _ = simulate_counts(plan_one(lifeless=True), 4.0)
    frequency_hz, density = welch((counts - adc_zero[:, None]) * 0.76294, 25_000, nperseg=25_000)
    power = density.mean(axis=0)
    assert power[frequency_hz == 50] > 3 * power[frequency_hz == 40]
    assert power[frequency_hz == 50] < 1  # µV²/Hz in a 1 Hz bin: below 1 µV


def test_channels_are_the_layouts_electrodes():
    for layout in ("120MEA200/30iR-Ti", "60MEA200/30iR-Ti"):
        assert sorted(list_channels(layout)) == sorted(electrode_labels(layout))
