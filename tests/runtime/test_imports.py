"""Which code a cached result depends on: its module and all that this imports, without comments and docstrings."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import mea.arrays.events
from mea.runtime.imports import PACKAGE, find_closure, hash_code, hash_files

CALL = re.compile(r"[(,] ?(__name__|cls\.__module__)[,)]")  # of what keeps results under a key
CACHING = sorted(path for path in PACKAGE.rglob("*.py") if CALL.search(path.read_text("utf-8")))
MODELS = sorted((PACKAGE / "models").glob("*.py"))

FILES = {
    "mea/__init__.py": '"""A package."""\n',
    "mea/first.py": '"""Adds."""\n\nfrom mea.room.second import double\n\n\ndef add(x):\n    return double(x) + 1\n',
    "mea/room/__init__.py": "",
    "mea/room/second.py": "from .third import FACTOR\n\n\ndef double(x):\n    return FACTOR * x\n",
    "mea/room/third.py": "FACTOR = 2\n",
    "mea/other.py": "import mea.first\n\nFACTOR = 3\n",
}


def make_project(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


def list_closure(path, root):
    return {file.relative_to(root).as_posix() for file in find_closure(path, root / "mea")}


# --- what is followed ------------------------------------------------------------------------------------------------


def test_every_way_to_import_is_followed(tmp_path):
    files = {
        "stages/run.py": "import numpy\nfrom mea import direct\nimport mea.pack.leaf as leaf\n",
        "mea/direct.py": "def go():\n    from mea.lazy import thing\n",
        "mea/lazy.py": "from mea.circle import other\nthing = 1\n",
        "mea/circle.py": "import mea.lazy\nother = 2\n",
        "mea/pack/__init__.py": "from . import sister\nfrom .deep.below import x\n",
        "mea/pack/leaf.py": "from ..upward import y\nfrom .sister import z\n",
        "mea/pack/sister.py": "z = 3\n",
        "mea/pack/deep/below.py": "x = 4\n",
        "mea/upward.py": "y = 5\n",
        "mea/unused.py": "import mea.alone\n",
        "mea/alone.py": "",
        "mea/measure.py": "",
    }
    make_project(tmp_path, files)
    unused = {"mea/unused.py", "mea/alone.py", "mea/measure.py"}
    assert list_closure(tmp_path / "stages" / "run.py", tmp_path) == set(files) - unused


def test_the_packages_own_files_run_first(tmp_path):
    """Those of an imported module and those of the module itself."""
    files = {
        "mea/__init__.py": "import mea.first",
        "mea/first.py": "",
        "mea/second.py": "",
        "mea/room/__init__.py": "import mea.third",
        "mea/room/inside.py": "",
        "mea/third.py": "",
        "run.py": "import mea.second",
    }
    make_project(tmp_path, files)
    start = {"mea/__init__.py", "mea/first.py"}
    assert list_closure(tmp_path / "run.py", tmp_path) == start | {"run.py", "mea/second.py"}
    inside = start | {"mea/room/__init__.py", "mea/room/inside.py", "mea/third.py"}
    assert list_closure(tmp_path / "mea/room/inside.py", tmp_path) == inside


def test_the_closure_holds_everything_that_python_loads():
    """Import each module that keeps results as if it were the first, and look at what was loaded."""
    assert len(CACHING) >= 3
    code = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    for known in [known for known in sys.modules if known.partition('.')[0] == 'mea']:\n"
        "        del sys.modules[known]\n"
        "    importlib.import_module(name)\n"
        "    ours = [module for known, module in sys.modules.items() if known.partition('.')[0] == 'mea']\n"
        "    print(*[module.__file__ for module in ours], sep='\\t')\n"
    )
    names = [".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in [*CACHING, *MODELS]]
    command = [sys.executable, "-c", code, *names]
    done = subprocess.run(command, cwd=PACKAGE.parent, capture_output=True, text=True, check=True)
    for path, line in zip([*CACHING, *MODELS], done.stdout.splitlines(), strict=True):
        loaded = {Path(file) for file in line.split("\t")}
        assert path in loaded
        assert loaded <= find_closure(path), path


@pytest.mark.parametrize(
    ("room", "rooms"),
    [
        ("features", {"runtime", "recordings", "arrays", "features"}),
        ("arrays", {"runtime", "recordings", "arrays"}),
    ],
)
def test_a_key_depends_on_no_room_that_cannot_change_the_result(room, rooms):
    modules = [path for path in CACHING if path.relative_to(PACKAGE).parts[0] == room]
    assert modules
    closure = {file.relative_to(PACKAGE).parts for path in modules for file in find_closure(path)}
    assert {parts[0] for parts in closure if len(parts) > 1} == rooms


# --- what counts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "counts"),
    [
        ("mea/room/third.py", "# twice\nFACTOR = 2  # so it is\n", False),
        ("mea/room/third.py", '"""Numbers."""\n\nFACTOR = 2\n"""Read by nobody."""\n', False),
        ("mea/room/second.py", FILES["mea/room/second.py"].replace("    return", '    """2 x."""\n    return'), False),
        (
            "mea/room/second.py",
            FILES["mea/room/second.py"].replace("FACTOR * x", "(\n        FACTOR * x)"),
            False,
        ),
        ("mea/other.py", "FACTOR = 4\n", False),
        ("mea/room/new.py", "FACTOR = 4\n", False),
        ("mea/room/third.py", "FACTOR = 2.0\n", True),
        ("mea/room/third.py", "FACTOR = 3\n", True),
        ("mea/room/second.py", FILES["mea/room/second.py"].replace("def", "@cache\ndef"), True),
        ("mea/room/second.py", FILES["mea/room/second.py"].replace("    return", '    y = "2 x."\n    return'), True),
        ("mea/room/__init__.py", "import numpy\n", True),
        ("mea/__init__.py", "import mea.other\n", True),
    ],
)
def test_the_hash_follows_code_and_nothing_else(tmp_path, name, text, counts):
    """Planted changes: in comments, docstrings and layout, in other modules, and in a module two imports away."""
    hashes = []
    for folder, changes in (("before", {}), ("after", {name: text})):
        root = make_project(tmp_path / folder, FILES | changes)
        hashes.append(hash_files(find_closure(root / "mea" / "first.py", root / "mea"), root / "mea"))
    assert (hashes[0] != hashes[1]) == counts


def test_the_hash_follows_the_names_of_modules(tmp_path):
    """The same two texts, exchanged."""
    one = make_project(tmp_path / "one", {"mea/a.py": "x = 1\n", "mea/b.py": "x = 2\n"})
    two = make_project(tmp_path / "two", {"mea/a.py": "x = 2\n", "mea/b.py": "x = 1\n"})
    hashes = [hash_files((root / "mea").glob("*.py"), root / "mea") for root in (one, two)]
    assert hashes[0] != hashes[1]
    assert hash_files(sorted((one / "mea").glob("*.py"), reverse=True), one / "mea") == hashes[0]


def test_a_module_outside_the_package_has_a_key_too(tmp_path, monkeypatch):
    """Such as a model that a lab keeps in a file of its own."""
    hashes = []
    for text in ("import mea.runtime.files\n", "import mea.runtime.files\nSEED = 1\n", "import mea.runtime.tables\n"):
        name = f"own_model_{len(hashes)}"
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.syspath_prepend(str(tmp_path))
        __import__(name)
        hashes.append(hash_code(name))
    assert len(set(hashes)) == 3


def test_another_process_finds_the_same_hash():
    code = "import mea.arrays.events as e, mea.runtime.imports as i; print(i.hash_code(e.__name__))"
    done = subprocess.run([sys.executable, "-c", code], cwd=PACKAGE.parent, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == hash_code(mea.arrays.events.__name__)
