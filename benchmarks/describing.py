"""All that the features model measures of a recording, beside the recording's own length."""

from pathlib import Path

from builders.spike_trains import make_lively

from benchmarks.timing import Effort, Target, compare, time_together
from mea.features.compute import compute_features, compute_long_window_features

DESCRIBED_S, PIECE_S = 900, 30  # of a recording of 60 electrodes with bursts, about 100,000 spikes
DESCRIBE = Target("describe", "s", 900, "all features of 900 s of 60 electrodes; the reference is real time")


def bench_features(_folder: Path, effort: Effort) -> list[dict]:
    """On one core."""
    events = make_lively(6, 10, DESCRIBED_S)
    whole = [(0, DESCRIBED_S)]
    pieces = [(start, start + PIECE_S) for start in range(0, DESCRIBED_S, PIECE_S)]
    ways = {"ours": lambda: (compute_features(events, [*whole, *pieces]), compute_long_window_features(events, whole))}
    return [compare(DESCRIBE, DESCRIBED_S, time_together(ways, effort.repeats)["ours"])]
