"""Change the sampling rate of a recording."""

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np

from mea.recordings.recording import RawRecording
from mea.runtime.errors import BadRecording

MOST_RESAMPLED = 2**31 - 1


def resample_counts(counts: np.ndarray, source: RawRecording, sampling_rate_hz: int) -> tuple[np.ndarray, RawRecording]:
    """The recording at another rate: polyphase filter of each electrode, rounded back to whole counts.

    Parameters
    ----------
    counts
        (n_electrodes, n_samples) integers.
    source
        What they mean.
    sampling_rate_hz
        The rate wanted.

    Returns
    -------
    counts
        (n_electrodes, ceil(n_samples * sampling_rate_hz / source.sampling_rate_hz)) int32, with 0 as zero.
    source
        The same source at the new rate.

    Raises
    ------
    BadRecording
        If 32 bits cannot hold a sample.
    """
    from scipy.signal import resample_poly  # half a second to import, and seldom needed

    ratio = Fraction(int(sampling_rate_hz), int(source.sampling_rate_hz))
    resampled = np.empty((len(counts), math.ceil(counts.shape[1] * ratio)), np.int32)
    for electrode, row in enumerate(counts):
        values = (row.astype(np.int64) - int(source.adc_zero[electrode])).astype(np.float64)
        rounded = np.rint(resample_poly(values, ratio.numerator, ratio.denominator))
        if rounded.size and abs(rounded).max() > MOST_RESAMPLED:
            raise BadRecording(
                f"electrode {source.names[electrode]}: counts beyond ±{MOST_RESAMPLED} after resampling to "
                f"{sampling_rate_hz} Hz. Its zero (ADZero) is far from its samples: export it again, or set "
                "array.other_sampling_rate: set_aside."
            )
        resampled[electrode] = rounded
    segments = source.segments.copy()
    segments[:, 1:] = segments[:, 1:] * ratio.numerator // ratio.denominator
    changed = {"n_samples": resampled.shape[1], "segments": segments, "adc_zero": np.zeros_like(source.adc_zero)}
    changed["pauses"] = source.pauses * ratio.numerator // ratio.denominator
    return resampled, replace(source, sampling_rate_hz=sampling_rate_hz, **changed)
