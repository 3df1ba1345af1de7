"""Work on a Dask cluster: a real scheduler and two real workers on this machine, one of them killed."""

import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
from builders.recordings import write_small_mcs
from builders.stage_inputs import PARAMS, add_recording, list_bytes

from mea.recordings.layouts import RIG_ROW_ORDER
from mea.runtime.cluster import list_versions
from mea.runtime.errors import MeaError
from mea.runtime.files import write_json
from mea.runtime.parallel import run_parallel

distributed = pytest.importorskip("distributed", reason="pip install -r requirements-cluster.txt to test the cluster")
ROOT = Path(__file__).resolve().parents[2]
WORKER = ("worker", "--no-dashboard", "--nthreads", "1")


class Cluster:
    """A scheduler, and workers that come when they are called."""

    def __init__(self, folder):
        self.file, self.log = folder / "scheduler.json", (folder / "log").open("w")
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("MEA_")}
        self.environment |= {
            "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1",
            "PYTHONPATH": os.pathsep.join(map(str, (ROOT / "tests", Path(__file__).parent))),  # for this file
        }
        self.processes = []
        self.start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", cwd=folder)
        self.client = distributed.Client(scheduler_file=str(self.file), set_as_default=False)
        self.address = self.client.scheduler.address

    def start(self, *arguments, cwd):
        command = [sys.executable, "-m", "dask", *arguments, "--scheduler-file", self.file]
        streams = {"stdout": self.log, "stderr": self.log}
        process = subprocess.Popen(list(map(str, command)), cwd=cwd, env=self.environment, **streams)
        self.processes.append(process)
        return process

    def add_worker(self, cwd, *arguments):
        """Start a worker elsewhere than in the project, and wait for it."""
        count = len(self.client.nthreads())
        process = self.start(*WORKER, *arguments, cwd=cwd)
        self.client.wait_for_workers(count + 1, timeout=60)
        return process

    def close(self):
        self.client.close()
        for process in self.processes[::-1]:
            process.terminate()
        for process in self.processes[::-1]:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:  # a nanny can wait for good, on busy cores
                for child in psutil.Process(process.pid).children(recursive=True):
                    child.kill()
                process.kill()
                process.wait()
        self.log.close()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Two workers."""
    folder = tmp_path_factory.mktemp("cluster")
    cluster = Cluster(folder)
    for _ in range(2):
        cluster.add_worker(folder)
    yield cluster
    cluster.close()


@pytest.fixture
def at_cluster(cluster, tmp_path, monkeypatch):
    """This process, working in a folder of its own, gives its work to the cluster."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", cluster.address)
    monkeypatch.setenv("MEA_QUIET", "1")
    cluster.client.wait_for_workers(2, timeout=60)  # the test before may have killed one
    return cluster


# --- the array stage -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """Ten small recordings, and what one local worker makes of them."""
    folder = tmp_path_factory.mktemp("recordings")
    for name in ("unzip", "h5"):
        (folder / name).mkdir()
    for number in range(10):
        write_small_mcs(folder / "unzip" / f"r{number}.h5", n_samples=9_000, labels=RIG_ROW_ORDER[:12], seed=number)
        add_recording(folder, f"r{number}", "xy"[number % 2], f"r{number}.h5")
    write_json(folder / "h5" / "params.json", {"h5": {"stream": "raw", "on_bad_recording": "error"}})
    (folder / "params.yaml").write_text(PARAMS)
    run = start_array(folder, folder / "alone", MEA_WORKERS="1")
    assert run.wait(60) == 0, run.stderr.read()
    return folder


