"""What several tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from builders.environment import work_alone
from builders.lab import Lab, build_lab
from matplotlib.axes import Axes

from mea.runtime.style import new_plot

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


TESTS = Path(__file__).parent
ON_THE_LAB = {path for path in TESTS.rglob("test_*.py") if "built_lab" in path.read_text(encoding="utf-8")}
ON_THE_HOSTILE_LAB = set((TESTS / "report").glob("test_*.py"))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log) -> object:
    """With ``--dist loadfile``, files with tests on one lab go to one worker, so that the lab is built once."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class LabScheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            if TESTS.parent / file in ON_THE_LAB:
                return "lab"
            return "report" if TESTS.parent / file in ON_THE_HOSTILE_LAB else file

    return LabScheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """That worker begins with them: they take longest."""
    items.sort(key=lambda item: item.path not in ON_THE_LAB)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real recordings beside the repository; the test is skipped where it is missing."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real recordings not found at {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture
def ax() -> Axes:
    """One empty panel."""
    return new_plot()[1][0, 0]


@pytest.fixture
def alone(tmp_path) -> Iterator[None]:
    """On one core, with a cache of the test's own and nothing printed."""
    with work_alone(tmp_path):
        yield


@pytest.fixture(scope="session")
def built_lab(tmp_path_factory) -> Lab:
    """A clone of the repository in which the whole pipeline has run on a tiny sample; built once, for all tests."""
    return build_lab(tmp_path_factory.mktemp("lab") / "project")


@pytest.fixture
def lab(built_lab) -> Iterator[Lab]:
    """The same, put back to its commit after the test."""
    yield built_lab
    built_lab.restore()
