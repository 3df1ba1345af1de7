"""The noise of an amplifier, and its spectrum."""

from functools import lru_cache

import numpy as np
from scipy.signal import freqz

from mea.runtime.compiled import compiled

BURN_IN = 1000  # samples until the filters forget that they began at 0
HIGH_PASS_HZ = 100.0
SLOW_HZ, SLOW_WEIGHT = 300.0, 3.0
FAST_HZ, FAST_WEIGHT = 2000.0, 1.0


def make_noise(samples: int, sampling_rate_hz: int, noise_uv: float, generator: np.random.Generator) -> np.ndarray:
    """Noise as an amplifier with a high-pass filter gives it: white, with more power below 2 kHz, little below 100 Hz.

    Returns (samples,) float32 µV of standard deviation ``noise_uv``; its spectrum is :func:`noise_density`.
    """
    trace = generator.standard_normal(samples + BURN_IN, dtype=np.float32)
    slow, fast, high = (np.float32(_find_pole(corner, sampling_rate_hz)) for corner in (SLOW_HZ, FAST_HZ, HIGH_PASS_HZ))
    _color_noise(trace, slow, fast, high, np.float32(noise_uv / _find_std(sampling_rate_hz)))
    return trace[BURN_IN:]


def noise_density(frequency_hz: np.ndarray, sampling_rate_hz: int, noise_uv: float) -> np.ndarray:
    """Power spectral density of the noise, one-sided, in µV² per Hz."""
    power = _filter_power(frequency_hz, sampling_rate_hz)
    return noise_uv**2 * power / _find_std(sampling_rate_hz) ** 2 * 2 / sampling_rate_hz


@compiled
def _color_noise(trace, slow_pole, fast_pole, high_pole, scale):
    one = np.float32(1)
    slow_weight, fast_weight = np.float32(SLOW_WEIGHT), np.float32(FAST_WEIGHT)
    slow = fast = before = passed = np.float32(0)
    for position in range(len(trace)):
        white = trace[position]
        slow += (one - slow_pole) * (white - slow)
        fast += (one - fast_pole) * (white - fast)
        mixed = white + slow_weight * slow + fast_weight * fast
        passed = high_pole * passed + mixed - before
        before = mixed
        trace[position] = scale * passed


def _find_pole(corner_hz: float, sampling_rate_hz: int) -> float:
    return float(np.exp(-2 * np.pi * corner_hz / sampling_rate_hz))


def _filter_power(frequency_hz: np.ndarray, sampling_rate_hz: int) -> np.ndarray:
    """Squared gain of what :func:`_color_noise` does with ``scale`` 1."""
    gain = 1
    for corner_hz, weight in ((SLOW_HZ, SLOW_WEIGHT), (FAST_HZ, FAST_WEIGHT)):
        pole = _find_pole(corner_hz, sampling_rate_hz)
        gain = gain + weight * freqz([1 - pole], [1, -pole], frequency_hz, fs=sampling_rate_hz)[1]
    gain = gain * freqz([1, -1], [1, -_find_pole(HIGH_PASS_HZ, sampling_rate_hz)], frequency_hz, fs=sampling_rate_hz)[1]
    return np.abs(gain) ** 2


@lru_cache
def _find_std(sampling_rate_hz: int) -> float:
    """Standard deviation of white noise of standard deviation 1 after the filter."""
    midpoints = (np.arange(100_000) + 0.5) * sampling_rate_hz / 200_000
    return float(np.sqrt(_filter_power(midpoints, sampling_rate_hz).mean()))
