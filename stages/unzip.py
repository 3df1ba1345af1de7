"""Unpack a lab's archives, copy its loose files of recordings, and list them all with their checksums.

Reads the source folder (or one file). Writes data/unzip with manifest.csv. An archive that cannot be unpacked is listed
there with the reason; the h5 stage then stops or sets it aside (h5.on_bad_recording).
"""

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from mea.recordings.archives import unpack
from mea.recordings.formats import OWN
from mea.recordings.other_files import explain_other_files, list_suffixes
from mea.runtime.command import print_line, run_command
from mea.runtime.params import StageParams


class Params(StageParams):
    source: str = Field(
        min_length=1,
        description="folder with archives or recordings (docs/formats.md), recordings.csv, plates.csv, layouts.csv",
    )
    reader: Literal["own", "neo"] | None = Field(description="neo: files of its formats are unpacked, too; null: own")

    shared: ClassVar[dict[str, str]] = {"reader": "h5.reader"}


def unzip(params: Params, out: Path) -> None:
    """Unpack ``params.source`` into ``out``."""
    manifest = unpack(Path(params.source), out, list_suffixes(params.reader or OWN))
    broken = manifest[manifest.error != ""]
    print_line(f"unzip: {len(manifest) - len(broken)} files unpacked to {out}")
    for error in broken.error:
        print_line(f"unzip: cannot be used: {error}")
    for sentence in explain_other_files(Path(params.source), set(zip(manifest.archive, manifest.member))):
        print_line(f"unzip: {sentence}")


if __name__ == "__main__":
    run_command(unzip, Params, source="", out="data/unzip")
