"""The cleaned recording, stored as its events, because everything else in it is zero; and its views."""

import hashlib
import json
import zipfile
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mea.arrays.views import bin_counts, bin_peaks, place_waveforms
from mea.recordings.recording import Source
from mea.runtime.errors import MeaError
from mea.runtime.files import fresh_file

FORMAT_VERSION = 1
TEXT_AND_NUMBERS = (str, int, float)


@dataclass(frozen=True)
class Events:
    """A recording's detected spikes: ``n`` electrodes, ``m`` events sorted by (first_sample, electrode).

    Attributes
    ----------
    recording, label, culture, batch
        Who the recording is; empty strings where unknown.
    format
        Name of the module under ``mea.recordings.formats`` that read it.
    start
        When it began, ISO 8601, or an empty string.
    samples_sha256
        Of how often each count occurs on each electrode and of every 997th, or of the spike times: equal content,
        whatever the file is called.
    sampling_rate_hz
        Samples per second of every sample number below.
    rows, cols
        Size of the grid.
    n_samples
        Samples of each electrode.
    duration_s
        Length of the recording.
    row, col
        (n,) int64 place of each electrode.
    threshold_uv
        (n,) float64 least height of a peak; NaN where there are no voltages.
    volts_per_count
        (n,) float64; NaN where there are no voltages.
    electrode
        (m,) int64 index of the event's electrode.
    first_sample
        (m,) int64 first sample of the waveform.
    peak_sample
        (m,) int64 sample of the event's peak: when it happened.
    offset
        (m + 1,) int64: the waveform of event i is ``waveform_counts[offset[i]:offset[i + 1]]``.
    waveform_counts
        Integers, count minus zero: µV = (count * volts_per_count) * 1e6 in float64. Empty for spike times.
    """

    recording: str
    label: str
    culture: str
    batch: str
    format: str
    start: str
    samples_sha256: str
    sampling_rate_hz: int
    rows: int
    cols: int
    n_samples: int
    duration_s: float
    row: np.ndarray
    col: np.ndarray
    threshold_uv: np.ndarray
    volts_per_count: np.ndarray
    electrode: np.ndarray
    first_sample: np.ndarray
    peak_sample: np.ndarray
    offset: np.ndarray
    waveform_counts: np.ndarray

    def __len__(self) -> int:
        return len(self.electrode)

    @property
    def n_electrodes(self) -> int:
        return len(self.row)

    @property
    def has_waveforms(self) -> bool:
        """Whether it comes from voltages, rather than from spike times."""
        return not np.isnan(self.volts_per_count).all()

    @property
    def spike_times_s(self) -> np.ndarray:
        """(m,) float64 time of each event's peak since the recording's start, in the events' order."""
        return self.peak_sample / self.sampling_rate_hz

    @property
    def firing_rates_hz(self) -> np.ndarray:
        """(n,) float64 events per second of each electrode, silent ones included."""
        return np.bincount(self.electrode, minlength=self.n_electrodes) / self.duration_s

    @cached_property
    def content_sha256(self) -> str:
        """SHA-256 of what was detected (places, times, waveforms in counts), whatever the recording is called."""
        digest = hashlib.sha256(f"{self.sampling_rate_hz} {self.rows} {self.cols} {self.n_samples}".encode())
        places = (self.row, self.col, self.electrode, self.first_sample, self.peak_sample, self.offset)
        for values in (*places, self.waveform_counts):
            digest.update(np.ascontiguousarray(values, np.int64).data)
        return digest.hexdigest()

    @cached_property
    def _longest(self) -> int:
        """Samples of the longest waveform: how far before a window an event that reaches into it can begin."""
        return max(1, int(np.diff(self.offset).max(initial=1)))

    def count_events(self, start_s: float, stop_s: float) -> np.ndarray:
        """(n,) int64 events of each electrode whose peak lies in [start_s, stop_s), each rounded to a sample."""
        return np.bincount(self.electrode[self.find_events(start_s, stop_s)], minlength=self.n_electrodes)

    def find_events(self, start_s: float, stop_s: float) -> np.ndarray:
        """Numbers of the events whose peak lies in [start_s, stop_s), each rounded to a sample, in their order here.

        Raises
        ------
        MeaError
            If the window is empty or leaves the recording.
        """
        first, last = self.convert_window(start_s, stop_s)
        low, high = self.find_reaching(first, last)
        inside = (self.peak_sample[low:high] >= first) & (self.peak_sample[low:high] < last)
        return low + np.flatnonzero(inside)

    def silence(self, electrode: int) -> "Events":
        """The same recording, had one electrode of its layout, by its number, not fired."""
        kept, length = self.electrode != electrode, np.diff(self.offset)
        return replace(
            self,
            electrode=self.electrode[kept],
            first_sample=self.first_sample[kept],
            peak_sample=self.peak_sample[kept],
            offset=np.concatenate([[0], np.cumsum(length[kept])]),
            waveform_counts=self.waveform_counts[np.repeat(kept, length)],
        )

    def dense(self, first_sample: int, last_sample: int) -> np.ndarray:
        """The array of a half-open range of samples: float32 (rows, cols, last - first), µV.

        Equal to that part of the predecessor's float64 array, cast to float32 once.

        Raises
        ------
        MeaError
            If the range is empty or leaves the recording, or there are no waveforms.
        """
        self._require_waveforms("the dense array")
        if not 0 <= first_sample < last_sample <= self.n_samples:
            raise MeaError(
                f"recording {self.recording}: samples {first_sample} to {last_sample} asked for; the range must not be "
                f"empty and must lie within 0 to {self.n_samples}. Choose other samples."
            )
        array = np.zeros((self.rows, self.cols, last_sample - first_sample), np.float32)
        low, high = self.find_reaching(first_sample, last_sample)
        place_waveforms(array, low, high, first_sample, *self._waveform_arrays())
        return array

    def binned(self, start_s: float, stop_s: float, bin_ms: float, how: str) -> np.ndarray:
        """The array of a window in time bins: float32 (rows, cols, bins).

        There are round((stop_s - start_s) * 1000 / bin_ms) bins. The window begins at sample
        round(start_s * sampling_rate_hz), and a sample k after it lies in bin
        floor(k / (bin_ms * sampling_rate_hz / 1000)), computed in whole numbers.

        Parameters
        ----------
        start_s, stop_s
            The window, within the recording.
        bin_ms
            Length of a bin, as a fraction with a denominator of at most a million.
        how
            ``peak``: the signed sample of largest magnitude in each bin, µV (the earliest of equals), 0 where nothing
            was detected. ``count``: the number of events whose peak lies in the bin.

        Raises
        ------
        MeaError
            If the window leaves the recording or holds no bin, ``how`` is unknown, or there are no waveforms to peak.
        """
        if how not in ("peak", "count"):
            raise MeaError(f"recording {self.recording}: how = {how!r}: must be 'peak' or 'count'.")
        if how == "peak":
            self._require_waveforms("how='peak'")
        first, last = self.convert_window(start_s, stop_s)
        bins = round((stop_s - start_s) * 1000 / bin_ms) if bin_ms > 0 else 0
        if bins < 1:
            raise MeaError(
                f"recording {self.recording}: bins of {bin_ms} ms in a window of {stop_s - start_s} s; a bin must be "
                "longer than 0 ms and fit into the window. Choose a shorter bin or a longer window."
            )
        samples = Fraction(bin_ms).limit_denominator(1_000_000) * self.sampling_rate_hz / 1000
        array = np.zeros((self.rows, self.cols, bins), np.float32)
        low, high = self.find_reaching(first, max(last, first + int(bins * samples) + 1))
        if how == "peak":
            bin_peaks(array, low, high, first, samples.numerator, samples.denominator, *self._waveform_arrays())
        else:
            where = (self.electrode[low:high], self.peak_sample[low:high], self.row, self.col)
            bin_counts(array, first, samples.numerator, samples.denominator, *where)
        return array

    def _waveform_arrays(self) -> tuple[np.ndarray, ...]:
        events = (self.electrode, self.first_sample, self.offset, self.waveform_counts)
        return (*events, self.row, self.col, self.volts_per_count)

    def find_reaching(self, first: int, last: int) -> tuple[int, int]:
        """Range of the events that can reach into the samples first to last, last excluded."""
        low, high = np.searchsorted(self.first_sample, (first - self._longest + 1, last))
        return int(low), int(high)

    def convert_window(self, start_s: float, stop_s: float) -> tuple[int, int]:
        """First sample of a window, and the one after its last, each rounded.

        Raises
        ------
        MeaError
            If the window is empty or leaves the recording.
        """
        first, last = round(start_s * self.sampling_rate_hz), round(stop_s * self.sampling_rate_hz)
        if not 0 <= first < last <= self.n_samples:
            raise MeaError(
                f"recording {self.recording}: {start_s} s to {stop_s} s asked for; the window must not be empty and "
                f"must lie within 0 s to {self.n_samples / self.sampling_rate_hz} s. Choose another window."
            )
        return first, last

    def _require_waveforms(self, what: str) -> None:
        if not self.has_waveforms:
            raise MeaError(
                f"recording {self.recording}: {what} needs voltages, and this recording has spike times only. "
                "Use binned(..., how='count')."
            )


