"""Many recordings of spike times through every stage: seconds and memory by their number.

    python -m benchmarks.many [--counts 100 400 1600] [--hz 3.15] [--duration 600] [--place PATH]

Writes files of spike times of 60 electrodes, runs the stages from unzip to report with the model features and chunks of
30 s, each number in a project of its own with an empty cache, and follows the memory of a stage and its workers, pages
they share counted once. Writes docs/many.csv and docs/many.png.
"""

import argparse
import shutil
import tempfile
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from benchmarks.stages import ROOT, draw_growth, format_line, run_lab
from mea.runtime.command import print_line
from mea.runtime.parallel import run_parallel
from mea.runtime.style import save_plot
from mea.runtime.tables import draw_markdown

SETTINGS = ("split.chunk_s=30", "split.first_s=null", "split.by=batch", "split.score=all", "train.models=[features]")
BATCHES, EACH, SIDE = 16, 4, 8


def write_recording(number: int, folder: Path, hz: float, duration_s: float) -> tuple[str, ...]:
    """One file of spike times, whose network bursts are more frequent in class b; its line of recordings.csv."""
    culture = number // EACH
    batch, label = culture // 2 % BATCHES, "ab"[culture % 2]
    random, of_culture = np.random.default_rng(number), np.random.default_rng([1, culture])
    every_s = (12 if label == "a" else 8) * of_culture.lognormal(0, 0.3)
    bursts = random.uniform(0, duration_s, random.poisson(duration_s / every_s))
    trains = []
    for rate in hz * of_culture.lognormal(-0.2, 0.6, SIDE * SIDE - 4):
        alone = random.uniform(0, duration_s, random.poisson(0.6 * rate * duration_s))
        together = bursts[:, None] + random.exponential(0.1, (len(bursts), random.poisson(0.4 * rate * every_s)))
        trains.append(np.sort(np.clip(np.concatenate([alone, together.ravel()]), 0, duration_s - 1e-3)))
    corners = {11, 18, 81, 88}
    names = [f"ch_{col}{row}A_unit_0" for col in range(1, 9) for row in range(1, 9) if 10 * col + row not in corners]
    name = f"r{number:06}"
    with h5py.File(folder / f"{name}.h5", "w") as h5:
        h5["spikes"], h5["sCount"] = np.concatenate(trains), np.array([len(train) for train in trains], np.int32)
        h5["names"], h5["epos"] = np.array(names, "S"), np.zeros((2, len(names)))
        h5["recordingtime"], h5["array"] = np.array([0.0, duration_s]), np.array(["MCS_8x8_200um"], "S")
    return name, label, f"c{culture}", f"b{batch}"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[100, 400, 1600])
    parser.add_argument("--hz", type=float, default=3.15, help="spikes per second and electrode, about")
    parser.add_argument("--duration", type=float, default=600.0, help="seconds of a recording")
    parser.add_argument("--place", type=Path, metavar="PATH", help="where to put temporary files: 3 MB a recording")
    parser.add_argument("--out", type=Path, default=ROOT / "docs", metavar="PATH", help="for table and plot")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="mea-many-", dir=given.place))
    lines: list[dict] = []
    try:
        for count in sorted(given.counts):
            source = folder / "raw"
            source.mkdir()
            work = partial(write_recording, folder=source, hz=given.hz, duration_s=given.duration)
            rows = run_parallel(work, range(count), "written")
            lines += [{"recordings": count} | line for line in run_lab(folder, source, rows, SETTINGS)]
            shutil.rmtree(folder)
            folder.mkdir()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    table = pd.DataFrame(lines)
    print_line("\n".join(draw_markdown(lines[0], [format_line(line) for line in lines])))
    save_plot(draw_growth(table), given.out / "many.png", table.round(3))


if __name__ == "__main__":
    main()
