"""What is odd about the spikes of a recording as a whole: signs that they are no spikes."""

import numpy as np

from mea.arrays.events import SpikeEvents

TOGETHER_S = 0.0002  # an artefact reaches all electrodes at once; a network burst takes milliseconds
MANY = 0.5  # of the electrodes
MOSTLY = 0.5  # of the spikes


def find_mostly_zero(events: SpikeEvents) -> np.ndarray:
    """(n,) bool: electrodes over half of whose samples are exactly 0 V, while others are not.

    Their noise, median(abs(x)) / 0.6745, and so their threshold are 0: each local extremum is detected as a spike.
    """
    fires = np.bincount(events.electrode, minlength=events.n_electrodes) > 0
    return (events.threshold_uv == 0) & fires


def measure_artefacts(events: SpikeEvents) -> float:
    """Fraction of the spikes that happen on at least half of the electrodes within 0.2 ms; NaN without spikes."""
    if not len(events):
        return float("nan")
    width = max(1, round(TOGETHER_S * events.sampling_rate_hz))
    peak = np.sort(events.peak_sample)
    begins = np.concatenate([[True], np.diff(peak) >= width])
    size = np.bincount(np.cumsum(begins) - 1)
    return float(size[size >= max(2, MANY * events.n_electrodes)].sum() / len(peak))


def format_quality(events: SpikeEvents) -> list[str]:
    """What a reader of the results must know, in words; empty where there is nothing."""
    found = []
    if count := int(find_mostly_zero(events).sum()):
        found.append(
            f"on {count} of {events.n_electrodes} electrodes over half of the samples are exactly 0: their noise and "
            "threshold are 0, and everything else counts as a spike. Export the unblanked stream, or leave it out"
        )
    together = measure_artefacts(events)
    if together > MOSTLY:
        found.append(
            f"{together:.0%} of the spikes happen on at least half of the electrodes within "
            f"{1000 * TOGETHER_S:g} ms: an artefact rather than neurons. Remove it, or the recording"
        )
    return found
