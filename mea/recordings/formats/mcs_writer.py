"""Write the HDF5 layout of Multi Channel Systems as their software does. :mod:`mea.recordings.formats.mcs` reads it."""

import hashlib
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import h5py
import numpy as np
from isal import isal_zlib

from mea.recordings.formats.mcs_layout import DIGITAL_LABEL, FILTERED_LABEL, INFO_CHANNEL, RigRecording, Stream

NO_SOURCE = "00000000-0000-0000-0000-000000000000"
DAYS = "Montag Dienstag Mittwoch Donnerstag Freitag Samstag Sonntag".split()  # noqa: SIM905
LEVEL = 1  # of deflate
MONTHS = "Januar Februar März April Mai Juni Juli August September Oktober November Dezember".split()  # noqa: SIM905


def write_mcs(
    path: Path,
    electrodes: Stream,
    *,
    filtered: np.ndarray | Iterable[np.ndarray] | None = None,
    layout: str = "120MEA200/30iR-Ti",
    start: str = "2024-01-01T12:00:00",
) -> None:
    """Write one recording: the electrodes' raw stream, the filtered one where given, and the digital port's.

    Parameters
    ----------
    path
        File to write. The same arguments give the same bytes, whatever its name.
    electrodes
        The raw stream.
    filtered
        Counts of the filtered stream, in the form of ``electrodes.counts``; its other values are those of the raw one.
    layout
        ``MeaLayout``, such as ``120MEA200/30iR-Ti``.
    start
        ISO 8601 date and time.

    Examples
    --------
    >>> from mea.recordings.formats import read_raw_recordings
    >>> counts = np.zeros((2, 1000), np.int32)
    >>> write_mcs(Path("one.h5"), Stream(counts, ["F7", "G7"], find_tick_us(25_000)))
    >>> (recording,) = read_raw_recordings(Path("one.h5"), "raw")
    >>> recording.layout, recording.sampling_rate_hz, recording.names.tolist(), recording.row.tolist()
    ('120MEA', 25000, ['F7', 'G7'], [6, 6])
    """
    lengths: list[int] = []
    streams = [replace(electrodes, counts=_watch_lengths(electrodes.counts, lengths))]
    if filtered is not None:
        streams = [replace(electrodes, counts=filtered, label=FILTERED_LABEL, source=1), *streams]
    idle = (np.full((1, length), -32768, np.int32) for length in lengths)
    digital = Stream(
        idle,
        ["1"],
        electrodes.tick_us,
        conversion_factor=0,
        exponent=0,
        unit="NoUnit",
        segments=electrodes.segments,
        label=DIGITAL_LABEL,
        subtype="Digital",
    )
    recording = RigRecording([*streams, digital])
    write_mcs_file(path, [recording], layout=layout, start=start)


def find_tick_us(sampling_rate_hz: int) -> int:
    """Microseconds per sample.

    Raises
    ------
    ValueError
        If they are no whole number, which the file needs.
    """
    if 1_000_000 % sampling_rate_hz:
        raise ValueError(
            f"sampling_rate_hz = {sampling_rate_hz}: the file holds whole µs per sample; take a divisor of 1,000,000."
        )
    return 1_000_000 // sampling_rate_hz


def write_mcs_file(
    path: Path,
    recordings: Sequence[RigRecording],
    *,
    layout: str = "120MEA200/30iR-Ti",
    start: str = "2024-01-01T12:00:00",
) -> None:
    """Write any number of recordings, each of any number of streams; parameters as in :func:`write_mcs`."""
    with h5py.File(path, "w") as h5:
        _write_text(h5, "McsHdf5ProtocolType", "RawData")
        h5.attrs["McsHdf5ProtocolVersion"] = np.int32(1)
        data = h5.create_group("Data")
        seed = f"{start} {layout}"
        for number, recording in enumerate(recordings):
            group = data.create_group(f"Recording_{number}")
            seed += _write_recording(group, number, recording, seed)
        _write_session(data, layout, datetime.fromisoformat(start), _derive_guid(seed))


def _write_session(data: h5py.Group, layout: str, start: datetime, guid: str) -> None:
    ticks = (start.replace(tzinfo=None) - datetime(1, 1, 1)) // timedelta(microseconds=1) * 10
    _write_text(data, "Comment", "")
    _write_text(data, "Date", f"{DAYS[start.weekday()]}, {start.day}. {MONTHS[start.month - 1]} {start.year}")
    data.attrs["DateInTicks"] = np.int64(ticks)
    _write_text(data, "FileGUID", guid)
    _write_text(data, "MeaLayout", _pad_text(layout, 38))
    _write_text(data, "MeaName", _pad_text(layout, 40))
    _write_text(data, "MeaSN", "")
    _write_text(data, "ProgramName", _pad_text("Multi Channel Experimenter", 36))
    _write_text(data, "ProgramVersion", _pad_text("0.9.8.2", 33))


def _write_recording(group: h5py.Group, number: int, recording: RigRecording, seed: str) -> str:
    analog = group.create_group("AnalogStream")
    guids, ends = [], [recording.timestamp_us]
    for position, stream in enumerate(recording.streams):
        target = analog.create_group(f"Stream_{position}")
        samples, digest = _write_counts(target, stream)
        ends.append(_write_segments(target, stream, samples))
        _write_channels(target, stream)
        guids.append(_derive_guid(f"{seed} {number} {position} {digest}"))
    for position, stream in enumerate(recording.streams):
        source = NO_SOURCE if stream.source is None else guids[stream.source]
        _write_stream_info(analog[f"Stream_{position}"], stream, guids[position], source)
    for name in ("Comment", "Label", "RecordingType"):
        _write_text(group, name, "")
    group.attrs["Duration"] = np.int64(max(ends))
    group.attrs["RecordingID"] = np.int32(number)
    group.attrs["TimeStamp"] = np.int64(recording.timestamp_us)
    return "".join(guids)


