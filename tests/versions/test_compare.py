"""Comparing versions, in a real small project under Git and DVC: commits, a branch, a tag, an experiment."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from dvc.repo import Repo

from mea.runtime.errors import MeaError
from mea.versions.compare import draw_table, format_comparison, list_differing_params, main
from mea.versions.versions import flatten, load_version

SCORING = '''
"""Stands for the whole pipeline: predictions of a skill, some noise of a seed, and what was made of them."""
import csv, json, pathlib
import numpy as np
from ruamel.yaml import YAML

params = YAML(typ="safe").load(pathlib.Path("params.yaml").read_text())
train, split = params["train"], params["split"]
common, own = np.random.default_rng(0), np.random.default_rng([1, train["seed"]])
folder = pathlib.Path("metrics/evaluate")
folder.mkdir(parents=True, exist_ok=True)
pathlib.Path("models").mkdir(exist_ok=True)
pathlib.Path("models/classifier").write_text("a model")
rows = []
for k in range(240):
    batch, label = k // 6, ("control", "treated")[k % 2]
    side = 1 if label == "treated" else -1
    logit = train["skill"] * side + common.normal() + 0.2 * own.normal()
    p = 1 / (1 + np.exp(-logit))
    fold = (batch if split["by"] == "batch" else k) % split["folds"]
    if train["swapped"] and k < 3:
        label = "control" if label == "treated" else "treated"
    if k >= train["first"]:
        called = "treated" if p > 0.5 else "control"
        rows.append((f"r{k:03d}", label, f"c{k // 3}", f"b{batch}", fold, called, max(p, 1 - p), 1 - p, p))
head = "recording label culture batch fold predicted confidence p_control p_treated".split()
with open(folder / "predictions.csv", "w", newline="") as stream:
    csv.writer(stream).writerows([head, *rows])
accuracy = sum(row[1] == row[5] for row in rows) / len(rows)
leaky = int(split["by"] != "batch")
metrics = {"recording": {"accuracy": accuracy}, "chunk": {"accuracy": accuracy - 0.1, "count": 1920},
           "baseline": {"majority": {"accuracy": 0.5}}, "leaky": leaky,
           "warning": f"leaky: split by {split['by']} | of all things" if leaky else ""}
pathlib.Path("metrics/evaluate.json").write_text(json.dumps(metrics))
'''
PIPELINE = """
stages:
  split:
    cmd: python write_split_level.py
    deps: [write_split_level.py]
    params: [split]
    metrics:
      - metrics/split.json: {cache: false}
  evaluate:
    cmd: python scoring.py
    deps: [scoring.py, metrics/split.json]
    params: [split, train, evaluate]
    outs:
      - models/classifier
      - metrics/evaluate
    metrics:
      - metrics/evaluate.json: {cache: false}
