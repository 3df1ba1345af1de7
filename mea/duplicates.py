"""Whether two recordings hold the same measurement: told by digests, and by spikes where one was cropped or scaled.

A pattern is the lengths of some consecutive intervals between the spikes of one electrode. It stays the same when a
recording is cropped, scaled, flipped in sign, given another zero or stripped of electrodes. Patterns are compared by
hash, and only a sample of them, chosen by the hash itself, so that two recordings keep the same ones (Broder, "On the
resemblance and containment of documents", 1997, doi:10.1109/SEQUEN.1997.666900). Two recordings are one measurement
when many patterns agree and all with one shift in time, as in Wang, "An industrial-strength audio search algorithm",
ISMIR 2003: patterns that are alike by chance agree at shifts all over the place.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mea.errors import MeaError
from mea.events import Events

INTERVALS = 4
STEP_S = 0.0002  # intervals are compared in steps of this: spikes may move by a sample when counts are rounded anew
KEPT = 2048  # patterns of a recording: 40 kB, and an overlap of 2 % of the longer recording still shares about 40
LAG_S = 0.0005  # two agreeing patterns have the same shift when they differ by less
LEAST_PATTERNS = 8  # among the 370 recordings of charlesworth2015 no two have more than 2 in common at one shift
LEAST_STRETCHES = 3  # one stretch of equal heartbeats is seen on all electrodes at once, and is one coincidence
LEAST_SHARE = 0.2
MOST_RECORDINGS = 16  # what stands in more of them, and in more than half, is a protocol of stimuli and not a copy
NEIGHBOURS = 8  # a pattern of r recordings is compared with the next few only: work grows with r, not with its square
MOST_NAMED = 10
LAGS = 1 << 34  # shifts of up to 49 days


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
        (k,) uint64 of the patterns that occur once, ascending; k is about ``KEPT`` at most.
    start_s
        (k,) float64 time of each pattern's first spike.
    span_s
        (k,) float32 from its first spike to its last.
    """

    recording: str
    digests: tuple[str, ...]
    duration_s: float
    ceiling: int
    hashes: np.ndarray
    start_s: np.ndarray
    span_s: np.ndarray


@dataclass(frozen=True)
class Duplicate:
    """Two recordings that hold the same.

    Attributes
    ----------
    first, second
        Their ids.
    identical
        Whether a digest is equal; the other values are then those of a whole copy.
    share
        Patterns in common, relative to the recording with fewer of them in the time both cover.
    overlap_s
        How long that time is.
    shift_s
        How much later the second began.
    """

    first: str
    second: str
    identical: bool
    share: float
    overlap_s: float
    shift_s: float

    def __str__(self) -> str:
        if self.identical:
            return (
                f"{self.second} and {self.first} hold the same samples or events: one recording under two names. "
                "Remove one of them (and its line in recordings.csv)."
            )
        when = f"{abs(self.shift_s):.4f} s {'after' if self.shift_s >= 0 else 'before'}"
        return (
            f"{self.second} and {self.first} share {self.share:.0%} of the spike patterns in {self.overlap_s:.4g} s "
            f"({self.second} begins {when} {self.first}): one measurement under two names, cropped, scaled or copied. "
            "It would count twice, whichever group it is in. Remove one of them (and its line in recordings.csv)."
        )


def list_contents(recordings: Iterable[Events]) -> Iterator[Content]:
    """What is needed of each recording to find it again, one recording in memory at a time."""
    for events in recordings:
        yield describe_content(events)


def describe_content(events: Events) -> Content:
    """Digests of a recording and a sample of its patterns.

    A silent recording has no patterns and can be compared by the digest of its samples only, and one of spike times
    not at all: silence is always the same. The same holds for one whose spikes are all at equal intervals, as a
    pacemaker's or a simulator's are, except that its events have a digest too.
    """
    digests = [events.samples_sha256] if len(events) or events.has_waveforms else []
    digests += [events.content_sha256] if len(events) else []
    ceiling, hashes, first_sample, last_sample = _sample_patterns(events)
    return Content(
        recording=events.recording,
        digests=tuple(digests),
        duration_s=events.duration_s,
        ceiling=ceiling,
        hashes=hashes,
        start_s=first_sample / events.rate_hz,
        span_s=((last_sample - first_sample) / events.rate_hz).astype(np.float32),
    )


def _sample_patterns(events: Events) -> tuple[int, np.ndarray, np.ndarray, np.ndarray]:
    """The ceiling; (k,) uint64 hash of each pattern and its place; (k,) int64 first and last sample of each pattern."""
    order = np.argsort(events.electrode.astype(np.min_scalar_type(events.n_electrodes)), kind="stable")
    electrode, sample = events.electrode[order], events.peak_sample[order]
    count = max(0, len(sample) - INTERVALS)
    within = electrode[:count] == electrode[INTERVALS:]
    steps = (np.diff(sample) / (STEP_S * events.rate_hz)).astype(np.int64)
    hashes = (events.row << 32 | events.col).astype(np.uint64)[electrode[:count]]
    for number in range(INTERVALS):
        hashes = _mix(hashes + steps[number : number + count].astype(np.uint64))
    ceiling = 2**64 - 1 if within.sum() <= KEPT else int(2**64 * (KEPT / within.sum()))
    kept = np.flatnonzero(within & (hashes <= np.uint64(ceiling)))
    # Equal intervals are a clock's, not a culture's: any two regular trains have them in common.
    kept = kept[np.ptp(steps[kept[:, None] + np.arange(INTERVALS)], axis=1) > 1]
    unique, index, counts = np.unique(hashes[kept], return_index=True, return_counts=True)
    chosen = kept[index[counts == 1]]  # a pattern that recurs says nothing about when
    return ceiling, unique[counts == 1], sample[chosen], sample[chosen + INTERVALS]


