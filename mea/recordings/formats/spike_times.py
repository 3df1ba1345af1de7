"""Read spike-time HDF5 files: the layout of Eglen et al. (2014), doi:10.1186/2047-217X-3-3."""

import re
from pathlib import Path

import h5py
import numpy as np

from mea.recordings.formats.hdf5 import decode_text, explain_damage, read_dataset
from mea.recordings.layouts import electrode_labels, map_labels_to_grid
from mea.recordings.recording import RawRecording
from mea.runtime.errors import BadRecording

NAME = "spike times"
LONGEST_S = 1e7  # almost four months


def matches(h5: h5py.File) -> bool:
    """Whether the file has spikes, and counts or names of channels, at its root."""
    return "spikes" in h5 and ("sCount" in h5 or "names" in h5)


def read(h5: h5py.File, path: Path, stream: str) -> list[RawRecording | BadRecording]:
    """Describe the one recording of the file; ``stream`` plays no part. See
    :func:`mea.recordings.formats.read_raw_recordings`.

    Every electrode of the layout is listed, silent ones too: which of them fired must not change what a model sees.
    Units of one electrode are put together. ``meta`` stays unread, for it states the class.
    """
    try:
        with explain_damage(str(path)):
            return [_read_recording(h5, str(path))]
    except BadRecording as error:
        return [error]


def explain_streams(h5: h5py.File, path: Path, stream: str) -> list[str]:
    """There is nothing to choose; see :func:`mea.recordings.formats.explain_streams`."""
    return ["the spike times are read: the file holds no voltages"]


def _read_recording(h5: h5py.File, where: str) -> RawRecording:
    layout, places = _read_layout(h5, where)
    names = [decode_text(name) for name in np.ravel(read_dataset(h5, "names", where))]
    start_s, stop_s = _read_window(h5, where)
    counts = _read_spike_counts(h5, names, where)
    times = _read_times(h5, names, counts, (start_s, stop_s), where)
    labels = list(places)
    channel_electrode = np.array([labels.index(_find_label(name, places, where)) for name in names], np.int64)
    electrode = np.repeat(channel_electrode, counts)
    order = np.lexsort((times, electrode))
    grid = map_labels_to_grid(layout, labels, where)
    n = len(labels)
    return RawRecording(
        format="spike_times",
        dataset="/spikes",
        sampling_rate_hz=0,
        n_samples=0,
        duration_s=stop_s - start_s,
        start="",
        layout=layout,
        rows=grid.rows,
        cols=grid.cols,
        stream="spike times",
        names=np.array(labels, object),
        row=grid.row,
        col=grid.col,
        x_um=grid.col * grid.pitch_um,
        y_um=grid.row * grid.pitch_um,
        source_row=np.full(n, -1),
        gain_v=np.full(n, np.nan),
        adc_zero=np.zeros(n, np.int64),
        spike_times_s=times[order] - start_s,
        spike_electrode=electrode[order],
        notes=() if len(times) else ("no spike in the whole recording",),
    )


def _read_layout(h5: h5py.File, where: str) -> tuple[str, dict[str, tuple[int, int]]]:
    layout = decode_text(read_dataset(h5, "array", where))
    try:
        return layout, electrode_labels(layout)
    except BadRecording as error:
        raise BadRecording(f"{where}: array: {error}") from None


def _read_window(h5: h5py.File, where: str) -> tuple[float, float]:
    window = np.ravel(read_dataset(h5, "recordingtime", where))
    if (
        len(window) != 2
        or window.dtype.kind not in "fiu"
        or not np.isfinite(window).all()
        or not 0 < window[1] - window[0] < LONGEST_S
    ):
        raise BadRecording(f"{where}: recordingtime is {window.tolist()}; it must be start and a later end, in s.")
    return float(window[0]), float(window[1])


def _read_spike_counts(h5: h5py.File, names: list[str], where: str) -> np.ndarray:
    counts = np.ravel(read_dataset(h5, "sCount", where))
    if len(counts) != len(names):
        raise BadRecording(f"{where}: {len(counts)} spike counts (sCount) for {len(names)} names; give one for each.")
    if counts.dtype.kind not in "iu" or (counts < 0).any():
        raise BadRecording(
            f"{where}: spike counts (sCount) must be integers from 0; they are {counts.tolist()[:5]} ..."
        )
    return counts.astype(np.int64)


def _read_times(
    h5: h5py.File, names: list[str], counts: np.ndarray, window: tuple[float, float], where: str
) -> np.ndarray:
    """(spikes,) float64 s, one channel after the other, each of them sorted and within the recording."""
    times = read_dataset(h5, "spikes", where)
    if times.ndim != 1 or times.dtype.kind not in "fiu":
        raise BadRecording(f"{where}: spikes are {times.dtype} {times.shape}; they must be one row of times in s.")
    total = sum(counts.tolist())  # of Python's integers, which do not wrap
    if total != len(times):
        raise BadRecording(f"{where}: spike counts (sCount) add up to {total}, but there are {len(times)} spikes.")
    times = times.astype(np.float64)
    channel = np.repeat(np.arange(len(names)), counts)
    unsorted = np.zeros(len(times), bool)
    unsorted[1:] = (np.diff(times) < 0) & (np.diff(channel) == 0)
    rules = (
        (~np.isfinite(times), "is not a number"),
        (times < 0, "is negative"),
        ((times < window[0]) | (times > window[1]), f"lies outside recordingtime, {window[0]:g} to {window[1]:g} s"),
        (unsorted, "is earlier than the one before it; times must be sorted within a channel"),
    )
    for wrong, rule in rules:
        if wrong.any():
            place = int(np.argmax(wrong))
            name = names[channel[place]]
            raise BadRecording(
                f"{where}: spike time {times[place]:g} s of {name} {rule}. Correct or leave out the file."
            )
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise BadRecording(f"{where}: channel name {twice!r} occurs twice. Give each unit its own name.")
    return times


def _find_label(name: str, places: dict[str, tuple[int, int]], where: str) -> str:
    """``12`` of ``ch_12A_unit_0``: column 1, row 2."""
    found = re.fullmatch(r"ch_(\d\d)[A-Za-z]?(_unit_\d+)?", name)
    if not found or found[1] not in places:
        raise BadRecording(
            f"{where}: unknown electrode name {name!r}; it must look like ch_12A_unit_0: column 1, row 2."
        )
    return found[1]
