"""High density: recordings of 64 × 64 electrodes through every stage, and how many seconds and bytes each takes.

    python -m benchmarks.dense [--recordings 8] [--side 64] [--duration 60] [--chunk 10]

Writes 3Brain's files of spikes (.bxr), of two classes in four batches, and runs the stages from unzip to report on
them; two recordings are explained.
"""

import argparse
import tempfile
from pathlib import Path

import h5py
import numpy as np

from benchmarks.stages import format_line, run_lab
from mea.runtime.command import print_line
from mea.runtime.tables import draw_markdown

SETTINGS = ("split.first_s=null", "split.by=batch", "split.score=all", "train.models=[features]", "report.explain=2")
RATE_HZ, HZ, BATCHES = 20_000, 3.0, 4


def write_recording(path: Path, number: int, side: int, duration_s: float) -> None:
    """Spikes of every electrode alone, and of network bursts, which are more frequent in odd recordings."""
    random = np.random.default_rng(number)
    electrodes = side * side
    alone = random.integers(0, int(duration_s * RATE_HZ), random.poisson(0.7 * HZ * duration_s * electrodes))
    bursts = random.uniform(0, duration_s, random.poisson(duration_s / (8, 5)[number % 2]))
    members = random.poisson(0.3 * HZ * duration_s * electrodes / max(1, len(bursts)), len(bursts))
    together = np.repeat(bursts, members) + random.exponential(0.1, members.sum())
    together = (together[together < duration_s] * RATE_HZ).astype(np.int64)
    times = np.sort(np.concatenate([alone, together]))
    with h5py.File(path, "w") as h5:
        for name, value in {"SamplingRate": float(RATE_HZ), "NRecFrames": int(duration_s * RATE_HZ)}.items():
            h5[f"3BRecInfo/3BRecVars/{name}"] = np.array([value])
        places = [(row + 1, col + 1) for row in range(side) for col in range(side)]
        h5["3BRecInfo/3BMeaStreams/Raw/Chs"] = np.array(places, [("Row", "<i2"), ("Col", "<i2")])
        h5["3BResults/3BChEvents/SpikeTimes"] = times
        h5["3BResults/3BChEvents/SpikeChIDs"] = random.integers(0, electrodes, len(times))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recordings", type=int, default=8)
    parser.add_argument("--side", type=int, default=64, help="electrodes in a row of the square")
    parser.add_argument("--duration", type=float, default=60.0, help="seconds of a recording")
    parser.add_argument("--chunk", type=float, default=10.0, help="seconds of a chunk")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mea-dense-") as temporary:
        folder, source = Path(temporary), Path(temporary) / "raw"
        source.mkdir()
        rows = []
        for number in range(given.recordings):
            write_recording(source / f"r{number:03}.bxr", number, given.side, given.duration)
            rows.append((f"r{number:03}", "ab"[number % 2], f"c{number}", f"b{number // 2 % BATCHES}"))
        lines = run_lab(folder, source, rows, (f"split.chunk_s={given.chunk:g}", *SETTINGS))
    total = {name: sum(line[name] for line in lines) for name in ("seconds", "cpu_s")}
    total |= {name: max(line[name] for line in lines) for name in ("gb", "largest_gb")}
    lines.append({"stage": "all", **total})
    print_line("\n".join(draw_markdown(lines[0], [format_line(line) for line in lines])))


if __name__ == "__main__":
    main()
