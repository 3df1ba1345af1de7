"""Archives: what is refused, with which words."""

import random
import zipfile
from pathlib import Path

import pytest
from builders.archives import list_files, write_zip

from mea.recordings.archives import unpack
from mea.recordings.manifest import read_manifest
from mea.recordings.naming import LONGEST_NAME_BYTES
from mea.runtime.errors import MeaError

pytestmark = pytest.mark.usefixtures("alone")  # worker processes would take longer than the work


def read_errors(source: Path, out: Path) -> dict[str, str]:
    """Unpack; the errors by recording, after checking that nothing of a broken member is left."""
    manifest = unpack(source, out)
    used = set(manifest.file[manifest.error == ""])
    assert set(list_files(out)) - {"manifest.csv", "recordings.csv"} == used
    assert all((manifest.file != "") == (manifest.error == ""))
    return dict(zip(manifest.recording, manifest.error))


def test_not_a_zip(tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "b.zip").write_bytes(b"<html>404</html>")
    (tmp_path / "raw" / "x.h5").write_bytes(b"1")
    errors = read_errors(tmp_path / "raw", tmp_path / "out")
    assert errors["x"] == ""
    assert errors["b.zip"].startswith("b.zip: not a zip archive")
    assert "Copy it again" in errors["b.zip"]


def test_empty_file_named_zip(tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "b.zip").write_bytes(b"")
    assert "not a zip archive" in read_errors(tmp_path / "raw", tmp_path / "out")["b.zip"]


def test_truncated_zip(tmp_path):
    write_zip(tmp_path / "raw" / "b.zip", {"x.h5": bytes(1000), "y.h5": bytes(1000)})
    whole = (tmp_path / "raw" / "b.zip").read_bytes()
    for size in (10, 500, 1500, len(whole) - 30):
        (tmp_path / "raw" / "b.zip").write_bytes(whole[:size])
        errors = read_errors(tmp_path / "raw", tmp_path / "out")
        assert list(errors) == ["b.zip"]
        assert "b.zip: this zip archive is truncated or damaged" in errors["b.zip"]


def test_encrypted_zip(tmp_path):
    path = tmp_path / "raw" / "b.zip"
    write_zip(path, {"x.h5": b"secret", "y.h5": b"plain"})
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x03\x04") + 6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    errors = read_errors(tmp_path / "raw", tmp_path / "out")
    assert "x.h5 of b.zip: encrypted. Unpack it with its password" in errors["x"]
    assert errors["y"] == ""


def test_unknown_compression(tmp_path):
    path = tmp_path / "raw" / "b.zip"
    write_zip(path, {"x.h5": b"12"})
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x03\x04") + 8] = 97
    content[content.index(b"PK\x01\x02") + 10] = 97
    path.write_bytes(content)
    error = read_errors(tmp_path / "raw", tmp_path / "out")["x"]
    assert "x.h5 of b.zip: compressed by method 97, which is unknown here" in error


def test_no_hdf5_inside(tmp_path):
    write_zip(tmp_path / "raw" / "a.zip", {"x.txt": b"1"})
    write_zip(tmp_path / "raw" / "b.zip", {"inner.zip": b"1"})
    write_zip(tmp_path / "raw" / "c.zip", {})
    errors = read_errors(tmp_path / "raw", tmp_path / "out")
    assert (
        "a.zip: nothing that is read (.h5, .hdf5, .brw, .bxr, .nwb or a spike table) inside this archive. Put it"
        in errors["a.zip"]
    )
    assert "b.zip/inner.zip: this zip archive is truncated or damaged" in errors["inner.zip"]
    assert "nothing that is read" in errors["c.zip"]


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_damaged_member(tmp_path, compression):
    path, content = tmp_path / "raw" / "b.zip", random.Random(1).randbytes(5_000_000)
    write_zip(path, {"good.h5": b"1", "bad.h5": content}, compression)
    damaged = bytearray(path.read_bytes())
    damaged[4_000_000] ^= 255
    path.write_bytes(damaged)
    errors = read_errors(tmp_path / "raw", tmp_path / "out")
    assert errors["good"] == ""
    assert "bad.h5 of b.zip: damaged" in errors["bad"]
    assert "Copy the archive again" in errors["bad"]


