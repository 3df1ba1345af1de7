"""Reading a version: any name of it, nothing changed, and what is said where it cannot be read."""

import re
import shutil
from pathlib import Path

import pytest
from builders.projects import compare, git, list_state, make_version, read_verdicts, replace_file, write_params
from dvc.repo import Repo

from mea.runtime.errors import MeaError
from mea.versions.compare import main
from mea.versions.versions import load_version

pytestmark = pytest.mark.usefixtures("nobodys_settings")


def run(project: Path, patch: pytest.MonkeyPatch, capsys, *arguments: str) -> str:
    patch.chdir(project)
    capsys.readouterr()
    main(list(arguments))
    return capsys.readouterr().out


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
