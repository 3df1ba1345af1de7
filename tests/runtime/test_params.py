"""Parameters, and the command line every stage shares."""

import os
import runpy
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Literal

import pytest
from flatten_dict import flatten
from pydantic import Field

from mea.runtime.command import print_line, run_command
from mea.runtime.errors import MeaError
from mea.runtime.params import StageParams, load_params, read_section

ROOT = Path(__file__).resolve().parents[2]
FILE = """\
test_params:  # this file is the stage
  source: here
  count: 3
  way: fast
other: {list: [1, 2], deep: {er: 1}}
"""
STAGES = sorted(path.stem for path in (ROOT / "stages").glob("[a-z]*.py"))


class Params(StageParams):
    source: str = Field(description="where it comes from")
    count: int = Field(ge=2, description="how many")
    way: Literal["fast", "slow"] = Field(description="how fast")


class SourceOnly(StageParams):
    source: str = Field(min_length=1, description="where it comes from")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(FILE, encoding="utf-8")
    return path


# --- the parameter file and its overrides --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "section", "expected"),
    [
        ("test_params.count=5", "test_params", {"source": "here", "count": 5, "way": "fast"}),
        ("test_params.source=a=b", "test_params", {"source": "a=b", "count": 3, "way": "fast"}),
        ("other.list=[7]", "other", {"list": [7], "deep": {"er": 1}}),
        ("other.deep.er=1e-3", "other", {"list": [1, 2], "deep": {"er": 0.001}}),
        ("other.list=null", "other", {"list": None, "deep": {"er": 1}}),
        ("other.list=", "other", {"list": None, "deep": {"er": 1}}),
        (" other.list =yes", "other", {"list": "yes", "deep": {"er": 1}}),
    ],
)
def test_overrides_replace_one_value(file, override, section, expected):
    values = load_params(file, [override])
    assert values[section] == expected
    untouched = {"test_params", "other"} - {section}
    assert all(values[name] == load_params(file)[name] for name in untouched)


def test_the_last_of_several_overrides_counts(file):
    assert load_params(file, ["other.list=1", "other.deep.er=8", "other.list=2"])["other"] == {
        "list": 2,
        "deep": {"er": 8},
    }


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("test_params.count", "--set test_params.count: must look like section.key=value, for instance"),
        ("count=3", "--set count=3: must look like section.key=value"),
        ("nosuch.count=3", "params.yaml has no section 'nosuch'; it has test_params, other."),
        ("other.list.x=3", "params.yaml has no section 'other.list'; other has list"),
        ("other.list=[1", r"--set other.list=[1: the value is not readable as YAML: "),
    ],
)
def test_overrides_that_cannot_be_used(file, override, message):
    with pytest.raises(MeaError) as error:
        load_params(file, [override])
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "params.yaml: no such file. Run in the project's root, or name the file with --params."),
        (b"a: [1\nb: 2", "params.yaml: not readable as YAML: "),
        (b"a: {x: 1}\na: {x: 2}\n", "params.yaml: not readable as YAML: "),
        ("a: {unit: µV}".encode("latin-1"), "params.yaml: not readable as YAML: "),
        (b"", "params.yaml: must be a mapping of sections, each a mapping of parameters."),
        (b"- 1\n- 2", "params.yaml: must be a mapping of sections"),
        (b"a: 1", "params.yaml: must be a mapping of sections"),
    ],
)
def test_files_that_cannot_be_used(tmp_path, content, message):
    path = tmp_path / "params.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MeaError) as error:
        load_params(path)
    assert message in str(error.value)


def test_a_folder_is_no_parameter_file(tmp_path):
    with pytest.raises(MeaError, match="not readable as YAML"):
        load_params(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"count": 1}, "p.yaml: test_params.count = 1: Input should be greater than or equal to 2."),
        ({"count": 2.5}, "p.yaml: test_params.count = 2.5: Input should be a valid integer"),
        ({"way": "medium"}, "p.yaml: test_params.way = 'medium': Input should be 'fast' or 'slow'."),
        ({"colour": 1}, "p.yaml: test_params.colour: no such parameter; test_params knows source, count, way."),
        ({"way": None}, "p.yaml: test_params.way = None: "),
    ],
)
def test_values_that_break_a_rule(change, message):
    with pytest.raises(MeaError) as error:
        read_section(Params, "test_params", {"source": "x", "count": 3, "way": "fast"} | change, "p.yaml")
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_a_missing_value_is_no_default():
    with pytest.raises(MeaError) as error:
        read_section(Params, "test_params", {"source": "x", "way": "fast"}, "p.yaml")
    assert str(error.value) == "p.yaml: test_params.count: missing; how many."


