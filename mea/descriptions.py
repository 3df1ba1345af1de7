"""Summary features of windows of a recording, measured once and kept."""

import tempfile
from pathlib import Path

import numpy as np

import mea.features
import mea.features.bursts
import mea.features.correlations
import mea.features.intervals
import mea.features.network_bursts
import mea.features.population
import mea.features.rates
import mea.features.statistics
import mea.features.together
import mea.features.trains
import mea.features.waveforms
from mea.cache import fetch_file, make_key
from mea.events import Events
from mea.features import describe_pieces

CODE = (
    mea.features,
    mea.features.bursts,
    mea.features.correlations,
    mea.features.intervals,
    mea.features.network_bursts,
    mea.features.population,
    mea.features.rates,
    mea.features.statistics,
    mea.features.together,
    mea.features.trains,
    mea.features.waveforms,
)


def describe_windows(events: Events, windows: list[tuple[float, float]]) -> np.ndarray:
    """Features of windows of a recording, from the cache where they were measured before.

    Parameters
    ----------
    events
        The recording.
    windows
        (n_windows,) start and stop of each, s.

    Returns
    -------
    np.ndarray
        (n_windows, n_features), named by :func:`mea.features.list_features`; NaN where one is undefined.

    Raises
    ------
    MeaError
        If a window is empty or leaves the recording.
    """

    def describe(path: Path) -> None:
        np.save(path, describe_pieces(events, windows))

    # What was detected is told in counts; what they are worth decides the amplitudes.
    values = {"events": events.content_sha256, "volts": events.volts_per_count.tolist(), "windows": windows}
    with tempfile.TemporaryDirectory(prefix="mea-features-") as folder:
        path = Path(folder) / "features.npy"
        fetch_file(make_key(values, CODE), path, describe)
        return np.load(path)
