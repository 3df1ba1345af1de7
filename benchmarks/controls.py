"""Controls: does the pipeline find what is there, and nothing where there is nothing? ``python -m benchmarks.controls``

Each control runs the real stages, from simulated archives to metrics/evaluate.json, once with the honest split and once
with the split by chunk:

- null: recordings that differ from each other, classes that do not. Honest accuracy must be at chance (50 %), while the
  split by chunk, which knows the recordings, soars.
- positive: a known class effect. The honest split must find it.
- permuted: the recordings of the positive control, their labels permuted between groups. Nothing is left to find.

The model is the quick one on summary features; ``--set train.models=[cnn_lstm]`` takes another.
"""

import argparse
import contextlib
import io
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
from tqdm import tqdm

import stages.array
import stages.contrast
import stages.evaluate
import stages.features
import stages.h5
import stages.simulate
import stages.split
import stages.train
import stages.unzip
from mea.runtime.command import run_command
from mea.runtime.files import read_json
from mea.runtime.tables import write_table

ROOT = Path(__file__).parents[1]
QUICK = (  # 12 recordings of 12 chunks, easily told apart, and a model that trains in seconds
    "simulate.cultures_per_label=1",
    "simulate.duration_s=14.4",
    "simulate.recording_variance=2",
    "train.models=[features]",
    "evaluate.permutations=199",
)
EFFECT = {"null": 0, "positive": 2, "permuted": 2}
CHANCE = 0.5
WORK: dict[ModuleType, Callable[..., None]] = {
    stages.simulate: stages.simulate.work,
    stages.unzip: stages.unzip.unzip,
    stages.h5: stages.h5.build,
    stages.array: stages.array.detect,
    stages.split: stages.split.split,
    stages.train: stages.train.train,
    stages.evaluate: stages.evaluate.evaluate,
    stages.features: stages.features.tabulate,
    stages.contrast: stages.contrast.contrast,
}
COLUMNS = ["control", "honest", "low", "high", "chunk"]


def run_controls(seeds: int, settings: list[str], out: Path) -> pd.DataFrame:
    """Run every control with every seed.

    Parameters
    ----------
    seeds
        1, 2, … of the simulation, and of the permuted labels.
    settings
        ``section.key=value`` on top of ``params.yaml``.
    out
        Where the runs so far are written after each seed.

    Returns
    -------
    pd.DataFrame
        control, seed, honest (accuracy over recordings, split by batch), low and high (its interval), chunk (accuracy
        over chunks, split by chunk).
    """
    rows = []
    for seed in tqdm(range(1, seeds + 1), desc="controls", disable=bool(os.environ.get("MEA_QUIET"))):
        for effect in (0, 2):
            with tempfile.TemporaryDirectory(prefix="mea-controls-") as temporary:
                folder = Path(temporary)
                make_arrays(folder, [*settings, f"simulate.seed={seed}", f"simulate.class_effect={effect}"])
                for control in (name for name, needed in EFFECT.items() if needed == effect):
                    permuted = [f"split.permute_labels={seed}"] if control == "permuted" else []
                    rows.append({"control": control, "seed": seed, **compare_splits(folder, [*settings, *permuted])})
        write_table(out, pd.DataFrame(rows))  # what is done is kept, should the rest be interrupted
    table = pd.DataFrame(rows)
    return table.sort_values("control", key=lambda name: name.map(list(EFFECT).index), kind="stable", ignore_index=True)


def make_arrays(folder: Path, settings: list[str]) -> None:
    """Simulate, unzip, h5 and array."""
    run_stage(stages.simulate, settings, out=folder / "simulate")
    read_arrays(folder, folder / "simulate/train", settings)


def read_arrays(folder: Path, source: Path, settings: list[str]) -> None:
    """Unzip, h5 and array, of the recordings in a source."""
    run_stage(stages.unzip, [*settings, f"unzip.source={source}"], source="", out=folder / "unzip")
    run_stage(stages.h5, settings, unzip=folder / "unzip", out=folder / "h5", metrics=folder / "h5.json")
    places = {"h5": folder / "h5", "unzip": folder / "unzip", "out": folder / "array"}
    run_stage(stages.array, settings, **places, metrics=folder / "array.json", plots=folder / "plots")


def compare_splits(folder: Path, settings: list[str]) -> dict[str, float]:
    """Split, train and evaluate: honestly, and by chunk."""
    honest = score(folder, [*settings, "split.by=batch"])["recording"]
    leaky = score(folder, [*settings, "split.by=chunk"])["chunk"]
    names = {"honest": "accuracy", "low": "accuracy_low", "high": "accuracy_high"}
    return {name: honest[key] for name, key in names.items()} | {"chunk": leaky["accuracy"]}


def score(folder: Path, settings: list[str]) -> dict[str, Any]:
    """What the stages split, train and evaluate find in the arrays of a folder."""
    array, split, model, plots = folder / "array", folder / "split", folder / "folds", folder / "plots"
    run_stage(stages.split, settings, array=array, out=split, metrics=folder / "split.json")
    run_stage(stages.train, settings, array=array, split=split, out=model, metrics=folder / "train", plots=plots)
    made = {"classifier": folder / "classifier", "out": folder / "evaluate", "metrics": folder / "evaluate.json"}
    run_stage(stages.evaluate, settings, model=model, array=array, split=split, **made, plots=plots)
    return read_json(folder / "evaluate.json")


def run_stage(stage: ModuleType, settings: list[str], **paths: Path | str) -> None:
    """Run one stage as its command would, without its chatter."""
    argv = ["--params", str(ROOT / "params.yaml"), *(part for one in settings for part in ("--set", one))]
    with quiet():
        run_command(WORK[stage], stage.Params, argv, **{name: str(path) for name, path in paths.items()})


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Neither reports nor warnings of a single stage: there are hundreds."""
    before = os.environ.get("MEA_QUIET")
    os.environ["MEA_QUIET"] = "1"
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        os.environ.pop("MEA_QUIET") if before is None else os.environ.update(MEA_QUIET=before)


def summarise(table: pd.DataFrame) -> str:
    """The means over seeds as a table, and how often the null's intervals held chance, in words."""
    means = table.groupby("control", sort=False)[COLUMNS[1:]].mean().reset_index()
    lines = [" | ".join(COLUMNS)]
    lines += [" | ".join([row.control, *(f"{value:.3f}" for value in row[2:])]) for row in means.itertuples()]
    for control in ("null", "permuted"):
        rows = table[table["control"] == control]
        held = ((rows["low"] <= CHANCE) & (rows["high"] >= CHANCE)).sum()
        above = (rows["chunk"] > rows["high"].clip(lower=CHANCE)).sum()
        lines.append(
            f"{control}: the honest interval covers chance in {held} of {len(rows)}; "
            f"the split by chunk is above that interval in {above} of {len(rows)}"
        )
    found = table[table["control"] == "positive"]
    lines.append(f"positive: the honest interval lies above chance in {(found['low'] > CHANCE).sum()} of {len(found)}")
    return "\n".join(lines)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.controls", description=__doc__.split("\n\n")[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--set", metavar="SECTION.KEY=VALUE", action="append", default=[])
    parser.add_argument("--out", type=Path, default=Path("benchmarks/controls.csv"), help="every run, one line each")
    arguments = parser.parse_args()
    table = run_controls(arguments.seeds, [*QUICK, *arguments.set], arguments.out)
    write_table(arguments.out, table)
    print(summarise(table))


if __name__ == "__main__":
    main()
