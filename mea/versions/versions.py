"""One version of the project as DVC holds it: metrics, predictions and parameters, read without checking it out.

It uses two names of DVC that are no public API: ``switch``, because ``dvc.api.DVCFileSystem(rev=...)`` finds no
project in a subfolder of the Git repository, and ``DataIndexDirError``, which DVC raises for a folder missing from the
cache. DVC's version is pinned, and ``tests/versions/test_versions.py`` fails where a newer DVC behaves differently.
"""

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import dvc.api
import pandas as pd
from dvc.exceptions import DvcException, NotDvcRepoError
from dvc.repo import Repo
from dvc.repo.brancher import switch
from dvc.scm import RevError, SCMError, resolve_rev
from dvc.stage import PipelineStage
from dvc_data.index import DataIndexDirError

from mea.runtime.errors import MeaError
from mea.runtime.tables import TEXT, flatten

WORKSPACE = "workspace"
SCORING = "evaluate"  # the stage whose metrics and predictions are compared; dvc.yaml says where it writes them
SPLITTING = "split"  # the stage whose metrics name the split level
PREDICTIONS = "predictions.csv"


@dataclass(frozen=True)
class Version:
    """What DVC holds of one version.

    Attributes
    ----------
    name
        As the user wrote it.
    revision
        The commit's hash; empty for the workspace.
    metrics
        What the evaluate stage measured: ``recording.accuracy`` and the like, numbers or texts.
    predictions
        One row a recording: recording, label, culture, batch, fold, predicted, confidence, ``p_<label>``.
    params
        ``section.key`` to value.
    split_level
        What was split by, as the split stage measured it; empty where there is no such stage.
    """

    name: str
    revision: str
    metrics: dict[str, Any]
    predictions: pd.DataFrame
    params: dict[str, Any]
    split_level: str

    @property
    def labels(self) -> list[str]:
        """The classes it knows, sorted."""
        return sorted(name.removeprefix("p_") for name in self.predictions.columns if name.startswith("p_"))

    @property
    def title(self) -> str:
        """Its name with the short hash."""
        short = self.revision[:7]
        return f"{self.name} ({short})" if short and not self.name.startswith(short) else self.name


def load_version(name: str, root: Path | None = None) -> Version:
    """Read a version from Git's objects and DVC's cache (or remote); the work tree is left alone.

    Parameters
    ----------
    name
        A commit, branch, tag or DVC experiment, or ``workspace``.
    root
        A folder of the project; by default the current one.

    Raises
    ------
    MeaError
        If there is no project or no such version, or its metrics or predictions are missing.
    """
    with open_project(root) as repo:
        revision, top = _resolve_revision(repo, name), repo.root_dir
        try:
            with switch(repo, revision or WORKSPACE):
                metrics = _read_metrics(repo, SCORING, name)
                predictions = _read_predictions(repo, name)
                split = _read_metrics(repo, SPLITTING, name) if SPLITTING in _list_stages(repo) else {}
            params = flatten(dvc.api.params_show(repo=top, rev=revision or None))
        except DvcException as error:
            remedy = "Correct its dvc.yaml, dvc.lock or parameters, or compare another version."
            raise MeaError(f"{name}: DVC cannot read this version: {error}. {remedy}") from None
    return Version(name, revision, metrics, predictions, params, str(split.get("split_level", "")))


@contextmanager
def open_project(root: Path | None) -> Iterator[Repo]:
    """The DVC project of a folder (by default the current one), for as long as the block lasts.

    Raises
    ------
    MeaError
        If there is none, or DVC cannot open it.
    """
    where = root or Path.cwd()
    try:
        repo = Repo(str(root) if root else None)
    except NotDvcRepoError:
        raise MeaError(f"{where}: no DVC project here. Run in the project's folder.") from None
    except (DvcException, SCMError) as error:
        text = f"DVC cannot open the project: {error}. Correct .dvc/config, or clone again."
        raise MeaError(f"{where}: {text}") from None
    with repo:
        yield repo


