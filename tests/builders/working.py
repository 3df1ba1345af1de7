"""What worker processes are given to do; they import this file alone, not the test's."""

import os
import random
import signal
import time

from mea.runtime.errors import MeaError


def square(number: int) -> tuple[int, int]:
    """A result and the process that made it; results arrive in another order than they were asked for."""
    time.sleep(random.Random(number).random() / 20)
    return number**2, os.getpid()


def refuse(number: int) -> int:
    """Fail at the third."""
    if number == 3:
        raise MeaError(f"{number}: refused.")
    return number


def end(number: int) -> int:
    """Be killed, except at the first."""
    if number:
        time.sleep(0.5)  # until the other item is in work, too
        os.kill(os.getpid(), signal.SIGKILL)
    return number
