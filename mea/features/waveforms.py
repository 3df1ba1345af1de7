"""Amplitude and shape of the spikes, where voltages were recorded."""

import numpy as np

from mea.arrays.events import SpikeEvents
from mea.features.feature import QUANTILES, Family, Feature, format_quantile
from mea.features.nan_statistics import average_groups, nanmean, nanmedian, nanquantile, nanskew, nanstd
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
    means = average_groups(logs, electrode, trains.n_electrodes)
    quantiles = [QUANTILES[name] for name in SHOWN]
    width_ms = width * (1000 / trains.sampling_rate_hz)
    features = {f"amplitude_log10_{name}_uv": value for name, value in zip(SHOWN, nanquantile(logs, quantiles))}
    features |= {"amplitude_log10_std": nanstd(logs), "amplitude_skew": nanskew(height_uv)}
    features |= {"amplitude_electrode_log10_uv": nanmean(means), "amplitude_electrode_log10_std": nanstd(means)}
    features["peak_positive_fraction"] = nanmean(positive.astype(np.float64))
    features["peak_positive_fraction_electrode"] = nanmean(average_groups(positive, electrode, trains.n_electrodes))
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


@compiled
def measure_shapes(event, electrode, peak_offset, offset, counts, volts):
    """Peak (µV, signed), width at half height (samples), rebound ratio and its delay (samples) of some events.

    Each (m,) float64; the peak is 0 and the rest NaN where there is no voltage, the delay NaN without a rebound.
    """
    peak_uv, width = np.zeros(len(event)), np.full(len(event), np.nan)
    ratio, delay = np.full(len(event), np.nan), np.full(len(event), np.nan)
    for place in range(len(event)):
        number = event[place]
        begin, end = offset[number], offset[number + 1]
        top = begin + peak_offset[number]
        if not begin <= top < end:
            continue
        peak_uv[place] = counts[top] * volts[electrode[number]] * 1e6
        if peak_uv[place] == 0:
            continue
        width[place] = _walk_down(counts, top, end, 1) + _walk_down(counts, top, begin - 1, -1)
        lowest, deepest = top, 0.0
        for sample in range(top, end):
            if counts[sample] / counts[top] < deepest:
                lowest, deepest = sample, counts[sample] / counts[top]
        ratio[place] = abs(deepest)
        if deepest < 0:
            delay[place] = lowest - top
    return peak_uv, width, ratio, delay


@compiled
def _walk_down(counts, top, stop, step):
    """Samples from the peak to where the shape falls below half of it, or to the last sample before ``stop``."""
    place, height = top, 1.0
    while place + step != stop:
        below = counts[place + step] / counts[top]
        if below < 0.5:
            return abs(place - top) + (height - 0.5) / (height - below)
        place, height = place + step, below
    return float(abs(place - top))


FAMILY = Family("waveforms", FEATURES, compute_waveforms)
