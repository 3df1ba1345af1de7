"""The command ``mea``: its help, its version, and what it says where a package is missing."""

import os
import subprocess
import sys

import pytest
from builders.lab import ROOT

from mea import __main__ as mea
from mea.runtime import environment
from mea.runtime.environment import is_package_missing


def run(*arguments):
    """A real process of this Python in the project's folder."""
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def end(capsys, *arguments):
    """What ``mea`` ends with, and what it prints."""
    with pytest.raises(SystemExit) as error:
        mea.main(arguments)
    return error.value.code, "".join(capsys.readouterr())


@pytest.mark.parametrize("name", mea.COMMANDS)
def test_every_command_has_a_help_of_its_own(name, capsys):
    code, said = end(capsys, name, "--help")
    assert code == 0 and said.startswith(f"usage: mea {name} ")


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_the_help_lists_every_command(arguments, capsys):
    code, said = end(capsys, *arguments)
    listed = [line.split()[0] for line in said.partition("\ncommands:\n")[2].partition("\n\n")[0].splitlines()]
    assert code == 0 and listed == list(mea.COMMANDS)


def test_an_unknown_command_is_refused_with_the_known_ones(capsys):
    code, said = end(capsys, "comparison")
    assert code == 2 and "invalid choice: 'comparison'" in said and "compare" in said and "Traceback" not in said


def test_the_version_is_that_of_the_project(capsys, monkeypatch):
    code, said = end(capsys, "--version")
    assert (code, said) == (0, f"mea {environment.read_version()}\n")
    monkeypatch.setattr(environment.metadata, "version", lambda name: "2.3.4" if name == "mea-pipeline" else "")
    assert end(capsys, "--version") == (0, "mea 2.3.4\n")


def test_a_clone_that_is_not_installed_has_its_version_too(monkeypatch):
    def refuse(name):
        raise environment.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(environment.metadata, "version", refuse)
    assert f'version = "{environment.read_version()}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_the_help_is_quick():
    """It loads none of the packages that take seconds; each command loads what it needs."""
    code = "import sys; from mea.__main__ import build_parser; build_parser().format_help(); print(*sys.modules)"
    done = run("-c", code)
    heavy = {"numpy", "pandas", "torch", "sklearn", "scipy", "matplotlib", "dvc", "pydantic"}
    assert done.returncode == 0 and "mea.__main__" in done.stdout.split()
    assert heavy.isdisjoint(done.stdout.split())


# Without the packages


@pytest.mark.parametrize(("module", "name"), [("stages.array", "array"), ("mea lock", "mea")])
def test_a_missing_package_is_one_line_that_names_the_environment(module, name):
    """``-S`` leaves out the installed packages, as another Python would."""
    done = run("-S", "-m", *module.split())
    assert done.returncode == 1 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"{name}: no module named '") and "(Python 3." in line and ".venv" in line


def test_a_missing_module_of_the_project_is_shown_whole():
    """It is a mistake in the code, for its maintainer."""
    assert is_package_missing(ModuleNotFoundError(name="joblib"))
    assert not is_package_missing(ModuleNotFoundError(name="mea.nothing"))
    assert not is_package_missing(ImportError(name="joblib"))
    done = run("-m", "stages.nothing")
    assert done.returncode == 1 and "No module named stages.nothing" in done.stderr


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty project's folder, where the module takes itself to be."""
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "prefix", "/usr")
    return tmp_path


def test_the_remedy_fits_what_is_there(project, monkeypatch):
    missing = ModuleNotFoundError(name="joblib")
    assert "pip install mea-pipeline" in environment.explain_missing(missing)  # no clone, but an installed package
    (project / "requirements.txt").touch()
    assert "with make install (Python 3.11 or newer)" in environment.explain_missing(missing)
    (project / ".venv").mkdir()
    activate = rf"{project / '.venv'}\Scripts\Activate.ps1" if os.name == "nt" else f". {project}/.venv/bin/activate"
    assert environment.explain_missing(missing).endswith(f"type the command again: {activate}")
    monkeypatch.setattr(sys, "prefix", str(project / ".venv"))
    assert environment.explain_missing(missing).endswith(f"pip install -r {project / 'requirements.txt'}")
    assert environment.explain_missing(missing).startswith(f"no module named 'joblib' in {project / '.venv'} (Python 3")
