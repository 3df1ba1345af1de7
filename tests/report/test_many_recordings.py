"""A report of more recordings than a page holds: those that matter most lie beside it, and a row opens them."""

import json
import re

import pandas as pd
import pytest
from builders.pages import RECORDINGS, Reader, open_row, run_stage

import mea.report.details
import mea.report.pages
from mea.report.attributions import choose_doubtful
from mea.report.details import choose_drawn
from mea.runtime.errors import MeaError

DRAWN = 4


@pytest.fixture(scope="module")
def many(hostile_lab, tmp_path_factory):
    """The hostile lab's report as if twelve recordings were too many: of them four, and the surest one."""
    recordings = pd.read_csv(hostile_lab / "metrics/evaluate/predictions.csv")
    surest = choose_doubtful(recordings, RECORDINGS)[-1]
    out = tmp_path_factory.mktemp("many") / "report"
    with pytest.MonkeyPatch.context() as patch:
        for module in (mea.report.details, mea.report.pages):
            patch.setattr(module, "MOST_INSIDE", RECORDINGS - 1)
        patch.setattr(mea.report.details, "MOST_BESIDE", DRAWN)
        run_stage("report", hostile_lab, f"report.show={json.dumps([surest])}", out=out)
    return out, sorted({*choose_doubtful(recordings, DRAWN), surest}), sorted(recordings["recording"])


def test_the_doubtful_ones_and_those_asked_for_lie_beside_the_page(many, hostile_lab):
    out, drawn, names = many
    numbers = {names.index(name) for name in drawn}
    assert len(numbers) == DRAWN + 1
    assert {path.name for path in (out / "details").iterdir()} == {f"{number}.js" for number in numbers}
    assert (out / "plotly.min.js").stat().st_size > 1_000_000
    page, whole = ((folder / "index.html").read_text("utf-8") for folder in (out, hostile_lab / "report"))
    assert len(page) < len(whole) - 4_000_000 and '<script src="plotly.min.js">' in page
    kinds = dict(re.findall(r'data-number="(\d+)" data-detail="(\w+)"', page))
    assert kinds == {str(number): "beside" if number in numbers else "none" for number in range(RECORDINGS)}
    assert page.count('class="strip"') == len(numbers)
    for number in numbers:
        (beside,) = re.findall(rf"^receiveDetail\({number}, (.*)\);\n$", (out / f"details/{number}.js").read_text())
        (inside,) = re.findall(rf'<script type="application/json" id="data-{number}">(.*?)</script>', whole)
        beside, inside = json.loads(beside), json.loads(inside)
        assert {**beside, "traces": 0} == {**inside, "traces": 0}
        assert len(beside["traces"]) == len(inside["traces"]) > 0


def test_few_recordings_are_all_drawn_and_an_unknown_one_is_refused(hostile_lab):
    recordings = pd.read_csv(hostile_lab / "metrics/evaluate/predictions.csv")
    assert choose_drawn(recordings, []) == sorted(recordings["recording"])
    with pytest.raises(MeaError, match=r"report.show: no recording 'nobody'. Name some of"):
        choose_drawn(recordings, ["nobody"])


def test_a_row_opens_what_lies_beside_the_page(many, browser):
    out, drawn, names = many
    reader = Reader(browser)
    page = reader.open(out / "index.html")
    opened = open_row(page, drawn[0])
    opened.locator(".chart").first.wait_for()
    assert opened.locator("h3").first.inner_text() == "Raster"
    other = next(name for name in names if name not in drawn)
    assert "Name this one in report.show" in open_row(page, other).inner_text()
    reader.close()
