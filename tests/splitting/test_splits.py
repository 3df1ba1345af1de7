"""Groups, folds, chunks and the leak audit: invariants on random labs, and planted leaks."""

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from builders.arrays import WAVEFORM, plan_recordings, write_array
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import mea.splitting.folds as folds_module
import stages.split
from mea.arrays.events import save_events
from mea.runtime.command import run_command
from mea.runtime.errors import MeaError
from mea.runtime.files import read_json
from mea.runtime.tables import read_table
from mea.splitting.audit import audit_split
from mea.splitting.chunks import cut_chunks
from mea.splitting.folds import assign_folds, assign_inner_folds, explain_validation
from mea.splitting.groups import choose_level, explain_unknown, group_recordings

ROOT = Path(__file__).parents[2]
quick = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)


def make_lab(lines, rate_hz=25_000, duration_s=4.8):
    """A table of recordings from (label, culture, batch), all of one length."""
    table = pd.DataFrame(lines, columns=["label", "culture", "batch"])
    table.insert(0, "recording", [f"r{number:02d}" for number in range(len(table))])
    return table.assign(rate_hz=rate_hz, duration_s=duration_s)


def make_batches(batches=6, labels=("a", "b"), cultures=2):
    """Every batch holds so many cultures of each label, each recorded once."""
    return make_lab([(x, f"{x}{n}-{k}", f"b{n}") for n in range(batches) for x in labels for k in range(cultures)])


def cut(lab, chunk_s=1.2):
    return cut_chunks(lab, chunk_s, None)[0]


