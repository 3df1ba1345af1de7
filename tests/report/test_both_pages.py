"""Both pages: they fit, load nothing, run no names as scripts, and put warnings first."""

import json
import re

import pytest
from builders.pages import HOSTILE, RECORDINGS, Tags, run_stage

from mea.runtime.files import read_json

LARGEST_PAGE = 10_000_000  # bytes
MEASURE = """(head, word) => {
    const context = document.createElement("canvas").getContext("2d");
    context.font = getComputedStyle(head).font;
    return context.measureText(word).width;
}"""  # how wide a word is, unbroken


@pytest.mark.parametrize("name", ["index.html", "new.html"])
def test_nothing_is_wider_than_the_window_or_the_paper(open_page, name):
    page = open_page(name)
    page.locator("tr.row .open").first.click()
    for media, width in (("screen", 1280), ("screen", 420), ("print", 700)):
        page.emulate_media(media=media)
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), media
        assert page.locator(".controls").is_visible() == (media == "screen")


@pytest.mark.parametrize("name", ["index.html", "new.html"])
def test_heads_stay_whole_on_a_phone(open_page, name):
    """The table scrolls instead."""
    page = open_page(name)
    page.set_viewport_size({"width": 420, "height": 900})
    heads = page.locator("table.recordings thead button")
    assert heads.count() > 3
    for head in heads.all():
        assert head.evaluate("head => head.scrollWidth <= head.clientWidth")
        line_height = head.evaluate("head => parseFloat(getComputedStyle(head).lineHeight)")
        words = len(head.inner_text().split())
        assert head.evaluate("head => head.clientHeight") < (words + 0.9) * line_height, "no word is broken"
    for head in page.locator("#headline-metrics th, .confusion thead th").all():
        longest = max(filter(str.isalpha, head.inner_text().split()), key=len)
        width = head.evaluate(MEASURE, longest)
        assert head.evaluate("head => head.clientWidth") >= width, f"{longest} is broken"


def test_both_pages_are_whole_and_small(hostile_lab):
    for name in ("index.html", "new.html"):
        text = (hostile_lab / "report" / name).read_text(encoding="utf-8")
        assert len(text.encode()) < LARGEST_PAGE
        assert not re.search(r"<(script|link|img)[^>]*(src|href)=\"?(http|//)", text)


def test_hostile_names_are_text(hostile_lab):
    text = (hostile_lab / "report/index.html").read_text(encoding="utf-8")
    tags = Tags(text)
    assert tags.scripts == RECORDINGS + 3, "of ours: recordings, plotly, table, drawing"
    assert all(source.startswith("data:image/png;base64,") for source in tags.sources)
    assert "<script>window.bad" not in text and "&lt;script&gt;window.bad" in text


def test_the_same_results_give_the_same_bytes(changed):
    before = [(changed / "report" / name).read_bytes() for name in ("index.html", "new.html")]
    run_stage("report", changed)
    assert [(changed / "report" / name).read_bytes() for name in ("index.html", "new.html")] == before


def test_warnings_stand_before_every_metric(changed, open_page):
    path = changed / "metrics/evaluate.json"
    split = read_json(changed / "metrics/split.json") | {"warning": f"of one moment; twice {HOSTILE}; leaky: by chunk"}
    metrics = read_json(path) | {"leaky": 1, "warning": f"{split['warning']}; confounded: by length"}
    path.write_text(json.dumps(metrics), encoding="utf-8")
    (changed / "metrics/split.json").write_text(json.dumps(split), encoding="utf-8")
    run_stage("report", changed, "report.explain=0")
    for name in ("index.html", "new.html"):
        page = open_page(name)
        assert "not honest estimates" in page.locator(".warnings").inner_text()
        expected = [f"of one moment; twice {HOSTILE}", "leaky: by chunk", "confounded: by length"]
        assert page.locator(".warnings li").all_inner_texts() == expected
        follows = page.evaluate("document.querySelector('.warnings').compareDocumentPosition(headline) & 4")
        assert follows, "the headline stands below"
        if name == "index.html":
            assert page.inner_text("main").count("twice ") == 1, "a warning is said once"
            assert "not an honest estimate" in page.locator("#headline").inner_text()
            assert "report.explain is 0" in page.inner_text("main")
