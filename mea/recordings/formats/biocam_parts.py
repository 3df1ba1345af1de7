"""What a 3Brain file says of its channels and of its scale, in the words of its older and its later versions."""

import json
from dataclasses import dataclass

import h5py
import numpy as np

from mea.recordings.formats.hdf5 import decode_text, read_dataset
from mea.recordings.layouts import Grid
from mea.runtime.errors import BadRecording

LAYOUT = "BioCAM{rows}x{cols}"
SIZES = (32, 64)  # electrodes in a row and column, of CorePlate wells and of chips
EXPORT = "Export it from BrainWave as raw data (.brw), or detect the spikes there (.bxr)."


@dataclass(frozen=True)
class Scale:
    """From counts to volts.

    Attributes
    ----------
    gain_v
        Volts per count.
    adc_zero
        Count of 0 V.
    inverted_from
        What counts are subtracted from where the rig inverted its signal; 0 where it did not.
    """

    gain_v: float
    adc_zero: int
    inverted_from: int = 0


def read_scale_old(h5: h5py.File, where: str) -> Scale:
    """Of a file of version 3: the range of the converter, and whether the signal is inverted."""
    steps = 1 << int(read_number(h5, "3BRecInfo/3BRecVars/BitDepth", where))
    low, high, sign = (
        float(np.ravel(h5[f"3BRecInfo/3BRecVars/{name}"][...])[0]) for name in ("MinVolt", "MaxVolt", "SignalInversion")
    )
    if sign not in (1, -1):
        raise BadRecording(f"{where}: SignalInversion is {sign:g}; it must be 1 or -1. Export it again.")
    return _make_scale(low, high, 0, steps, where, inverted_from=steps if sign == -1 else 0)


def _make_scale(low_uv: float, high_uv: float, low: int, high: int, where: str, inverted_from: int = 0) -> Scale:
    gain_uv = (high_uv - low_uv) / (high - low) if high > low else np.nan
    if not 0 < gain_uv < np.inf:
        raise BadRecording(
            f"{where}: {low_uv:g} to {high_uv:g} µV over {high - low} counts is no scale. Export it again."
        )
    return Scale(gain_uv * 1e-6, round(low - low_uv / gain_uv), inverted_from)


def read_settings(h5: h5py.File, where: str) -> tuple[float, Scale]:
    """Sampling rate and scale of a file of version 4, from its settings in JSON, whichever of two ways they are named.

    Raises
    ------
    BadRecording
        If they are missing or incomplete.
    """
    name = next((one for one in ("ExperimentSettings", "ExperimentInfo") if one in h5), None)
    if name is None:
        raise BadRecording(
            f"{where}: has neither ExperimentSettings nor ExperimentInfo. It is incomplete: export again."
        )
    try:
        settings = json.loads(decode_text(read_dataset(h5, name, where)))
        if name == "ExperimentSettings":
            values, sampling_rate_hz = settings["ValueConverter"], settings["TimeConverter"]["FrameRate"]
            unit, factor = "", float(values["ScaleFactor"])
        else:
            converter = settings["SignalConverter"]
            values = converter["DigitalToAnalogConverter"]
            sampling_rate_hz, unit, factor = converter["SampleToTimeConverter"]["FrameRateHertz"], "MicroVolt", 1.0
        low_uv, high_uv = (factor * float(values[f"{end}AnalogValue{unit}"]) for end in ("Min", "Max"))
        low, high = (int(values[f"{end}DigitalValue"]) for end in ("Min", "Max"))
        sampling_rate_hz = float(sampling_rate_hz)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadRecording(f"{where}: {name} does not state rate and scale ({error!r}). Export it again.") from None
    if not 0 < sampling_rate_hz < np.inf:
        raise BadRecording(f"{where}: {name} states {sampling_rate_hz:g} frames per second. Export it again.")
    return sampling_rate_hz, _make_scale(low_uv, high_uv, low, high, where)


