"""Long runs: a thousand recordings, two hundred epochs killed ten times, fifty experiments in a queue.

Slow: part of ``make test-all`` and ``make reliability``.
"""

import random
import re
import subprocess
import time

import psutil
import pytest
from builders.lab import Lab, share_cache
from builders.recordings import write_small_spike_times

from mea.runtime.files import hash_file

pytestmark = pytest.mark.slow

RECORDINGS, EXPERIMENTS, EPOCHS, KILLS = 1000, 50, 200, 10
PATIENCE_S = 1800


@pytest.fixture(scope="module")
def project(built_lab, tmp_path_factory) -> Lab:
    return share_cache(built_lab, tmp_path_factory.mktemp("endurance") / "project")


def watch(lab: Lab, command: list[str], **environment: str) -> tuple[list[int], list[int]]:
    """Memory (bytes) and open files of a stage, every 50 ms until it has ended well."""
    call = lab.describe_call(environment) | {"stdout": subprocess.DEVNULL}
    memory, files = [], []
    with subprocess.Popen(command, **call) as run:
        process = psutil.Process(run.pid)
        while run.poll() is None:
            try:
                memory.append(process.memory_info().rss)
                files.append(process.num_fds())
            except psutil.Error:  # it has just ended
                break
            time.sleep(0.05)
    assert run.returncode == 0
    return memory, files


def test_memory_and_open_files_are_flat_over_a_thousand_recordings(built_lab, tmp_path):
    """In one process: nothing of a recording stays when the next one is read."""
    lab = share_cache(built_lab, tmp_path / "project")
    raw = lab.folder / "data" / "raw"
    raw.mkdir()
    lines = ["recording,label,culture,batch"]
    for number in range(RECORDINGS):
        write_small_spike_times(raw / f"r{number:04d}.h5", seed=number, duration_s=20.0)
        lines.append(f"r{number:04d},{'ab'[number % 2]},c{number // 2},b{number // 100}")
    (raw / "recordings.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    lab.change_params({"unzip": {"source": "data/raw"}})
    lab.run("python", "-m", "stages.unzip")
    for stage in ("h5", "array"):
        memory, files = watch(lab, ["python", "-m", f"stages.{stage}"], MEA_CACHE=str(tmp_path / "cache"))
        fifth = len(memory) // 5  # the first is of imports, the last of tables
        early, late = memory[fifth : 2 * fifth], memory[3 * fifth : 4 * fifth]
        assert max(late) < max(early) + 20e6, f"{stage}: {max(early) / 1e6:.0f} MB, later {max(late) / 1e6:.0f} MB"
        assert max(files[3 * fifth : 4 * fifth]) <= max(files[fifth : 2 * fifth]) + 2, stage
    assert lab.read_json("metrics/array.json")["recordings"] == RECORDINGS


def hash_networks(lab: Lab) -> dict[str, str]:
    """SHA-256 of the weights of every fold."""
    files = sorted((lab.folder / "models/folds/cnn_lstm").rglob("*.safetensors"))
    assert files
    return {str(path.relative_to(lab.folder)): hash_file(path) for path in files}


def test_a_training_of_200_epochs_killed_ten_times_ends_with_the_same_weights(built_lab, tmp_path):
    lab = share_cache(built_lab, tmp_path / "project")
    lab.change_params({"train": {"cnn_lstm": {"epochs": EPOCHS, "patience": EPOCHS}}})
    command = ["python", "-m", "stages.train", "--models", "cnn_lstm"]
    begun = time.monotonic()
    lab.run(*command, MEA_CACHE=str(tmp_path / "undisturbed"))
    whole_s = time.monotonic() - begun
    right, draw = hash_networks(lab), random.Random(0)
    call = lab.describe_call({"MEA_CACHE": str(tmp_path / "killed")}) | {"stdout": subprocess.DEVNULL}
    kept = set()
    for _ in range(KILLS):
        run = subprocess.Popen(command, stderr=subprocess.DEVNULL, **call)
        with pytest.raises(subprocess.TimeoutExpired):
            run.wait(timeout=draw.uniform(0.5, 1.0) * whole_s / KILLS)
        run.kill()
        run.wait()
        kept |= {path.stat().st_mtime_ns for path in (tmp_path / "killed").rglob("last.ckpt")}
    assert len(kept) >= KILLS // 2, "it was killed while it learned, not before"
    lab.run(*command, MEA_CACHE=str(tmp_path / "killed"))
    assert hash_networks(lab) == right


def test_fifty_experiments_queued_on_two_workers_are_all_there(project):
    for number in range(EXPERIMENTS):
        name, setting = f"queued_{number}", f"evaluate.permutations={19 + number}"
        project.run("dvc", "exp", "run", "--queue", "--name", name, "-S", setting, "contrast")
    status = project.finish_queue(PATIENCE_S)
    assert len(re.findall(r"queued_\d+ .*Success", status)) == EXPERIMENTS, status
    listed = project.run("git", "for-each-ref", "--format=%(objectname) %(refname)", "refs/exps").splitlines()
    found = {line.rpartition("/")[2]: line.split()[0] for line in listed if "/queued_" in line}
    assert len(found) == EXPERIMENTS
    for number in range(EXPERIMENTS):
        params = project.run("git", "show", f"{found[f'queued_{number}']}:params.yaml")
        assert f"permutations: {19 + number} " in params