def events_from_spike_times(source: Source, sampling_rate_hz: int) -> Events:
    """Events without waveforms from a rig that kept spike times only; the sample is round(time * sampling_rate_hz).

    A spike at the very end of the recording belongs to its last sample.
    """
    n_samples = round(source.duration_s * sampling_rate_hz)
    sample = np.minimum(np.rint(source.spike_times_s * sampling_rate_hz).astype(np.int64), n_samples - 1)
    order = np.lexsort((source.spike_electrode, sample))
    unknown = np.full(source.n_electrodes, np.nan)
    digest = hashlib.sha256(np.ascontiguousarray(source.spike_times_s, np.float64).data)
    digest.update(np.ascontiguousarray(source.spike_electrode, np.int64).data)
    return Events(
        **describe_source(source, digest.hexdigest(), sampling_rate_hz, n_samples),
        threshold_uv=unknown,
        volts_per_count=unknown.copy(),
        electrode=source.spike_electrode.astype(np.int64)[order],
        first_sample=sample[order],
        peak_sample=sample[order],
        offset=np.zeros(len(sample) + 1, np.int64),
        waveform_counts=np.zeros(0, np.int16),
    )


def describe_source(source: Source, samples_sha256: str, sampling_rate_hz: int, n_samples: int) -> dict[str, Any]:
    """What the events of a source say about it; the identity is left empty for the stage to fill in."""
    return dict(
        recording="",
        label="",
        culture="",
        batch="",
        format=source.format,
        start=source.start,
        samples_sha256=samples_sha256,
        sampling_rate_hz=int(sampling_rate_hz),
        rows=int(source.rows),
        cols=int(source.cols),
        n_samples=int(n_samples),
        duration_s=float(source.duration_s),
        row=np.asarray(source.row, np.int64),
        col=np.asarray(source.col, np.int64),
    )


