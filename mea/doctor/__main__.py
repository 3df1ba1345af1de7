"""Look at a lab's own files before anything is run: ``make doctor FILES="FILE ..."``, ``mea doctor``.

Says of every recording how it would be read and what is doubtful; of all together whether they can be held out honestly
and how small an effect they could show; of the DVC project whether it is ready. Ends with status 1 when something is
wrong. Changes nothing; plots of the electrodes are written to the --out folder.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mea.doctor.dataset import check_dataset, list_recordings, tabulate_design
from mea.doctor.electrodes import FIRST_S, show_uv
from mea.doctor.files import Examined, examine_files
from mea.doctor.findings import WRONG, Finding, count_severities, describe_findings
from mea.doctor.project import examine_project
from mea.doctor.proposal import check_absent, propose_table
from mea.doctor.settings import Settings, read_settings
from mea.recordings.recording import Recording
from mea.runtime.command import end_plainly, show_warnings_plainly
from mea.runtime.files import write_json
from mea.runtime.tables import draw_table

HEADER = ("recording", "format", "layout", "electrodes", "rate", "length", "noise", "label", "told by")


def describe_recordings(examined: Sequence[Examined]) -> str:
    """One line a recording: what it is."""
    rows = [_describe_recording(one) for one in examined]
    return draw_table(HEADER, rows, markdown=False)


def _describe_recording(one: Examined) -> list[str]:
    recording = one.result
    if not isinstance(recording, Recording):
        return [recording.recording, "cannot be read", *[""] * (len(HEADER) - 2)]
    source = recording.source
    return [
        recording.recording,
        source.format,
        source.layout,
        one.electrodes,
        f"{source.sampling_rate_hz} Hz" if source.sampling_rate_hz else "-",
        f"{source.duration_s:.4g} s",
        show_uv(one.noise_uv) if np.isfinite(one.noise_uv) else "-",
        recording.label or "none",
        one.label_from if recording.label else "nobody",
    ]


def tell_recording(one: Examined) -> dict[str, Any]:
    """One recording for the JSON file."""
    place = {"archive": one.archive, "member": one.member, "used": one.used}
    recording = one.result
    if not isinstance(recording, Recording):
        return {"recording": recording.recording, **place}
    source = recording.source
    who = {name: getattr(recording, name) for name in ("recording", "label", "culture", "batch")}
    names = ("format", "layout", "sampling_rate_hz", "duration_s", "start", "stream", "n_electrodes")
    values = {name: getattr(source, name) for name in names}
    return {
        **who,
        "label_from": one.label_from,
        **place,
        **values,
        "noise_uv": one.noise_uv,
        "notes": list(source.notes),
    }


@dataclass(frozen=True)
class Part:
    """What is said under one heading: a table, perhaps, and findings."""

    title: str
    table: str
    findings: list[Finding]

    def __str__(self) -> str:
        return "\n\n".join(filter(None, [self.title, self.table, describe_findings(self.findings)])) + "\n"


def examine(paths: list[Path], settings: Settings, out: Path, as_source: bool) -> tuple[list[Examined], list[Part]]:
    """Look at files, at the data set they make, and at the project; parameters as in :func:`examine_files`."""
    examined, findings = examine_files(paths, settings, out, as_source)
    findings += [finding for one in examined for finding in one.findings]
    read = [one.result for one in examined if isinstance(one.result, Recording)]
    sizes = {recording.recording.partition("#")[0]: recording.file_bytes for recording in read}
    recordings = list_recordings(examined, settings)
    design = draw_table(*tabulate_design(recordings), markdown=False) if len(recordings) else ""
    caption = "\nrecordings (of so many cultures; ?: unknown)" if design else ""
    return examined, [
        Part("FILES", describe_recordings(examined) if examined else "", findings),
        Part("DATA SET", design + caption, check_dataset(examined, settings)),
        Part("PROJECT", "", examine_project(Path.cwd(), sum(sizes.values()))),
    ]


def build_parser(prog: str) -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog=prog, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = "archives, HDF5 files or folders of them; by default unzip.source of the parameters"
    parser.add_argument("files", metavar="FILE", nargs="*", type=Path, help=what)
    parser.add_argument("--out", metavar="FOLDER", type=Path, default=Path("plots/doctor"), help="plots (plots/doctor)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write everything found there, too")
    parser.add_argument("--propose", metavar="FILE", type=Path, help="write a recordings.csv to be filled in")
    parser.add_argument("--params", metavar="FILE", type=Path, default=Path("params.yaml"), help="params.yaml")
    parser.add_argument("--set", metavar="SECTION.KEY=VALUE", action="append", default=[], help="override a parameter")
    return parser


def main(argv: list[str] | None = None, prog: str = "mea doctor") -> None:
    """Look, say, and end with status 1 when something is wrong."""
    arguments = build_parser(prog).parse_args(argv)
    show_warnings_plainly()
    with end_plainly("doctor", "interrupted; nothing was changed."):
        if arguments.propose:
            check_absent(arguments.propose)
        settings = read_settings(arguments.params, arguments.set)
        paths = arguments.files or [Path(settings.unzip.source)]
        examined, parts = examine(paths, settings, arguments.out, as_source=not arguments.files)
        findings = [finding for part in parts for finding in part.findings]
        counts = count_severities(findings)
        if arguments.json:
            told = {"recordings": [tell_recording(one) for one in examined], "findings": list(map(asdict, findings))}
            write_json(arguments.json, {"counts": counts, **told})
        print(*parts, sep="\n")
        if any(np.isfinite(one.noise_uv) for one in examined):
            print(f"Plots of the electrodes in their first {FIRST_S:g} s: {arguments.out}")
        if arguments.propose:
            empty = propose_table(examined, arguments.propose)
            print(f"{arguments.propose}: written; {empty} cells of label, culture and batch are to be filled in.")
        print(", ".join(f"{count} {severity}" for severity, count in counts.items()))
    sys.exit(1 if counts[WRONG] else 0)


if __name__ == "__main__":
    main()
