"""A store beside the cache's folder: what one machine computed, no other computes again. Machines are folders here."""

import numpy as np
import pytest
from builders.store import BUCKET, list_objects, start_store

from mea.runtime.cache import fetch_array, fetch_file, forget_file
from mea.runtime.errors import MeaError

KEY = "ab" * 32


@pytest.fixture
def move_to(tmp_path, monkeypatch):
    """Go on on a machine of that name, which has an empty cache at first."""

    def move(name: str) -> None:
        monkeypatch.setenv("MEA_CACHE", str(tmp_path / name))

    return move


@pytest.fixture
def remote(tmp_path, monkeypatch):
    """A folder that all machines see."""
    monkeypatch.setenv("MEA_REMOTE_CACHE", f"file://{tmp_path / 'remote'}")
    return tmp_path / "remote"


class Maker:
    """Writes a result and counts how often it had to."""

    def __init__(self, content=b"result"):
        self.content, self.calls = content, 0

    def __call__(self, path):
        self.calls += 1
        path.write_bytes(self.content)


def test_what_one_machine_made_no_other_makes(move_to, remote, tmp_path):
    make = Maker()
    for name in ("one", "two"):
        move_to(name)
        assert fetch_file(KEY, tmp_path / f"{name}.npz", make) is (name == "two")
        assert (tmp_path / f"{name}.npz").read_bytes() == b"result"
    assert make.calls == 1
    for path in remote.rglob("*"):
        path.unlink() if path.is_file() else None
    assert fetch_file(KEY, tmp_path / "again.npz", make) is True and make.calls == 1, "the machine keeps a copy"


def test_arrays_too(move_to, remote):
    made = []

    def make():
        made.append(1)
        return np.arange(12.0).reshape(3, 4)

    for name in ("one", "two", "two"):
        move_to(name)
        np.testing.assert_array_equal(fetch_array(KEY, make), np.arange(12.0).reshape(3, 4))
    assert len(made) == 1


@pytest.mark.parametrize("damage", ["flipped", "cut", "no signature", "of another key", "half uploaded"])
def test_what_is_damaged_in_the_store_is_made_again_and_mended(move_to, remote, tmp_path, damage):
    make = Maker()
    move_to("one")
    fetch_file(KEY, tmp_path / "one.npz", make)
    kept = remote / "ab" / f"{KEY[2:]}.npz"
    signature = kept.with_name(f"{kept.name}.sha256")
    assert kept.read_bytes() == b"result"
    if damage == "flipped":
        kept.write_bytes(b"resulu")
    elif damage == "cut":
        kept.write_bytes(b"resul")
    elif damage == "no signature":
        signature.unlink()
    elif damage == "of another key":
        signature.write_bytes(signature.read_bytes().replace(b"ab", b"cd"))
    else:
        kept.unlink()
    move_to("two")
    assert fetch_file(KEY, tmp_path / "two.npz", make) is False and make.calls == 2
    assert (tmp_path / "two.npz").read_bytes() == b"result"
    move_to("three")
    assert fetch_file(KEY, tmp_path / "three.npz", make) is True and make.calls == 2


def test_a_damaged_copy_is_replaced_by_that_of_the_store(move_to, remote, tmp_path):
    make = Maker()
    move_to("one")
    fetch_file(KEY, tmp_path / "one.npz", make)
    (tmp_path / "one" / "ab" / f"{KEY[2:]}.npz").write_bytes(b"resulu")
    assert fetch_file(KEY, tmp_path / "two.npz", make) is True and make.calls == 1
    assert (tmp_path / "two.npz").read_bytes() == b"result"


def test_what_is_forgotten_is_forgotten_everywhere(move_to, remote, tmp_path):
    make = Maker()
    move_to("one")
    fetch_file(KEY, tmp_path / "one.npz", make)
    forget_file(KEY, ".npz")
    forget_file(KEY, ".npz")
    move_to("two")
    assert fetch_file(KEY, tmp_path / "two.npz", make) is False and make.calls == 2


def test_nothing_is_uploaded_when_the_work_fails(move_to, remote, tmp_path):
    def fail(path):
        path.write_bytes(b"half")
        raise MeaError("no")

    move_to("one")
    with pytest.raises(MeaError, match=r"^no$"):
        fetch_file(KEY, tmp_path / "one.npz", fail)
    assert not [path for path in remote.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("nosuch://bucket", "nosuch"),
        ("file:///proc/nowhere", "cannot be used"),
    ],
)
def test_a_store_that_cannot_be_used_is_said_in_a_line(move_to, tmp_path, monkeypatch, address, said):
    monkeypatch.setenv("MEA_REMOTE_CACHE", address)
    move_to("one")
    with pytest.raises(MeaError, match=f"MEA_REMOTE_CACHE = {address}.*{said}") as error:
        fetch_file(KEY, tmp_path / "one.npz", Maker())
    assert "unset MEA_REMOTE_CACHE" in str(error.value) and "\n" not in str(error.value)


def test_a_store_needs_a_folder(tmp_path, monkeypatch, remote):
    monkeypatch.delenv("MEA_CACHE", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MeaError, match=r"MEA_REMOTE_CACHE is set.*Set MEA_CACHE"):
        fetch_file(KEY, tmp_path / "one.npz", Maker())


def test_on_s3(move_to, tmp_path, monkeypatch):
    make = Maker(bytes(range(256)) * 100)
    with start_store(tmp_path) as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("MEA_REMOTE_CACHE", f"s3://{BUCKET}/cache")
        for name in ("one", "two"):
            move_to(name)
            assert fetch_file(KEY, tmp_path / f"{name}.npz", make) is (name == "two")
            assert (tmp_path / f"{name}.npz").read_bytes() == make.content
        assert make.calls == 1
        assert list_objects(environment) == [f"cache/ab/{KEY[2:]}.npz", f"cache/ab/{KEY[2:]}.npz.sha256"]
        forget_file(KEY, ".npz")
        assert list_objects(environment) == [f"cache/ab/{KEY[2:]}.npz.sha256"]
        monkeypatch.setenv("MEA_REMOTE_CACHE", "s3://no-such-bucket/cache")
        move_to("three")
        with pytest.raises(MeaError, match="MEA_REMOTE_CACHE = s3://no-such-bucket/cache: cannot be used"):
            fetch_file(KEY, tmp_path / "three.npz", make)
