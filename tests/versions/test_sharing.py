"""Versions shared: a store on S3, experiments over a Git server, the registry of models, checks of a pull request."""

import csv
import json
import re
from pathlib import Path

import pytest
from builders.documents import ROOT, Block, find_faults, prepare_clone, read_blocks, run_block
from builders.lab import Lab, clone_lab, share_cache
from builders.store import list_objects, start_store
from ruamel.yaml import YAML

from mea.runtime.errors import MeaError
from mea.versions.lock import find_stale, main

SHARING = ROOT / "docs" / "sharing.md"
GITHUB = ROOT / ".github" / "workflows" / "validate.yml"
GITLAB = ROOT / "docs" / "gitlab-ci.yml"


def find_block(text: str) -> Block:
    """The block of docs/sharing.md that holds a text."""
    (block,) = [block for block in read_blocks(SHARING) if text in block.text]
    return block


def read_yaml(path: Path) -> dict:
    return YAML(typ="safe").load(path.read_text(encoding="utf-8"))


# A store on S3


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """The environment with which a server of ours on this machine, with an empty bucket, is to be had."""
    with start_store(tmp_path_factory.mktemp("store")) as environment:
        yield environment


def test_a_store_on_s3_brings_everything_elsewhere(built_lab, tmp_path, store):
    """The commands of docs/sharing.md: push, clone elsewhere, pull, nothing to do, classify."""
    lab = prepare_clone(share_cache(built_lab, tmp_path / "project"))
    run_block(find_block("dvc remote add --default store s3://"), lab, everything=True, **store)
    pushed = list_objects(store)
    assert len(pushed) > 50 and all(name.startswith("recordings/files/md5/") for name in pushed)
    said = run_block(find_block("../elsewhere"), lab, everything=True, **store)
    assert "Data and pipelines are up to date." in said and "Running stage" not in said
    elsewhere = tmp_path / "elsewhere"
    assert not (elsewhere / ".dvc" / "config.local").exists() and (elsewhere / ".dvc" / "cache").is_dir()
    assert (elsewhere / "predictions.csv").read_bytes() == (lab.folder / "metrics" / "classify.csv").read_bytes()
    config = (lab.folder / ".dvc" / "config").read_text(encoding="utf-8")
    assert "secret" not in config and "s3://mea-lab/recordings" in config


# Experiments over a Git server


@pytest.mark.slow
def test_an_experiment_goes_to_a_colleague(built_lab, tmp_path):
    lab = prepare_clone(share_cache(built_lab, tmp_path / "project"))
    lab.run("dvc", "remote", "add", "--default", "store", str(tmp_path / "store"))
    lab.commit("where the data are kept")
    lab.run("dvc", "push")
    lab.run("git", "push", "--quiet")
    lab.run("dvc", "exp", "run", "--name", "fewer_bins", "-S", "evaluate.bins=5")
    assert "Pushed experiment" in lab.run("dvc", "exp", "push", "origin", "fewer_bins")

    colleague = clone_lab(tmp_path / "server.git", tmp_path / "colleague" / "project")
    assert "fewer_bins" in colleague.run("dvc", "exp", "list", "--all-commits", "origin")
    colleague.run("dvc", "exp", "pull", "origin", "fewer_bins")
    colleague.run("dvc", "pull")
    assert "A: main" in colleague.run("mea", "compare", "main", "fewer_bins")
    colleague.run("dvc", "exp", "apply", "fewer_bins")
    said = colleague.run("dvc", "repro")
    assert "Data and pipelines are up to date." in said and "Running stage" not in said
    rows = (colleague.folder / "plots/evaluate/reliability_chunk.csv").read_text(encoding="utf-8").splitlines()
    assert {round(float(row["high"]) - float(row["low"]), 6) for row in csv.DictReader(rows)} == {0.2}


# The registry of models


def test_dvc_yaml_names_the_finished_classifier():
    pipeline = read_yaml(ROOT / "dvc.yaml")
    artifact = pipeline["artifacts"]["classifier"]
    assert artifact["type"] == "model" and artifact["path"] in pipeline["stages"]["evaluate"]["outs"]


