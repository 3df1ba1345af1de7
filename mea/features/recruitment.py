"""How a network burst recruits the electrodes: who is first, who follows, how fast, how reliably."""

import numba
import numpy as np

from mea.features.firing_rates import measure_gini
from mea.features.nan_statistics import NAN, log10_offset, min_active_electrodes, nanmean, nanquantile, nanstd
from mea.features.network_bursts import BIN_MS, find_network_bursts
from mea.features.trains import Trains

ACTIVE_FRACTION = 0.1  # of all electrodes
BEFORE_MS, AFTER_MS = 50, 400  # around the onset: where an electrode's first spike is looked for
MIN_ELECTRODES = 4
MIN_BURSTS = 3
MIN_REPEATS = 5  # bursts, to say what repeats
SMALL_MS = 1.0
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
SHARES = {"q10": 0.1, "median": 0.5, "q90": 0.9}


def compute_recruitment(trains: Trains) -> dict[str, float]:
    """Order of the electrodes' first spikes in network bursts (a tenth of all electrodes).

    Looked for from 50 ms before to 400 ms after the beginning of the first 50 ms in which enough electrodes fire;
    bursts that at least a tenth of all electrodes, and at least 4, join. Latencies count from the earliest. Electrodes
    that fire in the same sample share a rank, and the lead. First spikes and leaders: Eytan and Marom, Journal of
    Neuroscience 26:8465 (2006), doi:10.1523/JNEUROSCI.1627-06.2006.

    Mean over the bursts, of at least 3, and their standard deviation ``_spread``:

    - ``recruitment_share``: share of all electrodes that join.
    - ``recruitment_log10_<quantile>_ms``, ``recruitment_log10_quartiles_ms``: log10 of the latency's 10 %, 50 % and
      90 % quantile over the electrodes, and of the range between its quartiles, each + 1 ms.
    - ``recruitment_distance``: correlation of an electrode's rank with its distance from the leaders' middle.

    Over the bursts, of at least 5:

    - ``recruitment_joined_<quantile>_share``, ``recruitment_joined_gini``: quantiles over all electrodes, and Gini
      coefficient, of the share of bursts that an electrode joins.
    - ``recruitment_leader_repeat_share``: share of the pairs of bursts with the same leader;
      ``recruitment_leader_move_steps``: mean distance between the leaders of one and of the next, steps of the grid.
    - ``recruitment_rank_spread``: standard deviation over the electrodes that join 5 bursts of their mean rank (from 0,
      first, to 1, last), less what chance adds; ``recruitment_rank_within``: mean of an electrode's own standard
      deviation over the bursts.
    """
    per_burst, rank, lead, middle = measure_bursts(find_latencies(trains), trains.row, trains.col, _count_least(trains))
    features: dict[str, float] = {}
    logs = log10_offset(per_burst[:, 1:5] * (1000 / trains.sampling_rate_hz), SMALL_MS)
    columns = [per_burst[:, 0] / trains.n_electrodes, *logs.T, per_burst[:, 5]]
    names = ["share", "log10_q10_ms", "log10_median_ms", "log10_q90_ms", "log10_quartiles_ms", "distance"]
    enough = len(per_burst) >= MIN_BURSTS
    for name, values in zip(names, columns):
        features[f"recruitment_{name}"] = nanmean(values) if enough else NAN
        features[f"recruitment_{name}_spread"] = nanstd(values) if enough else NAN
    return features | _compute_joined(rank) | _compute_leaders(lead, middle) | _compute_ranks(rank)


def _count_least(trains: Trains) -> int:
    return max(MIN_ELECTRODES, min_active_electrodes(ACTIVE_FRACTION, trains.n_electrodes))


def find_latencies(trains: Trains) -> np.ndarray:
    """(bursts, n) samples from the window's beginning to each electrode's first spike there; -1 where it has none."""
    onset, _ = find_network_bursts(
        trains.count_active(BIN_MS), min_active_electrodes(ACTIVE_FRACTION, trains.n_electrodes)
    )
    low = np.ceil((onset * BIN_MS - BEFORE_MS) * trains.sampling_rate_hz / 1000).astype(np.int64)
    length = round((BEFORE_MS + AFTER_MS) * trains.sampling_rate_hz / 1000)
    return _find_latencies(trains.train, trains.first, low, length)


