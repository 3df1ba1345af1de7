"""Change the sampling rate of a recording, span by span."""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction

import numpy as np

from mea.recordings.recording import RawRecording
from mea.runtime.errors import BadRecording
from mea.runtime.parallel import count_threads

MOST_RESAMPLED = 2**31 - 1
SPAN_BYTES = 100_000_000  # of counts that are read at a time
Read = Callable[[int, int], np.ndarray]  # the counts (n_electrodes, last - first) from first to last, last excluded


def resample_source(source: RawRecording, sampling_rate_hz: int) -> RawRecording:
    """The same source at another rate: ceil(n_samples * ratio) samples, with 0 as zero."""
    ratio = _get_ratio(source, sampling_rate_hz)
    segments = source.segments.copy()
    segments[:, 1:] = segments[:, 1:] * ratio.numerator // ratio.denominator
    return replace(
        source,
        sampling_rate_hz=sampling_rate_hz,
        n_samples=math.ceil(source.n_samples * ratio),
        segments=segments,
        adc_zero=np.zeros_like(source.adc_zero),
        pauses=source.pauses * ratio.numerator // ratio.denominator,
    )


def resample(read: Read, source: RawRecording, sampling_rate_hz: int, first: int, last: int) -> np.ndarray:
    """Samples of a recording at another rate: polyphase filter of each electrode, rounded back to whole counts.

    The counts are read in spans, each with as many beyond its ends as the filter reaches over, so that the result is
    that of the whole recording, and memory does not depend on its length.

    Parameters
    ----------
    read
        Gives the recorded samples.
    source
        What they mean.
    sampling_rate_hz
        The rate wanted.
    first, last
        Samples at that rate, last excluded.

    Returns
    -------
    np.ndarray
        (n_electrodes, last - first) int16, or int32 where int16 cannot hold them, with 0 as zero.

    Raises
    ------
    BadRecording
        If 32 bits cannot hold a sample.
    """
    ratio = _get_ratio(source, sampling_rate_hz)
    step = max(1, int(SPAN_BYTES / (2 * max(1, source.n_electrodes)) * ratio))
    spans = [_resample_span(read, source, ratio, start, min(start + step, last)) for start in range(first, last, step)]
    return np.concatenate(spans, axis=1) if len(spans) != 1 else spans[0]


def resample_counts(counts: np.ndarray, source: RawRecording, sampling_rate_hz: int) -> tuple[np.ndarray, RawRecording]:
    """The whole of a recording whose (n_electrodes, n_samples) counts are in memory, and what it is at that rate."""
    at_rate = resample_source(source, sampling_rate_hz)
    spans = resample(lambda first, last: counts[:, first:last], source, sampling_rate_hz, 0, at_rate.n_samples)
    return spans, at_rate


def _get_ratio(source: RawRecording, sampling_rate_hz: int) -> Fraction:
    return Fraction(int(sampling_rate_hz), int(source.sampling_rate_hz))


def _resample_span(read: Read, source: RawRecording, ratio: Fraction, first: int, last: int) -> np.ndarray:
    from scipy.signal import resample_poly  # half a second to import, and seldom needed

    up, down = ratio.numerator, ratio.denominator
    reach = 10 * max(up, down) // up + 1  # samples on either side of SciPy's filter
    start = max(0, first * down // up - reach) // down * down  # a whole number of samples at the new rate, too
    stop = min(source.n_samples, -(-last * down // up) + reach + 1)
    counts, offset = read(start, stop), start * up // down
    resampled = np.empty((len(counts), last - first), np.int32)

    def resample_electrode(electrode: int) -> None:
        values = (counts[electrode].astype(np.int64) - int(source.adc_zero[electrode])).astype(np.float64)
        rounded = np.rint(resample_poly(values, up, down))[first - offset : last - offset]
        if rounded.size and abs(rounded).max() > MOST_RESAMPLED:
            raise BadRecording(
                f"electrode {source.names[electrode]}: counts beyond ±{MOST_RESAMPLED} after resampling to "
                f"{source.sampling_rate_hz * up // down} Hz. Its zero (ADZero) is far from its samples: export it "
                "again, or set array.other_sampling_rate: set_aside."
            )
        resampled[electrode] = rounded

    with ThreadPoolExecutor(count_threads()) as pool:  # SciPy lets other threads work meanwhile
        list(pool.map(resample_electrode, range(len(counts))))
    narrow = np.iinfo(np.int16)
    fits = resampled.size == 0 or (narrow.min <= resampled.min() and resampled.max() <= narrow.max)
    return resampled.astype(np.int16) if fits else resampled
