"""Which recordings a file holds: their ids, and who they are where the lab's tables and file names leave it open."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from mea.recordings.labels import Identify, Place
from mea.recordings.recording import Identity, RawRecording
from mea.runtime.errors import BadRecording
from mea.runtime.tables import read_table


def identify_nobody(recording: str, path: str, place: Place) -> Identity:
    """For recordings that are to be classified: nothing is known of them."""
    return Identity(recording, "", "", "")


def read_identities(folder: Path) -> pd.DataFrame:
    """Label, culture and batch of each recording, by its id, as the catalogue of a stage lists them."""
    return read_table(folder / "catalogue.csv").set_index("recording")[["label", "culture", "batch"]].fillna("")


def name_recordings(file_id: str, sources: Sequence[RawRecording | BadRecording]) -> list[str]:
    """Ids of the recordings in a file: wells by their names, else that of the file; the next ones with ``#2``, …"""
    names, wells = [], Counter[str]()
    for number, source in enumerate(sources, start=1):
        name = file_id
        if isinstance(source, RawRecording) and source.well:
            name, number = f"{file_id}_{source.well}", wells[source.well] + 1
            wells[source.well] += 1
        names.append(name if number == 1 else f"{name}#{number}")
    return names


def find_identity(
    name: str, row: Mapping[str, str], source: RawRecording, identify: Identify, several: bool
) -> tuple[Identity, str]:
    """Who a recording is, and a note where that had to be assumed.

    Unless stated otherwise, a culture is a well of its plate and a batch is a plate; and the recordings of one file
    (``several``) are one culture. ``row`` is the file's line of the manifest.

    Raises
    ------
    BadRecording
        If it has no label, or two.
    """
    place = Place(row["recording"], source.plate, source.well) if source.well else Place()
    who = identify(name, "/".join(filter(None, (row["archive"], row["member"]))), place)
    if who.label and source.well:
        culture = who.culture or f"{source.plate}_{source.well}"
        return replace(who, culture=culture, batch=who.batch or source.plate), ""
    if who.label and not who.culture and several:
        return replace(who, culture=row["recording"]), "one of several recordings in its file: taken as one culture"
    return who, ""
