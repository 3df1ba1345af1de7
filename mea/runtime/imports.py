"""Which code decides a result: a module, and every module of this package that it imports, directly or not.

The source is parsed, not run, so that imports inside functions count, too. Comments, docstrings and the layout of lines
do not count: a better comment makes no cached result stale.
"""

import ast
import sys
from collections.abc import Iterable
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

PACKAGE = Path(__file__).parents[1]


@cache
def hash_code(module: str) -> str:
    """SHA-256 of the code of a module, which must be imported already, and of all code of this package it imports.

    It is computed once per process, so that it stands for the code that the process runs.

    >>> from mea.runtime import files, imports
    >>> imports.hash_code("mea.runtime.files") == imports.hash_code(files.__name__)
    True
    """
    return hash_files(find_closure(Path(sys.modules[module].__file__ or "")))


def hash_files(files: Iterable[Path], package: Path = PACKAGE) -> str:
    """SHA-256 of the names of source files and of their code without comments and docstrings, in any order."""
    digest = sha256()
    for name, path in sorted((_name_file(path, package), path) for path in files):
        digest.update(f"{name} {_read_source(path).digest}\n".encode())
    return digest.hexdigest()


def find_closure(path: Path, package: Path = PACKAGE) -> set[Path]:
    """A source file and every file of the package that it imports, directly or not."""
    known: set[Path] = set()
    waiting = {path} | _find_parents(path, package)
    while waiting:
        path = waiting.pop()
        known.add(path)
        waiting |= {file for name in list_imports(path, package) for file in _find_files(name, package)} - known
    return known


def list_imports(path: Path, package: Path = PACKAGE) -> set[str]:
    """Dotted names of the package that a file imports anywhere; ``from a import b`` gives ``a`` and ``a.b``."""
    start = path.relative_to(package.parent).parts[:-1] if path.is_relative_to(package) else ()
    names = set()
    for level, module, imported in _read_source(path).imports:
        base = ".".join([*start[: len(start) - level + 1], *([module] if module else [])]) if level else module
        names |= {base} | {f"{base}.{name}" for name in imported}
    return {name for name in names if name.partition(".")[0] == package.name}


def _find_parents(path: Path, package: Path) -> set[Path]:
    """The ``__init__.py`` of every package that a file lies in: they run before it."""
    folders = [folder for folder in path.parents if folder.is_relative_to(package)]
    return {folder / "__init__.py" for folder in folders if (folder / "__init__.py").is_file()}


def _find_files(name: str, package: Path) -> set[Path]:
    """Files that run when a dotted name is imported: every ``__init__.py`` on the way, and the module."""
    parts = name.split(".")
    ways = [package.parent.joinpath(*parts[:depth]) for depth in range(1, len(parts) + 1)]
    return {file for way in ways for file in (way / "__init__.py", way.with_suffix(".py")) if file.is_file()}


def _name_file(path: Path, package: Path) -> str:
    return path.relative_to(package.parent).as_posix() if path.is_relative_to(package) else path.name


class _Source(NamedTuple):
    """What is kept of a source file: (level, module, imported names) of each import, and the SHA-256 of its code."""

    imports: list[tuple[int, str, list[str]]]
    digest: str


@cache
def _read_source(path: Path) -> _Source:
    tree = ast.parse(path.read_bytes(), path.name)
    imports: list[tuple[int, str, list[str]]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports += [(0, alias.name, []) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            imports.append((node.level, node.module or "", [alias.name for alias in node.names]))
        elif isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            node.body = [line for line in node.body if not _is_text(line)]
    return _Source(imports, sha256(ast.dump(tree).encode()).hexdigest())


def _is_text(node: ast.stmt) -> bool:
    """Whether a statement is a docstring, or another text that no code reads."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
