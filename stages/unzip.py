"""Unpack the archives and loose HDF5 files of a lab, list them with their checksums.

Reads the source folder (or one file). Writes data/unzip with manifest.csv; an archive that cannot be unpacked is listed
there with what is wrong, and the h5 stage decides what becomes of it.
"""

from pathlib import Path

from pydantic import Field

from mea.recordings.archives import unpack
from mea.runtime.command import print_line, run_command
from mea.runtime.params import StageParams


class Params(StageParams):
    source: str = Field(min_length=1, description="folder with *.zip, *.h5 or *.hdf5 and, if you like, recordings.csv")


def unzip(params: Params, out: Path) -> None:
    """Unpack ``params.source`` into ``out``."""
    manifest = unpack(Path(params.source), out)
    broken = manifest[manifest.error != ""]
    print_line(f"unzip: {len(manifest) - len(broken)} files unpacked to {out}")
    for error in broken.error:
        print_line(f"unzip: cannot be used: {error}")


if __name__ == "__main__":
    run_command(unzip, Params, source="", out="data/unzip")
