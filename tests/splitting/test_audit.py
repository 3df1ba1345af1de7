"""The audit of a split: planted groups on two sides."""

import warnings

import pytest
from builders.splits import cut, make_batches, make_lab

from mea.runtime.errors import MeaError
from mea.splitting.audit import audit_split, hash_split
from mea.splitting.folds import assign_folds


def split_by(split_level, lab=None):
    chunks = cut(make_batches() if lab is None else lab)
    chunks["fold"] = assign_folds(chunks, split_level, 3, 0)
    return chunks


def test_an_honest_split_passes():
    assert audit_split(split_by("batch"), "batch") == ""


@pytest.mark.parametrize(
    ("split_level", "name"), [("batch", "batch"), ("culture", "culture"), ("recording", "recording")]
)
def test_a_planted_group_on_two_sides_fails(split_level, name):
    chunks = split_by(split_level)
    first = chunks.index[chunks[name] == chunks[name].iloc[0]][0]
    chunks.loc[first, "fold"] = (chunks.loc[first, "fold"] + 1) % 3
    text = rf"{name} '\S+' is in two folds although the split is by {split_level}\. Report this\."
    with pytest.raises(MeaError, match=text):
        audit_split(chunks, split_level)


def test_a_culture_on_two_sides_of_a_split_by_batch_fails():
    """Its batches are whole, so only a look at the finer level finds it."""
    lab = make_batches()
    chunks = split_by("batch", lab)
    one, other = (chunks.index[chunks["fold"] == fold] for fold in (0, 1))
    chunks.loc[one[:1].union(other[:1]), "culture"] = "planted"
    with pytest.raises(MeaError, match="culture 'planted' is in two folds although the split is by batch"):
        audit_split(chunks, "batch")


@pytest.mark.parametrize(
    ("split_level", "coarser"), [("culture", "batch"), ("recording", "batch"), ("recording", "culture")]
)
def test_a_coarser_group_on_two_sides_warns(split_level, coarser):
    lab = make_lab([(x, f"c{x}{n % 3}", "") for n in range(9) for x in "ab"])
    if coarser == "batch":
        lab = make_batches().assign(batch="one")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warning = audit_split(split_by(split_level, lab), split_level)
    both_sets = f"recordings of the same {coarser} are in the training and the test set"
    assert warning == f"leaky: split by {split_level}, so {both_sets}"


def test_unknown_coarser_groups_do_not_warn():
    lab = make_lab([("ab"[n % 2], "", "") for n in range(12)])
    assert audit_split(split_by("recording", lab), "recording") == ""


def test_a_split_by_chunk_is_leaky():
    warning = audit_split(split_by("chunk"), "chunk")
    assert warning == "leaky: split by chunk, so chunks of the same recording are in the training and the test set"


def test_overlapping_chunks_fail():
    chunks = split_by("batch")
    chunks.loc[1, "start_s"] -= 0.1
    with pytest.raises(MeaError, match=r"chunk r00@0001 overlaps the one before it\. Report this\."):
        audit_split(chunks.sample(frac=1, random_state=0), "batch")


def test_the_digest_of_a_split_is_of_its_chunks_and_folds_alone():
    chunks = cut(make_batches(4)).assign(fold=0)
    same = chunks.set_index(chunks.index + 7)
    assert hash_split(same) == hash_split(chunks), "the numbers of the rows are none of its business"
    assert hash_split(chunks.assign(fold=1)) != hash_split(chunks)
