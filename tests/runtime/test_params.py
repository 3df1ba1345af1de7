"""Parameters, the command line every stage shares, and output that is there whole or not at all."""

import errno
import hashlib
import json
import os
import runpy
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from flatten_dict import flatten
from pydantic import Field

from mea.runtime.command import print_line, run_command
from mea.runtime.errors import MeaError
from mea.runtime.files import fresh_file, fresh_folder, hash_file, is_empty_folder, read_json, write_json
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


# --- files -----------------------------------------------------------------------------------------------------------


def test_fresh_folder_replaces_the_old_one_whole(tmp_path):
    path = tmp_path / "deep" / "out"
    for content in ("one", "two"):
        with fresh_folder(path) as work:
            assert list(work.iterdir()) == []
            (work / content).write_text(content)
            assert content == "one" or (path / "one").exists(), "the old one stays until the new one is whole"
        assert [item.name for item in path.iterdir()] == [content]
    assert [item.name for item in path.parent.iterdir()] == ["out"]


@pytest.mark.parametrize("error", [MeaError, KeyboardInterrupt])
def test_fresh_folder_keeps_the_old_one_on_an_error(tmp_path, error):
    path = tmp_path / "out"
    for old in (False, True):
        with pytest.raises(error), fresh_folder(path) as work:
            (work / "half").write_text("half")
            raise error("no")
        assert path.exists() == old
        if not old:
            path.mkdir()
            (path / "old").write_text("old")
    assert [item.name for item in tmp_path.iterdir()] == ["out"] and (path / "old").read_text() == "old"


def test_an_empty_folder_may_hold_hidden_files(tmp_path):
    assert is_empty_folder(tmp_path)
    (tmp_path / ".gitignore").touch()
    assert is_empty_folder(tmp_path)
    (tmp_path / "below").mkdir()
    assert not is_empty_folder(tmp_path)
    assert not is_empty_folder(tmp_path / ".gitignore") and not is_empty_folder(tmp_path / "missing")


def test_fresh_folder_starts_empty_after_a_kill(tmp_path):
    with pytest.raises(StopIteration), fresh_folder(tmp_path / "out") as work:
        place = work
        raise StopIteration
    place.mkdir()
    (place / "left behind").write_text("x")
    with fresh_folder(tmp_path / "out") as work:
        (work / "new").write_text("y")
    assert [item.name for item in (tmp_path / "out").iterdir()] == ["new"]


def test_fresh_file_is_whole_or_not_there(tmp_path):
    path = tmp_path / "deep" / "file.txt"
    with pytest.raises(MeaError), fresh_file(path) as work:
        work.write_text("half")
        raise MeaError("no")
    assert list(path.parent.iterdir()) == []
    path.write_text("old")
    link = tmp_path / "cached"
    os.link(path, link)  # as DVC's cache may hold it
    with pytest.raises(MeaError), fresh_file(path) as work:
        work.write_text("half")
        raise MeaError("no")
    assert path.read_text() == "old"
    with fresh_file(path) as work:
        work.write_text("new")
    assert path.read_text() == "new" and link.read_text() == "old"
    assert [item.name for item in path.parent.iterdir()] == ["file.txt"]


@pytest.mark.parametrize("fresh", [fresh_file, fresh_folder])
def test_places_that_cannot_be_written(tmp_path, fresh):
    (tmp_path / "file").write_text("x")
    for place in ("file/x", "file/deep/x"):
        with pytest.raises(MeaError) as caught, fresh(tmp_path / place):
            pass
        text = str(caught.value)
        assert text.startswith(f"{tmp_path / place}: cannot be written (") and f"{tmp_path / 'file'}" in text
        assert text.endswith("Make room or get the right to write there, or name another place.")
    assert [item.name for item in tmp_path.iterdir()] == ["file"]


def test_a_folder_in_place_of_a_file_and_a_file_in_place_of_a_folder(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("x")
    with (
        pytest.raises(MeaError, match=r"folder: cannot be written \(Is a directory: "),
        fresh_file(tmp_path / "folder"),
    ):
        raise AssertionError("said before any work is done")
    with pytest.raises(MeaError, match=r"file: cannot be written \(Not a directory: "), fresh_folder(tmp_path / "file"):
        raise AssertionError("said before any work is done")
    assert sorted(item.name for item in tmp_path.iterdir()) == ["file", "folder"]


@pytest.mark.parametrize("fresh", [fresh_file, fresh_folder])
def test_a_full_disk_is_said_and_other_mistakes_keep_their_own_words(tmp_path, fresh):
    full = r"out: cannot be written \(No space left on device\)\. Make room"
    with pytest.raises(MeaError, match=full), fresh(tmp_path / "out"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(FileNotFoundError), fresh(tmp_path / "out"):
        (tmp_path / "nosuch").read_text()
    assert list(tmp_path.iterdir()) == []


def test_json_keeps_order_and_small_numbers_and_has_no_text_for_numbers(tmp_path):
    path = tmp_path / "metrics.json"
    values = {
        "zeta": np.float64(1e-12),
        "alpha": float("nan"),
        "inf": -np.inf,
        "third": 1 / 3,
        "count": np.int64(3),
        "flag": np.bool_(True),
        "none": None,
        "name": "µV",
        "nested": {2: [np.float32(0.5), (1, np.nan)]},
    }
    write_json(path, values)
    read = json.loads(path.read_text(encoding="utf-8"), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert list(read) == list(values)
    assert read["zeta"] == 1e-12 and read["third"] == 0.333333333
    assert read["alpha"] is None and read["inf"] is None
    assert read["count"] == 3 and read["flag"] is True and read["none"] is None and read["name"] == "µV"
    assert read["nested"] == {"2": [0.5, [1, None]]}
    assert read == read_json(path)
    assert b"\r" not in path.read_bytes() and path.read_bytes().endswith(b"}\n")


@pytest.mark.parametrize("content", [None, b"{", b"\xff", b"[1]"])
def test_json_that_is_missing_or_foreign(tmp_path, content):
    path = tmp_path / "split.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MeaError, match=r"split.json: not a file written by a stage \(.*\)\. Run dvc repro\."):
        read_json(path)


def test_hash_is_sha256(tmp_path):
    content = bytes(range(256)) * 5000
    (tmp_path / "file").write_bytes(content)
    assert hash_file(tmp_path / "file") == hashlib.sha256(content).hexdigest()


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
        ("h5: " + "[" * 5000, "not readable as YAML"),
        ("h5: {" + "a: {" * 3000 + "}" * 3001, "nested too deep"),
        ("h5: {threshold: " + "9" * 5001 + "}", "not readable as YAML"),
    ],
    ids=["aliases of aliases", "brackets", "mappings", "digits"],
)
def test_small_texts_cannot_cost_much(tmp_path, text, reason):
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(MeaError, match=r"params\.yaml: not readable as YAML") as error:
        load_params(tmp_path / "params.yaml")
    assert reason in str(error.value) and len(str(error.value)) < 2000
    with pytest.raises(MeaError, match="the value is not readable as YAML"):
        load_params(ROOT / "params.yaml", [f"h5.culture={text.partition(': ')[2]}"])
