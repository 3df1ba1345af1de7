"""Where the data come from, what to be warned of, and the model card, as the report shows them."""

import re

import pandas as pd
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from mea.report.results import Results

LOWEST_HEADING = 6
NEXT_WARNING = re.compile("; (?=leaky: |confounded: )")  # a warning itself may hold semicolons


def list_warnings(results: Results) -> list[str]:
    """What a reader must know before any metric; empty where there is nothing."""
    split = results.split["warning"]
    rest = results.metrics["warning"].removeprefix(split).removeprefix("; ")
    doubts = [doubt for text in (split, rest) for doubt in NEXT_WARNING.split(text) if doubt]
    doubts += [f"{name}: {text}" for name, text in results.array["quality"].items()]
    count = len(list_set_aside(results))
    if count:
        doubts.append(f"{count} recordings were set aside and are in none of the metrics: see Provenance")
    return doubts


def list_set_aside(results: Results) -> list[tuple[str, str, str]]:
    """Recordings that are in none of the metrics: (recording, stage, reason)."""
    by_stage = {
        "h5": results.h5["set_aside_reasons"],
        "array": results.array["set_aside"],
        "split": results.split["set_aside"],
    }
    return [(name, stage, reason) for stage, reasons in by_stage.items() for name, reason in reasons.items()]


def list_data(results: Results) -> list[tuple[str, str]]:
    """The data in a few lines, (name, value)."""
    h5, used = results.h5, results.catalogue[results.catalogue["status"] == "used"]
    starts = used["start"][used["start"] != ""]
    known = {
        "recordings": str(h5["recordings"]),
        "hours": f"{h5['hours']:.3g}",
        "cultures": f"{h5['cultures']} known, {h5['culture_unknown']} recordings of unknown ones",
        "batches": f"{h5['batches']} known, {h5['batch_unknown']} recordings of unknown ones",
        "formats": _join_counts(h5["formats"]),
        "layouts": _join_counts(h5["layouts"]),
        "samples per second": _join_counts(h5["sampling_rates_hz"]),
        "recorded": f"{starts.min()[:10]} to {starts.max()[:10]}" if len(starts) else "unknown",
        "spikes found": f"{results.array['events']}",
        "held out together": results.split["split_level"],
        "archives": ", ".join(_list_archives(results.manifest)),
        "SHA-256 of all events": results.card["data"]["events_sha256"],
        "SHA-256 of the split": results.card["data"]["split_sha256"],
    }
    return list(known.items())


def _join_counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} ({count})" for name, count in counts.items())


def _list_archives(manifest: pd.DataFrame) -> list[str]:
    return sorted(name for name in manifest["archive"].unique() if name) or ["none: loose files"]


def render_markdown(text: str, lower: int = 2) -> Markup:
    """Markdown as HTML; HTML, links and images in it stay text.

    Parameters
    ----------
    text
        Written by a stage; names in it come from a lab.
    lower
        Every heading becomes one of so many levels below.
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table").disable(["link", "image", "autolink"])
    tokens = parser.parse(text)
    for token in tokens:
        _lower_heading(token, lower)
    return Markup(parser.renderer.render(tokens, parser.options, {}))


def _lower_heading(token: Token, lower: int) -> None:
    if re.fullmatch(r"h[1-6]", token.tag):
        token.tag = f"h{min(int(token.tag[1]) + lower, LOWEST_HEADING)}"
