"""Tar archives, plain and compressed: what comes out, what is left out, what is refused."""

import io
import tarfile
import zipfile
from pathlib import Path

import pytest
from builders.recordings import write_small_spike_times

from mea.recordings.archives import unpack
from mea.recordings.zip_files import open_archive


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setenv("MEA_WORKERS", "1")
    monkeypatch.setenv("MEA_QUIET", "1")
    open_archive.cache_clear()


@pytest.fixture
def recording(tmp_path) -> Path:
    write_small_spike_times(tmp_path / "one.h5")
    return tmp_path / "one.h5"


def write_tar(path: Path, members: dict[str, bytes | tarfile.TarInfo], mode: str = "w") -> Path:
    path.parent.mkdir(exist_ok=True)
    with tarfile.open(path, mode) as archive:
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
                continue
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def make_link(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def read_errors(source: Path, out: Path) -> list[str]:
    return [error for error in unpack(source, out)["error"] if error]


@pytest.mark.parametrize(
    ("suffix", "mode"),
    [(".tar", "w"), (".tar.gz", "w:gz"), (".TGZ", "w:gz"), (".tar.xz", "w:xz"), (".tar.bz2", "w:bz2")],
)
def test_recordings_come_out_byte_for_byte_from_folders_of_any_name(tmp_path, recording, suffix, mode):
    content = recording.read_bytes()
    long = "a" * 120 + "/größe µM.h5"
    write_tar(tmp_path / "raw" / f"x{suffix}", {"./week 1/one.h5": content, long: content, "notes.txt": b"1"}, mode)
    manifest = unpack(tmp_path / "raw", tmp_path / "out")
    assert list(manifest["error"]) == ["", ""]
    assert sorted(manifest["member"]) == sorted(["./week 1/one.h5", long]) or len(manifest) == 2
    for file in manifest["file"]:
        assert (tmp_path / "out" / file).read_bytes() == content


def test_archives_inside_one_another_are_opened_whichever_kind_they_are(tmp_path, recording):
    content = recording.read_bytes()
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("in zip.h5", content)
    write_tar(tmp_path / "outer.tar.gz", {"inner.zip": inner.getvalue(), "in tar.h5": content}, "w:gz")
    (tmp_path / "raw").mkdir()
    with zipfile.ZipFile(tmp_path / "raw" / "x.zip", "w") as archive:
        archive.write(tmp_path / "outer.tar.gz", "deep/outer.tar.gz")
    manifest = unpack(tmp_path / "raw", tmp_path / "out")
    assert sorted(manifest["recording"]) == ["in tar", "in zip"]
    assert all((tmp_path / "out" / file).read_bytes() == content for file in manifest["file"])


def test_links_and_devices_are_left_out_with_a_word(tmp_path, recording):
    members = {
        "one.h5": recording.read_bytes(),
        "link.h5": make_link("link.h5", tarfile.SYMTYPE, "/etc/passwd"),
        "pipe.h5": make_link("pipe.h5", tarfile.FIFOTYPE),
    }
    write_tar(tmp_path / "raw" / "x.tar", members)
    with pytest.warns(UserWarning, match=r"x\.tar: 2 links or devices"):
        manifest = unpack(tmp_path / "raw", tmp_path / "out")
    assert list(manifest["recording"]) == ["one"]


@pytest.mark.parametrize("name", ["../one.h5", "/one.h5", "a/../../one.h5"])
def test_a_member_that_would_leave_the_folder_is_refused(tmp_path, recording, name):
    write_tar(tmp_path / "raw" / "x.tar", {name: recording.read_bytes()})
    (error,) = read_errors(tmp_path / "raw", tmp_path / "out")
    assert "would leave the folder" in error
    assert not list((tmp_path / "out").rglob("*.h5"))


def test_damage_is_named_wherever_it_is(tmp_path, recording):
    whole = write_tar(tmp_path / "whole.tar.gz", {"one.h5": recording.read_bytes()}, "w:gz").read_bytes()
    cuts = [b"", whole[:5], whole[:600], whole[: len(whole) // 2], b"no archive at all" * 100]
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF
    for number, content in enumerate([*cuts, bytes(flipped)]):
        source = tmp_path / f"raw {number}"
        source.mkdir()
        (source / "x.tar.gz").write_bytes(content)
        (error,) = read_errors(source, tmp_path / f"out {number}")
        assert error.startswith("x.tar.gz: this tar archive is truncated or damaged"), error
        assert "Copy it again" in error


def test_holes_that_stand_for_any_number_of_zeros_are_refused(tmp_path):
    """A sparse member of 1 TB in an archive of 10 kB, as GNU tar writes it."""
    header = bytearray(tarfile.TarInfo("bomb.h5").tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"%011o\0" % 512  # stored
    header[156:157] = b"S"
    header[386:398], header[398:410] = b"%011o\0" % 0, b"%011o\0" % 512
    header[483:495] = b"\x80" + (10**12).to_bytes(11, "big")  # real size
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "x.tar").write_bytes(bytes(header) + b"\0" * 512 + b"\0" * 10240)
    (error,) = read_errors(tmp_path / "raw", tmp_path / "out")
    assert "holes" in error
