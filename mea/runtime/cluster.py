"""The same work on the workers of a Dask cluster that sees this folder. Each result counts once, whatever dies.

joblib's own backend for Dask hands tables and arrays to one worker before they are asked for; when that worker dies, so
does the whole run (FutureCancelledError). Here every errand carries what it needs, so any worker can do it again.
"""

import os
import platform
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import uuid4

import cloudpickle

from mea.runtime.errors import MeaError
from mea.runtime.imports import PACKAGE, hash_files

DECIDING = ("h5py", "matplotlib", "numba", "numpy", "pandas", "pillow", "scikit-learn", "scipy", "torch")
ADDRESS = "DASK_SCHEDULER_ADDRESS"


def run_on_cluster(work: Callable[[Any], Any], items: Sequence[Any], address: str) -> Iterator[tuple[int, Any]]:
    """Do the work for each item on a cluster, and give (place among the items, result) as the results come.

    What a worker had in hand when it died is done again by another one. Workers that have something in hand when this
    ends early are started anew, so that they write nothing later.

    Raises
    ------
    MeaError
        If no scheduler answers, ``distributed`` is not installed, a worker does not see this folder or has other code
        or libraries or several threads, or workers die of one item.
    """
    distributed = _import_distributed()
    with _connect(distributed, address) as client, _mark_folder() as mark:
        errand = _make_errand(str(mark), _list_environment(), list_versions())
        prefix = f"mea-{uuid4().hex}-"
        numbers = {f"{prefix}{number}": number for number in range(len(items))}
        futures = [
            client.submit(errand, cloudpickle.dumps((work, items[number])), key=key) for key, number in numbers.items()
        ]
        if not client.nthreads():
            warnings.warn(f"{address}: has no workers yet; waiting for them", stacklevel=2)
        try:
            finished = distributed.as_completed(futures, loop=client.loop, with_results=True)
            for future, (result, texts, refusal) in finished:
                if refusal:
                    raise MeaError(refusal)
                for text in texts:
                    warnings.warn(text, stacklevel=2)
                number = numbers.pop(future.key)
                future.release()  # else its result would be made again if the worker that made it died
                yield number, result
        except distributed.KilledWorker as error:
            item = items[numbers[error.task]]
            raise MeaError(
                f"{address}: one worker after the other died of {str(item)[:200]!r}. Mostly memory is short: give "
                "each worker more, or look into the workers' logs."
            ) from None
        finally:
            if numbers:
                client.cancel(futures, force=True)
                _restart_busy_workers(client, prefix)


def do_errand(parcel: bytes, environment: dict[str, str], expected: dict[str, str]) -> tuple[Any, list[str]]:
    """On a worker: do the work for one item, and give its result with the texts of its warnings.

    Raises
    ------
    MeaError
        If this worker would not give the bits that the one who asks would get.
    """
    _check_worker(expected)
    for name in [name for name in os.environ if name.startswith("MEA_") or name == ADDRESS]:
        del os.environ[name]
    os.environ.update(environment)
    os.environ.setdefault("NUMBA_NUM_THREADS", "1")  # a nanny sees to the other libraries: a worker has one core
    with warnings.catch_warnings(record=True) as caught:
        work, item = cloudpickle.loads(parcel)
        result = work(item)
    return result, [str(warning.message) for warning in caught]


@lru_cache
def list_versions() -> dict[str, str]:
    """Versions of what decides the bits, and a digest of this package as it was when the process first asked."""
    libraries = {name: version(name) for name in DECIDING}
    return {"python": platform.python_version(), **libraries, "the code of mea": hash_files(PACKAGE.rglob("*.py"))[:12]}


def _import_distributed() -> Any:
    try:
        import distributed
    except ImportError:
        raise MeaError(
            f"{ADDRESS} is set, but distributed is not installed. pip install -r requirements-cluster.txt, or unset it "
            "to work on this machine alone."
        ) from None
    return distributed


def _connect(distributed: Any, address: str) -> Any:
    try:
        return distributed.Client(address, set_as_default=False)
    except (OSError, ValueError) as error:
        raise MeaError(
            f"{ADDRESS} = {address!r}: no Dask scheduler answers there ({error}). Start one (dask scheduler) and give "
            "the address it prints, such as tcp://10.0.0.1:8786; or unset it to work on this machine alone."
        ) from None


@contextmanager
def _mark_folder() -> Iterator[Path]:
    """A file that only those see who share this folder."""
    with tempfile.NamedTemporaryFile(prefix=".mea-cluster-", suffix=".partial", dir=Path.cwd()) as stream:
        yield Path(stream.name)


def _list_environment() -> dict[str, str]:
    """Our variables for the workers, which keep quiet and share nothing out again."""
    ours = {name: value for name, value in os.environ.items() if name.startswith("MEA_")}
    return ours | {"MEA_QUIET": "1", "MEA_WORKERS": "1"}


def _make_errand(mark: str, environment: dict[str, str], expected: dict[str, str]) -> Callable[[bytes], Any]:
    """What a worker is sent. It may not know this package yet, so this travels as code, not by its name."""
    package = str(PACKAGE.parent)

    def errand(parcel: bytes) -> tuple[Any, list[str], str]:
        import os
        import platform
        import sys

        if not os.path.exists(mark):  # noqa: PTH110 - as little as can be is imported here
            text = f"{os.path.dirname(mark)}: the worker on {platform.node()} does not see this folder as it is here. "  # noqa: PTH120
            return None, [], text + "A cluster needs a file system that all its machines share (docs/cluster.md)."
        os.chdir(os.path.dirname(mark))  # noqa: PTH120
        if package not in sys.path:
            sys.path.insert(0, package)
        from mea.runtime.cluster import do_errand

        return *do_errand(parcel, environment, expected), ""

    return errand


def _check_worker(expected: dict[str, str]) -> None:
    from distributed import get_worker

    worker, found = get_worker(), list_versions()
    if worker.state.nthreads != 1 or not worker.nanny:
        raise MeaError(
            f"{worker.address}: this worker has {worker.state.nthreads} threads and {'a' if worker.nanny else 'no'} "
            "nanny, but threads would disturb each other, and only a nanny stops a worker that is no longer wanted. "
            "Start it with --nthreads 1 and without --no-nanny; --nworkers takes the number of cores."
        )
    for name, wanted in expected.items():
        if found[name] != wanted:
            raise MeaError(
                f"{worker.address}: this worker has {found[name]} of {name}, not {wanted}: the results would not be "
                "the same. Give it the same environment and folder, and start it anew."
            )


def _restart_busy_workers(client: Any, prefix: str) -> None:
    def find_running(dask_worker: Any) -> bool:
        return any(str(task.key).startswith(prefix) for task in dask_worker.state.all_running_tasks)

    busy = [address for address, found in client.run(find_running, on_error="ignore").items() if found]
    if busy:
        client.restart_workers(busy, raise_for_error=False)
