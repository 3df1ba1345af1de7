"""Folds inside a training set: of whole groups, drawn again where unlucky, and foreseen by the split."""

import pytest
from builders.splits import cut, make_batches, make_lab

import mea.splitting.folds as folds_module
from mea.runtime.errors import MeaError
from mea.splitting.folds import assign_folds, assign_inner_folds, explain_inner_folds


@pytest.mark.parametrize("split_level", ["batch", "culture", "recording"])
def test_inner_validation_holds_whole_groups(split_level):
    chunks = cut(make_batches(batches=8))
    inner = assign_inner_folds(chunks, split_level, 4, 0) == 0
    assert inner.dtype == bool and 0 < inner.mean() < 0.5
    for name in ("batch", "culture", "recording")[("batch", "culture", "recording").index(split_level) :]:
        assert not set(chunks[name][inner]) & set(chunks[name][~inner])
    assert set(chunks["label"][inner]) == set(chunks["label"][~inner]) == {"a", "b"}
    assert ((assign_inner_folds(chunks, split_level, 4, 0) == 0) == inner).all()


def test_inner_validation_with_few_groups_takes_what_there_is():
    chunks = cut(make_batches(batches=2))
    inner = assign_inner_folds(chunks, "batch", 10, 0) == 0
    assert chunks["batch"][inner].nunique() == chunks["batch"][~inner].nunique() == 1


@pytest.mark.parametrize("split_level", ["recording", "chunk"])
def test_inner_validation_with_few_recordings_takes_what_there_is(split_level):
    """Two recordings of each class and two chunks of each recording are enough, whatever train.inner_folds asks."""
    lab = make_lab([("a", "", ""), ("a", "", ""), ("b", "", ""), ("b", "", "")], duration_s=2.4)
    inner = assign_inner_folds(cut(lab), split_level, 10, 0) == 0
    assert set(cut(lab)["label"][inner]) == set(cut(lab)["label"][~inner]) == {"a", "b"}


BOTH_SETS = "(similar recordings may then be in both the training and the test set)"
FINER = f"choose a finer split.by (culture, recording) {BOTH_SETS}"
WITHOUT = "Networks then learn for all of their epochs, and no model is calibrated or has a confidence threshold."


@pytest.mark.parametrize(
    ("lab", "split_level", "message"),
    [
        (make_batches(batches=1), "batch",
         f"1 groups by batch are fewer than 2 folds. {WITHOUT} Record every class in at least three groups by batch, "
         f"or {FINER}."),
        (make_lab([("a", "c1", ""), ("a", "c2", ""), ("b", "c3", "")]), "culture",
         "class 'b' occurs in one group by culture only; when that group is the test fold, no training example of the "
         f"class is left. {WITHOUT} Record every class in at least three groups by culture, or choose a finer split.by "
         f"(recording) {BOTH_SETS}."),
        (make_lab([("a", "", ""), ("b", "", "")]), "recording",
         f"1 recordings of the largest class are fewer than 2 folds. {WITHOUT} Record every class in at least three "
         "groups by recording."),
        (make_lab([("a", "", ""), ("b", "", "")], duration_s=1.2), "chunk",
         f"1 chunks of one class are fewer than 2 folds. {WITHOUT} Record longer."),
        (make_lab([("a", "", ""), ("a", "", "")]), "recording",
         f"only one class, ['a']: a classifier needs recordings of two or more. {WITHOUT} Record every class in at "
         "least three groups by recording."),
    ],
)  # fmt: skip
def test_inner_validation_that_cannot_be(lab, split_level, message):
    """Fewer outer folds would not help, and the message does not advise them."""
    with pytest.raises(MeaError) as caught:
        assign_inner_folds(cut(lab), split_level, 4, 0)
    assert str(caught.value) == f"no inner folds are possible in the training set: {message}"


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
        patch.setattr(folds_module, "MAX_DRAWS", 1)
        with pytest.raises(
            MeaError, match=r"holds every group of \['b'\] by batch; when .* example is left\. Networks"
        ):
            assign_inner_folds(chunks, "batch", 2, unlucky)


def is_refused(chunks, seed):
    try:
        assign_folds(chunks, "batch", 2, seed)
    except MeaError:
        return True
    return False


@pytest.mark.parametrize(("batches", "split_level", "text"), [
    (2, "batch", "no inner folds are possible in fold 1: in its training set, 1 groups by batch are fewer"),
    (3, "batch", ""), (2, "culture", ""), (2, "recording", ""), (2, "chunk", ""),
])  # fmt: skip
def test_the_split_foresees_whether_inner_validation_is_possible(batches, split_level, text):
    chunks = cut(make_batches(batches))
    chunks["fold"] = assign_folds(chunks, split_level, 2, 0)
    said, remedy = explain_inner_folds(chunks, split_level, [1])
    assert said.startswith(text) and bool(said) == bool(text)
    training = chunks[chunks["fold"] != 1]
    if said:
        assert remedy.endswith(f"in at least three groups by batch, or {FINER}.")
        with pytest.raises(MeaError, match="no inner folds are possible"):
            assign_inner_folds(training, split_level, 4, 0)
    else:
        assert set(assign_inner_folds(training, split_level, 4, 0)) >= {0, 1}