@pytest.mark.parametrize(
    "name",
    [
        "../x.h5",
        "a/../../x.h5",
        "/etc/x.h5",
        "C:/x.h5",
        "c:x.h5",
        "..\\x.h5",
        "\\\\server\\x.h5",
        "x\x00y.h5",
    ],
)
def test_member_that_leaves_the_folder(tmp_path, name):
    path = tmp_path / "raw" / "b.zip"
    # The zip module cuts names at a NUL, so a letter stands in for it, which is then replaced in the file.
    write_zip(path, {name.replace("\x00", "Q"): b"1", "good.h5": b"2"})
    if "\x00" in name:
        path.write_bytes(path.read_bytes().replace(b"xQy.h5", b"x\x00y.h5"))
    before = set(tmp_path.rglob("*"))
    errors = read_errors(tmp_path / "raw", tmp_path / "out")
    assert [bool(error) for error in errors.values()] == [True, False]
    assert "its path would leave the folder it is unpacked to" in next(iter(errors.values()))
    new = {path for path in set(tmp_path.rglob("*")) - before if path.is_file()}
    assert new == {tmp_path / "out" / "manifest.csv", tmp_path / "out" / "b.zip" / "good.h5"}


def test_same_member_name_twice(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        for name in ("x.h5", "x.h5", "Y.h5", "y.h5", "z.h5"):
            archive.writestr(name, name)
    manifest = unpack(tmp_path / "b.zip", tmp_path / "out")
    assert list(manifest.error != "") == [True, True, True, True, False]
    assert len({name.casefold() for name in manifest.recording}) == 5
    assert "x.h5 of b.zip: occurs twice" in manifest.error[0]
    assert "Rename one" in manifest.error[0]
    assert set(list_files(tmp_path / "out")) == {"manifest.csv", "b.zip/z.h5"}


def test_name_too_long(tmp_path):
    write_zip(tmp_path / "b.zip", {f"{'x' * 300}.h5": b"1"})
    manifest = unpack(tmp_path / "b.zip", tmp_path / "out")
    assert f"a name in its path is longer than {LONGEST_NAME_BYTES} bytes" in manifest.error[0]
    assert len(manifest.recording[0]) <= LONGEST_NAME_BYTES


def test_a_member_below_another_member(tmp_path):
    write_zip(tmp_path / "b.zip", {"x.h5": b"1", "x.h5/y.h5": b"2"})
    manifest = unpack(tmp_path / "b.zip", tmp_path / "out")
    assert manifest.error[0] == ""
    assert "x.h5/y.h5 of b.zip: cannot be unpacked (" in manifest.error[1]
    assert "Rename it" in manifest.error[1]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this machine")
def test_disk_full(tmp_path, monkeypatch):
    (tmp_path / "x.h5").write_bytes(bytes(100_000))
    monkeypatch.setattr("mea.recordings.members.make_safe_name", lambda name: "/dev/full")
    with pytest.raises(MeaError, match=r"x\.h5: the disk is full \(\d+\.\d GB are free.*\)\. Make room"):
        unpack(tmp_path / "x.h5", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["x.h5"]


def test_unreadable_archive(tmp_path):
    (tmp_path / "raw" / "b.zip").mkdir(parents=True)
    (tmp_path / "raw" / "c.zip").symlink_to(tmp_path / "missing")
    error = read_errors(tmp_path / "raw", tmp_path / "out")["c.zip"]
    assert "c.zip: cannot be read (No such file" in error


def test_missing_empty_and_unfit_sources(tmp_path):
    with pytest.raises(
        MeaError, match=r"nowhere: no such folder or file\. Put archives \(\.zip, \.tar, \.tar\.gz\), HDF5 files"
    ):
        unpack(tmp_path / "nowhere", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "recordings.csv").write_text("recording,label\n")
    with pytest.raises(MeaError, match=r"empty: this folder holds no recordings\. Put archives"):
        unpack(tmp_path / "empty", tmp_path / "out")
    (tmp_path / "x.txt").write_text("")
    with pytest.raises(MeaError, match=r"x\.txt: neither a folder nor a file that is read\. 1 file left out"):
        unpack(tmp_path / "x.txt", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("out", ["raw", "raw/out", "."])
def test_source_and_output_within_each_other(tmp_path, out):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "x.h5").write_bytes(b"1")
    with pytest.raises(MeaError, match="lie within each other, and the output folder is emptied first"):
        unpack(tmp_path / "raw", tmp_path / out)
    assert (tmp_path / "raw" / "x.h5").exists()


def test_manifest_missing_or_of_another_kind(tmp_path):
    with pytest.raises(MeaError, match=r"manifest\.csv: no such file\. Run the unzip stage first"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.csv").write_text("recording,file\n")
    with pytest.raises(MeaError, match="has the columns recording, file, not recording, archive"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.csv").write_text("")
    with pytest.raises(MeaError, match="not a manifest written by the unzip stage"):
        read_manifest(tmp_path)
