"""Summary features of windows of a recording, computed once and kept in the cache."""

from collections.abc import Callable

import numpy as np

from mea.arrays.events import SpikeEvents
from mea.features.compute import compute_features, compute_long_window_features
from mea.runtime.cache import fetch_array, make_key

Windows = list[tuple[float, float]]  # start and stop of each, s


def fetch_features(events: SpikeEvents, windows: Windows) -> np.ndarray:
    """:func:`mea.features.compute.compute_features`, from the cache if they were computed before."""
    return _fetch(compute_features, events, windows)


def fetch_long_window_features(events: SpikeEvents, windows: Windows) -> np.ndarray:
    """:func:`mea.features.compute.compute_long_window_features`, from the cache if they were computed before."""
    return _fetch(compute_long_window_features, events, windows)


def _fetch(compute: Callable[[SpikeEvents, Windows], np.ndarray], events: SpikeEvents, windows: Windows) -> np.ndarray:
    # The content hash covers the counts; their value in volts decides the amplitudes.
    values = {"events": events.content_sha256, "volts": events.gain_v.tolist()}
    values |= {"what": compute.__name__, "windows": windows}
    return fetch_array(make_key(values, __name__), lambda: compute(events, windows))
