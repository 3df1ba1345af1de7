"""A small file of every kind that is read, which is right, for :mod:`benchmarks.fuzz` to damage."""

import json
import tarfile
import tempfile
import zipfile
from pathlib import Path

import h5py
import numpy as np

from mea.recordings.formats.mcs_layout import Stream
from mea.recordings.formats.mcs_writer import write_mcs


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
