"""New files of a rig, and the command that classifies them: in a stage, and on its own."""

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from builders.classifiers import make_classifier
from builders.novelty import save_open_detector
from builders.predictions import make_rules
from builders.recordings import write_small_mcs, write_small_spike_times

import stages.classify
from mea.classification.classify import classify_source
from mea.classification.command import main
from mea.classification.decisions import NOT_EVALUATED
from mea.evaluation.rules import save_rules
from mea.runtime.checksums import write_checksums
from mea.runtime.command import run_command
from mea.runtime.errors import MeaError
from mea.runtime.params import read_section
from mea.runtime.tables import read_table

pytestmark = pytest.mark.usefixtures("alone")
COLUMNS = ["recording", "predicted", "confidence", "p_a", "p_b", "decision", "reason", "flags", "prediction_set"]
REASONS = {
    "broken": "unreadable: broken.h5: ",
    "scratched": "unreadable: scratched.h5: ",
    "short": "length: 0.2 s are shorter than one chunk of 0.4 s (split.chunk_s)",
    "sixty": "grid: 8 × 8 electrodes, but the classifier learned from 12 × 12",
    "slow": "sampling rate: recorded at 10000 Hz, not at 25000 Hz (array.sampling_rate_hz)",
    "times": "format: spike_times, but the classifier learned from mcs; grid: 8 × 8",
}
PREDICTED = ["aa", "two", "two#2", "zz"]


def scratch_samples(path):
    """Overwrite some of the compressed samples; all that describes them stays readable."""
    with h5py.File(path) as h5:
        chunk = h5["Data/Recording_0/AnalogStream/Stream_0/ChannelData"].id.get_chunk_info(0)
    with path.open("r+b") as stream:
        stream.seek(chunk.byte_offset)
        stream.write(b"\xff" * min(chunk.size, 2000))


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    """New files as a lab has them: a zip, loose files, one broken, one at 10 kHz, one of 60 electrodes, two in one."""
    folder = tmp_path_factory.mktemp("rig")
    labels = ["F7", "F8", "A4", "M9"]
    write_small_mcs(folder / "zz.h5", labels=labels, n_samples=25_000)
    write_small_mcs(folder / "slow.h5", labels=labels, n_samples=10_000, sampling_rate_hz=10_000)
    write_small_mcs(folder / "sixty.h5", labels=["12", "21", "54", "87"], layout="60MEA200/30iR-Ti")
    write_small_mcs(folder / "short.h5", labels=labels, n_samples=5_000)
    write_small_mcs(folder / "two.h5", labels=labels, recordings=2, seed=5)
    write_small_spike_times(folder / "times.h5")
    write_small_mcs(folder / "scratched.h5", labels=labels)
    scratch_samples(folder / "scratched.h5")
    (folder / "broken.h5").write_bytes(b"\x89HDF\r\n\x1a\n and then nothing")
    with zipfile.ZipFile(folder / "archive.zip", "w") as archive:
        archive.write(folder / "zz.h5", "inner/aa.h5")
    return folder


