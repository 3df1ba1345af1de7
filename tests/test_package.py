"""The package: what the wheel holds, what it requires, and that an installation of it works in an empty folder."""

import ast
import email
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from builders.lab import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LISTS = sorted(ROOT.glob("requirements*.txt"))
TEST_TOOLS = {"elephant", "hatchling", "hypothesis", "mapie", "mcspydatatools", "moto", "mypy", "neo", "playwright",
              "pytest", "pytest-xdist", "quantities", "ruff"}  # fmt: skip
FOR_CUDA = ("cuda-", "nvidia-cu", "nvidia-n", "triton")  # of torch's build for graphics cards
PATIENCE_S = 3600


def read_pins(name):
    """Package and version of a list of requirements, without those of the lists it includes."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    pins = [line.partition("==") for line in lines if line and not line.startswith(("#", "-r "))]
    return {canonicalize_name(package): version for package, _, version in pins}


def list_dependencies(names):
    """All packages that some packages need on this machine, themselves among them, as their installation says."""
    known, waiting = set(), {canonicalize_name(name) for name in names}
    while waiting:
        name = waiting.pop()
        known.add(name)
        needed = [Requirement(text) for text in metadata.distribution(name).requires or []]
        found = {canonicalize_name(one.name) for one in needed if not one.marker or one.marker.evaluate({"extra": ""})}
        waiting |= found - known
    return known


# The lists of requirements


@pytest.mark.parametrize("path", LISTS, ids=lambda path: path.name)
def test_a_list_pins_every_version_and_names_no_registry(path):
    lines = [
        line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith(("#", "-r requirements"))
    ]
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line)] == []
    assert len({line.partition("==")[0].lower() for line in lines}) == len(lines) > 0


def test_running_needs_no_tool_of_the_tests():
    assert TEST_TOOLS & set(read_pins("requirements.txt")) == set()
    assert TEST_TOOLS - {"moto"} <= set(read_pins("requirements-test.txt"))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere some packages need others")
def test_the_lists_hold_what_the_package_needs_and_nothing_else():
    pytest.importorskip("hatchling", reason="pip install -r requirements-test.txt")
    declared = [Requirement(text) for text in PROJECT["dependencies"]]
    needed = {name for name in list_dependencies(one.name for one in declared) if not name.startswith(FOR_CUDA)}
    assert needed == set(read_pins("requirements.txt"))
    tests = list_dependencies(Requirement(text).name for text in PROJECT["optional-dependencies"]["test"])
    assert tests - needed == set(read_pins("requirements-test.txt"))


def test_the_pinned_versions_are_in_the_declared_ranges():
    pins = read_pins("requirements.txt") | read_pins("requirements-test.txt")
    for extra in ("cluster", "s3"):
        pins |= {name: version for name, version in read_pins(f"requirements-{extra}.txt").items() if name not in pins}
    declared = [
        *PROJECT["dependencies"],
        *(text for group in PROJECT["optional-dependencies"].values() for text in group),
    ]
    for one in map(Requirement, declared):
        assert pins[canonicalize_name(one.name)] in one.specifier, one


def test_what_the_code_imports_is_declared():
    """And nothing else is: a package that is needed only by others is theirs to require."""
    imported = set()
    for path in [*(ROOT / "mea").rglob("*.py"), *(ROOT / "stages").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            imported |= {name.partition(".")[0] for name in names}
    ours = set(sys.stdlib_module_names) | {"mea", "stages", "distributed"}  # the last one is for a cluster only
    ours |= {"hdmf", "neo", "pynwb"}  # for mea export and h5.reader: neo only
    owners = metadata.packages_distributions() | {"ruamel": ["ruamel.yaml"]}
    found = {canonicalize_name(owners[name][0]) for name in imported - ours}
    declared = {canonicalize_name(Requirement(text).name) for text in PROJECT["dependencies"]}
    assert found == declared


# The wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of what Git has, built without network."""
    pytest.importorskip("hatchling", reason="pip install -r requirements-test.txt")
    source, out = tmp_path_factory.mktemp("source") / "project", tmp_path_factory.mktemp("wheel")
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(source)], check=True)
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)], cwd=source, check=True)
    (path,) = out.glob("*.whl")
    with zipfile.ZipFile(path) as opened:
        yield opened


def list_tracked(folder):
    listed = subprocess.run(
        ["git", "ls-tree", "-r", "--name-only", "HEAD", folder], cwd=ROOT, capture_output=True, check=True
    )
    return set(listed.stdout.decode().split())


def test_the_wheel_holds_the_package_and_its_data_and_nothing_else(wheel):
    names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert names == list_tracked("mea")
    assert {Path(name).suffix for name in names} >= {".py", ".html", ".js", ".css", ".yaml"}


def test_the_wheel_says_what_it_is(wheel):
    (place,) = {name.partition("/")[0] for name in wheel.namelist() if ".dist-info/" in name}
    told = email.message_from_bytes(wheel.read(f"{place}/METADATA"))
    assert (told["Name"], told["Version"]) == ("mea-pipeline", PROJECT["version"])
    assert told["License-Expression"] == "MIT" and told["Requires-Python"] == ">=3.11"
    assert "MIT License" in wheel.read(f"{place}/licenses/LICENSE").decode()
    assert wheel.read(f"{place}/entry_points.txt").decode().split() == [
        "[console_scripts]",
        "mea",
        "=",
        "mea.__main__:main",
    ]
    assert set(told.get_all("Provides-Extra")) == {"cluster", "export", "s3", "test"}


# An installation


@pytest.mark.slow
def test_an_installation_classifies_in_an_empty_folder(built_lab, tmp_path):
    """``pip install .`` into an environment of its own; then nothing of the clone but a model and a recording."""
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    tools = tmp_path / "venv" / "bin"
    install = [tools / "python", "-m", "pip", "install", "-q", "-c", ROOT / "requirements.txt", built_lab.folder]
    subprocess.run(install, check=True, timeout=PATIENCE_S)
    bench = tmp_path / "bench"
    shutil.copytree(built_lab.folder / "models" / "classifier", bench / "model")
    shutil.copytree(built_lab.folder / "data" / "simulate" / "new", bench / "new")
    for command in (
        ["--version"],
        ["classify", "--source", "new", "--model", "model", "--out", "predictions.csv"],
        ["doctor", "--help"],
    ):
        given = built_lab.describe_call({"PATH": "/usr/bin:/bin"}) | {"cwd": bench, "stderr": subprocess.STDOUT}
        done = subprocess.run([tools / "mea", *command], **given, text=True)
        assert done.returncode == 0 and "Traceback" not in done.stdout, done.stdout
    assert (bench / "predictions.csv").read_bytes() == (built_lab.folder / "metrics" / "classify.csv").read_bytes()
