"""How this process keeps its memory."""

import ctypes
import sys

TRIM_THRESHOLD, MMAP_MAX = -1, -4  # from malloc.h
NEVER = -1  # any number that fits would be a limit of at most 2 GB, and a step of training frees more


def keep_freed_memory() -> None:
    """Tell glibc to reuse freed blocks instead of giving them back to the system; elsewhere nothing is done.

    What is given back has to be asked for, and cleared by the system, again: half of a training step was spent on it.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            libc.mallopt(MMAP_MAX, 0)
            libc.mallopt(TRIM_THRESHOLD, NEVER)
