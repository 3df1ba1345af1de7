"""Ids of recordings and names of files: by the rule, unique, safe on any system."""

from collections import Counter
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mea.recordings.naming import assign_ids, make_safe_name


def test_ids_by_the_rule():
    members = [
        ("", "x.h5"),
        ("a.zip", "x.h5"),
        ("a.zip", "unique.h5"),
        ("d/b.zip", "one/X.h5"),
        ("d/b.zip", "two/x.h5"),
        ("", "e/loose.h5"),
        ("", "f/loose.hdf5"),
        ("broken.zip", ""),
        ("", "g/y.h5"),
        ("", "g/y.hdf5"),
        ("a.zip", "many#2.h5"),
    ]
    *ids, y_h5, y_hdf5, many = assign_ids(members)
    assert ids == ["x", "a__x", "unique", "d__b__one__X", "d__b__two__x", "e__loose", "f__loose", "broken.zip"]
    assert many == "many_2"
    assert y_h5.startswith("g__y__")
    assert y_hdf5.startswith("g__y__")
    assert y_h5 != y_hdf5


def test_an_id_made_longer_may_not_meet_another():
    ids = assign_ids([("a.zip", "x.h5"), ("b.zip", "x.h5"), ("c.zip", "a__x.h5")])
    assert ids == ["a__x", "b__x", "c__a__x"]


part = st.text(st.sampled_from("aAbB.#? é\\"), min_size=1, max_size=3).filter(lambda text: text.strip("."))
member_path = st.lists(part, min_size=1, max_size=3).map(lambda parts: "/".join(parts) + ".h5")
archive_path = st.lists(part, max_size=2).map(lambda parts: "/".join(parts) + ".zip" if parts else "")


@given(st.lists(st.tuples(archive_path, member_path), max_size=12), st.randoms())
def test_ids_are_unique_safe_and_independent_of_the_order(members, shuffler):
    ids = assign_ids(members)
    assert len({name.casefold() for name in ids}) == len(members)
    assert all(make_safe_name(name) == name and "#" not in name for name in ids)
    if len(set(members)) == len(members):
        order = list(range(len(members)))
        shuffler.shuffle(order)
        assert assign_ids([members[i] for i in order]) == [ids[i] for i in order]
    stems = [make_safe_name(PurePosixPath(path.replace("\\", "/")).stem).replace("#", "_") for _, path in members]
    count = Counter(stem.casefold() for stem in stems)
    for name, stem in zip(ids, stems):
        if count[stem.casefold()] == 1 and "__" not in stem:
            assert name == stem


@given(st.text(max_size=20))
def test_safe_names_stay_what_they_are(name):
    safe = make_safe_name(name)
    assert make_safe_name(safe) == safe
    assert safe
    assert not set(safe) & set('<>:"/\\|?*\x00\n')
    assert not safe.endswith((".", " "))


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("w_oMNPs 3", "w_oMNPs 3"),
        ("a:b", "a_b"),
        ("x. .", "x"),
        ("...", "_"),
        ("NUL", "_NUL"),
        ("com1.h5", "_com1.h5"),
        ("common", "common"),
        ("a\u0308", "ä"),
    ],
)
def test_safe_names(name, safe):
    assert make_safe_name(name) == safe