@pytest.mark.slow
def test_a_promoted_model_is_fetched_into_an_empty_folder_and_calls(built_lab, tmp_path):
    """The commands of docs/sharing.md; then a second version, promoted, and the first one again."""
    lab = prepare_clone(share_cache(built_lab, tmp_path / "project"))
    for text in ("/mea-store", "gto register", "dvc artifacts get"):
        said = run_block(find_block(text), lab)
    bench = tmp_path / "bench"
    assert (bench / "predictions.csv").read_bytes() == (lab.folder / "metrics" / "classify.csv").read_bytes()
    fetched = {path.name: path.read_bytes() for path in (bench / "model").iterdir() if path.is_file()}
    assert "card.md" in fetched and "classifier.json" in fetched, said

    lab.change_params({"evaluate": {"target_error": 0.2}})
    lab.run("dvc", "repro", "evaluate")
    lab.commit("calls more")
    lab.run("dvc", "push")
    lab.run("gto", "register", "classifier", "--version", "v1.1.0")
    lab.run("gto", "assign", "classifier", "--version", "v1.1.0", "--stage", "production")
    lab.run("git", "push", "--quiet", "--tags")
    server = str(tmp_path / "server.git")
    for name, version in (("newer", "v1.1.0"), ("older", "v1.0.0")):
        lab.run("gto", "assign", "classifier", "--version", version, "--stage", "production", "--force")
        lab.run("git", "push", "--quiet", "--tags", "--force")
        got = ("dvc", "artifacts", "get", server, "classifier", "--stage", "production", "--out", str(tmp_path / name))
        lab.run(*got)
    card = json.loads((tmp_path / "newer" / "card.json").read_text(encoding="utf-8"))
    assert card["parameters"]["evaluate"]["target_error"] == 0.2
    assert {path.name: path.read_bytes() for path in (tmp_path / "older").iterdir() if path.is_file()} == fetched


# What the VS Code extension asks DVC for


def test_dvc_answers_what_the_vs_code_extension_asks(lab):
    shown = json.loads(lab.run("dvc", "exp", "show", "--json"))
    workspace = next(entry for entry in shown if entry["rev"] == "workspace")["data"]
    assert set(workspace["params"]["params.yaml"]["data"]) == set(read_yaml(ROOT / "params.yaml"))
    assert {
        f"metrics/{name}.json"
        for name in ("h5", "array", "split", "contrast", "train/rate", "train/cnn_lstm", "evaluate")
    } == set(workspace["metrics"])
    plots = json.loads(lab.run("dvc", "plots", "diff", "--json", "--split", "--out", "drawn"))["data"]
    assert {"confusion of recordings", "ROC of recordings"} <= set(plots)
    status = json.loads(lab.run("dvc", "data", "status", "--json", "--unchanged"))
    assert "unchanged" in status and not status.get("uncommitted")
    lab.run("rm", "-rf", "drawn")


# Is the pipeline in sync with its lock?


@pytest.fixture(scope="module")
def bare(built_lab, tmp_path_factory) -> Lab:
    """A clone that has no data at all."""
    return clone_lab(built_lab.folder, tmp_path_factory.mktemp("bare") / "project")


@pytest.fixture
def without_data(bare):
    yield bare
    bare.run("git", "reset", "--quiet", "--hard")
    assert not (bare.folder / "data" / "h5").exists()


def test_a_lock_in_sync_is_told_without_data(without_data):
    said = without_data.run("mea", "lock")
    assert "dvc.lock is up to date with dvc.yaml" in said
    assert without_data.run("git", "status", "--porcelain") == ""


def edit(lab: Lab, name: str, old: str, new: str) -> None:
    path = lab.folder / name
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{name} has no {old!r}"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "old", "new", "stage", "said"),
    [
        ("dvc.yaml", "cmd: python -m stages.split", "cmd: python -X dev -m stages.split", "split", "changed command"),
        ("dvc.yaml", "stages/split.py,", "stages/split.py, LICENSE,", "split", "LICENSE"),
        ("dvc.yaml", "outs: [data/split]", "outs: [data/splits]", "train@rate", "data/split is"),
        ("params.yaml", "bins: 10", "bins: 11", "evaluate", "params.yaml: evaluate"),
        ("mea/splitting/folds.py", '"""', '"""Changed. ', "train@rate", "mea/splitting modified"),
        ("metrics/evaluate.json", "{", "{ ", "evaluate", "metrics/evaluate.json modified"),
    ],
)
def test_a_lock_out_of_sync_is_noticed_without_data(without_data, name, old, new, stage, said):
    edit(without_data, name, old, new)
    stale = find_stale(without_data.folder)
    assert stage in stale and said in "; ".join(stale[stage]), stale


def test_parts_of_two_runs_in_one_lock_are_noticed(without_data):
    yaml, path = YAML(), without_data.folder / "dvc.lock"
    lock = yaml.load(path.read_text(encoding="utf-8"))
    out = lock["stages"]["split"]["outs"][0]
    assert out["path"] == "data/split"
    out["md5"] = "0123456789abcdef0123456789abcdef.dir"
    yaml.dump(lock, path)
    stale = find_stale(without_data.folder)
    assert set(stale) >= {"train@rate", "train@cnn_lstm"} and "split" not in stale
    assert "dvc.lock holds parts of two runs" in stale["train@rate"][0]


