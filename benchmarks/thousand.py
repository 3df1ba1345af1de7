"""Many small recordings through every stage: seconds and memory by their number.

    python -m benchmarks.thousand [--counts 125 250 500 1000] [--place PATH]

Simulates the recordings as zip archives, runs the stages one after the other on the first 125, 250, ... of them, each
in a project of its own with an empty cache, and follows the memory of a stage and all its workers. Writes
docs/thousand.png and docs/thousand.csv.
"""

import argparse
import os
import shutil
import tempfile
from pathlib import Path

import pandas as pd

from benchmarks.stages import ROOT, draw_growth, format_line, run_stage
from mea.runtime.command import print_line
from mea.runtime.parallel import run_parallel
from mea.runtime.style import save_plot
from mea.runtime.tables import draw_markdown
from mea.simulation.plans import Plan, plan_training
from mea.simulation.simulate import write_simulated

STAGES = ("unzip", "h5", "array", "split", "train", "evaluate")
SETTINGS = ("split.chunk_s=0.5", "split.by=culture")
RECORDING_S, CULTURES = 2.0, 4


def write_archives(folder: Path, number: int) -> list[Path]:
    """So many recordings of 2 s, the classes in turns, each in a zip archive."""
    batches = -(-number // (2 * CULTURES))
    plans = plan_training(2, batches, CULTURES, recordings=1, class_effect=1.0, recording_variance=1.0)
    folder.mkdir(exist_ok=True)
    return run_parallel(_Writer(folder), plans[:number], "simulated")


class _Writer:
    def __init__(self, folder: Path):
        self.folder = folder

    def __call__(self, plan: Plan) -> Path:
        raw = self.folder / plan.recording
        raw.mkdir()
        write_simulated(raw / f"{plan.recording}.h5", plan, RECORDING_S)
        archive = Path(shutil.make_archive(str(raw), "zip", raw))
        shutil.rmtree(raw)
        return archive


def run_stages(project: Path, archives: list[Path]) -> list[dict]:
    """One line a stage: recordings, stage, and what :func:`benchmarks.stages.run_stage` measured."""
    source = project / "raw"
    source.mkdir(parents=True)
    for path in archives:
        os.link(path, source / path.name)
    settings = [f"unzip.source={source}", *SETTINGS]
    return [{"recordings": len(archives), "stage": stage, **run_stage(stage, project, settings)} for stage in STAGES]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[125, 250, 500, 1000])
    parser.add_argument("--place", type=Path, metavar="PATH", help="where to put some 20 GB of temporary files")
    parser.add_argument("--out", type=Path, default=ROOT / "docs", metavar="PATH", help="for table and plot")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="mea-thousand-", dir=arguments.place))
    try:
        archives = write_archives(folder / "zips", max(arguments.counts))
        lines: list[dict] = []
        for count in sorted(arguments.counts):
            lines += run_stages(folder / str(count), archives[:count])
            shutil.rmtree(folder / str(count))
            print_line("\n".join(draw_markdown(lines[-1], [format_line(line) for line in lines[-len(STAGES) :]])))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    table = pd.DataFrame(lines)
    save_plot(draw_growth(table), arguments.out / "thousand.png", table.round(3))


if __name__ == "__main__":
    main()
