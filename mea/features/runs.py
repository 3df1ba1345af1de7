"""Runs of short intervals: doublets, complex spikes and bursts of an electrode, by their number of spikes."""

import numba
import numpy as np

from mea.features.nan_statistics import NAN, nanstd
from mea.features.trains import Trains

LIMITS_MS = (5, 10, 30, 80)
SIZES = (1, 2, 3, 4, 6, 10, 20, 50)  # least size of each class
MIN_COUNTED = 20  # spikes, for an electrode to count
LONG = 5  # spikes of a run whose halves are compared
MIN_LONG = 10  # such runs
SMALL_MS = 0.05  # spikes of one sample (two units of an electrode) must not divide by zero


def compute_runs(trains: Trains) -> dict[str, float]:
    """Spikes by the size of the run they stand in; a run's intervals are at most 5 (10, 30, 80) ms.

    The shorter limits see doublets and the complex spikes of pyramidal cells, of 2 to 6 spikes within 10 ms or less:
    Ranck, Experimental Neurology 41:461 (1973), doi:10.1016/0014-4886(73)90290-2. For each limit, ``run_<limit>_ms_``:

    - ``root_share_size_<from>_to_<to>``: square root of the share of an electrode's spikes that stand in runs of so
      many spikes (a lone spike is a run of 1); the share is the mean over the electrodes with at least 20 spikes.
    - ``lone_spread``: standard deviation over these electrodes of the root of the share of lone spikes.
    - ``log10_slowing``: log10 of how much longer a run's later half lasts than its earlier half, each 0.05 ms longer
      than it was; mean over the runs of at least 5 spikes, undefined for fewer than 10 of them.
    """
    enough = trains.counts >= MIN_COUNTED
    features: dict[str, float] = {}
    for limit_ms in LIMITS_MS:
        per_ms = trains.sampling_rate_hz / 1000
        spikes, slowing, long = count_runs(
            trains.train, trains.first, limit_ms * per_ms, np.array(SIZES), SMALL_MS * per_ms
        )
        share = spikes[enough] / trains.counts[enough, None]
        mean = share.mean(axis=0) if enough.any() else np.full(len(SIZES), NAN)
        measures = {f"root_share_size_{name}": float(np.sqrt(value)) for name, value in zip(_name_sizes(), mean)}
        measures["lone_spread"] = nanstd(np.sqrt(share[:, 0]))
        measures["log10_slowing"] = slowing / long if long >= MIN_LONG else NAN
        features |= {f"run_{limit_ms}_ms_{name}": value for name, value in measures.items()}
    return features


def _name_sizes() -> list[str]:
    last = [following - 1 for following in SIZES[1:]]
    return [f"{low}_to_{high}" if high > low else f"{low}" for low, high in zip(SIZES, last)] + [
        f"{SIZES[-1]}_and_more"
    ]


@numba.njit(cache=True, nogil=True)
def count_runs(train, first, limit, sizes, small):
    """Spikes of each electrode by the size of their run, (n, sizes) int64; and of the long runs what they slow down.

    The last two are the sum over the long runs of log10(later half / earlier half, in samples, each ``small`` longer),
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
                slowing += np.log10((later + small) / (earlier + small))
                long += 1
            begin = spike
    return spikes, slowing, long
