"""What is needed of a recording to find it again under another name: digests, and a sample of its spike patterns.

A pattern is the lengths of some consecutive intervals between the spikes of one electrode, whichever way time runs. It
stays the same when a recording is cropped, scaled, flipped in sign, given another zero or stripped of electrodes. Half
of the patterns, chosen by their hash, are told apart by their electrode, too: a heartbeat is the same everywhere. The
others are not, and stay the same when electrodes change places.

Patterns are compared by hash, and only a sample of them, chosen by the hash itself, so that two recordings keep the
same ones (Broder, "On the resemblance and containment of documents", 1997, doi:10.1109/SEQUEN.1997.666900).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from mea.arrays.events import SpikeEvents

INTERVALS = 4
STEP_S = 0.0002  # intervals are compared in steps of this: spikes may move by a sample when counts are rounded anew
KEPT = 4096  # patterns of a recording: 100 kB, and an overlap of 2 % of the longer recording still shares about 80
LAG_S = 0.0005  # two agreeing patterns have the same shift when they differ by less


@dataclass(frozen=True)
class Content:
    """What is needed of a recording to find it again under another name.

    Attributes
    ----------
    recording
        Its id.
    digests
        SHA-256 of its samples and of its events; equal ones mean equal content.
    duration_s
        Its length.
    ceiling
        Every pattern with a hash of at most this was kept.
    hashes
        (k,) uint64 of the patterns that occur at one time only, ascending; k is about ``KEPT`` at most. Odd for those
        told apart by their electrode.
    start_s
        (k,) float64 time of each pattern's first spike.
    span_s
        (k,) float64 from its first spike to its last.
    backwards
        (k,) bool: whether it was hashed from its last spike to its first.
    """

    recording: str
    digests: tuple[str, ...]
    duration_s: float
    ceiling: int
    hashes: np.ndarray
    start_s: np.ndarray
    span_s: np.ndarray
    backwards: np.ndarray


def compute_fingerprints(recordings: Iterable[SpikeEvents]) -> Iterator[Content]:
    """What is needed of each recording to find it again, one recording in memory at a time."""
    for events in recordings:
        yield compute_fingerprint(events)


def compute_fingerprint(events: SpikeEvents) -> Content:
    """Digests of a recording and a sample of its patterns.

    A silent recording has no patterns and can be compared by the digest of its samples only, and one of spike times
    not at all: silence is always the same. The same holds for one whose spikes are all at equal intervals, as a
    pacemaker's or a simulator's are, except that its events have a digest too.
    """
    digests = [events.samples_sha256] if len(events) or events.has_waveforms else []
    digests += [events.content_sha256] if len(events) else []
    ceiling, hashes, first_sample, last_sample, backwards = _sample_patterns(events)
    return Content(
        recording=events.recording,
        digests=tuple(digests),
        duration_s=events.duration_s,
        ceiling=ceiling,
        hashes=hashes,
        start_s=first_sample / events.sampling_rate_hz,
        span_s=(last_sample - first_sample) / events.sampling_rate_hz,
        backwards=backwards,
    )


def _sample_patterns(events: SpikeEvents) -> tuple[int, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The ceiling; of each pattern (k,) uint64 hash, int64 first and last sample, bool whether read backwards."""
    order = np.argsort(events.electrode.astype(np.min_scalar_type(events.n_electrodes)), kind="stable")
    electrode, sample = events.electrode[order], events.peak_sample[order]
    count = max(0, len(sample) - INTERVALS)
    within = electrode[:count] == electrode[INTERVALS:]
    steps = (np.diff(sample) / (STEP_S * events.sampling_rate_hz)).astype(np.int64)
    places = _mix((events.row << 32 | events.col).astype(np.uint64))[electrode[:count]]
    hashes, backwards = _hash_patterns(steps, places)
    ceiling = 2**64 - 1 if within.sum() <= KEPT else int(2**64 * (KEPT / within.sum()))
    kept = np.flatnonzero(within & (hashes <= np.uint64(ceiling)))
    # Equal intervals are a clock's, not a culture's: any two regular trains have them in common.
    kept = kept[np.ptp(steps[kept[:, None] + np.arange(INTERVALS)], axis=1) > 1]
    kept = kept[np.lexsort((sample[kept], hashes[kept]))]
    unique, index, counts = np.unique(hashes[kept], return_index=True, return_counts=True)
    # A pattern that recurs says nothing about when, unless it is one neuron seen by several electrodes at once.
    once = sample[kept[index + counts - 1]] - sample[kept[index]] <= LAG_S * events.sampling_rate_hz
    chosen = kept[index[once]]
    return ceiling, unique[once], sample[chosen], sample[chosen + INTERVALS], backwards[chosen]


def _hash_patterns(steps: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hashes of ``INTERVALS`` consecutive steps from each place on, and which were read from the last one to the first.

    The direction is decided by the steps themselves, so that it turns when they do; one that reads alike both ways is
    read forwards.

    Parameters
    ----------
    steps
        (n + INTERVALS - 1,) int64 lengths of the intervals.
    places
        (n,) uint64 hash of the electrode; decides the hash of every other pattern, which becomes odd.

    Returns
    -------
    hashes, backwards
        (n,) uint64; (n,) bool.
    """
    n = len(places)
    # Wrapped sums of odd random multiples: two patterns with one sum are as rare as two with one hash.
    weighted = steps.astype(np.uint64) * (_mix(np.arange(INTERVALS, dtype=np.uint64)) | np.uint64(1))[:, None]
    forth, back = np.zeros(n, np.uint64), np.zeros(n, np.uint64)
    for number in range(INTERVALS):
        forth += weighted[number, number : number + n]
        back += weighted[number, INTERVALS - 1 - number :][:n]
    backwards = back < forth
    hashes = _mix(np.minimum(forth, back))
    told_apart = (hashes & np.uint64(1)).astype(bool)
    hashes[told_apart] = _mix(hashes[told_apart] + places[told_apart]) | np.uint64(1)
    return hashes, backwards


def _mix(values: np.ndarray) -> np.ndarray:
    """SplitMix64 (Steele, Lea and Flood 2014, doi:10.1145/2660193.2660195): every bit comes to depend on every bit."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
