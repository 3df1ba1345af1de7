"""The lines that end a run of the pipeline."""

import json

import pytest

from mea.report.headline import format_headline, list_models, main

SCORES = {"accuracy": 0.75, "accuracy_low": 0.5, "accuracy_high": 0.9, "roc_auc": 0.8, "count": 24}
COLUMNS = "recording,predicted,confidence,p_a,p_b,decision,reason\n"


def write_results(folder, leaky=0, warning="", lines=""):
    measured, classified = folder / "evaluate.json", folder / "classify.csv"
    chunk = SCORES | {"accuracy": 0.625, "count": 192}
    rate = SCORES | {"accuracy": 2 / 3}
    metrics = {"recording": SCORES, "chunk": chunk, "baseline": {"majority": {"accuracy": 0.5}, "rate": rate}}
    metrics["baseline"]["metadata"] = {"accuracy": 0.55}
    metrics["models"] = {"features": SCORES}
    metrics["permutation"] = {"p_value": 0.0123456, "min_attainable_p": 0.001}
    metrics["prior"] = {"a": 0.25, "b": 0.75}
    metrics["optimism"] = {"chunk_split_accuracy": 0.97, "honest_accuracy": None}
    measured.write_text(json.dumps({**metrics, "leaky": leaky, "warning": warning}), encoding="utf-8")
    classified.write_text(COLUMNS + lines, encoding="utf-8")
    return measured, classified


def test_every_metric_stands_beside_its_name(tmp_path):
    text = format_headline(*write_results(tmp_path)).splitlines()
    assert text[0] == "24 recordings, each predicted by a model that never saw its group:"
    assert text[1].split(maxsplit=1) == ["accuracy", "75.0% (50.0% to 90.0%), AUC 0.8"]
    assert "62.5%" in text[2] and "66.7%" in text[3] and text[4].endswith("55.0%")
    assert text[5].endswith("50.0%") and "p = 0.0123, labels permuted between groups (at least about 0.001)" in text[6]
    assert "97.0% of chunks, not undefined" in text[7]
    assert text[8].endswith("have these shares: a 25.0%, b 75.0%")
    assert len(text) == 9  # nothing was classified, so nothing is said of it


def test_several_models_stand_side_by_side(tmp_path):
    measured, classified = write_results(tmp_path)
    metrics = json.loads(measured.read_text(encoding="utf-8"))
    bounds = {"difference": -0.125, "difference_low": -0.4, "difference_high": 0.15, "verdict": "within noise"}
    shown = {"balanced_accuracy": 0.7, "log_loss": 0.5, "ece": 0.1}
    metrics["models"] = {
        "features": SCORES | shown | bounds | {"weight": 0.8},
        "cnn_lstm": SCORES | shown | bounds | {"accuracy": 0.625, "weight": 0.2},
    }
    measured.write_text(json.dumps(metrics), encoding="utf-8")
    text = format_headline(measured, classified).splitlines()
    assert text[9].split(maxsplit=1) == ["features", "75.0% (50.0% to 90.0%), AUC 0.8, chosen in 80.0%, within noise"]
    assert text[10].split(maxsplit=1) == ["cnn_lstm", "62.5% (50.0% to 90.0%), AUC 0.8, chosen in 20.0%, within noise"]
    assert list_models(metrics)[1]["difference"] == "-12.5% (-40.0% to 15.0%)"


def test_a_warning_is_the_last_word(tmp_path):
    text = format_headline(*write_results(tmp_path, 0, "confounded: by recording length")).splitlines()
    assert text[-1] == "  WARNING: confounded: by recording length"


def test_a_leaky_metric_says_so_first(tmp_path):
    first = format_headline(*write_results(tmp_path, 1, "leaky: split by chunk")).splitlines()[0]
    assert "NOT AN HONEST ESTIMATE: leaky: split by chunk" in first and "never saw" not in first


def test_new_recordings_are_counted(tmp_path):
    lines = "x,a,0.9,0.9,0.1,predicted,\ny,a,0.6,0.6,0.4,rejected,rate\nz,b,0.8,0.2,0.8,predicted,\n"
    assert format_headline(*write_results(tmp_path, lines=lines)).endswith("2 new recordings predicted, 1 rejected.")


def test_the_command_names_the_places(tmp_path, capsys):
    paths = [str(path) for path in write_results(tmp_path)]
    main([*paths, "plots"])
    assert capsys.readouterr().out.endswith(f"Results: {paths[0]}, {paths[1]}, plots\n")


@pytest.mark.parametrize("missing", [0, 1])
def test_a_missing_file_is_named(tmp_path, missing):
    paths = write_results(tmp_path)
    paths[missing].unlink()
    with pytest.raises(SystemExit, match=rf"{paths[missing].name}: no such file. Run the pipeline first: dvc repro"):
        main([str(path) for path in paths])


def test_without_arguments_the_results_of_the_folder_are_shown(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=r"summary: metrics/evaluate.json: no such file. Run the pipeline first"):
        main([])
    for folder in ("metrics", "plots"):
        (tmp_path / folder).mkdir()
    write_results(tmp_path / "metrics")
    main([])
    said = capsys.readouterr().out
    assert "75.0%" in said and said.endswith("Results: metrics/evaluate.json, metrics/classify.csv, plots\n")


def test_help_explains_the_arguments(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--help"], prog="mea summary")
    said = capsys.readouterr().out
    assert end.value.code == 0 and said.startswith("usage: mea summary [-h] [METRICS] [CLASSIFIED] [PLACE ...]")
    assert "what the stage evaluate wrote" in said and "what the stage classify wrote" in said
