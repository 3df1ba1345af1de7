"""A lab's folder through unzip and h5, in this process: the catalogue, or the message that it ends with."""

import json
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from ruamel.yaml import YAML

import stages.h5
from builders.recordings import write_small_spike_times
from mea.recordings.archives import unpack
from mea.runtime.command import run_command

PARAMS = {
    "labels": {"w_oMNPs": ["control", "w_oMNPs", "woMNPs"], "withMNPs": ["withMNPs"]},
    "culture": "",
    "batch": "",
    "part": "auto",
    "stream": "raw",
    "reader": "own",
    "on_bad_recording": "error",
}


def write_lab(folder: Path) -> Path:
    """Two good recordings, one of each class."""
    for seed, name in enumerate(["a_control.h5", "b_withMNPs.h5"]):
        write_spikes(folder / "raw" / name, seed)
    return folder


def write_spikes(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_small_spike_times(path, seed=seed)


def add_to_zip(archive: Path, **files: Path) -> None:
    with zipfile.ZipFile(archive, "w") as stream:
        for name, path in files.items():
            stream.write(path, f"{name}.h5")


def run_h5(lab: Path, **params: object) -> pd.DataFrame:
    """Both stages; the catalogue, without empty columns filled in."""
    (lab / "params.yaml").unlink(missing_ok=True)
    with (lab / "params.yaml").open("w") as stream:
        YAML().dump({"h5": PARAMS | params}, stream)
    unpack(lab / "raw", lab / "unzip")
    paths = {"unzip": lab / "unzip", "out": lab / "h5", "metrics": lab / "metrics" / "h5.json"}
    argv = ["--params", str(lab / "params.yaml")]
    run_command(stages.h5.build, stages.h5.Params, argv, **{name: str(path) for name, path in paths.items()})
    return read_catalogue(lab)


def read_catalogue(lab: Path) -> pd.DataFrame:
    return pd.read_csv(lab / "h5" / "catalogue.csv", dtype=str, keep_default_na=False, index_col="recording")


def read_metrics(lab: Path) -> dict:
    return json.loads((lab / "metrics" / "h5.json").read_text(encoding="utf-8"))


def read_failure(lab: Path, **params: object) -> str:
    """The message the stage ends with, after checking that no output is left."""
    with pytest.raises(SystemExit) as error:
        run_h5(lab, **params)
    assert not list(lab.glob("h5*"))
    assert not list(lab.glob(".h5*"))
    assert not (lab / "metrics").exists()
    return str(error.value)


def check_bad(lab: Path, recording: str, text: str) -> None:
    """An error that names the recording and the rule; with skip, one line in catalogue and metrics."""
    message = read_failure(lab)
    assert "recordings cannot be used:" in message
    assert text in message
    assert "set h5.on_bad_recording to skip" in message
    catalogue = run_h5(lab, on_bad_recording="skip")
    assert list(catalogue.index[catalogue.status == "set aside"]) == [recording]
    assert text in catalogue.reason[recording]
    assert list(catalogue.index[catalogue.status == "used"]) == ["a_control", "b_withMNPs"]
    assert not (lab / "h5" / f"{recording}.h5").exists()
    metrics = read_metrics(lab)
    assert (metrics["recordings"], metrics["set_aside"]) == (2, 1)
    assert list(metrics["set_aside_reasons"]) == [recording]
    assert text in metrics["set_aside_reasons"][recording]