def test_everything_wrong_is_said_at_once():
    with pytest.raises(MeaError) as error:
        read_section(Params, "test_params", {"count": 1, "way": "slow", "colour": 2}, "p.yaml")
    lines = str(error.value).splitlines()
    assert [line.split()[1] for line in lines] == ["test_params.source:", "test_params.count", "test_params.colour:"]


def test_parameters_cannot_be_changed():
    params = read_section(Params, "test_params", {"source": "x", "count": 3, "way": "fast"}, "p.yaml")
    with pytest.raises(ValueError, match="frozen"):
        params.count = 4


ALIASES = "a: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"b{k}: &a{k + 1} [{', '.join([f'*a{k}'] * 10)}]\n" for k in range(9)
)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            f"h5: {{culture: 1}}\nx:\n  {ALIASES.replace(chr(10), chr(10) + '  ')}",
            "stands for more than 100,000 values",
        ),
        ("h5: " + "[" * 1000, "nested too deep"),
        pytest.param("h5: " + "[" * 5000, "not readable as YAML", marks=pytest.mark.slow),
        ("h5: {" + "a: {" * 3000 + "}" * 3001, "nested too deep"),
        ("h5: {threshold: " + "9" * 5001 + "}", "not readable as YAML"),
    ],
    ids=["aliases of aliases", "brackets", "more brackets", "mappings", "digits"],
)
def test_small_texts_cannot_cost_much(tmp_path, text, reason):
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(MeaError, match=r"params\.yaml: not readable as YAML") as error:
        load_params(tmp_path / "params.yaml")
    assert reason in str(error.value) and len(str(error.value)) < 2000
    with pytest.raises(MeaError, match="the value is not readable as YAML"):
        load_params(ROOT / "params.yaml", [f"h5.culture={text.partition(': ')[2]}"])


# --- the command line ----------------------------------------------------------------------------------------------


def run_toy(argv, model=Params, work=None):
    """Run a toy stage with a flag of its own and one that is a parameter; give what its work was called with."""
    seen = []

    def keep(params, **paths):
        """Keep what it was called with."""
        seen.append((params, paths))

    run_command(work or keep, model, [str(item) for item in argv], source="", out="data/out")
    return seen[0] if seen else None


def test_flags_and_parameters_reach_the_work(file):
    params, paths = run_toy(["--params", file])
    assert params == Params(source="here", count=3, way="fast") and paths == {"out": Path("data/out")}
    params, paths = run_toy(
        ["--params", file, "--source", "there", "--out", "x", "--set", "test_params.count=9", "--set", "other.list=4"]
    )
    assert params == Params(source="there", count=9, way="fast") and paths == {"out": Path("x")}


def test_no_file_is_read_when_flags_give_every_parameter(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    params, _ = run_toy(["--source", "there"], SourceOnly)
    assert params.source == "there"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--params", "nosuch.yaml"], "test_params: nosuch.yaml: no such file."),
        (
            ["--set", "test_params.count=1"],
            "test_params: --set test_params.count=1: test_params.count = 1: Input should be greater than",
        ),
        (
            ["--set", "test_params.colour=1"],
            "test_params: --set test_params.colour=1: test_params.colour: no such parameter",
        ),
        (
            ["--set", "test_params.count=7", "--set", " test_params.count =0", "--set", "other.list=[0]"],
            "test_params: --set  test_params.count =0: test_params.count = 0: ",
        ),
        (["--set", "test_params=1"], "test_params: --set test_params=1: must look like section.key=value"),
        (["--params", "empty.yaml"], "test_params: empty.yaml: has no section 'test_params'; it has other."),
    ],
)
def test_mistakes_end_with_their_message(file, monkeypatch, argv, message):
    monkeypatch.chdir(file.parent)
    Path("empty.yaml").write_text("other: {x: 1}", encoding="utf-8")
    with pytest.raises(SystemExit) as end:
        run_toy(argv)
    assert end.value.code.startswith(message)  # a text as exit code: printed to stderr, status 1


