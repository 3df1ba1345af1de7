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
from mea.splitting.fingerprints import LAG_S, Content

LEAST_PATTERNS = 8  # among the 370 recordings of charlesworth2015 no two have more than 3 in common at one shift
LEAST_STRETCHES = 3  # one stretch of equal heartbeats is seen on all electrodes at once, and is one coincidence
LEAST_SHARE = 0.2
MOST_RECORDINGS = 16  # what stands in more of them, and in more than half, is a protocol of stimuli and not a copy
NEIGHBOURS = 8  # a pattern of r recordings is compared with the next few only: work grows with r, not with its square
MOST_NAMED = 10
MOST_STARTS = 3
LAGS = 1 << 34  # shifts of up to 49 days


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
        (k,) float64: when each begins and ends in the first recording.
    lag_s
        Where the second recording's time 0 is on the first one's clock.
    is_reversed
        Whether the second's time runs backwards from there.
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
    """Two recordings that hold the same.

    Attributes
    ----------
    first, second
        Their ids.
    identical
        Whether a digest is equal; the other values are then those of a whole copy.
    share
        Patterns in common, relative to the recording with fewer of them in the time both cover; where electrodes
        have changed places, of the patterns that do not tell them apart.
    overlap_s
        How long that time is.
    shift_s
        How much later the second began, or would have if it did not run backwards.
    is_reversed
        Whether the second runs backwards in time.
    """

    first: str
    second: str
    identical: bool
    share: float
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
            f"{self.second} and {self.first} share {self.share:.0%} of the spike patterns in {self.overlap_s:.4g} s "
            f"({self.second} {how}): one measurement under two names, cropped, scaled, rearranged or copied. "
            "It would count twice, whichever group it is in. Remove one of them (and its line in recordings.csv)."
        )


def check_duplicates(contents: Iterable[Content]) -> None:
    """Stop where two recordings hold the same measurement, or parts of it.

    Raises
    ------
    MeaError
        Naming both, what they share, the shift between them and what to do, a line for each pair.
    """
    found = find_duplicates(list(contents))
    found.sort(key=lambda duplicate: (duplicate.first, duplicate.second))
    if found:
        more = [f"… and {len(found) - MOST_NAMED} more pairs."] if len(found) > MOST_NAMED else []
        raise MeaError("\n".join([*map(str, found[:MOST_NAMED]), *more]))


def explain_same_start(recordings: pd.DataFrame) -> str:
    """A warning where recordings of one batch began at the same moment; else an empty string.

    Two rigs may be started at once, so this proves nothing; but it is all that can be known of two pieces of one
    recording that do not overlap.

    Parameters
    ----------
    recordings
        Columns recording, batch, start; an empty start is not known.
    """
    known = recordings[recordings["start"].fillna("") != ""]
    moments = [part for _, part in known.groupby(["batch", "start"]) if len(part) > 1]
    if not moments:
        return ""
    shown = [f"{', '.join(sorted(part['recording'])[:MOST_STARTS])} at {part['start'].iloc[0]}" for part in moments]
    more = f" and {len(moments) - MOST_STARTS} more" if len(moments) > MOST_STARTS else ""
    return (
        f"recordings of one batch began at the same moment ({'; '.join(shown[:MOST_STARTS])}{more}): pieces of one "
        "recording, unless several rigs were started at once. Keep one piece, or state one culture for all of them in "
        "recordings.csv, so that they stay on one side"
    )


