"""Write one small HDF5 file per recording, in the same form for every rig, and a catalogue of all recordings.

Reads data/unzip. Labels, cultures and batches come from its recordings.csv, or else from patterns in the file names; of
the wells of plates, from its plates.csv.
Writes data/h5: <recording>.h5, catalogue.csv and params.json; and metrics/h5.json.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field

from mea.recordings.catalogue import (
    build_catalogue,
    check_classes,
    count_recordings,
    reject_duplicates,
    reject_missing,
    reject_or_raise,
)
from mea.recordings.lab_columns import build_lab_columns, write_lab_columns
from mea.recordings.lab_layouts import find_layouts
from mea.recordings.lab_tables import read_rows
from mea.recordings.labels import (
    FilePatterns,
    GroupPattern,
    LabelPatterns,
    Part,
    build_recordings,
    choose_identify,
    warn_of_odd_groups,
)
from mea.recordings.manifest import PLATES_CSV, RECORDINGS_CSV, read_manifest
from mea.recordings.plate_map import read_plate_map
from mea.recordings.reading import read_recordings
from mea.runtime.command import print_line, run_command
from mea.runtime.files import fresh_folder, write_json
from mea.runtime.params import StageParams
from mea.runtime.tables import write_table


class Params(StageParams):
    labels: LabelPatterns = Field(
        description="for each label, the texts that mark it in a file name; recordings.csv takes precedence"
    )
    part: Part = Field(
        description="where labels stand: auto (file name, else the nearest folder that holds one), name or folder"
    )
    culture: GroupPattern = Field(
        description="regular expression with one group that finds the culture in a file name, or empty"
    )
    batch: GroupPattern = Field(
        description="regular expression with one group that finds the batch in a file name, or empty"
    )
    stream: Literal["raw", "filtered", "spikes"] = Field(
        description="which electrode stream to read if a file has both; spikes: those that the rig's software found"
    )
    reader: Literal["own", "neo"] = Field(
        description="own: the formats of docs/formats.md; neo: files of other formats, too, by the package neo"
    )
    on_bad_recording: Literal["error", "skip"] = Field(
        description="error: stop; skip: set the recording aside, list it and continue"
    )


def build(params: Params, unzip: Path, out: Path, metrics: Path) -> None:
    """Turn the unpacked files of ``unzip`` into recordings in ``out``."""
    table = unzip / RECORDINGS_CSV
    rows = read_rows(table) if table.exists() else []
    listed, columns = (build_recordings(rows, table), build_lab_columns(rows, table)) if rows else (None, None)
    plates = read_plate_map(unzip / PLATES_CSV) if (unzip / PLATES_CSV).exists() else None
    identify = choose_identify(listed, FilePatterns(params.labels, params.culture, params.batch, params.part), plates)
    manifest, layouts = reject_duplicates(read_manifest(unzip)), find_layouts(unzip)
    with fresh_folder(out) as work:
        results = read_recordings(unzip, manifest, params.stream, identify, work, layouts, params.reader)
        if listed is not None:
            results += reject_missing(listed.index, results, manifest, table)
        recordings = reject_or_raise(results, params.on_bad_recording)
        check_classes(recordings)
        warn_of_odd_groups(recordings)
        if columns is not None:
            file_ids = dict(zip(manifest["file"], manifest["recording"]))
            files = {one.recording: file_ids[one.file] for one in recordings}
            write_lab_columns(work, columns, files, recordings)
        write_table(work / "catalogue.csv", build_catalogue(results))
        write_json(work / "params.json", {"h5": params.model_dump()})
    write_json(metrics, count_recordings(results))
    print_line(f"h5: {len(recordings)} recordings in {out}, {len(results) - len(recordings)} set aside")


if __name__ == "__main__":
    run_command(build, Params, unzip="data/unzip", out="data/h5", metrics="metrics/h5.json")
