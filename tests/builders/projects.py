"""A small project under Git and DVC whose versions are compared; its pipeline stands for the real one."""

import json
import re
import subprocess
from pathlib import Path

from dvc.repo import Repo

from mea.versions.compare import format_comparison
from mea.versions.versions import load_version

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


def read_verdicts(text: str) -> dict[str, str]:
    """Metric to verdict, from the console's table."""
    lines = text.split("verdict\n")[1].split("\n\n")[0].splitlines()
    return {line.split()[0]: re.split(r"  +", line)[-1] for line in lines}


def compare(folder: Path, a: str, b: str, markdown: bool = False) -> str:
    return format_comparison(load_version(a, folder), load_version(b, folder), markdown)


def replace_file(path: Path, text: str) -> None:
    path.unlink()  # it may be a link into the cache
    path.write_text(text, encoding="utf-8")


def list_state(folder: Path) -> dict[str, tuple]:
    files = [path for path in folder.rglob("*") if path.relative_to(folder).parts[:2] != (".dvc", "tmp")]
    unstable = (".git/index",)  # git status itself refreshes it
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_mtime_ns, path.stat().st_size)
        for path in files
        if path.is_file() and path.relative_to(folder).as_posix() not in unstable
    }
