"""All features that the model sees of a recording, against the length of the recording."""

from pathlib import Path

from builders.spike_trains import make_lively

from benchmarks.timing import Effort, Target, compare, time_together
from mea.features.compute import compute_features, compute_long_window_features

WINDOW_S, CHUNK_S = 900, 30  # of a recording of 60 electrodes with bursts, about 100,000 spikes
FEATURES = Target("features", "s", 900, "all features of 900 s of 60 electrodes; the reference is real time")


def bench_features(_folder: Path, effort: Effort) -> list[dict]:
    """On one core."""
    events = make_lively(6, 10, WINDOW_S)
    whole = [(0, WINDOW_S)]
    chunks = [(start, start + CHUNK_S) for start in range(0, WINDOW_S, CHUNK_S)]
    ways = {"ours": lambda: (compute_features(events, [*whole, *chunks]), compute_long_window_features(events, whole))}
    return [compare(FEATURES, WINDOW_S, time_together(ways, effort.repeats)["ours"])]
