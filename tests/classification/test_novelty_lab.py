"""New recordings of a whole simulated lab: ordinary ones are predicted, unusual ones rejected or flagged."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import stages.classify
from benchmarks.controls import make_arrays, score
from mea.arrays.detection import SpikeDetection, read_events
from mea.arrays.events import SpikeEvents
from mea.classification.decisions import classify_recording, load_predictor
from mea.recordings.formats import read_raw_recordings
from mea.recordings.recording import Recording
from mea.runtime.command import run_command
from mea.runtime.tables import read_table
from mea.simulation.plans import ODD, plan_new
from mea.simulation.simulate import write_simulated
from mea.training.classifier import load_classifier

pytestmark = pytest.mark.slow  # a lab is simulated, cleaned and trained on
SETTINGS = (
    "train.models=[features]", "simulate.seed=4", "simulate.batches=6", "simulate.cultures_per_label=1",
    "simulate.recordings_per_culture=1", "simulate.duration_s=2.4", "simulate.class_effect=2",
    "simulate.recording_variance=1", "split.by=batch", "split.folds=3", "split.chunk_s=1.2", "split.first_s=null",
    "evaluate.permutations=19",
)  # fmt: skip
EFFECTS = {"class_effect": 2.0, "recording_variance": 1.0}


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Twelve recordings simulated, trained on and evaluated; the new ones, and ordinary ones of six more batches."""
    folder = tmp_path_factory.mktemp("lab")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEA_CACHE", str(folder / "cache"))
        make_arrays(folder, list(SETTINGS))
        score(folder, list(SETTINGS))
        for batch in range(50, 56):
            plans = plan_new(4, batch, **EFFECTS)
            for name in ("plain", "exposed"):
                write_simulated(folder / "simulate/new" / f"ordinary_{batch}_{name}.h5", plans[name], 2.4)
        out = folder / "classify.csv"
        argv = ["--source", str(folder / "simulate/new"), "--model", str(folder / "classifier"), "--out", str(out)]
        patch.setenv("MEA_QUIET", "1")
        run_command(stages.classify.classify, stages.classify.Params, argv, source="", model="", out="")
    return folder, read_table(out).set_index("recording")


def show(row: pd.Series) -> str:
    return f"{row['reason']}; {row['flags']}"


EXPECTED = {
    "slow": "sampling rate: recorded at 10000 Hz, not at 25000 Hz",
    "small": "grid: 8 × 8 electrodes, but the classifier learned from 12 × 12",
    "truncated": "unreadable: ",
    "noise": "activity: ",
    "dead": "dead electrodes: 33.3%, expected at most 5%",
    "silent": "silent: not one spike",
}


def test_every_odd_kind_is_rejected_or_flagged_with_its_reason(lab):
    _, table = lab
    odd = {name: row for recording, row in table.iterrows() for name in ODD if recording.endswith(f"_{name}")}
    assert sorted(odd) == sorted([*EXPECTED, "half"])
    for name, text in EXPECTED.items():
        assert odd[name]["decision"] == "rejected" and text in odd[name]["reason"], (name, odd[name]["reason"])
    assert "noise floor: 2.26 µV, expected 3.62 to " in show(odd["half"])
    assert "firing rate: " in show(odd["noise"])


def test_without_the_check_odd_ones_would_be_predicted_with_confidence(lab):
    """A classifier gives one of its labels to anything, the surer the farther away: what a naive one would do."""
    folder, _ = lab
    predictor = load_predictor(load_classifier(folder / "classifier"))
    naive = replace(predictor, novelty=None)
    events = {name: simulate(folder, name) for name in ("noise", "dead")}
    for name, one in events.items():
        row = classify_recording(naive, one)
        assert row["decision"] == "predicted" or row["reason"].startswith("unsure"), name
        assert classify_recording(predictor, one)["decision"] == "rejected"
        assert max(row["p_w_oMNPs"], row["p_withMNPs"]) > 0.8, (name, row)


def simulate(folder, name: str) -> SpikeEvents:
    """The events of one of the lab's odd recordings, of another batch."""
    write_simulated(folder / "one.h5", plan_new(4, 70, **EFFECTS)[name], 2.4)
    (source,) = read_raw_recordings(folder / "one.h5", "raw")
    recording = Recording("one", "one.h5", "", source)
    return read_events(folder / "one.h5", recording, SpikeDetection(25_000, "set_aside", 5.0))


def test_ordinary_new_recordings_are_not_rejected_for_novelty(lab):
    folder, table = lab
    of_classifier = load_predictor(
        load_classifier(folder / "classifier")
    ).rules.flags  # these stand at every prediction
    ordinary = table[[name.startswith("ordinary") or name.endswith(("MNPs_1",)) for name in table.index]]
    assert len(ordinary) == 14
    rejected = ordinary["reason"].str.contains("activity|electrodes|silent|grid|sampling rate:|length")
    assert rejected.sum() <= 1, ordinary.loc[rejected, "reason"].tolist()
    own = [[flag for flag in text.split("; ") if flag and flag not in of_classifier] for text in ordinary["flags"]]
    assert np.mean([bool(flags) for flags in own]) <= 0.25, own


def test_length_unlike_the_training_recordings_is_flagged(lab):
    folder, _ = lab
    predictor = load_predictor(load_classifier(folder / "classifier"))
    write_simulated(folder / "long.h5", plan_new(4, 71, **EFFECTS)["plain"], 6.0)
    argv = ["--source", str(folder / "long.h5"), "--model", str(predictor.classifier.folder)]
    run_command(
        stages.classify.classify, stages.classify.Params, [*argv, "--out", str(folder / "l.csv")],
        source="", model="", out="",
    )  # fmt: skip
    (row,) = read_table(folder / "l.csv").to_dict("records")
    assert "length: 6 s, expected 1.6 to 3.6 (record as long as for training)" in row["flags"]
