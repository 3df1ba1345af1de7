"""Presets: what they set, what they refuse, and real runs in a tiny clone."""

import importlib
import json
import shutil

import pytest
from builders.lab import ROOT, Lab, share_cache
from dvc.utils.hydra import apply_overrides
from ruamel.yaml import YAML

from mea.runtime.errors import MeaError
from mea.runtime.params import gather_values, load_params, read_section
from mea.versions import presets
from mea.versions.presets import _format_value, check_names, format_overrides, list_overrides, list_presets, load_preset

QUICK = ("train.cnn_lstm.epochs=1", "train.cnn_lstm.bin_ms=20", "split.folds=2")
QUICK_FLAGS = [part for setting in QUICK for part in ("--set", setting)]


def list_preset(name: str, folder) -> dict[str, str]:
    return list_overrides(name, str(folder) if load_preset(name).needs_source else None, [])


# What they set


@pytest.mark.parametrize("name", list_presets())
def test_every_value_passes_the_stages_own_check(name, tmp_path):
    overrides = list_preset(name, tmp_path)
    params = load_params(ROOT / "params.yaml", [f"{key}={value}" for key, value in overrides.items()])
    for section in params:
        model = importlib.import_module(f"stages.{section}").Params
        read_section(model, section, gather_values(model, section, params), name)


def test_a_mistyped_key_is_named():
    committed = load_params(ROOT / "params.yaml")
    check_names({"h5.labels.w_oMNPs": "[x]", "train.cnn_lstm.epochs": "3", "train.cnn_lstm": "{}"}, committed)
    with pytest.raises(
        MeaError, match=r"train\.tcn\.epoch: params\.yaml has no such parameter\. Do you mean train\.tcn\.epochs\?"
    ):
        check_names({"train.tcn.epoch": "3"}, committed)
    with pytest.raises(MeaError, match=r"zzz: params\.yaml has no such parameter\.$"):
        check_names({"zzz": "3"}, committed)


@pytest.mark.parametrize("name", list_presets())
def test_every_key_is_a_parameter_there_is(name, tmp_path):
    committed = load_params(ROOT / "params.yaml")
    for key in list_preset(name, tmp_path):
        if key.startswith(presets.FREE):  # labels are the lab's own
            continue
        value = committed
        for part in key.split("."):
            value = value[part]
        assert not isinstance(value, dict)


def test_the_predecessors_presets_differ_in_the_split_alone():
    base, second = list_overrides("predecessor_base", None, []), list_overrides("predecessor_second", None, [])
    assert {key for key in base | second if base.get(key) != second.get(key)} == {"split.by"}
    assert (base["split.by"], second["split.by"]) == ("recording", "chunk")
    assert base["split.seed"] == "42" and base["train.cnn_lstm.validation"] == "test_fold"
    assert base["train.cnn_lstm.sequence"] == "reshape"


def test_a_preset_starts_from_the_one_it_extends():
    base, second = load_preset("predecessor_base"), load_preset("predecessor_second")
    assert second.parameters == base.parameters | {"split.by": "chunk"}
    null = load_preset("null_second").parameters
    assert null["split.by"] == "chunk" and null["split.folds"] == 4 and null["split.seed"] == 42


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "null"), (True, "true"), (1.2, "1.2"), ([0, "a b"], "[0,'a b']"), ("auto", "auto"), ("it's", r"'it\'s'")],
)
def test_values_are_written_as_dvc_reads_them(value, text, tmp_path):
    assert _format_value(value) == text
    (tmp_path / "params.yaml").write_text("a: {b: 7}", encoding="utf-8")
    apply_overrides(tmp_path / "params.yaml", [f"a.b={text}"])
    assert load_params(tmp_path / "params.yaml") == {"a": {"b": value}}


def test_further_settings_go_before_the_presets_own():
    assert list_overrides("predecessor_base", None, ["split.by=culture", "array.threshold=6"]).items() >= {
        ("split.by", "culture"),
        ("array.threshold", "6"),
    }


