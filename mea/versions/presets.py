"""Named parameters, run as DVC experiments: ``mea preset NAME [--source FOLDER] [--set K=V]``."""

import argparse
import difflib
import os
import subprocess
import sys
from pathlib import Path

from ruamel.yaml import YAML

from mea.runtime.command import end_plainly
from mea.runtime.errors import MeaError

NETWORK = {  # the predecessor's network and training, on 1 ms bins so that it finishes on a laptop
    "train.model": "cnn_lstm",
    "train.network": "predecessor",
    "train.sequence": "reshape",
    "train.silence": "computed",
    "train.precision": "float32",
    "train.input": "binned",
    "train.bin_ms": "1",
    "train.bin": "peak",
    "train.scale": "1",
    "train.validation": "scored",
    "train.epochs": "20",
    "train.patience": "5",
    "train.min_gain": "0.001",
    "train.learning_rate": "0.001",
    "train.batch_size": "4",
}
SPLIT = {"split.folds": "5", "split.score": "[0]", "split.chunk_s": "1.2", "split.first_s": "null", "split.seed": "42"}
EXACT = "Time bins of 1 ms, so that it finishes on a laptop. The exact network: --set train.input=full"
SMALL_LAB = {  # 8 recordings of 20 chunks whose classes differ in nothing but chance, and that are easily told apart
    "simulate.class_effect": "0",
    "simulate.fingerprint": "2",
    "simulate.batches": "4",
    "simulate.cultures_per_label": "1",
    "simulate.duration_s": "24",
}
SOURCE = "{source}"  # stands for the folder the user names
PRESETS: dict[str, tuple[str, dict[str, str]]] = {
    "predecessor_base": (
        f"The predecessor's first version: a fifth of the recordings held out, epoch chosen on them. {EXACT}",
        {**SPLIT, "split.by": "recording", **NETWORK},
    ),
    "predecessor_second": (
        f"The predecessor's second version: a fifth of the chunks held out, from the same recordings. {EXACT}",
        {**SPLIT, "split.by": "chunk", **NETWORK},
    ),
    "null_base": (
        "Control: no class effect, small lab, predecessor_base with all folds scored. Should be at chance.",
        {**SPLIT, "split.by": "recording", **NETWORK, **SMALL_LAB, "split.folds": "4", "split.score": "all"},
    ),
    "null_second": (
        "Control: no class effect, small lab, predecessor_second. Whatever it scores above chance is leakage.",
        {**SPLIT, "split.by": "chunk", **NETWORK, **SMALL_LAB, "split.folds": "4", "split.score": "all"},
    ),
    "charlesworth2015": (
        "370 recordings of cortical and hippocampal cultures (Charlesworth and others, 2015): spike times, 8 × 8 grid.",
        {
            "unzip.source": SOURCE,
            "classify.source": "none",
            "split.by": "batch",
            "split.folds": "5",
            "split.score": "all",
            "split.chunk_s": "30",
            "split.first_s": "900",
            "train.model": "features",
            "train.validation": "inner",
        },
    ),
}


def list_overrides(name: str, source: str | None, extra: list[str]) -> dict[str, str]:
    """The parameters a preset sets, each as ``dvc exp run -S`` takes it.

    Parameters
    ----------
    name
        Of the preset.
    source
        Folder of the recordings, for a preset that needs one.
    extra
        Further ``section.key=value``, which go before the preset's own.

    Raises
    ------
    MeaError
        If there is no such preset, it needs a source and none, or a missing one, is given, or it takes none.
    """
    if name not in PRESETS:
        raise MeaError(f"NAME={name}: no such preset. There are {', '.join(PRESETS)}.")
    overrides = dict(PRESETS[name][1])
    if (SOURCE in overrides.values()) != bool(source):
        need = "takes no SOURCE; it works on the committed unzip.source" if source else "needs its recordings' folder"
        remedy = f"--set unzip.source={source}" if source else f"make preset NAME={name} SOURCE=FOLDER"
        raise MeaError(f"{name}: {need}: {remedy}.")
    if source and not Path(source).is_dir():
        raise MeaError(f"SOURCE={source}: no such folder. Name the folder of the recordings' archives.")
    overrides = {key: _quote(source) if value == SOURCE else value for key, value in overrides.items()}
    for setting in extra:
        key, equals, value = setting.partition("=")
        if not equals:
            raise MeaError(f"--set {setting}: must look like section.key=value.")
        overrides[key] = value
    return overrides


