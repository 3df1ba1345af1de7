"""Whether one version of the classifier is better than another: ``mea compare A [B] [--md]``."""

import argparse
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from mea.recordings.lab_columns import PREFIX, list_categories
from mea.runtime.command import end_plainly
from mea.runtime.errors import MeaError
from mea.runtime.tables import draw_table
from mea.splitting.groups import IDENTITY, explain_unknown, group_recordings
from mea.statistics.paired import Difference, compare_predictions, find_changes, flip_signs
from mea.statistics.scores import METRICS
from mea.versions.versions import WORKSPACE, Version, load_version

DESCRIPTION = (
    "Compare two versions of the classifier, recording by recording: each metric of A and B, their difference with an "
    "interval, and a verdict. Nothing is checked out or run."
)
FEW_GROUPS = 10  # below, intervals were not shown to cover what they should
CAVEAT = (
    "The intervals say what other recordings, cultures and batches could have changed, not what training again with "
    f"another seed could have; and of {len(METRICS)} metrics one may well look real by chance: decide beforehand which "
    "counts."
)
SAME_SCORE = 1e-6  # metrics are kept with 9 digits


def pair_predictions(a: Version, b: Version) -> pd.DataFrame:
    """One row for every recording that both scored with the same label; columns end in ``_a`` and ``_b``."""
    both = a.predictions.merge(b.predictions, on=["recording", "label"], suffixes=("_a", "_b"), validate="one_to_one")
    return both.sort_values("recording", ignore_index=True)


def find_cautions(a: Version, b: Version, paired: pd.DataFrame) -> list[str]:
    """What makes the comparison less than fair, one sentence each; empty where nothing does."""
    return [
        *_compare_recordings(a, b, paired),
        *_compare_splits(a, b, paired),
        *(caution for side, version in (("A", a), ("B", b)) for caution in _check_version(side, version)),
    ]


def _compare_recordings(a: Version, b: Version, paired: pd.DataFrame) -> list[str]:
    first, second = a.predictions.set_index("recording")["label"], b.predictions.set_index("recording")["label"]
    shared = first.index.intersection(second.index)
    cautions = []
    if len(shared) < max(len(first), len(second)):
        cautions.append(
            f"DIFFERENT RECORDINGS: A was scored on {len(first)}, B on {len(second)}; {len(first) - len(shared)} only "
            f"by A, {len(second) - len(shared)} only by B. Only what both have is compared."
        )
    relabelled = len(shared) - len(paired)
    if relabelled:
        cautions.append(f"DIFFERENT LABELS: {relabelled} recordings have another label in B than in A; left out.")
    if a.labels != b.labels:
        cautions.append(f"DIFFERENT CLASSES: A knows {', '.join(a.labels)}; B knows {', '.join(b.labels)}.")
    moved = (paired["culture_a"] != paired["culture_b"]) | (paired["batch_a"] != paired["batch_b"])
    if moved.any():
        cautions.append(f"DIFFERENT GROUPS: {moved.sum()} recordings have another culture or batch in B; B's count.")
    return cautions


def _compare_splits(a: Version, b: Version, paired: pd.DataFrame) -> list[str]:
    cautions = []
    if a.split_level != b.split_level:
        cautions.append(f"DIFFERENT SPLITS: A was split by {a.split_level or '?'}, B by {b.split_level or '?'}.")
    together = [paired[name].to_numpy()[:, None] == paired[name].to_numpy() for name in ("fold_a", "fold_b")]
    moved = int((together[0] != together[1]).any(1).sum()) if len(paired) else 0
    if moved:
        cautions.append(
            f"DIFFERENT FOLDS: {moved} of {len(paired)} recordings were held out together with other ones in B than in "
            "A, so the models did not learn from the same recordings."
        )
    return cautions


