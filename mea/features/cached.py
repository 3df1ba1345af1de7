"""Summary features of windows of a recording, computed once and kept in the cache."""

from collections.abc import Callable

import numpy as np

import mea.features
import mea.features.bursts
import mea.features.correlations
import mea.features.firing_rates
import mea.features.isi
import mea.features.nan_statistics
import mea.features.network_burst_sequences
import mea.features.network_bursts
import mea.features.population
import mea.features.profiles
import mea.features.recruitment
import mea.features.return_maps
import mea.features.runs
import mea.features.synchrony
import mea.features.trains
import mea.features.waveforms
from mea.arrays.events import Events
from mea.features import compute_features, compute_long_window_features
from mea.runtime.cache import fetch_array, make_key

CODE = (
    mea.features,
    mea.features.bursts,
    mea.features.correlations,
    mea.features.isi,
    mea.features.network_bursts,
    mea.features.network_burst_sequences,
    mea.features.population,
    mea.features.profiles,
    mea.features.firing_rates,
    mea.features.recruitment,
    mea.features.return_maps,
    mea.features.runs,
    mea.features.nan_statistics,
    mea.features.synchrony,
    mea.features.trains,
    mea.features.waveforms,
)


Windows = list[tuple[float, float]]  # start and stop of each, s


def fetch_features(events: Events, windows: Windows) -> np.ndarray:
    """:func:`mea.features.compute_features`, from the cache if they were computed before."""
    return _fetch(compute_features, events, windows)


def fetch_long_window_features(events: Events, windows: Windows) -> np.ndarray:
    """:func:`mea.features.compute_long_window_features`, from the cache if they were computed before."""
    return _fetch(compute_long_window_features, events, windows)


def _fetch(compute: Callable[[Events, Windows], np.ndarray], events: Events, windows: Windows) -> np.ndarray:
    # The content hash covers the counts; their value in volts decides the amplitudes.
    values = {"events": events.content_sha256, "volts": events.volts_per_count.tolist()}
    values |= {"what": compute.__name__, "windows": windows}
    return fetch_array(make_key(values, CODE), lambda: compute(events, windows))