def save_events(path: Path, events: Events) -> None:
    """Write an uncompressed npz, in the narrowest integers that hold the values: the same bytes for the same events."""
    about = {"format_version": FORMAT_VERSION}
    about |= {item.name: getattr(events, item.name) for item in fields(Events) if item.type in TEXT_AND_NUMBERS}
    arrays: dict[str, Any] = {
        "about": np.frombuffer(json.dumps(about, ensure_ascii=False).encode(), np.uint8),
        "threshold_uv": events.threshold_uv,
        "volts_per_count": events.volts_per_count,
        "row": _narrow(events.row),
        "col": _narrow(events.col),
        "electrode": _narrow(events.electrode),
        "first_sample": _narrow(events.first_sample),
    }
    if events.has_waveforms:
        arrays["peak_offset"] = _narrow(events.peak_sample - events.first_sample)
        arrays["length"] = _narrow(np.diff(events.offset))
        arrays["waveform_counts"] = events.waveform_counts
    with fresh_file(path) as work, work.open("wb") as stream:
        np.savez(stream, **arrays)


def _narrow(values: np.ndarray) -> np.ndarray:
    """The same non-negative values in the narrowest unsigned integers."""
    return values.astype(np.min_scalar_type(int(values.max(initial=0))))


def load_events(path: Path) -> Events:
    """Read what :func:`save_events` wrote.

    Raises
    ------
    MeaError
        If the file is missing, damaged, not one of these, or of another version of the format.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        about = json.loads(arrays.pop("about").tobytes())
        version = about.pop("format_version")
        if version == FORMAT_VERSION:
            return _build_events(about, arrays)
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise MeaError(f"{path}: not a file written by the array stage ({error}). Run dvc repro array.") from None
    raise MeaError(f"{path}: format version {version}, this code reads {FORMAT_VERSION}. Run dvc repro array.")


def _build_events(about: dict, arrays: dict[str, np.ndarray]) -> Events:
    whole: dict[str, Any] = {
        name: arrays[name].astype(np.int64) for name in ("row", "col", "electrode", "first_sample")
    }
    none = np.zeros(len(whole["electrode"]), np.int64)
    length = arrays.get("length", none)
    return Events(
        **about,
        **whole,
        threshold_uv=arrays["threshold_uv"],
        volts_per_count=arrays["volts_per_count"],
        peak_sample=whole["first_sample"] + arrays.get("peak_offset", none).astype(np.int64),
        offset=np.concatenate([[0], np.cumsum(length, dtype=np.int64)]),
        waveform_counts=arrays.get("waveform_counts", np.zeros(0, np.int16)),
    )
