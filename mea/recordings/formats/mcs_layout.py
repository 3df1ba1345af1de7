"""What a file of Multi Channel Systems is made of: recordings, their streams, and one line per channel."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import h5py
import numpy as np
from numpy.typing import ArrayLike

RAW_LABEL = "Data Acquisition (1) Electrode Raw Data"
FILTERED_LABEL = "Filter (1) Filter Data"
DIGITAL_LABEL = "Data Acquisition (1) Digital Data"
TEXT = h5py.string_dtype("ascii")
INFO_CHANNEL = np.dtype(
    [
        ("ChannelID", "<i4"),
        ("RowIndex", "<i4"),
        ("GroupID", "<i4"),
        ("Label", TEXT),
        ("RawDataType", TEXT),
        ("Unit", TEXT),
        ("Exponent", "<i4"),
        ("ADZero", "<i4"),
        ("Tick", "<i8"),
        ("ConversionFactor", "<i8"),
        ("HighPassFilterType", TEXT),
        ("HighPassFilterCutOffFrequency", TEXT),
        ("HighPassFilterOrder", "<i4"),
        ("LowPassFilterType", TEXT),
        ("LowPassFilterCutOffFrequency", TEXT),
        ("LowPassFilterOrder", "<i4"),
    ]
)


@dataclass(frozen=True)
class Stream:
    """One analog stream of ``n`` channels. What is given per channel may be one value for all of them.

    Attributes
    ----------
    counts
        (n, samples) int32, or an iterable of such blocks one after the other in time.
    labels
        (n,) electrode name of each channel, in the order of ``InfoChannel``.
    tick_us
        (n,) µs per sample.
    conversion_factor, exponent, adc_zero
        (n,) int: volts = (count - adc_zero) * conversion_factor * 10**exponent.
    unit
        (n,) text.
    row_index
        (n,) row of each channel in ``counts``; the channel's position by default.
    segments
        (k, 3) start in µs, first and last sample of each uninterrupted segment; one segment from 0 µs by default.
    source
        Number of the stream in the recording that this one was derived from; None for one straight from the rig.
    label, subtype, kind
        The stream's ``Label``, ``DataSubType`` and ``StreamType``.
    """

    counts: np.ndarray | Iterable[np.ndarray]
    labels: Sequence[str]
    tick_us: ArrayLike
    conversion_factor: ArrayLike = 59605
    exponent: ArrayLike = -12
    adc_zero: ArrayLike = 0
    unit: str | Sequence[str] = "V"
    row_index: Sequence[int] | None = None
    segments: ArrayLike | None = None
    source: int | None = None
    label: str = RAW_LABEL
    subtype: str = "Electrode"
    kind: str = "Analog"


@dataclass(frozen=True)
class RigRecording:
    """The streams of one ``Recording_<n>`` group, and when it began: µs after the file's start."""

    streams: Sequence[Stream]
    timestamp_us: int = 0
