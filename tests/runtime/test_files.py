"""Output that is there whole or not at all; JSON; digests of files."""

import errno
import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from builders.lab import ROOT

from mea.runtime.errors import MeaError
from mea.runtime.files import fresh_file, fresh_folder, hash_file, is_empty_folder, read_json, write_json


def test_fresh_folder_replaces_the_old_one_whole(tmp_path):
    path = tmp_path / "deep" / "out"
    for content in ("one", "two"):
        with fresh_folder(path) as work:
            assert list(work.iterdir()) == []
            (work / content).write_text(content)
            assert content == "one" or (path / "one").exists(), "the old one stays until the new one is whole"
        assert [item.name for item in path.iterdir()] == [content]
    assert [item.name for item in path.parent.iterdir()] == ["out"]


@pytest.mark.parametrize("error", [MeaError, KeyboardInterrupt])
def test_fresh_folder_keeps_the_old_one_on_an_error(tmp_path, error):
    path = tmp_path / "out"
    for old in (False, True):
        with pytest.raises(error), fresh_folder(path) as work:
            (work / "half").write_text("half")
            raise error("no")
        assert path.exists() == old
        if not old:
            path.mkdir()
            (path / "old").write_text("old")
    assert [item.name for item in tmp_path.iterdir()] == ["out"] and (path / "old").read_text() == "old"


def test_an_empty_folder_may_hold_hidden_files(tmp_path):
    assert is_empty_folder(tmp_path)
    (tmp_path / ".gitignore").touch()
    assert is_empty_folder(tmp_path)
    (tmp_path / "below").mkdir()
    assert not is_empty_folder(tmp_path)
    assert not is_empty_folder(tmp_path / ".gitignore") and not is_empty_folder(tmp_path / "missing")


def test_fresh_folder_starts_empty_after_a_kill(tmp_path):
    with pytest.raises(StopIteration), fresh_folder(tmp_path / "out") as work:
        place = work
        raise StopIteration
    place.mkdir()
    (place / "left behind").write_text("x")
    with fresh_folder(tmp_path / "out") as work:
        (work / "new").write_text("y")
    assert [item.name for item in (tmp_path / "out").iterdir()] == ["new"]


def test_fresh_file_is_whole_or_not_there(tmp_path):
    path = tmp_path / "deep" / "file.txt"
    with pytest.raises(MeaError), fresh_file(path) as work:
        work.write_text("half")
        raise MeaError("no")
    assert list(path.parent.iterdir()) == []
    path.write_text("old")
    link = tmp_path / "cached"
    os.link(path, link)  # as DVC's cache may hold it
    with pytest.raises(MeaError), fresh_file(path) as work:
        work.write_text("half")
        raise MeaError("no")
    assert path.read_text() == "old"
    with fresh_file(path) as work:
        work.write_text("new")
    assert path.read_text() == "new" and link.read_text() == "old"
    assert [item.name for item in path.parent.iterdir()] == ["file.txt"]


@pytest.mark.parametrize("fresh", [fresh_file, fresh_folder])
def test_places_that_cannot_be_written(tmp_path, fresh):
    (tmp_path / "file").write_text("x")
    for place in ("file/x", "file/deep/x"):
        with pytest.raises(MeaError) as caught, fresh(tmp_path / place):
            pass
        text = str(caught.value)
        assert text.startswith(f"{tmp_path / place}: cannot be written (") and f"{tmp_path / 'file'}" in text
        assert text.endswith("Make room or get the right to write there, or name another place.")
    assert [item.name for item in tmp_path.iterdir()] == ["file"]


def test_a_folder_in_place_of_a_file_and_a_file_in_place_of_a_folder(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("x")
    with (
        pytest.raises(MeaError, match=r"folder: cannot be written \(Is a directory: "),
        fresh_file(tmp_path / "folder"),
    ):
        raise AssertionError("said before any work is done")
    with pytest.raises(MeaError, match=r"file: cannot be written \(Not a directory: "), fresh_folder(tmp_path / "file"):
        raise AssertionError("said before any work is done")
    assert sorted(item.name for item in tmp_path.iterdir()) == ["file", "folder"]


@pytest.mark.parametrize("fresh", [fresh_file, fresh_folder])
def test_a_full_disk_is_said_and_other_mistakes_keep_their_own_words(tmp_path, fresh):
    full = r"out: cannot be written \(No space left on device\)\. Make room"
    with pytest.raises(MeaError, match=full), fresh(tmp_path / "out"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(FileNotFoundError), fresh(tmp_path / "out"):
        (tmp_path / "nosuch").read_text()
    assert list(tmp_path.iterdir()) == []


def test_json_keeps_order_and_small_numbers_and_has_no_text_for_numbers(tmp_path):
    path = tmp_path / "metrics.json"
    values = {
        "zeta": np.float64(1e-12),
        "alpha": float("nan"),
        "inf": -np.inf,
        "third": 1 / 3,
        "count": np.int64(3),
        "flag": np.bool_(True),
        "none": None,
        "name": "µV",
        "nested": {2: [np.float32(0.5), (1, np.nan)]},
    }
    write_json(path, values)
    read = json.loads(path.read_text(encoding="utf-8"), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert list(read) == list(values)
    assert read["zeta"] == 1e-12 and read["third"] == 0.333333333
    assert read["alpha"] is None and read["inf"] is None
    assert read["count"] == 3 and read["flag"] is True and read["none"] is None and read["name"] == "µV"
    assert read["nested"] == {"2": [0.5, [1, None]]}
    assert read == read_json(path)
    assert b"\r" not in path.read_bytes() and path.read_bytes().endswith(b"}\n")


@pytest.mark.parametrize("content", [None, b"{", b"\xff", b"[1]"])
def test_json_that_is_missing_or_foreign(tmp_path, content):
    path = tmp_path / "split.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MeaError, match=r"split.json: not a file written by a stage \(.*\)\. Run dvc repro\."):
        read_json(path)


def test_hash_is_sha256(tmp_path):
    content = bytes(range(256)) * 5000
    (tmp_path / "file").write_bytes(content)
    assert hash_file(tmp_path / "file") == hashlib.sha256(content).hexdigest()


HDF5 = """
import resource, sys
from pathlib import Path
import numpy as np
from mea.recordings.formats.mcs_layout import RigRecording, Stream
from mea.recordings.formats.mcs_writer import write_mcs_file
from mea.runtime.errors import MeaError
from mea.runtime.files import fresh_folder

counts = np.random.default_rng(0).integers(-9, 9, (12, 20_000), np.int32)
recording = RigRecording([Stream(counts, [f"{column}4" for column in "ABCDEFGHJKLM"], tick_us=40)])
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    with fresh_folder(Path(sys.argv[1])) as folder:
        write_mcs_file(folder / "a.h5", [recording])
except MeaError as error:
    print(error)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows limits no process's files")
@pytest.mark.parametrize("room", [50, 1_000, 20_000, 60_000])
def test_hdf5_that_finds_no_room_is_one_sentence(tmp_path, room):
    """HDF5 notices at the beginning, in between, or as it closes the file, each time by another exception."""
    path = tmp_path / "out"
    done = subprocess.run([sys.executable, "-c", HDF5, str(path), str(room)], cwd=ROOT, capture_output=True, text=True)
    remedy = "Make room or get the right to write there, or name another place."
    assert done.stdout == f"{path}: cannot be written (File too large). {remedy}\n", done.stderr
    assert list(tmp_path.iterdir()) == []