def _check_version(side: str, version: Version) -> list[str]:
    cautions = []
    if version.metrics.get("leaky"):
        cautions.append(f"{side} IS LEAKY, its metrics are too optimistic: {version.title}.")
    if version.metrics.get("warning"):
        cautions.append(f"{side} carries a warning: {version.metrics['warning']}")
    reported = version.metrics.get("recording.accuracy")
    likeliest = np.array(version.labels)[_get_probabilities(version, version.predictions, version.labels).argmax(1)]
    found = float((version.predictions["label"] == likeliest).mean())
    if not isinstance(reported, (int, float)) or abs(reported - found) > SAME_SCORE:
        cautions.append(
            f"{side}: its metrics say accuracy {reported}, the likeliest classes of its predictions {found:.9g}: they "
            "are not of one run. Run dvc repro there."
        )
    return cautions


def format_comparison(a: Version, b: Version, markdown: bool) -> str:
    """The whole comparison as text: cautions, paired differences, other metrics, parameters.

    Parameters
    ----------
    a, b
        The two versions; differences are B - A.
    markdown
        GitHub's Markdown instead of plain columns.
    """
    paired = pair_predictions(a, b)
    cautions = find_cautions(a, b, paired)
    head = f"{'### ' if markdown else ''}A: {a.title}, B: {b.title}"
    parts = [_format_pairs(a, b, paired, cautions, markdown)]
    by_column = count_by_column(b, paired)
    if by_column:
        title = f"{'#### ' if markdown else ''}Correct predictions by the lab's own columns, in B"
        parts.append(f"{title}\n\n{draw_table(('', 'recordings', 'A', 'B'), by_column, markdown)}")
    for title, rows in (
        ("All metrics that differ, each version on its own recordings, without interval", list_differing_metrics(a, b)),
        ("Parameters that differ", list_differing_params(a, b)),
    ):
        body = draw_table(("", "A", "B"), rows, markdown) if rows else "none does"
        parts.append(f"{'#### ' if markdown else ''}{title}\n\n{body}")
    marks = [f"> **Warning:** {text}\n>" if markdown else f"WARNING: {text}" for text in cautions]
    return "\n\n".join([head, *(["\n".join(marks)] if marks else []), *parts])


def _format_pairs(a: Version, b: Version, paired: pd.DataFrame, cautions: list[str], markdown: bool) -> str:
    """The paired table; what is noticed about groups on the way is added to the cautions."""
    if paired.empty:
        cautions.append("NOTHING TO COMPARE: not one recording was scored by both with the same label.")
        return "No paired differences."
    groups = _find_groups(paired, cautions)
    labels, bins = sorted({*a.labels, *b.labels}), _choose_bins(a, b, cautions)
    actual = paired["label"].to_numpy()
    first, second = (_get_probabilities(version, paired, labels) for version in (a, b))
    differences = compare_predictions(labels, actual, groups, first, second, bins)
    change = find_changes(labels, actual, first, second)
    rows = [_format_difference(item) for item in differences]
    table = draw_table(("metric", "A", "B", "B - A", "95 % interval", "verdict"), rows, markdown)
    p_value, min_attainable_p = flip_signs(change, groups)
    counts = (
        f"{len(paired)} recordings in {groups.max() + 1} groups (batch, or culture), scored by both. Only A is right "
        f"on {(change < 0).sum()}, only B on {(change > 0).sum()}. Swapping A and B in whole groups: p = {p_value:.3g} "
        f"for the accuracy (smallest attainable {min_attainable_p:.2g}). Calibration error over {bins} bins."
    )
    return "\n\n".join([counts, table, CAVEAT])


def count_by_column(b: Version, paired: pd.DataFrame) -> list[tuple[str, ...]]:
    """For each value of the lab's own columns: how many recordings have it, and what A and B predicted correctly."""
    rows = []
    for column in list_categories(b.predictions):
        value = paired["recording"].map(b.predictions.set_index("recording")[column]).astype(str)
        right = [paired[f"predicted_{side}"] == paired["label"] for side in "ab"]
        for name, chosen in paired.groupby(value).groups.items():
            counts = (str(int(one[chosen].sum())) for one in right)
            rows.append((f"{column.removeprefix(PREFIX)} {name or 'unknown'}", str(len(chosen)), *counts))
    return rows


