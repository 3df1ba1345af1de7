"""The rules of ``docs/architecture.md`` that a machine can check: one name, one jump, one direction, complete deps."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest
from builders.closure import ROOT, find_closure, list_imports, write_deps
from ruamel.yaml import YAML

from mea.runtime.params import load_params, read_section

SCRIPTS = sorted((ROOT / "stages").glob("[a-z]*.py"))
STAGES = [path.stem for path in SCRIPTS]
MODULES = sorted((ROOT / "mea").rglob("*.py"))
OUTPUT_FLAGS = ("out", "metrics", "plots", "classifier")
OUTPUT_FOLDERS = ("data/", "models/", "metrics/", "plots/")
WORDS_ONLY = "mea/runtime/environment.py"  # what stages/__init__.py uses: it decides no result
COMMANDS = {  # of mea, with folders of the pipeline as defaults
    *(f"mea/classification/{name}.py" for name in ("classify", "explain")),
    *("mea/doctor/__main__.py", "mea/report/headline.py"),
}


def show(path):
    return path.relative_to(ROOT).as_posix()


def parse(path):
    return ast.parse(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def pipeline():
    """The stages of dvc.yaml, as written there."""
    return YAML(typ="safe").load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]


@pytest.fixture(scope="module")
def params():
    return load_params(ROOT / "params.yaml")


def list_paths(stage, *keys):
    """Paths under the given keys of a stage; an entry with options is a mapping of its path."""
    entries = [entry for key in keys for entry in stage.get(key, [])]
    return [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]


def read_flags(script):
    """Names and defaults of a stage's flags, from the ``run_command(...)`` call in its script."""
    calls = [node for node in ast.walk(parse(script)) if isinstance(node, ast.Call)]
    (call,) = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "run_command"]
    return {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}


def touch(one, other):
    """Whether two paths are the same, or one lies in the other."""
    one, other = PurePosixPath(one), PurePosixPath(other)
    return one == other or one in other.parents or other in one.parents


def compare_deps(listed, closure):
    """What is wrong with the code among a stage's deps; a folder stands for every module in it."""
    code = [path for path in listed if path.partition("/")[0] in ("mea", "stages")]
    files = [path for path in code if PurePosixPath(path).suffix]
    folders = tuple(f"{path.rstrip('/')}/" for path in code if path not in files)
    faults = [f"missing {path}" for path in sorted(closure) if path not in code and not path.startswith(folders)]
    faults += [f"not imported {path}" for path in files if path not in closure]
    faults += [f"not imported {folder}" for folder in folders if not any(path.startswith(folder) for path in closure)]
    return faults + [f"twice {path}" for path in sorted(set(code)) if code.count(path) > 1]


# --- the closure itself ------------------------------------------------------------------------------------------


def make_project(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


def test_closure_follows_every_way_to_import(tmp_path):
    files = {
        "stages/run.py": "import numpy\nfrom mea import direct\nimport mea.pack.leaf as leaf\n",
        "mea/direct.py": "def go():\n    from mea.lazy import thing\n",
        "mea/lazy.py": "from mea.circle import other\nthing = 1\n",
        "mea/circle.py": "import mea.lazy\nother = 2\n",
        "mea/pack/__init__.py": "from . import sister\nfrom .deep.below import x\n",
        "mea/pack/leaf.py": "from ..upward import y\nfrom .sister import z\n",
        "mea/pack/sister.py": "z = 3\n",
        "mea/pack/page.html": "import mea.unused\n",
        "mea/pack/deep/below.py": "x = 4\n",
        "mea/upward.py": "y = 5\n",
        "mea/unused.py": "import mea.alone\n",
        "mea/alone.py": "",
        "mea/measure.py": "",
    }
    make_project(tmp_path, files)
    unused = {"mea/unused.py", "mea/alone.py", "mea/measure.py"}
    assert find_closure(tmp_path / "stages" / "run.py", tmp_path) == set(files) - unused


def test_closure_holds_the_packages_own_file(tmp_path):
    make_project(tmp_path, {"mea/__init__.py": "import mea.first", "mea/first.py": "", "run.py": "import mea.second"})
    (tmp_path / "mea" / "second.py").write_text("")
    found = find_closure(tmp_path / "run.py", tmp_path)
    assert found == {"run.py", "mea/__init__.py", "mea/first.py", "mea/second.py"}


def test_closure_holds_everything_that_python_really_loads():
    """Import each stage in a fresh interpreter, without what the stage before it loaded, and look at the modules."""
    code = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    for known in [known for known in sys.modules if known.split('.')[0] in ('mea', 'stages')]:\n"
        "        del sys.modules[known]\n"
        "    importlib.import_module('stages.' + name)\n"
        "    ours = [value for known, value in sys.modules.items() if known.split('.')[0] in ('mea', 'stages')]\n"
        "    print(name, *sorted(module.__file__ for module in ours if module.__file__), sep='\\t')\n"
    )
    command = [sys.executable, "-c", code, *STAGES]
    output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    loaded = {name: files for name, *files in (line.split("\t") for line in output.splitlines())}
    assert set(loaded) == set(STAGES)
    for script in SCRIPTS:
        files = {show(Path(file)) for file in loaded[script.stem]} - {"stages/__init__.py", WORDS_ONLY}
        assert files <= find_closure(script)
        assert len(files) > 3


