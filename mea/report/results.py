"""What the stages before wrote, read once for the pages; nothing is computed again."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from mea.arrays.detection import SpikeDetection
from mea.recordings.lab_columns import read_passed_on
from mea.runtime.errors import MeaError
from mea.runtime.files import read_json
from mea.runtime.tables import read_table

Content = TypeVar("Content")


@dataclass(frozen=True)
class Results:
    """What the pages show.

    Attributes
    ----------
    metrics
        What the evaluate stage measured.
    recordings
        Its predictions: one row a recording that was held out.
    chunks
        The same for chunks.
    classified
        One row a new recording.
    card, card_text
        The model card, as values and in Markdown.
    h5, array, split
        What these stages counted.
    contrast
        What the contrast stage found, by pair of classes.
    catalogue
        Every recording the h5 stage saw: rig, grid, rate, start, file, notes.
    lab
        The lab's own columns, by recording.
    manifest
        Every file that was unpacked, with its checksum.
    plots
        The images of evaluate, train and contrast, by their paths there without ``.png``: ``roc_recording``,
        ``cnn_lstm/roc_recording``, ``cnn_lstm/curves``, ``contrast/forest``.
    """

    metrics: dict[str, Any]
    recordings: pd.DataFrame
    chunks: pd.DataFrame
    classified: pd.DataFrame
    card: dict[str, Any]
    card_text: str
    h5: dict[str, Any]
    array: dict[str, Any]
    split: dict[str, Any]
    contrast: dict[str, Any]
    catalogue: pd.DataFrame
    lab: pd.DataFrame
    manifest: pd.DataFrame
    plots: dict[str, Path]

    @property
    def labels(self) -> list[str]:
        """The classes in their declared order, or sorted."""
        order = self.card["parameters"]["evaluate"]["order"]
        return list(self.card["classes"]) if order == "null" else order

    @property
    def confidence_level(self) -> float:
        """Of every interval, 0 to 1."""
        return self.card["parameters"]["evaluate"]["confidence_level"]


def read_results(metrics: Path, plots: Path, model: Path, h5: Path, unzip: Path) -> Results:
    """Read the files of a whole run.

    Parameters
    ----------
    metrics, plots
        Folders of every stage's metrics and plots.
    model
        Folder of the finished classifier.
    h5, unzip
        Folders of these stages.

    Raises
    ------
    MeaError
        If one is missing, with the command that makes it, or they are not of one run.
    """
    measured = _read(read_json, metrics / "evaluate.json", "evaluate")
    results = Results(
        metrics=measured,
        recordings=_read(read_table, metrics / "evaluate" / "predictions.csv", "evaluate"),
        chunks=_read(read_table, metrics / "evaluate" / "chunks.csv", "evaluate"),
        classified=_read(read_table, metrics / "classify.csv", "classify"),
        card=_read(read_json, model / "card.json", "evaluate"),
        card_text=_read(_read_text, model / "card.md", "evaluate"),
        h5=_read(read_json, metrics / "h5.json", "h5"),
        array=_read(read_json, metrics / "array.json", "array"),
        split=_read(read_json, metrics / "split.json", "split"),
        contrast=_read(read_json, metrics / "contrast.json", "contrast"),
        catalogue=_read(read_table, h5 / "catalogue.csv", "h5"),
        lab=read_passed_on(h5),
        manifest=_read(read_table, unzip / "manifest.csv", "unzip"),
        plots=_find_plots(plots / "evaluate", "evaluate")
        | {
            f"{name}/{path}": image
            for name in measured["models"]
            for path, image in _find_plots(plots / "train" / name, f"train@{name}").items()
        }
        | {f"contrast/{path}": image for path, image in _find_plots(plots / "contrast", "contrast").items()},
    )
    _check_one_run(results)
    return results


def _check_one_run(results: Results) -> None:
    """Files of two runs, or of two models, do not fit together: say which."""
    catalogue, recordings = results.catalogue, set(results.recordings["recording"])
    files = set(catalogue.loc[catalogue["recording"].isin(recordings), "file"])
    columns = {f"p_{label}" for label in results.labels}
    for name, stage, missing in (
        ("chunks.csv", "evaluate", recordings - set(results.chunks["recording"])),
        ("catalogue.csv", "h5", recordings - set(catalogue["recording"])),
        ("manifest.csv", "unzip", files - set(results.manifest["file"])),
        ("predictions.csv", "evaluate", columns - set(results.recordings)),
        ("classify.csv", "classify", columns - set(results.classified)),
    ):
        if missing:
            raise MeaError(
                f"{name} of the stage {stage} lacks {min(missing)!r}, which the rest of the results has: they are not "
                f"of one run. Bring them up to date: dvc repro {stage}."
            )


def read_detection(array: Path) -> SpikeDetection:
    """How the array stage cleaned the recordings."""
    return SpikeDetection(**_read(read_json, array / "params.json", "array")["array"])


def find_file(path: Path, stage: str) -> Path:
    """The path itself, if it is there.

    Raises
    ------
    MeaError
        If it is not, with the command that makes it.
    """
    if not path.exists():
        raise MeaError(f"{path}: no such file. It is written by the stage {stage}: dvc repro {stage}.")
    return path


def _read(read: Callable[[Path], Content], path: Path, stage: str) -> Content:
    return read(find_file(path, stage))


def _read_text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _find_plots(folder: Path, stage: str) -> dict[str, Path]:
    found = sorted(find_file(folder, stage).rglob("*.png"))
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in found}
