"""Runs of short intervals on one electrode (doublets, complex spikes, bursts), by their number of spikes."""

import numpy as np

from mea.features.feature import Family, format_range, list_measures
from mea.features.nan_statistics import NAN, nanstd
from mea.features.trains import Trains
from mea.runtime.compiled import compiled

MAX_ISI_MS = (5, 10, 30, 80)
SIZES = (1, 2, 3, 4, 6, 10, 20, 50)  # smallest size of each class
MIN_SPIKES = 20  # for an electrode to count
LONG = 5  # spikes of a run whose halves are compared
MIN_LONG = 10  # such runs
OFFSET_MS = 0.05  # spikes of one sample (two units of an electrode) must not divide by zero


def _name_sizes() -> list[str]:
    last = [following - 1 for following in SIZES[1:]]
    names = [f"{low}_to_{high}" if high > low else f"{low}" for low, high in zip(SIZES, last)]
    return [*names, f"{SIZES[-1]}_and_more"]


CLASSES = _name_sizes()
MEASURES = {
    **{
        f"root_fraction_size_{name}": (
            "",
            f"square root of the fraction of an electrode's spikes in runs of {format_range(name)}",
        )
        for name in CLASSES
    },
    "single_std": ("", "the same of single spikes, standard deviation over the electrodes"),
    "log10_slowing": ("log10", "duration of a run's later half over its earlier half, mean over the long runs"),
}
FEATURES = tuple(
    feature
    for limit_ms in MAX_ISI_MS
    for feature in list_measures(f"run_{limit_ms}_ms", MEASURES, f"runs: ISIs up to {limit_ms} ms")
)


def compute_runs(trains: Trains) -> dict[str, float]:
    """Spikes by the size of the run they belong to; a run's intervals are at most 5 (10, 30, 80) ms.

    The shorter limits find doublets and the complex spikes of pyramidal cells, of 2 to 6 spikes within 10 ms or less:
    Ranck, Experimental Neurology 41:461 (1973), doi:10.1016/0014-4886(73)90290-2. For each limit, ``run_<limit>_ms_``:

    - ``root_fraction_size_<from>_to_<to>``: square root of the fraction of an electrode's spikes in runs of this many
      spikes (a single spike is a run of 1); the fraction is the mean over the electrodes with at least 20 spikes.
    - ``single_std``: standard deviation over these electrodes of the root of the fraction of single spikes.
    - ``log10_slowing``: log10 of how much longer a run's later half lasts than its earlier half, each plus 0.05 ms;
      mean over the runs of at least 5 spikes, undefined for fewer than 10 of them.

    >>> from mea.features.trains import build_trains
    >>> pairs = np.concatenate([[k, k + 0.004] for k in range(10)])  # ten doublets
    >>> compute_runs(build_trains([pairs], duration_s=10))["run_5_ms_root_fraction_size_2"]
    1.0
    """
    enough = trains.counts >= MIN_SPIKES
    per_ms = trains.sampling_rate_hz / 1000
    features: dict[str, float] = {}
    for limit_ms in MAX_ISI_MS:
        spikes, slowing, long = count_runs(
            trains.train, trains.first, limit_ms * per_ms, np.array(SIZES), OFFSET_MS * per_ms
        )
        fraction = spikes[enough] / trains.counts[enough, None]
        mean = fraction.mean(axis=0) if enough.any() else np.full(len(SIZES), NAN)
        measures = {f"root_fraction_size_{name}": float(np.sqrt(value)) for name, value in zip(CLASSES, mean)}
        measures["single_std"] = nanstd(np.sqrt(fraction[:, 0]))
        measures["log10_slowing"] = slowing / long if long >= MIN_LONG else NAN
        features |= {f"run_{limit_ms}_ms_{name}": value for name, value in measures.items()}
    return features


@compiled
def count_runs(train, first, limit, sizes, offset):
    """Spikes of each electrode by the size of their run, (n, sizes) int64, and how much the long runs slow down.

    The last two are the sum over the long runs of log10(later half / earlier half, in samples, each plus ``offset``),
    and the number of them.
    """
    spikes = np.zeros((len(first) - 1, len(sizes)), np.int64)
    slowing, long = 0.0, 0
    for electrode in range(len(first) - 1):
        begin = first[electrode]
        for spike in range(first[electrode] + 1, first[electrode + 1] + 1):
            if spike < first[electrode + 1] and train[spike] - train[spike - 1] <= limit:
                continue
            size = spike - begin
            place = 0
            while place < len(sizes) - 1 and size >= sizes[place + 1]:
                place += 1
            spikes[electrode, place] += size
            if size >= LONG:
                half = (size - 1) // 2
                later, earlier = train[spike - 1] - train[spike - 1 - half], train[begin + half] - train[begin]
                slowing += np.log10((later + offset) / (earlier + offset))
                long += 1
            begin = spike
    return spikes, slowing, long


FAMILY = Family("runs", FEATURES, compute_runs)
