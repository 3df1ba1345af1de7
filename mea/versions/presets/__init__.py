"""Presets: named sets of parameters, each a YAML file in this folder, run as DVC experiments.

``mea preset NAME [--source FOLDER] [--set SECTION.KEY=VALUE]``. A file has a ``description`` and ``parameters``, laid
out like ``params.yaml``; ``extends`` names a preset whose parameters it starts from.
"""

import argparse
import difflib
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from importlib.resources import files as files_of
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from mea.runtime.command import end_plainly
from mea.runtime.errors import MeaError
from mea.runtime.tables import flatten

SUFFIX = ".yaml"
FREE = ("h5.labels.",)  # mappings whose names are the lab's own
PLAIN = re.compile(r"[\w.+/-]+")  # what the grammar of -S reads as it is


@dataclass(frozen=True)
class Preset:
    """A named set of parameters, as its file in this folder describes it.

    Attributes
    ----------
    name
        Of the file, without ``.yaml``.
    description
        What it is for.
    parameters
        ``section.key`` to value; those of the preset that it extends, with its own on top.
    needs_source
        Whether the user must name the folder of the recordings, ``unzip.source``.
    """

    name: str
    description: str
    parameters: dict[str, Any]
    needs_source: bool


def list_presets() -> list[str]:
    """The names of the presets, sorted.

    >>> list_presets()
    ['charlesworth2015', 'cotterill2016', 'null_base', 'null_second', 'predecessor_base', 'predecessor_second']
    """
    files = (file.name for file in files_of(__package__).iterdir())
    return sorted(name.removesuffix(SUFFIX) for name in files if name.endswith(SUFFIX))


def load_preset(name: str) -> Preset:
    """Read a preset and those that it extends.

    Raises
    ------
    MeaError
        If there is no such preset.

    >>> load_preset("predecessor_second").parameters["split.by"]
    'chunk'
    """
    if name not in list_presets():
        raise MeaError(f"NAME={name}: no such preset. There are {', '.join(list_presets())}.")
    values = YAML(typ="safe").load((files_of(__package__) / f"{name}{SUFFIX}").read_text("utf-8"))
    base = load_preset(values["extends"]).parameters if "extends" in values else {}
    parameters = base | flatten(values["parameters"])
    return Preset(name, values["description"], parameters, values.get("needs_source", False))


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
    preset = load_preset(name)
    if preset.needs_source != bool(source):
        need = "takes no SOURCE; it works on the committed unzip.source" if source else "needs its recordings' folder"
        remedy = f"--set unzip.source={source}" if source else f"make preset NAME={name} SOURCE=FOLDER"
        raise MeaError(f"{name}: {need}: {remedy}.")
    if source and not Path(source).is_dir():
        raise MeaError(f"SOURCE={source}: no such folder. Name the folder of the recordings' archives.")
    overrides = {"unzip.source": _quote(source)} if source else {}
    overrides |= {key: _format_value(value) for key, value in preset.parameters.items()}
    for setting in extra:
        key, equals, value = setting.partition("=")
        if not equals:
            raise MeaError(f"--set {setting}: must look like section.key=value.")
        overrides[key] = value
    return overrides


def _format_value(value: Any) -> str:
    """A value of a YAML file as ``dvc exp run -S`` reads it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return f"[{','.join(map(_format_value, value))}]"
    text = str(value)
    return text if PLAIN.fullmatch(text) else _quote(text)


def _quote(text: str) -> str:
    return "'" + text.replace("'", "\\'") + "'"


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
    known = list(flatten(committed))
    for key in overrides:
        if not key.startswith(FREE) and not any(f"{name}.".startswith(f"{key}.") for name in known):
            near = difflib.get_close_matches(key, known, n=1)
            meant = f" Do you mean {near[0]}?" if near else ""
            raise MeaError(f"{key}: params.yaml has no such parameter.{meant}")


def format_overrides(name: str, overrides: dict[str, str], committed: dict[str, dict]) -> str:
    """What the preset is and which committed values it replaces, one line each."""
    lines = [f"{name}: {load_preset(name).description}"]
    known = flatten(committed)
    for key, value in overrides.items():
        before, after = known.get(key), YAML(typ="safe").load(value)
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


def run_preset(name: str, overrides: dict[str, str], committed: dict[str, dict]) -> None:
    """Run the overrides on top of the committed params as the experiment ``name``, and leave its results there.

    An earlier experiment of that name is replaced. When the run fails, ``params.yaml`` is as committed again.

    Raises
    ------
    MeaError
        If ``params.yaml`` holds values that would be lost, or DVC fails.
    """
    restore_params()
    _run_dvc("exp", "remove", "--quiet", name)  # fails, in silence, where there is none
    known = flatten(committed)  # what is not among them is added, which -S says with a plus
    settings = [
        part for key, value in overrides.items() for part in ("-S", f"{'' if key in known else '+'}{key}={value}")
    ]
    done = False
    try:
        done = _run_dvc("exp", "run", "--name", name, *settings, "report")  # simulates nothing where a source is given
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
    parser.add_argument("name", metavar="NAME", help=", ".join(list_presets()))
    parser.add_argument("--source", help="folder of the recordings, for charlesworth2015")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="change one more")
    arguments = parser.parse_args(argv)
    with end_plainly("preset", "interrupted. params.yaml is as committed again; the same command goes on from here."):
        overrides = list_overrides(arguments.name, arguments.source, arguments.set)
        committed = read_committed()
        check_names(overrides, committed)
        print(format_overrides(arguments.name, overrides, committed), flush=True)
        run_preset(arguments.name, overrides, committed)
    print(f"Results of {arguments.name} are in the workspace. Compare: mea compare OTHER {arguments.name}")
