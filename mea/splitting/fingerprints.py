"""Fingerprints that recognise a recording under another name: digests, and a sample of its spike patterns.

A pattern is the lengths of four consecutive interspike intervals of one electrode, in either direction of time. It does
not change if a recording is cropped, scaled, inverted, shifted in voltage or stripped of electrodes. Half of the
patterns, chosen by their hash, also contain their electrode, because a heartbeat has the same intervals on every
electrode. The other half do not, so they do not change if electrodes are rearranged.

Patterns are compared by hash. Only a sample of them is kept, chosen by the hash itself, so that two recordings keep the
same ones (Broder, "On the resemblance and containment of documents", 1997, doi:10.1109/SEQUEN.1997.666900).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from mea.arrays.events import SpikeEvents

INTERVALS = 4
STEP_S = 0.0002  # intervals are rounded down to this: spikes may move by a sample if counts are rounded again
N_KEPT = 4096  # patterns of a recording: 100 kB; an overlap of 2 % of the longer recording still shares about 80
LAG_S = 0.0005  # shifts that differ by less are the same


@dataclass(frozen=True)
class Fingerprint:
    """Digests of a recording, and a sample of its spike patterns.

    Attributes
    ----------
    recording
        Its id.
    digests
        SHA-256 of its samples and of its events; recordings with an equal digest are equal.
    duration_s
        Its length.
    ceiling
        Every pattern with a hash of at most this is kept.
    hashes
        (k,) uint64 of the patterns that occur at one time only, ascending; k is at most about ``N_KEPT``. Odd for
        patterns that contain their electrode.
    start_s
        (k,) float64 time of each pattern's first spike.
    length_s
        (k,) float64 from its first spike to its last.
    is_reversed
        (k,) bool: whether it was hashed from its last spike to its first.
    """

    recording: str
    digests: tuple[str, ...]
    duration_s: float
    ceiling: int
    hashes: np.ndarray
    start_s: np.ndarray
    length_s: np.ndarray
    is_reversed: np.ndarray


def compute_fingerprints(recordings: Iterable[SpikeEvents]) -> Iterator[Fingerprint]:
    """The fingerprint of each recording; one recording is in memory at a time."""
    for events in recordings:
        yield compute_fingerprint(events)


def compute_fingerprint(events: SpikeEvents) -> Fingerprint:
    """The fingerprint of a recording.

    A silent recording has no patterns and can be compared by the digest of its samples only; if it is one of spike
    times, it cannot be compared at all, because all silent ones are equal. A recording whose spikes are all at equal
    intervals, like those of a pacemaker or a simulator, has no patterns either, but a digest of its events.
    """
    digests = [events.samples_sha256] if len(events) or events.has_waveforms else []
    digests += [events.content_sha256] if len(events) else []
    ceiling, hashes, first_sample, last_sample, is_reversed = _sample_patterns(events)
    return Fingerprint(
        recording=events.recording,
        digests=tuple(digests),
        duration_s=events.duration_s,
        ceiling=ceiling,
        hashes=hashes,
        start_s=first_sample / events.sampling_rate_hz,
        length_s=(last_sample - first_sample) / events.sampling_rate_hz,
        is_reversed=is_reversed,
    )


def _sample_patterns(events: SpikeEvents) -> tuple[int, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The ceiling; of each pattern (k,) uint64 hash, int64 first and last sample, bool whether it is reversed."""
    order = np.argsort(events.electrode.astype(np.min_scalar_type(events.n_electrodes)), kind="stable")
    electrode, sample = events.electrode[order], events.peak_sample[order]
    count = max(0, len(sample) - INTERVALS)
    within = electrode[:count] == electrode[INTERVALS:]
    steps = (np.diff(sample) / (STEP_S * events.sampling_rate_hz)).astype(np.int64)
    places = _mix((events.row << 32 | events.col).astype(np.uint64))[electrode[:count]]
    hashes, is_reversed = _hash_patterns(steps, places)
    ceiling = 2**64 - 1 if within.sum() <= N_KEPT else int(2**64 * (N_KEPT / within.sum()))
    kept = np.flatnonzero(within & (hashes <= np.uint64(ceiling)))
    # Equal intervals come from a clock, not from a culture: any two regular trains have them in common.
    kept = kept[np.ptp(steps[kept[:, None] + np.arange(INTERVALS)], axis=1) > 1]
    kept = kept[np.lexsort((sample[kept], hashes[kept]))]
    unique, index, counts = np.unique(hashes[kept], return_index=True, return_counts=True)
    # A pattern that recurs gives no shift, unless it is one neuron recorded by several electrodes at once.
    once = sample[kept[index + counts - 1]] - sample[kept[index]] <= LAG_S * events.sampling_rate_hz
    chosen = kept[index[once]]
    return ceiling, unique[once], sample[chosen], sample[chosen + INTERVALS], is_reversed[chosen]


def _hash_patterns(steps: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hashes of ``INTERVALS`` consecutive steps from each position on, and which were hashed in reverse.

    The steps themselves decide the direction, so it turns with them; a symmetric pattern is hashed forwards.

    Parameters
    ----------
    steps
        (n + INTERVALS - 1,) int64 lengths of the intervals.
    places
        (n,) uint64 hash of the electrode; mixed into every other pattern, whose hash becomes odd.

    Returns
    -------
    hashes, is_reversed
        (n,) uint64; (n,) bool.
    """
    n = len(places)
    # Wrapped sums of odd random multiples: two patterns with one sum are as rare as two with one hash.
    weighted = steps.astype(np.uint64) * (_mix(np.arange(INTERVALS, dtype=np.uint64)) | np.uint64(1))[:, None]
    forth, back = np.zeros(n, np.uint64), np.zeros(n, np.uint64)
    for number in range(INTERVALS):
        forth += weighted[number, number : number + n]
        back += weighted[number, INTERVALS - 1 - number :][:n]
    is_reversed = back < forth
    hashes = _mix(np.minimum(forth, back))
    has_place = (hashes & np.uint64(1)).astype(bool)
    hashes[has_place] = _mix(hashes[has_place] + places[has_place]) | np.uint64(1)
    return hashes, is_reversed


def _mix(values: np.ndarray) -> np.ndarray:
    """SplitMix64 (Steele, Lea and Flood 2014, doi:10.1145/2660193.2660195): every bit depends on every bit."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
