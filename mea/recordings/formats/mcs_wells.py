"""Multiwell files of Multi Channel Systems: the same labels in every well, and ``GroupID`` tells the well."""

import re
from dataclasses import dataclass

import numpy as np

from mea.recordings.plates import MCS_MULTIWELL
from mea.runtime.errors import BadRecording


@dataclass(frozen=True)
class WellChannels:
    """The channels of one well, in the order of the file; of a dish, all channels, and an empty name."""

    name: str
    layout: str
    channels: np.ndarray


def divide_by_well(layout: str, channels: np.ndarray, where: str) -> list[WellChannels]:
    """The channels of each well of a plate, whose layout is called like ``24W300/30G-288``; else all of them.

    Parameters
    ----------
    layout
        As the file states it.
    channels
        ``InfoChannel``; ``GroupID`` counts the wells row by row, from 0.
    where
        File and stream, for messages.

    Raises
    ------
    BadRecording
        If the plate is unknown, or a group is none of its wells.
    """
    found = re.match(r"\s*(\d+)W\d+/", layout)
    if not found:
        return [WellChannels("", layout, channels)]
    plate = MCS_MULTIWELL.get(int(found[1]))
    if plate is None:
        known = ", ".join(map(str, MCS_MULTIWELL))
        raise BadRecording(f"{where}: plate {layout.strip()!r} is unknown; known are plates of {known} wells.")
    if "GroupID" not in (channels.dtype.names or ()):
        raise BadRecording(f"{where}: InfoChannel has no GroupID, so that its wells cannot be told. Export it again.")
    wells = plate.list_wells()
    group = channels["GroupID"].astype(np.int64)
    if outside := sorted(set(group.tolist()) - set(range(len(wells)))):
        raise BadRecording(f"{where}: group {outside[0]} is none of the {len(wells)} wells. Correct MeaLayout.")
    return [WellChannels(wells[one], plate.layout, channels[group == one]) for one in sorted(set(group.tolist()))]
