"""The report's pages: made by the real stages of a lab with hostile names, opened in a real browser without network."""

import base64
import csv
import json
import re
import shutil
from html.parser import HTMLParser

import h5py
import numpy as np
import pandas as pd
import pytest
from builders.arrays import make_events
from builders.lab import ROOT
from builders.recordings import write_small_mcs

import stages.array
import stages.classify
import stages.evaluate
import stages.h5
import stages.report
import stages.split
import stages.train
import stages.unzip
from mea.arrays.events_file import load_events
from mea.recordings.recording import read_recording
from mea.report.attributions import choose_doubtful, format_attributions
from mea.report.charts import to_list
from mea.report.details import MOST_SPIKES, Places, draw_traces, name_electrodes, pack, pick_spikes, share
from mea.report.provenance import render_markdown
from mea.report.results import find_file, read_detection
from mea.report.rows import STRIP_HEIGHT, list_flags, trace_strip
from mea.runtime.command import run_command
from mea.runtime.errors import MeaError
from mea.runtime.files import read_json
from mea.runtime.tables import read_table

HOSTILE = 'z"><b>&lt;</b><script>window.bad=1</script><img src=x onerror="window.bad=1">'
RECORDINGS = 12
LARGEST_PAGE = 10_000_000  # bytes
FAST = (
    "unzip.source=", "h5.on_bad_recording=skip", "array.sampling_rate_hz=25000", "array.other_sampling_rate=set_aside",
    "split.by=batch", "split.folds=3", "split.score=all", "split.chunk_s=0.5", "split.first_s=null",
    "train.model=cnn_lstm", "train.cnn_lstm.input=binned", "train.cnn_lstm.bin=count", "train.cnn_lstm.bin_ms=20",
    "train.cnn_lstm.epochs=2", "train.inner_folds=2", "train.cnn_lstm.validation=nested", "evaluate.permutations=19",
    "report.spikes=300", "report.explain=1", "report.compare=null",
)  # fmt: skip
WORK = {
    "unzip": (stages.unzip.unzip, {"out": "data/unzip"}),
    "h5": (stages.h5.build, {"unzip": "data/unzip", "out": "data/h5", "metrics": "metrics/h5.json"}),
    "array": (
        stages.array.detect,
        {"h5": "data/h5", "unzip": "data/unzip", "out": "data/array", "metrics": "metrics/array.json"}
        | {"plots": "plots/array"},
    ),
    "split": (stages.split.split, {"array": "data/array", "out": "data/split", "metrics": "metrics/split.json"}),
    "train": (
        stages.train.train,
        {"array": "data/array", "split": "data/split", "out": "models/folds", "metrics": "metrics/train.json"}
        | {"plots": "plots/train"},
    ),
    "evaluate": (
        stages.evaluate.evaluate,
        {"model": "models/folds", "array": "data/array", "split": "data/split", "classifier": "models/classifier"}
        | {"out": "metrics/evaluate", "metrics": "metrics/evaluate.json", "plots": "plots/evaluate"},
    ),
    "classify": (stages.classify.classify, {"model": "models/classifier", "out": "metrics/classify.csv"}),
    "report": (
        stages.report.write_report,
        {"metrics_from": "metrics", "plots_from": "plots", "model": "models/classifier", "array": "data/array"}
        | {"split": "data/split", "h5": "data/h5", "unzip": "data/unzip", "out": "report"},
    ),
}
SOURCES = {"unzip": "raw", "classify": "new"}


