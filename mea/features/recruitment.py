"""How a network burst recruits the electrodes: who is first, who follows, how fast, how reliably."""

import numpy as np

from mea.features.feature import QUANTILES, Family, Feature, format_quantile, list_measures
from mea.features.firing_rates import compute_gini
from mea.features.nan_statistics import NAN, divide, log10_offset, min_active_electrodes, nanmean, nanquantile, nanstd
from mea.features.network_bursts import BIN_MS, find_network_bursts
from mea.features.trains import Trains

ACTIVE_FRACTION = 0.1  # of all electrodes
BEFORE_MS, AFTER_MS = 50, 400  # around the onset: where an electrode's first spike is looked for
MIN_ELECTRODES = 4
MIN_BURSTS = 3
MIN_REPEATS = 5  # bursts, to say what repeats
OFFSET_MS = 1.0
LATENCY_QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
SHOWN = ("q10", "median", "q90")
PER_BURST = {
    "fraction": ("", "fraction of all electrodes that join a network burst"),
    **{
        f"log10_{name}_ms": (
            "log10(ms)",
            f"latency of the electrodes in a network burst + 1 ms, {format_quantile(name)}",
        )
        for name in SHOWN
    },
    "log10_iqr_ms": ("log10(ms)", "interquartile range of the latencies in a network burst + 1 ms"),
    "rank_distance_correlation": ("", "correlation of an electrode's rank with its distance from the leaders"),
}
FEATURES = (
    *list_measures("recruitment", PER_BURST, std_over="network bursts"),
    *(
        Feature(
            f"recruitment_joined_{name}_fraction", "", f"fraction of bursts an electrode joins, {format_quantile(name)}"
        )
        for name in SHOWN
    ),
    Feature("recruitment_joined_gini", "", "Gini coefficient of the fraction of bursts an electrode joins"),
    Feature("recruitment_leader_repeat_fraction", "", "fraction of the pairs of network bursts with the same leader"),
    Feature(
        "recruitment_leader_move_steps", "steps", "mean distance on the grid from one burst's leaders to the next one's"
    ),
    Feature(
        "recruitment_rank_std", "", "mean rank of an electrode, standard deviation over the electrodes beyond chance"
    ),
    Feature("recruitment_rank_std_within", "", "standard deviation of an electrode's rank over the bursts, mean"),
)


def compute_recruitment(trains: Trains) -> dict[str, float]:
    """Order of the electrodes' first spikes in network bursts (10 % of all electrodes).

    A first spike is looked for from 50 ms before to 400 ms after the start of the first 50 ms in which enough
    electrodes fire. Bursts count if at least 10 % of all electrodes, and at least 4, join. Latencies count from the
    earliest spike. Electrodes that fire in the same sample share their rank and the lead. First spikes and leaders:
    Eytan and Marom, Journal of Neuroscience 26:8465 (2006), doi:10.1523/JNEUROSCI.1627-06.2006.

    Mean over the bursts, of at least 3, and standard deviation ``_std``:

    - ``recruitment_fraction``: electrodes that join, of all electrodes.
    - ``recruitment_log10_<quantile>_ms``, ``recruitment_log10_iqr_ms``: log10 of the 10 %, 50 % and 90 % quantile of
      the latency over the electrodes, and of its interquartile range, each + 1 ms.
    - ``recruitment_rank_distance_correlation``: of an electrode's rank with its distance from the leaders' middle.

    Over the bursts, of at least 5:

    - ``recruitment_joined_<quantile>_fraction``, ``recruitment_joined_gini``: quantiles over all electrodes, and Gini
      coefficient, of the fraction of bursts that an electrode joins.
    - ``recruitment_leader_repeat_fraction``: pairs of bursts with the same leader, of all pairs;
      ``recruitment_leader_move_steps``: mean distance between the leaders of one burst and of the next, in steps of the
      grid.
    - ``recruitment_rank_std``: standard deviation of the mean rank (0 first, 1 last) over the electrodes that join 5
      bursts, less the variance that chance adds; ``recruitment_rank_std_within``: mean of an electrode's own standard
      deviation over the bursts.

    >>> from mea.features.trains import build_trains
    >>> onset_s = np.array([1.0, 3.0, 5.0, 7.0, 9.0])
    >>> wave = build_trains([onset_s + k * 0.002 for k in range(4)], duration_s=10)  # always in this order
    >>> features = compute_recruitment(wave)
    >>> features["recruitment_fraction"], features["recruitment_leader_repeat_fraction"]
    (1.0, 1.0)
    """
    per_burst, rank, lead, middle = measure_bursts(find_latencies(trains), trains.row, trains.col, _count_min(trains))
    features: dict[str, float] = {}
    logs = log10_offset(per_burst[:, 1:5] * (1000 / trains.sampling_rate_hz), OFFSET_MS)
    columns = [per_burst[:, 0] / trains.n_electrodes, *logs.T, per_burst[:, 5]]
    enough = len(per_burst) >= MIN_BURSTS
    for name, values in zip(PER_BURST, columns, strict=True):
        features[f"recruitment_{name}"] = nanmean(values) if enough else NAN
        features[f"recruitment_{name}_std"] = nanstd(values) if enough else NAN
    return features | _compute_joined(rank) | _compute_leaders(lead, middle) | _compute_ranks(rank)


def _count_min(trains: Trains) -> int:
    return max(MIN_ELECTRODES, min_active_electrodes(ACTIVE_FRACTION, trains.n_electrodes))


