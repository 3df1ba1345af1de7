"""The whole pipeline under the real ``dvc``, in a clone of this repository with a tiny sample."""

import csv
import json
import re
import shutil
import subprocess
import sys

import psutil
import pytest
import vl_convert
from builders.lab import ROOT, STAGES, TINY, Lab, clone_lab, share_cache, wait_until
from ruamel.yaml import YAML

from mea.versions.plots_page import VEGA_LITE

RESULTS = ("data", "metrics", "models", "plots", "report")
PATIENCE_S = 240  # a queue or a stage that has not got there by then never will


def list_outputs() -> list[str]:
    stages = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"].values()
    entries = [entry for stage in stages for key in ("outs", "metrics", "plots") for entry in stage.get(key, [])]
    paths = [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]
    models = TINY["train"]["models"]
    return list(dict.fromkeys(path.replace("${item.model}", name) for path in paths for name in models))


# One repro


def test_repro_runs_every_stage_and_every_output_is_there(built_lab):
    for stage in STAGES:
        assert f"Running stage '{stage}'" in built_lab.first_output or f"Stage '{stage}' is cached" in (
            built_lab.first_output
        )
    for output in list_outputs():
        path = built_lab.folder / output
        assert path.is_file() or any(path.iterdir()), output


def test_repro_changes_no_committed_file_and_leaves_only_results(built_lab):
    for line in built_lab.first_status.splitlines():
        path = line[3:].strip('"')
        assert path == "dvc.lock" or path.startswith(("metrics/", "plots/")), line
        assert not path.endswith(".gitignore"), f"the committed {path} is not complete: {line}"


def test_second_repro_does_nothing(lab):
    before = lab.list_files(*RESULTS)
    said = lab.run("dvc", "repro")
    assert "Data and pipelines are up to date." in said and "Running stage" not in said
    assert lab.list_files(*RESULTS) == before
    assert "Data and pipelines are up to date." in lab.run("dvc", "status")
    assert lab.run("git", "status", "--porcelain") == ""


def test_headline_names_metrics_and_places(lab):
    said = lab.run("mea", "summary")
    assert "8 recordings, each predicted by a model that never saw its group" in said
    assert f"{lab.read_json('metrics/evaluate.json')['recording']['accuracy']:.1%}" in said
    assert "Results: metrics/evaluate.json, metrics/classify.csv, report/index.html, plots, models/classifier" in said


# Models side by side


@pytest.mark.slow
def test_each_model_is_a_stage_of_its_own(lab):
    """One whose parameter changes is trained again, and no other; so is one that is added."""
    lab.change_params({"train": {"cnn_lstm": {"learning_rate": 0.002}}})
    said = lab.run("dvc", "repro", "train@cnn_lstm")
    assert "Running stage 'train@cnn_lstm'" in said and "train@rate" not in said
    said = lab.run("dvc", "repro", "evaluate")
    assert "Stage 'train@rate' didn't change" in said and "Running stage 'evaluate'" in said
    diff = json.loads(lab.run("dvc", "metrics", "diff", "--json"))
    assert "metrics/train/cnn_lstm.json" in diff and "metrics/train/rate.json" not in diff
    assert "models.cnn_lstm.log_loss" in diff["metrics/evaluate.json"]
    assert "models.rate.log_loss" not in diff["metrics/evaluate.json"]
    drawn = draw(compare_plots(lab, "HEAD")["loss_of_cnn_lstm__mean_over_folds"])
    assert "HEAD" in drawn and "workspace" in drawn, "learning curves of both"


