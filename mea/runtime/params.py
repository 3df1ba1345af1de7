"""Parameters: read from ``params.yaml``, overridden by ``--set section.key=value``, checked by a model per stage."""

import copy
from collections.abc import Sequence
from pathlib import Path
from reprlib import Repr
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from mea.runtime.errors import MeaError

MOST_VALUES = 100_000  # that a file of parameters can hold


class StageParams(BaseModel):
    """Base of every stage's parameters: frozen, unknown keys forbidden, every value given in the file."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    shared: ClassVar[dict[str, str]] = {}  # parameters that belong to another stage, each with its place there


SHORT = Repr()  # of a value that is wrong, and may be as long as a book
SHORT.maxlevel, SHORT.maxstring, SHORT.maxother, SHORT.maxlist, SHORT.maxdict = 3, 200, 200, 20, 20
Model = TypeVar("Model", bound=StageParams)


def load_params(path: Path, overrides: list[str] | None = None) -> dict[str, Any]:
    """Read the parameter file and apply overrides of the form ``section.key=value`` (value in YAML).

    Raises
    ------
    MeaError
        If the file is missing or no mapping of sections, or an override names no parameter in it.
    """
    try:
        params = parse_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MeaError(f"{path}: no such file. Run in the project's root, or name the file with --params.") from None
    except (YAMLError, OSError, ValueError) as error:
        raise MeaError(f"{path}: not readable as YAML: {error}") from None
    if not isinstance(params, dict) or not all(isinstance(section, dict) for section in params.values()):
        raise MeaError(f"{path}: must be a mapping of sections, each a mapping of parameters.")
    return apply_overrides(params, overrides or [], str(path))


def parse_yaml(text: str) -> Any:
    """The plain values of a YAML text.

    Raises
    ------
    YAMLError
        If it is none.
    ValueError
        If a number has thousands of digits, if it is nested too deep, or if its aliases stand for more than
        100,000 values: a few lines of aliases of aliases can stand for more than any memory holds.
    """
    try:
        values = YAML(typ="safe").load(text)
        _count_values(values, [0])
    except RecursionError:
        raise ValueError("nested too deep") from None
    return values


def _count_values(value: Any, count: list[int]) -> None:
    count[0] += 1
    if count[0] > MOST_VALUES:
        raise ValueError(f"it stands for more than {MOST_VALUES:,} values, by aliases (*name) perhaps")
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, (list, set)) else ():
        _count_values(item, count)


def apply_overrides(params: dict[str, Any], overrides: Sequence[str], origin: str) -> dict[str, Any]:
    """A copy of the sections with overrides of the form ``section.key=value`` applied (value in YAML).

    Parameters
    ----------
    params
        Sections of parameters.
    overrides
        The last of several for one parameter counts.
    origin
        Where the sections were read, for the message.

    Raises
    ------
    MeaError
        If an override has another form, or names no section.

    >>> apply_overrides({"split": {"folds": 5}}, ["split.folds=3"], "params.yaml")
    {'split': {'folds': 3}}
    """
    params = copy.deepcopy(params)
    for override in overrides:
        _apply_override(params, override, origin)
    return params


def _apply_override(params: dict[str, Any], override: str, path: str) -> None:
    name, equals, text = override.partition("=")
    keys = name.strip().split(".")
    if not equals or len(keys) < 2:
        raise MeaError(f"--set {override}: must look like section.key=value, for instance split.by=culture.")
    *outer, last = keys
    mapping = params
    for depth, key in enumerate(outer):
        if not isinstance(mapping.get(key), dict):
            section, holder = ".".join(outer[: depth + 1]), ".".join(outer[:depth]) or "it"
            raise MeaError(f"--set {override}: {path} has no section {section!r}; {holder} has {', '.join(mapping)}.")
        mapping = mapping[key]
    try:
        mapping[last] = parse_yaml(text)
    except (YAMLError, ValueError) as error:
        raise MeaError(f"--set {override}: the value is not readable as YAML: {error}") from None


def gather_values(model: type[StageParams], section: str, sections: dict[str, Any]) -> dict[str, Any]:
    """The values of a section, with those that its model shares with other stages (``StageParams.shared``)."""
    places = {name: place.split(".") for name, place in model.shared.items()}
    shared = {name: sections[other][key] for name, (other, key) in places.items() if key in sections.get(other, {})}
    return sections[section] | shared


def read_section(
    model: type[Model], section: str, values: dict[str, Any], origin: str, overrides: Sequence[str] = ()
) -> Model:
    """Check one section's values against its model.

    Parameters
    ----------
    model, section
        What the section must look like; its name.
    values
        What it holds, overrides applied.
    origin
        Where the values were read, for the message.
    overrides
        Those of :func:`load_params`; the one that gave a wrong value is named instead of the origin.

    Raises
    ------
    MeaError
        Naming the origin, the parameter, its value and the rule, one line for each thing wrong.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        # the last of several overrides counts
        given = {text.partition("=")[0].strip(): f"--set {text}" for text in overrides}
        lines = [_explain(model, section, dict(detail), given, origin) for detail in error.errors()]
        raise MeaError("\n".join(lines)) from None


def _explain(model: type[BaseModel], section: str, detail: dict[str, Any], given: dict[str, str], origin: str) -> str:
    """One mistake in one line; ``given`` are the overrides by the name of their parameter."""
    path = [str(part) for part in detail["loc"]]
    for part in path[:-1]:  # into the section of a model
        inner = model.model_fields[part].annotation if part in model.model_fields else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            break
        model, section, path = inner, f"{section}.{part}", path[1:]
    name = ".".join([section, *path])
    parts = name.split(".")
    prefixes = [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
    where = next((given[prefix] for prefix in prefixes if prefix in given), origin)
    if detail["type"] == "extra_forbidden":
        return f"{where}: {name}: no such parameter; {section} knows {', '.join(model.model_fields)}."
    if detail["type"] == "missing":
        text = format_field(model, path[0])
        return f"{where}: {name}: missing." if text == path[0] else f"{where}: {name}: missing; {text}."
    rule = detail["msg"].removeprefix("Value error, ")
    return f"{where}: {name} = {SHORT.repr(detail['input'])}: {rule}."


def format_field(model: type[BaseModel], name: str) -> str:
    """One parameter in one line: what it means, as its model says."""
    field = model.model_fields.get(name)
    return (field.description if field else None) or name


def list_fields(model: type[BaseModel]) -> list[tuple[str, str]]:
    """Name and description of every parameter, those of nested sections with a dot: ``tcn.epochs``."""
    lines = []
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            lines += [(f"{name}.{inner}", text) for inner, text in list_fields(field.annotation)]
        else:
            lines.append((name, format_field(model, name)))
    return lines
