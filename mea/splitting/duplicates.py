"""Duplicates: recordings that hold the same measurement, also where one was cropped, scaled or rearranged.

Whole copies have equal digests. Other duplicates share many spike patterns (:mod:`mea.splitting.fingerprints`), and all
of these have the same shift in time, as in Wang, "An industrial-strength audio search algorithm", ISMIR 2003: patterns
that are equal by chance have many different shifts. Two parts of one recording that do not overlap share no pattern;
only the time at which they began can show that they belong together.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mea.runtime.errors import MeaError
from mea.splitting.fingerprints import LAG_S, Fingerprint

MIN_PATTERNS = 8  # no two of the 370 recordings of charlesworth2015 have more than 3 in common at one shift
MIN_WINDOWS = 3  # equal heartbeats in one window are seen by all electrodes at once, and are one coincidence
MIN_FRACTION = 0.2
MAX_HOLDERS = 16  # a pattern in more recordings, and in more than half of them, is a stimulus and not a copy
NEIGHBOURS = 8  # a pattern of r recordings is compared with the next few only, so that work grows with r, not r**2
MAX_PAIRS_SHOWN = 10
MAX_STARTS_SHOWN = 3
MOST_SORTED = 4_000_000  # patterns in memory at a time: those of a thousand recordings
N_LAGS = 1 << 34  # shifts of up to 49 days


@dataclass(frozen=True)
class Agreement:
    """Patterns that two recordings have in common at one shift.

    Attributes
    ----------
    one, other
        Numbers of the two recordings.
    hashes
        (k,) uint64 of the patterns.
    start_s, stop_s
        (k,) float64: start and end of each in the first recording.
    lag_s
        Time 0 of the second recording on the clock of the first.
    is_reversed
        Whether time in the second recording runs backwards from there.
    """

    one: int
    other: int
    hashes: np.ndarray
    start_s: np.ndarray
    stop_s: np.ndarray
    lag_s: float
    is_reversed: bool


@dataclass(frozen=True)
class Duplicate:
    """Two recordings that hold the same measurement.

    Attributes
    ----------
    first, second
        Their ids.
    identical
        Whether a digest is equal; the other values are then those of a whole copy.
    fraction
        Of the patterns in the time that both cover, the fraction in common, relative to the recording with fewer
        patterns; if electrodes were rearranged, of the patterns that do not contain their electrode.
    overlap_s
        Length of the time that both cover.
    shift_s
        Time from the start of the first to the start of the second.
    is_reversed
        Whether the second runs backwards in time.
    """

    first: str
    second: str
    identical: bool
    fraction: float
    overlap_s: float
    shift_s: float
    is_reversed: bool = False

    def __str__(self) -> str:
        if self.identical:
            return (
                f"{self.second} and {self.first} hold the same samples or events: one recording under two names. "
                "Remove one of them (and its line in recordings.csv)."
            )
        begins = f"begins {abs(self.shift_s):.4f} s {'after' if self.shift_s >= 0 else 'before'} {self.first}"
        how = f"runs backwards against {self.first}" if self.is_reversed else begins
        return (
            f"{self.second} and {self.first} share {self.fraction:.0%} of the spike patterns in {self.overlap_s:.4g} s "
            f"({self.second} {how}): one measurement under two names, cropped, scaled, rearranged or copied. "
            "It would count twice, whichever group it is in. Remove one of them (and its line in recordings.csv)."
        )


def check_duplicates(fingerprints: Iterable[Fingerprint]) -> None:
    """Check that no two recordings hold the same measurement, or overlapping parts of it.

    Raises
    ------
    MeaError
        If some do: a line for each pair, with their names, what they have in common, the shift and the remedy.
    """
    found = find_duplicates(list(fingerprints))
    found.sort(key=lambda duplicate: (duplicate.first, duplicate.second))
    if found:
        more = [f"… and {len(found) - MAX_PAIRS_SHOWN} more pairs."] if len(found) > MAX_PAIRS_SHOWN else []
        raise MeaError("\n".join([*map(str, found[:MAX_PAIRS_SHOWN]), *more]))


def explain_same_start(recordings: pd.DataFrame) -> str:
    """A warning if recordings of one batch began at the same moment; else an empty string.

    Two rigs may be started at once, so this proves nothing; but for two parts of one recording that do not overlap
    there is no other evidence.

    Parameters
    ----------
    recordings
        Columns recording, batch, start; an empty start is unknown.
    """
    known = recordings[recordings["start"].fillna("") != ""]
    moments = [part for _, part in known.groupby(["batch", "start"]) if len(part) > 1]
    if not moments:
        return ""
    shown = [
        f"{', '.join(sorted(part['recording'])[:MAX_STARTS_SHOWN])} at {part['start'].iloc[0]}"
        for part in moments[:MAX_STARTS_SHOWN]
    ]
    more = f" and {len(moments) - MAX_STARTS_SHOWN} more" if len(moments) > MAX_STARTS_SHOWN else ""
    return (
        f"recordings of one batch began at the same moment ({'; '.join(shown)}{more}): they are parts of one "
        "recording, unless several rigs were started at once. Keep one part, or state the same culture for all of them "
        "in recordings.csv, so that they are in one fold"
    )


def find_duplicates(fingerprints: Sequence[Fingerprint]) -> list[Duplicate]:
    """Pairs of recordings that hold the same measurement, or overlapping parts of it.

    The cost is that of sorting all sampled patterns once, not of comparing all pairs of recordings. Two kinds are not
    found: overlaps with fewer than ``MIN_PATTERNS`` sampled patterns (on real recordings less than 2 % of the longer
    one), and recordings that cannot be compared (:func:`mea.splitting.fingerprints.compute_fingerprint`).
    """
    found: dict[tuple[int, int], Duplicate] = {}
    seen: dict[str, int] = {}
    for number, fingerprint in enumerate(fingerprints):
        for digest in fingerprint.digests:
            first = seen.setdefault(digest, number)
            if first != number:
                found[first, number] = Duplicate(
                    fingerprints[first].recording, fingerprint.recording, True, 1.0, fingerprint.duration_s, 0.0
                )
    for agreement in _find_agreements(fingerprints):
        pair = agreement.one, agreement.other
        if pair not in found:
            duplicate = _check_agreement(fingerprints[pair[0]], fingerprints[pair[1]], agreement)
            if duplicate:
                found[pair] = duplicate
    return [found[pair] for pair in sorted(found)]


def _find_agreements(fingerprints: Sequence[Fingerprint]) -> Iterator[Agreement]:
    """Pairs of recordings with enough patterns in common at one shift, those with most in common first."""
    if not fingerprints:
        return
    one, other = _match_by_remainder(fingerprints)
    ends = np.cumsum([len(fingerprint.hashes) for fingerprint in fingerprints])
    turned = _take(fingerprints, ends, "is_reversed", one) != _take(fingerprints, ends, "is_reversed", other)
    owners = [np.searchsorted(ends, places, side="right") for places in (one, other)]
    way = 2 * (owners[0] * len(fingerprints) + owners[1]) + turned
    ways, way, counts = np.unique(way, return_inverse=True, return_counts=True)
    enough = counts[way] >= MIN_PATTERNS
    one, other, way, turned = one[enough], other[enough], way[enough], turned[enough]
    start_s, other_start_s = (_take(fingerprints, ends, "start_s", places) for places in (one, other))
    other_stop_s = other_start_s + _take(fingerprints, ends, "length_s", other)
    lag_s = start_s - np.where(turned, -other_stop_s, other_start_s)
    key = way * N_LAGS + np.rint(lag_s / LAG_S).astype(np.int64) + N_LAGS // 2
    order = np.argsort(key, kind="stable")
    one, lag_s, key = one[order], lag_s[order], key[order]
    low = np.flatnonzero(np.diff(key, prepend=-1))  # the first of each shift
    high = np.searchsorted(key, key[low] + 1, side="right")  # after the last of it and of the next one
    for turn in np.argsort(low - high, kind="stable"):
        here = one[low[turn] : high[turn]]
        if len(here) < MIN_PATTERNS:
            return
        pair, turns = divmod(int(ways[key[low[turn]] // N_LAGS]), 2)
        middle_s = float(np.median(lag_s[low[turn] : high[turn]]))
        hashes, start_s, length_s = (
            _take(fingerprints, ends, name, here) for name in ("hashes", "start_s", "length_s")
        )
        stop_s = start_s + length_s
        yield Agreement(*divmod(pair, len(fingerprints)), hashes, start_s, stop_s, middle_s, bool(turns))


def _take(fingerprints: Sequence[Fingerprint], ends: np.ndarray, name: str, places: np.ndarray) -> np.ndarray:
    """Values at places of what would be the concatenated arrays of all recordings, which end at ``ends`` there."""
    owner, order = np.searchsorted(ends, places, side="right"), np.argsort(places, kind="stable")
    taken = np.empty(len(places), getattr(fingerprints[0], name).dtype)
    for part in np.split(order, np.flatnonzero(np.diff(owner[order])) + 1):
        if len(part):
            values = getattr(fingerprints[owner[part[0]]], name)
            taken[part] = values[places[part] - ends[owner[part[0]]] + len(values)]
    return taken


def _match_by_remainder(fingerprints: Sequence[Fingerprint]) -> tuple[np.ndarray, np.ndarray]:
    """Places of equal patterns in two recordings, of all recordings one after the other.

    Equal patterns have equal remainders, so that the hashes of a few remainders at a time are sorted in memory.
    """
    divisor = np.uint64(max(1, sum(len(fingerprint.hashes) for fingerprint in fingerprints) // MOST_SORTED))
    found = []
    for remainder in range(int(divisor)):
        hashes, places, first = [], [], 0
        for fingerprint in fingerprints:
            own = np.flatnonzero((fingerprint.hashes >> np.uint64(1)) % divisor == remainder)
            hashes.append(fingerprint.hashes[own])
            places.append(own + first)
            first += len(fingerprint.hashes)
        place = np.concatenate(places)
        found.append([place[matched] for matched in _match_patterns(np.concatenate(hashes), len(fingerprints))])
    one, other = (np.concatenate(parts) for parts in zip(*found))
    return one, other


def _match_patterns(hashes: np.ndarray, n_recordings: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions of equal patterns in two recordings, the earlier recording first. No recording holds one twice."""
    order = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    holders = np.unique(ordered, return_counts=True)[1]
    kept = np.repeat(holders <= max(MAX_HOLDERS, n_recordings // 2), holders)
    ordered, order = ordered[kept], order[kept]
    matches = [np.flatnonzero(ordered[step:] == ordered[:-step]) for step in range(1, NEIGHBOURS + 1)]
    one = np.concatenate([order[places] for places in matches])
    other = np.concatenate([order[places + step] for step, places in enumerate(matches, start=1)])
    return one, other


def _check_agreement(first: Fingerprint, second: Fingerprint, agreement: Agreement) -> Duplicate | None:
    """Whether patterns that agree at one shift are one measurement: in several windows, and a large fraction."""
    if _count_windows(agreement.start_s, agreement.stop_s) < MIN_WINDOWS:
        return None
    shift_s = agreement.lag_s - (second.duration_s if agreement.is_reversed else 0.0)
    begin_s, end_s = max(0.0, shift_s), min(first.duration_s, shift_s + second.duration_s)
    ahead_s = -second.start_s - second.length_s if agreement.is_reversed else second.start_s
    ceiling = np.uint64(min(first.ceiling, second.ceiling))
    comparable: list[np.ndarray] = []
    for fingerprint, start_s in ((first, first.start_s), (second, ahead_s + agreement.lag_s)):
        inside = (start_s > begin_s - LAG_S) & (start_s + fingerprint.length_s < end_s + LAG_S)
        comparable.append(_count_kinds(fingerprint.hashes[inside & (fingerprint.hashes <= ceiling)]))
    # If electrodes were rearranged, patterns that contain their electrode do not agree.
    fraction = min(1.0, float(np.max(_count_kinds(agreement.hashes) / np.maximum(1, np.minimum(*comparable)))))
    if fraction < MIN_FRACTION:
        return None
    return Duplicate(
        first.recording, second.recording, False, fraction, end_s - begin_s, shift_s, agreement.is_reversed
    )


def _count_kinds(hashes: np.ndarray) -> np.ndarray:
    """(2,) int: how many patterns do not contain their electrode, and how many do."""
    return np.bincount((hashes & np.uint64(1)).astype(int), minlength=2)


def _count_windows(starts: np.ndarray, stops: np.ndarray) -> int:
    """The most patterns that can be chosen such that no two overlap in time."""
    count, reached = 0, -np.inf
    for number in np.argsort(stops, kind="stable"):
        if starts[number] > reached:
            count, reached = count + 1, stops[number]
    return count
