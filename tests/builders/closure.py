"""Which files of ours a script runs: its imports, and theirs. DVC does not follow imports, so ``dvc.yaml`` lists them.

``python tests/builders/closure.py`` prints each stage's list; with ``--write`` it puts the lists into ``dvc.yaml``.
"""

import ast
import sys
from pathlib import Path

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]
OURS = ("mea", "stages")
PAGES = (".css", ".html", ".js")  # what a package may hold beside its code, and reads


def list_imports(path: Path, root: Path = ROOT) -> set[str]:
    """Dotted names of ours that a file may import, anywhere in it; ``from a import b`` counts as ``a`` and ``a.b``."""
    package = path.relative_to(root).with_suffix("").parts[:-1]
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*start, *([node.module] if node.module else [])])
            names |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.partition(".")[0] in OURS}


def find_files(name: str, root: Path = ROOT) -> set[Path]:
    """Files of an import: the ``__init__.py`` of every package on the way with the pages beside it, and the module."""
    parts = name.split(".")
    ways = [root.joinpath(*parts[:depth]) for depth in range(1, len(parts) + 1)]
    pages = [file for way in ways for file in way.glob("*.*") if file.suffix in PAGES]
    files = [file for way in ways for file in (way / "__init__.py", way.with_suffix(".py"), *pages)]
    return {file for file in files if file.is_file()}


def find_closure(script: Path, root: Path = ROOT) -> set[str]:
    """The script and every file of ours it imports, directly or not, as paths from the root."""
    known: set[Path] = set()
    waiting = {script}
    while waiting:
        path = waiting.pop()
        known.add(path)
        if path.suffix in PAGES:
            continue
        waiting |= {file for name in list_imports(path, root) for file in find_files(name, root)} - known
    return {path.relative_to(root).as_posix() for path in known}


def write_deps(file: Path) -> None:
    """Replace the code among each stage's deps by its closure; other deps, comments and order stay."""
    yaml = YAML()
    yaml.width = 120
    yaml.preserve_quotes = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    pipeline = yaml.load(file.read_text(encoding="utf-8"))
    for name, stage in pipeline["stages"].items():
        script = f"stages/{name}.py"
        others = [entry for entry in stage.get("deps", []) if str(entry).partition("/")[0] not in OURS]
        stage["deps"] = others + [script] + sorted(find_closure(ROOT / script) - {script})
    with file.open("w", encoding="utf-8", newline="\n") as stream:
        yaml.dump(pipeline, stream)


if __name__ == "__main__":
    for path in sorted((ROOT / "stages").glob("[a-z]*.py")):
        print(f"{path.stem}:", *sorted(find_closure(path)), sep="\n      - ")
    if "--write" in sys.argv:
        write_deps(ROOT / "dvc.yaml")
