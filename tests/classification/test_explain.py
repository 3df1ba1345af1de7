"""Attributions of electrodes, windows and families of features, against what is planted."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from builders.arrays import describe_events, make_events, plan_recordings
from builders.environment import work_alone
from builders.models import fit_lab, train_params, write_lab
from PIL import Image
from scipy.special import logit

from mea.classification.explain import load_held_out, main
from mea.classification.occlusion import Occlusion, compute_attributions
from mea.classification.plots import plot_attributions
from mea.models.estimators import load_estimator
from mea.report.attributions import format_attributions
from mea.runtime.errors import MeaError
from mea.runtime.tables import read_table, write_table
from mea.splitting.chunks import cut_chunks
from mea.training.classifier import load_classifier

pytestmark = pytest.mark.usefixtures("alone")


def train(folder, model):
    """A lab whose class b fires more, its models, and the split: a classifier in ``folder / "folds"``."""
    lab = write_lab(folder, plan_recordings(batches=4, cultures=1), folds=2, duration_s=4.0, rows=4, cols=4)
    (folder / "split").mkdir()
    write_table(folder / "split" / "chunks.csv", lab[1])
    chunks = read_table(folder / "split" / "chunks.csv")  # as the train stage has it
    return fit_lab((lab[0], chunks), folder / "folds", train_params(model, inner_folds=2), score=(0, 1))[0]


@pytest.fixture(scope="module")
def by_rate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explain")
    with work_alone(folder):
        train(folder, "rate")
    return folder


def test_answers_of_a_model_that_sees_the_rate_alone(by_rate):
    """All of it can be computed: what the logistic regression says of the rate without an electrode, or of a second."""
    classifier = load_classifier(by_rate / "folds")
    (occlusion,) = load_held_out(classifier, ["r01"], by_rate / "array", by_rate / "split")
    assert len(occlusion.folds) == 1 and set(occlusion.chunks["fold"]) == set(occlusion.folds)
    label, attributions = compute_attributions(occlusion)
    estimator = load_estimator(by_rate / "folds" / f"fold_{occlusion.folds[0]}" / "rate" / "rate.skops")
    events = occlusion.events

    def say(counts):
        """Log odds of b for (n_chunks,) spikes in a second."""
        rates = np.log1p(np.asarray(counts) / events.n_electrodes)[:, None]
        return logit(estimator.predict_proba(rates)[:, 1].mean())

    counts = np.array([events.count_events(k, k + 1) for k in range(4)])  # (seconds, electrodes)
    assert label == "b"
    assert attributions["log_odds"].iloc[0] == pytest.approx(say(counts.sum(1)))
    electrodes = attributions[attributions["kind"] == "electrode"]
    lost = [say(counts.sum(1)) - say(counts.sum(1) - counts[:, k]) for k in range(16)]
    np.testing.assert_allclose(electrodes["log_odds"], lost, atol=1e-9)
    np.testing.assert_array_equal(electrodes[["row", "col"]], np.stack([events.row, events.col], axis=1))
    windows = attributions[attributions["kind"] == "window"]
    np.testing.assert_allclose(windows["log_odds"], [say([one]) for one in counts.sum(1)], atol=1e-9)
    assert windows["start_s"].tolist() == [0, 1, 2, 3] and windows["stop_s"].tolist() == [1, 2, 3, 4]
    assert not (attributions["kind"] == "family").any()


def test_families_of_features_and_a_new_recording(tmp_path):
    """Classes differ in their rate alone; a family left out is as in the median recording of the training side."""
    classifier = train(tmp_path, "features")
    events = make_events("new", spikes_per_s=8.0, duration_s=4.0, rows=4, cols=4, seed=99)
    chunks, _ = cut_chunks(pd.DataFrame([describe_events(events)]), 1.0, None)
    label, attributions = compute_attributions(Occlusion(classifier, classifier.folds, chunks, events))
    families = attributions[attributions["kind"] == "family"].set_index("family")["log_odds"]
    assert label == "b"
    assert {"isi", "firing_rates", "population", "network_bursts", "waveforms"} <= set(families.index)
    assert families.idxmax() in ("isi", "firing_rates", "population", "synchrony")
    assert families.drop(index=["isi", "firing_rates", "population", "synchrony"]).abs().max() < families.max()


def test_the_parts_of_a_large_array_are_left_out_whole(by_rate):
    """16 × 16 electrodes but for an empty corner: the model of the rate sees what each of 5 × 5 parts loses."""
    classifier = load_classifier(by_rate / "folds")
    events = make_events("new", rows=16, cols=16, duration_s=4.0, seed=7)
    kept = (events.row > 3) | (events.col > 3)
    assert events.n_electrodes == 256 and (~kept).sum() == 16
    numbers = np.cumsum(kept) - 1
    there = kept[events.electrode]
    events = replace(
        events.silence(np.flatnonzero(~kept)),
        **{name: getattr(events, name)[kept] for name in ("row", "col", "threshold_uv", "gain_v")},
        electrode=numbers[events.electrode[there]],
    )
    chunks, _ = cut_chunks(pd.DataFrame([describe_events(events)]), 1.0, None)
    occlusion = Occlusion(classifier, [0], chunks, events)
    attributions = compute_attributions(occlusion)[1]
    parts = attributions[attributions["kind"] == "electrode"]
    assert len(parts) == 24, "the empty corner is no part"
    edges = [(0, 3), (4, 6), (7, 9), (10, 12), (13, 15)]
    assert set(zip(parts["row"], parts["last_row"])) == set(zip(parts["col"], parts["last_col"])) == set(edges)
    for part in parts.itertuples():
        within = (
            events.row >= part.row,
            events.row <= part.last_row,
            events.col >= part.col,
            events.col <= part.last_col,
        )
        without = replace(occlusion, events=events.silence(np.flatnonzero(np.logical_and.reduce(within))))
        lost = occlusion.score() - without.score()
        assert abs(part.log_odds) == pytest.approx(abs(lost[0]), abs=1e-9)
    assert parts["log_odds"].abs().min() > 0, "each part has spikes"
    words = format_attributions(attributions)[0]
    assert re.match(r"Electrodes: rows \d+ to \d+, columns \d+ to \d+ \(", words)
    (axes, *_) = plot_attributions(attributions, "b", (16, 16)).figure.axes
    drawn = axes.images[0].get_array()
    assert drawn.mask[:4, :4].all() and drawn.mask.sum() == 16
    assert drawn[5, 5] == pytest.approx(parts[(parts["row"] == 4) & (parts["col"] == 4)]["log_odds"].item())


def test_a_silenced_electrode_leaves_the_others_alone():
    events = make_events(rows=4, cols=4)
    silent = events.silence(5)
    assert silent.n_electrodes == 16 and not (silent.electrode == 5).any()
    assert len(silent) == (events.electrode != 5).sum()
    before, after = (one.binned(0, 4, 10, "peak") for one in (events, silent))
    row, col = events.row[5], events.col[5]
    assert before[row, col].any() and not after[row, col].any()
    before[row, col] = 0
    np.testing.assert_array_equal(before, after)


def test_plots_and_tables(by_rate, capsys):
    out = by_rate / "plots"
    run(by_rate, "r00", "r05")
    assert sorted(path.name for path in out.iterdir()) == ["r00.csv", "r00.png", "r05.csv", "r05.png"]
    table = pd.read_csv(out / "r05.csv")
    assert list(table.columns) == [
        "kind",
        "row",
        "col",
        "last_row",
        "last_col",
        "start_s",
        "stop_s",
        "family",
        "log_odds",
    ]
    assert table["kind"].value_counts().to_dict() == {"electrode": 16, "window": 4, "whole": 1}
    assert Image.open(out / "r05.png").size[0] > 800


def run(folder, *arguments):
    folders = {"model": "folds", "array": "array", "split": "split", "out": "plots"}
    main([*arguments, *(part for name, path in folders.items() for part in (f"--{name}", str(folder / path)))])


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ((), "no recording named"),
        (("nobody",), "no recording 'nobody'. Name one of its column recording"),
        (("--source", "nowhere.zip"), "nowhere.zip"),
    ],
)
def test_mistakes(by_rate, names, said):
    with pytest.raises(SystemExit, match="explain: ") as stopped:
        run(by_rate, *names)
    assert said in str(stopped.value)


def test_another_split_is_refused(by_rate, tmp_path):
    chunks = pd.read_csv(by_rate / "split" / "chunks.csv")
    write_table(tmp_path / "chunks.csv", chunks.assign(fold=1 - chunks["fold"]))
    with pytest.raises(MeaError, match="was trained with another split than this one"):
        load_held_out(load_classifier(by_rate / "folds"), ["r00"], by_rate / "array", tmp_path)


def test_a_recording_that_no_fold_scored_is_refused(by_rate):
    classifier = replace(load_classifier(by_rate / "folds"), folds=[0])
    chunks = pd.read_csv(by_rate / "split" / "chunks.csv")
    name = chunks.loc[chunks["fold"] == 1, "recording"].iloc[0]
    with pytest.raises(MeaError, match="was not held out by any fold that is scored"):
        load_held_out(classifier, [name], by_rate / "array", by_rate / "split")