@pytest.mark.slow
def test_an_experiment_with_one_model_leaves_no_trace_of_the_others(lab):
    """Whatever was trained before: the folder that evaluate reads has the same hash as where nothing was."""
    (before,) = [out for out in read_lock(lab)["train@rate"]["outs"] if out["path"] == "models/folds/rate"]
    lab.run("dvc", "exp", "run", "--name", "one_model", "-S", "train.models=[rate]")
    assert list(lab.read_json("metrics/evaluate.json")["models"]) == ["rate"]
    lock = read_lock(lab)
    (folds,) = [dep for dep in lock["evaluate"]["deps"] if dep["path"] == "models/folds"]
    assert before in lock["train@rate"]["outs"] and folds["nfiles"] == before["nfiles"]
    assert [path.name for path in (lab.folder / "models/folds").iterdir()] == ["rate"]
    assert "Data and pipelines are up to date." in lab.run("dvc", "status")
    lab.restore()
    assert "Data and pipelines are up to date." in lab.run("dvc", "repro"), "what was removed came from the cache"


def read_lock(lab: Lab) -> dict:
    return YAML(typ="safe").load((lab.folder / "dvc.lock").read_text(encoding="utf-8"))["stages"]


# One experiment, compared with the commit it started from


@pytest.fixture(scope="module")
def chunky(built_lab) -> str:
    changed = ("-S", "split.by=chunk", "-S", "train.models=[rate]")
    built_lab.run("dvc", "exp", "run", "--name", "chunky", *changed, "evaluate")
    assert built_lab.read_json("metrics/evaluate.json")["leaky"] == 1
    assert built_lab.read_json("metrics/split.json")["split_level"] == "chunk"
    built_lab.restore()
    return "chunky"


def test_a_split_by_chunk_is_marked_leaky_and_compared_with_the_honest_one(lab, chunky):
    assert lab.read_json("metrics/evaluate.json")["leaky"] == 0
    changes = json.loads(lab.run("dvc", "metrics", "diff", "--json", "HEAD", chunky))["metrics/evaluate.json"]
    assert (changes["leaky"]["old"], changes["leaky"]["new"]) == (0, 1)
    assert "leaky: split by chunk" in changes["warning"]["new"] and "leaky" not in changes["warning"]["old"]
    shown = lab.run("dvc", "metrics", "diff", "HEAD", chunky)
    assert "chunk.accuracy" in shown and "leaky" in shown


def test_params_diff_shows_what_was_changed_and_nothing_else(lab, chunky):
    changes = json.loads(lab.run("dvc", "params", "diff", "--json", "HEAD", chunky))
    assert set(changes["params.yaml"]) == {"split.by", "train.models"}
    assert changes["params.yaml"]["split.by"]["new"] == "chunk"


def test_exp_show_lists_params_and_metrics(lab, chunky):
    table = list(csv.DictReader(lab.run("dvc", "exp", "show", "--csv").splitlines()))
    rows = {row["Experiment"] or row["rev"]: row for row in table}
    assert rows[chunky]["split.by"] == "chunk" and rows["workspace"]["split.by"] == "auto"
    assert [rows[name]["metrics/evaluate.json:leaky"] for name in ("workspace", chunky)] == ["0", "1"]


@pytest.mark.slow
def test_the_report_holds_the_comparison_with_another_version(lab, chunky):
    given = ("--set", f"report.compare={chunky}", "--set", "report.explain=0", "--out", "compared")
    lab.run("python", "-m", "stages.report", *given)
    page = (lab.folder / "compared" / "index.html").read_text(encoding="utf-8")
    assert f"A: {chunky} (" in page and "DIFFERENT SPLITS: A was split by chunk, B by batch." in page
    assert "Compared with another version" not in (lab.folder / "report" / "index.html").read_text(encoding="utf-8")
    shutil.rmtree(lab.folder / "compared")
    said = lab.run("python", "-m", "stages.report", "--set", "report.compare=nothing_like_it", status=1)
    assert "report: nothing_like_it: no such commit, branch, tag or DVC experiment" in said