def _quote(text: str | None) -> str:
    return "'" + str(text).replace("'", "\\'") + "'"


def read_committed() -> dict[str, dict]:
    """The committed parameters, from which every preset starts.

    Raises
    ------
    MeaError
        If there are none.
    """
    shown = subprocess.run(["git", "show", "HEAD:./params.yaml"], capture_output=True)
    if shown.returncode:
        raise MeaError("params.yaml is not committed here. Presets start from the committed params: git commit first.")
    return YAML(typ="safe").load(shown.stdout.decode())


def check_names(overrides: dict[str, str], committed: dict[str, dict]) -> None:
    """Every parameter must be one that ``params.yaml`` has.

    Raises
    ------
    MeaError
        If one is not, with the name that was probably meant.
    """
    known = [f"{section}.{name}" for section, values in committed.items() for name in values]
    for key in overrides:
        if ".".join(key.split(".")[:2]) not in known:
            near = difflib.get_close_matches(key, known, n=1)
            meant = f" Do you mean {near[0]}?" if near else ""
            raise MeaError(f"{key}: params.yaml has no such parameter.{meant}")


def describe_overrides(name: str, overrides: dict[str, str], committed: dict[str, dict]) -> str:
    """What the preset is and which committed values it replaces, one line each."""
    lines = [f"{name}: {PRESETS[name][0]}"]
    for key, value in overrides.items():
        section, _, parameter = key.partition(".")
        before, after = committed.get(section, {}).get(parameter), YAML(typ="safe").load(value)
        lines.append(f"  {key}: {after} (as committed)" if before == after else f"  {key}: {before} -> {after}")
    return "\n".join(lines)


def restore_params() -> None:
    """Put the committed ``params.yaml`` back, unless that would lose values which stand nowhere else.

    Raises
    ------
    MeaError
        If ``params.yaml`` is neither the committed one nor that of an experiment.
    """
    listed = subprocess.run(["git", "for-each-ref", "--format=%(objectname)", "refs/exps"], capture_output=True)
    for revision in ("HEAD", *listed.stdout.decode().split()):
        if not subprocess.run(["git", "diff", "--quiet", revision, "--", "params.yaml"]).returncode:
            subprocess.run(["git", "checkout", "--quiet", "HEAD", "--", "params.yaml"], check=True)
            return
    raise MeaError(
        "params.yaml holds values that are in no commit and no experiment. A preset starts from the committed params: "
        "keep yours with git commit params.yaml, or drop them with git checkout HEAD -- params.yaml."
    )


def run_preset(name: str, overrides: dict[str, str]) -> None:
    """Run the overrides on top of the committed params as the experiment ``name``, and leave its results there.

    An earlier experiment of that name is replaced. When the run fails, ``params.yaml`` is as committed again.

    Raises
    ------
    MeaError
        If ``params.yaml`` holds values that would be lost, or DVC fails.
    """
    restore_params()
    _run_dvc("exp", "remove", "--quiet", name)  # fails, in silence, where there is none
    settings = [part for key, value in overrides.items() for part in ("-S", f"{key}={value}")]
    done = False
    try:
        done = _run_dvc("exp", "run", "--name", name, *settings)
    finally:
        if not done:
            subprocess.run(["git", "checkout", "--quiet", "HEAD", "--", "params.yaml"], check=True)
    if not done:
        raise MeaError("dvc exp run ended with an error, above. params.yaml is as committed again.")


def _run_dvc(*arguments: str) -> bool:
    # The stages' `python` is to be this one, also where the environment is not activated.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return not subprocess.run([sys.executable, "-m", "dvc", *arguments], env={**os.environ, "PATH": path}).returncode


def main(argv: list[str] | None = None, prog: str = "mea preset") -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog=prog, description="Run a preset as a DVC experiment.")
    parser.add_argument("name", metavar="NAME", help=", ".join(PRESETS))
    parser.add_argument("--source", help="folder of the recordings, for charlesworth2015")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="change one more")
    arguments = parser.parse_args(argv)
    with end_plainly("preset", "interrupted. params.yaml is as committed again; the same command goes on from here."):
        overrides = list_overrides(arguments.name, arguments.source, arguments.set)
        committed = read_committed()
        check_names(overrides, committed)
        print(describe_overrides(arguments.name, overrides, committed), flush=True)
        run_preset(arguments.name, overrides)
    print(f"Results of {arguments.name} are in the workspace. Compare: mea compare OTHER {arguments.name}")
