"""Run the same work for many recordings or folds on all cores, or on a cluster."""

import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import psutil
from joblib import Parallel, cpu_count, delayed
from joblib.externals.loky.process_executor import TerminatedWorkerError
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from mea.runtime.cluster import ADDRESS, run_on_cluster
from mea.runtime.errors import MeaError

MOST_START_S = 10.0  # that worker processes are thought to need until they have imported what they need
WATCH_S = 0.5  # between two looks at whether the parent is still there
PATIENCE_S = 1.0  # what is mostly over by then shows its progress only after it


def count_workers() -> int:
    """Worker processes: ``MEA_WORKERS``, else every core this process may use.

    Raises
    ------
    MeaError
        If ``MEA_WORKERS`` is no whole number of at least 1.
    """
    return _read_count("MEA_WORKERS", cpu_count(), "use every core")


def count_processes() -> int:
    """Processes that train one network together, on all machines: ``MEA_PROCESSES``, else 1.

    Raises
    ------
    MeaError
        If ``MEA_PROCESSES`` is no whole number of at least 1, or is not there although ``MEA_TORCHRUN`` is.
    """
    count = _read_count("MEA_PROCESSES", 1, "train in one process")
    if os.environ.get("MEA_TORCHRUN") and count == 1:
        raise MeaError(
            "MEA_TORCHRUN is set, but MEA_PROCESSES is not: set it to how many processes that starts in all."
        )
    return count


def count_threads() -> int:
    """Threads for the loops of this process: ``NUMBA_NUM_THREADS``, which joblib sets in workers, else every core.

    Raises
    ------
    MeaError
        If ``NUMBA_NUM_THREADS`` is no whole number of at least 1.
    """
    return _read_count("NUMBA_NUM_THREADS", cpu_count(), "use every core")


def _read_count(name: str, default: int, otherwise: str) -> int:
    """The whole number that an environment variable holds, else the default, which does what ``otherwise`` says."""
    asked = os.environ.get(name) or str(default)
    if not asked.isdecimal() or int(asked) < 1:
        raise MeaError(f"{name} = {asked!r}: must be a whole number, at least 1. Unset it to {otherwise}.")
    return int(asked)


def refuse_outer_processes() -> None:
    """Refuse a stage that was itself started several times at once: every one would write the same files.

    Raises
    ------
    MeaError
        If torchrun or srun started this process together with others.
    """
    for name in ("WORLD_SIZE", "SLURM_STEP_NUM_TASKS"):
        count = os.environ.get(name, "1")
        if count not in ("", "1"):
            raise MeaError(
                f"{name} = {count}: the stage was started {count} times, but it starts its processes itself. Give the "
                "plain command, with MEA_PROCESSES and MEA_TORCHRUN (docs/cluster.md)."
            )


def run_parallel(
    work: Callable[..., Any], items: Iterable[Any], title: str, workers: int | None = None, begin_here: bool = False
) -> list[Any]:
    """``[work(item) for item in items]`` on worker processes, with a progress bar; results in the items' order.

    The results do not depend on the number of workers, nor on where they are: with ``DASK_SCHEDULER_ADDRESS`` it is the
    workers of that cluster, however many, that work.

    With ``begin_here`` this process works on the first items, and on all of them where that is over before workers
    would have started: each has to import what this process has imported already, which took most of its time so far.
    """
    items = list(items)
    address = os.environ.get(ADDRESS)
    if address and items:
        placed = dict(show_progress(run_on_cluster(work, items, address), total=len(items), desc=title))
        return [placed[number] for number in range(len(items))]
    workers = min(workers or count_workers(), max(1, len(items)))
    results = _work(work, items, workers, begin_here and workers > 1)
    # joblib replaces a worker whose memory has grown, as torch's does, and says so in alarming words; no job is lost.
    warnings.filterwarnings("ignore", message="A worker stopped while some jobs were given")
    return list(show_progress(results, total=len(items), desc=title))


def _work(work: Callable[..., Any], items: list[Any], workers: int, begin_here: bool) -> Iterator[Any]:
    done, spent_s, took_s = 0, 0.0, [0.0, 0.0]
    while begin_here and done < len(items):
        started = time.monotonic()
        with threadpool_limits(1, user_api="blas"):  # as in a worker, so that the last bits are the same
            result = work(items[done])
        yield result
        took_s = [took_s[1], time.monotonic() - started]
        spent_s += took_s[1] if done else 0.0  # the first one pays for imports, too
        left_s = min(took_s) * (len(items) - done - 1)  # so may the second, where the first could not be read
        done += 1
        start_s = min(time.process_time(), MOST_START_S)  # so far, mostly imports, which workers have to make, too
        begin_here = done < 2 or spent_s < start_s / 4 or left_s <= 2 * start_s  # two workers halve what is left
    if done < len(items):
        pool = Parallel(n_jobs=workers, return_as="generator", initializer=_prepare_worker, initargs=(os.getpid(),))
        try:
            yield from pool(delayed(work)(item) for item in items[done:])
        except TerminatedWorkerError:
            raise MeaError(
                f"a worker process was ended from outside, most often because memory ran out; {len(items)} items were "
                f"in work on {workers} workers. Set MEA_WORKERS to fewer, or use a machine with more memory."
            ) from None


def _prepare_worker(parent: int) -> None:
    """Show warnings plainly, and end with the process that started this one, also if that is killed."""
    show_warnings_plainly()
    if os.getpid() != parent:  # joblib works in the parent itself where it cannot start others
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while psutil.pid_exists(parent) and os.getppid() == parent:
        time.sleep(WATCH_S)
    os._exit(1)


def show_warnings_plainly() -> None:
    """Print warnings as one line, ``warning: ...``, without the place in the code that raised them."""

    def show(message, category, *_args, **_kwargs):
        sys.stderr.write(f"warning: {message}\n")  # at once: print writes the line's end by itself, and workers share
        sys.stderr.flush()

    warnings.showwarning = show


def show_progress(*arguments: Any, **options: Any) -> tqdm:
    """A progress bar, as tqdm takes its arguments.

    It stays away with ``MEA_QUIET=1``, and is drawn anew every half minute only where it goes to a file, which keeps
    every state of it.
    """
    seconds = 0.1 if sys.stderr.isatty() else 30.0
    pace = {"mininterval": seconds, "maxinterval": max(10.0, seconds)}  # the latter redraws a bar that stands still
    return tqdm(*arguments, disable=bool(os.environ.get("MEA_QUIET")), **pace, **options)
