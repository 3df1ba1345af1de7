"""Damaged files at random, for every reader: ``python -m benchmarks.fuzz --minutes 30``

A file that is right is damaged (bytes flipped, replaced, removed, doubled, cut off; for text also cells exchanged), and
read in a process of its own with limits of time and memory. Right is a recording or a ``MeaError``. Anything else is a
fault: another exception, a crash of the process, more than the time or the memory. It is kept, with its seed, in
``--out``.

Prints a table: reader, files tried, how many were read, how many refused, faults.
"""

import argparse
import json
import multiprocessing
import os
import resource
import signal
import tarfile
import tempfile
import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from mea.recordings.archives import unpack
from mea.recordings.formats import read_counts, read_raw_recordings
from mea.recordings.formats.mcs_layout import Stream
from mea.recordings.formats.mcs_writer import write_mcs
from mea.recordings.lab_layouts import read_layouts
from mea.recordings.plate_map import read_plate_map
from mea.recordings.recording import RawRecording
from mea.runtime.command import print_line
from mea.runtime.errors import MeaError
from mea.runtime.tables import draw_markdown

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
        unpack(path, Path(folder) / "out")


def read_map(path: Path) -> None:
    """A lab's table of wells."""
    read_plate_map(path)


def read_layout_table(path: Path) -> None:
    """A lab's table of layouts."""
    read_layouts(path)


def read_rig_spikes(path: Path) -> None:
    """What the stage h5 does with h5.stream: spikes."""
    read_raw_recordings(path, "spikes")


def write_mcs_example(path: Path) -> None:
    """Eight electrodes, 2,000 samples."""
    counts = np.random.default_rng(0).integers(-50, 50, (8, 2000)).astype(np.int32)
    write_mcs(path, Stream(counts, ["F7", "F8", "F9", "F10", "F11", "F12", "E9", "E10"], tick_us=40))


def write_spike_times_example(path: Path) -> None:
    """Three channels."""
    with h5py.File(path, "w") as h5:
        h5["spikes"], h5["sCount"] = np.sort(np.random.default_rng(0).uniform(0, 30, 90)), np.array([90, 0, 0], "i4")
        h5["names"] = np.array([b"ch_12A_unit_0", b"ch_55A_unit_0", b"ch_87A_unit_0"])
        h5["recordingtime"], h5["array"] = np.array([0.0, 30.0]), np.array([b"MCS_8x8_200um"])


def write_maxwell_example(path: Path) -> None:
    """Four routed electrodes of two wells, 500 samples, and spikes."""
    mapping = np.zeros(4, [("channel", "<i4"), ("electrode", "<i4"), ("x", "<f8"), ("y", "<f8")])
    mapping["channel"], mapping["electrode"] = range(4), [5, 225, 445, 30]
    mapping["x"], mapping["y"] = mapping["electrode"] % 220 * 17.5, mapping["electrode"] // 220 * 17.5
    spikes = np.array([(10, 1, -5.0), (90, 2, -6.0)], [("frameno", "<i8"), ("channel", "<i4"), ("amplitude", "<f4")])
    with h5py.File(path, "w") as h5:
        h5["version"] = np.array([b"20190530"])
        for well in ("well000", "well001"):
            group = h5.create_group(f"wells/{well}/rec0000")
            group["settings/mapping"], group["spikes"] = mapping, spikes
            group["settings/sampling"], group["settings/lsb"] = np.array([20_000.0]), np.array([6e-6])
            counts = np.random.default_rng(0).integers(400, 600, (4, 500)).astype(np.uint16)
            group.create_dataset("groups/routed/raw", data=counts, chunks=(2, 200), compression="gzip")
            group["groups/routed/frame_nos"] = np.arange(500)


def write_biocam_example(path: Path) -> None:
    """Three channels of a chip, 200 frames, of version 4."""
    ends = {"MaxAnalogValue": 4125.0, "MinAnalogValue": -4125.0, "MaxDigitalValue": 4096, "MinDigitalValue": 0}
    settings = {"ValueConverter": ends | {"ScaleFactor": 1}, "TimeConverter": {"FrameRate": 20_000.0}}
    with h5py.File(path, "w") as h5:
        h5["ExperimentSettings"] = np.array([json.dumps(settings).encode()], h5py.string_dtype())
        h5["TOC"] = np.array([[0, 100], [100, 200]])
        h5["Well_A1/StoredChIdxs"] = np.array([4095, 64, 1])
        h5["Well_A1/Raw"] = np.random.default_rng(0).integers(1900, 2200, 600).astype(np.uint16)


