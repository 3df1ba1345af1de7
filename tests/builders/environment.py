"""The environment in which stages and trainings run in a test."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch


@contextmanager
def work_alone(folder: Path) -> Iterator[None]:
    """On one core, with a cache of its own in ``folder`` and nothing printed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEA_CACHE", str(folder / "cache"))
        for name, value in {"MEA_QUIET": "1", "MEA_DEVICE": "cpu", "MEA_WORKERS": "1"}.items():
            patch.setenv(name, value)
        torch.set_num_threads(1)
        yield
