"""The metrics to look at first: ``mea summary``."""

import argparse
from pathlib import Path
from typing import Any

from mea.runtime.command import end_plainly
from mea.runtime.errors import MeaError
from mea.runtime.files import read_json
from mea.runtime.tables import read_table
from mea.statistics.scores import METRICS

METRICS_FILE, CLASSIFIED_FILE = "metrics/evaluate.json", "metrics/classify.csv"
PLACES = ("report/index.html", "plots", "models/classifier")

UNDEFINED = "undefined"  # how a number that does not exist is shown; in metrics it is null


def format_headline(metrics: Path, classified: Path) -> str:
    """The headline in a few lines of plain words.

    Parameters
    ----------
    metrics
        What the evaluate stage wrote; the predictions and plots are named after it.
    classified
        What the classify stage wrote.

    Raises
    ------
    MeaError
        If one of them is missing, or another file.
    """
    for path in (metrics, classified):
        if not path.is_file():
            raise MeaError(f"{path}: no such file. Run the pipeline first: dvc repro.")
    try:
        lines = _format_metrics(read_json(metrics))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise MeaError(f"{metrics}: lacks or misplaces {error}: not what evaluate wrote. Run dvc repro.") from None
    table = read_table(classified)
    if "decision" not in table:
        raise MeaError(f"{classified}: has no column decision: not what the stage classify wrote. Run dvc repro.")
    if len(table):
        counts = table["decision"].value_counts()
        lines.append(f"{counts.get('predicted', 0)} new recordings predicted, {counts.get('rejected', 0)} rejected.")
    return "\n".join(lines)


def _format_metrics(metrics: dict[str, Any]) -> list[str]:
    count = metrics["recording"]["count"]
    lines = [f"  {name:<20}{value}" for name, value in list_metrics(metrics)]
    if metrics["leaky"]:
        return [f"{count} recordings. NOT AN HONEST ESTIMATE: {metrics['warning']}", *lines]
    lines.insert(0, f"{count} recordings, each predicted by a model that never saw its group:")
    lines += [
        f"  {row['model']:<20}{row['accuracy']}, AUC {row['ROC AUC']}, chosen in {row['chosen']}, {row['verdict']}"
        for row in list_models(metrics)
    ]
    return lines + [f"  WARNING: {metrics['warning']}"] * bool(metrics["warning"])


def list_metrics(metrics: dict[str, Any]) -> list[tuple[str, str]]:
    """The metrics to look at first, as (name, value in words).

    Parameters
    ----------
    metrics
        What the evaluate stage measured, as in its metrics file.
    """
    recording, chunk, baseline = (metrics[name] for name in ("recording", "chunk", "baseline"))
    permutation, optimism = metrics["permutation"], metrics["optimism"]
    shown = {name: metric.headline for name, metric in METRICS.items() if metric.headline}
    more = [f"{words} {show_number(recording[name])}" for name, words in shown.items()]
    return [
        ("accuracy", ", ".join([show_scores(recording), *more])),
        ("by chunk", show_scores(chunk)),
        ("firing rate alone", show_scores(baseline["rate"])),
        ("metadata alone", show_percent(baseline["metadata"]["accuracy"])),
        ("majority class", show_percent(baseline["majority"]["accuracy"])),
        (
            "chance",
            f"p = {show_number(permutation['p_value'])}, labels permuted between groups "
            f"(at least about {show_number(permutation['min_attainable_p'])})",
        ),
        (
            "split by chunk",
            f"would have shown {show_percent(optimism['chunk_split_accuracy'])} of chunks, not "
            f"{show_percent(optimism['honest_accuracy'])} (linear probe on the same features)",
        ),
        (
            "prior",
            "probabilities hold where the classes have these shares: "
            + ", ".join(f"{label} {show_percent(share)}" for label, share in metrics["prior"].items()),
        ),
        *_list_order(metrics.get("ordered")),
    ]


def _list_order(ordered: dict[str, float] | None) -> list[tuple[str, str]]:
    """How far off predictions of ordered classes are; nothing where no order is declared."""
    if not ordered:
        return []
    rank_error, adjacent = show_number(ordered["rank_error"]), show_percent(ordered["adjacent"])
    return [("ordered classes", f"mean absolute error of ranks {rank_error}; {adjacent} correct or one rank off")]


