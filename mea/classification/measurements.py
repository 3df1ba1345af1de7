"""What is measured of a recording to compare it with the training data: six plain numbers and the summary features."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from mea.arrays.detection import measure_noise
from mea.arrays.electrodes import find_dead_electrodes
from mea.arrays.events import SpikeEvents
from mea.features.cached import fetch_features
from mea.runtime.parallel import run_parallel


@dataclass(frozen=True)
class Check:
    """A number that anyone can measure, and what is said when it is out of range.

    Attributes
    ----------
    name
        Name of the number in a sentence.
    unit
        Its unit; of fractions, percent.
    is_log
        Whether ratios count, rather than differences.
    min_margin
        How far the range extends beyond the training recordings at least: a ratio, or a difference.
    remedy
        What to look at.
    severity
        Whether a recording out of range is rejected, or predicted and flagged.
    """

    name: str
    unit: str
    is_log: bool
    min_margin: float
    remedy: str
    severity: Literal["flag", "reject"] = "flag"

    def find_range(self, values: np.ndarray) -> tuple[float, float]:
        """The range in which a new recording is not unusual, from the (n,) numbers of the training recordings.

        From the lowest to the highest and, on either side, half of that again or ``min_margin`` where that is more.

        >>> CHECKS["firing_rate_hz"].find_range(np.array([1.0, 16.0, 4.0]))
        (0.25, 64.0)
        """
        values = values[np.isfinite(values)]
        if not len(values):
            return (-np.inf, np.inf)
        if not self.is_log:
            margin = max((values.max() - values.min()) / 2, self.min_margin)
            return (float(values.min() - margin), float(values.max() + margin))
        values = np.maximum(values, 1e-9)
        ratio = max(np.sqrt(values.max() / values.min()), self.min_margin)
        return (float(values.min() / ratio), float(values.max() * ratio))

    def explain(self, value: float, low: float, high: float) -> str:
        """That a number is out of its range, in words.

        >>> CHECKS["length_s"].explain(6.0, 1.6, 3.6)
        'length: 6 s, expected 1.6 to 3.6 (record as long as for training)'
        """
        times = 100 if self.unit == "%" else 1
        unit = "%" if self.unit == "%" else f" {self.unit}"
        expected = f"at most {high * times:.3g}" if low <= 0 else f"{low * times:.3g} to {high * times:.3g}"
        return f"{self.name}: {value * times:.3g}{unit}, expected {expected}{'%' * (unit == '%')} ({self.remedy})"


CHECKS = {
    "gain_uv": Check("gain", "µV per count", True, 1.01, "check the rig's input range"),
    "noise_uv": Check("noise floor", "µV", True, 1.25, "check the amplifier's gain and the electrodes' contact"),
    "firing_rate_hz": Check("firing rate", "spikes per second and electrode", True, 2.0, "look at the traces"),
    "silent_fraction": Check("electrodes without a spike", "%", False, 0.1, "look at the traces"),
    "dead_fraction": Check("dead electrodes", "%", False, 0.05, "no noise: clean or replace them", severity="reject"),
    "length_s": Check("length", "s", True, 1.5, "record as long as for training"),
}
CHECKS_OF_SILENCE = ("gain_uv", "noise_uv", "dead_fraction", "length_s")  # they need no spike


@dataclass(frozen=True)
class Measured:
    """What is measured of a recording.

    Attributes
    ----------
    values
        The number of each of :data:`CHECKS`; NaN where it is not known.
    features
        (n_features,) float64 as :func:`mea.features.compute.compute_features` gives them; NaN where one is undefined.
    """

    values: dict[str, float]
    features: np.ndarray


def measure_recording(events: SpikeEvents, used_s: float, threshold: float) -> Measured:
    """Measure one recording.

    Parameters
    ----------
    events
        The recording.
    used_s
        Only its first so many seconds.
    threshold
        Of the spike detection, in robust standard deviations.
    """
    used_s = min(used_s, events.n_samples / events.sampling_rate_hz)
    spikes = events.count_events(0.0, used_s)
    values = {"firing_rate_hz": spikes.mean() / used_s, "silent_fraction": (spikes == 0).mean(), "length_s": used_s}
    values |= dict.fromkeys(("gain_uv", "noise_uv", "dead_fraction"), np.nan)
    if events.has_waveforms:
        noise_uv = measure_noise(events, threshold)
        dead = find_dead_electrodes(noise_uv)
        values |= {"gain_uv": np.median(events.gain_v) * 1e6, "dead_fraction": dead.mean()}
        values |= {"noise_uv": np.nan if dead.all() else np.median(noise_uv[~dead])}
    return Measured({name: float(values[name]) for name in CHECKS}, fetch_features(events, [(0.0, float(used_s))])[0])


def measure_recordings(
    events: Mapping[str, SpikeEvents], names: Iterable[str], used_s: float, threshold: float
) -> list[Measured]:
    """:func:`measure_recording` of many, on all cores."""
    work = partial(_look_up_and_measure, events=events, used_s=used_s, threshold=threshold)
    return run_parallel(work, names, "recordings measured", begin_here=True)


def _look_up_and_measure(name: str, events: Mapping[str, SpikeEvents], used_s: float, threshold: float) -> Measured:
    return measure_recording(events[name], used_s, threshold)