def run_stage(name, folder, *settings):
    """One stage as its command would, in a folder laid out as dvc.yaml says."""
    work, places = WORK[name]
    paths = {flag: str(folder / place) for flag, place in places.items()}
    argv = ["--params", str(ROOT / "params.yaml")]
    argv += [part for setting in (*FAST, *settings) for part in ("--set", setting)]
    if name in SOURCES:
        argv, paths = ["--source", str(folder / SOURCES[name])], paths | {"source": ""}
    run_command(work, getattr(stages, name).Params, argv, **paths)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Twelve recordings of noise in three batches, of two classes whose name and groups try to run a script."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "raw").mkdir(), (folder / "new").mkdir()
    lines = [("recording", "label", "culture", "batch")]
    for number in range(RECORDINGS):
        name = f"r{number:02d} &lt; 'x'"
        write_small_mcs(folder / "raw" / f"{name}.h5", seed=number, n_samples=37_500)
        lines.append((name, ("a", HOSTILE)[number % 2], f"c{number} {HOSTILE}", f"b{number % 3} {HOSTILE}"))
    with (folder / "raw" / "recordings.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(lines)
    write_small_mcs(folder / "new" / "good.h5", seed=50)
    write_small_mcs(folder / "new" / "slow.h5", seed=51, sampling_rate_hz=10_000)
    (folder / "new" / "bad.h5").write_bytes(b"no recording")
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in {"MEA_QUIET": "1", "MEA_WORKERS": "1", "MEA_DEVICE": "cpu"}.items():
            patch.setenv(variable, value)
        patch.setenv("MEA_CACHE", str(folder / "cache"))
        for name in WORK:
            run_stage(name, folder)
    return folder


@pytest.fixture(scope="module")
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


class Reader:
    """Opens pages without network, and keeps what goes wrong in them."""

    def __init__(self, browser):
        self.context = browser.new_context(viewport={"width": 1280, "height": 900})
        self.context.route("**/*", self.refuse)
        self.faults = []

    def refuse(self, route):
        if route.request.url.startswith(("file://", "data:")):
            route.continue_()
        else:
            self.faults.append(f"loads {route.request.url}")
            route.abort()

    def hear(self, message):
        if message.type in ("error", "warning"):
            self.faults.append(message.text)

    def open(self, path):
        page = self.context.new_page()
        page.on("console", self.hear)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.goto(path.as_uri())
        return page

    def close(self):
        bad = [page.url for page in self.context.pages if page.evaluate("window.bad") is not None]
        self.context.close()
        assert self.faults == [] == bad, "an error, something loaded, or a name run as a script"


@pytest.fixture
def open_page(lab, browser):
    """Open a page of the lab; what goes wrong in it, and what it tries to load, fails the test."""
    reader = Reader(browser)
    yield lambda name: reader.open(lab / "report" / name)
    reader.close()


@pytest.fixture(scope="module")
def page(lab, browser):
    """The report, opened once for the tests that look and touch nothing."""
    reader = Reader(browser)
    yield reader.open(lab / "report" / "index.html")
    reader.close()


@pytest.fixture
def changed(lab):
    """The lab for a test that changes its metrics and reports anew; they are put back."""
    kept = lab.with_name(f"{lab.name}_kept")
    for name in ("metrics", "report"):
        shutil.copytree(lab / name, kept / name)
    yield lab
    for name in ("metrics", "report"):
        shutil.rmtree(lab / name)
        (kept / name).rename(lab / name)


def open_row(page, name):
    """Open a recording's row, and give what it holds."""
    row = page.locator("tr.row", has_text=name)
    row.locator(".open").click()
    return page.locator(f"#{row.locator('.open').get_attribute('aria-controls')}")


def names_shown(page):
    return page.locator("tr.row:visible .open").all_inner_texts()


# --- the page of held-out recordings ---------------------------------------------------------------------------------


def test_metrics_on_the_page_are_those_of_the_file(lab, page):
    metrics = read_json(lab / "metrics/evaluate.json")
    headline, scores = page.locator("#headline").inner_text(), metrics["recording"]
    assert f"Of {RECORDINGS} recordings, {scores['accuracy']:.1%}" in headline and "never seen its batch" in headline
    assert f"{scores['accuracy_low']:.1%} to {scores['accuracy_high']:.1%}" in headline
    table = page.locator("#headline-metrics").inner_text()
    assert f"{metrics['chunk']['accuracy']:.1%} ({metrics['chunk']['accuracy_low']:.1%}" in table
    assert f"{metrics['baseline']['rate']['accuracy']:.1%}" in table
    assert f"p = {metrics['permutation']['p_value']:.3g}" in table
    assert f"recordings: {scores['ece']:.3g}" in page.locator("#calibration-recording ~ figcaption").inner_text()


@pytest.mark.parametrize(("unit", "table"), [("recording", "predictions"), ("chunk", "chunks")])
def test_the_confusion_counts_every_call(lab, page, unit, table):
    calls = read_table(lab / f"metrics/evaluate/{table}.csv")
    counted = pd.crosstab(calls["label"], calls["predicted"]).reindex(index=["a"], columns=["a"], fill_value=0)
    cells = page.locator(f"#confusion-{unit} td").all_inner_texts()
    labels = read_json(lab / "models/classifier/card.json")["classes"]
    place = labels.index("a") * (len(labels) + 1)
    assert int(cells[place].split()[0]) == counted.loc["a", "a"]
    assert sum(int(cell.split()[0]) for cell in cells) == len(calls)


def test_every_curve_is_drawn(page):
    charts = page.locator(".chart[data-figure]")
    names = {chart.get_attribute("id") for chart in charts.all()}
    assert page.locator("#roc-recording .legendtext").all_text_contents() == ["chance", HOSTILE], "no markup"
    expected = {f"{kind}-{unit}" for kind in ("roc", "calibration") for unit in ("recording", "chunk")}
    assert names == expected | {"risk", "learning-loss", "learning-accuracy"}
    assert page.locator(".chart[data-figure] .main-svg .trace").count() >= charts.count()


def test_a_click_on_a_head_sorts_and_another_turns_it_round(lab, open_page):
    page, predictions = open_page("index.html"), read_table(lab / "metrics/evaluate/predictions.csv")
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


def test_filters_leave_what_fits(lab, open_page):
    page, predictions = open_page("index.html"), read_table(lab / "metrics/evaluate/predictions.csv")
    wrong = predictions.loc[predictions["label"] != predictions["predicted"], "recording"]
    assert len(wrong), "the classes do not differ: some are called wrongly"
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


def test_a_row_holds_everything_of_its_recording(lab, page):
    name = page.locator("tr.row .open").first.inner_text()
    detail = open_row(page, name)
    titles = detail.locator("h3").all_inner_texts()
    for title in ("Raster", "Electrode map: firing rate", "Electrode map: noise", "Votes of its chunks"):
        assert title in titles
    assert "Traces before cleaning, with peaks" in titles and "Traces after cleaning, with peaks" in titles
    assert read_table(lab / "data/unzip/manifest.csv").set_index("recording").loc[name, "sha256"] in detail.inner_text()
    assert detail.locator(".js-plotly-plot").count() == 6
    spikes = read_table(lab / "data/array/catalogue.csv").set_index("recording").loc[name, "events"]
    assert f"300 of {spikes} spikes drawn" in detail.inner_text()
    assert detail.locator(".js-plotly-plot").first.evaluate("chart => chart.data[0].x.length") == 300 < spikes


def test_a_label_that_looks_like_a_tag_is_drawn_as_it_is(page):
    detail = open_row(page, "r11")
    assert detail.locator(".legendtext").first.text_content() == f"called {HOSTILE}"


def test_an_electrode_map_tells_the_rigs_name(page):
    detail = open_row(page, "r02")
    chart = detail.locator("figure", has_text="Electrode map: firing rate").locator(".js-plotly-plot")
    assert chart.evaluate("chart => chart.data[0].text[3][0]") == "A4"  # row 4, column A


def test_attributions_of_the_doubtful_are_shown(lab, page):
    (name,) = choose_doubtful(read_table(lab / "metrics/evaluate/predictions.csv"), 1)
    section = page.locator("details[id^=attribution-]")
    assert section.count() == 1 and name in section.inner_text() and "Electrodes: row" in section.inner_text()
    number = section.get_attribute("id").removeprefix("attribution-")
    assert page.locator("tr.row", has_text=name).get_attribute("data-number") == number, "its row shows it, too"


@pytest.mark.parametrize("name", ["index.html", "new.html"])
def test_nothing_is_wider_than_the_window_or_the_paper(open_page, name):
    page = open_page(name)
    page.locator("tr.row .open").first.click()
    for media, width in (("screen", 1280), ("print", 700)):
        page.emulate_media(media=media)
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), media
        assert page.locator(".controls").is_visible() == (media == "screen")


