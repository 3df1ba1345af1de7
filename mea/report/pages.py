"""The pages, filled: one HTML file each, which loads nothing; of many recordings, what lies beside it."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from mea.evaluation.rules import escape_label, read_sets, split_set
from mea.recordings.lab_columns import PREFIX, list_categories, order_value
from mea.report.attributions import Attribution
from mea.report.details import MOST_INSIDE
from mea.report.headline import format_accuracy, list_families, list_metrics, list_models, show_number, show_percent
from mea.report.plots import UNITS, list_plots
from mea.report.provenance import list_data, list_set_aside, list_warnings, render_markdown
from mea.report.results import Results
from mea.report.rows import STRIP_HEIGHT, STRIP_WIDTH, count_groups, list_rows
from mea.runtime.style import COLOURS
from mea.statistics.scores import count_confusion

HERE = Path(__file__).parent
MOST_GROUPS = 20  # of batches or cultures that stand open
MOST_COLOURS = 7  # classes that have a colour of their own


def render_report(
    results: Results,
    details: dict[str, dict[str, Any]],
    attributions: list[Attribution],
    most_spikes: int,
    comparison: str,
) -> dict[str, str]:
    """The page of the recordings that were held out, and what lies beside it where they are many.

    Parameters
    ----------
    results
        What the stages wrote.
    details
        By recording, of those that are drawn: :func:`mea.report.details.build_detail`.
    attributions
        Of some recordings.
    most_spikes
        How many spikes of a recording are drawn at most.
    comparison
        With another version, in Markdown; empty for none.

    Returns
    -------
    dict
        The content of each file by its name: ``index.html``, which holds everything of up to 500 recordings. Of more, a
        row opens ``details/<number>.js``, and ``plotly.min.js`` draws it: scripts, because a page that was opened from
        disk may load those and no other files.
    """
    rows, lab = list_rows(results), list_categories(results.recordings)
    grouped = {"batch": "batch", "culture": "culture"} | {name.removeprefix(PREFIX): name for name in lab}
    numbers = {row.recording: number for number, row in enumerate(rows)}
    inside = len(rows) <= MOST_INSIDE
    numbered = {numbers[name]: detail for name, detail in details.items()}
    page = _render(
        "index.html",
        results,
        inside=inside,
        plotly=Markup(get_plotlyjs()) if inside else "",
        headline=format_accuracy(results.metrics, results.split["split_level"], results.confidence_level),
        metrics=list_metrics(results.metrics),
        models=list_models(results.metrics),
        confusions=[count_predictions(results, unit) for unit in UNITS],
        plots=list_plots(results),
        contrast=results.contrast,
        families=list_families(results.metrics, results.contrast),
        groups={title: count_groups(results, column).to_dict("records") for title, column in grouped.items()},
        lab={
            name.removeprefix(PREFIX): sorted({row.lab[place] for row in rows if row.lab[place]}, key=order_value)
            for place, name in enumerate(lab)
        },
        most_groups=MOST_GROUPS,
        folds=sorted({row.fold for row in rows}),
        rows=rows,
        strip=(STRIP_WIDTH, STRIP_HEIGHT),
        details=numbered,
        attributions=[asdict(one) | {"number": numbers[one.recording]} for one in attributions],
        most_spikes=most_spikes,
        data=list_data(results),
        set_aside=list_set_aside(results),
        card=render_markdown(results.card_text),
        comparison=render_markdown(comparison),
    )
    if inside:
        return {"index.html": page}
    beside = {f"details/{number}.js": _call_page(number, detail) for number, detail in numbered.items()}
    return {"index.html": page, "plotly.min.js": get_plotlyjs()} | beside


def _call_page(number: int, detail: dict[str, Any]) -> str:
    return f"receiveDetail({number}, {json.dumps(detail, allow_nan=False, separators=(',', ':'))});\n"


def render_new(results: Results) -> str:
    """The page of the new recordings: predicted, or rejected with the reason."""
    return _render("new.html", results, decisions=list_decisions(results.classified, results.labels))


def list_decisions(classified: pd.DataFrame, labels: list[str]) -> list[dict[str, Any]]:
    """New recordings for the page; what is unknown of one is None or empty."""
    decisions = []
    for line in classified.to_dict("records"):
        probabilities = {label: _read_number(line[f"p_{label}"]) for label in labels}
        known = {name: str(line[name]) for name in ("recording", "predicted", "decision", "reason", "flags")}
        as_written = str(line["prediction_set"])
        possible = read_sets(pd.Series([as_written]), labels)[0]
        always = " (too few calibration recordings to exclude it)"
        decisions.append(
            known
            | {
                "confidence": _read_number(line["confidence"]),
                "probabilities": {label: value for label, value in probabilities.items() if value is not None},
                "possible": [
                    label + (always if f"({escape_label(label)})" in split_set(as_written) else "")
                    for label, inside in zip(labels, possible)
                    if inside
                ],
            }
        )
    return decisions


def count_predictions(results: Results, unit: str) -> dict[str, Any]:
    """The confusion matrix of recordings or chunks: rows are actual labels, columns predicted ones."""
    table = results.recordings if unit == "recording" else results.chunks
    matrix = count_confusion(results.labels, table["label"].to_numpy(), table["predicted"].to_numpy())
    totals = matrix.sum(1)
    cells = [
        [{"count": int(count), "fraction": count / total if total else 0.0} for count in line]
        for line, total in zip(matrix, totals)
    ]
    return {"unit": unit, "cells": cells, "totals": [int(total) for total in totals]}


def _read_number(value: Any) -> float | None:
    number = pd.to_numeric(value, errors="coerce")
    return None if pd.isna(number) else float(number)


def _render(template: str, results: Results, **content: Any) -> str:
    # StrictUndefined: a name that is missing in a template is an error, not an empty place on the page.
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"percent": show_percent, "number": show_number}
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False, "separators": (",", ":"), "allow_nan": False}
    style, table, page = (Markup((HERE / name).read_text("utf-8")) for name in ("page.css", "table.js", "charts.js"))
    colours = dict(zip(results.labels, COLOURS[:MOST_COLOURS]))
    return environment.get_template(template).render(
        labels=results.labels,
        colours=[colours.get(label, COLOURS[-1]) for label in results.labels],
        style=style,
        table_script=table,
        chart_script=page,
        model=results.card["model"],
        warnings=list_warnings(results),
        leaky=results.metrics["leaky"],
        **content,
    )