@pytest.mark.parametrize(
    ("listed", "fault"),
    [
        (["stages/run.py", "mea/a.py"], "missing mea/pack/b.py"),
        (["stages/run.py", "mea/pack"], "missing mea/a.py"),
        (["stages/run.py", "mea/a.py", "mea/pack", "mea/c.py"], "not imported mea/c.py"),
        (["stages/run.py", "mea/a.py", "mea/pack", "mea/other"], "not imported mea/other/"),
        (["stages/run.py", "mea/a.py", "mea/a.py", "mea/pack"], "twice mea/a.py"),
        (["mea/a.py", "mea/pack", "data/h5"], "missing stages/run.py"),
    ],
)
def test_wrong_deps_are_noticed(listed, fault):
    closure = {"stages/run.py", "mea/a.py", "mea/pack/b.py"}
    assert compare_deps(listed, closure) == [fault]
    assert compare_deps(["stages/run.py", "mea/a.py", "mea/pack/b.py", "data/h5"], closure) == []
    assert compare_deps(["stages/run.py", "mea/a.py", "mea/pack", "data/h5"], closure) == []


def test_deps_can_be_rewritten(tmp_path):
    stages = "\n".join(
        f"  {name}:  # about {name}\n    cmd: run\n    deps:\n      - mea/old.py\n      - data/kept\n"
        for name in STAGES
    )
    file = tmp_path / "dvc.yaml"
    file.write_text(f"stages:\n{stages}", encoding="utf-8")
    write_deps(file)
    for name, stage in YAML(typ="safe").load(file.read_text(encoding="utf-8"))["stages"].items():
        assert compare_deps(stage["deps"], find_closure(ROOT / "stages" / f"{name}.py")) == []
        assert stage["deps"][:2] == ["data/kept", f"stages/{name}.py"]
        assert f"# about {name}" in file.read_text(encoding="utf-8")


# --- dvc.yaml, params.yaml and the scripts agree -----------------------------------------------------------------


def test_stage_key_script_and_section_agree(pipeline, params):
    assert set(pipeline) == set(STAGES) == set(params)


def test_each_stage_lists_the_code_it_imports(pipeline):
    faults = {path.stem: compare_deps(list_paths(pipeline[path.stem], "deps"), find_closure(path)) for path in SCRIPTS}
    lines = [f"{name}: {fault}" for name, wrong in faults.items() for fault in wrong]
    assert not lines, "\n".join(["deps in dvc.yaml; to mend them: python tests/builders/closure.py --write", *lines])


def test_each_stage_follows_its_own_section(pipeline):
    for name, stage in pipeline.items():
        listed = {entry if isinstance(entry, str) else next(iter(entry)) for entry in stage.get("params", [])}
        assert listed == {name}, name


def test_each_stage_is_called_as_a_module(pipeline):
    """As a file, ``stages/array.py`` would hide the standard library's ``array`` from everything it imports."""
    for name, stage in pipeline.items():
        assert stage["cmd"].split()[:3] == ["python", "-m", f"stages.{name}"], name
        assert "&&" not in stage["cmd"]


def test_outputs_bear_the_stages_name(pipeline):
    for name, stage in pipeline.items():
        for path in list_paths(stage, "outs", "metrics", "plots"):
            if path == name:  # a folder that people open
                continue
            folder, *below = PurePosixPath(path).parts
            assert f"{folder}/" in OUTPUT_FOLDERS, f"{name}: {path}"
            expected = {"train": "folds", "evaluate": "classifier"}[name] if folder == "models" else name
            assert PurePosixPath(below[0]).stem == expected, f"{name}: {path}"
        for path in list_paths(stage, "metrics"):
            assert path == f"metrics/{name}.json"


def test_no_output_is_written_by_two_stages(pipeline):
    owners = [(name, path) for name in pipeline for path in list_paths(pipeline[name], "outs", "metrics", "plots")]
    for name, path in owners:
        clash = [other for owner, other in owners if owner != name and touch(path, other)]
        assert not clash, f"{name}: {path}"


def test_outputs_keep_the_run_cache(pipeline):
    """``persist: true`` and ``outs`` with ``cache: false`` switch it off."""
    for name, stage in pipeline.items():
        for entry in stage.get("outs", []):
            options = next(iter(entry.values())) if isinstance(entry, dict) else {}
            assert options.get("cache", True) and not options.get("persist", False), f"{name}: {entry}"


