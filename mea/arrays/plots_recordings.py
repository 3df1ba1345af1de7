"""Plots of recordings over time: traces before and after cleaning, rasters."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from mea.arrays.traces import Traces
from mea.runtime.style import COLOURS, NEUTRAL, Plot, label_axes, new_plot, series_style, styled

TRACE_BINS = 2000


def pick_samples(signals: np.ndarray, bins: int = TRACE_BINS) -> np.ndarray:
    """Samples that are enough to draw signals: the smallest and the largest of each in each of ``bins`` equal bins.

    The drawn line is the same as with every sample as long as a bin is narrower than a pixel, so no peak is lost.

    Parameters
    ----------
    signals
        (k, samples).
    bins
        Number of bins.

    Returns
    -------
    picked
        (m,) int, sorted; every sample when there are few.

    Examples
    --------
    >>> signal = np.zeros((1, 12))
    >>> signal[0, [2, 7]] = [-5.0, 8.0]
    >>> pick_samples(signal, bins=2).tolist()
    [0, 2, 6, 7]
    """
    n_samples = signals.shape[1]
    width = -(-n_samples // bins)
    if width <= 2 * len(signals):
        return np.arange(n_samples)
    padded = np.pad(signals, ((0, 0), (0, -n_samples % width)), mode="edge").reshape(len(signals), -1, width)
    starts = np.arange(padded.shape[1]) * width
    picked = np.concatenate([starts + padded.argmin(axis=2), starts + padded.argmax(axis=2)], axis=None)
    return np.unique(np.minimum(picked, n_samples - 1))


@styled
def draw_trace(
    ax: Axes,
    signal_uv: np.ndarray,
    sampling_rate_hz: float,
    start_s: float = 0.0,
    peaks: np.ndarray | None = None,
    threshold_uv: float | None = None,
    label: str | None = None,
    axis: str = "time",
    series: int = 0,
) -> None:
    """Draw one electrode's trace; call it again with another ``series`` to draw two electrodes together.

    Parameters
    ----------
    ax
        Panel.
    signal_uv
        (samples,) in µV.
    sampling_rate_hz
        Samples per second.
    start_s
        Time of the first sample.
    peaks
        (k,) int, samples of ``signal_uv`` to mark, or None.
    threshold_uv
        Drawn at plus and minus this height, or None.
    label
        Name in the legend, or None.
    axis
        ``time`` (s) or ``sample``.
    series
        Which colour.
    """
    signal_uv = np.asarray(signal_uv)
    picked = pick_samples(signal_uv[None])
    if peaks is not None:
        picked = np.union1d(picked, peaks).astype(int)
    first = round(start_s * sampling_rate_hz)
    scale = (lambda sample: (first + sample) / sampling_rate_hz) if axis == "time" else (lambda sample: first + sample)
    ax.plot(scale(picked), signal_uv[picked], color=COLOURS[series], linewidth=0.7, alpha=0.85, label=label)
    if threshold_uv is not None:
        for sign in (1, -1):
            name = "threshold" if sign == 1 else None
            ax.axhline(sign * threshold_uv, color=NEUTRAL, linestyle="--", linewidth=0.9, label=name)
    if peaks is not None:
        style: dict[str, Any] = {
            "marker": series_style(series)["marker"],
            "markerfacecolor": "none",
            "markeredgecolor": "black",
        }
        name = "detected peaks" if label is None else f"peaks, {label}"
        ax.plot(scale(np.asarray(peaks, int)), signal_uv[np.asarray(peaks, int)], linestyle="none", label=name, **style)
    label_axes(ax, "time (s)" if axis == "time" else "sample", "voltage (µV)")


@styled
def plot_traces(traces: Traces, axis: str = "time", title: str = "") -> Plot:
    """Traces before (top) and after cleaning (bottom), one column per electrode, with the detected peaks marked.

    Parameters
    ----------
    traces
        What is shown.
    axis
        ``time`` or ``sample``.
    title
        Above all, for instance the recording.
    """
    size = (min(4.0 + 2.5 * len(traces.titles), 12.0), 4.6)
    plot, axes = new_plot(2, len(traces.titles), size, title, sharex=True, sharey="col")
    sampling_rate_hz, start_s = traces.sampling_rate_hz, traces.start_s
    for column, name in enumerate(traces.titles):
        (before, after), peaks = axes[:, column], traces.peaks[column]
        draw_trace(
            before, traces.raw_uv[column], sampling_rate_hz, start_s, peaks, traces.threshold_uv[column], axis=axis
        )
        draw_trace(after, traces.cleaned_uv[column], sampling_rate_hz, start_s, peaks, axis=axis)
        before.set(title=f"{name}, before cleaning", xlabel="")
        after.set(title=f"{name}, after cleaning")
    handles, names = axes[0, 0].get_legend_handles_labels()
    plot.legend(handles, names, loc="outside lower center", ncols=2)
    plot.table = _tabulate_traces(traces)
    return plot


def _tabulate_traces(traces: Traces) -> pd.DataFrame:
    tables = []
    for name, raw_uv, cleaned_uv, peaks in zip(traces.titles, traces.raw_uv, traces.cleaned_uv, traces.peaks):
        picked = np.union1d(pick_samples(np.stack([raw_uv, cleaned_uv])), peaks).astype(int)
        columns = {
            "electrode": name,
            "time_s": traces.start_s + picked / traces.sampling_rate_hz,
            "raw_uv": raw_uv[picked],
            "cleaned_uv": cleaned_uv[picked],
            "peak": np.isin(picked, peaks).astype(int),
        }
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


@styled
def plot_overlay(
    signals_uv: np.ndarray,
    sampling_rate_hz: float,
    titles: Sequence[str],
    peaks: Sequence[np.ndarray] | None = None,
    start_s: float = 0.0,
    axis: str = "time",
    title: str = "",
) -> Plot:
    """Electrodes (k, samples), in µV, in one panel, with or without their detected peaks."""
    plot, axes = new_plot(size=(8.0, 3.6), title=title)
    for series, name in enumerate(titles):
        marked = None if peaks is None else peaks[series]
        draw_trace(
            axes[0, 0], signals_uv[series], sampling_rate_hz, start_s, marked, label=name, axis=axis, series=series
        )
    plot.legend(loc="outside lower center", ncols=4)
    picked = pick_samples(np.asarray(signals_uv))
    columns = {f"{name}_uv": np.asarray(signals_uv[series])[picked] for series, name in enumerate(titles)}
    plot.table = pd.DataFrame({"time_s": start_s + picked / sampling_rate_hz} | columns)
    return plot


@styled
def draw_raster(
    ax: Axes,
    electrode: np.ndarray,
    spike_times_s: np.ndarray,
    n_electrodes: int,
    start_s: float = 0.0,
    stop_s: float | None = None,
) -> None:
    """Draw every spike as a tick: time from left to right, electrode 0 on top.

    Parameters
    ----------
    ax
        Panel.
    electrode
        (spikes,) int index of each spike's electrode.
    spike_times_s
        (spikes,) in s.
    n_electrodes
        Lines of the raster, silent electrodes included.
    start_s, stop_s
        Time window shown; ``stop_s=None``: to the last spike.
    """
    height = max(0.8, min(9.0, 190.0 / n_electrodes))
    style: dict[str, Any] = {
        "marker": "|",
        "markersize": height,
        "markeredgewidth": 0.5,
        "color": "black",
        "linestyle": "none",
    }
    ax.plot(spike_times_s, electrode, **style)
    stop_s = float(np.max(spike_times_s, initial=start_s)) if stop_s is None else stop_s
    ax.set_xlim(start_s, stop_s if stop_s > start_s else start_s + 1.0)
    ax.set_ylim(n_electrodes - 0.5, -0.5)
    label_axes(ax, "time (s)", "electrode (number)")


@styled
def plot_raster(
    electrode: np.ndarray,
    spike_times_s: np.ndarray,
    n_electrodes: int,
    stop_s: float,
    start_s: float = 0.0,
    title: str = "",
    bins: int = 200,
) -> Plot:
    """A raster and, under it, the mean rate over all electrodes in ``bins`` time bins, which are its numbers."""
    ratios = {"height_ratios": [3, 1]}
    plot, axes = new_plot(2, 1, (7.5, 4.8), title, sharex=True, gridspec_kw=ratios)
    raster, rate = axes[:, 0]
    draw_raster(raster, electrode, spike_times_s, n_electrodes, start_s, stop_s)
    raster.set_xlabel("")
    counts, edges = np.histogram(spike_times_s, bins, (start_s, stop_s))
    bin_s = (stop_s - start_s) / bins
    mean_firing_rate_hz = counts / bin_s / n_electrodes
    rate.stairs(mean_firing_rate_hz, edges, fill=True, color=COLOURS[0])
    rate.set_ylim(bottom=0)
    label_axes(rate, f"time (s), in bins of {bin_s:.3g} s", "mean rate\n(Hz per electrode)")
    plot.table = pd.DataFrame({"start_s": edges[:-1], "spikes": counts, "mean_firing_rate_hz": mean_firing_rate_hz})
    return plot
