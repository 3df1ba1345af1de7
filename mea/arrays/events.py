"""The cleaned recording, stored as its events, because everything else in it is zero."""

import hashlib
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from mea.arrays.binning import Bins, Waveforms, bin_counts, bin_peaks, place_waveforms
from mea.recordings.recording import RawRecording, RecordingInfo
from mea.runtime.errors import MeaError


@dataclass(frozen=True)
class Baseline:
    """A recording of the same culture before treatment.

    Attributes
    ----------
    how
        ``ratio`` or ``difference``: how features are referred to it (:func:`mea.splitting.baselines.refer_values`).
    events
        The recording.
    """

    how: str
    events: "SpikeEvents"


@dataclass(frozen=True)
class SpikeEvents(RecordingInfo):
    """A recording's detected spikes: ``n`` electrodes, ``m`` events sorted by (first_sample, electrode).

    How the recording was made are the fields of :class:`mea.recordings.recording.RecordingInfo`. Who was measured
    stands in the catalogue: a label that changes leaves the spikes as they are. ``recording`` is its id.

    Attributes
    ----------
    samples_sha256
        Of how often each count occurs on each electrode and of every 997th, or of the spike times: equal content,
        whatever the file is called.
    threshold_uv
        (n,) float64 least height of a peak; NaN where there are no voltages.
    gain_v
        (n,) float64 volts per count; NaN where there are no voltages.
    electrode
        (m,) int64 index of the event's electrode.
    first_sample
        (m,) int64 first sample of the waveform.
    peak_sample
        (m,) int64 sample of the event's peak: when it happened.
    offset
        (m + 1,) int64: the waveform of event i is ``waveform_counts[offset[i]:offset[i + 1]]``.
    waveform_counts
        Integers, count minus ``adc_zero``: µV = (count * gain_v) * 1e6 in float64. Empty for spike times.
    baseline
        What its features are referred to; None for nothing. It is not kept on disk.

    Examples
    --------
    Two electrodes at 1 kHz whose counts are 1 µV, and an event of three samples on each:

    >>> events = SpikeEvents(
    ...     recording="one", format="mcs", start="", sampling_rate_hz=1000, n_samples=8,
    ...     duration_s=0.008, rows=1, cols=2, row=np.array([0, 0]), col=np.array([0, 1]), samples_sha256="",
    ...     threshold_uv=np.array([20.0, 20.0]), gain_v=np.array([1e-6, 1e-6]), electrode=np.array([0, 1]),
    ...     first_sample=np.array([1, 4]), peak_sample=np.array([2, 5]), offset=np.array([0, 3, 6]),
    ...     waveform_counts=np.array([-5, -40, 15, -2, -30, 8], np.int16))
    >>> len(events), events.spike_times_s.tolist(), events.count_events(0.0, 0.004).tolist()
    (2, [0.002, 0.005], [1, 0])

    The dense array, µV, of the samples 0 to 8: (rows, cols, samples).

    >>> events.dense(0, 8)[0].tolist()
    [[0.0, -5.0, -40.0, 15.0, 0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, -2.0, -30.0, 8.0, 0.0]]

    The same in bins of 2 ms: the sample of largest magnitude, or the number of events.

    >>> events.binned(0.0, 0.008, 2.0, "peak")[0].tolist()
    [[-5.0, -40.0, 0.0, 0.0], [0.0, 0.0, -30.0, 8.0]]
    >>> events.binned(0.0, 0.008, 2.0, "count")[0].tolist()
    [[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]
    """

    recording: str
    samples_sha256: str
    threshold_uv: np.ndarray
    gain_v: np.ndarray
    electrode: np.ndarray
    first_sample: np.ndarray
    peak_sample: np.ndarray
    offset: np.ndarray
    waveform_counts: np.ndarray
    baseline: "Baseline | None" = None

    def __len__(self) -> int:
        return len(self.electrode)

    @property
    def nbytes(self) -> int:
        """Bytes of its arrays in memory, with those of its baseline."""
        own = (self.electrode, self.first_sample, self.peak_sample, self.offset, self.waveform_counts)
        return sum(values.nbytes for values in own) + (self.baseline.events.nbytes if self.baseline else 0)

    @property
    def has_waveforms(self) -> bool:
        """Whether it comes from voltages, rather than from spike times."""
        return not np.isnan(self.gain_v).all()

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
        pauses = "".join(f" {sample}" for sample in self.pauses)
        about = f"{self.sampling_rate_hz} {self.rows} {self.cols} {self.n_samples}{pauses}"
        digest = hashlib.sha256(about.encode())
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

    def refer(self, baseline: "Baseline") -> "SpikeEvents":
        """The same recording with the one that its features are referred to."""
        return replace(self, baseline=baseline)

    def silence(self, electrodes: np.ndarray | int) -> "SpikeEvents":
        """The same recording, had some electrodes of its layout, by their numbers, not fired."""
        kept, length = ~np.isin(self.electrode, electrodes), np.diff(self.offset)
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
        place_waveforms(array, self._waveforms, low, high, first_sample)
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
        grid = Bins(first, samples.numerator, samples.denominator)
        if how == "peak":
            bin_peaks(array, self._waveforms, low, high, grid)
        else:
            electrode = self.electrode[low:high]
            bin_counts(array, self.row[electrode], self.col[electrode], self.peak_sample[low:high], grid)
        return array

    @property
    def _waveforms(self) -> Waveforms:
        events = (self.electrode, self.first_sample, self.offset, self.waveform_counts)
        return Waveforms(*events, self.row, self.col, self.gain_v)

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


def events_from_spike_times(source: RawRecording, sampling_rate_hz: int) -> SpikeEvents:
    """Events without waveforms from a rig that kept spike times only; the sample is round(time * sampling_rate_hz).

    A spike at the very end of the recording belongs to its last sample.
    """
    n_samples = round(source.duration_s * sampling_rate_hz)
    sample = np.minimum(np.rint(source.spike_times_s * sampling_rate_hz).astype(np.int64), n_samples - 1)
    order = np.lexsort((source.spike_electrode, sample))
    unknown = np.full(source.n_electrodes, np.nan)
    digest = hashlib.sha256(np.ascontiguousarray(source.spike_times_s, np.float64).data)
    digest.update(np.ascontiguousarray(source.spike_electrode, np.int64).data)
    return SpikeEvents(
        **share_info(source, sampling_rate_hz, n_samples),
        samples_sha256=digest.hexdigest(),
        threshold_uv=unknown,
        gain_v=unknown.copy(),
        electrode=source.spike_electrode.astype(np.int64)[order],
        first_sample=sample[order],
        peak_sample=sample[order],
        offset=np.zeros(len(sample) + 1, np.int64),
        waveform_counts=np.zeros(0, np.int16),
    )


def share_info(source: RawRecording, sampling_rate_hz: int, n_samples: int) -> dict[str, Any]:
    """The fields of RecordingInfo for the events of a raw recording, and an id that is still empty."""
    info: dict[str, Any] = {item.name: getattr(source, item.name) for item in fields(RecordingInfo)}
    info |= {"sampling_rate_hz": int(sampling_rate_hz), "n_samples": int(n_samples)}
    info |= {name: np.asarray(info[name], np.int64) for name in ("row", "col", "pauses")}
    return {"recording": ""} | info
