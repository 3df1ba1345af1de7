"""A lab of our own: the committed repository cloned, with a sample so small that the whole pipeline takes seconds."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]
STAGES = (  # as the tiny sample has them, in their order
    "simulate",
    "unzip",
    "h5",
    "array",
    "split",
    "features",
    "contrast",
    "train@rate",
    "train@cnn_lstm",
    "evaluate",
    "classify",
    "report",
)
TINY = {
    "simulate": {"batches": 4, "cultures_per_label": 1, "duration_s": 2.4},
    "split": {"folds": 2},
    "train": {"models": ["rate", "cnn_lstm"], "cnn_lstm": {"epochs": 2, "bin_ms": 20}},
}


def wait_until(reached: Callable[[], object], what: str, patience_s: float, every_s: float = 0.05) -> None:
    """Wait for something that is reached, or fail the test after so many seconds."""
    deadline = time.monotonic() + patience_s
    while not reached():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(every_s)


@dataclass
class Lab:
    """A folder with the project in it, and the commands a person would type there.

    Attributes
    ----------
    folder
        The clone.
    first_output
        What the first ``dvc repro`` said.
    first_status
        What Git saw after it, before anything was committed.
    """

    folder: Path
    first_output: str = ""
    first_status: str = ""

    def run(self, *command: str, status: int | None = 0, **environment: str) -> str:
        """Run a command and give what it says; any other exit status than ``status`` fails the test (None: not 0)."""
        done = subprocess.run(command, **self.describe_call(environment), stderr=subprocess.STDOUT, text=True)
        expected = done.returncode == status if status is not None else done.returncode > 0
        assert expected, f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}"
        assert "Traceback" not in done.stdout, done.stdout
        return done.stdout

    def describe_call(self, environment: dict[str, str]) -> dict:
        """How a command is called: this Python first on the path, no settings of a user's own, one process a stage."""
        own, python = self.folder / ".venv" / "bin", Path(sys.executable).parent
        path = os.pathsep.join([str(own), str(python), os.environ["PATH"]])
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("MEA_", "DVC", "GIT_"))}
        settings = {
            "PATH": path,
            "DVC_NO_ANALYTICS": "1",
            "DVC_GLOBAL_CONFIG_DIR": str(self.folder.parent / "nobody"),
            "DVC_SITE_CACHE_DIR": str(self.folder.parent / "site_cache"),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "MEA_QUIET": "1",
            "MEA_WORKERS": "1",
        }
        return {"cwd": self.folder, "env": {**kept, **settings, **environment}, "stdout": subprocess.PIPE}

    def finish_queue(self, patience_s: float) -> str:
        """Let two workers do the experiments that are queued, and give what ``dvc queue status`` says at the end."""
        # What starts the workers may wait for ever for one that is done already, and hold our end of a pipe open.
        subprocess.Popen(
            ["dvc", "queue", "start", "--jobs", "2"],
            **self.describe_call({}) | {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL},
        )
        busy = "Queued|Running|[1-9] active"
        wait_until(lambda: not re.search(busy, self.run("dvc", "queue", "status")), "the queue", patience_s, 0.5)
        status = self.run("dvc", "queue", "status")
        self.run("dvc", "queue", "stop")
        return status

    def commit(self, message: str) -> None:
        """Commit everything there is."""
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--message", message)

    def restore(self) -> None:
        """Go back to the last commit, its data included."""
        self.run("git", "reset", "--quiet", "--hard")
        self.run("dvc", "checkout", "--quiet", "--force")

    def read_json(self, name: str) -> dict:
        """A file of metrics."""
        return json.loads((self.folder / name).read_text(encoding="utf-8"))

    def change_params(self, changes: dict[str, dict]) -> None:
        """Edit ``params.yaml`` as a person would: the rest of it stays as it is."""
        yaml = YAML()
        yaml.preserve_quotes, yaml.width = True, 200
        path = self.folder / "params.yaml"
        params = yaml.load(path.read_text(encoding="utf-8"))
        update_nested(params, changes)
        with path.open("w", encoding="utf-8", newline="\n") as stream:
            yaml.dump(params, stream)

    def list_files(self, *folders: str) -> dict[str, tuple[int, int]]:
        """Size and time of change, in ns, of every file in some folders."""
        found = (path for folder in folders for path in (self.folder / folder).rglob("*") if path.is_file())
        return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in found}


def update_nested(values: dict, changes: dict) -> None:
    """Change values in place; sections within sections keep what is not changed."""
    for name, value in changes.items():
        if isinstance(value, dict):
            update_nested(values[name], value)
        else:
            values[name] = value


def clone_lab(origin: Path, folder: Path) -> Lab:
    """Clone what is committed in ``origin``, with an identity to commit with."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["git", "clone", "--quiet", str(origin), str(folder)], check=True)
    lab = Lab(folder)
    lab.run("git", "config", "user.name", "A. Tester")
    lab.run("git", "config", "user.email", "tester@example.org")
    install_command(folder)
    return lab


def install_command(folder: Path) -> None:
    """Make in a clone what ``make install`` makes: ``.venv`` with the command ``mea``, which runs the clone's code.

    The environment that runs the tests stands in for it: there is no other Python in it, and ``make`` finds it newer
    than the requirements.
    """
    home = folder / ".venv"
    (home / "bin").mkdir(parents=True)
    command = home / "bin" / "mea"
    command.write_text(f'#!/bin/sh\nPYTHONPATH="{folder}" exec python -m mea "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    for name in ("bin/activate", ".installed", ".installed-test"):
        (home / name).touch()


def build_lab(folder: Path) -> Lab:
    """Clone this repository's HEAD, choose the tiny sample, reproduce everything, commit."""
    lab = clone_lab(ROOT, folder)
    lab.change_params(TINY)
    lab.commit("a tiny sample")
    lab.first_output = lab.run("dvc", "repro")
    lab.first_status = lab.run("git", "status", "--porcelain", "--untracked-files=all")
    lab.commit("results")
    return lab


def share_cache(lab: Lab, folder: Path) -> Lab:
    """A second clone that takes its data from the cache of the first."""
    other = clone_lab(lab.folder, folder)
    other.run("dvc", "config", "--local", "cache.dir", str(lab.folder / ".dvc" / "cache"))
    other.run("dvc", "checkout", "--quiet")
    return other
