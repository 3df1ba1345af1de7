"""Loops over arrays, compiled by Numba at their first call.

Numba takes half a second to import, and most stages call no loop. What it compiles is kept
(:mod:`mea.runtime.numba_cache`).
"""

import os
from collections.abc import Callable
from functools import cache, cached_property, update_wrapper
from threading import RLock
from typing import Any

from joblib import cpu_count

from mea.runtime.errors import MeaError

LOCK = RLock()  # two threads that call a loop for the first time


class compiled:  # a decorator
    """Decorates a function that works on arrays: compiled at its first call, and kept. They may call one another."""

    def __init__(self, function: Callable[..., Any]):
        self.function = function
        update_wrapper(self, function)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """What the function returns."""
        return self.dispatcher(*arguments, **named)

    @cached_property
    def dispatcher(self) -> Any:
        """Numba's own object."""
        with LOCK:
            return _import_numba()(self.function)


def count_threads() -> int:
    """Threads for the loops of this process: ``NUMBA_NUM_THREADS``, which joblib sets in workers, else every core.

    Raises
    ------
    MeaError
        If ``NUMBA_NUM_THREADS`` is no whole number of at least 1.
    """
    asked = os.environ.get("NUMBA_NUM_THREADS") or cpu_count()
    if not str(asked).isdecimal() or int(asked) < 1:
        raise MeaError(
            f"NUMBA_NUM_THREADS = {asked!r}: must be a whole number, at least 1. Unset it to use every core."
        )
    return int(asked)


@cache
def _import_numba() -> Callable[..., Any]:
    """What makes a dispatcher of a function, once Numba sees a compiled function that another one calls as its own."""
    from numba.extending import typeof_impl

    from mea.runtime.numba_cache import make_dispatcher

    typeof_impl.register(compiled, lambda loop, context: typeof_impl(loop.dispatcher, context))
    return make_dispatcher