def write_bxr_example(path: Path) -> None:
    """Spikes of three channels, of version 2."""
    with h5py.File(path, "w") as h5:
        values = h5.create_group("3BRecInfo/3BRecVars")
        for name, value in {"SamplingRate": 17_855.5, "NRecFrames": 178_555}.items():
            values[name] = np.array([value])
        h5["3BRecInfo/3BMeaStreams/Raw/Chs"] = np.array([(1, 1), (3, 2), (9, 9)], [("Row", "<i2"), ("Col", "<i2")])
        h5["3BResults/3BChEvents/SpikeTimes"] = np.array([5, 900, 30_000])
        h5["3BResults/3BChEvents/SpikeChIDs"] = np.array([0, 2, 1])


def write_nwb_example(path: Path) -> None:
    """Voltages of four electrodes, and units, as far as they are read."""
    with h5py.File(path, "w") as h5:
        h5.attrs["nwb_version"] = "2.8.0"
        h5["session_start_time"] = "2024-03-05T10:20:30+00:00"
        table = h5.create_group("general/extracellular_ephys/electrodes")
        table["id"], table["row"], table["col"] = np.arange(4), np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
        series = h5.create_group("acquisition/raw")
        series.attrs["neurodata_type"] = "ElectricalSeries"
        series["data"] = np.random.default_rng(0).integers(-90, 90, (300, 4)).astype(np.int16)
        series["data"].attrs["conversion"] = 1e-7
        series["electrodes"], series["starting_time"] = np.array([3, 1, 0, 2]), 0.0
        series["starting_time"].attrs["rate"] = 20_000.0
        h5["units/spike_times"], h5["units/spike_times_index"] = np.array([0.1, 0.2, 0.3]), np.array([2, 3])
        h5["units/electrodes"], h5["units/electrodes_index"] = np.array([0, 3]), np.array([1, 2])
        h5["units/obs_intervals"], h5["units/obs_intervals_index"] = np.array([[0.0, 1.0]] * 2), np.array([1, 2])


def write_axion_example(path: Path) -> None:
    """Thirty spikes, with settings beside them and wells below."""
    lines = ["Investigator,,Time (s),Electrode,Amplitude(mV)"]
    settings = {0: "Plate Type,Maestro 48-Well (Transparent)", 1: "Actual File Section Run,0s to 1m0s"}
    lines += [f"{settings.get(k, ',')},{k / 2},A{1 + k % 8}_{1 + k % 4}{1 + k // 8 % 4},0.05" for k in range(30)]
    lines += ["Well Information", "Well,A1,A2", "Active,true,FALSE"]
    path.write_text("\n".join(lines), encoding="utf-8")


def write_table_example(path: Path) -> None:
    """Twenty spikes in rows."""
    rows = [f"{12 + k % 6},{k / 7:.4f}" for k in range(20)]
    path.write_text("\n".join(["# unit: s", "# duration: 10", "electrode,time", *rows]), encoding="utf-8")


def write_zip_example(path: Path) -> None:
    """Two members, one of them in a folder."""
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        write_spike_times_example(Path(folder) / "x.h5")
        archive.write(Path(folder) / "x.h5", "control/x 1.h5")
        archive.writestr("y.h5", b"12" * 500)


def write_tar_example(path: Path) -> None:
    """Two members, one of them in a folder."""
    with tempfile.TemporaryDirectory() as folder, tarfile.open(path, "w") as archive:
        write_spike_times_example(Path(folder) / "x.h5")
        archive.add(Path(folder) / "x.h5", "control/x 1.h5")
        archive.add(Path(folder) / "x.h5", "y.h5")


def write_layouts_example(path: Path) -> None:
    """Three electrodes."""
    path.write_text("layout,electrode,row,col,x_um,y_um\nhex,a,0,1,30,52\nhex,b,1,0,0,0\no,c,1,2,,\n", encoding="utf-8")


def write_plates_example(path: Path) -> None:
    """A list of wells."""
    path.write_text("plate,well,label\nP1,A1:A6,drug\nP1,B,control\n,C3 C4,spare\n", encoding="utf-8")


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
        READERS[name][0](example)
        content = example.read_bytes()
        while time.monotonic() < end:
            context = multiprocessing.get_context("fork")
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
    print_line(f"{name}, seed {found[0]}: {found[1]}")


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
    os.environ["MEA_WORKERS"] = "1"
    rows = []
    for name in given.readers:
        counts = fuzz(name, given.minutes, given.seed, given.out)
        rows.append([name, str(counts.total()), *(str(counts[what]) for what in ("read", "refused", "fault"))])
        print_line(" ".join(rows[-1]))
    print("\n".join(draw_markdown(["reader", "files", "read", "refused", "faults"], rows)))


if __name__ == "__main__":
    main()