"""
SPLIT_LEVEL = """
import json, os
from ruamel.yaml import YAML
os.makedirs("metrics", exist_ok=True)
json.dump({"split_level": YAML(typ="safe").load(open("params.yaml"))["split"]["by"]}, open("metrics/split.json", "w"))
"""
FIRST = {
    "split": {"by": "batch", "folds": 5},
    "train": {"skill": 0.5, "seed": 0, "first": 0, "swapped": False, "rates": [1, 2]},
    "evaluate": {"bins": 10},
}


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def write_params(folder: Path, **changes: dict) -> None:
    params = {section: values | changes.get(section, {}) for section, values in FIRST.items()}
    (folder / "params.yaml").write_text(json.dumps(params), encoding="utf-8")  # JSON is YAML


def make_version(repo: Repo, message: str, **changes: dict) -> None:
    folder = Path(repo.root_dir)
    write_params(folder, **changes)
    repo.reproduce()
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message)


@pytest.fixture(scope="module", autouse=True)
def nobodys_settings(tmp_path_factory):
    """Neither the settings nor the caches of who runs the tests; this Python first on the path."""
    folder = tmp_path_factory.mktemp("nobody")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("DVC", "GIT_"))]:
            patch.delenv(name)
        patch.setenv("DVC_NO_ANALYTICS", "1")
        patch.setenv("DVC_GLOBAL_CONFIG_DIR", str(folder / "config"))
        patch.setenv("DVC_SITE_CACHE_DIR", str(folder / "site_cache"))
        patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
        patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        patch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
        yield


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """Tag ``first``, branches ``better`` and ``fewer``, experiment ``reseeded``; the workspace is the first version's.

    ``fewer`` leaves 40 recordings out, has three under another label, and was split otherwise.
    """
    folder = tmp_path_factory.mktemp("project")
    git(folder, "init", "--quiet", "--initial-branch", "main")
    git(folder, "config", "user.name", "A. Tester")
    git(folder, "config", "user.email", "tester@example.org")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, text in (("scoring.py", SCORING), ("write_split_level.py", SPLIT_LEVEL), ("dvc.yaml", PIPELINE)):
            (folder / name).write_text(text, encoding="utf-8")
        with Repo.init(str(folder)) as repo:
            make_version(repo, "first")
            git(folder, "tag", "first")
            for branch, changes in (
                ("better", {"train": {"skill": 3.0}}),
                ("fewer", {"train": {"first": 40, "swapped": True}, "split": {"by": "chunk"}, "evaluate": {"bins": 5}}),
            ):
                git(folder, "checkout", "--quiet", "-b", branch, "main")
                make_version(repo, branch, **changes)
            git(folder, "checkout", "--quiet", "main")
            repo.checkout(force=True)
            repo.experiments.run(params=["train.seed=1"], name="reseeded")
            git(folder, "checkout", "--quiet", ".")
            repo.checkout(force=True)
    assert git(folder, "status", "--porcelain") == ""
    return folder


@pytest.fixture
def copied(project, tmp_path) -> Path:
    """The same, to be broken."""
    return shutil.copytree(project, tmp_path / "project", symlinks=True)


def run(project: Path, patch: pytest.MonkeyPatch, capsys, *arguments: str) -> str:
    patch.chdir(project)
    capsys.readouterr()
    main(list(arguments))
    return capsys.readouterr().out


def read_verdicts(text: str) -> dict[str, str]:
    """Metric to verdict, from the console's table."""
    lines = text.split("verdict\n")[1].split("\n\n")[0].splitlines()
    return {line.split()[0]: re.split(r"  +", line)[-1] for line in lines}


# What it says


def test_a_version_is_identical_to_itself(project, monkeypatch, capsys):
    said = run(project, monkeypatch, capsys, "first")
    assert set(read_verdicts(said).values()) == {"identical"} and len(read_verdicts(said)) == 7
    assert "A: first (" in said and "B: workspace" in said
    assert "Parameters that differ\n\nnone" in said and "WARNING" not in said
    assert "240 recordings in 40 groups" in said


def test_a_real_difference_is_found(project, monkeypatch, capsys):
    said = run(project, monkeypatch, capsys, "first", "better")
    verdicts = read_verdicts(said)
    for metric in ("accuracy", "balanced_accuracy", "f1", "roc_auc", "log_loss", "brier"):
        assert verdicts[metric] == "a real difference: B is better"
    assert "p = 0.0001" in said and "\x1b" not in said
    assert read_verdicts(run(project, monkeypatch, capsys, "better", "first"))["log_loss"].endswith("A is better")


def test_another_seed_is_noise(project, monkeypatch, capsys):
    said = run(project, monkeypatch, capsys, "main", "reseeded")
    assert set(read_verdicts(said).values()) == {"within noise"}
    assert re.search(r"train.seed +0 +1", said) and "train.skill" not in said


def test_metrics_are_those_of_the_files(project, monkeypatch, capsys):
    said = run(project, monkeypatch, capsys, "first", "better")
    values = []
    for revision in ("first", "better"):
        metrics = json.loads(git(project, "show", f"{revision}:metrics/evaluate.json"))
        values.append(metrics["recording"]["accuracy"])
    line = next(line for line in said.splitlines() if line.startswith("accuracy "))
    assert line.split()[1:4] == [f"{values[0]:.4f}", f"{values[1]:.4f}", f"{values[1] - values[0]:+.4f}"]
    assert re.search(rf"chunk.accuracy +{values[0] - 0.1:.4f} +{values[1] - 0.1:.4f}", said)
    assert "baseline.majority.accuracy" not in said, "it is the same in both"
    assert re.search(r"train.skill +0.5 +3.0", said)


