"""What a person meets at the keyboard: a stage without its inputs, Ctrl-C, wrong arguments, quiet, progress."""

import os
import pty
import random
import re
import runpy
import shutil
import signal
import subprocess
import sys
import termios
import time
from functools import partial
from pathlib import Path

import pytest
from builders.lab import ROOT, Lab, share_cache
from ruamel.yaml import YAML

from mea import __main__ as mea

STAGES = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
COMMANDS = [name for name in mea.COMMANDS if name != "doctor"]  # the doctor has something to say of anything
REMEDY = re.compile(r"dvc (repro|pull)")
PATIENCE_S = 240


def list_inputs(stage: str) -> list[str]:
    """What a stage reads, without code: its deps in dvc.yaml, for the committed params."""
    params = YAML(typ="safe").load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    filled = [
        re.sub(r"\$\{(\w+)\.(\w+)\}", lambda hit: params[hit[1]][hit[2]], path)
        for path in STAGES[stage].get("deps", [])
    ]
    return [path for path in filled if path.partition("/")[0] not in ("mea", "stages")]


INPUTS = [(stage, path) for stage in STAGES for path in list_inputs(stage)]


def run_module(name: str, *arguments: str) -> str | int | None:
    """``python -m name`` in the current folder, in this process; what it ends with. No other exception may leave it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [name, *arguments])
        patch.syspath_prepend(str(ROOT))
        patch.delitem(sys.modules, name, raising=False)  # another test may have imported it
        try:
            runpy.run_module(name, run_name="__main__", alter_sys=True)
        except SystemExit as end:
            return end.code
    return 0


def run_mea(*arguments: str) -> str | int | None:
    """``mea`` in the current folder, in this process; what it ends with. No other exception may leave it."""
    try:
        mea.main(arguments)
    except SystemExit as end:
        return end.code
    return 0


@pytest.fixture(scope="module")
def own(built_lab, tmp_path_factory) -> Lab:
    """A clone with all results, for this module to spoil."""
    return share_cache(built_lab, tmp_path_factory.mktemp("manners") / "project")


@pytest.fixture
def inside(own, alone, monkeypatch) -> Lab:
    monkeypatch.chdir(own.folder)
    return own


@pytest.fixture
def nowhere(tmp_path, alone, monkeypatch) -> Path:
    """A folder with the parameters and nothing else."""
    folder = tmp_path / "nowhere"
    folder.mkdir()
    shutil.copyfile(ROOT / "params.yaml", folder / "params.yaml")
    monkeypatch.chdir(folder)
    return folder


# A stage without its inputs


@pytest.mark.parametrize(("stage", "path"), INPUTS)
def test_a_stage_without_an_input_says_which_command_makes_it(inside, stage, path):
    """Each input taken away by itself: the message names it, or something in it, and the command."""
    given, away = inside.folder / path, inside.folder / "taken_away"
    given.rename(away)
    try:
        said = run_module(f"stages.{stage}")
    finally:
        if given.is_dir():
            shutil.rmtree(given)
        away.rename(given)
    assert isinstance(said, str) and said.startswith(f"{stage}: "), said
    assert REMEDY.search(said) and path.split("/")[-1].split(".")[0] in said, said


@pytest.mark.parametrize("stage", [stage for stage in STAGES if list_inputs(stage)])
def test_a_stage_in_a_clean_clone_says_which_command_comes_first(nowhere, stage):
    said = run_module(f"stages.{stage}")
    assert isinstance(said, str) and said.startswith(f"{stage}: ") and REMEDY.search(said), said
    assert [path.name for path in nowhere.rglob("*")] == ["params.yaml"]


@pytest.mark.parametrize(("stage", "path"), INPUTS)
@pytest.mark.parametrize("instead", ["an empty folder", "a folder of junk", "junk"])
def test_junk_instead_of_an_input_is_refused_in_words(inside, stage, path, instead):
    given, away = inside.folder / path, inside.folder / "taken_away"
    given.rename(away)
    try:
        put_junk(away, given, instead)
        said = run_module(f"stages.{stage}")
    finally:
        shutil.rmtree(given) if given.is_dir() else given.unlink()
        away.rename(given)
    nothing_new = (stage, instead) == ("classify", "an empty folder") and path == "data/simulate/new"
    drawn_of_some = nothing_new or path in (
        "plots/array",
        "plots/train",
    )  # an estimator has no curves, and few recordings are drawn
    assert said != 0 or instead == "a folder of junk" or drawn_of_some, "it took no notice"
    assert said in (0, None) or (isinstance(said, str) and said.startswith(f"{stage}: ")), said


def put_junk(original: Path, place: Path, instead: str) -> None:
    """In the place of an input: nothing, bytes that mean nothing, or the same names with such bytes in them."""
    junk = random.Random(0).randbytes(300)
    if instead == "junk":
        place.write_bytes(junk)
        return
    place.mkdir()
    if instead == "a folder of junk":
        files = [path for path in original.rglob("*") if path.is_file()] if original.is_dir() else []
        for path in files:
            copy = place / path.relative_to(original)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(junk)


# Wrong arguments

NASTY = [*"-=./ ", "", "--", "nowhere", "params.yaml", "/dev/null", "ä b", "a=b", "-1", "x" * 300, "none"]
SETTINGS = [
    "", "=", "split", "split.by", "split.by=", "split.by=[", "nothing.by=1", "split.nothing=1", "split.by.more=1",
    "train.cnn_lstm.epochs=1e400", "train.cnn_lstm.epochs=.nan", "train.cnn_lstm.epochs=three",
    "h5.labels=", "h5.culture=(",
    "split.score={}", "unzip.source=", "classify.source=[1]", "report.compare=",
    "array.sampling_rate_hz=99999999999999999999",
]  # fmt: skip
ENVIRONMENTS = [{}, {"MEA_WORKERS": "0"}, {"MEA_WORKERS": "many"}, {"MEA_DEVICE": "gpu"}, {"MEA_PROCESSES": "-1"}]


def draw_arguments(draw: random.Random, flags: list[str]) -> list[str]:
    """A few flags, known or not, each with a value that makes no sense, or none."""
    arguments = []
    for _ in range(draw.randint(0, 4)):
        flag = draw.choice([*flags, "--params", "--set", "--set", "--nothing", ""])
        arguments += [flag] if flag else []
        if draw.random() < 0.9:
            arguments.append(draw.choice(SETTINGS if flag == "--set" else NASTY))
    return arguments


def list_flags(capsys) -> list[str]:
    """The flags that the help printed last names."""
    return sorted(set(re.findall(r"--[a-z0-9]+", "".join(capsys.readouterr()))) - {"--help", "--params", "--set"})


def check_end(name: str, said: str | int | None, arguments: list[str], printed: str) -> None:
    where = f"{name} {arguments}: ended with {said!r}\n{printed}"
    assert said not in (0, None), where
    assert said == 2 or isinstance(said, str), where
    assert "Traceback" not in printed and "Traceback" not in str(said), where
    if isinstance(said, str):
        assert said.startswith(f"{name}: ") and len(said) > 20, where


@pytest.mark.parametrize("stage", STAGES)
def test_wrong_arguments_of_a_stage_end_with_a_message(nowhere, stage, capsys, monkeypatch):
    run_module(f"stages.{stage}", "--help")
    draw, flags = random.Random(stage), list_flags(capsys)
    for number in range(60):
        arguments = draw_arguments(draw, flags)
        if stage == "simulate":  # it needs nothing, and would begin
            arguments += ["--set", "simulate.batches=0"]
        with monkeypatch.context() as patch:
            for key, value in draw.choice(ENVIRONMENTS).items():
                patch.setenv(key, value)
            said = run_module(f"stages.{stage}", *arguments)
        printed = "".join(capsys.readouterr())
        if said in (0, None):
            assert stage == "classify" or "--help" in arguments, f"{number}: {stage} {arguments} did something"
            continue
        check_end(stage, said, arguments, printed)
    assert not list(nowhere.rglob("*.partial")) and not list(nowhere.rglob("*.npz"))


@pytest.mark.parametrize("command", COMMANDS)
def test_wrong_arguments_of_a_command_end_with_a_message(nowhere, command, capsys):
    (nowhere / "wrong.json").write_text('{"a": 1}', encoding="utf-8")
    (nowhere / "junk").write_bytes(random.Random(0).randbytes(300))
    assert run_mea(command, "--help") == 0
    draw, flags = random.Random(command), list_flags(capsys)
    values = [*NASTY[:-1], "wrong.json", "junk"]
    for _ in range(40):
        arguments = [draw.choice([*values, *flags]) for _ in range(draw.randint(0, 5))]
        said = run_mea(command, *arguments)
        check_end(command, said, arguments, "".join(capsys.readouterr()))


def test_what_only_a_stage_may_start_says_so(nowhere):
    assert run_module("mea.networks.processes").startswith("processes: only the train stage starts this")


def test_what_the_operating_system_refuses_is_said_plainly(nowhere):
    said = run_module("stages.array", "--h5", "x" * 300)
    assert said == f"array: {'x' * 300}: File name too long. Check the path, and who may read and write there."


def test_metrics_of_another_stage_are_refused_by_the_summary(inside):
    said = run_mea("summary", "metrics/h5.json", "metrics/classify.csv")
    assert said == "summary: metrics/h5.json: lacks or misplaces 'recording': not what evaluate wrote. Run dvc repro."
    said = run_mea("summary", "metrics/evaluate.json", "metrics/evaluate/predictions.csv")
    assert said.startswith("summary: metrics/evaluate/predictions.csv: has no column decision")


# Ctrl-C


def press_ctrl_c(command: list[str], lab: Lab, sign: str, **environment: str) -> tuple[int, str]:
    """Start a command as a terminal does, and interrupt it and all it started once a file is there."""
    # Whoever started the tests in the background has SIGINT ignored in all that descends from him
    listen = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    arguments = lab.describe_call(environment) | {"stderr": subprocess.STDOUT}
    with subprocess.Popen(command, text=True, start_new_session=True, preexec_fn=listen, **arguments) as process:
        deadline = time.monotonic() + PATIENCE_S
        while not any(lab.folder.glob(sign)):
            assert process.poll() is None and time.monotonic() < deadline, f"{command} was never seen at work"
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=PATIENCE_S)
    return process.returncode, said


LONG = ("--set", "train.cnn_lstm.epochs=9", "--set", "train.cnn_lstm.patience=9")


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_ctrl_c_in_a_training_leaves_nothing_broken(own, workers):
    """Nothing half-written, the earlier results as they were, no stack trace; and the same command goes on."""
    command = ["python", "-m", "stages.train", "--models", "cnn_lstm", *LONG, "--out", "models/interrupted"]
    given = {"MEA_CACHE": str(own.folder / "fresh_cache"), "MEA_WORKERS": workers, "MEA_QUIET": ""}
    before = own.list_files("models/folds", "metrics")
    try:
        status, said = press_ctrl_c(command, own, "fresh_cache/checkpoints/*/last.ckpt", **given)
        assert status == 1 and "Traceback" not in said and "\x1b[" not in said, said
        assert "train: interrupted; nothing half-written was left. The same command goes on from here." in said
        assert not (own.folder / "models" / "interrupted" / "cnn_lstm").exists() and not list(
            own.folder.rglob("*.partial")
        )
        assert own.list_files("models/folds", "metrics") == before
        assert list((own.folder / "fresh_cache").glob("checkpoints/*/last.ckpt")), "it could not go on from anywhere"
        said = own.run(*command, **given)
        assert "models trained, one per fold" in said
    finally:
        shutil.rmtree(own.folder / "fresh_cache", ignore_errors=True)
        shutil.rmtree(own.folder / "models" / "interrupted", ignore_errors=True)
        own.restore()


@pytest.mark.slow
def test_ctrl_c_in_dvc_repro_can_be_followed_by_dvc_repro(own):
    cache = {"MEA_CACHE": str(own.folder / "fresh_cache")}
    command = ["dvc", "repro", "--force", "--single-item", "train@cnn_lstm"]
    try:
        status, said = press_ctrl_c(command, own, "fresh_cache/checkpoints/*/last.ckpt", **cache)
        assert status != 0 and "Traceback" not in said, said
        assert "The same command goes on from here." in said
        assert not list(own.folder.glob("*/.*.partial"))
        own.run(*command, "--no-run-cache", **cache)
        assert own.run("git", "diff", "HEAD", "--", "dvc.lock") == ""  # the same bytes as ever
    finally:
        shutil.rmtree(own.folder / "fresh_cache", ignore_errors=True)
        own.restore()


# Quiet, progress, colours


@pytest.mark.slow
def test_a_quiet_stage_says_nothing(own):
    assert own.run("python", "-m", "stages.split", MEA_QUIET="1") == ""
    said = own.run("python", "-m", "stages.split", MEA_QUIET="")
    assert said.startswith("16 chunks of 8 recordings, split by batch") and "\x1b" not in said
    own.restore()


def test_a_terminal_is_shown_the_time_left(own):
    """In a pseudo terminal the bar has what was done, what is left, and how long that will take."""
    own.restore()  # others of this module have spoilt it
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 120))
    given = {"MEA_CACHE": str(own.folder / "fresh_cache"), "MEA_QUIET": "", "TERM": "xterm"}
    call = own.describe_call(given) | {"stdout": theirs, "stderr": theirs}
    try:
        process = subprocess.Popen(["python", "-m", "stages.h5"], **call)
        os.close(theirs)
        said = read_all(ours)
        assert process.wait(timeout=PATIENCE_S) == 0, said
        assert re.search(r"h5: +\d+%.*\d/8 \[\d\d:\d\d<\d\d:\d\d", said), said
    finally:
        os.close(ours)
        shutil.rmtree(own.folder / "fresh_cache", ignore_errors=True)
        own.restore()


def read_all(terminal: int) -> str:
    """What is written to a pseudo terminal until nobody has it open any more."""
    parts = []
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:  # Linux says so instead of an empty answer
            return b"".join(parts).decode()
        if not part:
            return b"".join(parts).decode()
        parts.append(part)
