"""The page of held-out recordings, in a real browser without network."""

import base64

import pandas as pd
import pytest
from builders.pages import HOSTILE, RECORDINGS, names_shown, open_row

from mea.report.attributions import choose_doubtful
from mea.runtime.files import read_json
from mea.runtime.tables import read_table


def test_metrics_on_the_page_are_those_of_the_file(hostile_lab, page):
    metrics = read_json(hostile_lab / "metrics/evaluate.json")
    headline, scores = page.locator("#headline").inner_text(), metrics["recording"]
    assert f"Of {RECORDINGS} recordings, {scores['accuracy']:.1%}" in headline and "never seen its batch" in headline
    assert f"{scores['accuracy_low']:.1%} to {scores['accuracy_high']:.1%}" in headline
    table = page.locator("#headline-metrics").inner_text()
    assert f"{metrics['chunk']['accuracy']:.1%} ({metrics['chunk']['accuracy_low']:.1%}" in table
    assert f"{metrics['baseline']['rate']['accuracy']:.1%}" in table
    assert f"p = {metrics['permutation']['p_value']:.3g}" in table
    assert f"recordings: {scores['ece']:.3g}" in page.locator("#reliability_recording ~ figcaption").inner_text()


@pytest.mark.parametrize(("unit", "table"), [("recording", "predictions"), ("chunk", "chunks")])
def test_the_confusion_matrix_counts_every_prediction(hostile_lab, page, unit, table):
    calls = read_table(hostile_lab / f"metrics/evaluate/{table}.csv")
    counted = pd.crosstab(calls["label"], calls["predicted"]).reindex(index=["a"], columns=["a"], fill_value=0)
    cells = page.locator(f"#confusion-{unit} td").all_inner_texts()
    labels = read_json(hostile_lab / "models/classifier/card.json")["classes"]
    place = labels.index("a") * (len(labels) + 1)
    assert int(cells[place].split()[0]) == counted.loc["a", "a"]
    assert sum(int(cell.split()[0]) for cell in cells) == len(calls)


def test_every_plot_of_the_stages_is_shown_as_it_is(hostile_lab, page):
    images = page.locator(".plots img")
    names = {image.get_attribute("id") for image in images.all()}
    expected = {f"{kind}_{unit}" for kind in ("roc", "reliability") for unit in ("recording", "chunk")}
    assert names == expected | {"risk_coverage", "conformal", "permutation", "confounds", "optimism", "cnn_lstm/curves"}
    for image in images.all():
        name = image.get_attribute("id")
        (path,) = [
            *(hostile_lab / "plots/evaluate").glob(f"{name}.png"),
            *(hostile_lab / "plots/train").glob(f"{name}.png"),
        ]
        assert image.get_attribute("src") == f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
        assert image.evaluate("image => image.naturalWidth") > 300, "the browser can draw it"
        caption = image.locator("xpath=following-sibling::figcaption").inner_text()
        assert image.get_attribute("alt").endswith(caption) and len(caption) > 20, (
            "said to those who cannot see it, too"
        )


def test_a_click_on_a_head_sorts_and_another_turns_it_round(hostile_lab, open_page):
    page, predictions = open_page("index.html"), read_table(hostile_lab / "metrics/evaluate/predictions.csv")
    detail = open_row(page, "r04")
    head = page.locator("thead th", has_text="confidence")
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    rising = predictions.sort_values("confidence", kind="stable")["recording"].tolist()
    assert names_shown(page) == rising
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "descending" and names_shown(page) == rising[::-1]
    page.locator("thead th", has_text="recording").get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "none" and names_shown(page) == sorted(rising)
    above = detail.evaluate("detail => detail.previousElementSibling.querySelector('.open').innerText")
    assert above.startswith("r04"), "what a row holds goes with it"


def test_filters_leave_what_fits(hostile_lab, open_page):
    page, predictions = open_page("index.html"), read_table(hostile_lab / "metrics/evaluate/predictions.csv")
    wrong = predictions.loc[predictions["label"] != predictions["predicted"], "recording"]
    assert len(wrong), "the classes do not differ: some are predicted wrongly"
    page.get_by_label("wrong only").check()
    assert names_shown(page) == sorted(wrong)
    assert page.locator("#shown").inner_text() == f"{len(wrong)} of {RECORDINGS} recordings shown"
    page.get_by_label("wrong only").uncheck()
    page.locator("select[data-filter=label]").select_option(HOSTILE)
    assert names_shown(page) == sorted(predictions.loc[predictions["label"] == HOSTILE, "recording"])
    page.locator("select[data-filter=label]").select_option("")
    page.locator("#words").fill("R03")
    assert [name[:3] for name in names_shown(page)] == ["r03"]


def test_a_row_opens_and_closes_by_click_and_by_key(open_page):
    page = open_page("index.html")
    button, detail = page.locator("tr.row .open").first, page.locator("tr.detail")
    assert detail.count() == 0, "nothing is drawn before it is asked for"
    page.locator("tr.row td").nth(1).click()
    assert button.get_attribute("aria-expanded") == "true" and detail.is_visible()
    button.click()
    assert button.get_attribute("aria-expanded") == "false" and not detail.is_visible()
    page.locator("thead th", has_text="batch, culture").get_by_role("button").focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement === document.querySelector('tr.row .open')")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid", "the focus must be seen"
    page.keyboard.press("Enter")
    assert button.get_attribute("aria-expanded") == "true" and detail.is_visible()


def test_a_row_holds_everything_of_its_recording(hostile_lab, page):
    name = page.locator("tr.row .open").first.inner_text()
    detail = open_row(page, name)
    titles = detail.locator("h3").all_inner_texts()
    for title in ("Raster", "Electrode map: firing rate", "Electrode map: noise", "Predictions of its chunks"):
        assert title in titles
    for side in ("before", "after"):
        assert f"Traces {side} spike detection, with peaks" in titles
    manifest = read_table(hostile_lab / "data/unzip/manifest.csv").set_index("recording")
    assert manifest.loc[name, "sha256"] in detail.inner_text()
    assert detail.locator(".js-plotly-plot").count() == 6
    spikes = read_table(hostile_lab / "data/array/catalogue.csv").set_index("recording").loc[name, "events"]
    assert f"300 of {spikes} spikes drawn" in detail.inner_text()
    assert detail.locator(".js-plotly-plot").first.evaluate("chart => chart.data[0].x.length") == 300 < spikes


def test_a_label_that_looks_like_a_tag_is_drawn_as_it_is(page):
    detail = open_row(page, "r11")
    assert detail.locator(".legendtext").first.text_content() == f"predicted {HOSTILE}"


def test_an_electrode_map_tells_the_rigs_name(page):
    detail = open_row(page, "r02")
    chart = detail.locator("figure", has_text="Electrode map: firing rate").locator(".js-plotly-plot")
    assert chart.evaluate("chart => chart.data[0].text[3][0]") == "A4"  # row 4, column A


def test_attributions_of_the_doubtful_are_shown(hostile_lab, page):
    (name,) = choose_doubtful(read_table(hostile_lab / "metrics/evaluate/predictions.csv"), 1)
    section = page.locator("details[id^=attribution-]")
    assert section.count() == 1 and name in section.inner_text() and "Electrodes: row" in section.inner_text()
    number = section.get_attribute("id").removeprefix("attribution-")
    assert page.locator("tr.row", has_text=name).get_attribute("data-number") == number, "its row shows it, too"