def _write_counts(group: h5py.Group, stream: Stream) -> tuple[int, str]:
    channels = len(stream.labels)
    width = max(2048, 16384 // channels)
    shape = {"shape": (channels, 0), "maxshape": (channels, None), "chunks": (channels, width)}
    data = group.create_dataset(
        "ChannelData", dtype="<i4", **shape, compression="gzip", compression_opts=LEVEL, shuffle=True
    )
    digest = hashlib.sha256()
    for block in _align_blocks(stream.counts, width):
        first = data.shape[1]
        data.resize(first + block.shape[1], axis=1)
        data.id.write_direct_chunk((0, first), _compress_chunk(block, width))
        digest.update(np.asarray(block, "<i4").tobytes())
    return data.shape[1], digest.hexdigest()


def _compress_chunk(block: np.ndarray, width: int) -> bytes:
    """What HDF5's filters for byte shuffle and gzip would store, by ISA-L: in a sixth of zlib's time, and smaller."""
    chunk = np.zeros((len(block), width), "<i4")
    chunk[:, : block.shape[1]] = block
    planes = np.ascontiguousarray(chunk.view(np.uint8).reshape(-1, 4).T)
    return isal_zlib.compress(planes, LEVEL)


def _align_blocks(counts: np.ndarray | Iterable[np.ndarray], width: int) -> Iterator[np.ndarray]:
    """The same samples in blocks that end on a chunk's border, so that each chunk is compressed once."""
    rest: np.ndarray | None = None
    for block in [counts] if isinstance(counts, np.ndarray) else counts:
        block = block if rest is None else np.concatenate([rest, block], axis=1)
        whole = block.shape[1] // width * width
        for first in range(0, whole, width):
            yield block[:, first : first + width]
        rest = block[:, whole:]
    if rest is not None and rest.shape[1]:
        yield rest


def _watch_lengths(counts: np.ndarray | Iterable[np.ndarray], lengths: list[int]) -> Iterator[np.ndarray]:
    for block in [counts] if isinstance(counts, np.ndarray) else counts:
        lengths.append(block.shape[1])
        yield block


def _write_segments(group: h5py.Group, stream: Stream, samples: int) -> int:
    segments = np.asarray([[0, 0, samples - 1]] if stream.segments is None else stream.segments, "<i8").reshape(-1, 3)
    shape = {"maxshape": (None, 3), "chunks": (2730, 3)}
    stamps = group.create_dataset(
        "ChannelDataTimeStamps", data=segments, **shape, compression="gzip", compression_opts=5, shuffle=True
    )
    for column, name in enumerate(("FirstTimeStamp", "FirstIndex", "LastIndex")):
        _write_text(stamps, f"Column-{column}", name)
    if not len(segments):
        return 0
    start, first, last = segments[-1]
    return int(start + (last - first + 1) * np.ravel(stream.tick_us)[0])


def _write_channels(group: h5py.Group, stream: Stream) -> None:
    channels = np.zeros(len(stream.labels), INFO_CHANNEL)
    channels["ChannelID"] = np.arange(len(channels))
    channels["RowIndex"] = np.arange(len(channels)) if stream.row_index is None else stream.row_index
    channels["Label"] = [label.encode() for label in stream.labels]
    channels["RawDataType"] = b"Int"
    units = [stream.unit] * len(channels) if isinstance(stream.unit, str) else stream.unit
    channels["Unit"] = [unit.encode() for unit in units]
    channels["Exponent"] = stream.exponent
    channels["ADZero"] = stream.adc_zero
    channels["Tick"] = stream.tick_us
    channels["ConversionFactor"] = stream.conversion_factor
    for side in ("HighPass", "LowPass"):
        channels[f"{side}FilterType"] = b""
        channels[f"{side}FilterCutOffFrequency"] = b"-1"
        channels[f"{side}FilterOrder"] = -1
    group.create_dataset("InfoChannel", data=channels).attrs["InfoVersion"] = np.int32(1)


def _write_stream_info(group: h5py.Group, stream: Stream, guid: str, source: str) -> None:
    _write_text(group, "DataSubType", stream.subtype)
    _write_text(group, "Label", _pad_text(stream.label, 42) if stream.label else "")
    _write_text(group, "SourceStreamGUID", source)
    _write_text(group, "StreamGUID", guid)
    group.attrs["StreamInfoVersion"] = np.int32(1)
    _write_text(group, "StreamType", stream.kind)


def _pad_text(text: str, width: int) -> str:
    return text.ljust(width) + "\r\n"


def _write_text(target: h5py.Group | h5py.Dataset, name: str, text: str) -> None:
    """Write a text attribute as the vendor does: bytes of fixed length without room for a closing zero."""
    value = np.array(text.encode() or b"\0")
    kind = h5py.h5t.C_S1.copy()
    kind.set_size(value.dtype.itemsize)
    space = h5py.h5s.create(h5py.h5s.SCALAR)
    h5py.h5a.create(target.id, name.encode(), kind, space).write(value, mtype=kind)


def _derive_guid(text: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, text))