def find_latencies(trains: Trains) -> np.ndarray:
    """(bursts, n) samples from where the search begins to each electrode's first spike; -1 where it has none."""
    min_active = min_active_electrodes(ACTIVE_FRACTION, trains.n_electrodes)
    onset, _ = find_network_bursts(trains.count_active(BIN_MS), min_active)
    low = np.ceil((onset * BIN_MS - BEFORE_MS) * trains.sampling_rate_hz / 1000).astype(np.int64)
    length = round((BEFORE_MS + AFTER_MS) * trains.sampling_rate_hz / 1000)
    return _find_latencies(trains, low, length)


def _compute_joined(rank: np.ndarray) -> dict[str, float]:
    joined = np.isfinite(rank).mean(axis=0) if len(rank) >= MIN_REPEATS else np.full(rank.shape[1], NAN)
    quantiles = zip(SHOWN, nanquantile(joined, [QUANTILES[name] for name in SHOWN]))
    features = {f"recruitment_joined_{name}_fraction": value for name, value in quantiles}
    return features | {"recruitment_joined_gini": compute_gini(joined)}


def _compute_leaders(lead: np.ndarray, middle: np.ndarray) -> dict[str, float]:
    count = len(lead)
    if count < MIN_REPEATS:
        return {"recruitment_leader_repeat_fraction": NAN, "recruitment_leader_move_steps": NAN}
    total = lead.sum(axis=0)
    pairs = (total @ total - (lead**2).sum()) / (count * (count - 1))
    return {
        "recruitment_leader_repeat_fraction": float(min(max(pairs, 0.0), 1.0)),
        "recruitment_leader_move_steps": float(np.hypot(*np.diff(middle, axis=0).T).mean()),
    }


def _compute_ranks(rank: np.ndarray) -> dict[str, float]:
    count = np.isfinite(rank).sum(axis=0)
    often = count >= MIN_REPEATS
    if often.sum() < 2:
        return {"recruitment_rank_std": NAN, "recruitment_rank_std_within": NAN}
    ranks, count = rank[:, often], count[often]
    mean = np.nanmean(ranks, axis=0)
    within = np.nansum((ranks - mean) ** 2, axis=0) / (count - 1)
    between = mean.var() - (within / count).mean()  # else few bursts would look reliable
    return {
        "recruitment_rank_std": float(np.sqrt(max(between, 0.0))),
        "recruitment_rank_std_within": float(np.sqrt(within).mean()),
    }


def _find_latencies(trains: Trains, low: np.ndarray, length: int) -> np.ndarray:
    electrodes = np.arange(trains.n_electrodes)
    electrode, train = np.append(np.repeat(electrodes, trains.counts), -1), np.append(trains.train, 0)
    # One search for all trains: each is moved behind the one before, by more than any search looks back or ahead.
    place = electrodes * (trains.n_samples + length)
    spike = np.searchsorted(train[:-1] + place[electrode[:-1]], low[:, None] + place)
    latency = train[spike] - low[:, None]
    return np.where((electrode[spike] == electrodes) & (latency < length), latency, -1)


def measure_bursts(
    latency: np.ndarray, row: np.ndarray, col: np.ndarray, min_electrodes: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Measures, ranks and leaders of each burst that at least ``min_electrodes`` join.

    Returns (bursts, 6): electrodes, latency (samples since the earliest) at 10, 50 and 90 %, interquartile range,
    correlation of rank with distance from the leaders. (bursts, n) rank from 0 to 1, NaN if the electrode does not
    join; (bursts, n) fraction of the lead; (bursts, 2) row and column of the leaders' middle.
    """
    latency = latency[(latency >= 0).sum(axis=1) >= min_electrodes]
    joins, never = latency >= 0, latency.max(initial=0) + 1
    count = joins.sum(axis=1)
    after = np.where(joins, latency, never)
    after -= after.min(axis=1, initial=never)[:, None]
    ordered = np.sort(after, axis=1)  # those that do not join come last
    rank = np.where(joins, _rank_rows(after, ordered) / count[:, None], NAN)
    lead = (after == 0) / (after == 0).sum(axis=1, keepdims=True)
    middle = lead @ np.column_stack([row, col])
    away = np.where(joins, np.hypot(row - middle[:, :1], col - middle[:, 1:]), NAN)
    quantiles = [nanquantile(np.where(mask, row, NAN), LATENCY_QUANTILES) for mask, row in zip(joins, after)]
    q10, q25, median, q75, q90 = np.array(quantiles).reshape(-1, len(LATENCY_QUANTILES)).T
    measures = np.column_stack([count, q10, median, q90, q75 - q25, _correlate_rows(rank, away)])
    return measures, rank, lead, middle


def _rank_rows(values: np.ndarray, ordered: np.ndarray) -> np.ndarray:
    """Ranks within each row of whole numbers from 0, the smallest 1/2; equal values share the mean of theirs."""
    rows, width = values.shape
    place = np.arange(rows)[:, None] * (values.max(initial=0) + 1)  # one search for all rows
    found = [np.searchsorted((ordered + place).ravel(), values + place, side=side) for side in ("left", "right")]
    return (found[0] + found[1]) / 2 - np.arange(rows)[:, None] * width


def _correlate_rows(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(rows,) Pearson correlation of the values that are defined in both; NaN where either is constant."""
    one, other = (np.nan_to_num(values - np.nanmean(values, axis=1, keepdims=True)) for values in (one, other))
    variances = (one**2).sum(axis=1) * (other**2).sum(axis=1)
    return np.where(variances > 1e-20, divide((one * other).sum(axis=1), np.sqrt(variances)), NAN)


FAMILY = Family("recruitment", FEATURES, compute_recruitment)
