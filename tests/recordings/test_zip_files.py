"""Archives as labs have them: names in old encodings, Deflate64, archives inside archives, bytes used twice."""

import io
import struct
import zipfile
import zlib

import inflate64
import numpy as np
import pytest

from mea.recordings.archives import unpack

LOCAL, CENTRAL, END = b"PK\3\4", b"PK\1\2", b"PK\5\6"


def build_zip(members, flag=0, method=0):
    """A zip archive from (name as bytes, content, stored content), as old tools write it."""
    out, central = io.BytesIO(), b""
    for name, content, stored in members:
        at = out.tell()
        sizes = (zlib.crc32(content), len(stored), len(content), len(name), 0)
        head = struct.pack("<HHHHHIIIHH", 45, flag, method, 0, 0x5821, *sizes)
        out.write(LOCAL + head + name + stored)
        central += CENTRAL + struct.pack("<H", 45) + head + struct.pack("<HHHII", 0, 0, 0, 0, at) + name
    end = struct.pack("<HHHHIIH", 0, 0, len(members), len(members), len(central), out.tell(), 0)
    return out.getvalue() + central + END + end


def unpack_bytes(tmp_path, content, name="a.zip"):
    """The manifest of one archive, by member, and the folder."""
    (tmp_path / "raw").mkdir(exist_ok=True)
    (tmp_path / "raw" / name).write_bytes(content)
    return unpack(tmp_path / "raw", tmp_path / "out").set_index("member"), tmp_path / "out"


CONTENT = np.random.default_rng(0).integers(0, 8, 300_000).astype(np.uint8).tobytes() + bytes(200_000)


def deflate64(content):
    deflater = inflate64.Deflater()
    return deflater.deflate(content) + deflater.flush()


def deflate(content):
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(content) + packer.flush()


@pytest.mark.parametrize("pack", [deflate64, deflate], ids=["Deflate64", "Deflate, called Deflate64"])
def test_deflate64_is_read(tmp_path, pack):
    stored = pack(CONTENT)
    assert len(stored) < len(CONTENT) / 2
    manifest, out = unpack_bytes(tmp_path, build_zip([(b"x.h5", CONTENT, stored)], method=9))
    assert manifest.error.to_dict() == {"x.h5": ""}
    assert (out / manifest.file["x.h5"]).read_bytes() == CONTENT


@pytest.mark.parametrize("fault", ["flipped", "cut", "too long"])
def test_damaged_deflate64_is_named(tmp_path, fault):
    stored = bytearray(deflate64(CONTENT))
    declared = CONTENT
    if fault == "flipped":
        stored[len(stored) // 2] ^= 255
    elif fault == "cut":
        del stored[len(stored) // 2 :]
    else:
        declared = CONTENT[:1000]
    manifest, out = unpack_bytes(tmp_path, build_zip([(b"x.h5", declared, bytes(stored))], method=9))
    assert "x.h5 of a.zip: damaged (" in manifest.error["x.h5"]
    assert not list(out.rglob("*.h5"))


@pytest.mark.parametrize(
    ("name", "member", "flag"),
    [
        ("对照_control_1.h5".encode("gbk"), "对照_control_1.h5", 0),
        ("Größe_1.h5".encode("cp437"), "Größe_1.h5", 0),
        ("Größe_1.h5".encode(), "Größe_1.h5", 0),  # UTF-8 without saying so
        ("über.h5".encode("cp437"), "über.h5", 0),
        ("对照.h5".encode(), "对照.h5", 1 << 11),
        (b"control\\rec 1.h5", "control/rec 1.h5", 0),
    ],
)
def test_names_in_old_encodings(tmp_path, name, member, flag):
    manifest, out = unpack_bytes(tmp_path, build_zip([(name, b"1", b"1")], flag))
    assert list(manifest.index) == [member] and manifest.error[member] == ""
    assert (out / manifest.file[member]).read_bytes() == b"1"


def test_names_of_no_encoding_stay_apart(tmp_path):
    """Shift JIS is not recognised: the names are odd, but each file has its own."""
    names = [f"{word}_1.h5".encode("shift_jis") for word in ("対照", "対象", "処理")]
    manifest, _ = unpack_bytes(tmp_path, build_zip([(name, bytes([k]), bytes([k])) for k, name in enumerate(names)]))
    assert set(manifest.error) == {""} and manifest.recording.nunique() == manifest.file.nunique() == 3


@pytest.mark.parametrize("name", [b"..\\x.h5", b"a\\..\\..\\x.h5", b"C:\\x.h5", b"\\\\server\\x.h5"])
def test_backslashes_do_not_leave_the_folder(tmp_path, name):
    manifest, _ = unpack_bytes(tmp_path, build_zip([(name, b"1", b"1")]))
    assert "would leave the folder" in manifest.error.iloc[0]
    assert not list(tmp_path.rglob("x.h5"))


def nest(depth, content=b"12"):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("week/x.h5", content) if depth == 0 else archive.writestr("batch 1.zip", nest(depth - 1))
        archive.writestr("other.h5", str(depth).encode())
    return inner.getvalue()


def test_an_archive_inside_an_archive(tmp_path):
    manifest, out = unpack_bytes(tmp_path, nest(1))
    found = dict(zip(manifest.archive + ":" + manifest.index, manifest.file))
    assert set(found) == {"a.zip/batch 1.zip:week/x.h5", "a.zip/batch 1.zip:other.h5", "a.zip:other.h5"}
    assert (out / found["a.zip/batch 1.zip:week/x.h5"]).read_bytes() == b"12"
    assert (out / found["a.zip/batch 1.zip:other.h5"]).read_bytes() == b"0"
    assert (out / found["a.zip:other.h5"]).read_bytes() == b"1"
    assert manifest.recording.is_unique


def test_archives_are_not_opened_without_end(tmp_path):
    manifest, _ = unpack_bytes(tmp_path, nest(4))
    assert manifest.error.str.contains("3 archives inside one another. Unpack the innermost").sum() == 1
    assert (manifest.error == "").sum() == 3


def test_bytes_that_two_members_share_are_refused(tmp_path):
    """As in the archive of D. Fifield (USENIX WOOT 2019), in which a few kB unpack to terabytes."""
    whole = bytearray(build_zip([(b"x.h5", b"1" * 5000, b"1" * 5000), (b"y.h5", b"2", b"2")]))
    second = whole.rindex(CENTRAL)
    whole[second + 42 : second + 46] = struct.pack("<I", 200)  # y.h5 begins within x.h5
    manifest, _ = unpack_bytes(tmp_path, bytes(whole))
    assert "shares its bytes with another member" in manifest.error["x.h5"]
