"""Write the report: one self-contained page of the recordings that were held out, and one of the new recordings.

Reads what the stages before wrote. Writes report/index.html and report/new.html, which open from disk without any
network. Nothing that a stage has said is computed again.
"""

from functools import partial
from pathlib import Path

from pydantic import Field

from mea.report.attributions import attribute_recordings, choose_doubtful
from mea.report.details import (
    MOST_SAMPLES,
    MOST_SPIKES,
    Places,
    build_detail,
    choose_drawn,
    limit_each,
    list_shown,
)
from mea.report.pages import render_new, render_report
from mea.report.results import read_detection, read_results
from mea.runtime.command import print_line, run_command
from mea.runtime.files import fresh_folder
from mea.runtime.parallel import run_parallel
from mea.runtime.params import StageParams
from mea.training.classifier import load_classifier
from mea.versions.compare import format_comparison
from mea.versions.versions import WORKSPACE, load_version


class Params(StageParams):
    """What the report holds beside the results."""

    spikes: int = Field(
        ge=1, description="most spikes of a recording that are drawn; fewer where there are over 80 recordings"
    )
    explain: int = Field(ge=0, description="recordings whose attributions are computed; wrong and unsure ones first")
    show: list[str] = Field(
        description="recordings that are drawn in any case, where there are so many that only those that matter are"
    )
    compare: str | None = Field(
        min_length=1, description="commit, tag or experiment the results are compared with; null: with nothing"
    )


def write_report(
    params: Params,
    metrics_from: Path,
    plots_from: Path,
    model: Path,
    array: Path,
    split: Path,
    h5: Path,
    unzip: Path,
    out: Path,
) -> None:
    """Read, compare, draw, explain; write both pages."""
    results = read_results(metrics_from, plots_from, model, h5, unzip)
    comparison = ""
    if params.compare:
        comparison = format_comparison(load_version(params.compare), load_version(WORKSPACE), markdown=True)
    names = choose_drawn(results.recordings, params.show)
    most_spikes, most_samples = (limit_each(most, len(results.recordings)) for most in (MOST_SPIKES, MOST_SAMPLES))
    places = Places(unzip, h5, array, read_detection(array), min(params.spikes, most_spikes), most_samples)
    shown = list_shown(results, names)
    details = dict(zip(names, run_parallel(partial(build_detail, places=places), shown, "report", begin_here=True)))
    doubtful = choose_doubtful(results.recordings, params.explain)
    attributions = attribute_recordings(load_classifier(model), doubtful, array, split)
    with fresh_folder(out) as folder:
        for name, content in render_report(results, details, attributions, places.most_spikes, comparison).items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(content, encoding="utf-8", newline="\n")
        (folder / "new.html").write_text(render_new(results), encoding="utf-8", newline="\n")
    print_line(
        f"report: {len(results.recordings)} recordings and {len(results.classified)} new ones: {out / 'index.html'}"
    )


if __name__ == "__main__":
    run_command(
        write_report,
        Params,
        metrics_from="metrics",
        plots_from="plots",
        model="models/classifier",
        array="data/array",
        split="data/split",
        h5="data/h5",
        unzip="data/unzip",
        out="report",
    )
