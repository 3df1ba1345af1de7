"""Folds of whole groups: invariants on random labs, and labs that cannot be split."""

import pandas as pd
import pytest
from builders.splits import cut, fold_quietly, labs, make_batches, make_lab, quick
from hypothesis import given
from hypothesis import strategies as st

from mea.runtime.errors import MeaError
from mea.splitting.audit import audit_split
from mea.splitting.folds import assign_folds


@given(lab=labs(), split_level=st.sampled_from(["batch", "culture", "recording"]), folds=st.integers(2, 5))
@quick
def test_no_group_stands_on_two_sides(lab, split_level, folds):
    chunks = cut(lab)
    chunks["fold"] = fold_quietly(chunks, split_level, folds)
    assert sorted(set(chunks["fold"])) == list(range(folds)), "every chunk is held out once, and no fold is empty"
    assert (chunks.groupby("recording")["fold"].nunique() == 1).all()
    names = {"batch": ("batch", "culture"), "culture": ("culture",), "recording": ()}[split_level]
    for name in names:
        known = chunks[chunks[name] != ""]
        assert (known.groupby(name)["fold"].nunique() == 1).all()
    for fold in range(folds):
        assert set(chunks["label"][chunks["fold"] != fold]) == set(chunks["label"]), "no class is left out of training"
    warning = audit_split(chunks, split_level)
    assert warning == "" or (split_level != "batch" and "in the training and the test set" in warning)


@given(lab=labs(), folds=st.integers(2, 5), seed=st.integers(0, 3))
@quick
def test_a_split_by_chunk_is_stratified(lab, folds, seed):
    chunks = cut(lab)
    fold = fold_quietly(chunks, "chunk", folds, seed)
    counts = pd.crosstab(fold, chunks["label"])
    assert (counts.max() - counts.min() <= 1).all() and len(counts) == folds


def test_folds_are_stratified_by_label():
    chunks = cut(make_batches(batches=6))
    for split_level in ("batch", "culture", "recording"):
        counts = pd.crosstab(assign_folds(chunks, split_level, 3, 0), chunks["label"])
        assert (counts == counts.iloc[0, 0]).all().all(), counts


@pytest.mark.parametrize("split_level", ["batch", "culture", "recording", "chunk"])
def test_the_seed_decides(split_level):
    chunks = cut(make_batches())
    same = [assign_folds(chunks, split_level, 3, 7).tolist() for _ in range(2)]
    others = [assign_folds(chunks, split_level, 3, seed).tolist() for seed in range(8)]
    assert same[0] == same[1] and any(other != same[0] for other in others)


def test_folds_do_not_depend_on_chunk_length():
    """The same recordings are held out together, however finely they are cut."""
    coarse, fine = cut(make_batches(), 2.4), cut(make_batches(), 0.6)
    by_recording = [dict(zip(chunks["recording"], assign_folds(chunks, "batch", 3, 0))) for chunks in (coarse, fine)]
    assert by_recording[0] == by_recording[1]


@pytest.mark.parametrize(
    ("lines", "split_level", "folds", "message"),
    [
        ([("a", "c1", "b1"), ("a", "c2", "b2")], "batch", 2, r"only one class, \['a'\]: a classifier needs"),
        ([("a", "1", "b1"), ("b", "2", "b1"), ("a", "3", "b2"), ("b", "4", "b2")], "batch", 3,
         r"2 groups by batch are fewer than 3 folds\. Lower split\.folds, record more, or choose a finer split\.by"),
        ([("a", "1", "b1"), ("a", "2", "b2"), ("a", "3", "b3"), ("b", "4", "b3")], "batch", 2,
         r"class 'b' occurs in one group by batch only; when that group is the test fold, no training example of "),
        ([("a", "1", ""), ("a", "2", ""), ("b", "3", ""), ("b", "4", "")], "culture", 3,
         r"2 recordings of the largest class are fewer than 3 folds\. Lower split\.folds\."),
        ([("a", "1", "x"), ("b", "1", "x"), ("a", "2", "x"), ("b", "1", "x"), ("a", "3", "x")], "culture", 2,
         r"class 'b' occurs in one group by culture only"),
    ],
)  # fmt: skip
def test_labs_that_cannot_be_split(lines, split_level, folds, message):
    with pytest.raises(MeaError, match=message):
        assign_folds(cut(make_lab(lines)), split_level, folds, 0)


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
    rule = "holds every group of ['b'] by batch; when it is the test fold, no training example is left."
    expected = {f"fold {number} {rule} Lower split.folds, or change split.seed." for number in (0, 1)}
    assert 0 < refused < 10 and messages <= expected


def test_more_folds_than_chunks_of_a_class():
    lab = make_lab([("a", "", "")] * 3 + [("b", "", "")], duration_s=2.4)
    with pytest.raises(MeaError, match=r"2 chunks of one class are fewer than 3 folds\. Lower split\.folds\."):
        assign_folds(cut(lab), "chunk", 3, 0)