def test_what_the_file_says_is_blamed_on_the_file_whatever_is_overridden(file):
    file.write_text(FILE.replace("count: 3", "count: 1"), encoding="utf-8")
    with pytest.raises(SystemExit) as end:
        run_toy(["--params", file, "--set", "test_params.way=medium"])
    first, second = end.value.code.splitlines()
    assert first.startswith(f"test_params: {file}: test_params.count = 1: ")
    assert second.startswith("--set test_params.way=medium: test_params.way = 'medium': ")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("MEA_WORKERS", "abc", "MEA_WORKERS = 'abc': must be a whole number, at least 1. Unset it"),
        ("MEA_DEVICE", "gpu", "MEA_DEVICE = 'gpu': must be one of cpu, cuda, mps. Unset it"),
    ],
)
def test_a_mistyped_variable_stops_every_stage(file, monkeypatch, name, value, message):
    """Also one whose work would not look at it."""
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as end:
        run_toy(["--params", file])
    assert end.value.code.startswith(f"test_params: {message}")
    monkeypatch.setenv(name, "")
    assert run_toy(["--params", file])


def test_overrides_beside_a_flag_are_not_ignored(file, monkeypatch):
    """Flags that give every parameter must not silence a --set."""
    monkeypatch.chdir(file.parent)
    with pytest.raises(SystemExit) as end:
        run_toy(["--source", "there", "--set", "test_params.nosuch=1"], SourceOnly)
    assert "test_params.nosuch: no such parameter" in end.value.code


def test_mistakes_in_the_work_end_with_their_message_and_others_do_not(file):
    def fail(params, out):
        """Fail."""
        raise MeaError("x.zip: broken. Send it again.")

    def crash(params, out):
        """Crash."""
        raise ZeroDivisionError

    def interrupt(params, out):
        """Be interrupted."""
        raise KeyboardInterrupt

    with pytest.raises(SystemExit, match=r"^test_params: x\.zip: broken\. Send it again\.$"):
        run_toy(["--params", file], work=fail)
    with pytest.raises(SystemExit, match="interrupted; nothing half-written was left"):
        run_toy(["--params", file], work=interrupt)
    with pytest.raises(ZeroDivisionError):  # a mistake of ours keeps its stack trace
        run_toy(["--params", file], work=crash)


def test_warnings_are_shown_in_plain_words(file, monkeypatch, capsys):
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # put back after the test

    def warn(params, out):
        """Warn."""
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("batch unknown for 3 recordings", stacklevel=1)

    run_toy(["--params", file], work=warn)
    assert capsys.readouterr().err == "warning: batch unknown for 3 recordings\n"


def test_lines_can_be_silenced(monkeypatch, capsys):
    monkeypatch.delenv("MEA_QUIET", raising=False)
    print_line("done")
    monkeypatch.setenv("MEA_QUIET", "1")
    print_line("hidden")
    assert capsys.readouterr().out == "done\n"


@pytest.mark.parametrize("stage", STAGES)
def test_help_lists_every_flag_and_parameter(stage, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [stage, "--help"])
    monkeypatch.delitem(sys.modules, f"stages.{stage}", raising=False)  # runpy would warn that it is there twice
    with pytest.raises(SystemExit) as end:
        runpy.run_module(f"stages.{stage}", run_name="__main__", alter_sys=True)
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: python -m stages.{stage} ")
    values = flatten(load_params(ROOT / "params.yaml")[stage], reducer="dot", max_flatten_depth=2)
    if stage == "h5":
        values = load_params(ROOT / "params.yaml")[stage]  # its labels are one parameter
    for name in values:
        (line,) = [line for line in text.splitlines() if line.startswith(f"  {stage}.{name}: ")]
        assert line != f"  {stage}.{name}: {name}", "the parameter is not described"
    assert "--params FILE" in text and "--set SECTION.KEY=VALUE" in text


def test_a_stage_refused_by_the_shell(tmp_path):
    """As a user sees it: status 1, one line that says what to do, no stack trace, nothing written."""
    out = ["--array", tmp_path / "nosuch", "--out", tmp_path / "out", "--metrics", tmp_path / "metrics.json"]
    command = [sys.executable, "-m", "stages.split", *map(str, out)]
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr.startswith("split: ") and "Traceback" not in result.stderr
    assert "nosuch/catalogue.csv: no such file. It is written by the stage array" in result.stderr.replace("\\", "/")
    assert list(tmp_path.iterdir()) == []