@pytest.fixture(scope="module")
def table(tmp_path_factory, rig):
    """What a classifier that was not evaluated makes of the rig's files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEA_WORKERS", "1")
        classifier = make_classifier(tmp_path_factory.mktemp("lab") / "model")
        with pytest.warns(UserWarning, match="trained, but not evaluated: its confidence is not calibrated"):
            return classify_source(classifier, rig)


def test_every_recording_has_a_row(table):
    assert list(table.columns) == COLUMNS
    names = ["aa", "broken", "scratched", "short", "sixty", "slow", "times", *PREDICTED[1:]]
    assert table["recording"].tolist() == names


def test_readable_recordings_of_the_right_kind_are_predicted(table):
    table = table.set_index("recording")
    assert table.index[table["decision"] == "predicted"].tolist() == PREDICTED
    assert (table.loc[PREDICTED, "reason"] == "").all()
    assert set(table.loc[PREDICTED, "flags"]) == {NOT_EVALUATED} and "not calibrated" in NOT_EVALUATED
    np.testing.assert_allclose(table.loc[PREDICTED, "confidence"], table.loc[PREDICTED, ["p_a", "p_b"]].max(axis=1))
    assert table.loc["aa", "p_a"] == table.loc["zz", "p_a"] != table.loc["two", "p_a"]


def test_the_others_are_rejected_with_their_reason(table):
    table = table.set_index("recording")
    rejected = table.drop(PREDICTED)
    assert (rejected["decision"] == "rejected").all() and rejected["confidence"].isna().all()
    assert (rejected[["predicted", "flags", "prediction_set"]] == "").all().all()
    assert set(rejected.index) == set(REASONS)
    assert all(rejected.loc[name, "reason"].startswith(text) for name, text in REASONS.items()), rejected["reason"]
    np.testing.assert_allclose(table.loc[["sixty", "slow"], ["p_a", "p_b"]].sum(axis=1).astype(float), 1)
    assert table.loc[["broken", "scratched", "short", "times"], ["p_a", "p_b"]].isna().all().all()


# --- the stage -------------------------------------------------------------------------------------------------------


def run_classify(monkeypatch, folder, model, *argv):
    """The stage as a user runs it in an empty folder: there is no params.yaml."""
    (folder / "empty").mkdir(exist_ok=True)
    monkeypatch.chdir(folder / "empty")
    out = folder / "out.csv"
    run_command(
        stages.classify.classify,
        stages.classify.Params,
        ["--model", str(model), "--out", str(out), *map(str, argv)],
        source="",
        model="models/classifier",
        out="metrics/classify.csv",
    )
    assert list(Path.cwd().iterdir()) == []
    return out


def test_a_single_file_needs_no_parameters(tmp_path, rig, monkeypatch):
    make_classifier(tmp_path / "model", labels=("a", "b", "c"))
    one = read_table(run_classify(monkeypatch, tmp_path, tmp_path / "model", "--source", rig / "zz.h5"))
    other = read_table(run_classify(monkeypatch, tmp_path, tmp_path / "model", "--source", rig / "archive.zip"))
    assert list(one.columns) == [*COLUMNS[:5], "p_c", *COLUMNS[5:]]
    assert one["recording"].tolist() == ["zz"] and other["recording"].tolist() == ["aa"]
    assert one["decision"].tolist() == ["predicted"] and one.iloc[0, 1:].tolist() == other.iloc[0, 1:].tolist()


def test_nothing_to_classify_is_a_table_without_rows(tmp_path, monkeypatch):
    make_classifier(tmp_path / "model")
    (tmp_path / "new").mkdir()
    out = run_classify(monkeypatch, tmp_path, tmp_path / "model", "--source", tmp_path / "new")
    assert out.read_text() == ",".join(COLUMNS) + "\n"


def test_a_source_that_does_not_exist_leaves_nothing(tmp_path, monkeypatch):
    make_classifier(tmp_path / "model")
    with pytest.raises(SystemExit, match=r"classify: .*nosuch"):
        run_classify(monkeypatch, tmp_path, tmp_path / "model", "--source", "nosuch")
    with pytest.raises(
        SystemExit, match=r"classify: .*classifier\.json: no such file; no classifier was trained there"
    ):
        run_classify(monkeypatch, tmp_path, tmp_path / "nomodel", "--source", tmp_path)
    assert not (tmp_path / "out.csv").exists()


def test_without_a_source_the_parameter_file_is_asked_for(tmp_path, monkeypatch):
    make_classifier(tmp_path / "model")
    with pytest.raises(SystemExit, match=r"classify: params\.yaml: no such file\. Run in the project's root"):
        run_classify(monkeypatch, tmp_path, tmp_path / "model")


# --- the command -----------------------------------------------------------------------------------------------------


def test_the_command_says_how_many_were_predicted_rejected_and_unreadable(tmp_path, rig, monkeypatch, capsys):
    monkeypatch.delenv("MEA_QUIET", raising=False)
    out = tmp_path / "predictions.csv"
    model = make_classifier(tmp_path / "model").folder
    assert main(["--source", str(rig), "--model", str(model), "--out", str(out)]) is None
    said = capsys.readouterr()
    doubt = "4 predicted (4 of them flagged: look before you trust it)"
    assert said.out.splitlines()[-1] == f"10 recordings: {doubt}, 4 rejected, 2 unreadable: {out}"
    assert said.err.startswith("warning: ") and "trained, but not evaluated" in said.err
    assert list(read_table(out)["decision"]).count("rejected") == 6


def test_a_file_that_cannot_be_read_raises_no_warning_of_pandas(tmp_path, rig, capsys):
    main(["--source", str(rig / "broken.h5"), "--model", str(make_classifier(tmp_path / "model").folder),
          "--out", str(tmp_path / "one.csv")])  # fmt: skip
    (line,) = capsys.readouterr().err.splitlines()
    assert "trained, but not evaluated" in line
    (row,) = read_table(tmp_path / "one.csv").to_dict("records")
    assert row["reason"].startswith("unreadable: broken.h5: ") and row["decision"] == "rejected"


def test_json_holds_the_same_as_csv(tmp_path, rig):
    argv = ["--source", str(rig), "--model", str(make_classifier(tmp_path / "model").folder)]
    for suffix in ("csv", "json"):
        main([*argv, "--out", str(tmp_path / f"out.{suffix}")])
    rows = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["recordings"]
    table = read_table(tmp_path / "out.csv")
    assert [list(row) for row in rows] == [COLUMNS] * 10
    for row, line in zip(rows, table.to_dict("records")):
        for name, value in row.items():
            if value is None:
                assert line[name] == "" or np.isnan(line[name]), (name, row)
            else:
                assert type(value)(line[name]) == pytest.approx(value), (name, row)


def make_evaluated(folder, **rules):
    """A classifier with rules beside it, as evaluate writes them, that threshold nothing."""
    classifier = make_classifier(folder)
    save_rules(folder, make_rules(threshold=0.0, **rules))
    save_open_detector(folder)
    write_checksums(folder)
    return classifier


def test_json_on_standard_output_is_all_that_stands_there(tmp_path, rig, monkeypatch, capsys):
    monkeypatch.delenv("MEA_QUIET", raising=False)
    monkeypatch.chdir(tmp_path)
    model = make_evaluated(tmp_path / "model").folder
    main(["--source", str(rig), "--model", str(model), "--json", "--prior", "equal"])
    said = capsys.readouterr()
    rows = json.loads(said.out)["recordings"]
    assert [list(row) for row in rows] == [COLUMNS] * 10 and "prior: a 0.5, b 0.5" in said.err
    assert {path.name for path in tmp_path.iterdir()} <= {"model", "cache"}, "and no table is written"


@pytest.mark.parametrize(("name", "status"), [("zz.h5", 0), ("short.h5", 3), ("broken.h5", 4), ("", 4)])
def test_an_exit_status_for_scripts(tmp_path, rig, name, status):
    model = make_evaluated(tmp_path / "model").folder
    argv = ["--source", str(rig / name), "--model", str(model), "--out", str(tmp_path / "out.csv")]
    main(argv)  # without being asked, a rejection is no error
    with pytest.raises(SystemExit) as end:
        main([*argv, "--exit-code"])
    assert end.value.code == status


def test_another_prior_moves_the_probabilities_by_bayes_rule(tmp_path, rig):
    classifier = make_evaluated(tmp_path / "model")
    one = classify_source(classifier, rig / "two.h5")
    other = classify_source(classifier, rig / "two.h5", {"a": 0.9, "b": 0.1})
    odds = one["p_a"] / one["p_b"] * 9
    np.testing.assert_allclose(other["p_a"], odds / (1 + odds))
    assert (other["confidence"] == other[["p_a", "p_b"]].max(axis=1)).all()


@pytest.mark.parametrize(
    ("prior", "message"),
    [
        (["a=0.3", "b=0.3"], "must be equal, estimate, or LABEL=SHARE for each class"),
        (["a=0.3", "c=0.7"], "shares of a, c, but the classes are a, b"),
        (["half"], "must be equal, estimate"),
        (["estimate"], "1 recordings can be used, at least 40 are needed to estimate the shares of 2 classes"),
    ],
)
def test_a_prior_that_cannot_be(tmp_path, rig, prior, message):
    model, out = make_evaluated(tmp_path / "model").folder, tmp_path / "out.csv"
    with pytest.raises(SystemExit, match=re.escape(message)):
        main(["--source", str(rig / "zz.h5"), "--model", str(model), "--out", str(out), "--prior", *prior])
    assert not out.exists()


@pytest.mark.parametrize(
    ("prior", "message"),
    [
        ("training", "classify.prior = 'training': must be null (the classifier's own), equal, estimate, or the share"),
        ({"a": 0.5, "b": 0.6}, "sum to 1"),
    ],
)
def test_a_prior_that_cannot_be_of_the_stage_is_one_line(prior, message):
    """``training`` is what null is: taken as equal shares, it would be wrong without a word."""
    with pytest.raises(MeaError) as caught:
        read_section(stages.classify.Params, "classify", {"source": "new", "prior": prior}, "params.yaml")
    assert message in str(caught.value) and len(str(caught.value).splitlines()) == 1
    for fine in (None, "equal", "estimate", {"a": 0.3, "b": 0.7}):
        assert stages.classify.Params(source="new", prior=fine).prior == fine


def test_a_prior_needs_an_evaluated_classifier(tmp_path, rig):
    model = make_classifier(tmp_path / "model").folder
    argv = ["--source", str(rig / "zz.h5"), "--model", str(model), "--out", str(tmp_path / "out.csv")]
    with pytest.raises(SystemExit, match="not evaluated, so it has no prior that could"):
        main([*argv, "--prior", "equal"])


@pytest.mark.parametrize("name", ["predictions.txt", "predictions"])
def test_another_suffix_is_refused_before_anything_is_read(tmp_path, name):
    with pytest.raises(SystemExit, match=r"classify: --out .*: the name must end in \.csv or \.json, which decides"):
        main(["--source", "nosuch", "--model", "nosuch", "--out", str(tmp_path / name)])
    assert list(tmp_path.iterdir()) == []


def test_it_needs_no_clone(tmp_path, rig):
    """In an empty folder, with the package alone: no stages, no params.yaml."""
    (tmp_path / "empty").mkdir()
    package = tmp_path / "package"
    package.mkdir()
    (package / "mea").symlink_to(Path(stages.classify.__file__).parents[1] / "mea")
    model = make_classifier(tmp_path / "model").folder
    code = f"import sys; sys.path.insert(0, {str(package)!r}); from mea.classification.command import main; main()"
    command = [sys.executable, "-P", "-c", code, "--source", str(rig / "zz.h5"), "--model", str(model)]
    subprocess.run(command, cwd=tmp_path / "empty", check=True, capture_output=True)
    assert [path.name for path in (tmp_path / "empty").iterdir()] == ["predictions.csv"]
    assert read_table(tmp_path / "empty" / "predictions.csv")["recording"].tolist() == ["zz"]
