"""Amplitude and shape of the spikes, where voltages were recorded."""

import numpy as np

from mea.arrays.events import SpikeEvents
from mea.features.feature import QUANTILES, Family, Feature, format_quantile
from mea.features.nan_statistics import divide, nanmean, nanmedian, nanquantile, nanskew, nanstd
from mea.features.trains import Trains
from mea.runtime.compiled import compiled

SHOWN = ("q10", "median", "q90")
PEAK = "height of a spike's peak"
FEATURES = (
    *(Feature(f"amplitude_log10_{name}_uv", "log10(µV)", f"{PEAK}, {format_quantile(name)}") for name in SHOWN),
    Feature("amplitude_log10_std", "log10(µV)", f"{PEAK}, standard deviation over the spikes"),
    Feature("amplitude_skew", "", f"{PEAK} in µV, third standardised moment"),
    Feature("amplitude_electrode_log10_uv", "log10(µV)", f"{PEAK}, mean over the electrodes' means"),
    Feature("amplitude_electrode_log10_std", "log10(µV)", f"{PEAK}, standard deviation of the electrodes' means"),
    Feature("peak_positive_fraction", "", "fraction of the spikes whose peak is positive"),
    Feature("peak_positive_fraction_electrode", "", "the same of each electrode, mean over the electrodes"),
    *(
        Feature(f"width_{name}_ms", "ms", f"width of a spike at half its height, {format_quantile(name)}")
        for name in SHOWN
    ),
    Feature("width_std_ms", "ms", "width of a spike at half its height, standard deviation over the spikes"),
    Feature("rebound_median_ratio", "", "largest excursion of the other sign after the peak, over the peak, median"),
    Feature("rebound_median_ms", "ms", "time of this excursion after the peak, median"),
)


def compute_waveforms(trains: Trains, events: SpikeEvents) -> dict[str, float]:
    """Amplitude, sign and width of the spikes of a window.

    - ``amplitude_log10_<quantile>_uv``: log10 of the height of a spike's peak, in µV, of either sign; quantiles over
      all spikes. ``amplitude_log10_std`` and ``amplitude_skew`` (of the µV): over all spikes.
    - ``amplitude_electrode_log10_uv``, ``amplitude_electrode_log10_std``: mean and standard deviation over the
      electrodes of the mean log10.
    - ``peak_positive_fraction``: spikes whose peak is positive, of all spikes; ``peak_positive_fraction_electrode``:
      mean over the electrodes.
    - ``width_<quantile>_ms``, ``width_std_ms``: time around the peak spent above half its height, interpolated
      linearly; of the kept waveform only.
    - ``rebound_median_ratio``, ``rebound_median_ms``: largest excursion of the other sign after the peak, over the
      peak's height, and its time after the peak (not counted where there is none). Shape measures as in Barthó, Hirase,
      Monconduit, Zugaro, Harris and Buzsáki, Journal of Neurophysiology 92:600 (2004), doi:10.1152/jn.01170.2003.
    """
    peak_uv, width, ratio, delay = _measure_all(trains, events)
    electrode = trains.electrode[peak_uv != 0]  # a peak of zero height has no sign and no width
    height_uv, positive = np.abs(peak_uv[peak_uv != 0]), peak_uv[peak_uv != 0] > 0
    logs = np.log10(height_uv)
    means = _average_electrodes(logs, electrode, trains.n_electrodes)
    quantiles = [QUANTILES[name] for name in SHOWN]
    width_ms = width * (1000 / trains.sampling_rate_hz)
    features = {f"amplitude_log10_{name}_uv": value for name, value in zip(SHOWN, nanquantile(logs, quantiles))}
    features |= {"amplitude_log10_std": nanstd(logs), "amplitude_skew": nanskew(height_uv)}
    features |= {"amplitude_electrode_log10_uv": nanmean(means), "amplitude_electrode_log10_std": nanstd(means)}
    features["peak_positive_fraction"] = nanmean(positive.astype(np.float64))
    features["peak_positive_fraction_electrode"] = nanmean(
        _average_electrodes(positive, electrode, trains.n_electrodes)
    )
    features |= {f"width_{name}_ms": value for name, value in zip(SHOWN, nanquantile(width_ms, quantiles))}
    features |= {"width_std_ms": nanstd(width_ms), "rebound_median_ratio": nanmedian(ratio)}
    return features | {"rebound_median_ms": nanmedian(delay * (1000 / trains.sampling_rate_hz))}


def _measure_all(trains: Trains, events: SpikeEvents) -> tuple[np.ndarray, ...]:
    return measure_shapes(
        trains.event,
        events.electrode,
        events.peak_sample - events.first_sample,
        events.offset,
        events.waveform_counts,
        np.nan_to_num(events.gain_v),
    )


def _average_electrodes(values: np.ndarray, electrode: np.ndarray, n_electrodes: int) -> np.ndarray:
    return divide(np.bincount(electrode, values, n_electrodes), np.bincount(electrode, minlength=n_electrodes))


@compiled
def measure_shapes(event, electrode, peak_offset, offset, counts, volts):
    """Peak (µV, signed), width at half height (samples), rebound ratio and its delay (samples) of some events.

    Each (m,) float64; the peak is 0 and the rest NaN where there is no voltage, the delay NaN without a rebound.
    """
    peak_uv, width = np.zeros(len(event)), np.full(len(event), np.nan)
    ratio, delay = np.full(len(event), np.nan), np.full(len(event), np.nan)
    for place in range(len(event)):
        number = event[place]
        scale = volts[electrode[number]] * 1e6
        shape = counts[offset[number] : offset[number + 1]] * scale
        peak = peak_offset[number]
        if not 0 <= peak < len(shape) or shape[peak] == 0:
            continue
        peak_uv[place] = shape[peak]
        shape /= shape[peak]
        width[place] = _walk_down(shape, peak, 1) + _walk_down(shape, peak, -1)
        lowest = peak + np.argmin(shape[peak:])
        ratio[place] = max(0.0, -shape[lowest])
        if shape[lowest] < 0:
            delay[place] = lowest - peak
    return peak_uv, width, ratio, delay


@compiled
def _walk_down(shape, peak, step):
    """Samples from the peak to where the shape, 1 at the peak, falls below a half; to its end if it never does."""
    place = peak
    while 0 <= place + step < len(shape):
        if shape[place + step] < 0.5:
            return abs(place - peak) + (shape[place] - 0.5) / (shape[place] - shape[place + step])
        place += step
    return float(abs(place - peak))


FAMILY = Family("waveforms", FEATURES, compute_waveforms)
