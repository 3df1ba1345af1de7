"""Summary features of each chunk, and a linear classifier: seconds to train, and hard to beat.

It sees what :mod:`mea.features` measures (intervals, bursts, synchrony, network bursts, spread over electrodes) and no
single spike. Take it first, with chunks long enough to hold bursts (split.chunk_s of 10 s and more).
"""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

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
from mea.features import describe_piece

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


def describe_chunks(chunks: pd.DataFrame, events: dict[str, Events]) -> np.ndarray:
    """(n_chunks, n_features), named by :func:`mea.features.list_features`; NaN where one is undefined.

    Measured once for every recording and length of chunk, and kept.
    """
    parts = {}
    for name, part in chunks.groupby("recording", sort=False):
        lengths = (part["stop_s"] - part["start_s"]).to_numpy()
        number = (part["start_s"] / lengths).round().astype(int)
        parts[name] = pd.DataFrame(_describe_recording(events[name], lengths[0])[number], index=part.index)
    return pd.concat(parts.values()).loc[chunks.index].to_numpy()


def _describe_recording(events: Events, chunk_s: float) -> np.ndarray:
    """(n, n_features) of all chunks of a recording, from its beginning."""
    chunk_s = round(float(chunk_s), 6)
    count = int(round(events.duration_s / chunk_s, 6))

    def measure(path: Path) -> None:
        rows = [describe_piece(events, k * chunk_s, (k + 1) * chunk_s) for k in range(count)]
        np.save(path, np.array(rows))

    with tempfile.TemporaryDirectory(prefix="mea-features-") as folder:
        path = Path(folder) / "features.npy"
        fetch_file(make_key({"events": events.content_sha256, "chunk_s": chunk_s}, CODE), path, measure)
        return np.load(path)


def build_estimator(seed: int) -> Pipeline:
    """Logistic regression on standardised features, undefined ones at the median; classes weighted to count alike."""
    return make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True),
        StandardScaler(),
        LogisticRegression(C=0.1, class_weight="balanced", max_iter=2000, random_state=seed),
    )
