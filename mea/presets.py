"""Named sets of parameters, run as DVC experiments: ``python -m mea.presets NAME [--source FOLDER] [--set KEY=VALUE]``."""

import argparse
import subprocess
import sys
from pathlib import Path

from ruamel.yaml import YAML

from mea.errors import MeaError

NETWORK = {  # the predecessor's network and training, on 1 ms bins so that it finishes on a laptop
    "train.model": "cnn_lstm",
    "train.sequence": "reshape",
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
PRESETS: dict[str, tuple[str, dict[str, str]]] = {
    "predecessor_base": (
        f"The predecessor's first version: a fifth of the recordings held out, epoch chosen on them. {EXACT}",
        {**SPLIT, "split.by": "recording", **NETWORK},
    ),
    "predecessor_second": (
        f"The predecessor's second version: a fifth of the chunks held out, from the same recordings. {EXACT}",
        {**SPLIT, "split.by": "chunk", **NETWORK},
    ),
    "charlesworth2015": (
        "370 recordings of cortical and hippocampal cultures (Charlesworth et al. 2015): spike times, 8 × 8 electrodes.",
        {
            "unzip.source": "{source}",
            "classify.source": "none",
            "split.by": "batch",
            "split.folds": "5",
            "split.score": "all",
            "split.chunk_s": "30",
            "split.first_s": "900",
            "train.model": "cnn_lstm",
            "train.sequence": "transpose",
            "train.input": "binned",
            "train.bin_ms": "100",
            "train.bin": "count",
            "train.scale": "1",
            "train.validation": "inner",
            "train.epochs": "8",
            "train.patience": "3",
            "train.batch_size": "16",
        },
    ),
}


def list_overrides(name: str, source: str | None, extra: list[str]) -> dict[str, str]:
    """The parameters a preset sets.

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
        If there is no such preset, or it needs a source and none, or a missing one, is given.
    """
    if name not in PRESETS:
        raise MeaError(f"NAME={name}: no such preset. There are {', '.join(PRESETS)}.")
    overrides = dict(PRESETS[name][1])
    if "{source}" in overrides.values():
        if not source:
            raise MeaError(f"{name}: needs the folder of its recordings: make preset NAME={name} SOURCE=FOLDER.")
        if not Path(source).is_dir():
            raise MeaError(f"SOURCE={source}: no such folder. Name the folder of the recordings' archives.")
        overrides = {key: f"'{source}'" if value == "{source}" else value for key, value in overrides.items()}
    for setting in extra:
        key, equals, value = setting.partition("=")
        if not equals:
            raise MeaError(f"--set {setting}: must look like section.key=value.")
        overrides[key] = value
    return overrides


def run_preset(name: str, overrides: dict[str, str]) -> None:
    """Run the overrides on top of the committed params as the experiment ``name``, and leave its results there.

    An earlier experiment of that name is replaced. What ``params.yaml`` held beside the committed values is kept in
    ``params.yaml.before`` when it is of no use to the preset.

    Raises
    ------
    MeaError
        If the repository has no commit, or DVC fails.
    """
    committed = subprocess.run(["git", "show", "HEAD:params.yaml"], capture_output=True)
    if committed.returncode:
        raise MeaError("params.yaml is not committed here. Presets start from the committed params: git commit first.")
    params = Path("params.yaml")
    if params.read_bytes() != committed.stdout:
        Path("params.yaml.before").write_bytes(params.read_bytes())
        print("params.yaml differed from the committed one; it is kept as params.yaml.before.")
        params.write_bytes(committed.stdout)
    subprocess.run(["dvc", "exp", "remove", "--quiet", name], capture_output=True)  # fails where there is none
    settings = [part for key, value in overrides.items() for part in ("-S", f"{key}={value}")]
    if subprocess.run(["dvc", "exp", "run", "--name", name, *settings]).returncode:
        raise MeaError(f"dvc exp run ended with an error, above. params.yaml holds the preset {name}.")


def describe_overrides(name: str, overrides: dict[str, str]) -> str:
    """What the preset is and which committed values it replaces, one line each."""
    committed = YAML(typ="safe").load(Path("params.yaml").read_text(encoding="utf-8"))
    lines = [f"{name}: {PRESETS[name][0]}"]
    for key, value in overrides.items():
        section, _, parameter = key.partition(".")
        lines.append(f"  {key}: {committed.get(section, {}).get(parameter)} -> {value}")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m mea.presets", description="Run a preset as a DVC experiment.")
    parser.add_argument("name", metavar="NAME", help=", ".join(PRESETS))
    parser.add_argument("--source", help="folder of the recordings, for charlesworth2015")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="change one more")
    arguments = parser.parse_args(argv)
    try:
        overrides = list_overrides(arguments.name, arguments.source, arguments.set)
        print(describe_overrides(arguments.name, overrides), flush=True)
        run_preset(arguments.name, overrides)
    except MeaError as error:
        sys.exit(f"preset: {error}")
    print(f"Results of {arguments.name} are in the workspace. Compare: dvc metrics diff {arguments.name} OTHER")


if __name__ == "__main__":
    main()
