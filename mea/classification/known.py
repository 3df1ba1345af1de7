"""Recordings that a classifier learned from: known again by their events, under whatever name they come."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from mea.arrays.events import SpikeEvents
from mea.runtime.tables import read_table

TRAINED_ON = "trained_on.csv"


def list_digests(recordings: Iterable[SpikeEvents]) -> pd.DataFrame:
    """Columns recording and events_sha256, of each recording that has a spike: all silent ones are equal."""
    rows = [(events.recording, events.content_sha256) for events in recordings if len(events)]
    return pd.DataFrame(rows, columns=["recording", "events_sha256"])


def read_digests(folder: Path) -> dict[str, str]:
    """Name of each recording that the classifier in a folder learned from, by the digest of its events."""
    path = folder / TRAINED_ON
    if not path.exists():
        return {}
    table = read_table(path)
    return dict(zip(table["events_sha256"], table["recording"]))


def explain_known(events: SpikeEvents, digests: dict[str, str]) -> str:
    """That a recording was among those learned from, in words; an empty string where it was not."""
    name = digests.get(events.content_sha256, "")
    return (
        f"trained on: the classifier learned from this recording ({name}); its confidence is too high" if name else ""
    )
