"""Work that may crash, hang or fill the memory in a library's C code, in a process of its own."""

import faulthandler
import math
import os
import pickle
import selectors
import signal
import sys
import time
import warnings
from collections.abc import Callable
from typing import NoReturn, TypeVar

import psutil

from mea.runtime.errors import MeaError

T = TypeVar("T")


class Failure(MeaError):
    """The process ended without a result; the message says how."""


def call_guarded(work: Callable[[], T], limit_s: float, most_bytes: int) -> T:
    """What ``work`` gives or raises, called in a copy of this process (``fork``); elsewhere than on Linux, in this one.

    macOS has ``fork``, too, but its own libraries may not be used after it, and Windows has none.

    Parameters
    ----------
    work
        Its result, or what it raises, must be small enough to be pickled and sent through a pipe.
    limit_s
        Time after which the copy is killed.
    most_bytes
        Address space that the copy may take beyond what it has.

    Raises
    ------
    Failure
        If the copy crashed, or took too long.

    >>> call_guarded(lambda: 6 * 7, limit_s=10, most_bytes=1 << 30)
    42
    """
    if sys.platform != "linux":
        return work()
    result, sender = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12: the copy uses no threads
        child = os.fork()
    if child == 0:
        os.close(result)
        _work_and_end(work, sender, limit_s, most_bytes)
    os.close(sender)
    content = None
    try:
        content = _read_all(result, time.monotonic() + limit_s)
    finally:
        os.close(result)
        if content is None:
            os.kill(child, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if content is None:
        raise Failure(f"took longer than {limit_s:g} s")
    if not content:
        raise Failure(f"crashed ({signal.Signals(-code).name if code < 0 else f'exit status {code}'})")
    is_result, value = pickle.loads(content)
    if is_result:
        return value
    raise value


def _work_and_end(work: Callable[[], object], sender: int, limit_s: float, most_bytes: int) -> NoReturn:
    """In the copy: send the result, or what was raised, and end without cleaning up what is the parent's."""
    status = 1
    faulthandler.disable()  # a crash is told by the parent
    try:
        _limit_resources(limit_s, most_bytes)
        try:
            content = pickle.dumps((True, work()))
        except Exception as error:
            content = pickle.dumps((False, error))
        with os.fdopen(sender, "wb") as stream:
            stream.write(content)
        status = 0
    finally:
        os._exit(status)


def _limit_resources(limit_s: float, most_bytes: int) -> None:
    import resource  # there is none on Windows

    limit = psutil.Process().memory_info().vms + most_bytes
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard in (resource.RLIM_INFINITY, -1) or limit < hard:
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    seconds = math.ceil(limit_s) + 1  # should the parent die meanwhile, the copy ends by itself
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.getrlimit(resource.RLIMIT_CPU)[1]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def _read_all(file: int, end: float) -> bytes | None:
    """All bytes until the other side closes; None where that takes too long."""
    parts: list[bytes] = []
    with selectors.DefaultSelector() as selector:  # select() itself knows no file beyond the 1,024th
        selector.register(file, selectors.EVENT_READ)
        while selector.select(max(0.0, end - time.monotonic())):
            part = os.read(file, 1 << 20)
            if not part:
                return b"".join(parts)
            parts.append(part)
    return None