def _mix(values: np.ndarray) -> np.ndarray:
    """SplitMix64 (Steele, Lea and Flood 2014, doi:10.1145/2660193.2660195): every bit comes to depend on every bit."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def check_contents(contents: Iterable[Content]) -> None:
    """Stop where two recordings hold the same measurement, or parts of it.

    Raises
    ------
    MeaError
        Naming both, what they share, the shift between them and what to do, a line for each pair.
    """
    found = find_duplicates(list(contents))
    if found:
        more = [f"… and {len(found) - MOST_NAMED} more pairs."] if len(found) > MOST_NAMED else []
        raise MeaError("\n".join([*map(str, found[:MOST_NAMED]), *more]))


def find_duplicates(contents: Sequence[Content]) -> list[Duplicate]:
    """Pairs of recordings that hold the same measurement, or overlapping parts of it.

    The cost is that of one sort of all sampled patterns, not of all pairs of recordings. Not found are overlaps with
    fewer than ``LEAST_PATTERNS`` sampled patterns (on real recordings less than 2 % of the longer one), and what
    :func:`describe_content` says cannot be compared.
    """
    found: dict[tuple[int, int], Duplicate] = {}
    seen: dict[str, int] = {}
    for number, content in enumerate(contents):
        for digest in content.digests:
            first = seen.setdefault(digest, number)
            if first != number:
                found[first, number] = Duplicate(
                    contents[first].recording, content.recording, True, 1.0, content.duration_s, 0.0
                )
    for first, second, starts, stops, lag_s in _find_agreements(contents):
        if (first, second) not in found:
            duplicate = _judge_agreement(contents[first], contents[second], starts, stops, lag_s)
            if duplicate:
                found[first, second] = duplicate
    return [found[pair] for pair in sorted(found)]


def _find_agreements(contents: Sequence[Content]) -> Iterator[tuple[int, int, np.ndarray, np.ndarray, float]]:
    """Pairs of recordings with enough patterns in common at one shift, those with most in common first.

    Yields
    ------
    tuple
        Numbers of the two recordings; (k,) float64 start and stop of each common pattern in the first one, in s; the
        shift in s.
    """
    if not contents:
        return
    start_s = np.concatenate([content.start_s for content in contents])
    span_s = np.concatenate([content.span_s for content in contents])
    owner = np.repeat(np.arange(len(contents)), [len(content.hashes) for content in contents])
    one, other = _match_patterns(np.concatenate([content.hashes for content in contents]), len(contents))
    pairs, pair, counts = np.unique(owner[one] * len(contents) + owner[other], return_inverse=True, return_counts=True)
    enough = counts[pair] >= LEAST_PATTERNS
    one, other, pair = one[enough], other[enough], pair[enough]
    lag_s = start_s[one] - start_s[other]
    key = pair * LAGS + np.rint(lag_s / LAG_S).astype(np.int64) + LAGS // 2
    order = np.argsort(key, kind="stable")
    one, lag_s, key = one[order], lag_s[order], key[order]
    low = np.flatnonzero(np.diff(key, prepend=-1))  # the first of each shift
    high = np.searchsorted(key, key[low] + 1, side="right")  # after the last of it and of the next one
    for turn in np.argsort(low - high, kind="stable"):
        here = slice(low[turn], high[turn])
        if high[turn] - low[turn] < LEAST_PATTERNS:
            return
        first, second = divmod(int(pairs[key[low[turn]] // LAGS]), len(contents))
        starts = start_s[one[here]]
        yield first, second, starts, starts + span_s[one[here]], float(np.median(lag_s[here]))


def _match_patterns(hashes: np.ndarray, n_recordings: int) -> tuple[np.ndarray, np.ndarray]:
    """Places of equal patterns in two recordings; the earlier recording's first. No recording holds one twice."""
    order = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    holders = np.unique(ordered, return_counts=True)[1]
    kept = np.repeat(holders <= max(MOST_RECORDINGS, n_recordings // 2), holders)
    ordered, order = ordered[kept], order[kept]
    matches = [np.flatnonzero(ordered[step:] == ordered[:-step]) for step in range(1, NEIGHBOURS + 1)]
    one = np.concatenate([order[places] for places in matches])
    other = np.concatenate([order[places + step] for step, places in enumerate(matches, start=1)])
    return one, other


def _judge_agreement(
    first: Content, second: Content, starts: np.ndarray, stops: np.ndarray, lag_s: float
) -> Duplicate | None:
    """Whether patterns that agree at one shift are one measurement: at several times, and a good share of them."""
    if _count_stretches(starts, stops) < LEAST_STRETCHES:
        return None
    begin_s, end_s = max(0.0, lag_s), min(first.duration_s, second.duration_s + lag_s)
    ceiling = np.uint64(min(first.ceiling, second.ceiling))
    comparable: list[int] = []
    for content, origin_s in ((first, 0.0), (second, lag_s)):
        start_s = content.start_s + origin_s
        inside = (start_s > begin_s - LAG_S) & (start_s + content.span_s < end_s + LAG_S)
        comparable.append(int(np.count_nonzero(inside & (content.hashes <= ceiling))))
    share = min(1.0, len(starts) / max(1, min(comparable)))
    if share < LEAST_SHARE:
        return None
    return Duplicate(first.recording, second.recording, False, share, end_s - begin_s, lag_s)


def _count_stretches(starts: np.ndarray, stops: np.ndarray) -> int:
    """How many of the patterns can be chosen such that no two overlap in time."""
    count, reached = 0, -np.inf
    for number in np.argsort(stops, kind="stable"):
        if starts[number] > reached:
            count, reached = count + 1, stops[number]
    return count