def test_charts_are_told_apart_without_colours(page):
    for chart in page.locator(".chart[data-figure]").all():
        lines = chart.evaluate("chart => chart.data.map(line => line.line.dash + ' ' + line.marker.symbol)")
        assert len(set(lines)) == len(lines)


def test_both_pages_are_whole_and_small(lab):
    for name in ("index.html", "new.html"):
        text = (lab / "report" / name).read_text(encoding="utf-8")
        assert len(text.encode()) < LARGEST_PAGE
        assert not re.search(r"<(script|link|img)[^>]*(src|href)=\"?(http|//)", text)


class Tags(HTMLParser):
    """Counts what a parser sees as scripts and images."""

    def __init__(self, text):
        super().__init__()
        self.scripts, self.sources = 0, []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.scripts += tag == "script"
        self.sources += [value for name, value in attrs if tag == "img" and name == "src"]


def test_hostile_names_are_text(lab):
    text = (lab / "report/index.html").read_text(encoding="utf-8")
    tags = Tags(text)
    charts = len(re.findall(r'<div class="chart"', text))
    assert tags.scripts == charts + RECORDINGS + 3, "of ours: charts, recordings, plotly, table, drawing"
    assert all(source.startswith("data:image/png;base64,") for source in tags.sources)
    assert "<script>window.bad" not in text and "&lt;script&gt;window.bad" in text