def test_what_git_should_have_brought_is_noticed(without_data):
    (without_data.folder / "mea" / "splitting" / "aggregation.py").unlink()
    (without_data.folder / "stages" / "train.py").unlink()
    (without_data.folder / "metrics" / "h5.json").unlink()
    stale = find_stale(without_data.folder)
    said = {name: "; ".join(changes) for name, changes in stale.items()}
    assert "mea/splitting modified" in said["split"] and "stages/train.py is missing" in said["train@rate"]
    assert "metrics/h5.json" in said["report"]


def test_a_stale_lock_ends_with_status_1_and_the_remedy(without_data, monkeypatch):
    edit(without_data, "params.yaml", "bins: 10", "bins: 11")
    monkeypatch.chdir(without_data.folder)
    with pytest.raises(
        SystemExit, match=r"lock: dvc\.lock is out of date with dvc\.yaml(.|\n)*Run dvc repro, then commit"
    ):
        main([])


def test_what_dvc_cannot_read_is_explained(without_data, tmp_path):
    edit(without_data, "dvc.lock", "stages:", "<<<<<<< ours\nstages:")
    with pytest.raises(MeaError, match=r"DVC cannot read the pipeline: .*Correct dvc\.yaml, params\.yaml or dvc\.lock"):
        find_stale(without_data.folder)
    with pytest.raises(MeaError, match="no DVC project here"):
        find_stale(tmp_path)


def test_a_project_that_dvc_cannot_open_is_no_stack_trace(tmp_path):
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_text("[cache\n")
    with pytest.raises(MeaError, match=r"DVC cannot open the project: .* Correct \.dvc/config"):
        find_stale(tmp_path)


# The workflows


def list_github() -> list[str]:
    steps = read_yaml(GITHUB)["jobs"]["validate"]["steps"]
    return [line for step in steps if "run" in step for line in step["run"].splitlines()]


def list_gitlab() -> list[str]:
    job = read_yaml(GITLAB)["validate"]
    return [*job["before_script"], *job["script"]]


@pytest.mark.parametrize("commands", [list_github(), list_gitlab()], ids=["github", "gitlab"])
def test_every_command_of_the_workflows_is_there(commands):
    assert find_faults("\n".join(commands)) == []
    assert {"mea lock", "make test", "make repro"} <= set(commands)
    assert any(line.startswith("mea compare") for line in commands)


@pytest.mark.parametrize("planted", ["make validate-all", "mea locks", "dvc pull --hard"])
def test_a_planted_wrong_command_in_a_workflow_is_noticed(planted):
    assert len(find_faults("\n".join([*list_github(), planted]))) == 1


def test_both_workflows_have_the_same_commands():
    own = ("echo", "cat", "gh ", "export", "if [", "make install")
    github, gitlab = ([line for line in lines if not line.startswith(own)] for lines in (list_github(), list_gitlab()))
    assert github == gitlab and len(github) > 10


def test_the_workflow_gives_no_pull_request_more_than_it_needs():
    workflow = read_yaml(GITHUB)
    assert (
        workflow["permissions"] == {"contents": "read", "pull-requests": "write"} and workflow["on"] == "pull_request"
    )
    # what a stranger can choose (title, branch) never stands in a command
    used = {name for line in list_github() for name in re.findall(r"\$\{\{ *([\w.]+)", line)}
    assert used == {"github.event.number"}


@pytest.mark.slow
def test_the_workflows_comparison_runs(built_lab, tmp_path):
    """From the base's checkout to the Markdown, as the workflow has it, for a change of one parameter."""
    lab = prepare_clone(share_cache(built_lab, tmp_path / "project"))
    base = lab.run("git", "rev-parse", "HEAD").strip()
    lab.change_params({"split": {"by": "culture"}})
    lab.commit("split by culture, and the lock left as it was")
    assert "split: params.yaml" in lab.run("mea", "lock", status=1)
    head = lab.run("git", "rev-parse", "HEAD").strip()
    commands = list_github()
    start = commands.index("git config user.name validate")
    end = next(number for number, line in enumerate(commands) if line.startswith("mea compare"))
    given = {"BASE": base, "HEAD": head}
    lab.run("bash", "-eu", "-o", "pipefail", "-c", "\n".join(commands[start : end + 1]), **given)
    comparison = (lab.folder / "comparison.md").read_text(encoding="utf-8")
    assert comparison.startswith("### A: validate-base (") and "| split.by | 'auto' | 'culture' |" in comparison
    assert "DIFFERENT SPLITS" in comparison
