"""Small files of high-density arrays, in the layouts that public readers describe: MaxWell and 3Brain."""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np

MAPPING = [("channel", "<i4"), ("electrode", "<i4"), ("x", "<f8"), ("y", "<f8")]
SPIKES = [("frameno", "<i8"), ("channel", "<i4"), ("amplitude", "<f4")]
LSB_V = 6.294e-6


def map_electrodes(channels: list[int], electrodes: list[int]) -> np.ndarray:
    """A mapping in which every electrode stands where its number says; one without a channel has -1."""
    electrode = np.array(electrodes)
    mapping = np.zeros(len(channels), MAPPING)
    mapping["channel"], mapping["electrode"] = channels, electrode
    mapping["x"], mapping["y"] = electrode % 220 * 17.5, electrode // 220 * 17.5
    return mapping


def list_spikes(frames: list[int], channels: list[int]) -> np.ndarray:
    """A table of spikes as MaxLab Live writes it."""
    spikes = np.zeros(len(frames), SPIKES)
    spikes["frameno"], spikes["channel"] = frames, channels
    return spikes


def write_maxwell_2016(path: Path, counts: np.ndarray, mapping: np.ndarray, spikes: np.ndarray | None = None) -> None:
    """The layout of 2016; the row of ``sig`` is the channel."""
    with h5py.File(path, "w") as h5:
        h5["version"] = np.array([b"20160704"])
        h5["mapping"] = mapping
        h5["settings/lsb"] = np.array([LSB_V])
        if len(counts):
            h5["sig"] = counts.astype(np.uint16)
        if spikes is not None:
            h5["proc0/spikeTimes"] = spikes


def add_maxwell(
    path: Path,
    counts: np.ndarray,
    mapping: np.ndarray,
    *,
    well: int = 0,
    rec: int = 0,
    spikes: np.ndarray | None = None,
    frames: np.ndarray | None = None,
    **raw: Any,
) -> None:
    """Add a recording of a well to a file of the later layout; the rows of ``raw`` are the mapping's channels."""
    with h5py.File(path, "a") as h5:
        if "version" not in h5:
            h5["version"] = np.array([b"20190530"])
        group = h5.create_group(f"wells/well{well:03d}/rec{rec:04d}")
        group["settings/sampling"], group["settings/lsb"] = np.array([20_000.0]), np.array([LSB_V])
        group["settings/mapping"] = mapping
        group["start_time"] = np.array([1_700_000_000_000])
        if len(counts):
            group.create_dataset("groups/routed/raw", data=counts.astype(np.uint16), **raw)
        if frames is not None:
            group["groups/routed/frame_nos"] = frames
        if spikes is not None:
            group["spikes"] = spikes


def write_3brain_old(
    path: Path,
    *,
    places: list[tuple[int, int]],
    counts: np.ndarray | None = None,
    version: int = 101,
    inversion: int = 1,
    spikes: tuple[list[int], list[int]] | None = None,
    n_frames: int = 0,
) -> None:
    """A .brw of version 3 or, with spikes, a .bxr of version 2; counts are (frames, channels), places from 1."""
    with h5py.File(path, "w") as h5:
        values = h5.create_group("3BRecInfo/3BRecVars")
        values["BitDepth"] = np.array([12], np.uint8)
        values["MaxVolt"], values["MinVolt"] = np.array([4125.0]), np.array([-4125.0])
        values["NRecFrames"] = np.array([n_frames if counts is None else len(counts)])
        values["SamplingRate"], values["SignalInversion"] = np.array([17_855.5]), np.array([float(inversion)])
        h5["3BRecInfo/3BMeaStreams/Raw/Chs"] = np.array(places, [("Row", "<i2"), ("Col", "<i2")])
        h5["3BRecInfo/3BMeaChip/NRows"], h5["3BRecInfo/3BMeaChip/NCols"] = np.array([64]), np.array([64])
        h5.create_group("3BData").attrs["Version"] = version
        if counts is not None:
            h5["3BData/Raw"] = counts.astype(np.uint16) if version == 100 else counts.astype(np.uint16).ravel()
        if spikes is not None:
            h5["3BResults/3BChEvents/SpikeTimes"], h5["3BResults/3BChEvents/SpikeChIDs"] = map(np.array, spikes)


def write_3brain(
    path: Path,
    wells: dict[str, dict[str, Any]],
    *,
    toc: list[tuple[int, int]],
    name: str = "ExperimentSettings",
) -> None:
    """A .brw of version 4 or a .bxr of version 3; each well has StoredChIdxs and Raw, or spikes."""
    ends = {"MaxAnalogValue": 4125.0, "MinAnalogValue": -4125.0, "MaxDigitalValue": 4096, "MinDigitalValue": 0}
    if name == "ExperimentSettings":
        settings = {"ValueConverter": ends | {"ScaleFactor": 1}, "TimeConverter": {"FrameRate": 20_000.0}}
    else:
        micro = {key.replace("AnalogValue", "AnalogValueMicroVolt"): value for key, value in ends.items()}
        clock = {"FrameRateHertz": 20_000.0}
        settings = {"SignalConverter": {"DigitalToAnalogConverter": micro, "SampleToTimeConverter": clock}}
    with h5py.File(path, "w") as h5:
        h5[name] = np.array([json.dumps(settings).encode()], h5py.string_dtype())
        h5["TOC"] = np.array(toc, np.int64)
        for well, datasets in wells.items():
            for dataset, values in datasets.items():
                h5[f"{well}/{dataset}"] = values


NEX_VARIABLE = [
    *(("type", "<i4"), ("version", "<i4"), ("name", "S64"), ("offset", "<u4"), ("n", "<i4"), ("ids", "<i4", 4)),
    *(("place", "<f8", 2), ("rate", "<f8"), ("millivolts", "<f8"), ("points", "<i4"), ("markers", "<i4", 2)),
    *(("zero", "<f8"), ("before", "<f8"), ("rest", "S52")),
]


def write_nex(path: Path, signals: dict[str, np.ndarray], spikes: dict[str, np.ndarray], *, ticks_hz: int) -> None:
    """A NeuroExplorer file: int16 signals at 1 kHz, 0.01 mV a count, and spikes in ticks."""
    names = [(name, True) for name in signals] + [(name, False) for name in spikes]
    lines, parts, offset = np.zeros(len(names), NEX_VARIABLE), list[bytes](), 544 + 208 * len(names)
    for line, (name, is_signal) in zip(lines, names):
        line["name"], line["offset"], line["version"] = name.encode(), offset, 100
        if is_signal:
            own = [np.zeros(1, "<i4"), np.zeros(1, "<i4"), signals[name].astype("<i2")]  # begin, first point, points
            line["type"], line["n"], line["points"] = 5, 1, len(signals[name])
            line["rate"], line["millivolts"] = 1000.0, 0.01
        else:
            own = [spikes[name].astype("<i4")]
            line["n"] = len(spikes[name])
        parts += [one.tobytes() for one in own]
        offset = 544 + 208 * len(names) + sum(map(len, parts))
    end = max(
        [len(one) * ticks_hz // 1000 for one in signals.values()] + [int(one.max()) + 1 for one in spikes.values()]
    )
    header = b"NEX1" + np.array([100], "<i4").tobytes() + b"\0" * 256 + np.array([ticks_hz], "<f8").tobytes()
    header += np.array([0, end, len(names)], "<i4").tobytes()
    path.write_bytes(header.ljust(544, b"\0") + lines.tobytes() + b"".join(parts))
