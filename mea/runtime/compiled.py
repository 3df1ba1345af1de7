"""Loops over arrays, compiled by Numba at their first call.

Numba takes half a second to import, and most stages call no loop. What it compiles is kept
(:mod:`mea.runtime.numba_cache`).
"""

from collections.abc import Callable
from functools import cache, update_wrapper
from threading import Lock
from typing import Any

LOCK = Lock()  # for threads that call a loop for the first time


class compiled:  # a decorator
    """Decorates a function that works on arrays: compiled at its first call, and kept. They may call one another."""

    def __init__(self, function: Callable[..., Any]):
        self.function, self._made = function, None
        update_wrapper(self, function)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """What the function returns."""
        return self.dispatcher(*arguments, **named)

    @property
    def dispatcher(self) -> Any:
        """Numba's own object, one for all threads."""
        with LOCK:
            if self._made is None:
                self._made = _import_numba()(self.function)
        return self._made


@cache
def _import_numba() -> Callable[..., Any]:
    """What makes a dispatcher of a function, once Numba sees a compiled function that another one calls as its own."""
    from numba.extending import typeof_impl

    from mea.runtime.numba_cache import make_dispatcher

    typeof_impl.register(compiled, lambda loop, context: typeof_impl(loop.dispatcher, context))
    return make_dispatcher