def _resolve_revision(repo: Repo, name: str) -> str:
    if name == WORKSPACE:
        return ""
    try:
        return resolve_rev(repo.scm, name)
    except RevError as error:
        if "ambiguous" in str(error):
            remedy = "Several experiments have this name: give the hash that dvc exp list --all-commits shows."
            raise MeaError(f"{name}: {remedy}") from None
    listed_experiments = repo.experiments.ls(all_commits=True).values()
    experiments = sorted({name for found in listed_experiments for name, _ in found})
    others = [WORKSPACE, *repo.scm.list_branches(), *repo.scm.list_tags()]
    near = get_close_matches(name, [*experiments, *others], n=5)
    listed = f"Near: {', '.join(near)}." if near else f"There are {', '.join([*others, *experiments][:20])}."
    raise MeaError(f"{name}: no such commit, branch, tag or DVC experiment. {listed}")


def _list_stages(repo: Repo) -> dict[str, Any]:
    return {stage.name: stage for stage in repo.index.stages if isinstance(stage, PipelineStage)}


def _find_stage(repo: Repo, stage: str, name: str) -> Any:
    try:
        return _list_stages(repo)[stage]
    except KeyError:
        raise MeaError(f"{name}: its dvc.yaml has no stage {stage!r}. Compare versions that have one.") from None


def _read_metrics(repo: Repo, stage: str, name: str) -> dict[str, Any]:
    metrics: dict[str, Any] = {}
    for out in _find_stage(repo, stage, name).outs:
        if out.metric:
            path = _show_path(repo, out.fs_path)
            try:
                values = json.loads(_read_bytes(repo, path, name))
                if not isinstance(values, dict):
                    raise ValueError("no mapping")
                metrics |= flatten(values)
            except (ValueError, RecursionError) as error:
                raise MeaError(
                    f"{name}: {path}: not readable as JSON ({error}). Run dvc repro {stage} there."
                ) from None
    return metrics


def _read_predictions(repo: Repo, name: str) -> pd.DataFrame:
    outs = [out for out in _find_stage(repo, SCORING, name).outs if not (out.metric or out.plot)]
    folders = [path for path in (_show_path(repo, out.fs_path) for out in outs) if path.split("/")[-1] == SCORING]
    if len(folders) != 1:
        raise MeaError(
            f"{name}: the stage {SCORING} has {len(folders)} outs named {SCORING} in dvc.yaml; one, which holds "
            f"{PREDICTIONS}, is expected. Correct dvc.yaml there, or compare another version."
        )
    path = f"{folders[0]}/{PREDICTIONS}"
    content = io.BytesIO(_read_bytes(repo, path, name))
    remedy = f"Run dvc repro {SCORING} there."
    try:
        table = pd.read_csv(content, dtype=dict.fromkeys((*TEXT, "fold"), str), keep_default_na=False, na_values={})
    except ValueError as error:  # pandas' own are ValueErrors, as those of the encoding
        raise MeaError(f"{name}: {path}: not a table ({error}). {remedy}") from None
    missing = {"recording", "label", "culture", "batch", "fold"} - set(table.columns)
    if missing:
        raise MeaError(f"{name}: {path} lacks the columns {', '.join(sorted(missing))}. {remedy}")
    probabilities = table.filter(regex="^p_")
    numbers = probabilities.apply(pd.to_numeric, errors="coerce")
    if table["recording"].duplicated().any() or not len(numbers.columns) or not numbers.stack().between(0, 1).all():
        raise MeaError(
            f"{name}: {path}: a recording twice, or probabilities (p_ and a label) that are missing or none. {remedy}"
        )
    return table


def _show_path(repo: Repo, path: str) -> str:
    return "/".join(repo.fs.relparts(path, repo.root_dir))


def _read_bytes(repo: Repo, path: str, name: str) -> bytes:
    try:
        with repo.dvcfs.open(f"/{path}", mode="rb") as stream:
            return stream.read()
    except (OSError, DvcException, DataIndexDirError) as error:
        if name == WORKSPACE:
            remedy = "dvc pull, or dvc repro"
        else:
            remedy = (
                "dvc fetch --all-commits (of an experiment: dvc exp pull GIT_REMOTE NAME), or make it again: check "
                "that version out and run dvc repro, or run the experiment again with dvc exp run"
            )
        reason = str(error) or type(error).__name__
        raise MeaError(
            f"{name}: {path} is neither in Git nor in DVC's cache ({reason}). Get it with {remedy}."
        ) from None