def fold_quietly(chunks, level, folds, seed=0):
    """Folds, or a rejected example where this lab cannot be split so."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return assign_folds(chunks, level, folds, seed)
        except MeaError:
            assume(False)


@st.composite
def labs(draw):
    """Labs in which batches and cultures may be unknown, shared by two classes, or linked to one another."""
    n = draw(st.integers(4, 24))
    label = st.sampled_from(["a", "b", "c"][: draw(st.integers(2, 3))])
    culture = st.sampled_from([""] + [f"c{k}" for k in range(draw(st.integers(1, 12)))])
    batch = st.sampled_from([""] + [f"b{k}" for k in range(draw(st.integers(1, 8)))])
    return make_lab(draw(st.lists(st.tuples(label, culture, batch), min_size=n, max_size=n)))


# --- groups ----------------------------------------------------------------------------------------------------------


def find_groups_slowly(lab, names):
    """By hand: start with one group a recording and merge while any two share a known name."""
    groups = [{number} for number in range(len(lab))]
    rows = lab.to_dict("records")
    share = lambda i, j: any(rows[i][name] == rows[j][name] != "" for name in names)  # noqa: E731
    merged = True
    while merged:
        merged = False
        for one in groups:
            for other in groups:
                if one is not other and any(share(i, j) for i in one for j in other):
                    groups = [group for group in groups if group not in (one, other)] + [one | other]
                    merged = True
                    break
            if merged:
                break
    return {frozenset(group) for group in groups}


@given(lab=labs(), level=st.sampled_from(["batch", "culture", "recording"]))
@quick
def test_groups_are_what_shares_a_name(lab, level):
    names = {"batch": ("batch", "culture"), "culture": ("culture",), "recording": ()}[level]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        numbers = group_recordings(lab, level)
    found = {frozenset(np.flatnonzero(numbers == number)) for number in set(numbers)}
    assert found == find_groups_slowly(lab, names)
    assert list(dict.fromkeys(numbers)) == list(range(len(found)))


def test_a_culture_seen_in_two_batches_links_them():
    lab = make_lab([("a", "c1", "b1"), ("a", "c1", "b2"), ("b", "c2", "b2"), ("b", "c3", "b3")])
    assert group_recordings(lab, "batch").tolist() == [0, 0, 0, 1]
    assert group_recordings(lab, "culture").tolist() == [0, 0, 1, 2]


@pytest.mark.parametrize(
    ("level", "own"), [("batch", "its own group, or its culture's where that is known"), ("culture", "its own group")]
)
def test_unknown_groups_are_their_own_with_a_warning(level, own):
    lab = make_lab([("a", "", ""), ("a", "", ""), ("b", "c1", "b1"), ("b", "c1", "b1")])
    assert group_recordings(lab, level).tolist() == [0, 1, 2, 2]
    assert explain_unknown(cut(lab), level) == (
        f"{level} unknown for 2 of 4 recordings (r00, r01): each of these is {own}, and recordings alike may stand on "
        "both sides. State it in recordings.csv."
    )


def test_an_unknown_batch_does_not_part_a_known_culture():
    lab = make_lab([("a", "c1", ""), ("a", "c1", "b1"), ("b", "c2", "b1"), ("b", "c3", "b2")])
    assert explain_unknown(cut(lab), "batch").startswith("batch unknown for 1 of 4 recordings (r00): each")
    assert group_recordings(lab, "batch").tolist() == [0, 0, 0, 1]


def test_three_unknown_are_named_and_the_rest_counted():
    lab = make_lab([("a", "", "")] * 4 + [("b", "c", "b")])
    assert "unknown for 4 of 5 recordings (r00, r01, r02…): each" in explain_unknown(cut(lab), "batch")


def test_known_groups_give_no_warning():
    for level in ("batch", "culture", "recording", "chunk"):
        assert explain_unknown(cut(make_batches()), level) == ""
    nothing_known = cut(make_lab([("a", "", ""), ("b", "", "")]))
    assert explain_unknown(nothing_known, "recording") == explain_unknown(nothing_known, "chunk") == ""


@pytest.mark.parametrize(
    ("culture", "batch", "expected"),
    [("", "", "recording"), ("c", "", "culture"), ("", "b", "batch"), ("c", "b", "batch")],
)
def test_auto_takes_the_coarsest_level_known(culture, batch, expected):
    lab = make_lab([("a", "", ""), ("b", culture, batch)])
    assert choose_level(lab, "auto") == expected
    assert choose_level(lab, "chunk") == "chunk"


# --- chunks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rate_hz", "chunk_samples"), [(25_000, 30_000), (10_000, 12_000)])
def test_chunks_of_the_predecessor(rate_hz, chunk_samples):
    """1.2 s are 30,000 samples at 25 kHz; 120 s give 100 chunks without a gap, and what is left over is dropped."""
    lab = make_lab([("a", "c1", "b1"), ("b", "", "")], rate_hz, 120.0)
    lab.loc[1, "duration_s"] = 1.2 * 3 - 1 / rate_hz  # one sample too short for three
    chunks, refused = cut_chunks(lab, 1.2, None)
    assert not refused
    first = chunks[chunks["recording"] == "r00"]
    assert len(first) == 100 and (chunks["recording"] == "r01").sum() == 2
    borders = np.arange(101) * chunk_samples
    starts = [round(value * rate_hz) for value in first["start_s"]]
    stops = [round(value * rate_hz) for value in first["stop_s"]]
    assert starts == borders[:-1].tolist() and stops == borders[1:].tolist()
    np.testing.assert_allclose(first["start_s"] * rate_hz, starts, atol=1e-3)
    assert first["chunk"].is_unique and first["chunk"].iloc[7] == "r00@0007"
    assert first[["label", "culture", "batch"]].drop_duplicates().values.tolist() == [["a", "c1", "b1"]]


@given(
    rate_hz=st.sampled_from([500, 10_000, 20_000, 25_000, 30_000]),
    chunk_samples=st.integers(1, 100_000),
    n_samples=st.integers(1, 3_000_000),
)
@quick
def test_chunks_lie_end_to_end_inside_the_recording(rate_hz, chunk_samples, n_samples):
    assume(n_samples // chunk_samples < 2000)
    lab = make_lab([("a", "", "")], rate_hz, n_samples / rate_hz)
    chunks, refused = cut_chunks(lab, chunk_samples / rate_hz, None)
    assert len(chunks) == n_samples // chunk_samples
    assert bool(refused) == (n_samples < chunk_samples)
    starts = np.rint(chunks["start_s"] * rate_hz).astype(int)
    stops = np.rint(chunks["stop_s"] * rate_hz).astype(int)
    assert (starts == np.arange(len(chunks)) * chunk_samples).all() and (stops - starts == chunk_samples).all()


def test_only_the_first_seconds_are_used():
    lab = make_lab([("a", "", ""), ("b", "", "")])
    lab.loc[1, "duration_s"] = 100.0
    chunks, _ = cut_chunks(lab, 1.2, 3.7)
    assert chunks["recording"].value_counts().to_dict() == {"r00": 3, "r01": 3}
    assert chunks["stop_s"].max() == 3.6


def test_a_recording_shorter_than_a_chunk_is_named():
    lab = make_lab([("a", "", ""), ("b", "", "")])
    lab.loc[1, "duration_s"] = 1.1
    chunks, refused = cut_chunks(lab, 1.2, None)
    assert set(chunks["recording"]) == {"r00"} and list(refused) == ["r01"]
    assert str(refused["r01"]) == (
        "r01: 1.1 s are shorter than one chunk (split.chunk_s = 1.2 s). Choose a shorter chunk, remove the recording, "
        "or set split.on_bad_recording: skip."
    )
    chunks, refused = cut_chunks(lab, 1.2, 1.0)
    assert chunks.empty and list(chunks.columns[:3]) == ["chunk", "recording", "label"] and len(refused) == 2


@pytest.mark.parametrize(("chunk_s", "samples"), [(1e-6, "0.025"), (0.00006, "1.5"), (1.00001, "25000.2")])
def test_a_chunk_is_a_whole_number_of_samples(chunk_s, samples):
    with pytest.raises(
        MeaError, match=rf"split\.chunk_s = \S+ s: {samples}\d* samples of r00 at 25000 Hz; a chunk must"
    ):
        cut_chunks(make_batches(), chunk_s, None)


# --- folds -----------------------------------------------------------------------------------------------------------


@given(lab=labs(), level=st.sampled_from(["batch", "culture", "recording"]), folds=st.integers(2, 5))
@quick
def test_no_group_stands_on_two_sides(lab, level, folds):
    chunks = cut(lab)
    chunks["fold"] = fold_quietly(chunks, level, folds)
    assert sorted(set(chunks["fold"])) == list(range(folds)), "every chunk is held out once, and no fold is empty"
    assert (chunks.groupby("recording")["fold"].nunique() == 1).all()
    names = {"batch": ("batch", "culture"), "culture": ("culture",), "recording": ()}[level]
    for name in names:
        known = chunks[chunks[name] != ""]
        assert (known.groupby(name)["fold"].nunique() == 1).all()
    for fold in range(folds):
        assert set(chunks["label"][chunks["fold"] != fold]) == set(chunks["label"]), "no class is left out of training"
    warning = audit_split(chunks, level)
    assert warning == "" or (level != "batch" and "stand on both sides" in warning)


@given(lab=labs(), folds=st.integers(2, 5), seed=st.integers(0, 3))
@quick
def test_a_split_by_chunk_is_stratified(lab, folds, seed):
    chunks = cut(lab)
    fold = fold_quietly(chunks, "chunk", folds, seed)
    counts = pd.crosstab(fold, chunks["label"])
    assert (counts.max() - counts.min() <= 1).all() and len(counts) == folds


def test_folds_are_stratified_by_label():
    chunks = cut(make_batches(batches=6))
    for level in ("batch", "culture", "recording"):
        counts = pd.crosstab(assign_folds(chunks, level, 3, 0), chunks["label"])
        assert (counts == counts.iloc[0, 0]).all().all(), counts


@pytest.mark.parametrize("level", ["batch", "culture", "recording", "chunk"])
def test_the_seed_decides(level):
    chunks = cut(make_batches())
    same = [assign_folds(chunks, level, 3, 7).tolist() for _ in range(2)]
    others = [assign_folds(chunks, level, 3, seed).tolist() for seed in range(8)]
    assert same[0] == same[1] and any(other != same[0] for other in others)


def test_folds_do_not_depend_on_chunk_length():
    """The same recordings are held out together, however finely they are cut."""
    coarse, fine = cut(make_batches(), 2.4), cut(make_batches(), 0.6)
    by_recording = [dict(zip(chunks["recording"], assign_folds(chunks, "batch", 3, 0))) for chunks in (coarse, fine)]
    assert by_recording[0] == by_recording[1]


@pytest.mark.parametrize(
    ("lines", "level", "folds", "message"),
    [
        ([("a", "c1", "b1"), ("a", "c2", "b2")], "batch", 2, r"only one class, \['a'\]: a classifier needs"),
        ([("a", "1", "b1"), ("b", "2", "b1"), ("a", "3", "b2"), ("b", "4", "b2")], "batch", 3,
         r"2 groups by batch are fewer than 3 folds\. Lower split\.folds, record more, or choose a finer split\.by"),
        ([("a", "1", "b1"), ("a", "2", "b2"), ("a", "3", "b3"), ("b", "4", "b3")], "batch", 2,
         r"label 'b' stands in one group by batch only: held out, nothing is left to learn it from\."),
        ([("a", "1", ""), ("a", "2", ""), ("b", "3", ""), ("b", "4", "")], "culture", 3,
         r"2 recordings of the largest class are fewer than 3 folds\. Lower split\.folds\."),
        ([("a", "1", "x"), ("b", "1", "x"), ("a", "2", "x"), ("b", "1", "x"), ("a", "3", "x")], "culture", 2,
         r"label 'b' stands in one group by culture only"),
    ],
)  # fmt: skip
def test_labs_that_cannot_be_split(lines, level, folds, message):
    with pytest.raises(MeaError, match=message):
        assign_folds(cut(make_lab(lines)), level, folds, 0)


def test_a_fold_may_not_hold_every_group_of_a_class():
    """b stands in two groups, and evening out the labels can put both into one fold; another seed may mend it."""
    lab = make_lab([("a", "", "b1")] * 2 + [("b", "", "b1")] + [("a", "", "b2")] * 2 + [("b", "", "b3")])
    messages, refused = set(), 0
    for seed in range(10):
        try:
            fold = assign_folds(cut(lab), "batch", 2, seed)
        except MeaError as error:
            messages.add(str(error))
            refused += 1
        else:
            assert all(set(cut(lab)["label"][fold != number]) == {"a", "b"} for number in (0, 1))
    rule = "holds every group of ['b'] by batch: nothing is left to learn it from."
    expected = {f"fold {number} {rule} Lower split.folds, or change split.seed." for number in (0, 1)}
    assert 0 < refused < 10 and messages <= expected


def test_more_folds_than_chunks_of_a_class():
    lab = make_lab([("a", "", "")] * 3 + [("b", "", "")], duration_s=2.4)
    with pytest.raises(MeaError, match=r"2 chunks of one class are fewer than 3 folds\. Lower split\.folds\."):
        assign_folds(cut(lab), "chunk", 3, 0)


# --- inner validation ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", ["batch", "culture", "recording"])
def test_inner_validation_holds_whole_groups(level):
    chunks = cut(make_batches(batches=8))
    inner = assign_inner_folds(chunks, level, 4, 0) == 0
    assert inner.dtype == bool and 0 < inner.mean() < 0.5
    for name in ("batch", "culture", "recording")[("batch", "culture", "recording").index(level) :]:
        assert not set(chunks[name][inner]) & set(chunks[name][~inner])
    assert set(chunks["label"][inner]) == set(chunks["label"][~inner]) == {"a", "b"}
    assert ((assign_inner_folds(chunks, level, 4, 0) == 0) == inner).all()


def test_inner_validation_with_few_groups_takes_what_there_is():
    chunks = cut(make_batches(batches=2))
    inner = assign_inner_folds(chunks, "batch", 10, 0) == 0
    assert chunks["batch"][inner].nunique() == chunks["batch"][~inner].nunique() == 1


@pytest.mark.parametrize("level", ["recording", "chunk"])
def test_inner_validation_with_few_recordings_takes_what_there_is(level):
    """Two recordings of each class and two chunks of each recording are enough, whatever train.inner_folds asks."""
    lab = make_lab([("a", "", ""), ("a", "", ""), ("b", "", ""), ("b", "", "")], duration_s=2.4)
    inner = assign_inner_folds(cut(lab), level, 10, 0) == 0
    assert set(cut(lab)["label"][inner]) == set(cut(lab)["label"][~inner]) == {"a", "b"}


FINER = "choose a finer split.by (culture, recording), knowing that alike recordings may then stand on both sides"
SCORED = "set train.validation: scored, which marks every figure as leaky."


@pytest.mark.parametrize(
    ("lab", "level", "message"),
    [
        (make_batches(batches=1), "batch",
         f"1 groups by batch are fewer than 2 folds. Record every class in three groups by batch at least, {FINER},"
         " or"),
        (make_lab([("a", "c1", ""), ("a", "c2", ""), ("b", "c3", "")]), "culture",
         "label 'b' stands in one group by culture only: held out, nothing is left to learn it from. Record every "
         "class in three groups by culture at least, choose a finer split.by (recording), knowing that alike "
         "recordings may then stand on both sides, or"),
        (make_lab([("a", "", ""), ("b", "", "")]), "recording",
         "1 recordings of the largest class are fewer than 2 folds. Record every class in three groups by recording at "
         "least, or"),
        (make_lab([("a", "", ""), ("b", "", "")], duration_s=1.2), "chunk",
         "1 chunks of one class are fewer than 2 folds. Record longer, or"),
        (make_lab([("a", "", ""), ("a", "", "")]), "recording",
         "only one class, ['a']: a classifier needs recordings of two or more. Record every class in three groups by "
         "recording at least, or"),
    ],
)  # fmt: skip
def test_inner_validation_that_cannot_be(lab, level, message):
    """Fewer outer folds would not help, and the message does not advise them."""
    with pytest.raises(MeaError) as caught:
        assign_inner_folds(cut(lab), level, 4, 0)
    assert str(caught.value) == f"no inner validation is possible on the training side: {message} {SCORED}"


def test_an_unlucky_inner_drawing_is_drawn_again():
    """Evening out the labels can put both groups of b into one fold; nothing the user chose is to blame."""
    chunks = cut(make_lab([("a", "", "b1")] * 2 + [("b", "", "b1")] + [("a", "", "b2")] * 2 + [("b", "", "b3")]))
    refused = 0
    for seed in range(10):
        try:
            expected = assign_folds(chunks, "batch", 2, seed)
        except MeaError:
            refused += 1
            expected = None
        fold = assign_inner_folds(chunks, "batch", 2, seed)
        assert expected is None or (fold == expected).all(), "a lucky one stays as it is"
        assert all(set(chunks["label"][fold != number]) == {"a", "b"} for number in (0, 1))
    assert 0 < refused < 10


def test_an_inner_drawing_that_is_never_lucky():
    """With a single drawing, one that is refused: said without the advice of the outer folds."""
    chunks = cut(make_lab([("a", "", "b1")] * 2 + [("b", "", "b1")] + [("a", "", "b2")] * 2 + [("b", "", "b3")]))
    unlucky = next(seed for seed in range(50) if is_refused(chunks, seed))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folds_module, "DRAWINGS", 1)
        with pytest.raises(
            MeaError, match=r"holds every group of \['b'\] by batch: nothing is left .* it from\. Record"
        ):
            assign_inner_folds(chunks, "batch", 2, unlucky)


def is_refused(chunks, seed):
    try:
        assign_folds(chunks, "batch", 2, seed)
    except MeaError:
        return True
    return False


@pytest.mark.parametrize(("batches", "level", "text"), [
    (2, "batch", "train.validation: inner will stop at fold 1; on its training side, 1 groups by batch are fewer"),
    (3, "batch", ""), (2, "culture", ""), (2, "recording", ""), (2, "chunk", ""),
])  # fmt: skip
def test_the_split_foresees_whether_inner_validation_is_possible(batches, level, text):
    chunks = cut(make_batches(batches))
    chunks["fold"] = assign_folds(chunks, level, 2, 0)
    said = explain_validation(chunks, level, [1])
    assert said.startswith(text) and bool(said) == bool(text)
    training = chunks[chunks["fold"] != 1]
    if said:
        assert said.endswith(f"at least, {FINER}, or {SCORED}")
        with pytest.raises(MeaError, match="no inner validation is possible"):
            assign_inner_folds(training, level, 4, 0)
    else:
        assert set(assign_inner_folds(training, level, 4, 0)) >= {0, 1}


# --- the audit -------------------------------------------------------------------------------------------------------


def split_by(level, lab=None):
    chunks = cut(make_batches() if lab is None else lab)
    chunks["fold"] = assign_folds(chunks, level, 3, 0)
    return chunks


def test_an_honest_split_passes():
    assert audit_split(split_by("batch"), "batch") == ""


@pytest.mark.parametrize(("level", "name"), [("batch", "batch"), ("culture", "culture"), ("recording", "recording")])
def test_a_planted_group_on_two_sides_fails(level, name):
    chunks = split_by(level)
    first = chunks.index[chunks[name] == chunks[name].iloc[0]][0]
    chunks.loc[first, "fold"] = (chunks.loc[first, "fold"] + 1) % 3
    text = rf"{name} '\S+' stands in two folds although the split is by {level}\. Report this\."
    with pytest.raises(MeaError, match=text):
        audit_split(chunks, level)


def test_a_culture_on_two_sides_of_a_split_by_batch_fails():
    """Its batches are whole, so only a look at the finer level finds it."""
    lab = make_batches()
    chunks = split_by("batch", lab)
    one, other = (chunks.index[chunks["fold"] == fold] for fold in (0, 1))
    chunks.loc[one[:1].union(other[:1]), "culture"] = "planted"
    with pytest.raises(MeaError, match="culture 'planted' stands in two folds although the split is by batch"):
        audit_split(chunks, "batch")


@pytest.mark.parametrize(("level", "coarser"), [("culture", "batch"), ("recording", "batch"), ("recording", "culture")])
def test_a_coarser_group_on_two_sides_warns(level, coarser):
    lab = make_lab([(x, f"c{x}{n % 3}", "") for n in range(9) for x in "ab"])
    if coarser == "batch":
        lab = make_batches().assign(batch="one")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warning = audit_split(split_by(level, lab), level)
    assert warning == f"leaky: split by {level}, and recordings of one {coarser} stand on both sides"


def test_unknown_coarser_groups_do_not_warn():
    lab = make_lab([("ab"[n % 2], "", "") for n in range(12)])
    assert audit_split(split_by("recording", lab), "recording") == ""


def test_a_split_by_chunk_is_leaky():
    warning = audit_split(split_by("chunk"), "chunk")
    assert warning == "leaky: split by chunk; pieces of one recording stand on both sides"


def test_overlapping_chunks_fail():
    chunks = split_by("batch")
    chunks.loc[1, "start_s"] -= 0.1
    with pytest.raises(MeaError, match=r"chunk r00@0001 overlaps the one before it\. Report this\."):
        audit_split(chunks.sample(frac=1, random_state=0), "batch")


# --- the stage -------------------------------------------------------------------------------------------------------


def run_split(folder, *settings):
    """The stage's files on the recordings under ``folder``: chunks, and what is said beside every figure."""
    flags = [f"--array={folder / 'array'}", f"--out={folder / 'split'}", f"--metrics={folder / 'split.json'}"]
    values = ["split.folds=2", "split.chunk_s=1.0", *settings]
    argv = [*flags, f"--params={ROOT / 'params.yaml'}", *(f"--set={setting}" for setting in values)]
    paths = {"array": "", "out": "", "metrics": ""}
    run_command(stages.split.split, stages.split.Params, argv, **paths)
    return read_table(folder / "split" / "chunks.csv"), read_json(folder / "split" / "split.json")


