"""Look at a lab's own files before anything is run: ``mea doctor FILE ...``.

Says how every recording would be read, and what is doubtful about it; whether all of them together allow an honest
split, and how small an effect they could show; whether the DVC project is ready. Outside of a project, where there is
no params.yaml, parameters have their defaults and only files and data set are checked. The exit status is 1 when
something is wrong. Changes nothing; plots of the electrodes are written to the --out folder.
"""

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np

from mea.doctor.dataset import check_dataset, list_recordings, tabulate_design
from mea.doctor.electrodes import FIRST_S
from mea.doctor.files import Examined, examine_files
from mea.doctor.findings import FINE, WRONG, Finding, count_severities
from mea.doctor.plates import draw_plates, propose_plates
from mea.doctor.project import examine_project
from mea.doctor.proposal import check_absent, propose_table
from mea.doctor.settings import Settings, read_settings
from mea.doctor.summary import Part, build_entry, format_recordings, format_rigs
from mea.recordings.manifest import PLATES_CSV
from mea.recordings.recording import LabelledRecording
from mea.runtime.command import end_plainly, show_warnings_plainly
from mea.runtime.errors import MeaError
from mea.runtime.files import write_json
from mea.runtime.tables import draw_table

PARAMS_FILE = Path("params.yaml")


def examine(paths: list[Path], settings: Settings, out: Path, as_source: bool) -> tuple[list[Examined], list[Part]]:
    """Look at files, and at the data set they make; parameters as in :func:`examine_files`."""
    examined, findings = examine_files(paths, settings, out, as_source)
    findings += [finding for one in examined for finding in one.findings]
    recordings = list_recordings(examined, settings)
    design = draw_table(*tabulate_design(recordings), markdown=False) if len(recordings) else ""
    caption = "\nrecordings (of so many cultures; ?: unknown)" if design else ""
    return examined, [
        Part("FILES", format_recordings(examined) if examined else "", findings),
        Part("DATA SET", design + caption, check_dataset(examined, settings)),
    ]


def check_project(examined: list[Examined], params: Path | None) -> Part:
    """The DVC project in the current folder; outside of one, that there is none."""
    if params is None:
        what = f"no {PARAMS_FILE} in this folder: parameters have their defaults (see --set), and no project is checked"
        return Part("PROJECT", "", [Finding(FINE, "project", what)])
    read = [one.result for one in examined if isinstance(one.result, LabelledRecording)]
    sizes = {recording.recording.partition("#")[0]: recording.file_bytes for recording in read}
    return Part("PROJECT", "", examine_project(Path.cwd(), sum(sizes.values())))


def build_parser(prog: str) -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog=prog, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = "archives, HDF5 files or folders of them; by default unzip.source of the parameters"
    parser.add_argument("files", metavar="FILE", nargs="*", type=Path, help=what)
    parser.add_argument("--out", metavar="FOLDER", type=Path, default=Path("plots/doctor"), help="plots (plots/doctor)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write everything that was found to this file")
    proposal = "write a recordings.csv, or plates.csv, to be filled in"
    parser.add_argument("--propose", metavar="FILE", type=Path, help=proposal)
    parser.add_argument("--params", metavar="FILE", type=Path, help="parameter file (params.yaml, if it is there)")
    parser.add_argument("--set", metavar="SECTION.KEY=VALUE", action="append", default=[], help="override a parameter")
    return parser


def main(argv: list[str] | None = None, prog: str = "mea doctor") -> None:
    """Look, print what was found, and end with status 1 when something is wrong."""
    arguments = build_parser(prog).parse_args(argv)
    show_warnings_plainly()
    with end_plainly("doctor", "interrupted; nothing was changed."):
        counts = run_doctor(arguments)
    sys.exit(1 if counts[WRONG] else 0)


def run_doctor(arguments: argparse.Namespace) -> dict[str, int]:
    """Look, print and write; how many findings there are of each severity.

    Raises
    ------
    MeaError
        If a parameter is not allowed, nothing is named to look at, or --propose names a file that exists.
    """
    if arguments.propose:
        check_absent(arguments.propose)
    params = arguments.params or (PARAMS_FILE if PARAMS_FILE.exists() else None)
    if params is None and not arguments.files:
        raise MeaError(f"no {PARAMS_FILE} in this folder. Name files or folders: mea doctor FILE ...")
    settings = read_settings(params, arguments.set)
    paths = arguments.files or [Path(settings.unzip.source)]
    examined, parts = examine(paths, settings, arguments.out, as_source=not arguments.files)
    parts.append(check_project(examined, params))
    findings = [finding for part in parts for finding in part.findings]
    counts = count_severities(findings)
    if arguments.json:
        entries = {"recordings": list(map(build_entry, examined)), "findings": list(map(asdict, findings))}
        write_json(arguments.json, {"counts": counts, **entries})
    print(format_rigs(examined), "", *parts, sep="\n")
    if any(np.isfinite(one.noise_uv) for one in examined):
        print(f"Plots of the electrodes in their first {FIRST_S:g} s: {arguments.out}")
    if count := draw_plates(examined, arguments.out):
        print(f"Pictures of {count} plates, rate and label of each well: {arguments.out}")
    if arguments.propose and arguments.propose.name == PLATES_CSV:
        print(f"{arguments.propose}: written; {propose_plates(examined, arguments.propose)} wells are to be labelled.")
    elif arguments.propose:
        empty = propose_table(examined, arguments.propose)
        print(f"{arguments.propose}: written; {empty} cells of label, culture and batch are to be filled in.")
    print(", ".join(f"{count} {severity}" for severity, count in counts.items()))
    return counts


if __name__ == "__main__":
    main()
