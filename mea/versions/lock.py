"""Whether ``dvc.lock`` is up to date, checked without data: ``mea lock``.

It uses DVC's private API (``repo.index``, ``Stage.changed``, ``Stage.status``), because neither ``dvc repro --dry`` nor
``dvc status`` gives both a reason and an exit status (https://github.com/treeverse/dvc/issues/5369). DVC's version is
pinned, and ``tests/versions/test_sharing.py`` fails where a newer DVC behaves differently.
"""

import argparse
import os
from pathlib import Path
from typing import Any

from dvc.exceptions import DvcException
from dvc.repo.index import Index
from dvc.stage import PipelineStage, Stage

from mea.runtime.command import end_plainly
from mea.runtime.errors import MeaError
from mea.versions.versions import open_project

DESCRIPTION = (
    "Check that dvc.lock is up to date with dvc.yaml, the code and params.yaml. Needs no data and runs nothing; "
    "ends with status 1 and a list where `dvc repro` would run a stage."
)
MISSING = ("deleted", "not in cache")  # data that a clone has not pulled: taken to be what the lock says
OUT_OF_DATE = "dvc.lock is out of date with dvc.yaml, the code or params.yaml. `dvc repro` would rerun:"
OTHER_RUN = "what it read is not what the stage before it wrote: dvc.lock holds parts of two runs"


def find_stale(root: Path | None = None) -> dict[str, list[str]]:
    """Stages that ``dvc repro`` would run here even if all data were as the lock says, each with what has changed.

    Nothing is run, and no data are needed.

    Parameters
    ----------
    root
        A folder of the project; by default the current one.

    Raises
    ------
    MeaError
        If there is no project, or DVC cannot read it.
    """
    with open_project(root) as repo, repo.lock:
        try:
            index = repo.index
            stale = {
                _name_stage(stage): _list_changes(stage.status().get(stage.addressing, []))
                for stage in index.stages
                if stage.changed(allow_missing=True, upstream=list(index.graph.successors(stage)))
            }
            return stale | _find_missing(index)
        except DvcException as error:
            reason = " ".join(str(error.__cause__ or error).split())
            raise MeaError(
                f"{repo.root_dir}: DVC cannot read the pipeline: {reason}. Correct dvc.yaml, "
                "params.yaml or dvc.lock (after a merge: keep either side of the lock, then dvc repro)."
            ) from None


def _name_stage(stage: Stage) -> str:
    """Its key in dvc.yaml; for what ``dvc add`` made, its file."""
    return stage.name if isinstance(stage, PipelineStage) else stage.addressing


def _find_missing(index: Index) -> dict[str, list[str]]:
    """Stages that lack a file which Git should have brought; DVC would take it for data that were not pulled."""
    pulled = tuple(out.fs_path for out in index.outs if out.use_cache)
    missing: dict[str, list[str]] = {}
    for stage in index.stages:
        for entry in [*stage.deps, *stage.outs]:
            own = entry.fs_path  # data itself, in it, or a folder of several stages' data
            of_data = any(
                own == path or own.startswith(path + os.sep) or path.startswith(own + os.sep) for path in pulled
            )
            if entry.is_in_repo and not of_data and not entry.exists:
                missing.setdefault(_name_stage(stage), []).append(f"{entry} is missing, and Git does not bring it")
    return missing


def _list_changes(status: list[Any]) -> list[str]:
    """DVC's status of a stage in words, without what is only missing."""
    changes = []
    for entry in status:
        if isinstance(entry, str):  # changed command, changed checksum
            changes.append(entry)
            continue
        for paths in entry.values():
            for path, state in paths.items():
                if isinstance(state, dict):  # a parameter file
                    changes += [f"{path}: {name} {how}" for name, how in state.items()]
                elif state not in MISSING:
                    changes.append(f"{path} {state}")
    return changes or [OTHER_RUN]


def main(argv: list[str] | None = None, prog: str = "mea lock") -> None:
    """The command line: status 1 where a stage would run."""
    argparse.ArgumentParser(prog=prog, description=DESCRIPTION).parse_args(argv)
    with end_plainly("lock", "interrupted; nothing was changed."):
        stale = find_stale()
        if stale:
            lines = [f"  {name}: {'; '.join(changes)}" for name, changes in stale.items()]
            raise MeaError(
                "\n".join([OUT_OF_DATE, *lines])
                + "\nRun dvc repro, then commit dvc.lock with the metrics and plots, and dvc push."
            )
    print("dvc.lock is up to date with dvc.yaml, the code and params.yaml.")