def test_an_unknown_batch_stands_beside_every_figure_and_is_no_leak(tmp_path, capsys):
    lines = [line | {"batch": "" if number < 2 else line["batch"]} for number, line in enumerate(plan_recordings())]
    write_array(tmp_path / "array", lines, duration_s=2.0)
    _, said = run_split(tmp_path)
    assert said["leaky"] == 0 and said["warning"].startswith("batch unknown for 2 of 12 recordings (r00, r01): each of")
    assert read_json(tmp_path / "split.json")["warning"] == said["warning"]
    assert f"warning: {said['warning']}\n" in capsys.readouterr().err


def test_two_reasons_stand_side_by_side(tmp_path):
    lines = [line | {"culture": "" if number < 2 else line["culture"]} for number, line in enumerate(plan_recordings())]
    write_array(tmp_path / "array", lines, duration_s=2.0)
    _, said = run_split(tmp_path, "split.by=culture")
    leak, unknown = said["warning"].split("; ")
    assert said["leaky"] == 1 and leak == "leaky: split by culture, and recordings of one batch stand on both sides"
    assert unknown.startswith("culture unknown for 2 of 12 recordings")


def test_recordings_of_one_batch_that_began_at_one_moment_are_a_warning(tmp_path, capsys):
    lines = [line | {"start": "2024-03-25T10:00:00" if n in (1, 3) else ""} for n, line in enumerate(plan_recordings())]
    write_array(tmp_path / "array", lines, duration_s=2.0)
    _, said = run_split(tmp_path)
    begins = (
        "recordings of one batch began at the same moment (r01, r03 at 2024-03-25T10:00:00): pieces of one recording"
    )
    assert said["leaky"] == 0 and said["warning"].startswith(begins)
    assert f"warning: {said['warning']}\n" in capsys.readouterr().err