def start_array(folder, out, **environment):
    """The stage's command, by paths that are right in ``folder`` alone."""
    command = [sys.executable, "-m", "stages.array", "--h5", "h5", "--unzip", "unzip", "--out", out / "array"]
    command += ["--metrics", out / "metrics.json", "--plots", out / "plots"]
    environment = os.environ | {"MEA_CACHE": str(out / "cache"), "PYTHONPATH": str(ROOT)} | environment
    return subprocess.Popen(
        list(map(str, command)), cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def assert_same_outputs(out, other):
    for name in ("array", "plots"):
        assert list_bytes(out / name) == list_bytes(other / name)
    assert (out / "metrics.json").read_bytes() == (other / "metrics.json").read_bytes()
    catalogue = pd.read_csv(out / "array" / "catalogue.csv")
    assert catalogue["recording"].tolist() == [f"r{number}" for number in range(10)]
    assert not list(out.rglob("*.partial"))


def catch_at_work(cluster, stage):
    """Stop one worker while it has recordings in hand and others are finished; its process, and those recordings."""
    while stage.poll() is None:
        processing = cluster.client.processing()
        processes = cluster.client.run(os.getpid)
        for worker, process in processes.items():
            if len(processing.get(worker, ())) == 0:
                continue
            os.kill(process, signal.SIGSTOP)
            done = len(list((stage.out / "array").parent.glob(".array.*.partial/*.npz")))
            held = [key for key in cluster.client.processing().get(worker, ()) if key.startswith("mea-")]
            if held and 1 <= done < 9:
                return process, held
            os.kill(process, signal.SIGCONT)
    raise AssertionError("the stage ended before a worker was caught at work")


def test_two_workers_make_the_bytes_of_one_process_though_one_is_killed(cluster, recordings, tmp_path):
    """What it had in hand is done again, and nothing stands twice."""
    stage = start_array(recordings, tmp_path, DASK_SCHEDULER_ADDRESS=cluster.address)
    stage.out = tmp_path
    process, held = catch_at_work(cluster, stage)
    os.kill(process, signal.SIGKILL)
    _, errors = stage.communicate(timeout=100)
    assert stage.returncode == 0 and held, errors
    assert_same_outputs(tmp_path, recordings / "alone")
    states = [state for state in errors.split("\r") if "array:" in state and "%" in state]
    assert "0/10" in states[0] and any("10/10" in state for state in states), "the progress bar"
    assert not list(recordings.glob(".mea-cluster-*"))


# --- what comes back -------------------------------------------------------------------------------------------------


def note_and_square(number):
    with open("log", "a") as log:  # noqa: PTH123
        log.write(f"{number} {os.getpid()}\n")
    if number == 3:
        warnings.warn("three is odd", stacklevel=1)
    return number**2, os.environ.get("MEA_HERE"), os.environ.get("DASK_SCHEDULER_ADDRESS")


def test_results_come_in_order_with_their_warnings(at_cluster, tmp_path, monkeypatch):
    monkeypatch.setenv("MEA_HERE", "yes")
    with pytest.warns(UserWarning, match="three is odd"):
        results = run_parallel(note_and_square, range(8), "test")
    assert results == [(number**2, "yes", None) for number in range(8)]
    numbers, processes = zip(*(line.split() for line in (tmp_path / "log").read_text().splitlines()))
    assert sorted(numbers) == [str(number) for number in range(8)] and str(os.getpid()) not in processes
    monkeypatch.delenv("MEA_HERE")
    assert run_parallel(note_and_square, [5], "test") == [(25, None, None)]
    assert run_parallel(note_and_square, [], "test") == []


def test_tables_and_arrays_survive_a_worker(at_cluster, tmp_path):
    """joblib's own backend loses them, and the run, with the worker that it gave them to."""

    def die_once(table):
        seen = Path(f"seen{table['number'][0]}")
        if table["number"][0] == 2 and not seen.exists():
            seen.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return table["values"].sum()

    tables = [pd.DataFrame({"number": number, "values": np.arange(1000.0)}) for number in range(6)]
    assert run_parallel(die_once, tables, "test") == [499500.0] * 6
    assert (tmp_path / "seen2").exists()


def refuse_late(number):
    if number == 0:
        raise MeaError("0: refused.")
    time.sleep(60)
    Path("late").touch()


def test_a_mistake_ends_the_work_of_the_others(at_cluster, tmp_path):
    with pytest.raises(MeaError, match=r"^0: refused\.$"):
        run_parallel(refuse_late, range(4), "test")
    processes = at_cluster.client.run(lambda dask_worker: len(dask_worker.state.all_running_tasks))
    assert len(processes) == 2 and not any(processes.values())


# --- what can be wrong -----------------------------------------------------------------------------------------------


def die(_item):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
def test_an_item_that_workers_die_of_is_named(at_cluster):
    with pytest.raises(MeaError, match=r"one worker after the other died of 'r7\.h5'\. Mostly memory is short"):
        run_parallel(die, ["r7.h5"], "test")


def test_a_worker_that_does_not_share_the_folder(at_cluster, tmp_path, monkeypatch):
    monkeypatch.setattr("mea.runtime.cluster._mark_folder", lambda: pytest.MonkeyPatch.context())  # no such file
    with pytest.raises(MeaError, match=r"the worker on .* does not see this folder as it is here\. A cluster needs"):
        run_parallel(note_and_square, [1], "test")


def test_a_worker_with_other_libraries(at_cluster, monkeypatch):
    other = list_versions() | {"numpy": "1.0.0"}
    monkeypatch.setattr("mea.runtime.cluster.list_versions", lambda: other)
    with pytest.raises(MeaError, match=r"tcp://.*: this worker has .* of numpy, not 1\.0\.0: the results would not be"):
        run_parallel(note_and_square, [1], "test")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--nthreads", "2"], "this worker has 2 threads and a nanny, but threads would disturb"),
        (
            ["--no-nanny"],
            "this worker has 1 threads and no nanny, .* Start it with --nthreads 1 and without --no-nanny",
        ),
    ],
)
def test_a_worker_that_could_not_be_trusted(tmp_path, monkeypatch, arguments, message):
    cluster = Cluster(tmp_path)
    try:
        cluster.add_worker(tmp_path, *arguments)
        monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", cluster.address)
        with pytest.raises(MeaError, match=message):
            run_parallel(note_and_square, [1], "test")
    finally:
        cluster.close()


@pytest.mark.slow
def test_work_waits_for_workers(tmp_path, monkeypatch):
    cluster = Cluster(tmp_path)
    try:
        monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", cluster.address)
        monkeypatch.chdir(tmp_path)
        cluster.start(*WORKER, cwd=tmp_path)
        with pytest.warns(UserWarning, match="has no workers yet; waiting for them"):
            assert run_parallel(note_and_square, [2], "test")[0][0] == 4
    finally:
        cluster.close()


def run_python(code, **environment):
    command = [sys.executable, "-c", f"from mea.runtime.parallel import run_parallel\n{code}"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "MEA_QUIET": "1"} | environment
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60).stderr


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense://here"])
def test_an_address_that_does_not_answer(address):
    environment = {"DASK_SCHEDULER_ADDRESS": address, "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "1s"}
    errors = run_python("run_parallel(abs, [1], 'test')", **environment)
    assert f"MeaError: DASK_SCHEDULER_ADDRESS = '{address}': no Dask scheduler answers there" in errors


def test_without_distributed():
    errors = run_python(
        "import sys; sys.modules['distributed'] = None; run_parallel(abs, [1], 'test')",
        DASK_SCHEDULER_ADDRESS="tcp://x:1",
    )
    assert "MeaError: DASK_SCHEDULER_ADDRESS is set, but distributed is not installed. pip install -r requ" in errors
