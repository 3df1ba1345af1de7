"""Confounds: if the metadata of a recording predicts its class, the accuracy of a model is no evidence."""

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from mea.recordings.lab_columns import PREFIX
from mea.runtime.parallel import PATIENCE_S, show_progress
from mea.statistics.permutation import draw_permutations

WORDS = {
    "duration_s": "recording length",
    "sampling_rate_hz": "sampling rate",
    "noise_uv": "noise floor",
    "start": "date",
    "electrodes": "electrode count",
    "places": "which electrodes recorded",
}
ALL = "all together"
PLACE = "places "  # begins the column of one place on the grid
TELLING = 0.75  # of the way from chance to 100 %, from where on a metadatum is named that is not significant
ALARM = 0.05  # chance of any false alarm, over all metadata
MAX_BINS = 8  # of one metadatum: enough for a threshold, a slope or two ends, few enough for ten groups
NEARNESS = 0.2  # weight of a recording in the next bin, relative to its own
CELLS = 200_000  # recordings times permutations scored at once; bounds the memory


def tabulate_metadata(catalogue: pd.DataFrame, recordings: pd.DataFrame) -> pd.DataFrame:
    """Metadata of the scored recordings as numbers.

    Parameters
    ----------
    catalogue
        Of the array stage.
    recordings
        Column recording.

    Returns
    -------
    pd.DataFrame
        One row a recording, in their order; a column for each metadatum that differs between recordings: duration_s,
        sampling_rate_hz, noise_uv (median over electrodes), start (days), electrodes, -1 where one is unknown; and
        one for each set of places of the grid that recorded in the same recordings (1) and not in others (0); and the
        lab's own columns (``lab: dose``), numbers or, up to eight of them, categories. The size of a file is none:
        spikes are packed less well, so it is signal.
    """
    recorded = catalogue.assign(sampling_rate_hz=catalogue["recorded_sampling_rate_hz"])  # not the common one
    table = recorded.set_index("recording").loc[recordings["recording"], list(WORDS)]
    places = _tabulate_places(table.pop("places"))
    days = pd.to_datetime(table["start"], errors="coerce", format="ISO8601", utc=True)
    table["start"] = (days - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(days=1)
    table = table.apply(pd.to_numeric, errors="coerce")
    own = recorded.set_index("recording").loc[recordings["recording"]].filter(regex=f"^{PREFIX}").reset_index(drop=True)
    table = pd.concat([table.fillna(-1.0).reset_index(drop=True), places, _tabulate_own(own)], axis=1)
    return table.loc[:, table.nunique() > 1]


def _tabulate_own(columns: pd.DataFrame) -> pd.DataFrame:
    """The lab's columns as numbers: those that are, with decimal points or commas; else a number for each category.

    A text with more than eight values, such as a remark, is left out.
    """
    table = {}
    for name, values in columns.fillna("").astype(str).items():
        numbers = pd.to_numeric(values.str.replace(",", "."), errors="coerce")
        if numbers[values != ""].notna().all():
            table[name] = numbers.fillna(-1.0)
        elif values.nunique() <= MAX_BINS:
            table[name] = pd.Series(pd.factorize(values, sort=True)[0], index=values.index, dtype=float)
    return pd.DataFrame(table, index=columns.index)


def _tabulate_places(packed: pd.Series) -> pd.DataFrame:
    """A column for each pattern of recordings in which a place recorded; none where the grids differ or are unknown."""
    if (packed.str.len() != len(packed.iloc[0])).any() or not packed.iloc[0]:
        return pd.DataFrame(index=range(len(packed)))
    bits = np.array([np.unpackbits(np.frombuffer(bytes.fromhex(text), np.uint8)) for text in packed])
    patterns = np.unique(bits, axis=1).astype(float)
    return pd.DataFrame(patterns, columns=[f"{PLACE}{number}" for number in range(patterns.shape[1])])


def audit_confounds(metadata: pd.DataFrame, recordings: pd.DataFrame, permutations: int, seed: int) -> pd.DataFrame:
    """How well each metadatum, and all together, predict the label of held-out recordings.

    A naive Bayes classifier on the ranks of each metadatum in at most eight bins, smoothed over neighbouring bins: it
    finds slopes, thresholds, and both ends against the middle. It is fitted again for every permutation of the labels
    between groups, so that metadata which differ between batches, like dates, do not count as confounds. The p-values
    are adjusted for the number of metadata: Westfall and Young, "Resampling-based multiple testing", Wiley 1993
    (single step, least p).

    Parameters
    ----------
    metadata
        (n, m) as :func:`tabulate_metadata` gives it.
    recordings
        Columns recording, label, culture, batch, fold; rows as those of ``metadata``.
    permutations
        Of the labels between groups, for the p-values.
    seed
        Of the permutations.

    Returns
    -------
    pd.DataFrame
        metadata, accuracy, balanced_accuracy (held out, fold by fold), p_value (adjusted), alarm (it is below 5 %),
        predicted ((n,) labels). ``all together`` comes first; no row if nothing differs between recordings.
    """
    columns = ["metadata", "accuracy", "balanced_accuracy", "p_value", "alarm", "predicted"]
    owner = ["places" if name.startswith(PLACE) else name for name in metadata.columns]
    single = list(dict.fromkeys(owner))
    names = [*([ALL] if len(single) > 1 else []), *single]
    if not names:
        return pd.DataFrame(columns=columns)
    labels, actual = np.unique(recordings["label"].to_numpy(str), return_inverse=True)
    drawn = np.searchsorted(labels, draw_permutations(recordings, permutations, seed))
    targets = np.vstack([actual, drawn])  # the actual labels are one of the permutations
    columns_of = [metadata.loc[:, [one == name for one in owner]] for name in single]
    bins = [[_sort_into_bins(values.to_numpy(float)) for _, values in part.items()] for part in columns_of]
    fold = recordings["fold"].to_numpy()
    step = max(1, CELLS // len(actual))
    blocks = [targets[first : first + step] for first in range(0, len(targets), step)]
    scored = [
        _score_labels(bins, fold, block, len(labels))
        for block in show_progress(blocks, desc="metadata", delay=PATIENCE_S)
    ]
    balanced = np.concatenate([part for part, _ in scored], axis=1)  # (n_names, 1 + permutations)
    predicted = [labels[row] for row in scored[0][1][:, 0]]
    accuracy = [float((row == labels[actual]).mean()) for row in predicted]
    p_values = _adjust_p(balanced)
    rows = zip(names, accuracy, balanced[:, 0], p_values, p_values < ALARM, predicted)
    return pd.DataFrame(list(rows), columns=columns)


def _sort_into_bins(values: np.ndarray) -> np.ndarray:
    """(n,) int: the number of each value if there are few, else of its bin; all bins are equally full."""
    distinct, number = np.unique(values, return_inverse=True)
    if len(distinct) <= MAX_BINS:
        return number
    edges = np.quantile(values, np.arange(1, MAX_BINS) / MAX_BINS)
    return np.unique(np.searchsorted(edges, values, side="right"), return_inverse=True)[1]


def _score_labels(
    bins: list[list[np.ndarray]], fold: np.ndarray, targets: np.ndarray, n_labels: int
) -> tuple[np.ndarray, np.ndarray]:
    """Balanced accuracy (n_names, n_draws) and predictions (n_names, n_draws, n) of held-out recordings."""
    one_hot = np.eye(n_labels)[targets.T]  # (n, n_draws, n_labels)
    logs = np.zeros((len(bins), *one_hot.shape))
    for number in pd.unique(fold):
        held_out = fold == number
        training = ~held_out if (~held_out).any() else held_out  # a split by chunk: leaky, like the split
        for row, parts in zip(logs, bins):
            for bin_number in parts:
                learned = _learn_logs(bin_number[training], one_hot[training], bin_number.max() + 1)
                row[held_out] += learned[bin_number[held_out]] / len(parts)
    logs = np.concatenate([logs.sum(0, keepdims=True), logs]) if len(bins) > 1 else logs
    predicted = logs.round(9).argmax(-1)  # rounding does not break ties
    right = one_hot * (predicted[..., None] == np.arange(n_labels))  # (n_names, n, n_draws, n_labels)
    return (right.sum(1) / one_hot.sum(0)).mean(-1), predicted.transpose(0, 2, 1)


def _learn_logs(bin_number: np.ndarray, one_hot: np.ndarray, n_bins: int) -> np.ndarray:
    """(n_bins, n_draws, n_labels): log of each class's fraction in each bin, smoothed; classes have equal weight."""
    counts = np.zeros((n_bins, *one_hot.shape[1:]))
    for number in range(n_bins):
        counts[number] = one_hot[bin_number == number].sum(0)
    place = np.arange(n_bins)
    near = NEARNESS ** np.abs(place[:, None] - place)
    smooth = np.einsum("bk,kpc->bpc", near, counts) + 0.5
    return np.log(smooth / smooth.sum(0))


def _adjust_p(statistics: np.ndarray) -> np.ndarray:
    """(n_names,) p-values of the first column among all, adjusted for the number of names."""
    single = rankdata(-statistics.round(9), method="max", axis=1) / statistics.shape[1]
    return (single.min(0) <= single[:, :1] + 1e-12).mean(1)


def name_metadata(name: str) -> str:
    """A metadatum in words.

    >>> name_metadata("start"), name_metadata("lab: dose"), name_metadata(ALL)
    ('date', "the column 'dose'", 'all metadata together')
    """
    if name.startswith(PREFIX):
        return f"the column {name.removeprefix(PREFIX)!r}"
    return WORDS.get(name, "all metadata together")


def summarise_audit(audit: pd.DataFrame) -> dict[str, float]:
    """The metrics of all metadata together, or of the only one; NaN if nothing differs between recordings."""
    names = ["accuracy", "balanced_accuracy", "p_value"]
    return {name: float(audit[name].iloc[0]) if len(audit) else float("nan") for name in names}


def hold_one_class(recordings: pd.DataFrame) -> bool:
    """Whether batches are known and each of them holds one class only."""
    known = recordings[recordings["batch"] != ""]
    return len(known) > 0 and known.groupby("batch")["label"].nunique().max() == 1


def _name_telling(audit: pd.DataFrame, classes: int) -> str:
    """Metadata that nearly tell the class, although no test can show it, with their accuracies."""
    least = 1 / classes + TELLING * (1 - 1 / classes)
    telling = audit[(audit["balanced_accuracy"] >= least) & (audit["metadata"] != ALL)]
    return " and ".join(
        f"{name_metadata(row.metadata)} ({100 * row.balanced_accuracy:.0f} %)" for row in telling.itertuples()
    )


def explain_confounds(audit: pd.DataFrame, recordings: pd.DataFrame) -> list[str]:
    """What the audit found, in sentences; an empty list if it found nothing."""
    alarms = audit[audit["alarm"].astype(bool)]
    single = alarms[alarms["metadata"] != ALL]
    found = [
        f"{name_metadata(row.metadata)} ({100 * row.balanced_accuracy:.0f} %)"
        for row in (single if len(single) else alarms).itertuples()
    ]
    sentences = []
    if found:
        sentences.append(
            f"confounded: without any signal, the class can be predicted from {' or '.join(found)}; chance is "
            f"{100 / recordings['label'].nunique():.0f} %. The classes were recorded under different conditions"
        )
    elif telling := _name_telling(audit, recordings["label"].nunique()):
        sentences.append(
            f"confounded, perhaps: {telling} predict the class of held-out recordings; there are too few groups to "
            "tell that from chance"
        )
    if hold_one_class(recordings):
        sentences.append(
            "confounded: no batch holds two classes, so a difference between the classes may be a difference between "
            "the batches: record every class in every batch"
        )
    return sentences