def test_recordings_that_are_too_short_are_one_line(tmp_path):
    lines = [line | {"duration_s": 0.5 if number < 6 else 2.0} for number, line in enumerate(plan_recordings())]
    write_array(tmp_path / "array", lines)
    with pytest.raises(SystemExit) as end:
        run_split(tmp_path)
    assert end.value.code == (
        "split: r00: 0.5 s are shorter than one chunk (split.chunk_s = 1 s). Choose a shorter chunk, remove the "
        "recording, or set split.on_bad_recording: skip. The same holds for 5 more: r01, r02, r03…"
    )


def test_the_stage_says_when_training_will_stop(tmp_path, capsys):
    write_array(tmp_path / "array", plan_recordings(batches=2), duration_s=2.0)
    _, said = run_split(tmp_path)
    assert (said["leaky"], said["warning"]) == (0, ""), "it is no fault of the figures"
    assert (
        "warning: train.validation: inner will stop at fold 0; on its training side, 1 groups"
        in capsys.readouterr().err
    )


def test_one_recording_under_two_names_stops_the_stage(tmp_path):
    """The second recording is a copy of the first, its last half second cut off: no digest tells."""
    first, second, *_ = write_array(tmp_path / "array", duration_s=4.0)
    n_samples = first.n_samples - 12_500
    inside = first.first_sample + len(WAVEFORM) <= n_samples
    cut = {name: getattr(first, name)[inside] for name in ("electrode", "first_sample", "peak_sample")}
    cut |= {"offset": first.offset[: inside.sum() + 1], "waveform_counts": np.tile(WAVEFORM, inside.sum())}
    copy = replace(second, n_samples=n_samples, duration_s=3.5, **cut)
    assert copy.content_sha256 != first.content_sha256 and copy.samples_sha256 != first.samples_sha256
    save_events(tmp_path / "array" / "r01.npz", copy)
    with pytest.raises(
        SystemExit, match=r"^split: r01 and r00 share 100% of the spike patterns in 3\.5 s \(r01 begins"
    ):
        run_split(tmp_path)
    assert not (tmp_path / "split").exists()


