"""The manifest: one line for every file that was unpacked, or why it could not be."""

from pathlib import Path

import pandas as pd

from mea.runtime.errors import MeaError
from mea.runtime.files import redo

MANIFEST = "manifest.csv"
RECORDINGS_CSV = "recordings.csv"
PLATES_CSV = "plates.csv"
LAYOUTS_CSV = "layouts.csv"
TABLES = (RECORDINGS_CSV, PLATES_CSV, LAYOUTS_CSV)  # the lab's own
COLUMNS = ["recording", "archive", "member", "file", "bytes", "sha256", "error"]


def read_manifest(folder: Path) -> pd.DataFrame:
    """Read the manifest that :func:`mea.recordings.archives.unpack` wrote; every value is text.

    Raises
    ------
    MeaError
        If there is none, or it is not one.
    """
    path = folder / MANIFEST
    try:
        manifest = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except FileNotFoundError:
        raise MeaError(f"{path}: no such file. Run the unzip stage first (dvc repro unzip).") from None
    except (OSError, ValueError) as error:
        raise MeaError(f"{path}: not a manifest written by the unzip stage ({error}). {redo('unzip')}") from None
    if list(manifest.columns) != COLUMNS:
        found = ", ".join(manifest.columns)
        raise MeaError(f"{path}: has the columns {found}, not {', '.join(COLUMNS)}. {redo('unzip')}")
    return manifest