def test_the_same_results_give_the_same_bytes(changed):
    before = [(changed / "report" / name).read_bytes() for name in ("index.html", "new.html")]
    run_stage("report", changed)
    assert [(changed / "report" / name).read_bytes() for name in ("index.html", "new.html")] == before


# --- the page of new recordings --------------------------------------------------------------------------------------


def test_new_recordings_are_called_or_refused_with_the_reason(lab, open_page):
    page = open_page("new.html")
    calls = read_table(lab / "metrics/classify.csv").set_index("recording")
    assert set(calls.index) == {"good", "slow", "bad"} == set(names_shown(page))
    rejected = (calls["decision"] == "rejected").sum()
    assert f"and {rejected} rejected" in page.locator("#headline").inner_text()
    row = page.locator("tr.row", has_text="slow")
    assert "sampling rate: recorded at 10000 Hz, not at 25000 Hz" in row.inner_text()
    row.locator(".open").click()
    assert "probability of a" in page.locator("tr.detail").inner_text()
    page.locator("select[data-filter=decision]").select_option("rejected")
    assert len(names_shown(page)) == rejected


def test_without_new_recordings_the_page_says_what_to_do(changed, open_page):
    classified = changed / "metrics/classify.csv"
    classified.write_bytes(classified.read_bytes().split(b"\n")[0] + b"\n")
    run_stage("report", changed, "report.explain=0")
    page = open_page("new.html")
    assert "No new recording was classified" in page.inner_text("main") and "dvc repro" in page.inner_text("main")


# --- warnings first, and what is missing -----------------------------------------------------------------------------


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
            assert "not an honest estimate" in page.locator("#headline").inner_text()
            assert "report.explain is 0" in page.inner_text("main")


MADE_BY = {
    "metrics/evaluate.json": "evaluate", "metrics/evaluate/predictions.csv": "evaluate",
    "metrics/evaluate/chunks.csv": "evaluate", "metrics/classify.csv": "classify", "metrics/h5.json": "h5",
    "metrics/array.json": "array", "metrics/split.json": "split", "models/classifier/card.json": "evaluate",
    "models/classifier/card.md": "evaluate", "data/h5/catalogue.csv": "h5", "data/unzip/manifest.csv": "unzip",
    "data/array/params.json": "array", "plots/train": "train", "plots/evaluate": "evaluate",
}  # fmt: skip


@pytest.mark.parametrize(("place", "stage"), MADE_BY.items())
def test_a_missing_input_names_the_command_that_makes_it(lab, place, stage):
    aside = lab / "aside"
    (lab / place).rename(aside)
    try:
        with pytest.raises(SystemExit, match=rf"report: .*no such file. It is written by the stage {stage}: dvc repro"):
            run_stage("report", lab)
    finally:
        aside.rename(lab / place)


