"""The files that a folder consists of, with their SHA-256: none may be missing or changed when it is used."""

from pathlib import Path

from mea.runtime.errors import MeaError
from mea.runtime.files import hash_file, read_json, write_json

CHECKSUMS = "checksums.json"


def write_checksums(folder: Path) -> None:
    """List every file below a folder, by its path there."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != CHECKSUMS)
    write_json(folder / CHECKSUMS, {path.relative_to(folder).as_posix(): hash_file(path) for path in files})


def check_checksums(folder: Path) -> None:
    """Check that all that :func:`write_checksums` listed is there and as it was; further files do not matter.

    Raises
    ------
    MeaError
        If a file is missing or changed, or there is no list.
    """
    path = folder / CHECKSUMS
    if not path.is_file():
        raise MeaError(
            f"{path}: no such file, so nobody knows whether {folder} is complete. Run dvc repro or dvc pull, or copy "
            "the whole folder again."
        )
    for name, digest in read_json(path).items():
        file = folder / name
        if not file.resolve().is_relative_to(folder.resolve()):
            raise MeaError(f"{path}: lists {name!r}, which is outside the folder. Do not use it: copy it again.")
        if not file.is_file():
            raise MeaError(f"{file}: is missing, but {CHECKSUMS} lists it. Run dvc checkout, or copy the folder again.")
        if hash_file(file) != digest:
            raise MeaError(
                f"{file}: is not as it was written (its SHA-256 is not the one in {CHECKSUMS}). Run dvc checkout "
                "--force, or copy the folder again."
            )
