"""The Python that runs the project: its version of ``mea``, and what to do where a package is missing.

Only the standard library is used, and nothing newer than Python 3.9, so that this module can speak where others fail.
"""

from __future__ import annotations

import os
import sys
from importlib import metadata
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).resolve().parents[2]
OURS = ("mea", "stages", "benchmarks")
OLDEST = (3, 11)


def read_version() -> str:
    """The version of ``mea`` that is installed, or that the clone's ``pyproject.toml`` names."""
    try:
        return metadata.version("mea-pipeline")
    except metadata.PackageNotFoundError:
        lines = (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
        return next(line.split('"')[1] for line in lines if line.startswith("version = "))


def is_package_missing(error: BaseException) -> bool:
    """Whether an import failed for a package that the project needs; a module of the project itself is none."""
    return isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] not in OURS


def explain_missing(error: ImportError) -> str:
    """Which package is missing in which environment, and how to get it."""
    version = ".".join(map(str, sys.version_info[:3]))
    return f"no module named {error.name!r} in {sys.prefix} (Python {version}). {_find_remedy(ROOT)}"


def _find_remedy(root: Path) -> str:
    home = root / ".venv"
    activate = rf"{home}\Scripts\Activate.ps1" if os.name == "nt" else f". {home}/bin/activate"
    if not (root / "requirements.txt").is_file():
        return "Install the package with what it needs: pip install mea-pipeline, or pip install FOLDER of its clone."
    if Path(sys.prefix).resolve() == home.resolve():
        return f"Install what the project needs: pip install -r {root / 'requirements.txt'}"
    if home.is_dir():
        return f"The project's environment is {home}. Activate it and type the command again: {activate}"
    oldest = ".".join(map(str, OLDEST))
    return f"Make the project's environment with make install (Python {oldest} or newer), then activate it: {activate}"


def explain_missing_packages() -> None:
    """End the program that is being started with one line, not with a traceback, where a package is missing.

    Does nothing in a program that only imports its caller: while Python looks for the module that ``python -m`` is to
    run, and at no other time, ``-m`` stands for the program's name.
    """
    if sys.argv[:1] == ["-m"]:
        sys.excepthook = _show_error


def _show_error(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if isinstance(error, ImportError) and is_package_missing(error):
        print(f"{Path(sys.argv[0]).stem}: {explain_missing(error)}", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)
