"""Features of windows of a recording, and of the recording itself."""

import warnings
from collections.abc import Iterable, Sequence

import numpy as np

from mea.arrays.events import SpikeEvents
from mea.features.families import FAMILIES, LONG_WINDOW_FAMILIES, WAVEFORM_FAMILY
from mea.features.feature import Family
from mea.features.nan_statistics import divide
from mea.features.trains import Trains, cut_trains

Windows = Sequence[tuple[float, float]]  # start and stop of each, s


def compute_features(events: SpikeEvents, windows: Windows) -> np.ndarray:
    """Features of the spikes whose peak lies in each window.

    Parameters
    ----------
    events
        A recording's spikes.
    windows
        Start and stop of each, s; each is rounded to a sample, and the stop is excluded.

    Returns
    -------
    np.ndarray
        (n_windows, n_features) float64, named by :func:`mea.features.families.list_features`; NaN where a feature is
        undefined.

    Raises
    ------
    MeaError
        If a window is empty or leaves the recording.
    """
    rows = []
    for window in windows:
        trains = cut_trains(events, *window)
        values = compute_families(trains, FAMILIES)
        if events.has_waveforms:
            values += WAVEFORM_FAMILY.compute(trains, events).values()
        rows.append(values)
    return np.array(rows, np.float64)


def compute_long_window_features(events: SpikeEvents, windows: Windows) -> np.ndarray:
    """(n_windows, n_long_window_features) features that need windows of minutes.

    Named by :func:`mea.features.families.list_long_window_features`. Windows and errors as for
    :func:`compute_features`.
    """
    return np.array([compute_families(cut_trains(events, *window), LONG_WINDOW_FAMILIES) for window in windows])


def compute_families(trains: Trains, families: Iterable[Family]) -> list[float]:
    """Values of the families' features of one window, one family after the other.

    >>> from mea.features.families import FAMILIES, list_features
    >>> from mea.features.trains import build_trains
    >>> values = compute_families(build_trains([[0.1, 0.4], [0.2]], duration_s=1), FAMILIES)
    >>> dict(zip(list_features(has_waveforms=False), values))["firing_rate_active_fraction_1_hz"]
    1.0
    """
    return [value for family in families for value in family.compute(trains).values()]


def average(values: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Features of a recording with pauses: the mean over its parts, weighted by length, where each is defined.

    Parameters
    ----------
    values
        (n_parts, n_features) of the uninterrupted parts.
    length
        (n_parts,) of these, s.

    >>> average(np.array([[1.0, np.nan], [4.0, 5.0]]), np.array([20.0, 10.0])).tolist()
    [2.0, 5.0]
    """
    if len(values) == 1:
        return values[0]
    weight = np.where(np.isnan(values), 0.0, length[:, None])
    return divide((np.nan_to_num(values) * weight).sum(0), weight.sum(0))


def summarise_recording(whole: np.ndarray, chunks: np.ndarray, long_window: np.ndarray) -> np.ndarray:
    """All features of a recording, or of the part of it that its chunks cover.

    Parameters
    ----------
    whole
        (n_features,) of the whole window, as :func:`compute_features` gives them.
    chunks
        (n_chunks, n_features) of the chunks in it.
    long_window
        (n_long_window_features,) of the whole window, as :func:`compute_long_window_features` gives them.

    Returns
    -------
    np.ndarray
        (3 * n_features + n_long_window_features,), named by :func:`mea.features.families.list_summaries`: the features
        of the whole window; their mean and their standard deviation over the chunks in which each is defined (NaN where
        it is in none); the long-window features.

    >>> chunks = np.array([[1.0, np.nan], [3.0, 5.0]])
    >>> summarise_recording(np.array([2.0, 5.0]), chunks, np.array([7.0])).tolist()
    [2.0, 5.0, 2.0, 5.0, 1.0, 0.0, 7.0]
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # undefined in every chunk: NaN is what is wanted
        return np.concatenate([whole, np.nanmean(chunks, axis=0), np.nanstd(chunks, axis=0), long_window])