def test_permuted_labels_are_a_control(tmp_path, capsys):
    """Batches of one class each: whole batches exchange labels, before folds are assigned by them."""
    lines = [line | {"label": "ab"[int(line["batch"][1]) % 2]} for line in plan_recordings(batches=6)]
    events = write_array(tmp_path / "array", lines, duration_s=2.0)
    true = {item.recording: item.label for item in events}
    plain, said = run_split(tmp_path)
    assert said["warning"] == "" and said["params"]["split"]["permute_labels"] is None
    assert (plain["label"] == plain["recording"].map(true)).all()
    capsys.readouterr()
    permuted = {}
    for seed in range(4):
        chunks, said = run_split(tmp_path, f"split.permute_labels={seed}")
        assert said["leaky"] == 0
        assert said["warning"] == f"labels permuted (split.permute_labels = {seed}): a control, not a result"
        assert f"warning: {said['warning']}\n" in capsys.readouterr().err
        assert (chunks.groupby("batch")["label"].nunique() == 1).all(), "between groups, never inside one"
        assert chunks["label"].value_counts().to_dict() == plain["label"].value_counts().to_dict()
        assert (chunks.groupby("fold")["label"].nunique() == 2).all(), "folds are stratified by the permuted labels"
        assert chunks.drop(columns=["label", "fold"]).equals(plain.drop(columns=["label", "fold"]))
        permuted[seed] = chunks["label"].tolist()
    assert any(labels != plain["label"].tolist() for labels in permuted.values())
    assert run_split(tmp_path, "split.permute_labels=0")[0]["label"].tolist() == permuted[0], "the seed decides"


def test_a_permuted_leak_is_still_a_leak(tmp_path):
    write_array(tmp_path / "array", duration_s=2.0)
    _, said = run_split(tmp_path, "split.by=chunk", "split.permute_labels=1")
    assert said["leaky"] == 1
    assert said["warning"] == (
        "labels permuted (split.permute_labels = 1): a control, not a result; "
        "leaky: split by chunk; pieces of one recording stand on both sides"
    )


def test_a_wrong_fold_to_score_is_named_alone(tmp_path):
    write_array(tmp_path / "array", duration_s=2.0)
    with pytest.raises(SystemExit) as end:
        run_split(tmp_path, "split.score=[3]")
    assert str(end.value).endswith(
        "--set split.score=[3]: split.score = [3]: split.score must be all, or numbers from 0 to 1 (split.folds - 1)."
    )
    with pytest.raises(SystemExit, match=r"split\.folds = 1: Input should be greater than or equal to 2\.$"):
        run_split(tmp_path, "split.score=[3]", "split.folds=1")
    with pytest.raises(SystemExit, match=r"split\.permute_labels = -1: Input should be greater than or equal to 0"):
        run_split(tmp_path, "split.permute_labels=-1")