def test_the_description_says_from_what_to_what(tmp_path):
    text = format_overrides(
        "predecessor_second",
        {"split.by": "chunk", "train.cnn_lstm.bin": "peak", "split.score": "[0]"},
        {"split": {"by": "auto", "score": "all"}, "train": {"cnn_lstm": {"bin": "peak"}}},
    )
    assert "split.by: auto -> chunk" in text and "split.score: all -> [0]" in text
    assert "train.cnn_lstm.bin: peak (as committed)" in text
    assert "train.cnn_lstm.input=full" in text  # how to have the exact network


@pytest.mark.parametrize("name", ["plain", "with blank", "it's", "a=b,c"])
def test_any_folder_name_reaches_the_parameter(name, tmp_path):
    """DVC reads settings with a grammar in which a blank, a comma and an apostrophe mean something."""
    folder, params = tmp_path / name, tmp_path / "params.yaml"
    folder.mkdir()
    shutil.copyfile(ROOT / "params.yaml", params)
    overrides = list_overrides("charlesworth2015", str(folder), [])
    apply_overrides(params, [f"{key}={value}" for key, value in overrides.items()])
    assert load_params(params)["unzip"]["source"] == str(folder)


# What they refuse


@pytest.mark.parametrize(
    ("name", "source", "extra", "text"),
    [
        (
            "predecessor_third",
            None,
            [],
            "NAME=predecessor_third: no such preset. There are .*predecessor_base, ",
        ),
        ("", None, [], "NAME=: no such preset"),
        ("charlesworth2015", None, [], "make preset NAME=charlesworth2015 SOURCE=FOLDER"),
        ("charlesworth2015", "nowhere", [], "SOURCE=nowhere: no such folder"),
        ("charlesworth2015", __file__, [], "no such folder"),
        ("predecessor_base", "data", [], "predecessor_base: takes no SOURCE.*--set unzip.source=data"),
        ("predecessor_base", None, ["train.epochs"], "--set train.epochs: must look like section.key=value"),
    ],
)
def test_a_wrong_request_is_explained(name, source, extra, text):
    with pytest.raises(MeaError, match=text):
        list_overrides(name, source, extra)


def test_a_folder_without_commit_is_explained(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=r"params.yaml is not committed here.*git commit first"):
        presets.main(["predecessor_base"])


def test_a_name_is_needed(capsys):
    with pytest.raises(SystemExit):
        presets.main([])
    assert "NAME" in capsys.readouterr().err


# Real runs


@pytest.fixture(scope="module")
def preset_lab(built_lab, tmp_path_factory) -> Lab:
    """A clone of our own: presets leave their results in the workspace, and experiments in Git."""
    return share_cache(built_lab, tmp_path_factory.mktemp("presets") / "project")


@pytest.fixture(scope="module")
def second_output(preset_lab) -> str:
    return run_preset(preset_lab, "predecessor_second")


def run_preset(lab: Lab, name: str, *arguments: str) -> str:
    return lab.run("mea", "preset", name, *QUICK_FLAGS, *arguments)


def list_experiments(lab: Lab, name: str) -> list[str]:
    listed = lab.run("git", "for-each-ref", "--format=%(objectname) %(refname)", "refs/exps").splitlines()
    return [line.split()[0] for line in listed if line.endswith(f"/{name}")]


def read_params(lab: Lab) -> dict:
    return YAML(typ="safe").load((lab.folder / "params.yaml").read_text(encoding="utf-8"))


