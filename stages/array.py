"""Detect the spikes of every recording and store them: the cleaned array, in which everything else is zero.

Reads data/h5 and the samples in data/unzip. Writes data/array: <recording>.npz, catalogue.csv and params.json; and
metrics/array.json, plots/array. Results are kept in DVC's cache directory, so that each recording is processed once.
"""

import warnings
from functools import partial
from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import Field

from mea.arrays.detection import (
    COLUMNS,
    OTHER_RATE,
    SpikeDetection,
    choose_shown,
    detect_recording,
    summarise,
)
from mea.arrays.drawing import draw_recording
from mea.recordings.identities import read_identities
from mea.recordings.lab_columns import pass_on
from mea.runtime.command import print_line, run_command
from mea.runtime.errors import MeaError
from mea.runtime.files import fresh_folder, read_json, write_json
from mea.runtime.parallel import run_parallel
from mea.runtime.params import StageParams
from mea.runtime.tables import write_table

MOST_SHOWN = 2


class Params(StageParams):
    sampling_rate_hz: int = Field(
        ge=100, le=1_000_000, description="sampling rate that all recordings have in common, in samples per second"
    )
    other_sampling_rate: Literal["set_aside", "resample"] = Field(
        description="what happens to a recording with another sampling rate"
    )
    threshold: float = Field(
        gt=0, description="detection threshold in robust SDs of the noise (median(abs(x)) / 0.6745)"
    )


def detect(params: Params, h5: Path, unzip: Path, out: Path, metrics: Path, plots: Path) -> None:
    """Store the events of every recording of ``h5`` in ``out``."""
    detection = SpikeDetection(**params.model_dump())
    files = sorted(h5.glob("*.h5"))
    if not files:
        raise MeaError(f"{h5}: no recordings (*.h5). They are written by the stage h5: dvc repro h5.")
    if not unzip.is_dir():
        raise MeaError(f"{unzip}: no such folder; it holds the samples. The stage unzip writes it: dvc repro unzip.")
    with fresh_folder(out) as work:
        upstream = read_json(h5 / "params.json")
        skip = upstream["h5"]["on_bad_recording"] == "skip"
        detect_one = partial(detect_recording, unzip=unzip, out=work, detection=detection, skip=skip)
        lines = pd.DataFrame(run_parallel(detect_one, files, "array")).sort_values("recording", kind="stable")
        catalogue = lines.join(read_identities(h5), on="recording")
        used = catalogue[catalogue["status"] == "used"]
        if used.empty:
            if damaged := [reason for reason in catalogue["reason"] if not reason.startswith(OTHER_RATE)]:
                raise MeaError(f"{h5}: no recording can be used: {damaged[0]}")
            rates = ", ".join(f"{rate} Hz" for rate in sorted(set(catalogue["sampling_rate_hz"])))
            raise MeaError(
                f"{h5}: no recording at array.sampling_rate_hz = {params.sampling_rate_hz}; there are {rates}. "
                "Set array.sampling_rate_hz to one of them, or array.other_sampling_rate: resample."
            )
        write_table(work / "catalogue.csv", catalogue[COLUMNS])
        write_json(work / "params.json", upstream | {"array": params.model_dump()})
        pass_on(h5, work)
        with fresh_folder(plots) as folder:
            draw = partial(draw_recording, h5=h5, unzip=unzip, array=work, plots=folder, detection=detection)
            run_parallel(draw, choose_shown(catalogue.to_dict("records"), MOST_SHOWN), "array: plots", begin_here=True)
    summary = summarise(catalogue)
    write_json(metrics, summary)
    print_line(f"array: {len(used)} recordings in {out}, {len(catalogue) - len(used)} set aside")
    for name, reason in catalogue.loc[catalogue["status"] != "used", ["recording", "reason"]].itertuples(index=False):
        remedy = ". Set array.other_sampling_rate to resample to use it." if reason.startswith(OTHER_RATE) else ""
        print_line(f"  {name}: {reason}{remedy}")
    for name, text in summary["quality"].items():
        warnings.warn(f"{name}: {text}", stacklevel=1)


if __name__ == "__main__":
    run_command(
        detect,
        Params,
        h5="data/h5",
        unzip="data/unzip",
        out="data/array",
        metrics="metrics/array.json",
        plots="plots/array",
    )
