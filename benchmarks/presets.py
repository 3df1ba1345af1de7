"""What the presets find: ``python -m benchmarks.presets --source charlesworth2015=FOLDER``

Runs each preset in a clone of the committed project, as ``mea preset`` does, and keeps what
``metrics/evaluate.json`` says in ``benchmarks/presets.json``. The tables in README.md and docs/presets.md are drawn
from that file and from the committed ``metrics/evaluate.json``, between two comments; a test compares them.

A preset that needs recordings is run only if ``--source`` names their folder; else its line is kept as it was.
``--draw`` runs nothing and draws the tables again.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.drawn import replace_drawn
from mea.runtime.command import print_line
from mea.runtime.files import write_json
from mea.versions.presets import load_preset

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks/presets.json"
BEGIN = "<!-- drawn from benchmarks/presets.json: python -m benchmarks.presets --draw -->"
NETWORK = ("train.models=[cnn_lstm]", "train.cnn_lstm.bin_ms=250", "train.cnn_lstm.epochs=10")


@dataclass(frozen=True)
class Run:
    """One line of the tables: a preset, what is changed on top of it, and what a reader calls it."""

    name: str
    title: str
    preset: str
    settings: tuple[str, ...] = ()
    in_readme: bool = True


RUNS = (
    Run("predecessor_base", "`predecessor_base` on it: best epoch chosen on the test recordings", "predecessor_base",
        in_readme=False),
    Run("predecessor_second", "`predecessor_second` on it: split by chunk", "predecessor_second", in_readme=False),
    Run("null_base", "`null_base`: no class effect, split by recording", "null_base"),
    Run("null_second", "`null_second`: the same recordings, split by chunk", "null_second"),
    Run("charlesworth2015", "`charlesworth2015`: real recordings, split by batch", "charlesworth2015"),
    Run("cotterill2016", "`cotterill2016`: the day of 1,584 wells, plating dates held out", "cotterill2016"),
    Run("charlesworth2015_cnn_lstm", "the predecessor's network on them, bins of 250 ms, split by batch",
        "charlesworth2015", NETWORK, in_readme=False),
)  # fmt: skip


@dataclass(frozen=True)
class Result:
    """What a run found, over recordings: the headline, its interval, and what it is compared with.

    Attributes
    ----------
    recordings
        How many were held out and scored.
    accuracy, low, high
        Of the headline, with its 95 % interval.
    by_chunk
        Accuracy over chunks.
    rate
        Accuracy of the firing rate alone.
    leaky
        Whether the same group stands in the training and the test set.
    """

    recordings: int
    accuracy: float
    low: float
    high: float
    by_chunk: float
    rate: float
    leaky: bool


def read_result(metrics: Path) -> Result:
    """Read what a run wrote into ``metrics/evaluate.json``."""
    found: dict[str, Any] = json.loads(metrics.read_text(encoding="utf-8"))
    of = found["recording"]
    return Result(
        of["count"], of["accuracy"], of["accuracy_low"], of["accuracy_high"], found["chunk"]["accuracy"],
        found["baseline"]["rate"]["accuracy"], bool(found["leaky"]),
    )  # fmt: skip


def run_preset(run: Run, source: Path | None) -> Result:
    """Run one preset in a clone of the committed project.

    Raises
    ------
    subprocess.CalledProcessError
        If it fails.
    """
    with tempfile.TemporaryDirectory(prefix="mea-presets-") as folder:
        clone = Path(folder) / "project"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        given = [part for setting in run.settings for part in ("--set", setting)]
        given += ["--source", str(source.resolve())] if source else []
        # The clone's own code, not the one that is installed.
        environment = os.environ | {"PYTHONPATH": str(clone)}
        subprocess.run(
            [sys.executable, "-m", "mea", "preset", run.preset, *given], cwd=clone, env=environment, check=True
        )
        return read_result(clone / "metrics/evaluate.json")


def format_result(title: str, result: Result) -> list[str]:
    """The cells of one line."""
    shown = f"**{result.accuracy:.0%}** ({result.low * 100:.0f}–{result.high * 100:.0f})"
    title += " (leaky)" if result.leaky else ""
    return [title, str(result.recordings), shown, f"{result.by_chunk:.0%}", f"{result.rate:.0%}"]


def draw_tables() -> dict[str, str]:
    """README.md and docs/presets.md with their tables drawn again, by their names."""
    results = {name: Result(**line) for name, line in json.loads(RESULTS.read_text(encoding="utf-8")).items()}
    first = format_result(
        "`make repro`: the embedded sample, split by batch", read_result(ROOT / "metrics/evaluate.json")
    )
    header = ["run", "recordings scored", "accuracy", "by chunk", "firing rate alone"]
    drawn = {}
    for name, runs in {
        "README.md": [run for run in RUNS if run.in_readme],
        "docs/presets.md": list(RUNS),
    }.items():
        rows = [first, *(format_result(run.title, results[run.name]) for run in runs if run.name in results)]
        text = (ROOT / name).read_text(encoding="utf-8")
        table = "\n".join(f"| {' | '.join(row)} |" for row in (header, ["---", *["--:"] * 4], *rows))
        drawn[name] = replace_drawn(text, BEGIN, table)
    return drawn


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.presets",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = "the folder of the recordings that a preset needs"
    parser.add_argument("--source", metavar="PRESET=FOLDER", action="append", default=[], help=what)
    parser.add_argument("--only", metavar="NAME", nargs="+", help="run these lines; keep the others")
    parser.add_argument("--draw", action="store_true", help="run nothing, draw the tables")
    given = parser.parse_args()
    sources = {name: Path(folder) for name, _, folder in (one.partition("=") for one in given.source)}
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    for run in () if given.draw else RUNS:
        needs_source = load_preset(run.preset).needs_source
        if (given.only and run.name not in given.only) or (needs_source and run.preset not in sources):
            print_line(f"{run.name}: not run; its line is kept.")
            continue
        result = run_preset(run, sources.get(run.preset))
        results[run.name] = asdict(result)
        write_json(RESULTS, results)
        print_line(f"{run.name}: {result}")
    for name, text in draw_tables().items():
        (ROOT / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