@pytest.mark.slow
def test_a_preset_leaves_its_results_and_an_experiment(preset_lab, second_output):
    assert "split.by: auto -> chunk" in second_output and "train.cnn_lstm.epochs: 2 -> 1" in second_output
    assert "Results of predecessor_second are in the workspace" in second_output
    assert read_params(preset_lab)["split"]["by"] == "chunk"
    metrics = preset_lab.read_json("metrics/evaluate.json")
    assert metrics["leaky"] == 1 and "chunk" in metrics["warning"] and "epoch" in metrics["warning"]
    (revision,) = list_experiments(preset_lab, "predecessor_second")
    assert preset_lab.run("git", "diff", revision, "--", "params.yaml", "dvc.lock", "metrics", "plots") == ""
    assert "up to date" in preset_lab.run("dvc", "repro")


@pytest.mark.slow
def test_edited_params_are_not_lost(preset_lab, second_output):
    path = preset_lab.folder / "params.yaml"
    held = path.read_bytes()
    path.write_bytes(held + b"# a thought\n")
    said = preset_lab.run("mea", "preset", "predecessor_base", status=1)
    assert "params.yaml holds values that are in no commit and no experiment" in said
    assert path.read_bytes() == held + b"# a thought\n"
    path.write_bytes(held)


@pytest.mark.slow
def test_a_preset_that_fails_puts_the_committed_params_back(preset_lab, second_output):
    held = (preset_lab.folder / "params.yaml").read_bytes()
    said = preset_lab.run("mea", "preset", "predecessor_base", "--set", "unzip.source=nowhere", status=1)
    assert "nowhere" in said and "params.yaml is as committed again" in said
    assert preset_lab.run("git", "diff", "HEAD", "--", "params.yaml") == ""
    (preset_lab.folder / "params.yaml").write_bytes(held)


@pytest.mark.slow
def test_presets_run_one_after_the_other_and_are_compared(preset_lab, second_output):
    said = run_preset(preset_lab, "predecessor_base")
    assert "split.by: auto -> recording" in said  # from the committed params, not from those of the preset before
    assert read_params(preset_lab)["split"]["by"] == "recording"
    compared = ("predecessor_second", "predecessor_base")
    changes = json.loads(preset_lab.run("dvc", "metrics", "diff", "--json", *compared))["metrics/evaluate.json"]
    assert "split by chunk" in changes["warning"]["old"] and "split by chunk" not in changes["warning"]["new"]
    changed = json.loads(preset_lab.run("dvc", "params", "diff", "--json", *compared))
    assert list(changed["params.yaml"]) == ["split.by"]


@pytest.mark.slow
def test_an_earlier_experiment_of_that_name_is_replaced(preset_lab, second_output):
    (before,) = list_experiments(preset_lab, "predecessor_second")
    run_preset(preset_lab, "predecessor_second", "--set", "train.seed=1")
    (after,) = list_experiments(preset_lab, "predecessor_second")
    assert after != before and read_params(preset_lab)["train"]["seed"] == 1


@pytest.mark.slow
def test_a_fresh_clone_can_begin_with_a_preset(built_lab, tmp_path):
    lab = share_cache(built_lab, tmp_path / "project")
    lab.run("git", "rm", "--quiet", "-r", "dvc.lock", "metrics", "plots")
    lab.run("git", "checkout", "HEAD", "--", "metrics/.gitignore")
    lab.commit("as it was before the first repro")
    run_preset(lab, "predecessor_second", "--set", "train.models=[rate]")
    assert lab.read_json("metrics/evaluate.json")["leaky"] == 1
    assert list_experiments(lab, "predecessor_second")


@pytest.mark.slow
def test_the_real_recordings_run_to_the_end(built_lab, tmp_path, shared_data):
    lab = share_cache(built_lab, tmp_path / "project")
    source = str(shared_data / "charlesworth2015")
    said = run_preset(lab, "charlesworth2015", "--source", source, "--set", "train.models=[rate]")
    assert f"unzip.source: data/simulate/train -> {source}" in said
    metrics = lab.read_json("metrics/evaluate.json")
    assert metrics["recording"]["count"] == 370 and metrics["leaky"] == 0
    assert lab.read_json("metrics/split.json")["split_level"] == "batch"
