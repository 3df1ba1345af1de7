"""Zip archives with one fault each, of those that Python's zipfile reports by an exception of another kind."""

from collections.abc import Callable

DIRECTORY, LOCAL = b"PK\x01\x02", b"PK\x03\x04"


def change_directory(offset: int, value: int) -> Callable[[bytes], bytes]:
    """Set a byte in the first entry of the directory."""

    def change(content: bytes) -> bytes:
        spoilt = bytearray(content)
        spoilt[content.index(DIRECTORY) + offset] = value
        return bytes(spoilt)

    return change


def deflate_falsely(content: bytes) -> bytes:
    """The first member is said to be compressed, and is not."""
    spoilt = bytearray(content)
    spoilt[content.index(LOCAL) + 8] = spoilt[content.index(DIRECTORY) + 10] = 8
    return bytes(spoilt)


def lengthen(content: bytes) -> bytes:
    """The first member is said to be longer than the file: EOFError, for who reads it to its end."""
    spoilt, first = bytearray(content), content.index(DIRECTORY)
    spoilt[first + 20 : first + 28] = (2**30).to_bytes(4, "little") * 2
    return bytes(spoilt)


ZIP_FAULTS: dict[str, Callable[[bytes], bytes]] = {
    "version": change_directory(6, 253),  # NotImplementedError
    "compression": change_directory(10, 99),  # NotImplementedError
    "encrypted": change_directory(8, 1),  # RuntimeError
    "no deflate": deflate_falsely,  # zlib.error
}
