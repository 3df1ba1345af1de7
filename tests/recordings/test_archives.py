"""Archives: what is unpacked. What is refused: test_archives_refused.py."""

import csv
import hashlib
import os
import random
import zipfile
from pathlib import Path

import pytest
from builders.archives import list_files, write_zip

from mea.recordings.archives import copy_and_hash, find_entries, unpack
from mea.recordings.manifest import read_manifest

pytestmark = pytest.mark.usefixtures("alone")  # worker processes would take longer than the work


def test_everything_is_found_and_nothing_meets(tmp_path):
    source, out = tmp_path / "raw", tmp_path / "out"
    write_zip(source / "a" / "b.zip", {"deep/x.h5": b"1", "y.HDF5": b"22", "notes.txt": b"no"}, zipfile.ZIP_DEFLATED)
    write_zip(source / "C.ZIP", {"deep/x.h5": b"333"})
    (source / "loose").mkdir()
    (source / "loose" / "z.H5").write_bytes(b"4444")
    (source / "readme.txt").write_bytes(b"no")
    (source / "recordings.csv").write_bytes(b"recording,label\r\n")
    manifest = unpack(source, out)
    files = list_files(out)
    assert files.pop("recordings.csv") == b"recording,label\r\n"
    assert (out / "manifest.csv").read_bytes() == files.pop("manifest.csv")
    assert files == {
        "C.ZIP/deep/x.h5": b"333",
        "a/b.zip/deep/x.h5": b"1",
        "a/b.zip/y.HDF5": b"22",
        "loose/z.H5": b"4444",
    }
    assert list(manifest.recording) == ["C__x", "b__x", "y", "z"]
    for row in manifest.itertuples():
        assert row.bytes == str(len(files[row.file]))
        assert row.sha256 == hashlib.sha256(files[row.file]).hexdigest()
        assert row.error == ""
    assert list(manifest.archive) == ["C.ZIP", "a/b.zip", "a/b.zip", ""]
    assert list(manifest.member) == ["deep/x.h5", "deep/x.h5", "y.HDF5", "loose/z.H5"]
    assert read_manifest(out).equals(manifest)


def test_only_what_is_new_is_unpacked_again(tmp_path):
    source, out = tmp_path / "raw", tmp_path / "out"
    members = {"x.h5": b"1" * 5000, "y.h5": b"2" * 5000}
    for name in ("same", "damaged", "changed", "gone"):
        write_zip(source / f"{name}.zip", {"x.h5": name.encode() * 1000} | members, zipfile.ZIP_DEFLATED)
    (source / "loose.h5").write_bytes(b"3" * 5000)
    unpack(source, out)
    before = {path.relative_to(out): path.stat().st_ino for path in out.rglob("*.h5")}
    with (out / "damaged.zip/x.h5").open("r+b") as stream:  # of the same size, and no newer to look at
        stream.write(b"0")
    write_zip(source / "changed.zip", {"x.h5": b"4" * len(b"changed" * 1000), "y.h5": b"2" * 5000})
    write_zip(source / "new.zip", members)
    (source / "gone.zip").unlink()
    manifest = unpack(source, out)
    assert manifest.equals(unpack(source, tmp_path / "fresh")), "as if nothing had been there"
    assert list_files(out) == list_files(tmp_path / "fresh")
    after = {path.relative_to(out): path.stat().st_ino for path in out.rglob("*.h5")}
    kept = {str(path) for path in after if before.get(path) == after[path]}
    assert kept == {"same.zip/x.h5", "same.zip/y.h5", "damaged.zip/y.h5", "changed.zip/y.h5"}


def test_what_an_earlier_run_left_without_manifest_is_not_believed(tmp_path):
    source, out = tmp_path / "raw", tmp_path / "out"
    write_zip(source / "a.zip", {"x.h5": b"1" * 50})
    unpack(source, out)
    inode = (out / "a.zip/x.h5").stat().st_ino
    (out / "manifest.csv").write_text("not a manifest")
    unpack(source, out)
    assert (out / "a.zip/x.h5").stat().st_ino != inode