def find_duplicates(contents: Sequence[Content]) -> list[Duplicate]:
    """Pairs of recordings that hold the same measurement, or overlapping parts of it.

    The cost is that of one sort of all sampled patterns, not of all pairs of recordings. Not found are overlaps with
    fewer than ``LEAST_PATTERNS`` sampled patterns (on real recordings less than 2 % of the longer one), and what
    :func:`compute_fingerprint` says cannot be compared.
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
    for agreement in _find_agreements(contents):
        pair = agreement.one, agreement.other
        if pair not in found:
            duplicate = _judge_agreement(contents[pair[0]], contents[pair[1]], agreement)
            if duplicate:
                found[pair] = duplicate
    return [found[pair] for pair in sorted(found)]


def _find_agreements(contents: Sequence[Content]) -> Iterator[Agreement]:
    """Pairs of recordings with enough patterns in common at one shift, those with most in common first."""
    if not contents:
        return
    hashes, start_s, span_s, backwards = (
        np.concatenate([getattr(content, name) for content in contents])
        for name in ("hashes", "start_s", "span_s", "backwards")
    )
    owner = np.repeat(np.arange(len(contents)), [len(content.hashes) for content in contents])
    one, other = _match_patterns(hashes, len(contents))
    turned = backwards[one] != backwards[other]
    way = 2 * (owner[one] * len(contents) + owner[other]) + turned
    ways, way, counts = np.unique(way, return_inverse=True, return_counts=True)
    enough = counts[way] >= LEAST_PATTERNS
    one, other, way, turned = one[enough], other[enough], way[enough], turned[enough]
    lag_s = start_s[one] - np.where(turned, -(start_s + span_s)[other], start_s[other])
    key = way * LAGS + np.rint(lag_s / LAG_S).astype(np.int64) + LAGS // 2
    order = np.argsort(key, kind="stable")
    one, lag_s, key = one[order], lag_s[order], key[order]
    low = np.flatnonzero(np.diff(key, prepend=-1))  # the first of each shift
    high = np.searchsorted(key, key[low] + 1, side="right")  # after the last of it and of the next one
    for turn in np.argsort(low - high, kind="stable"):
        here = one[low[turn] : high[turn]]
        if len(here) < LEAST_PATTERNS:
            return
        pair, is_reversed = divmod(int(ways[key[low[turn]] // LAGS]), 2)
        middle_s = float(np.median(lag_s[low[turn] : high[turn]]))
        stop_s = start_s[here] + span_s[here]
        yield Agreement(*divmod(pair, len(contents)), hashes[here], start_s[here], stop_s, middle_s, bool(is_reversed))


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


def _judge_agreement(first: Content, second: Content, agreement: Agreement) -> Duplicate | None:
    """Whether patterns that agree at one shift are one measurement: at several times, and a good share of them."""
    if _count_stretches(agreement.start_s, agreement.stop_s) < LEAST_STRETCHES:
        return None
    shift_s = agreement.lag_s - (second.duration_s if agreement.is_reversed else 0.0)
    begin_s, end_s = max(0.0, shift_s), min(first.duration_s, shift_s + second.duration_s)
    ahead_s = -second.start_s - second.span_s if agreement.is_reversed else second.start_s
    ceiling = np.uint64(min(first.ceiling, second.ceiling))
    comparable: list[np.ndarray] = []
    for content, start_s in ((first, first.start_s), (second, ahead_s + agreement.lag_s)):
        inside = (start_s > begin_s - LAG_S) & (start_s + content.span_s < end_s + LAG_S)
        comparable.append(_count_kinds(content.hashes[inside & (content.hashes <= ceiling)]))
    # Where electrodes have changed places, patterns that tell them apart do not agree.
    share = min(1.0, float(np.max(_count_kinds(agreement.hashes) / np.maximum(1, np.minimum(*comparable)))))
    if share < LEAST_SHARE:
        return None
    return Duplicate(first.recording, second.recording, False, share, end_s - begin_s, shift_s, agreement.is_reversed)


def _count_kinds(hashes: np.ndarray) -> np.ndarray:
    """(2,) int: how many patterns do not tell electrodes apart, and how many do."""
    return np.bincount((hashes & np.uint64(1)).astype(int), minlength=2)


def _count_stretches(starts: np.ndarray, stops: np.ndarray) -> int:
    """How many of the patterns can be chosen such that no two overlap in time."""
    count, reached = 0, -np.inf
    for number in np.argsort(stops, kind="stable"):
        if starts[number] > reached:
            count, reached = count + 1, stops[number]
    return count