def test_what_makes_it_unfair_is_said(project, monkeypatch, capsys):
    said = run(project, monkeypatch, capsys, "first", "fewer")
    warnings = [line for line in said.splitlines() if line.startswith("WARNING: ")]
    for text in (
        "DIFFERENT RECORDINGS: A was scored on 240, B on 200; 40 only by A, 0 only by B",
        "DIFFERENT SPLITS: A was split by batch, B by chunk",
        "DIFFERENT FOLDS: 200 of 200 recordings",
        "B IS LEAKY, its metrics are too optimistic: fewer",
        "B carries a warning: leaky: split by chunk",
        "DIFFERENT BINS of the calibration error: 10 and 5; 5 are used",
    ):
        assert any(text in line for line in warnings), text
    assert not any("LABELS" in line for line in warnings)  # those with another label are among the 40
    assert "200 recordings in 34 groups" in said


def test_other_labels_are_left_out(copied):
    path = copied / "metrics" / "evaluate" / "predictions.csv"
    text = path.read_text()
    for name in ("r000", "r002", "r004"):
        text = text.replace(f"{name},control", f"{name},treated")
    replace_file(path, text)
    said = compare(copied, "first", "workspace")
    assert "DIFFERENT LABELS: 3 recordings have another label" in said and "237 recordings in 40 groups" in said
    assert "B: its metrics say accuracy" in said and "they are not of one run" in said


def test_other_classes_and_groups_are_said(copied):
    path = copied / "metrics" / "evaluate" / "predictions.csv"
    text = (
        path.read_text().replace("p_treated", "p_treated,p_toxic").replace("r000,control,c0,b0", "r000,control,c0,b9")
    )
    lines = text.splitlines()
    replace_file(path, "\n".join([lines[0], *(f"{line},0" for line in lines[1:])]) + "\n")
    said = compare(copied, "first", "workspace")
    assert "A knows control, treated; B knows control, toxic, treated" in said
    assert "DIFFERENT GROUPS: 1 recordings" in said
    assert "240 recordings in 39 groups" in said  # b0 and b9 hang together


def test_few_groups_and_unknown_batches_are_said(copied):
    path = copied / "metrics" / "evaluate" / "predictions.csv"
    lines = path.read_text().splitlines()
    replace_file(path, "\n".join(lines[:31]) + "\n")
    assert "FEW GROUPS: 5; below 10" in compare(copied, "first", "workspace")
    replace_file(path, "\n".join(lines[:7]) + "\n")
    said = compare(copied, "first", "workspace")
    assert "ONE GROUP: all recordings" in said
    replace_file(path, "\n".join(lines).replace(",b0,", ",,") + "\n")
    assert "batch unknown for 6 of 240 recordings" in compare(copied, "first", "workspace")


def test_nothing_in_common_still_shows_the_metrics_that_differ(copied):
    path = copied / "metrics" / "evaluate" / "predictions.csv"
    replace_file(path, path.read_text().replace("\nr", "\nother"))
    said = compare(copied, "better", "workspace")
    assert "NOTHING TO COMPARE" in said and "240 only by A, 240 only by B" in said
    assert "No paired differences." in said and "chunk.accuracy" in said
    assert compare(copied, "workspace", "workspace").count("\n\nnone does") == 2


def compare(folder: Path, a: str, b: str, markdown: bool = False) -> str:
    return format_comparison(load_version(a, folder), load_version(b, folder), markdown)


def replace_file(path: Path, text: str) -> None:
    path.unlink()  # it may be a link into the cache
    path.write_text(text, encoding="utf-8")


