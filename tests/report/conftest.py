"""What the tests of the pages share: one lab, one browser, the report opened in it."""

import shutil

import pytest
from builders.pages import Reader, build_hostile_lab


@pytest.fixture(scope="session")
def hostile_lab(tmp_path_factory):
    """The folder of a lab whose names try to run a script, after all stages."""
    return build_hostile_lab(tmp_path_factory.mktemp("hostile_lab"))


@pytest.fixture(scope="session")
def browser():
    """Debian's chromium, or whichever is there; the tests of the pages are skipped where there is none."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("no chromium on the path: the pages are not looked at")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(hostile_lab, browser):
    """Open a page of the hostile_lab; what goes wrong in it, and what it tries to load, fails the test."""
    reader = Reader(browser)
    yield lambda name: reader.open(hostile_lab / "report" / name)
    reader.close()


@pytest.fixture(scope="module")
def page(hostile_lab, browser):
    """The report, opened once for the tests that look and touch nothing."""
    reader = Reader(browser)
    yield reader.open(hostile_lab / "report" / "index.html")
    reader.close()


@pytest.fixture
def changed(hostile_lab):
    """The hostile_lab for a test that changes its metrics and reports anew; they are put back."""
    kept = hostile_lab.with_name(f"{hostile_lab.name}_kept")
    for name in ("metrics", "report"):
        shutil.copytree(hostile_lab / name, kept / name)
    yield hostile_lab
    for name in ("metrics", "report"):
        shutil.rmtree(hostile_lab / name)
        (kept / name).rename(hostile_lab / name)
