"""The streams of a Multi Channel Systems recording, and which of them is read."""

import re
from dataclasses import dataclass

import h5py

from mea.recordings.formats.hdf5 import decode_text
from mea.runtime.errors import BadRecording


@dataclass(frozen=True)
class AnalogStream:
    """What tells one stream of a recording from another."""

    group: h5py.Group
    name: str
    label: str
    kind: str
    subtype: str
    derived: bool
    channels: int
    samples: int

    def __str__(self) -> str:
        origin = "derived from another stream" if self.derived else "straight from the rig"
        return f"{self.name} {self.label!r} ({self.kind}, {self.subtype}, {self.channels} channels, {origin})"


def list_numbered(group: h5py.Group | None, prefix: str) -> list[str]:
    """Names ``<prefix>_<number>`` in a group, by their number; none where there is no group."""
    names = [name for name in group if re.fullmatch(rf"{prefix}_\d+", name)] if isinstance(group, h5py.Group) else []
    return sorted(names, key=lambda name: int(name.rpartition("_")[2]))


def list_streams(recording: h5py.Group, where: str) -> list[AnalogStream]:
    """Every stream of a recording, electrodes' or not.

    Raises
    ------
    BadRecording
        If there is no group for them.
    """
    analog = recording.get("AnalogStream")
    if not isinstance(analog, h5py.Group):
        raise BadRecording(
            f"{where}: no group AnalogStream, so no electrode stream. Export it with the electrodes' data."
        )
    return [_format_stream(analog[name], name) for name in list_numbered(analog, "Stream")]


def _format_stream(group: h5py.Group, name: str) -> AnalogStream:
    label, kind, subtype, source = (
        decode_text(group.attrs.get(key)) for key in ("Label", "StreamType", "DataSubType", "SourceStreamGUID")
    )
    derived = bool(source.strip("{}0-")) if source else "filter" in label.lower()
    info = group.get("InfoChannel")
    data = group.get("ChannelData")
    channels = len(info) if isinstance(info, h5py.Dataset) else 0
    samples = data.shape[1] if isinstance(data, h5py.Dataset) and data.ndim == 2 else 0
    return AnalogStream(group, name, label, kind, subtype, derived, channels, samples)


def choose_stream(streams: list[AnalogStream], wanted: str, where: str) -> tuple[AnalogStream, list[str]]:
    """The electrodes' raw stream, or the one filtered from it; and a note where others would have fitted.

    Of several, the one with the most channels, and of those the first; one without samples only if there is no other.

    Raises
    ------
    BadRecording
        If there is none.
    """
    fitting = _find_fitting(streams, wanted)
    if not fitting:
        seen = "; ".join(map(str, streams)) or "none"
        raise BadRecording(
            f"{where}: no {wanted} electrode stream. Streams seen: {seen}. "
            "Choose the other of raw and filtered, or export the file with the electrodes' data."
        )
    chosen = max(fitting, key=lambda stream: (stream.samples > 0, stream.channels))
    others = ", ".join(f"{stream.name} {stream.label!r}" for stream in fitting if stream is not chosen)
    note = f"several {wanted} electrode streams: {chosen.name} {chosen.label!r} taken (most channels), not {others}"
    return chosen, [note] if others else []


def _find_fitting(streams: list[AnalogStream], wanted: str) -> list[AnalogStream]:
    electrode = [
        stream
        for stream in streams
        if stream.kind in ("Analog", "")
        and (stream.subtype == "Electrode" or (not stream.subtype and "electrode" in stream.label.lower()))
    ]
    return [stream for stream in electrode if stream.derived == (wanted == "filtered")]


def explain_choice(streams: list[AnalogStream], wanted: str, where: str) -> str:
    """Which stream is read and why, and what others there are, in words; errors as in :func:`choose_stream`.

    Streams are named by their labels: their numbers change from recording to recording.
    """
    chosen, _ = choose_stream(streams, wanted, where)
    origin = "straight from the rig" if wanted == "raw" else "derived from another stream"
    count = len(_find_fitting(streams, wanted))
    why = f"the only electrode stream {origin}" if count == 1 else f"of {count} {origin} the one with the most channels"
    left = sorted(f"{one.label!r} ({one.subtype}, {one.channels} channels)" for one in streams if one is not chosen)
    return (
        f"{chosen.label!r} with {chosen.channels} channels is read, {why} (h5.stream: {wanted}); "
        f"not read: {', '.join(left) or 'nothing'}"
    )