@pytest.mark.parametrize(
    ("name", "stage", "lacking"),
    [
        ("evaluate/chunks.csv", "evaluate", "r03"),
        ("evaluate/predictions.csv", "evaluate", "p_a"),
        ("classify.csv", "classify", "p_a"),
    ],
)
def test_results_of_two_runs_are_told_apart(changed, name, stage, lacking):
    table = read_table(changed / "metrics" / name)
    if lacking.startswith("p_"):
        table = table.drop(columns=lacking)
    else:
        table = table[~table["recording"].str.startswith(lacking)]
    table.to_csv(changed / "metrics" / name, index=False)
    rule = rf"report: {name.split('/')[-1]} of the stage {stage} lacks .{lacking}.*not of one run.*dvc repro {stage}"
    with pytest.raises(SystemExit, match=rule):
        run_stage("report", changed)


def test_a_file_that_is_there_is_found(tmp_path):
    assert find_file(tmp_path, "h5") == tmp_path
    with pytest.raises(MeaError, match=r"no such file. It is written by the stage h5: dvc repro h5"):
        find_file(tmp_path / "x", "h5")


# --- parts -----------------------------------------------------------------------------------------------------------


def unpack(packed):
    return np.frombuffer(base64.b64decode(packed["base64"]), np.dtype(packed["kind"]).newbyteorder("<"))


def test_spikes_are_picked_evenly_and_keep_their_place():
    events = make_events(spikes_per_s=5, duration_s=4)
    drawn = pick_spikes(events, 100)
    times = unpack(drawn["times"]) / drawn["ticks"] * events.duration_s
    electrodes = unpack(drawn["electrodes"])
    assert drawn["drawn"] == 100 and drawn["spikes"] == len(events)
    picked = np.linspace(0, len(events) - 1, 100).round().astype(int)
    np.testing.assert_allclose(times, events.spike_times_s[picked], atol=events.duration_s / drawn["ticks"])
    np.testing.assert_array_equal(electrodes, events.electrode[picked])
    assert pick_spikes(events, 10**6)["drawn"] == len(events)


def test_many_recordings_share_what_a_page_can_hold():
    assert share(MOST_SPIKES, 370) * 370 <= MOST_SPIKES < (share(MOST_SPIKES, 370) + 1) * 370
    assert share(MOST_SPIKES, 10**7) == 1


def draw_small(folder, most_samples):
    """The traces of the lab's first recording."""
    name = sorted(path.stem for path in (folder / "data/h5").glob("*.h5"))[0]
    array = folder / "data/array"
    places = Places(folder / "data/unzip", folder / "data/h5", array, read_detection(array), 10, most_samples)
    recording, events = read_recording(folder / f"data/h5/{name}.h5"), load_events(array / f"{name}.npz")
    return recording, events, draw_traces(recording, events, places)


def list_samples(line, n_samples):
    """A line of a trace at every sample, as it is drawn."""
    samples, values = unpack(line["samples"]), unpack(line["tenths_uv"]) / 10
    return np.interp(np.arange(n_samples), samples, values)


