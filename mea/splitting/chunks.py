"""Recordings cut into chunks of one length, none of which spans a pause."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from mea.runtime.errors import BadRecording, MeaError
from mea.splitting.groups import IDENTITY

COLUMNS = ["chunk", *IDENTITY, "start_s", "stop_s"]


def cut_chunks(
    recordings: pd.DataFrame, chunk_s: float, first_s: float | None
) -> tuple[pd.DataFrame, dict[str, BadRecording]]:
    """Cut each uninterrupted part of a recording into chunks of ``chunk_s``; the remainder of each part is dropped.

    Parameters
    ----------
    recordings
        Columns recording, label, culture, batch, sampling_rate_hz, duration_s, pauses_s (seconds recorded before each
        pause, with blanks between).
    chunk_s
        Length of a chunk in seconds; a whole number of samples at every recording's sampling rate.
    first_s
        Use only this much of what was recorded, so that its length cannot tell its class; None for all.

    Returns
    -------
    chunks
        Columns chunk, recording, label, culture, batch, start_s, stop_s.
    too_short
        The recordings no part of which is as long as one chunk, with the reason.

    Raises
    ------
    MeaError
        If a chunk is not a whole number of samples.

    Examples
    --------
    >>> import pandas as pd
    >>> recordings = pd.DataFrame({"recording": ["r1"], "label": ["wt"], "culture": [""], "batch": ["b1"],
    ...                            "sampling_rate_hz": [20_000], "duration_s": [7.0], "pauses_s": ["5.0"]})
    >>> chunks, too_short = cut_chunks(recordings, chunk_s=2.0, first_s=None)
    >>> chunks[["chunk", "start_s", "stop_s"]].to_numpy().tolist()
    [['r1@0000', 0.0, 2.0], ['r1@0001', 2.0, 4.0], ['r1@0002', 5.0, 7.0]]
    """
    tables, too_short = [], {}
    for recording in recordings.itertuples():
        usable_s = min(recording.duration_s, first_s or np.inf)
        chunk_samples = _count_samples(recording, chunk_s)
        last = round(usable_s * recording.sampling_rate_hz)
        pauses = [round(float(pause) * recording.sampling_rate_hz) for pause in recording.pauses_s.split()]
        first = place_chunks(list(pairwise([0, *(pause for pause in pauses if pause < last), last])), chunk_samples)
        if len(first) == 0:
            without = " without a pause" if pauses else ""
            too_short[recording.recording] = BadRecording(
                f"{recording.recording}: {usable_s:g} s{' with pauses' * bool(pauses)} are shorter than one chunk "
                f"(split.chunk_s = {chunk_s:g} s{without}). "
                "Choose a shorter chunk, remove the recording, or set split.on_bad_recording: skip."
            )
            continue
        table = pd.DataFrame({"chunk": [f"{recording.recording}@{number:04d}" for number in range(len(first))]})
        for name in IDENTITY:
            table[name] = getattr(recording, name)
        table["start_s"] = (first / recording.sampling_rate_hz).round(6)
        table["stop_s"] = ((first + chunk_samples) / recording.sampling_rate_hz).round(6)
        tables.append(table)
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=COLUMNS), too_short


def place_chunks(parts: Sequence[tuple[int, int]], length: int) -> np.ndarray:
    """First samples of the chunks of ``length`` samples that fit into the uninterrupted parts of a recording.

    >>> place_chunks([(0, 5), (5, 6), (6, 10)], length=2).tolist()
    [0, 2, 6, 8]
    """
    return np.concatenate([np.arange(first, last - length + 1, length) for first, last in parts])


def _count_samples(recording: Any, chunk_s: float) -> int:
    samples = chunk_s * recording.sampling_rate_hz
    if round(samples) < 1 or abs(samples - round(samples)) > 1e-6 * round(samples):
        raise MeaError(
            f"split.chunk_s = {chunk_s:g} s: {samples:g} samples of {recording.recording} at "
            f"{recording.sampling_rate_hz:g} Hz; a chunk must be a whole number of samples, at least one. Choose "
            "another."
        )
    return round(samples)


def explain_too_short(too_short: Mapping[str, BadRecording]) -> str:
    """What :func:`cut_chunks` could not cut, in one line: the first recording's reason, and the names of others."""
    (_, reason), *others = too_short.items()
    if not others:
        return str(reason)
    names = ", ".join(name for name, _ in others[:3]) + ("…" if len(others) > 3 else "")
    return f"{reason} The same holds for {len(others)} more: {names}"