def test_hidden_files_are_left_out(tmp_path):
    source = tmp_path / "raw"
    write_zip(source / "a.zip", {"__MACOSX/._x.h5": b"1", ".git/y.h5": b"1", "./x.h5": b"2", "d/.z.h5": b"1"})
    for name in (".hidden/x.h5", "__MACOSX/x.h5", ".x.h5"):
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_bytes(b"1")
    assert list(unpack(source, tmp_path / "out").file) == ["a.zip/x.h5"]


@pytest.mark.parametrize("name", ["one.zip", "one.h5"])
def test_a_single_file_is_a_source_too(tmp_path, name):
    if name.endswith("zip"):
        write_zip(tmp_path / name, {"x.h5": b"12"})
    else:
        (tmp_path / name).write_bytes(b"12")
    manifest = unpack(tmp_path / name, tmp_path / "out")
    assert list(manifest.file) == ["one.zip/x.h5" if name.endswith("zip") else "one.h5"]


def test_a_link_to_a_folder_is_not_followed_and_says_so(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "x.h5").write_bytes(b"1")
    (tmp_path / "raw" / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.warns(UserWarning, match="link: a link to a folder is not followed, because DVC does not see"):
        assert [member.member for member in find_entries(tmp_path / "raw")] == ["x.h5"]


def test_the_same_bytes_for_any_number_of_workers_and_whatever_was_there(tmp_path, monkeypatch):
    source, generator = tmp_path / "raw", random.Random(0)
    for archive in "abc":
        content = {f"{name}.h5": generator.randbytes(3_000_000 if name == "x" else 10) for name in "xyz"}
        write_zip(source / f"{archive}.zip", content, zipfile.ZIP_DEFLATED)
    unpack(source, tmp_path / "one")
    (tmp_path / "two" / "old").mkdir(parents=True)
    monkeypatch.setenv("MEA_WORKERS", "2")
    unpack(source, tmp_path / "two")
    assert list_files(tmp_path / "one") == list_files(tmp_path / "two")
    assert not (tmp_path / "two" / "old").exists()


def test_member_names_in_any_alphabet_are_kept_and_unsafe_ones_made_safe(tmp_path):
    write_zip(tmp_path / "raw" / "a.zip", {"Kultur ä/Zellen µ.h5": b"1", "12:30?.h5": b"2", "con.h5": b"3"})
    manifest = unpack(tmp_path / "raw", tmp_path / "out")
    assert list(manifest.file) == ["a.zip/Kultur ä/Zellen µ.h5", "a.zip/12_30_.h5", "a.zip/_con.h5"]
    assert list(manifest.recording) == ["Zellen µ", "12_30_", "_con"]
    assert list(manifest.member) == ["Kultur ä/Zellen µ.h5", "12:30?.h5", "con.h5"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such file names")
def test_file_names_that_are_no_text(tmp_path):
    (tmp_path / "raw").mkdir()
    Path(os.fsdecode(os.fsencode(tmp_path / "raw") + b"/\xff.h5")).write_bytes(b"1")
    manifest = unpack(tmp_path / "raw", tmp_path / "out")
    assert list(manifest.file) == ["_.h5"]
    assert read_manifest(tmp_path / "out").equals(manifest)


def test_real_archives(tmp_path, shared_data):
    source = shared_data / "charlesworth2015" / "2006-09-28_hpc.zip"
    manifest = unpack(source, tmp_path / "out")
    with zipfile.ZipFile(source) as archive:
        expected = {name: hashlib.sha256(archive.read(name)).hexdigest() for name in archive.namelist() if "." in name}
    assert dict(zip(manifest.member, manifest.sha256)) == expected
    with (shared_data / "charlesworth2015" / "recordings.csv").open() as stream:
        assert set(manifest.recording) <= {row["recording"] for row in csv.DictReader(stream)}


def test_copy_and_hash_over_several_blocks(tmp_path):
    content = random.Random(2).randbytes(3 * (1 << 20) + 17)
    (tmp_path / "in").write_bytes(content)
    with (tmp_path / "in").open("rb") as stream, (tmp_path / "out").open("wb") as copy:
        assert copy_and_hash(stream, copy) == (len(content), hashlib.sha256(content).hexdigest())
    assert (tmp_path / "out").read_bytes() == content
