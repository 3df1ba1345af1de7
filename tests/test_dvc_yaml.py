"""What ``docs/architecture.md`` says of ``dvc.yaml``, ``params.yaml`` and the stages' scripts, checked."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest
from builders.lab import ROOT
from ruamel.yaml import YAML

from mea.runtime.imports import find_closure
from mea.runtime.params import gather_values, load_params, read_section

SCRIPTS = sorted((ROOT / "stages").glob("[a-z]*.py"))
STAGES = [path.stem for path in SCRIPTS]
OUTPUT_FLAGS = ("out", "metrics", "plots", "classifier")
OUTPUT_FOLDERS = ("data/", "models/", "metrics/", "plots/")
CODE = ("mea", "stages")
INITS = {ROOT / "stages" / "__init__.py", ROOT / "mea" / "__init__.py"}  # test_architecture.py: they decide nothing
FIRST = find_closure(ROOT / "stages" / "__init__.py")  # runs before every stage
OTHERS = {  # of a model only what decides it, so that adding one trains one
    "unzip": {"unzip", "h5.reader"},
    "split": {"split", "features.baseline"},
    "train": {"train.inner_folds", "train.seed", "train.${item.model}"},
    "evaluate": {"evaluate", "train.models"},
    "contrast": {"contrast", *(f"evaluate.{name}" for name in ("permutations", "confidence_level", "order", "seed"))},
}
WHOLE = ("classify", "report")  # the last stages, which use most rooms


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


def list_code(script):
    """What a stage is to list of the code it imports: its script, and rooms or the whole package."""
    files = (find_closure(script) | FIRST) - INITS
    code = {"/".join(path.relative_to(ROOT).parts[:2]) for path in files}
    return {show(script), "mea"} if script.stem in WHOLE else code


def compare_deps(listed, expected):
    """What is wrong with the code among a stage's deps."""
    code = [path for path in listed if path.partition("/")[0] in CODE]
    faults = [f"missing {path}" for path in sorted(expected - set(code))]
    faults += [f"not imported {path}" for path in sorted(set(code) - expected)]
    return faults + [f"twice {path}" for path in sorted(set(code)) if code.count(path) > 1]


# --- deps ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("listed", "fault"),
    [
        (["stages/run.py", "mea/one"], "missing mea/room"),
        (["stages/run.py", "mea/one", "mea/room", "mea/other"], "not imported mea/other"),
        (["stages/run.py", "mea/one", "mea/room", "mea/room/b.py"], "not imported mea/room/b.py"),
        (["stages/run.py", "mea/one", "mea/room", "mea/room"], "twice mea/room"),
        (["mea/one", "mea/room", "data/h5"], "missing stages/run.py"),
    ],
)
def test_wrong_deps_are_noticed(listed, fault):
    expected = {"stages/run.py", "mea/one", "mea/room"}
    assert compare_deps(listed, expected) == [fault]
    assert compare_deps(["stages/run.py", "mea/one", "mea/room", "data/h5"], expected) == []


def test_dvc_overlooks_only_rooms_that_no_stage_imports():
    """``.dvcignore`` names what changes no result."""
    lines = (ROOT / ".dvcignore").read_text(encoding="utf-8").splitlines()
    rooms = {line.strip("/") for line in lines if line.startswith("/")}
    imported = {path.relative_to(ROOT).as_posix() for script in SCRIPTS for path in find_closure(script)}
    assert rooms == {"mea/doctor"}
    assert not [name for name in imported if name.startswith("mea/doctor")]


def test_deps_hold_everything_that_python_loads():
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
        files = {Path(file) for file in loaded[script.stem]}
        assert files <= find_closure(script) | FIRST | INITS
        assert len(files) > 3


# --- dvc.yaml, params.yaml and the scripts agree -----------------------------------------------------------------


def test_stage_key_script_and_section_agree(pipeline, params):
    assert set(pipeline) == set(STAGES) == set(params)


def test_each_stage_lists_the_rooms_it_imports(pipeline):
    faults = {path.stem: compare_deps(list_paths(pipeline[path.stem], "deps"), list_code(path)) for path in SCRIPTS}
    lines = [f"{name}: {fault}" for name, wrong in faults.items() for fault in wrong]
    assert not lines, "\n".join(["deps in dvc.yaml:", *lines])


def test_the_pipeline_is_read_at_a_glance():
    """It lists rooms, not files."""
    models = len(load_params(ROOT / "params.yaml")["train"]["models"])
    for name, most in (("dvc.yaml", 200), ("dvc.lock", 700 + 100 * (models - 1))):  # each model is a stage
        assert len((ROOT / name).read_text(encoding="utf-8").splitlines()) < most, name


def test_each_stage_follows_its_own_section(pipeline):
    for name, stage in pipeline.items():
        listed = {entry if isinstance(entry, str) else next(iter(entry)) for entry in stage.get("params", [])}
        assert listed == OTHERS.get(name, {name}), name


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
            assert path == f"metrics/{name}{'/${item.model}' if 'matrix' in stage else ''}.json"


def test_no_output_is_written_by_two_stages(pipeline):
    owners = [(name, path) for name in pipeline for path in list_paths(pipeline[name], "outs", "metrics", "plots")]
    for name, path in owners:
        clash = [other for owner, other in owners if owner != name and touch(path, other)]
        assert not clash, f"{name}: {path}"


def test_outputs_keep_the_run_cache(pipeline):
    """``persist: true`` and ``outs`` with ``cache: false`` switch it off; unzip looks at what it unpacked before."""
    for name, stage in pipeline.items():
        for entry in stage.get("outs", []):
            options = next(iter(entry.values())) if isinstance(entry, dict) else {}
            assert options.get("cache", True) and options.get("persist", False) == (name == "unzip"), f"{name}: {entry}"


def test_flags_default_to_the_paths_of_dvc_yaml(pipeline):
    for script in SCRIPTS:
        name, stage = script.stem, pipeline[script.stem]
        inputs = [path for path in list_paths(stage, "deps") if path.partition("/")[0] not in CODE]
        outputs = list_paths(stage, "outs", "metrics", "plots")
        fields = importlib.import_module(f"stages.{name}").Params.model_fields
        flags = read_flags(script)
        read = {flag: default for flag, default in flags.items() if flag not in OUTPUT_FLAGS}
        for flag, default in read.items():
            if flag == "models":  # one at a time: the stage's matrix
                assert stage["matrix"] == {"model": "${train.models}"} and "--models ${item.model}" in stage["cmd"]
                continue
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
    assert set(params[name]) == set(model.model_fields) - set(model.shared)
    assert model.model_config["extra"] == "forbid" and model.model_config["frozen"]
    read_section(model, name, gather_values(model, name, params), "params.yaml")
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