def _compute_joined(rank: np.ndarray) -> dict[str, float]:
    joined = np.isfinite(rank).mean(axis=0) if len(rank) >= MIN_REPEATS else np.full(rank.shape[1], NAN)
    quantiles = zip(SHARES, nanquantile(joined, SHARES.values()))
    features = {f"recruitment_joined_{name}_share": value for name, value in quantiles}
    return features | {"recruitment_joined_gini": measure_gini(joined)}


def _compute_leaders(lead: np.ndarray, middle: np.ndarray) -> dict[str, float]:
    count = len(lead)
    if count < MIN_REPEATS:
        return {"recruitment_leader_repeat_share": NAN, "recruitment_leader_move_steps": NAN}
    total = lead.sum(axis=0)
    pairs = (total @ total - (lead**2).sum()) / (count * (count - 1))
    return {
        "recruitment_leader_repeat_share": float(min(max(pairs, 0.0), 1.0)),
        "recruitment_leader_move_steps": float(np.hypot(*np.diff(middle, axis=0).T).mean()),
    }


def _compute_ranks(rank: np.ndarray) -> dict[str, float]:
    count = np.isfinite(rank).sum(axis=0)
    often = count >= MIN_REPEATS
    if often.sum() < 2:
        return {"recruitment_rank_spread": NAN, "recruitment_rank_within": NAN}
    ranks, count = rank[:, often], count[often]
    mean = np.nanmean(ranks, axis=0)
    within = np.nansum((ranks - mean) ** 2, axis=0) / (count - 1)
    between = mean.var() - (within / count).mean()  # else few bursts would look reliable
    return {
        "recruitment_rank_spread": float(np.sqrt(max(between, 0.0))),
        "recruitment_rank_within": float(np.sqrt(within).mean()),
    }


@numba.njit(cache=True, nogil=True)
def _find_latencies(train, first, low, length):
    latency = np.full((len(low), len(first) - 1), -1, np.int64)
    for electrode in range(len(first) - 1):
        own = train[first[electrode] : first[electrode + 1]]
        for burst in range(len(low)):
            spike = np.searchsorted(own, low[burst])
            if spike < len(own) and own[spike] - low[burst] < length:
                latency[burst, electrode] = own[spike] - low[burst]
    return latency


@numba.njit(cache=True, nogil=True)
def measure_bursts(latency, row, col, least):
    """Of each burst that at least so many electrodes join: its measures, ranks, leaders and their middle.

    Returns (bursts, 6): electrodes, latency (samples since the earliest) at 10, 50 and 90 %, range between quartiles,
    correlation of rank with distance from the leaders. (bursts, n) rank from 0 to 1, NaN for who does not join;
    (bursts, n) share of the lead; (bursts, 2) row and column of the leaders' middle.
    """
    n = latency.shape[1]
    measures, rank = np.full((len(latency), 6), np.nan), np.full((len(latency), n), np.nan)
    lead, middle = np.zeros((len(latency), n)), np.zeros((len(latency), 2))
    kept = 0
    for burst in range(len(latency)):
        who = np.flatnonzero(latency[burst] >= 0)
        if len(who) < least:
            continue
        after = latency[burst][who]
        after = after - after.min()
        ordered = np.sort(after)
        leaders = who[after == 0]
        middle[kept, 0], middle[kept, 1] = row[leaders].mean(), col[leaders].mean()
        lead[kept][leaders] = 1 / len(leaders)
        own = (np.searchsorted(ordered, after) + np.searchsorted(ordered, after, side="right")) / (2 * len(who))
        rank[kept][who] = own
        at = np.quantile(ordered.astype(np.float64), np.array(QUANTILES))
        away = np.hypot(row[who] - middle[kept, 0], col[who] - middle[kept, 1])
        measures[kept] = np.array([len(who), at[0], at[2], at[4], at[3] - at[1], _correlate(own, away)])
        kept += 1
    return measures[:kept], rank[:kept], lead[:kept], middle[:kept]


@numba.njit(cache=True, nogil=True)
def _correlate(one, other):
    one, other = one - one.mean(), other - other.mean()
    variances = (one * one).sum() * (other * other).sum()
    return (one * other).sum() / np.sqrt(variances) if variances > 1e-20 else np.nan  # rounding alone is smaller
