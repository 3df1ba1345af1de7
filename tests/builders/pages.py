"""The report's pages for tests: a lab with hostile names, its stages run in this process, a browser without network."""

import csv
import runpy
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from builders.environment import work_alone
from builders.lab import ROOT
from builders.recordings import write_small_mcs

HOSTILE = 'z"><b>&lt;</b><script>window.bad=1</script><img src=x onerror="window.bad=1">'
RECORDINGS = 12
STAGES = ("unzip", "h5", "array", "split", "features", "contrast", "train", "evaluate", "classify", "report")
FAST = (
    "unzip.source=raw", "classify.source=new", "h5.on_bad_recording=skip",
    "array.sampling_rate_hz=25000", "array.other_sampling_rate=set_aside",
    "split.by=batch", "split.folds=3", "split.score=all", "split.chunk_s=0.5", "split.first_s=null",
    "train.models=[cnn_lstm]", "train.inner_folds=2", "train.cnn_lstm.input=binned", "train.cnn_lstm.bin=count",
    "train.cnn_lstm.bin_ms=20", "train.cnn_lstm.epochs=2", "train.cnn_lstm.validation=nested",
    "evaluate.permutations=19",
    "report.spikes=300", "report.explain=1", "report.show=[]", "report.compare=null",
)  # fmt: skip


def run_stage(name: str, folder: Path, *settings: str, out: Path | None = None) -> None:
    """``python -m stages.NAME`` in a folder laid out as dvc.yaml says, or with another output, but in this process."""
    options = [part for setting in (*FAST, *settings) for part in ("--set", setting)]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MEA_WORKERS", "1")  # workers that other tests started stand in another folder
        options += ["--out", str(out)] if out else []
        patch.setattr(sys, "argv", [name, "--params", str(ROOT / "params.yaml"), *options])
        patch.delitem(sys.modules, f"stages.{name}", raising=False)  # another test may have imported it
        runpy.run_module(f"stages.{name}", run_name="__main__", alter_sys=True)


def build_hostile_lab(folder: Path) -> Path:
    """Twelve recordings of noise in three batches, of two classes whose name and groups try to run a script."""
    (folder / "raw").mkdir(), (folder / "new").mkdir()
    lines = [("recording", "label", "culture", "batch", "dose & <b>")]
    for number in range(RECORDINGS):
        name = f"r{number:02d} &lt; 'x'"
        write_small_mcs(folder / "raw" / f"{name}.h5", seed=number, n_samples=37_500)
        lines.append(
            (
                name,
                ("a", HOSTILE)[number % 2],
                f"c{number} {HOSTILE}",
                f"b{number % 3} {HOSTILE}",
                ("10", "9", HOSTILE)[number % 3],
            )
        )
    with (folder / "raw" / "recordings.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(lines)
    write_small_mcs(folder / "new" / "good.h5", seed=50)
    write_small_mcs(folder / "new" / "slow.h5", seed=51, sampling_rate_hz=10_000)
    (folder / "new" / "bad.h5").write_bytes(b"no recording")
    with work_alone(folder):
        for name in STAGES:
            run_stage(name, folder)
    return folder


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


def open_row(page, name):
    """Open a recording's row, and give what it holds."""
    row = page.locator("tr.row", has_text=name)
    row.locator(".open").click()
    return page.locator(f"#{row.locator('.open').get_attribute('aria-controls')}")


def names_shown(page):
    return page.locator("tr.row:visible .open").all_inner_texts()


class Tags(HTMLParser):
    """Counts what a parser sees as scripts and images."""

    def __init__(self, text):
        super().__init__()
        self.scripts, self.sources = 0, []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.scripts += tag == "script"
        self.sources += [value for name, value in attrs if tag == "img" and name == "src"]