def list_models(metrics: dict[str, Any]) -> list[dict[str, str]]:
    """The models side by side in words, one row each; none where a single model was trained.

    ``difference`` is the accuracy minus that of the headline on the same recordings, with its interval; ``chosen`` is
    the weight, a mean over the folds.
    """
    rows = []
    for name, one in metrics["models"].items() if len(metrics["models"]) > 1 else ():
        reach = [show_percent(one[f"difference_{side}"]) for side in ("low", "high")]
        interval = "" if UNDEFINED in reach else f" ({reach[0]} to {reach[1]})"
        rows.append(
            {
                "model": name,
                "accuracy": show_scores(one),
                "balanced accuracy": show_percent(one["balanced_accuracy"]),
                "ROC AUC": show_number(one["roc_auc"]),
                "log loss": show_number(one["log_loss"]),
                "ECE": show_number(one["ece"]),
                "difference": f"{show_percent(one['difference'])}{interval}",
                "verdict": one["verdict"],
                "chosen": show_percent(one["weight"]),
            }
        )
    return rows


def list_families(metrics: dict[str, Any], contrast: dict[str, Any]) -> list[dict[str, Any]]:
    """Families of features: how many differ between each pair of classes, and how much the headline's models need them.

    The most important first; ``log_loss`` and ``log_loss_std`` are a dash where the models know no families.
    """
    counted = [pair["families"] for pair in contrast["pairs"].values()]
    known = dict.fromkeys(name for families in counted for name in families)
    importance = metrics["importance"]
    nothing = {"features": 0, "q_below_5_percent": 0, "largest_g": 0.0}
    return [
        {
            "name": name.replace("_", " "),
            "pairs": [families.get(name, nothing) for families in counted],
            "log_loss": show_number(importance[name]["log_loss"]) if name in importance else "–",
            "log_loss_std": show_number(importance[name]["log_loss_std"]) if name in importance else "–",
        }
        for name in [
            *(name for name in importance if name in known),
            *(name for name in known if name not in importance),
        ]
    ]


def format_accuracy(metrics: dict[str, Any], split_level: str, confidence_level: float) -> str:
    """The accuracy and its interval in one sentence of plain words.

    Parameters
    ----------
    metrics
        What the evaluate stage measured.
    split_level
        What was held out whole: ``batch``, ``culture``, ``recording`` or ``chunk``.
    confidence_level
        Of the interval, 0 to 1.
    """
    scores = metrics["recording"]
    of = f"Of {scores['count']} recordings, {show_percent(scores['accuracy'])} were classified correctly"
    if metrics["leaky"]:
        return f"{of}, but this is not an honest estimate: see the warning."
    seen = "it" if split_level == "recording" else f"its {split_level}"
    told = f"{of}, each by a model that had never seen {seen}"
    if scores["accuracy_low"] is None:
        return f"{told}. There is a single group, so there is no interval."
    low, high = (show_percent(scores[f"accuracy_{side}"]) for side in ("low", "high"))
    interval = f"{100 * confidence_level:.4g} % interval"
    return f"{told}. The {interval} for other groups of this kind is {low} to {high}."


def show_number(value: float | None) -> str:
    """A number with three digits; ``undefined`` for None."""
    return UNDEFINED if value is None else f"{value:.3g}"


def show_percent(fraction: float | None) -> str:
    """A fraction in percent; ``undefined`` for None.

    >>> show_percent(0.925)
    '92.5%'
    """
    return UNDEFINED if fraction is None else f"{fraction:.1%}"


def show_scores(scores: dict[str, Any]) -> str:
    """An accuracy with its interval."""
    if scores["accuracy_low"] is None:
        return f"{scores['accuracy']:.1%} (a single group: no interval)"
    return f"{scores['accuracy']:.1%} ({scores['accuracy_low']:.1%} to {scores['accuracy_high']:.1%})"


def main(argv: list[str] | None = None, prog: str = "mea summary") -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Print the results of the last run in a few lines.",
    )
    for name, default, stage in (("metrics", METRICS_FILE, "evaluate"), ("classified", CLASSIFIED_FILE, "classify")):
        what = f"what the stage {stage} wrote; by default {default}"
        parser.add_argument(name, metavar=name.upper(), nargs="?", default=default, help=what)
    what = "further places with results, to be named in the last line; by default the report, plots and classifier"
    parser.add_argument("places", metavar="PLACE", nargs="*", help=what)
    arguments = parser.parse_args(argv)
    with end_plainly("summary", "interrupted."):
        print(format_headline(Path(arguments.metrics), Path(arguments.classified)))
    places = arguments.places or [place for place in PLACES if Path(place).exists()]
    print("Results:", ", ".join([arguments.metrics, arguments.classified, *places]))
