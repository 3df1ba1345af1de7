"""The command ``mea``, the same as ``python -m mea``: what is asked of recordings, models and results.

The pipeline itself is run by DVC. A command's modules are imported when it is called, so that ``mea --help`` is quick.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from mea.runtime.environment import explain_missing, is_package_missing, read_version

COMMANDS = {
    "doctor": "look at recordings, data set and project before anything is run",
    "classify": "classify new recordings by a trained classifier; needs nothing but its folder",
    "explain": "show which electrodes, seconds and features decide a recording's class",
    "export": "write spikes for other programs: NWB files, or one Parquet table",
    "compare": "compare two versions of the results, recording by recording",
    "summary": "print the main metrics of the results in the workspace",
    "preset": "run a named set of parameters as a DVC experiment",
    "lock": "check that dvc.lock belongs to dvc.yaml, code and parameters",
    "plots-page": "make the page of `dvc plots` open without internet",
}


def build_parser() -> argparse.ArgumentParser:
    """The command line up to the sub-command, which parses the rest."""
    parser = argparse.ArgumentParser(
        prog="mea",
        description="Questions to multi-electrode-array recordings, classifiers and results.",
        epilog="\n".join(
            [
                "commands:",
                *(f"  {name:<12}{what}" for name, what in COMMANDS.items()),
                "",
                "mea COMMAND --help describes one of them. The pipeline itself is run by DVC: dvc repro.",
            ]
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"mea {read_version()}")
    parser.add_argument("command", metavar="COMMAND", choices=COMMANDS, help="one of those below")
    parser.add_argument("arguments", metavar="...", nargs=argparse.REMAINDER, help="what the command takes")
    return parser


def find_command(name: str) -> Callable[[list[str], str], None]:
    """The function that does the work of a sub-command: called with its arguments and its name in messages."""
    match name:
        case "doctor":
            from mea.doctor.__main__ import main
        case "classify":
            from mea.classification.command import main
        case "explain":
            from mea.classification.explain import main
        case "export":
            from mea.arrays.export import main
        case "compare":
            from mea.versions.compare import main
        case "summary":
            from mea.report.headline import main
        case "preset":
            from mea.versions.presets import main
        case "lock":
            from mea.versions.lock import main
        case _:
            from mea.versions.plots_page import main
    return main


def main(argv: Sequence[str] | None = None) -> None:
    """Run one sub-command; without arguments, print the help.

    A package that is missing ends the program with one line that names the environment and the remedy.
    """
    given = sys.argv[1:] if argv is None else list(argv)
    parsed = build_parser().parse_args(given or ["--help"])
    try:
        command = find_command(parsed.command)
    except ModuleNotFoundError as error:
        if not is_package_missing(error):
            raise
        sys.exit(f"mea: {explain_missing(error)}")
    command(parsed.arguments, f"mea {parsed.command}")


if __name__ == "__main__":
    main()
