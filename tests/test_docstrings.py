"""Every example (``>>>``) in a docstring of the package runs, and prints what stands below it."""

import doctest
import importlib
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "mea"
OPTIONS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def name_module(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = [name_module(path) for path in sorted(PACKAGE.rglob("*.py")) if ">>> " in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("name", MODULES)
def test_examples_print_what_they_promise(name, tmp_path, monkeypatch, alone):
    """In an empty folder, so that an example stands for itself and leaves no file behind."""
    monkeypatch.chdir(tmp_path)
    done = doctest.testmod(importlib.import_module(name), optionflags=OPTIONS)
    assert done.attempted > 0, f"{name}: holds >>> outside of its docstrings, where nothing runs it"
    assert done.failed == 0, f"{name}: {done.failed} examples print something else (shown above)"


def test_a_wrong_example_is_noticed():
    """The planted fault: an example whose result is another."""
    wrong = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, 0)
    done = doctest.DocTestRunner(verbose=False, optionflags=OPTIONS).run(wrong, out=lambda _: None)
    assert (done.attempted, done.failed) == (1, 1)
