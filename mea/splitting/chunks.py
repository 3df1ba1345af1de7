"""Recordings cut into chunks of one length."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from mea.runtime.errors import BadRecording, MeaError
from mea.splitting.groups import IDENTITY


def cut_chunks(
    recordings: pd.DataFrame, chunk_s: float, first_s: float | None
) -> tuple[pd.DataFrame, dict[str, BadRecording]]:
    """Cut every recording into pieces of ``chunk_s`` from its beginning; a remainder is dropped.

    Parameters
    ----------
    recordings
        Columns recording, label, culture, batch, rate_hz, duration_s.
    chunk_s
        Length of a chunk in seconds; a whole number of samples at every recording's rate.
    first_s
        Use only this much of each recording, so that its length cannot tell its class; None for all.

    Returns
    -------
    chunks
        Columns chunk, recording, label, culture, batch, start_s, stop_s.
    refused
        The recordings shorter than one chunk, with the reason.

    Raises
    ------
    MeaError
        If a chunk is no whole number of samples.
    """
    tables, refused = [], {}
    for recording in recordings.itertuples():
        usable_s = min(recording.duration_s, first_s or np.inf)
        chunk_samples = round(chunk_s * recording.rate_hz)
        if chunk_samples < 1 or abs(chunk_s * recording.rate_hz - chunk_samples) > 1e-6 * chunk_samples:
            raise MeaError(
                f"split.chunk_s = {chunk_s:g} s: {chunk_s * recording.rate_hz:g} samples of {recording.recording} at "
                f"{recording.rate_hz:g} Hz; a chunk must be a whole number of samples, at least one. Choose another."
            )
        count = round(usable_s * recording.rate_hz) // chunk_samples
        if count == 0:
            refused[recording.recording] = BadRecording(
                f"{recording.recording}: {usable_s:g} s are shorter than one chunk (split.chunk_s = {chunk_s:g} s). "
                "Choose a shorter chunk, remove the recording, or set split.on_bad_recording: skip."
            )
            continue
        index = np.arange(count)
        table = pd.DataFrame({"chunk": [f"{recording.recording}@{number:04d}" for number in index]})
        for name in IDENTITY:
            table[name] = getattr(recording, name)
        table["start_s"] = (index * chunk_samples / recording.rate_hz).round(6)
        table["stop_s"] = ((index + 1) * chunk_samples / recording.rate_hz).round(6)
        tables.append(table)
    columns = ["chunk", *IDENTITY, "start_s", "stop_s"]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns), refused


def explain_refused(refused: Mapping[str, BadRecording]) -> str:
    """What :func:`cut_chunks` refused, in one line: the first one's reason, and how many there are more."""
    (_, reason), *others = refused.items()
    if not others:
        return str(reason)
    names = ", ".join(name for name, _ in others[:3]) + ("…" if len(others) > 3 else "")
    return f"{reason} The same holds for {len(others)} more: {names}"