def place_old(h5: h5py.File, where: str) -> tuple[Grid, np.ndarray]:
    """Places, and the number of the channel of each, by the table of channels or the matrix of their numbers."""
    channels, matrix = h5.get("3BRecInfo/3BMeaStreams/Raw/Chs"), h5.get("3BResults/3BInfo/MeaChs2ChIDsMatrix")
    if channels is not None:
        table = channels[...]
        if not {"Row", "Col"} <= set(table.dtype.names or ()):
            raise BadRecording(f"{where}: 3BMeaStreams/Raw/Chs has no fields Row and Col. Export it again.")
        row, col = table["Row"].astype(np.int64) - 1, table["Col"].astype(np.int64) - 1
        number = np.arange(len(table))
    elif matrix is not None and matrix.ndim == 2:
        numbers = matrix[...].astype(np.int64)
        row, col = np.nonzero(numbers >= 0)
        number = numbers[row, col]
    else:
        raise BadRecording(f"{where}: says nowhere where its channels stand (3BMeaStreams/Raw/Chs). {EXPORT}")
    chip = h5.get("3BRecInfo/3BMeaChip")
    given = [int(np.ravel(chip[name][...])[0]) for name in ("NRows", "NCols")] if chip and "NRows" in chip else None
    rows, cols = given or (max(row, default=0) + 1, max(col, default=0) + 1)
    return sort_places(row, col, number, rows, cols, where)


def sort_places(
    row: np.ndarray, col: np.ndarray, number: np.ndarray, rows: int, cols: int, where: str
) -> tuple[Grid, np.ndarray]:
    """The places sorted by row and column, from 0, and the number of the channel of each.

    Raises
    ------
    BadRecording
        If there are none, one is outside the chip, or two share a place.
    """
    if not len(row):
        raise BadRecording(f"{where}: no channels. {EXPORT}")
    if min(row.min(), col.min()) < 0 or row.max() >= rows or col.max() >= cols:
        raise BadRecording(
            f"{where}: a channel stands outside the chip of {rows} x {cols}. It is damaged: export again."
        )
    order = np.lexsort((col, row))
    row, col, number = row[order], col[order], number[order]
    if (twice := (np.diff(row) == 0) & (np.diff(col) == 0)).any():
        at = int(np.argmax(twice))
        raise BadRecording(f"{where}: two channels at row {row[at] + 1}, column {col[at] + 1}. Export it again.")
    names = tuple(f"{one + 1}-{two + 1}" for one, two in zip(row.tolist(), col.tolist()))
    unknown, used = np.full(len(row), np.nan), np.ones(len(row), bool)
    layout = LAYOUT.format(rows=rows, cols=cols)
    return Grid(layout, rows, cols, row, col, used, names, float("nan"), unknown, unknown, ()), number


def find_size(stored: np.ndarray, where: str) -> int:
    """Electrodes in a row of the array whose channels of these numbers are stored; channel ``size * row + column``.

    >>> find_size(np.arange(1024), ""), find_size(np.array([5, 4000]), "")
    (32, 64)

    Raises
    ------
    BadRecording
        If it cannot be told.
    """
    if len(np.unique(stored)) < len(stored) or (len(stored) and stored.min() < 0):
        raise BadRecording(f"{where}: StoredChIdxs holds a channel twice, or one below 0. Export it again.")
    whole = [size for size in SIZES if len(stored) == size * size and stored.max() == size * size - 1]
    largest = SIZES[-1]
    if len(stored) and SIZES[0] ** 2 <= stored.max() < largest**2:
        return largest
    if not whole:
        raise BadRecording(
            f"{where}: {len(stored)} channels are stored, up to number {stored.max(initial=-1)}, so that the size of "
            f"the array cannot be told ({' or '.join(f'{one} x {one}' for one in SIZES)}). Store all channels."
        )
    return whole[0]


def read_stored(well: h5py.Group, where: str) -> np.ndarray:
    """Numbers of the channels of a well that are stored, in the order of its samples."""
    return np.ravel(read_dataset(well, "StoredChIdxs", where)).astype(np.int64)


def read_number(h5: h5py.File, name: str, where: str) -> float:
    """A number above 0."""
    group, _, own = name.rpartition("/")
    if not isinstance(h5.get(group), h5py.Group):
        raise BadRecording(f"{where}: has no group {group!r}. It is incomplete: export it again.")
    value = np.ravel(read_dataset(h5[group], own, where))
    if not value.size or value.dtype.kind not in "fiu" or not 0 < value[0] < np.inf:
        raise BadRecording(f"{where}: {own} is {value.tolist()[:3]}; it must be a number above 0. Export it again.")
    return float(value[0])
