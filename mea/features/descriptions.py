"""Summary features of windows of a recording, measured once and kept."""

from collections.abc import Callable

import numpy as np

import mea.features
import mea.features.bursts
import mea.features.correlations
import mea.features.intervals
import mea.features.network_bursts
import mea.features.network_intervals
import mea.features.population
import mea.features.profiles
import mea.features.rates
import mea.features.recruitment
import mea.features.return_maps
import mea.features.runs
import mea.features.statistics
import mea.features.together
import mea.features.trains
import mea.features.waveforms
from mea.arrays.events import Events
from mea.features import describe_pieces, describe_stretches
from mea.runtime.cache import fetch_array, make_key

CODE = (
    mea.features,
    mea.features.bursts,
    mea.features.correlations,
    mea.features.intervals,
    mea.features.network_bursts,
    mea.features.network_intervals,
    mea.features.population,
    mea.features.profiles,
    mea.features.rates,
    mea.features.recruitment,
    mea.features.return_maps,
    mea.features.runs,
    mea.features.statistics,
    mea.features.together,
    mea.features.trains,
    mea.features.waveforms,
)


Windows = list[tuple[float, float]]  # start and stop of each, s


def describe_windows(events: Events, windows: Windows) -> np.ndarray:
    """:func:`mea.features.describe_pieces`, from the cache where these windows were described before."""
    return _fetch(describe_pieces, events, windows)


def describe_lasting(events: Events, windows: Windows) -> np.ndarray:
    """:func:`mea.features.describe_stretches`, from the cache where these windows were described before."""
    return _fetch(describe_stretches, events, windows)


def _fetch(describe: Callable[[Events, Windows], np.ndarray], events: Events, windows: Windows) -> np.ndarray:
    # What was detected is told in counts; what they are worth decides the amplitudes.
    values = {"events": events.content_sha256, "volts": events.volts_per_count.tolist()}
    values |= {"what": describe.__name__, "windows": windows}
    return fetch_array(make_key(values, CODE), lambda: describe(events, windows))
