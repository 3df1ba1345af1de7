"""Tabulate the summary features of every recording, one row each, for other programs and for the contrast.

Reads data/array and data/split. Writes data/features: features.csv and features.parquet (identity, the lab's own
columns, then one column a feature) and dictionary.csv (name, family, unit and description of each). Nothing is computed
twice: models read from the same cache.
"""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import Field

from mea.features.families import build_feature_table, list_summaries
from mea.features.recordings import compute_chunks, summarise_recordings
from mea.recordings.lab_columns import read_passed_on
from mea.runtime.command import print_line, run_command
from mea.runtime.files import fresh_folder
from mea.runtime.parallel import run_parallel
from mea.runtime.params import StageParams
from mea.runtime.tables import read_table, write_table
from mea.splitting.baselines import NONE, RATIO, How, open_recordings
from mea.splitting.groups import list_recordings


class Params(StageParams):
    """Whether features are referred to another recording; chunks are those of the split."""

    baseline: How = Field(
        description="ratio or difference: refer features to the recording that the column baseline names; none: do not"
    )


def tabulate(params: Params, array: Path, split: Path, out: Path) -> None:
    """Write one row for each recording of the split."""
    chunks = read_table(split / "chunks.csv")
    parts = [part for _, part in chunks.groupby("recording", sort=True)]
    found = run_parallel(partial(compute_one, array=array), parts, "features", begin_here=True)
    has_waveforms = all(with_waveforms for with_waveforms, _ in found)
    names = list_summaries(has_waveforms)
    waveforms = list_summaries(True)
    kept = [waveforms.index(name) for name in names]  # where some have no voltages, none has features of waveforms
    values = np.array([row[kept] if own and not has_waveforms else row for own, row in found])
    recordings = list_recordings(chunks).sort_values("recording", kind="stable").reset_index(drop=True)
    own = read_passed_on(array)  # the lab's own columns stand before the features
    recordings = recordings.merge(own, how="left", left_on="recording", right_index=True).reset_index(drop=True)
    with fresh_folder(out) as folder:
        table = pd.concat([recordings, pd.DataFrame(values, columns=names)], axis=1)
        write_table(folder / "features.csv", table)
        table.to_parquet(folder / "features.parquet", engine="pyarrow", index=False)  # all digits, and types
        write_table(folder / "dictionary.csv", format_baseline(build_feature_table(has_waveforms), params.baseline))
    print_line(f"features: {len(names)} of {len(recordings)} recordings in {out}")


def format_baseline(dictionary: pd.DataFrame, how: str) -> pd.DataFrame:
    """The data dictionary, where features are relative to those of a baseline: units and descriptions say so."""
    if how == NONE:
        return dictionary
    divided = (how == RATIO) & ~dictionary["unit"].str.startswith("log10")
    said = np.where(divided, ", divided by that of the baseline", ", minus that of the baseline")
    return dictionary.assign(
        unit=dictionary["unit"].mask(divided, "ratio"), description=dictionary["description"] + said
    )


def compute_one(chunks: pd.DataFrame, array: Path) -> tuple[bool, np.ndarray]:
    """Whether a recording has waveforms, and its features."""
    name = chunks["recording"].iloc[0]
    events = open_recordings(array, chunks)
    return events[name].has_waveforms, summarise_recordings(chunks, events, compute_chunks(chunks, events))[0]


if __name__ == "__main__":
    run_command(tabulate, Params, array="data/array", split="data/split", out="data/features")
