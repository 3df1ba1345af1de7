"""A proposed recordings.csv: what the doctor knows of the recordings, and empty cells to be filled in."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mea.doctor.files import Examined
from mea.recordings.recording import LabelledRecording
from mea.runtime.errors import MeaError
from mea.runtime.tables import write_table

COLUMNS = ["recording", "label", "culture", "batch", "archive", "member", "start", "duration_s", "note"]


def check_absent(path: Path) -> None:
    """Refuse to overwrite a table.

    Raises
    ------
    MeaError
        If there is something of that name.
    """
    if path.exists():
        raise MeaError(f"--propose {path}: this file exists, and it is never overwritten. Name another.")


def propose_table(examined: Sequence[Examined], path: Path) -> int:
    """Write the proposal, and return how many cells of label, culture and batch are empty in it.

    The columns after ``batch`` help to fill it in; the pipeline does not read them. Culture and batch are not guessed:
    only who made the recording knows which network it was. A file that cannot be read has a row, too: with
    ``h5.on_bad_recording: skip`` it is set aside, and the table may list it.
    """
    rows = []
    for one in examined:
        recording = one.result
        if isinstance(recording, LabelledRecording):
            who = (recording.recording, recording.label, recording.culture, recording.batch)
            rows.append((*who, one.archive, one.member, recording.source.start, recording.source.duration_s, ""))
        else:
            rows.append((recording.recording, "", "", "", one.archive, one.member, "", np.nan, "cannot be read"))
    table = pd.DataFrame(rows, columns=COLUMNS)
    write_table(path, table)
    return int((table[["label", "culture", "batch"]] == "").to_numpy().sum())
