"""A recording of which only the times of spikes were kept, whatever file they come from."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mea.recordings.layouts import NO_LAYOUTS, Grid, Layouts, electrode_labels, map_labels_to_grid
from mea.recordings.recording import RawRecording
from mea.runtime.errors import BadRecording


@dataclass(frozen=True)
class SpikeTrains:
    """Spikes of the channels of a file: ``n`` channels, ``m`` spikes.

    Attributes
    ----------
    label
        (n,) electrode label of each channel, one of the layout; units of one electrode share it.
    channel
        (m,) int64 channel of each spike.
    times_s
        (m,) float64, on the clock of ``window``.
    window
        When the recording began and ended, s.
    """

    label: Sequence[str]
    channel: np.ndarray
    times_s: np.ndarray
    window: tuple[float, float]

    def select(self, channels: np.ndarray) -> "SpikeTrains":
        """Some of the channels, by their numbers, with their spikes."""
        place = np.full(len(self.label), -1)
        place[channels] = np.arange(len(channels))
        kept = place[self.channel] >= 0
        labels = [self.label[number] for number in channels]
        return SpikeTrains(labels, place[self.channel[kept]], self.times_s[kept], self.window)


def build_recording(
    trains: SpikeTrains,
    layout: str,
    where: str,
    layouts: Layouts = NO_LAYOUTS,
    *,
    format: str,
    dataset: str,
    notes: Sequence[str] = (),
    start: str = "",
    plate: str = "",
    well: str = "",
    rig: str = "",
) -> RawRecording:
    """The recording, with every electrode of its layout: which of them fired must not change what a model sees.

    Parameters
    ----------
    trains
        Its spikes.
    layout
        Name of its layout.
    where
        File and part of it, for messages.
    layouts
        The lab's own.
    format, dataset, notes, start, plate, well, rig
        As :class:`mea.recordings.recording.RawRecording` has them.

    Raises
    ------
    BadRecording
        If the layout, or the label of a channel, is unknown.
    """
    labels = list(electrode_labels(layout, layouts))
    number = {label: place for place, label in enumerate(labels)}
    if unknown := [label for label in trains.label if label not in number]:
        raise BadRecording(
            f"{where}: electrode {unknown[0]!r} is not in the layout {layout.strip()} ({labels[0]} to {labels[-1]}). "
            "Correct the name, or the layout that the file states."
        )
    electrode = np.array([number[label] for label in trains.label], np.int64)[trains.channel]
    grid = map_labels_to_grid(layout, labels, where, layouts)
    about = {"format": format, "dataset": dataset, "start": start, "plate": plate, "well": well, "rig": rig}
    return assemble(replace(grid, layout=layout.strip()), electrode, trains.times_s, trains.window, notes, **about)


def assemble(
    grid: Grid,
    electrode: np.ndarray,
    times_s: np.ndarray,
    window: tuple[float, float],
    notes: Sequence[str],
    *,
    format: str,
    dataset: str,
    start: str = "",
    plate: str = "",
    well: str = "",
    rig: str = "",
) -> RawRecording:
    """The recording of spikes on electrodes whose places are known, sorted by (row, col).

    Parameters
    ----------
    grid
        All electrodes, silent ones too.
    electrode, times_s
        (m,) electrode of each spike and its time, on the clock of ``window``.
    window, notes, format, dataset, start, plate, well, rig
        As in :func:`build_recording`.
    """
    order = np.lexsort((times_s, electrode))
    begin, end = window
    silent = () if len(order) else ("no spike in the whole recording",)
    return RawRecording(
        format=format,
        dataset=dataset,
        sampling_rate_hz=0,
        n_samples=0,
        duration_s=end - begin,
        start=start,
        stream="spike times",
        **grid.build_fields(),
        source_row=np.full(len(grid.names), -1),
        gain_v=np.full(len(grid.names), np.nan),
        adc_zero=np.zeros(len(grid.names), np.int64),
        spike_times_s=times_s[order] - begin,
        spike_electrode=electrode[order],
        notes=(*notes, *silent),
        plate=plate,
        well=well,
        rig=rig,
    )


def find_electrodes(channels: np.ndarray, own: np.ndarray) -> np.ndarray:
    """The electrode of each spike by its channel, where electrode ``k`` has channel ``own[k]``; -1 for no electrode.

    >>> find_electrodes(np.array([7, 3, 9]), np.array([3, 7])).tolist()
    [1, 0, -1]
    """
    order = np.argsort(own, kind="stable")
    place = order[np.minimum(np.searchsorted(own[order], channels), len(own) - 1)]
    return np.where(own[place] == channels, place, -1)


def check_window(times_s: np.ndarray, window: tuple[float, float], where: str) -> None:
    """Refuse spikes that lie outside the recording.

    Raises
    ------
    BadRecording
        If one does, or the recording has no length.
    """
    begin, end = window
    outside = int(np.count_nonzero(~((times_s >= begin) & (times_s <= end))))
    if outside or not begin < end:
        raise BadRecording(
            f"{where}: {outside} spikes lie outside the recording, {begin:g} to {end:g} s. Export it again."
        )


def bound_by_spikes(times_s: np.ndarray, whose: str, where: str) -> tuple[tuple[float, float], str]:
    """First and last spike as beginning and end, and a note that says so.

    Raises
    ------
    BadRecording
        If there are not two spikes at different times.
    """
    if not len(times_s) or times_s.min() == times_s.max():
        raise BadRecording(
            f"{where}: states neither beginning nor end, and fewer than two spikes to tell. Give recordingtime."
        )
    window = float(times_s.min()), float(times_s.max())
    return (
        window,
        f"no length in the file: from the first to the last spike of the {whose}, {window[0]:g} to {window[1]:g} s",
    )
