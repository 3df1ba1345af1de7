"""Damaged files at random, for every reader: ``python -m benchmarks.fuzz --minutes 30``

A file that is right is damaged (bytes flipped, replaced, removed, doubled, cut off; for text also cells exchanged), and
read in a process of its own with limits of time and memory. Right is a recording or a ``MeaError``. Anything else is a
fault: another exception, a crash of the process, more than the time or the memory. It is kept, with its seed, in
``--out``.

Prints a table: reader, files tried, how many were read, how many refused, faults.
"""

import argparse
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from builders.classifiers import make_classifier

from benchmarks.fuzz_examples import (
    write_axion_example,
    write_biocam_example,
    write_bxr_example,
    write_layouts_example,
    write_maxwell_example,
    write_mcs_example,
    write_nwb_example,
    write_plates_example,
    write_spike_times_example,
    write_table_example,
    write_tar_example,
    write_zip_example,
)
from mea.recordings.archives import unpack
from mea.recordings.formats import read_counts, read_raw_recordings
from mea.recordings.lab_layouts import read_layouts
from mea.recordings.plate_map import read_plate_map
from mea.recordings.recording import RawRecording
from mea.runtime.checksums import CHECKSUMS, write_checksums
from mea.runtime.errors import MeaError
from mea.runtime.tables import draw_markdown
from mea.training.classifier import load_classifier

MOST_S, MOST_BYTES = 90, 3_000_000_000
BATCH = 200  # files that one process reads before the next one begins


def read_file(path: Path) -> None:
    """What the stages h5 and array do to a file."""
    for source in read_raw_recordings(path, "raw"):
        if isinstance(source, RawRecording) and source.n_samples:
            read_counts(path, source)


def unpack_file(path: Path) -> None:
    """What the stage unzip does to an archive."""
    with tempfile.TemporaryDirectory() as folder:
        refused = [reason for reason in unpack(path, Path(folder) / "out")["error"] if reason]
    if refused:
        raise MeaError(refused[0])


def read_map(path: Path) -> None:
    """A lab's table of wells."""
    read_plate_map(path)


def read_layout_table(path: Path) -> None:
    """A lab's table of layouts."""
    read_layouts(path)


def read_model_file(path: Path, member: str) -> None:
    """What classifying does first: a file of a classifier is damaged, and the list of checksums made to fit."""
    folder = path.parent / "classifier"
    (folder / member).write_bytes(path.read_bytes())
    if member != CHECKSUMS:
        write_checksums(folder)
    classifier = load_classifier(folder)
    for fold in classifier.folds:
        classifier.open_model(fold)
        classifier.open_baseline(fold)


def write_model_example(path: Path, member: str) -> None:
    """A file of a classifier, which lies beside it as a whole."""
    make_classifier(path.parent / "classifier", folds=(0,))
    path.write_bytes((path.parent / "classifier" / member).read_bytes())


def read_rig_spikes(path: Path) -> None:
    """What the stage h5 does with h5.stream: spikes."""
    read_raw_recordings(path, "spikes")


READERS: dict[str, tuple[Callable[[Path], None], Callable[[Path], None], str]] = {
    "mcs": (write_mcs_example, read_file, ".h5"),
    "spike_times": (write_spike_times_example, read_file, ".h5"),
    "maxwell": (write_maxwell_example, read_file, ".h5"),
    "maxwell spikes": (write_maxwell_example, read_rig_spikes, ".h5"),
    "biocam": (write_biocam_example, read_file, ".brw"),
    "biocam spikes": (write_bxr_example, read_file, ".bxr"),
    "nwb": (write_nwb_example, read_file, ".nwb"),
    "nwb spikes": (write_nwb_example, read_rig_spikes, ".nwb"),
    "axion_csv": (write_axion_example, read_file, ".csv"),
    "spike_table": (write_table_example, read_file, ".csv"),
    "zip": (write_zip_example, unpack_file, ".zip"),
    "tar": (write_tar_example, unpack_file, ".tar"),
    "layouts.csv": (write_layouts_example, read_layout_table, ".csv"),
    "plates.csv": (write_plates_example, read_map, ".csv"),
}
MODEL_FILES = (
    "classifier.json",
    CHECKSUMS,
    "fold_0/cnn_lstm/model.json",
    "fold_0/cnn_lstm/network_0.safetensors",
    "fold_0/baseline/rate.skops",
)
for file in MODEL_FILES:
    write, read = (partial(work, member=file) for work in (write_model_example, read_model_file))
    READERS[Path(file).name] = (write, read, Path(file).suffix)


