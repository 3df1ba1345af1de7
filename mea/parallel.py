"""Run the same work for many recordings or folds on all cores."""

import os
from collections.abc import Callable, Iterable
from typing import Any

from joblib import Parallel, cpu_count, delayed
from tqdm import tqdm


def count_workers() -> int:
    """Worker processes: ``MEA_WORKERS``, else every core this process may use."""
    return int(os.environ.get("MEA_WORKERS") or cpu_count())


def run_parallel(work: Callable[..., Any], items: Iterable[Any], title: str, workers: int | None = None) -> list[Any]:
    """``[work(item) for item in items]`` on worker processes, with a progress bar; results in the items' order.

    The results do not depend on the number of workers. The bar stays away with ``MEA_QUIET=1``.
    """
    items = list(items)
    workers = min(workers or count_workers(), max(1, len(items)))
    results = Parallel(n_jobs=workers, return_as="generator")(delayed(work)(item) for item in items)
    return list(tqdm(results, total=len(items), desc=title, disable=bool(os.environ.get("MEA_QUIET"))))
