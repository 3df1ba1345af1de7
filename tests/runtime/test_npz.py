"""mea.runtime.npz: an npz whose bytes follow from its arrays alone."""

import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from mea.runtime.npz import save_npz

ARRAYS = {"counts": np.array([[0, 7], [2, 65535]], np.uint16), "names": np.array(["ä", "b"]), "one": np.float64(0.1)}


def test_numpy_reads_back_what_is_written(tmp_path: Path) -> None:
    save_npz(tmp_path / "a.npz", ARRAYS)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        assert file.files == list(ARRAYS)
        for name, values in ARRAYS.items():
            np.testing.assert_array_equal(file[name], values, strict=True)


def test_the_bytes_are_those_of_the_zip_specification(tmp_path: Path) -> None:
    """A stored entry as APPNOTE 6.3 (4.3.7, 4.3.12) lays it out: dated 1980, by Unix, no extra field of any Python."""
    save_npz(tmp_path / "a.npz", {"x": np.arange(3, dtype=np.uint8)})
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (3,), }"
    content = b"\x93NUMPY\x01\x00" + struct.pack("<H", 118) + header.ljust(117) + b"\n" + bytes([0, 1, 2])
    sizes = struct.pack("<III", zlib.crc32(content), len(content), len(content))
    common = struct.pack("<HHHHH", 20, 0, 0, 0, 1 << 5 | 1) + sizes + struct.pack("<HH", 5, 0)  # 1980-01-01, "x.npy"
    local = b"PK\x03\x04" + common + b"x.npy" + content
    central = b"PK\x01\x02" + struct.pack("<BB", 20, 3) + common + struct.pack("<HHHII", 0, 0, 0, 0o600 << 16, 0)
    central += b"x.npy"
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local), 0)
    assert (tmp_path / "a.npz").read_bytes() == local + central + end


def test_objects_are_refused_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Object arrays"):
        save_npz(tmp_path / "a.npz", {"x": np.array([None])})
    assert list(tmp_path.iterdir()) == []


def test_the_old_file_stays_where_the_new_one_fails(tmp_path: Path) -> None:
    save_npz(tmp_path / "a.npz", {"x": np.zeros(2)})
    before = (tmp_path / "a.npz").read_bytes()
    with pytest.raises(ValueError, match="Object arrays"):
        save_npz(tmp_path / "a.npz", {"x": np.zeros(2), "y": np.array([None])})
    assert (tmp_path / "a.npz").read_bytes() == before
    assert zipfile.is_zipfile(tmp_path / "a.npz")
