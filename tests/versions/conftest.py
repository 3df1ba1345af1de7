"""What the tests of versions share: a small project with commits, branches, a tag and an experiment."""

import os
import shutil
import sys
from pathlib import Path

import pytest
from builders.projects import PIPELINE, SCORING, SPLIT_LEVEL, git, make_version
from dvc.repo import Repo


@pytest.fixture(scope="module")
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
def project(nobodys_settings, tmp_path_factory) -> Path:
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
