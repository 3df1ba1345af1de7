"""The command line every stage shares: ``python -m stages.<name> [--<folder> PATH] [--params FILE] [--set ...]``."""

import argparse
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

from mea.runtime.errors import MeaError
from mea.runtime.parallel import count_processes, count_workers, refuse_outer_processes, show_warnings_plainly
from mea.runtime.params import StageParams, gather_values, list_fields, load_params, read_section

DEVICES = ("cpu", "cuda", "mps")


def run_command(
    work: Callable[..., None],
    params_model: type[StageParams],
    argv: list[str] | None = None,
    **paths: str,
) -> None:
    """Parse the command line, check parameters and environment, do the work.

    A user's mistake ends with its message and status 1.

    Parameters
    ----------
    work
        Called as ``work(params, **paths)`` with every path a :class:`~pathlib.Path`.
    params_model
        The section of ``params.yaml`` named like the stage. A parameter that ``paths`` names too, such as
        ``source``, is also a flag; when flags give every parameter that must not be null, and nothing is overridden,
        no parameter file is read.
    argv
        Arguments instead of ``sys.argv[1:]``.
    **paths
        The stage's flags and their defaults, in the order of ``--help``.
    """
    section = Path(inspect.getfile(params_model)).stem
    parser = _build_parser(section, work, params_model, paths)
    arguments = vars(parser.parse_args(argv))
    show_warnings_plainly()
    with end_plainly(section, "interrupted; nothing half-written was left. The same command goes on from here."):
        check_environment()
        params = _read_params(section, params_model, arguments, paths)
        work(params, **{name: Path(arguments[name]) for name in paths if name not in params_model.model_fields})


@contextmanager
def end_plainly(name: str, interrupted: str) -> Iterator[None]:
    """End the program with one line that begins with its name where the user made a mistake or pressed Ctrl-C.

    What the operating system refuses about a file that it names (no right to read it, a name that is too long) is such
    a mistake, too.
    """
    try:
        yield
    except MeaError as error:
        sys.exit(f"{name}: {error}")
    except OSError as error:
        if error.filename is None:
            raise
        sys.exit(f"{name}: {error.filename}: {error.strerror}. Check the path, and who may read and write there.")
    except KeyboardInterrupt:
        sys.exit(f"{name}: {interrupted}")


def print_line(text: str) -> None:
    """Print a line for the user; nothing with ``MEA_QUIET=1``."""
    if not os.environ.get("MEA_QUIET"):
        print(text, flush=True)


def check_environment() -> None:
    """Check the environment variables that every command reads, also in a command that does not use them.

    Raises
    ------
    MeaError
        If a value is not allowed.
    """
    count_workers()
    count_processes()
    refuse_outer_processes()
    device = os.environ.get("MEA_DEVICE") or DEVICES[0]
    if device not in DEVICES:
        names = ", ".join(DEVICES)
        raise MeaError(f"MEA_DEVICE = {device!r}: must be one of {names}. Unset it to use the fastest that is there.")


def _read_params(section, params_model, arguments, paths) -> StageParams:
    flags = {name: arguments[name] for name in paths if name in params_model.model_fields and arguments[name]}
    fields = params_model.model_fields
    optional = {name: None for name, field in fields.items() if type(None) in get_args(field.annotation)}
    if set(flags) | set(optional) == set(fields) and not arguments["set"]:
        return read_section(params_model, section, optional | flags, "the command line")
    file = Path(arguments["params"])
    values = load_params(file, arguments["set"])
    if section not in values:
        raise MeaError(f"{file}: has no section {section!r}; it has {', '.join(values)}.")
    gathered = gather_values(params_model, section, values)
    return read_section(params_model, section, gathered | flags, str(file), arguments["set"])


def _build_parser(section, work, params_model, paths) -> argparse.ArgumentParser:
    lines = [f"  {section}.{name}: {text}" for name, text in list_fields(params_model)]
    parser = argparse.ArgumentParser(
        prog=f"python -m stages.{section}",
        description=inspect.getdoc(inspect.getmodule(work)),
        epilog="\n".join(["parameters, from params.yaml or --set:", *lines]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for name, default in paths.items():
        field = params_model.model_fields.get(name)
        shown = f"instead of the parameter {section}.{name}" if field else default
        default = None if field else default
        metavar = "PATH" if not field or field.annotation is str else "NAME"
        parser.add_argument(f"--{name.replace('_', '-')}", metavar=metavar, default=default, help=shown)
    parser.add_argument("--params", metavar="FILE", default="params.yaml", help="params.yaml")
    parser.add_argument("--set", metavar="SECTION.KEY=VALUE", action="append", default=[], help="override a parameter")
    return parser