def damage(content: bytes, seed: int) -> bytes:
    """The same bytes, damaged in one to eight places."""
    random, spoiled = np.random.default_rng(seed), bytearray(content)
    for _ in range(random.integers(1, 9)):
        place, length = int(random.integers(len(spoiled) or 1)), int(random.integers(1, 17))
        match random.integers(6):
            case 0:
                spoiled[place : place + 1] = bytes(
                    [(spoiled[place] if spoiled else 0) ^ (1 << int(random.integers(8)))]
                )
            case 1:
                spoiled[place : place + length] = random.bytes(length)
            case 2:
                del spoiled[place : place + length]
            case 3:
                spoiled[place:place] = spoiled[place : place + length]
            case 4:
                spoiled[place : place + length] = bytes([int(random.choice([0, 255]))]) * length
            case 5 if random.random() < 0.3:
                del spoiled[place:]
    return bytes(spoiled)


def run_batch(name: str, folder: Path, content: bytes, seeds: range, queue) -> None:
    """Read damaged files one after the other, and tell what came of each."""
    _, read, suffix = READERS[name]
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    warnings.simplefilter("ignore")
    for seed in seeds:
        path = folder / f"x{suffix}"
        path.write_bytes(damage(content, seed))
        queue.put((seed, "begun"))
        signal.alarm(MOST_S)
        try:
            read(path)
            outcome = "read"
        except MeaError:
            outcome = "refused"
        except BaseException as error:
            outcome = f"fault: {type(error).__name__}: {str(error)[:100]}"
        signal.alarm(0)
        queue.put((seed, outcome))


def fuzz(name: str, minutes: float, first: int, out: Path) -> Counter:
    """Damage files of one reader for so many minutes."""
    counts: Counter = Counter()
    end, seed = time.monotonic() + 60 * minutes, first
    with tempfile.TemporaryDirectory(prefix="mea-fuzz-") as place:
        example = Path(place) / f"example{READERS[name][2]}"
        context = multiprocessing.get_context("fork")
        writer = context.Process(target=READERS[name][0], args=(example,))  # PyTorch's threads would not outlive a fork
        writer.start()
        writer.join()
        content = example.read_bytes()
        while time.monotonic() < end:
            queue = context.SimpleQueue()
            work = context.Process(
                target=run_batch, args=(name, Path(place), content, range(seed, seed + BATCH), queue)
            )
            work.start()
            last = (seed, "begun")
            while work.is_alive() or not queue.empty():
                if queue.empty():
                    time.sleep(0.01)
                    continue
                last = queue.get()
                if last[1] != "begun":
                    counts[last[1].partition(":")[0]] += 1
                    if last[1].startswith("fault"):
                        keep(out, name, last, content)
            work.join()
            if last[1] == "begun":  # the process died while reading it
                counts["fault"] += 1
                what = "took too long" if work.exitcode == -signal.SIGALRM else f"ended with {work.exitcode}"
                keep(out, name, (last[0], f"fault: the process {what}"), content)
            seed = last[0] + 1
    return counts


def keep(out: Path, name: str, found: tuple[int, str], content: bytes) -> None:
    """Keep a file that is a fault, and say so."""
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}_{found[0]}{READERS[name][2]}").write_bytes(damage(content, found[0]))
    print(f"{name}, seed {found[0]}: {found[1]}", flush=True)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=1, help="for each reader")
    parser.add_argument("--readers", nargs="+", choices=READERS, default=list(READERS))
    parser.add_argument("--seed", type=int, default=0, help="of the first file")
    parser.add_argument("--out", type=Path, default=Path("fuzz"), metavar="FOLDER", help="where faults are kept")
    given = parser.parse_args()
    os.environ["MEA_QUIET"] = "1"  # what reads archives shows a bar for each
    os.environ["MEA_WORKERS"] = "1"
    rows = []
    for name in given.readers:
        counts = fuzz(name, given.minutes, given.seed, given.out)
        rows.append([name, str(counts.total()), *(str(counts[what]) for what in ("read", "refused", "fault"))])
        print(" ".join(rows[-1]), flush=True)
    print("\n".join(draw_markdown(["reader", "files", "read", "refused", "faults"], rows)))


if __name__ == "__main__":
    main()
