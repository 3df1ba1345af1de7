"""Groups of recordings: against a slow search by hand, and where batch or culture is unknown."""

import warnings

import numpy as np
import pytest
from builders.splits import cut, labs, make_batches, make_lab, quick
from hypothesis import given
from hypothesis import strategies as st

from mea.splitting.groups import choose_split_level, explain_unknown, group_recordings, list_recordings


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


@given(lab=labs(), split_level=st.sampled_from(["batch", "culture", "recording"]))
@quick
def test_groups_are_what_shares_a_name(lab, split_level):
    names = {"batch": ("batch", "culture"), "culture": ("culture",), "recording": ()}[split_level]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        numbers = group_recordings(lab, split_level)
    found = {frozenset(np.flatnonzero(numbers == number)) for number in set(numbers)}
    assert found == find_groups_slowly(lab, names)
    assert list(dict.fromkeys(numbers)) == list(range(len(found)))


def test_a_culture_seen_in_two_batches_links_them():
    lab = make_lab([("a", "c1", "b1"), ("a", "c1", "b2"), ("b", "c2", "b2"), ("b", "c3", "b3")])
    assert group_recordings(lab, "batch").tolist() == [0, 0, 0, 1]
    assert group_recordings(lab, "culture").tolist() == [0, 0, 1, 2]


@pytest.mark.parametrize(
    ("split_level", "own"),
    [("batch", "a group of its own, or with its culture if known"), ("culture", "a group of its own")],
)
def test_unknown_groups_are_their_own_with_a_warning(split_level, own):
    lab = make_lab([("a", "", ""), ("a", "", ""), ("b", "c1", "b1"), ("b", "c1", "b1")])
    assert group_recordings(lab, split_level).tolist() == [0, 1, 2, 2]
    assert explain_unknown(cut(lab), split_level) == (
        f"{split_level} unknown for 2 of 4 recordings (r00, r01): each of them is {own}, so similar recordings may be "
        "in both the training and the test set. State it in recordings.csv."
    )


def test_an_unknown_batch_does_not_part_a_known_culture():
    lab = make_lab([("a", "c1", ""), ("a", "c1", "b1"), ("b", "c2", "b1"), ("b", "c3", "b2")])
    assert explain_unknown(cut(lab), "batch").startswith("batch unknown for 1 of 4 recordings (r00): each")
    assert group_recordings(lab, "batch").tolist() == [0, 0, 0, 1]


def test_three_unknown_are_named_and_the_rest_counted():
    lab = make_lab([("a", "", "")] * 4 + [("b", "c", "b")])
    assert "unknown for 4 of 5 recordings (r00, r01, r02…): each" in explain_unknown(cut(lab), "batch")


def test_known_groups_give_no_warning():
    for split_level in ("batch", "culture", "recording", "chunk"):
        assert explain_unknown(cut(make_batches()), split_level) == ""
    nothing_known = cut(make_lab([("a", "", ""), ("b", "", "")]))
    assert explain_unknown(nothing_known, "recording") == explain_unknown(nothing_known, "chunk") == ""


@pytest.mark.parametrize(
    ("culture", "batch", "expected"),
    [("", "", "recording"), ("c", "", "culture"), ("", "b", "batch"), ("c", "b", "batch")],
)
def test_auto_takes_the_coarsest_level_known(culture, batch, expected):
    lab = make_lab([("a", "", ""), ("b", culture, batch)])
    assert choose_split_level(lab, "auto") == expected
    assert choose_split_level(lab, "chunk") == "chunk"


def test_the_recordings_of_chunks_are_listed_once_in_their_order():
    lab = make_lab([("a", "c1", "b1"), ("b", "c2", "b1"), ("a", "", "")])
    chunks = cut(lab).sort_values("recording", ascending=False)
    listed = list_recordings(chunks)
    assert listed.to_dict("list") == {
        "recording": ["r02", "r01", "r00"],
        "label": ["a", "b", "a"],
        "culture": ["", "c2", "c1"],
        "batch": ["", "b1", "b1"],
    }
    assert listed.index.tolist() == [0, 1, 2]
