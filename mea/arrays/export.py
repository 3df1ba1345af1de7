"""The command ``mea export``: spikes of recordings, with who they are, for other programs.

- ``nwb``: one file a recording, with its electrodes and a unit for each of them (and ``--voltages``: what the rig
  recorded), as SpikeInterface, neo and MatNWB read it. It needs pynwb.
- ``parquet``: one table of all spikes, a row each, as pandas, R and DuckDB read it.
"""

import argparse
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd

from mea.arrays.events import SpikeEvents
from mea.arrays.events_file import load_events
from mea.recordings.identities import read_identities
from mea.recordings.recording import Identity, read_recording
from mea.runtime.command import end_plainly, print_line
from mea.runtime.errors import MeaError
from mea.runtime.files import fresh_file
from mea.runtime.parallel import show_progress, show_warnings_plainly

FORMATS = ("nwb", "parquet")
TABLE = "spikes.parquet"


def build_parser(prog: str) -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog=prog, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recordings", metavar="RECORDING", nargs="*", help="some of them (all)")
    parser.add_argument("--to", choices=FORMATS, required=True, help="the format")
    parser.add_argument("--out", metavar="FOLDER", type=Path, required=True, help="where the files go")
    parser.add_argument("--array", metavar="FOLDER", type=Path, default=Path("data/array"), help="data/array")
    parser.add_argument("--h5", metavar="FOLDER", type=Path, default=Path("data/h5"), help="data/h5")
    parser.add_argument("--unzip", metavar="FOLDER", type=Path, default=Path("data/unzip"), help="data/unzip")
    parser.add_argument("--voltages", action="store_true", help="nwb: also what the rig recorded, unfiltered")
    return parser


def main(argv: list[str] | None = None, prog: str = "mea export") -> None:
    """Write the files; a user's mistake ends with its message and status 1."""
    arguments = build_parser(prog).parse_args(argv)
    show_warnings_plainly()
    with end_plainly("export", "interrupted; what was written is whole."):
        count = run_export(arguments)
        print_line(f"export: {count} recordings in {arguments.out}")


def run_export(arguments: argparse.Namespace) -> int:
    """Write the files, and return how many recordings they hold.

    Raises
    ------
    MeaError
        If the package that the format needs is missing, a recording is unknown, or a file is there already.
    """
    if arguments.to == "nwb" and find_spec("pynwb") is None:
        raise MeaError("--to nwb needs the package pynwb, which is not installed: pip install pynwb.")
    if arguments.voltages and arguments.to != "nwb":
        raise MeaError("--voltages goes with --to nwb: a table of spikes holds no voltages.")
    names = choose_recordings(arguments.array, arguments.recordings)
    arguments.out.mkdir(parents=True, exist_ok=True)
    targets = [arguments.out / (f"{name}.nwb" if arguments.to == "nwb" else TABLE) for name in names]
    if there := [path for path in targets if path.exists()]:
        raise MeaError(f"{there[0]}: is there already. Remove it, or name another --out.")
    if arguments.to == "parquet":
        write_parquet(arguments.out / TABLE, arguments.array, names)
        return len(names)
    listed = read_identities(arguments.array)
    from mea.arrays.export_nwb import write_nwb

    for name, target in zip(show_progress(names, desc="export"), targets):
        recording, events = read_recording(arguments.h5 / f"{name}.h5"), load_events(arguments.array / f"{name}.npz")
        who = Identity(name, *listed.loc[name])
        file = arguments.unzip / recording.file if arguments.voltages else None
        with fresh_file(target) as work:
            write_nwb(work, recording, who, events, file)
    return len(names)


def choose_recordings(array: Path, wanted: Sequence[str]) -> list[str]:
    """The recordings in a folder of arrays, or those wanted of them.

    Raises
    ------
    MeaError
        If there are none, or one that is wanted is not there.
    """
    there = sorted(path.stem for path in array.glob("*.npz"))
    if not there:
        raise MeaError(f"{array}: no recordings (*.npz). They are written by the stage array: dvc repro array.")
    if missing := [name for name in wanted if name not in there]:
        raise MeaError(
            f"{array}: holds no recording {missing[0]!r}. It holds {len(there)}: {', '.join(there[:3])}, ..."
        )
    return list(wanted) or there


def tabulate_spikes(events: SpikeEvents, who: Identity) -> pd.DataFrame:
    """One row a spike, in the order of time: who, which electrode (row and column, from 0), when (s)."""
    order = np.lexsort((events.electrode, events.peak_sample))
    electrode = events.electrode[order]
    return pd.DataFrame(
        {
            **vars(who),
            "row": events.row[electrode].astype(np.int32),
            "col": events.col[electrode].astype(np.int32),
            "time_s": events.spike_times_s[order],
        }
    )


def write_parquet(path: Path, array: Path, names: Sequence[str]) -> None:
    """Write the spikes of recordings into one table, recording by recording, so that memory holds one of them."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    text = pa.dictionary(pa.int32(), pa.string())
    who = [(name, text) for name in ("recording", "label", "culture", "batch")]
    schema = pa.schema([*who, ("row", pa.int32()), ("col", pa.int32()), ("time_s", pa.float64())])
    listed = read_identities(array)
    with fresh_file(path) as work, ParquetWriter(work, schema) as writer:
        for name in show_progress(names, desc="export"):
            table = tabulate_spikes(load_events(array / f"{name}.npz"), Identity(name, *listed.loc[name]))
            writer.write_table(pa.Table.from_pandas(table, schema=schema, preserve_index=False))