def test_experiment_tag_branch_hash_and_subfolder(project):
    sha = git(project, "rev-parse", "first")
    versions = [load_version(name, project / "metrics") for name in ("first", "main", sha, sha[:9], "HEAD", "reseeded")]
    assert [version.revision == sha for version in versions] == [True] * 5 + [False]
    assert versions[2].title == sha and versions[0].title == f"first ({sha[:7]})"
    assert versions[0].params["train.rates"] == [1, 2] and versions[5].params["train.seed"] == 1
    assert versions[0].split_level == "batch" and load_version("fewer", project).split_level == "chunk"


def test_project_in_a_subfolder_of_the_repository(tmp_path, project, monkeypatch):
    root = tmp_path / "all"
    inner = root / "inner"
    ignored = shutil.ignore_patterns(".git", ".dvc", "metrics", "dvc.lock")
    shutil.copytree(project, inner, ignore=ignored)
    git(root, "init", "--quiet")
    git(root, "config", "user.name", "A. Tester")
    git(root, "config", "user.email", "tester@example.org")
    monkeypatch.chdir(inner)
    with Repo.init(str(inner), subdir=True) as repo:
        make_version(repo, "first")
        write_params(inner, train={"skill": 3.0})
        repo.reproduce()
    assert read_verdicts(compare(inner, "HEAD", "workspace"))["accuracy"] == "a real difference: B is better"


# Markdown


def test_markdown_tables_have_as_many_cells_in_every_row(project, monkeypatch, capsys):
    said = run(project, monkeypatch, capsys, "first", "fewer", "--md")
    assert said.startswith("### A: first (")
    tables = re.findall(r"(?:^\|.*\|\n)+", said, re.MULTILINE)
    assert len(tables) == 3
    for table in tables:
        lines = table.splitlines()
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1
        assert set(lines[1]) <= set("|- ")
    assert "> **Warning:** DIFFERENT RECORDINGS" in said and "| accuracy |" in said
    assert said.count("\n\n| ") == 3  # GitHub needs an empty line before a table


def test_cells_cannot_break_a_table():
    text = draw_table(("", "A"), [("x|y", "one\ntwo")], markdown=True)
    assert text.splitlines() == ["|  | A |", "| --- | --- |", "| x\\|y | one two |"]


# It only looks


def list_state(folder: Path) -> dict[str, tuple]:
    files = [path for path in folder.rglob("*") if path.relative_to(folder).parts[:2] != (".dvc", "tmp")]
    unstable = (".git/index",)  # git status itself refreshes it
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_mtime_ns, path.stat().st_size)
        for path in files
        if path.is_file() and path.relative_to(folder).as_posix() not in unstable
    }


def test_nothing_changes(project, monkeypatch, capsys):
    before = list_state(project)
    assert "metrics/evaluate/predictions.csv" in before
    run(project, monkeypatch, capsys, "better", "reseeded")
    run(project, monkeypatch, capsys, "fewer", "--md")
    assert list_state(project) == before
    assert (
        git(project, "status", "--porcelain", "--ignored=no") == ""
        and git(project, "branch", "--show-current") == "main"
    )


def test_uncommitted_results_are_what_workspace_means(copied, monkeypatch):
    monkeypatch.chdir(copied)
    write_params(copied, train={"skill": 3.0})
    with Repo(str(copied)) as repo:
        repo.reproduce()
    assert read_verdicts(compare(copied, "first", "workspace"))["accuracy"] == "a real difference: B is better"
    shutil.rmtree(copied / "metrics" / "evaluate")  # not checked out, but in the cache
    assert read_verdicts(compare(copied, "better", "workspace"))["accuracy"] == "identical"


# What goes wrong


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("resedeed", "no such commit, branch, tag or DVC experiment. Near: reseeded."),
        ("bettr", "Near: better"),
        ("workspac", "Near: workspace"),
        ("zzzzz", "There are workspace, better, fewer, main, first, reseeded."),
    ],
)
def test_unknown_revision_lists_what_there_is(project, monkeypatch, name, text):
    monkeypatch.chdir(project)
    with pytest.raises(SystemExit, match=r"compare: ") as exit_:
        main(["first", name])
    assert text in str(exit_.value)