def compare_plots(lab: Lab, *revisions: str) -> dict[str, str]:
    """What ``dvc plots diff`` puts into its page: each plot in Vega-Lite's language."""
    lab.run("mea", "plots-page")
    said = lab.run("dvc", "plots", "diff", *revisions)
    assert "failed" not in said.lower()
    page = (lab.folder / "dvc_plots" / "index.html").read_text(encoding="utf-8")
    return dict(re.findall(r"<div id = \"(\w+)\">.*?var spec = ([^\n]*);\n", page, re.DOTALL))


def draw(plot: str) -> str:
    return vl_convert.vegalite_to_svg(json.loads(plot), vl_version=VEGA_LITE)


def test_plots_diff_draws_both_without_internet(lab, chunky):
    plots = compare_plots(lab, "HEAD", chunky)
    for name in ("confusion_of_recordings", "confusion_of_chunks", "ROC_of_recordings", "accuracy_of_models"):
        drawn = draw(plots[name])
        assert chunky in drawn and "HEAD" in drawn, f"{name} does not show both"
    page = (lab.folder / "dvc_plots" / "index.html").read_text(encoding="utf-8")
    assert "<script src" not in page and "cdn." not in page
    assert "confusion_recording.png" in page and "window.vegaEmbed" in page
    assert lab.run("git", "status", "--porcelain") == ""  # neither the page nor its template is Git's business


