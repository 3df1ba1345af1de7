"""What can be told from a recording's metadata alone: if that predicts its class, no network's accuracy is evidence."""

import warnings

import numpy as np
import pandas as pd
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from mea.permutation import run_permutation_test

WORDS = {
    "duration_s": "recording length",
    "rate_hz": "sampling rate",
    "noise_uv": "noise floor",
    "file_bytes": "file size",
    "start": "date",
    "electrodes": "electrode count",
}
ALL = "all together"
ALARM = 0.05  # of any false alarm: each test is held to its share


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
        One row a recording, in their order; a column for each metadatum that is not the same for all: duration_s,
        rate_hz, noise_uv (median over electrodes), file_bytes, start (days), electrodes. -1 where one is unknown.
    """
    table = catalogue.set_index("recording").loc[recordings["recording"], list(WORDS)]
    days = pd.to_datetime(table["start"], errors="coerce", format="ISO8601", utc=True)
    table["start"] = (days - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(days=1)
    table = table.apply(pd.to_numeric, errors="coerce").fillna(-1.0).reset_index(drop=True)
    return table.loc[:, table.nunique() > 1]


def audit_confounds(metadata: pd.DataFrame, recordings: pd.DataFrame, permutations: int, seed: int) -> pd.DataFrame:
    """How well each metadatum, and all together, predict the label of held-out recordings.

    Extremely randomised trees (Geurts, Ernst, Wehenkel, doi:10.1007/s10994-006-6226-1), which find bounds as well as
    slopes, with the folds of the classifier itself.

    Parameters
    ----------
    metadata
        (n, m) as :func:`tabulate_metadata` gives it.
    recordings
        Columns recording, label, culture, batch, fold; rows as those of ``metadata``.
    permutations
        Of the labels between groups, for the p-values.
    seed
        Of trees and permutations.

    Returns
    -------
    pd.DataFrame
        metadata, accuracy, balanced_accuracy, p_value, alarm (the p-value is below its share of 5 %), predicted
        ((n,) labels). ``all together`` comes first; no row where nothing differs between recordings.
    """
    names = [*([ALL] if len(metadata.columns) > 1 else []), *metadata.columns]
    rows = []
    for name in names:
        values = metadata if name == ALL else metadata[[name]]
        predicted = _predict_held_out(values.to_numpy(float), recordings, seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a scored part may lack a class
            balanced = balanced_accuracy_score(recordings["label"], predicted)
        p_value = run_permutation_test(recordings, predicted, permutations, seed).p_value
        accuracy = accuracy_score(recordings["label"], predicted)
        rows.append((name, accuracy, balanced, p_value, p_value < ALARM / len(names), predicted))
    return pd.DataFrame(rows, columns=["metadata", "accuracy", "balanced_accuracy", "p_value", "alarm", "predicted"])


def _predict_held_out(values: np.ndarray, recordings: pd.DataFrame, seed: int) -> np.ndarray:
    labels, fold = recordings["label"].to_numpy(), recordings["fold"].to_numpy()
    predicted = np.empty(len(labels), dtype=object)
    for number in pd.unique(fold):
        held = fold == number
        training = ~held if (~held).any() else held  # chunks of every recording on both sides: leaky as the split is
        trees = ExtraTreesClassifier(50, min_samples_leaf=3, class_weight="balanced", random_state=seed)
        predicted[held] = trees.fit(values[training], labels[training]).predict(values[held])
    return predicted


def describe_audit(audit: pd.DataFrame) -> dict[str, float]:
    """The figures of all metadata together, or of the only one; NaN where nothing differs between recordings."""
    names = ["accuracy", "balanced_accuracy", "p_value"]
    return {name: float(audit[name].iloc[0]) if len(audit) else float("nan") for name in names}


def hold_one_class(recordings: pd.DataFrame) -> bool:
    """Whether batches are known and none of them holds two classes."""
    known = recordings[recordings["batch"] != ""]
    return len(known) > 0 and known.groupby("batch")["label"].nunique().max() == 1


def explain_confounds(audit: pd.DataFrame, recordings: pd.DataFrame) -> list[str]:
    """What the audit means, in sentences; an empty list where it found nothing."""
    sentences = []
    alarms = audit[audit["alarm"] & (audit["metadata"] != ALL)]
    together = audit[audit["alarm"] & (audit["metadata"] == ALL)]
    if len(alarms):
        found = ", ".join(f"{WORDS[row.metadata]} ({row.balanced_accuracy:.0%})" for row in alarms.itertuples())
        sentences.append(f"confounded: the class can be told without any signal, by {found} (balanced accuracy)")
    elif len(together):
        share = together["balanced_accuracy"].iloc[0]
        sentences.append(
            f"confounded: the class can be told without any signal, by all metadata together ({share:.0%}, balanced)"
        )
    if hold_one_class(recordings):
        sentences.append(
            "confounded: no batch holds two classes, so a difference between classes cannot be told from one between "
            "the batches; record both classes in each batch"
        )
    return sentences
