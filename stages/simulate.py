"""Simulate a small lab's recordings: a training set, and a few new recordings, some of them unusual.

OUT/train/ holds one zip per batch and recordings.csv. OUT/new/ holds a zip with one recording of each class, and loose
files: one at 10 kHz, one of a 60-electrode array, one truncated file, one of a dead culture (noise only), one at half
the gain, one with a third of its electrodes dead, and one without any signal.
"""

import csv
import os
import shutil
import zipfile
from collections.abc import Iterable
from datetime import datetime
from itertools import groupby
from pathlib import Path

from pydantic import Field

from mea.runtime.command import print_line, run_command
from mea.runtime.files import fresh_folder
from mea.runtime.parallel import run_parallel
from mea.runtime.params import StageParams
from mea.simulation.plans import Plan, plan_new, plan_training
from mea.simulation.simulate import write_simulated


class Params(StageParams):
    """How many recordings are simulated, how long they are, and how much they differ."""

    seed: int = Field(ge=0, lt=2**32, description="random seed; the same seed gives the same bytes")
    batches: int = Field(
        ge=1, le=100, description="number of batches, one archive each; every batch holds both classes"
    )
    cultures_per_label: int = Field(ge=1, le=100, description="number of cultures of each class in every batch")
    recordings_per_culture: int = Field(ge=1, le=20, description="number of recordings of each culture, two days apart")
    duration_s: float = Field(ge=0.1, le=3600, description="length of each recording in seconds")
    class_effect: float = Field(ge=0, le=3, description="how much the classes differ: 0 not at all, 1 clearly")
    recording_variance: float = Field(
        ge=0, le=3, description="how much cultures and recordings of one class differ: 0 not at all, 1 clearly"
    )


def work(params: Params, out: Path) -> None:
    """Write both folders, or neither if there is an error."""
    effects = {"class_effect": params.class_effect, "recording_variance": params.recording_variance}
    training = plan_training(
        params.seed, params.batches, params.cultures_per_label, params.recordings_per_culture, **effects
    )
    new = plan_new(params.seed, params.batches, **effects)
    with fresh_folder(out) as folder:
        train_folder, new_folder = folder / "train", folder / "new"
        train_folder.mkdir()
        new_folder.mkdir()
        jobs = [(train_folder, plan, params.duration_s) for plan in training]
        jobs += [(new_folder, plan, params.duration_s) for plan in new.values()]
        run_parallel(_write_one, jobs, "simulate: recordings")
        _archive_batches(train_folder, training)
        _archive_batches(new_folder, [new["plain"], new["exposed"]])
        _cut_short(_locate(new_folder, new["truncated"]))
        _list_recordings(train_folder / "recordings.csv", training)
    print_line(f"simulate: {len(training)} recordings in {out / 'train'}, {len(new)} in {out / 'new'}")


def _locate(folder: Path, plan: Plan) -> Path:
    return folder / f"{plan.recording}.h5"


def _write_one(job: tuple[Path, Plan, float]) -> None:
    folder, plan, duration_s = job
    write_simulated(_locate(folder, plan), plan, duration_s)


def _archive_batches(folder: Path, plans: Iterable[Plan]) -> None:
    """Move each batch's recordings into its archive, which stores them: they are compressed already."""
    for batch, members in groupby(plans, lambda plan: plan.batch):
        with zipfile.ZipFile(folder / f"batch_{batch}.zip", "w", zipfile.ZIP_STORED) as archive:
            for plan in members:
                file = _locate(folder, plan)
                _store_file(archive, file, plan.start)
                file.unlink()


def _store_file(archive: zipfile.ZipFile, file: Path, start: str) -> None:
    member = zipfile.ZipInfo(file.name, datetime.fromisoformat(start).timetuple()[:6])
    member.create_system = 3  # else the bytes would tell on which system they were written
    member.external_attr = 0o644 << 16
    member.file_size = file.stat().st_size
    with file.open("rb") as source, archive.open(member, "w") as target:
        shutil.copyfileobj(source, target, 1 << 20)


def _cut_short(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def _list_recordings(file: Path, plans: Iterable[Plan]) -> None:
    columns = ("recording", "label", "culture", "batch")
    with file.open("w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(columns)
        table.writerows([getattr(plan, column) for column in columns] for plan in plans)


if __name__ == "__main__":
    run_command(work, Params, out="data/simulate")