def _format_difference(item: Difference) -> tuple[str, ...]:
    return (
        f"{item.metric}{'' if METRICS[item.metric].higher_is_better else ' (lower is better)'}",
        _show(item.a),
        _show(item.b),
        _show(item.value, sign=True),
        f"{_show(item.low, sign=True)} to {_show(item.high, sign=True)}" if math.isfinite(item.low) else "none",
        f"{item.verdict}: {item.better} is better" if item.better else item.verdict,
    )


def _find_groups(paired: pd.DataFrame, cautions: list[str]) -> np.ndarray:
    recordings = paired[["recording", "label", "culture_b", "batch_b"]].set_axis(IDENTITY, axis=1)
    groups, unknown = group_recordings(recordings, "batch"), explain_unknown(recordings, "batch")
    cautions += [unknown] if unknown else []
    count = groups.max() + 1
    if count < 2:
        cautions.append("ONE GROUP: all recordings share a batch or culture; differences have no interval.")
    elif count < FEW_GROUPS:
        cautions.append(f"FEW GROUPS: {count}; below {FEW_GROUPS} the intervals are a rough guide.")
    return groups


def _choose_bins(a: Version, b: Version, cautions: list[str]) -> int:
    bins = [version.params.get("evaluate.bins") for version in (a, b)]
    chosen = next((number for number in reversed(bins) if number is not None), None)
    if chosen is None:
        raise MeaError("evaluate.bins: neither version has this parameter, which the calibration error needs. Set it.")
    if bins[0] != bins[1]:
        cautions.append(
            f"DIFFERENT BINS of the calibration error: {bins[0]} and {bins[1]}; {chosen} are used for both."
        )
    return int(chosen)


def _get_probabilities(version: Version, recordings: pd.DataFrame, labels: list[str]) -> np.ndarray:
    """(n, n_labels) probabilities, 0 for a class this version does not know."""
    own = version.predictions.set_index("recording").loc[recordings["recording"]]
    return own.reindex(columns=[f"p_{label}" for label in labels], fill_value=0.0).to_numpy(float)


def list_differing_metrics(a: Version, b: Version) -> list[tuple[str, ...]]:
    """The evaluate stage's metrics that differ, A and B; ``none`` where a version lacks one. Warnings stand above."""
    return [row for row in _list_differing(a.metrics, b.metrics, _show) if not row[0].endswith("warning")]


def list_differing_params(a: Version, b: Version) -> list[tuple[str, ...]]:
    """The parameters that differ, A and B, sorted; ``none`` where a version lacks one."""
    return sorted(_list_differing(a.params, b.params, repr))


def _list_differing(a: dict[str, Any], b: dict[str, Any], show: Callable[[Any], str]) -> list[tuple[str, ...]]:
    return [
        (name, *(show(side[name]) if name in side else "none" for side in (a, b)))
        for name in dict.fromkeys([*a, *b])
        if name not in a or name not in b or a[name] != b[name]
    ]


def _show(value: Any, sign: bool = False) -> str:
    if isinstance(value, float):
        return f"{value:{'+' if sign else ''}.4f}" if math.isfinite(value) else "undefined"
    return "none" if value is None else str(value)


def main(argv: list[str] | None = None, prog: str = "mea compare") -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog=prog, description=DESCRIPTION)
    known = "a commit, branch, tag or DVC experiment, or workspace"
    parser.add_argument("a", metavar="A", help=known)
    parser.add_argument("b", metavar="B", nargs="?", default=WORKSPACE, help=f"{known}; by default workspace")
    parser.add_argument("--md", action="store_true", help="Markdown for a pull request")
    arguments = parser.parse_args(argv)
    with end_plainly("compare", "interrupted; nothing was changed."):
        print(format_comparison(load_version(arguments.a), load_version(arguments.b), arguments.md))
