"""The rules of ``docs/architecture.md`` that a machine can check of the code: floors, one jump, one direction, size."""

import ast
import importlib
import re
from graphlib import CycleError, TopologicalSorter

import pytest
from builders.lab import ROOT

from mea.runtime.imports import PACKAGE, list_imports

SCRIPTS = sorted((ROOT / "stages").glob("[a-z]*.py"))
MODULES = sorted(PACKAGE.rglob("*.py"))
OUTPUT_FOLDERS = ("data/", "models/", "metrics/", "plots/")
FLOORS = (  # from the ground up: a room uses those before it
    "runtime", "recordings", "simulation", "arrays", "splitting", "features", "statistics", "networks", "versions",
    "models", "training", "evaluation", "classification", "doctor", "report",
)  # fmt: skip
ROOMS = sorted(path.parent for path in PACKAGE.glob("*/__init__.py"))
COMMANDS = {  # of mea, with folders of the pipeline as defaults
    *(f"mea/classification/{name}.py" for name in ("command", "explain")),
    *("mea/doctor/__main__.py", "mea/report/headline.py", "mea/arrays/export.py"),
}
LONGEST = 300


def show(path):
    return path.relative_to(ROOT).as_posix()


def parse(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def name_module(path):
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


def find_room(module):
    """The room of a module; the package's name for what lies in no room."""
    parts = module.split(".")
    return parts[1] if parts[1:] and (PACKAGE / parts[1]).is_dir() else parts[0]


def read_graph():
    """The modules that each module imports. ``from a import b`` is an import of ``a.b`` where that is a module."""
    files = {name_module(path): path for path in MODULES}
    graph = {}
    for name, path in files.items():
        found = list_imports(path) & set(files) - {name}
        graph[name] = {one for one in found if not any(other.startswith(f"{one}.") for other in found)}
    return graph


# --- floors ----------------------------------------------------------------------------------------------------------


def draw_floors(graph):
    """A line a room, the highest first, with the rooms that it uses."""
    lines = []
    for room in reversed(FLOORS):
        used = {find_room(other) for name in graph if find_room(name) == room for other in graph[name]} - {room}
        lines.append(f"{room:15} uses {', '.join(name for name in FLOORS if name in used) or 'no other room'}")
    return "\n".join(lines)


def list_climbs(graph):
    """Imports that run upwards, or into what lies in no room."""
    height = {room: number for number, room in enumerate(FLOORS)}
    top = len(FLOORS)
    return sorted(
        f"{name} imports {other}"
        for name, imported in graph.items()
        for other in imported
        if height.get(find_room(other), top) > height.get(find_room(name), top)
    )


def find_circle(graph):
    """Modules that import each other in a circle, if any."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_a_room_uses_only_the_rooms_below_it():
    graph = read_graph()
    print(draw_floors(graph))
    assert {path.name for path in ROOMS} == set(FLOORS)
    assert list_climbs(graph) == []


def test_no_modules_import_each_other_in_a_circle():
    assert find_circle(read_graph()) == []


def test_a_climb_and_a_circle_are_noticed():
    """Planted: the ground floor imports the roof, and two modules each other."""
    graph = {"mea.runtime.files": {"mea.report.pages"}, "mea.report.pages": {"mea.runtime.tables"}}
    assert list_climbs(graph) == ["mea.runtime.files imports mea.report.pages"]
    assert find_circle(graph) == []
    graph["mea.runtime.tables"] = {"mea.runtime.files"}
    assert len(find_circle(graph)) == 4  # the first one again at the end


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.name)
def test_each_room_says_what_it_may_use_and_where_to_begin(room):
    said = ast.get_docstring(parse(room / "__init__.py")) or ""
    assert len(said.splitlines()) >= 3
    used = re.search(r"Uses no other room|Uses (\w+)", said)
    assert used, "a sentence 'Uses <room> and what is below.'"
    below = FLOORS[: FLOORS.index(room.name)]
    assert used[1] in below if used[1] else not below
    first = re.findall(r"Begin with ``(\w+)``", said)
    assert first, "a sentence 'Begin with ``<module>``'"
    assert all((room / f"{name}.py").is_file() for name in first)


def test_the_floors_are_drawn_as_they_are():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    (drawing,) = re.findall(r"```text\n(.*?)```", page, re.DOTALL)
    drawn = [line.split()[0] for line in drawing.splitlines()]
    assert drawn == ["stages/", *(f"mea/{room}/" for room in reversed(FLOORS))]


# --- one jump, one direction -----------------------------------------------------------------------------------------


def list_literals(path):
    """Texts in a file's code, without its docstrings."""
    tree = parse(path)
    bare = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    texts = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return [node.value for node in texts if id(node) not in bare]


def test_library_names_no_folder_of_the_pipeline():
    """But the sub-commands of ``mea``, whose defaults they are, as they are those of the stages."""
    library = [path for path in MODULES if show(path) not in COMMANDS]
    named = [(show(path), text) for path in library for text in list_literals(path) if text.startswith(OUTPUT_FOLDERS)]
    assert named == []


def test_nothing_imports_a_stage():
    assert [show(path) for path in [*MODULES, *SCRIPTS] if list_imports(path, ROOT / "stages")] == []


def test_only_commands_know_the_parameter_file():
    """The command line every stage shares, and ``make preset`` and ``make doctor``, commands of their own."""
    knowing = {show(path) for path in [*MODULES, *SCRIPTS] if "params.yaml" in list_literals(path)}
    assert knowing <= {"mea/runtime/command.py", "mea/versions/presets/__init__.py", "mea/doctor/__main__.py"}


def test_nothing_is_imported_by_a_computed_name():
    """The closure could not follow it."""
    computed = [
        show(path)
        for path in [*MODULES, *SCRIPTS]
        for node in ast.walk(parse(path))
        if getattr(node, "attr", getattr(node, "id", None)) in ("import_module", "__import__", "exec", "eval_module")
    ]
    assert computed == []


# --- size and words --------------------------------------------------------------------------------------------------


def test_modules_are_short():
    lengths = {show(path): len(path.read_text(encoding="utf-8").splitlines()) for path in [*MODULES, *SCRIPTS]}
    assert {path: lines for path, lines in lengths.items() if lines > LONGEST} == {}
    assert {path: lines for path, lines in lengths.items() if path.startswith("stages/") and lines > 130} == {}


def test_every_file_and_public_name_has_a_docstring():
    """But a stage's ``Params``, whose fields describe themselves."""
    silent = []
    for path in [*MODULES, *sorted((ROOT / "stages").glob("*.py"))]:
        tree = parse(path)
        public = [node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
        public = [node for node in public if not node.name.startswith("_") and node.name != "Params"]
        silent += [show(path)] if not ast.get_docstring(tree) else []
        silent += [f"{show(path)}: {node.name}" for node in public if not ast.get_docstring(node)]
    assert silent == []


def test_packages_run_no_code_that_dvc_would_not_see():
    """``stages/__init__.py`` runs before every stage and is no dep: it may only say that a package is missing."""
    docstring, *code = parse(ROOT / "stages" / "__init__.py").body
    assert isinstance(docstring, ast.Expr)
    assert [ast.unparse(node) for node in code] == [
        "from mea.runtime.environment import explain_missing_packages",
        "explain_missing_packages()",
    ]
    assert list_imports(PACKAGE / "runtime" / "environment.py") == set()


def test_the_package_itself_only_says_how_threads_wait():
    """``mea/__init__.py`` runs before everything, and is no dep either: nothing in it may decide a result."""
    _, *code = parse(PACKAGE / "__init__.py").body
    texts = {node.value for part in code for node in ast.walk(part) if isinstance(node, ast.Constant)}
    names = {node.id for part in code for node in ast.walk(part) if isinstance(node, ast.Name)}
    assert texts == {"OMP_WAIT_POLICY", "PASSIVE", "GOMP_SPINCOUNT", "1000"}
    assert names == {"os"}


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda path: path.stem)
def test_benchmarks_can_be_imported(path):
    """They run by hand only; a name that moved away shows here."""
    importlib.import_module(f"benchmarks.{path.stem}")
