"""The Makefile's own part: which Python, which arguments, what ``clean`` removes. It calls stand-ins."""

import os
import re
import shutil
import subprocess
import sys

import pytest
from builders.lab import ROOT, install_command

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
ECHO = '#!/bin/sh\nfor word in "$@"; do echo "<$word>"; done\n'
VARIABLES = ("FILES", "JSON", "NAME", "PROPOSE", "PYTHON", "RECORDING", "SEEDS", "SET", "SOURCE")


@pytest.fixture
def project(tmp_path):
    """A folder with the Makefile in which everything is installed, and ``mea`` prints its arguments."""
    folder = tmp_path / "a project"
    folder.mkdir()
    for name in ("pyproject.toml", "requirements.txt", "requirements-test.txt", "Makefile"):
        shutil.copyfile(ROOT / name, folder / name)
    install_command(folder)
    write_program(folder / ".venv" / "bin" / "mea", ECHO)
    return folder


def write_program(path, text):
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
    return path


def make(folder, *arguments, status=0):
    """What make prints; variables of the tests' own make do not reach it."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", *VARIABLES))}
    done = subprocess.run(
        ["make", "--no-print-directory", *arguments], cwd=folder, env=kept, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert (done.returncode == 0) == (status == 0), done.stdout
    return done.stdout


def list_words(said):
    """The arguments that the stand-in was given."""
    return re.findall(r"^<(.*)>$", said, re.MULTILINE)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], ["doctor"]),
        (["FILES=in put/control 1.h5"], ["doctor", "in put/control 1.h5"]),
        (["FILES=one two.zip"], ["doctor", "one", "two.zip"]),
        (["FILES=it's $$5.h5"], ["doctor", "it's $5.h5"]),
        (["FILES=one", "PROPOSE=my table.csv", "JSON=a b.json"],
         ["doctor", "one", "--propose", "my table.csv", "--json", "a b.json"]),
    ],
)  # fmt: skip
def test_paths_with_blanks_reach_the_doctor_whole(project, given, expected):
    (project / "in put").mkdir()
    for name in ("in put/control 1.h5", "it's $5.h5"):
        (project / name).touch()
    assert list_words(make(project, "doctor", *given)) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["RECORDING=Kultur 1 Messung 1"], ["explain", "Kultur 1 Messung 1"]),
        (["SOURCE=new ones/a.zip"], ["explain", "--source", "new ones/a.zip"]),
        (["RECORDING=Kultur 1", "SOURCE=new ones"], ["explain", "Kultur 1", "--source", "new ones"]),
    ],
)
def test_names_with_blanks_reach_explain_whole(project, given, expected):
    assert list_words(make(project, "explain", *given)) == expected


def test_a_preset_takes_its_source_and_settings(project):
    said = make(project, "preset", "NAME=charlesworth2015", "SOURCE=my data", "SET=split.folds=3 train.seed=1")
    settings = ["--set", "split.folds=3", "--set", "train.seed=1"]
    assert list_words(said) == ["preset", "charlesworth2015", "--source", "my data", *settings]


# Which Python


def test_a_python_that_is_too_old_is_named_before_anything_is_made(project):
    shutil.rmtree(project / ".venv")
    pretend = f'#!/bin/sh\nexec "{sys.executable}" -c "import sys; sys.version_info = (3, 9, 18); $2"\n'
    old = write_program(project.parent / "python3.9", pretend)
    said = make(project, f"PYTHON={old}", "install", status=2)
    assert f"PYTHON={old} ({old}) is Python 3.9; 3.11 or newer is needed" in said and "Traceback" not in said
    assert not (project / ".venv").exists()


def test_a_python_that_is_not_there_is_named(project):
    shutil.rmtree(project / ".venv")
    said = make(project, "PYTHON=python3.99", "install", status=2)
    assert "PYTHON=python3.99: no such command" in said and not (project / ".venv").exists()


@pytest.mark.parametrize(
    ("there", "finished", "made"),
    [("Python 3.9.18", True, True), ("Python 3.12.1", True, False), ("Python 3.12.1", False, True)],
)
def test_an_environment_of_another_python_or_half_installed_is_made_anew(project, there, finished, made):
    """The stand-in for Python tells its version, and what else it is asked to do."""
    python = write_program(
        project.parent / "python",
        '#!/bin/sh\n[ "$1" = -c ] && exit; [ "$1" = -V ] && { echo Python 3.12.1; exit; }; echo "<$@>"\n',
    )
    write_program(project / ".venv/bin/python", f'#!/bin/sh\n[ "$1" = -V ] && echo "{there}" || echo "<$@>"\n')
    if finished:
        os.utime(project / ".venv" / ".installed", (0, 0))  # before the requirements
    else:
        (project / ".venv" / ".installed").unlink()
    said = list_words(make(project, f"PYTHON={python}", "install"))
    assert ("-m venv --clear .venv" in said) is made
    assert [line for line in said if "pip" in line] == [
        "-m pip install --disable-pip-version-check -r requirements.txt",
        "-m pip install --disable-pip-version-check --no-deps --editable .",
    ]
    assert (project / ".venv" / ".installed").exists()
    assert list_words(make(project, f"PYTHON={python}", "install")) == []


def test_tests_install_what_they_need_and_running_does_not(project):
    assert "requirements-test.txt" not in make(project, "-n", "-B", "repro")
    assert "-r requirements-test.txt" in make(project, "-n", "-B", "test")


# help and clean


def test_the_help_lists_every_target(project):
    listed = [line.split()[1] for line in make(project, "help").splitlines()]
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)[1].split()
    assert sorted(listed) == sorted(phony)


def test_clean_removes_no_data_and_no_results(project):
    kept = ["data/raw/.x.partial", "data/raw/__pycache__/a", "data/array/a.npz", ".dvc/cache/.x.partial", "mea/a.py",
            "plots/train/a.png", "models/classifier/card.md", ".venv/lib/__pycache__/a.pyc"]  # fmt: skip
    removed = ["mea/__pycache__/a.pyc", "data/.array.partial/a.npz", "plots/doctor/a.png", ".pytest_cache/a"]
    for name in [*kept, *removed]:
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).touch()
    said = make(project, "clean")
    assert [name for name in kept if not (project / name).exists()] == []
    assert [name for name in removed if (project / name).exists()] == []
    assert "./data/.array.partial" in said and "./mea/__pycache__" in said