def test_two_experiments_of_one_name(copied):
    for branch in ("better", "fewer"):
        baseline = git(copied, "rev-parse", branch)
        git(copied, "update-ref", f"refs/exps/{baseline[:2]}/{baseline[2:]}/twin", baseline)
    with pytest.raises(MeaError, match="twin: Several experiments have this name: give the hash"):
        load_version("twin", copied)


@pytest.mark.parametrize("kept", [".dir", "nothing"])
def test_missing_cache_says_how_to_get_it(copied, kept):
    shutil.rmtree(copied / "metrics" / "evaluate")
    for path in (copied / ".dvc" / "cache" / "files").rglob("*"):
        if path.is_file() and not path.name.endswith(kept):
            path.unlink()
    with pytest.raises(MeaError, match=r"better: metrics/evaluate/predictions.csv is neither in Git nor in.*dvc fetch"):
        load_version("better", copied)
    with pytest.raises(MeaError, match=r"workspace: metrics/evaluate/predictions.csv.*dvc pull, or dvc repro"):
        load_version("workspace", copied)


def test_a_remote_is_read_without_fetching(copied, tmp_path, monkeypatch):
    monkeypatch.chdir(copied)
    with (copied / ".dvc" / "config").open("a") as config:
        config.write(f"[core]\n    remote = store\n['remote \"store\"']\n    url = {tmp_path / 'store'}\n")
    with Repo(str(copied)) as repo:
        repo.push(all_branches=True)
    git(copied, "commit", "--quiet", "--all", "--message", "a remote")
    shutil.rmtree(copied / ".dvc" / "cache")
    shutil.rmtree(copied / ".dvc" / "tmp")
    assert read_verdicts(compare(copied, "HEAD", "workspace"))["accuracy"] == "identical"


def test_no_project(tmp_path):
    with pytest.raises(MeaError, match=r"no DVC project here. Run in the project's folder"):
        load_version("HEAD", tmp_path)


@pytest.mark.parametrize(
    ("file", "before", "after", "text"),
    [
        ("dvc.yaml", "  evaluate:", "  score:", "its dvc.yaml has no stage 'evaluate'"),
        (
            "dvc.yaml",
            "      - metrics/evaluate\n",
            "      - metrics/predictions\n",
            "has 0 outs named evaluate in dvc.yaml",
        ),
        ("metrics/evaluate.json", "{", "", "metrics/evaluate.json: not readable as JSON"),
        ("metrics/evaluate/predictions.csv", "culture", "dish", "lacks the columns culture"),
        ("params.yaml", '"split"', '"split": {}, :', "DVC cannot read this version"),
    ],
)
def test_a_broken_version_names_the_file(copied, file, before, after, text):
    replace_file(copied / file, (copied / file).read_text().replace(before, after))
    with pytest.raises(MeaError, match=re.escape(text)):
        load_version("workspace", copied)


def test_bins_must_be_known(copied):
    for file in ("params.yaml", "dvc.yaml"):
        text = (copied / file).read_text().replace('"evaluate"', '"other"').replace(", evaluate]", "]")
        replace_file(copied / file, text)
    with pytest.raises(MeaError, match=r"evaluate.bins: neither version has this parameter"):
        compare(copied, "workspace", "workspace")


def test_the_command_line(project):
    command = [sys.executable, "-m", "mea", "compare", "first", "better", "--md"]
    path = str(Path(__file__).resolve().parents[2])
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path})
    assert done.returncode == 0 and "a real difference: B is better" in done.stdout, done.stderr


def test_params_that_one_version_lacks(project):
    first, better = load_version("first", project), load_version("better", project)
    first.params.pop("train.seed")
    better.params["train.new"] = None
    assert list_differing_params(first, better) == [
        ("train.new", "none", "None"),
        ("train.seed", "none", "0"),
        ("train.skill", "0.5", "3.0"),
    ]
    assert flatten({"a": {"b": {"c": 1}}, "d": [1]}) == {"a.b.c": 1, "d": [1]}
