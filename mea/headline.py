"""The figures to look at first, and where the rest is: ``python -m mea.headline METRICS CLASSIFIED [FOLDER ...]``."""

import sys
from pathlib import Path

from mea.command import end_plainly
from mea.errors import MeaError
from mea.files import read_json
from mea.tables import read_table


def describe_results(metrics: Path, classified: Path) -> str:
    """The headline in a few lines of plain words.

    Parameters
    ----------
    metrics
        What the evaluate stage wrote; the predictions and pictures are named after it.
    classified
        What the classify stage wrote.

    Raises
    ------
    MeaError
        If one of them is missing.
    """
    for path in (metrics, classified):
        if not path.is_file():
            raise MeaError(f"{path}: no such file. Run the pipeline first: dvc repro.")
    figures = read_json(metrics)
    recording, chunk, baseline = (figures[name] for name in ("recording", "chunk", "baseline"))
    lines = [
        f"{recording['count']} recordings, each called by a model that never saw its group:",
        f"  accuracy            {_show_share(recording)}, AUC {_show_number(recording['roc_auc'])}",
        f"  by chunk            {_show_share(chunk)}",
        f"  firing rate alone   {_show_share(baseline['rate'])}",
        f"  metadata alone      {_show(baseline['metadata']['accuracy'])}",
        f"  majority class      {_show(baseline['majority']['accuracy'])}",
        f"  chance              p = {_show_number(figures['permutation']['p_value'])}, labels permuted between groups "
        f"(at least about {_show_number(figures['permutation']['smallest_p'])})",
        f"  split by chunk      would have shown {_show(figures['optimism']['chunk_split_accuracy'])} of chunks, not "
        f"{_show(figures['optimism']['honest_accuracy'])} (linear probe on the same features)",
    ]
    if figures["warning"] and not figures["leaky"]:
        lines.append(f"  WARNING: {figures['warning']}")
    if figures["leaky"]:
        lines[0] = f"{recording['count']} recordings. NOT AN HONEST FIGURE: {figures['warning']}"
    table = read_table(classified)
    if len(table):
        counts = table["decision"].value_counts()
        lines.append(f"{counts.get('called', 0)} new recordings called, {counts.get('refused', 0)} refused.")
    return "\n".join(lines)


def _show_number(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.3g}"


def _show(share: float | str) -> str:
    return share if isinstance(share, str) else f"{share:.1%}"


def _show_share(scores: dict) -> str:
    if scores["accuracy_low"] == "undefined":
        return f"{scores['accuracy']:.1%} (a single group: no interval)"
    return f"{scores['accuracy']:.1%} ({scores['accuracy_low']:.1%} to {scores['accuracy_high']:.1%})"


def main(argv: list[str]) -> None:
    """The command line: the two files, and what else is to be named as a place with results."""
    if len(argv) < 2:
        sys.exit(
            "headline: name the metrics and the table of new recordings, for instance "
            "python -m mea.headline metrics/evaluate.json metrics/classify.csv"
        )
    with end_plainly("headline", "interrupted."):
        print(describe_results(Path(argv[0]), Path(argv[1])))
    print("Results:", ", ".join(argv))


if __name__ == "__main__":
    main(sys.argv[1:])
