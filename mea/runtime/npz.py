"""Arrays in a file: an npz whose bytes follow from its arrays alone."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mea.runtime.files import fresh_file

UNIX = 3  # what zip headers call the system that wrote them


def save_npz(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write an uncompressed npz, read by ``numpy.load``; the same bytes in every version of Python, on every system.

    ``numpy.savez`` leaves to Python whether an entry has room for sizes of 4 GB: 3.11.2 and 3.11.7 differ in it.

    Raises
    ------
    MeaError
        If the place cannot be written to, or there is no room.
    """
    with fresh_file(path) as work, zipfile.ZipFile(work, "w") as archive:
        for name, values in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy")  # dated 1980
            entry.create_system = UNIX
            content = io.BytesIO()
            np.lib.format.write_array(content, np.asanyarray(values), allow_pickle=False)
            archive.writestr(entry, content.getbuffer())