def test_traces_are_the_files_samples_and_the_arrays(lab):
    """Before: counts of the vendor's file, which h5py reads here; after: the cleaned array."""
    recording, events, traces = draw_small(lab, 10**6)
    names = recording.source.names.tolist()
    with h5py.File(lab / "data/unzip" / recording.file) as file:
        group = file["Data/Recording_0/AnalogStream/Stream_0"]
        info = group["InfoChannel"][:]
        labels = [label.decode().strip() for label in info["Label"]]
        counts = group["ChannelData"][:]
    assert len(traces) == 2
    for trace in traces:
        electrode = names.index(trace["name"].removeprefix("electrode "))
        channel = labels.index(names[electrode])
        first, peaks = round(trace["start_s"] * events.sampling_rate_hz), unpack(trace["peaks"])
        part = slice(first, first + events.sampling_rate_hz // 4)
        scale = float(info["ConversionFactor"][channel]) * 10.0 ** int(info["Exponent"][channel])
        raw = (counts[info["RowIndex"][channel], part] - float(info["ADZero"][channel])) * scale * 1e6
        np.testing.assert_allclose(list_samples(trace["before"], len(raw)), raw, atol=0.051)
        whole = events.dense(part.start, part.stop)[events.row[electrode], events.col[electrode]]
        np.testing.assert_allclose(list_samples(trace["after"], len(raw)), whole, atol=0.051)
        assert len(peaks) and (abs(raw[peaks]) >= trace["threshold_uv"]).all()
        assert all(set(peaks) <= set(unpack(trace[side]["samples"])) for side in ("before", "after"))


def test_where_there_are_many_recordings_no_extreme_is_lost(lab):
    _, events, traces = draw_small(lab, 400)
    for trace, whole in zip(traces, draw_small(lab, 10**6)[2]):
        every, some = (unpack(line["tenths_uv"]) for line in (whole["before"], trace["before"]))
        assert len(some) < 500 < len(every) == events.sampling_rate_hz // 4
        assert (some.min(), some.max()) == (every.min(), every.max())


def test_spike_times_have_no_traces(lab):
    recording, _, _ = draw_small(lab, 400)
    assert draw_traces(recording, make_events(waveforms=False), None) == []


def test_electrodes_are_named_at_their_places(lab):
    recording, events, _ = draw_small(lab, 400)
    grid = name_electrodes(recording, events)
    assert (grid[3][0], grid[8][11], grid[0][3], grid[0][0]) == ("A4", "M9", "D1", "")


def test_a_strip_has_a_lane_for_every_call():
    chunks = pd.DataFrame(
        {"start_s": [0, 1.0, 2.0], "stop_s": [1, 2.0, 3.0], "predicted": ["a", "b", "a"], "confidence": [1, 0.6, 0.8]}
    )
    first, second = (trace_strip(chunks, label, lane, 2) for lane, label in enumerate("ab"))
    assert first.count("M") == 2 and second.count("M") == 1
    assert first.startswith(f"M0.0 {STRIP_HEIGHT / 2:.1f}h") and second.startswith(f"M50.0 {STRIP_HEIGHT:.1f}h")


def test_flags_say_what_is_odd():
    line = {"label": "a", "predicted": "b", "confidence": 0.6, "threshold": 0.9, "prediction_set": "b"}
    assert [word for word, _ in list_flags(line, "a gap")] == ["wrong", "unsure", "ruled out", "note"]
    fine = line | {"predicted": "a", "threshold": 0.5, "prediction_set": "a|b"}
    assert list_flags(fine, "") == []
    assert "no confidence that is enough" in list_flags(fine | {"threshold": ""}, "")[0][1]


def test_markdown_runs_nothing_and_loads_nothing():
    text = (
        "# Card\n\n<script>bad()</script> ![x](http://example.org/x.png) [y](javascript:bad)\n\n| a |\n| --- |\n| 1 |"
    )
    shown = render_markdown(text)
    assert "<h3>Card</h3>" in shown and "<table>" in shown
    assert "<script" not in shown and "<img" not in shown and "href" not in shown


def test_the_largest_attributions_are_named():
    rows = [
        {"kind": "whole", "log_odds": 2.0},
        {"kind": "electrode", "row": 1, "col": 2, "log_odds": 0.1},
        {"kind": "electrode", "row": 3, "col": 4, "log_odds": -0.5},
        {"kind": "window", "start_s": 0, "stop_s": 1.2, "log_odds": 1.5},
        {"kind": "family", "family": "return_maps", "log_odds": 0.7},
    ]
    assert format_attributions(pd.DataFrame(rows)) == [
        "Families of features: return maps (+0.70)",
        "Electrodes: row 3, column 4 (-0.50), row 1, column 2 (+0.10)",
        "Windows, each alone: 0 to 1.2 s (+1.50)",
    ]


def test_what_is_no_number_is_null():
    assert to_list(np.array([1.0, np.nan, np.inf])) == [1.0, None, None]


@pytest.mark.parametrize(
    ("values", "kind"), [([], "uint16"), ([0, 65_535], "uint16"), ([-1, 256], "int16"), ([-1, 65_535], "int32")]
)
def test_whole_numbers_travel_in_the_smallest_type(values, kind):
    packed = pack(np.array(values, np.int64))
    assert packed["kind"] == kind and unpack(packed).tolist() == values


def test_packed_numbers_are_little_endian():
    assert pack(np.array([1, 256])) == {"kind": "uint16", "base64": "AQAAAQ=="}