def test_flags_default_to_the_paths_of_dvc_yaml(pipeline):
    for script in SCRIPTS:
        name, stage = script.stem, pipeline[script.stem]
        inputs = [path for path in list_paths(stage, "deps") if path.partition("/")[0] not in ("mea", "stages")]
        outputs = list_paths(stage, "outs", "metrics", "plots")
        fields = importlib.import_module(f"stages.{name}").Params.model_fields
        flags = read_flags(script)
        read = {flag: default for flag, default in flags.items() if flag not in OUTPUT_FLAGS}
        for flag, default in read.items():
            expected = f"${{{name}.{flag}}}" if flag in fields else default
            assert expected in inputs or any(touch(expected, path) for path in inputs), f"{name} --{flag} {default}"
        for path in inputs:
            known = path.startswith("${") or any(default and touch(path, default) for default in read.values())
            assert known, f"{name} reads {path}, which none of its flags names"
        written = [flags[flag] for flag in OUTPUT_FLAGS if flag in flags]
        for default in written:
            assert any(touch(default, path) for path in outputs), f"{name} writes {default}, which dvc.yaml lacks"
        for path in outputs:
            assert any(touch(path, default) for default in written), f"{name}: no flag names {path}"


def test_what_a_stage_reads_another_writes(pipeline):
    written = [path for stage in pipeline.values() for path in list_paths(stage, "outs", "metrics", "plots")]
    for name, stage in pipeline.items():
        for path in list_paths(stage, "deps"):
            if path.startswith(OUTPUT_FOLDERS):
                assert any(touch(path, other) for other in written), f"{name} reads {path}, which no stage writes"


@pytest.mark.parametrize("name", STAGES)
def test_params_model_and_params_yaml_hold_the_same_keys(name, params):
    model = importlib.import_module(f"stages.{name}").Params
    assert set(params[name]) == set(model.model_fields)
    assert model.model_config["extra"] == "forbid" and model.model_config["frozen"]
    read_section(model, name, params[name], "params.yaml")
    assert all(field.is_required() for field in model.model_fields.values()), "a default would hide a missing key"
    assert all(field.description for field in model.model_fields.values()), "--help needs a description"


# --- names and the standard library ------------------------------------------------------------------------------


def import_after(name, before):
    """File of the module ``name`` after running ``before`` in a fresh interpreter in the project's root."""
    code = f"import sys, runpy\n{before}\nimport {name}\nprint('FILE', getattr({name}, '__file__', 'builtin'))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.rpartition("FILE ")[2].strip()


@pytest.mark.parametrize("name", [name for name in STAGES if name in sys.stdlib_module_names])
def test_stage_named_like_a_standard_module_leaves_it_importable(name):
    """``runpy`` is what ``python -m`` runs."""
    as_module = (
        f"sys.argv = ['stages.{name}', '--help']\n"
        f"try: runpy.run_module('stages.{name}', run_name='__main__', alter_sys=True)\nexcept SystemExit: pass\n"
    )
    assert not import_after(name, as_module).startswith(str(ROOT))
    as_file = "sys.path.insert(0, 'stages')"  # what `python stages/<name>.py` does
    # A module built into the interpreter cannot be hidden; elsewhere the danger is real, and this test sees it.
    if name not in sys.builtin_module_names:
        assert import_after(name, as_file) == str(ROOT / "stages" / f"{name}.py")


# --- one jump, one direction -------------------------------------------------------------------------------------


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


def test_library_does_not_import_stages():
    assert [show(path) for path in MODULES if any(name.startswith("stages") for name in list_imports(path))] == []


def test_stages_do_not_import_each_other():
    assert [show(path) for path in SCRIPTS if any(name.startswith("stages") for name in list_imports(path))] == []


def test_only_commands_know_the_parameter_file():
    """The command line every stage shares, and ``make preset`` and ``make doctor``, commands of their own."""
    knowing = {show(path) for path in [*MODULES, *SCRIPTS] if "params.yaml" in list_literals(path)}
    assert knowing <= {"mea/runtime/command.py", "mea/versions/presets.py", "mea/doctor/__main__.py"}


def test_nothing_is_imported_by_a_computed_name():
    """The closure could not follow it."""
    computed = [
        show(path)
        for path in [*MODULES, *SCRIPTS]
        for node in ast.walk(parse(path))
        if getattr(node, "attr", getattr(node, "id", None)) in ("import_module", "__import__", "exec", "eval_module")
    ]
    assert computed == []


# --- size and words ----------------------------------------------------------------------------------------------


def test_modules_are_short():
    lengths = {show(path): len(path.read_text(encoding="utf-8").splitlines()) for path in [*MODULES, *SCRIPTS]}
    assert {path: lines for path, lines in lengths.items() if lines > 350} == {}
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
    assert list_imports(ROOT / WORDS_ONLY) == set()


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda path: path.stem)
def test_benchmarks_can_be_imported(path):
    """They run by hand only; a name that moved away shows here."""
    importlib.import_module(f"benchmarks.{path.stem}")