def test_plots_work_where_the_page_was_not_made(lab, chunky):
    (lab.folder / ".dvc" / "config.local").unlink(missing_ok=True)
    (lab.folder / ".dvc" / "plots.html").unlink(missing_ok=True)
    lab.run("dvc", "plots", "diff", "HEAD", chunky)
    assert "confusion_of_recordings" in (lab.folder / "dvc_plots" / "index.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_nothing_to_classify_gives_a_table_without_lines(lab):
    before = (lab.folder / "metrics" / "classify.csv").read_text(encoding="utf-8").splitlines()
    assert len(before) == 1 + 9  # the simulated new recordings, two of them in an archive
    shutil.rmtree(lab.folder / ".dvc/cache/runs", ignore_errors=True)  # another test may have run the same before
    said = lab.run("dvc", "exp", "run", "-S", "classify.source=data/new", MEA_QUIET="")
    assert "Running stage 'classify'" in said and "Running stage 'evaluate'" not in said
    assert "data/new: empty, so that there is nothing to classify" in said
    table = (lab.folder / "metrics" / "classify.csv").read_text(encoding="utf-8").splitlines()
    assert table == before[:1]


def test_a_new_recording_is_noticed_by_dvc_and_not_by_git(lab):
    """In the folder that comes empty with every clone."""
    lab.change_params({"classify": {"source": "data/new"}})
    new = next((lab.folder / "data" / "simulate" / "new").glob("*.h5"))
    copy = lab.folder / "data" / "new" / new.name
    copy.write_bytes(new.read_bytes())
    try:
        assert "data/new" not in lab.run("git", "status", "--porcelain", "--untracked-files=all")
        assert "Running stage 'classify'" in lab.run("dvc", "repro", "classify")
        table = (lab.folder / "metrics" / "classify.csv").read_text(encoding="utf-8").splitlines()
        assert len(table) == 2 and new.stem in table[1]
        assert "up to date" in lab.run("dvc", "status", "classify")
    finally:
        copy.unlink()
    assert re.search(r"modified: +data/new", lab.run("dvc", "status", "classify"))


# Workspaces of their own


@pytest.mark.slow
def test_a_temporary_experiment_takes_cleaned_recordings_from_the_cache(lab):
    before = lab.list_files(".dvc/cache/mea", *RESULTS)
    said = lab.run("dvc", "exp", "run", "--temp", "--name", "elsewhere", "-S", "h5.on_bad_recording=skip", "array")
    assert "Running stage 'h5'" in said and "Running stage 'array'" in said
    assert lab.list_files(".dvc/cache/mea", *RESULTS) == before
    assert lab.run("git", "status", "--porcelain") == ""
    assert "on_bad_recording: skip" in lab.run("git", "show", f"{find_revision(lab, 'elsewhere')}:params.yaml")


@pytest.mark.slow
def test_two_queue_workers_finish_two_experiments(lab):
    for bins in ("4", "5"):
        lab.run("dvc", "exp", "run", "--queue", "--name", f"bins_{bins}", "-S", f"evaluate.bins={bins}")
    status = lab.finish_queue(PATIENCE_S)
    assert len(re.findall(r"bins_\d .*Success", status)) == 2, status
    for bins in (4, 5):
        revision = find_revision(lab, f"bins_{bins}")
        rows = csv.DictReader(lab.run("git", "show", f"{revision}:plots/evaluate/reliability_chunk.csv").splitlines())
        widths = [float(row["high"]) - float(row["low"]) for row in rows]
        assert widths == pytest.approx([1 / bins] * len(widths)) and widths


def find_revision(lab: Lab, experiment: str) -> str:
    listed = lab.run("git", "for-each-ref", "--format=%(objectname) %(refname)", "refs/exps").splitlines()
    return next(line.split()[0] for line in listed if line.endswith(f"/{experiment}"))


# What goes wrong


@pytest.mark.parametrize(
    ("setting", "texts"),
    [
        ("split.by=moon", ["split.by = 'moon'", "'batch', 'culture', 'recording' or 'chunk'"]),
        pytest.param("split.folds=9", ["9", "split.folds"], marks=pytest.mark.slow),
        pytest.param("unzip.source=nowhere", ["failed to reproduce 'unzip'", "nowhere"], marks=pytest.mark.slow),
        ("split.nope=1", ["Could not override 'split.nope'"]),
    ],
)
def test_a_bad_parameter_ends_with_its_message(lab, setting, texts):
    said = lab.run("dvc", "exp", "run", "-S", setting, status=None)
    for text in texts:
        assert text in said


@pytest.mark.parametrize(
    ("stage", "sign"),
    [
        pytest.param("array", "data/.array.*.partial/*.npz", marks=pytest.mark.slow),
        pytest.param("simulate", "data/.simulate.*.partial/train/*", marks=pytest.mark.slow),
        pytest.param("train@cnn_lstm", "models/folds/.cnn_lstm.*.partial", marks=pytest.mark.slow),
        pytest.param("evaluate", "models/.classifier.*.partial", marks=pytest.mark.slow),
        pytest.param("train@cnn_lstm", "fresh_cache/checkpoints/*/last.ckpt", marks=pytest.mark.slow),
    ],
)
def test_a_killed_stage_started_again_ends_with_the_same_bytes(lab, stage, sign):
    cache = {"MEA_CACHE": str(lab.folder / "fresh_cache")}  # else the stage takes its results from the cache
    arguments = lab.describe_call(cache) | {"stderr": subprocess.STDOUT}
    command = ["dvc", "repro", "--force", "--single-item", stage]
    try:
        with subprocess.Popen(command, text=True, **arguments) as repro:
            wait_until(lambda: repro.poll() is not None or any(lab.folder.glob(sign)), sign, PATIENCE_S, 0.01)
            kill_stage(repro.pid, stage)
            said, _ = repro.communicate(timeout=PATIENCE_S)
        assert repro.returncode != 0 and f"failed to reproduce '{stage}'" in said, said
        assert f"Running stage '{stage}'" in lab.run("dvc", "repro", "--no-run-cache", "--force", "-s", stage, **cache)
        assert "up to date" in lab.run("dvc", "repro", **cache)
        assert lab.run("git", "diff", "HEAD", "--", "dvc.lock") == ""  # the lock holds every output's hash
        assert not list(lab.folder.glob("*/.*.partial"))
    finally:
        shutil.rmtree(lab.folder / "fresh_cache", ignore_errors=True)


def kill_stage(repro: int, stage: str) -> None:
    ours = psutil.Process(repro).children(recursive=True)
    module = f"stages.{stage.partition('@')[0]}"
    stages = [process for process in ours if process.cmdline()[1:3] == ["-m", module]]
    assert stages, f"{stage} was over before it could be killed"
    for process in stages:
        process.kill()


# A lab's own recordings


def fill_raw(lab: Lab, *archives: int) -> None:
    """Put some of the sample's archives into ``data/raw``, as a lab would its own, and the recordings' table."""
    source, raw = lab.folder / "data" / "simulate" / "train", lab.folder / "data" / "raw"
    raw.mkdir(exist_ok=True)
    names = sorted(path.name for path in source.glob("*.zip"))
    chosen = {names[number] for number in archives}
    for name in chosen:
        shutil.copyfile(source / name, raw / name)
    with (source / "recordings.csv").open(encoding="utf-8") as table:
        head, *lines = table.read().splitlines()
    kept = [line for line in lines if any(name == f"batch_{line.rpartition(',')[2]}.zip" for name in chosen)]
    (raw / "recordings.csv").write_text("\n".join([head, *kept]) + "\n", encoding="utf-8")


@pytest.mark.slow
def test_adding_an_archive_processes_only_its_recordings(built_lab, tmp_path):
    lab = share_cache(built_lab, tmp_path / "project")
    cache = {"MEA_CACHE": str(tmp_path / "cache")}
    fill_raw(lab, 0, 1)
    lab.change_params({"unzip": {"source": "data/raw"}})
    lab.run("dvc", "repro", "array", **cache)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.npz")}
    assert len(before) == 4
    fill_raw(lab, 0, 1, 2)
    lab.run("dvc", "repro", "array", **cache)
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.npz")}
    assert len(after) == 6 and after.items() >= before.items()
    assert lab.read_json("metrics/array.json")["recordings"] == 6


@pytest.mark.slow
def test_a_colleague_pulls_everything_and_has_nothing_to_do(built_lab, tmp_path):
    lab = share_cache(built_lab, tmp_path / "project")
    fill_raw(lab, 0, 1, 2, 3)
    lab.run("dvc", "add", "data/raw")
    lab.change_params({"unzip": {"source": "data/raw"}, "classify": {"source": "data/new"}})
    lab.run("dvc", "repro")
    lab.run("dvc", "remote", "add", "--default", "store", str(tmp_path / "store"))
    lab.commit("our recordings")
    assert lab.run("git", "status", "--porcelain") == ""
    lab.run("dvc", "push")

    colleague = clone_lab(lab.folder, tmp_path / "colleague")
    colleague.run("dvc", "pull")
    assert {path.name for path in (colleague.folder / "data" / "raw").iterdir()} == {
        path.name for path in (lab.folder / "data" / "raw").iterdir()
    }
    before = colleague.list_files(*RESULTS)
    said = colleague.run("dvc", "repro")
    assert "up to date" in said and "Running stage" not in said
    assert colleague.list_files(*RESULTS) == before
    assert colleague.run("git", "status", "--porcelain") == ""


@pytest.mark.slow
def test_temporary_experiments_run_every_stage(lab):
    said = lab.run("dvc", "exp", "run", "--temp", "--name", "all_again", "-S", "simulate.class_effect=0")
    assert [stage for stage in STAGES if f"Running stage '{stage}'" in said] == list(STAGES)
    assert lab.run("git", "status", "--porcelain") == ""


@pytest.mark.slow
def test_a_fresh_clone_elsewhere_computes_the_same_bytes(built_lab, tmp_path):
    other = clone_lab(built_lab.folder, tmp_path / "project")
    other.run("dvc", "repro", "--force")
    assert other.run("git", "status", "--porcelain") == ""  # dvc.lock holds every output's hash, metrics and plots too


def test_the_interpreter_is_the_one_under_test(lab):
    assert lab.run("python", "-c", "import sys; print(sys.prefix)").strip() == sys.prefix
