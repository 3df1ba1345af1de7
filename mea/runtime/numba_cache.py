"""What Numba compiles is kept once for all clones on this machine, so that a fresh one has nothing to compile.

Numba's own place is beside the source: in every clone anew, and in the copies that ``dvc exp run --temp`` makes. Here
it is a folder of the user's cache that is named after the code: of the module, and of all that it imports.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numba
from numba.core.caching import InTreeCacheLocator
from platformdirs import user_cache_path

from mea.runtime.imports import PACKAGE, hash_code


class SharedCacheLocator(InTreeCacheLocator):
    """Numba asks this for the folder of a compiled function."""

    def __init__(self, py_func: Any, py_file: str):
        super().__init__(py_func, py_file)
        self._cache_path = str(user_cache_path("mea", appauthor=False) / "numba" / hash_code(py_func.__module__)[:32])

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> Self | None:
        """None for a function of another package, or where the folder cannot be written: Numba then asks another."""
        if not Path(py_file).is_relative_to(PACKAGE):
            return None
        return super().from_function(py_func, py_file)


LOCATORS = ("UserProvidedCacheLocator", f"{__name__}.{SharedCacheLocator.__name__}", "InTreeCacheLocator")
# In this process only: a variable of the environment would reach programs that know nothing of this package.
config: Any = numba.config
config.CACHE_LOCATOR_CLASSES = config.CACHE_LOCATOR_CLASSES or ",".join(LOCATORS)


def make_dispatcher(function: Callable[..., Any]) -> Any:
    """Numba's object for a function, compiled at its first call; other threads run beside it."""
    return numba.njit(cache=True, nogil=True)(function)
