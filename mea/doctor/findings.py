"""What the doctor finds: how bad it is, where, and what to do about it."""

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass

FINE, DOUBTFUL, WRONG = "fine", "doubtful", "wrong"
SEVERITIES = (WRONG, DOUBTFUL, FINE)  # the worst first
MOST_PLACES = 3  # that are named where the same is found in many
WIDTH = 110


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Attributes
    ----------
    severity
        ``fine``, ``doubtful`` (look at it, then decide) or ``wrong`` (the pipeline stops, or its result is not worth
        having).
    where
        A recording, an archive, a file, or what else it is about.
    what
        In words.
    remedy
        What to do; empty where nothing is to be done, or where ``what`` is the pipeline's own message and ends with it.
    """

    severity: str
    where: str
    what: str
    remedy: str = ""


def count_severities(findings: Iterable[Finding]) -> dict[str, int]:
    """How many findings there are of each severity, the worst first."""
    severities = [finding.severity for finding in findings]
    return {severity: severities.count(severity) for severity in SEVERITIES}


def format_findings(findings: Iterable[Finding]) -> str:
    """The findings as text, the worst first; what is the same in several places is said once."""
    same: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in findings:
        same.setdefault((finding.severity, _leave_name_out(finding), finding.remedy), []).append(finding)
    return "\n".join(
        _format_group(group) for group in sorted(same.values(), key=lambda one: SEVERITIES.index(one[0].severity))
    )


def _leave_name_out(finding: Finding) -> str:
    """What is found, its place not named: pipeline messages quote it."""
    return finding.what.replace(repr(finding.where), "…")


def _format_group(same: list[Finding]) -> str:
    first = same[0]
    shown = ", ".join(finding.where for finding in same[:MOST_PLACES])
    shown += f" and {len(same) - MOST_PLACES} more" if len(same) > MOST_PLACES else ""
    what = first.what if len(same) == 1 else _leave_name_out(first)
    severity = first.severity.upper() if first.severity == WRONG else first.severity
    lines = [_indent(f"{shown}: {what}", f"  {severity:<10}")]
    lines += [_indent(first.remedy, " " * 12 + "-> ")] if first.remedy else []
    return "\n".join(lines)


def _indent(text: str, first: str) -> str:
    """Lines of even width under each other; lines of the text stay lines, and names are not taken apart."""
    lines = text.split("\n")
    starts = [first, *[" " * len(first)] * (len(lines) - 1)]
    whole = {"width": WIDTH, "break_long_words": False, "break_on_hyphens": False}
    return "\n".join(
        textwrap.fill(
            line.strip(),
            initial_indent=start,
            subsequent_indent=" " * (len(first) + 2 * line.startswith("- ")),
            **whole,  # type: ignore[arg-type]
        )
        for start, line in zip(starts, lines)
    )
