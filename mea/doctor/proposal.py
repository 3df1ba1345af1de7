"""A table of the recordings to be filled in: what the doctor knows of them, and empty cells for the rest."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from mea.doctor.files import Examined
from mea.recordings.recording import Recording
from mea.runtime.errors import MeaError
from mea.runtime.tables import write_table

COLUMNS = ["recording", "label", "culture", "batch", "archive", "member", "start", "duration_s"]


def check_absent(path: Path) -> None:
    """Refuse to write over a table.

    Raises
    ------
    MeaError
        If there is something of that name.
    """
    if path.exists():
        raise MeaError(f"--propose {path}: there is such a file, and it is never written over. Name another.")


def propose_table(examined: Sequence[Examined], path: Path) -> int:
    """Write the proposal; how many cells of label, culture and batch are empty in it.

    The columns after ``batch`` help to fill it in; the pipeline does not read them. Culture and batch are not guessed:
    only who made the recording knows which network it was.
    """
    rows = []
    for one in examined:
        recording = one.result
        if isinstance(recording, Recording):
            who = (recording.recording, recording.label, recording.culture, recording.batch)
            rows.append((*who, one.archive, one.member, recording.source.start, recording.source.duration_s))
    table = pd.DataFrame(rows, columns=COLUMNS)
    write_table(path, table)
    return int((table[["label", "culture", "batch"]] == "").to_numpy().sum())
