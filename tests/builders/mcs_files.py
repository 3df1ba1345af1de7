"""Small files of Multi Channel Systems for the tests: read one, edit its channels, replace its samples."""

from pathlib import Path

import h5py

from mea.recordings.formats import read_raw_recordings
from mea.recordings.recording import RawRecording
from mea.runtime.errors import BadRecording

FOUR = {"labels": ["A4", "M9", "D1", "J12"], "n_samples": 5000}
STREAM = "Data/Recording_0/AnalogStream/Stream_0"


def read_one(path: Path, stream: str = "raw") -> RawRecording:
    (source,) = read_raw_recordings(path, stream)
    if isinstance(source, BadRecording):
        raise source
    return source


def edit_channels(path: Path, change) -> None:
    with h5py.File(path, "r+") as h5:
        channels = h5[STREAM]["InfoChannel"][...]
        del h5[STREAM]["InfoChannel"]
        h5[STREAM]["InfoChannel"] = change(channels)


def replace_samples(path: Path, **dataset) -> None:
    with h5py.File(path, "r+") as h5:
        del h5[STREAM]["ChannelData"]
        h5[STREAM].create_dataset("ChannelData", **dataset)
