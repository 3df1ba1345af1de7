"""Cut the recordings into chunks, assign groups of recordings to folds, and check that nothing is in two folds.

Reads data/array. Writes data/split/chunks.csv and split.json, and metrics/split.json.
"""

import warnings
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
from pydantic import Field, field_validator

from mea.arrays.events_file import load_events
from mea.recordings.lab_columns import read_passed_on
from mea.runtime.command import print_line, run_command
from mea.runtime.errors import MeaError
from mea.runtime.files import fresh_folder, read_json, write_json
from mea.runtime.parallel import PATIENCE_S, show_progress
from mea.runtime.params import StageParams
from mea.runtime.tables import list_used, write_table
from mea.splitting.audit import audit_split
from mea.splitting.baselines import NONE, How, find_baselines, refer_chunks
from mea.splitting.chunks import cut_chunks, explain_too_short
from mea.splitting.duplicates import check_duplicates, explain_same_start
from mea.splitting.fingerprints import compute_fingerprints
from mea.splitting.folds import assign_folds, check_folds, count_folds, explain_inner_folds, list_scored
from mea.splitting.groups import choose_split_level, explain_unknown
from mea.statistics.permutation import permute_labels


class Params(StageParams):
    """Which recordings are held out together, and how long a chunk is."""

    shared: ClassVar[dict[str, str]] = {"baseline": "features.baseline"}

    by: Literal["auto", "batch", "culture", "recording", "chunk"] = Field(
        description="level of the groups that are held out as a whole; auto: the coarsest that is known"
    )
    folds: int | str = Field(description="folds, each held out in turn; auto: as many as groups allow, at most 5")
    score: Literal["all"] | list[int] = Field(description="numbers of the folds to score, or all")
    chunk_s: float = Field(gt=0, description="length of a chunk in seconds")
    first_s: float | None = Field(gt=0, description="use only this many seconds of each recording; null: all")
    seed: int = Field(ge=0, lt=2**32, description="decides which groups share a fold")
    on_bad_recording: Literal["error", "skip"] = Field(
        description="skip: recordings shorter than a chunk are set aside; error: they stop the stage"
    )

    baseline: How = Field(
        description="features.baseline: whether features are referred to a recording before treatment"
    )
    permute_labels: int | None = Field(
        ge=0, description="a control: permute the labels between groups with this seed; null: use the real ones"
    )

    @field_validator("folds", mode="before")
    @classmethod
    def _check_folds(cls, folds: Any) -> int | str:
        return check_folds(folds)


def split(params: Params, array: Path, out: Path, metrics: Path) -> None:
    """Write the chunks with their folds, and the result of the audit."""
    recordings = list_used(array / "catalogue.csv")
    seed = params.permute_labels
    if seed is not None:
        recordings["label"] = permute_labels(recordings, np.random.default_rng(seed))
    baselines: dict[str, str] = {}
    without: dict[str, str] = {}
    if params.baseline != NONE:
        baselines, without = find_baselines(recordings, read_passed_on(array))
        recordings = recordings[recordings["recording"].isin(baselines)].reset_index(drop=True)
    split_level = choose_split_level(recordings, params.by)
    chunks, too_short = cut_chunks(recordings, params.chunk_s, params.first_s)
    if too_short and params.on_bad_recording == "error":
        raise MeaError(explain_too_short(too_short))
    if chunks.empty:
        raise MeaError(f"{array}: no recording is as long as one chunk. Choose a shorter split.chunk_s.")
    if baselines:
        chunks = refer_chunks(chunks, params.baseline, baselines)
    folds = count_folds(chunks, split_level, params.folds, params.seed)
    score = list_scored(params.score, folds)
    chunks["fold"] = assign_folds(chunks, split_level, folds, params.seed)
    audited = show_progress(chunks["recording"].unique(), desc="split: audit", delay=PATIENCE_S)
    check_duplicates(compute_fingerprints(load_events(array / f"{name}.npz") for name in audited))
    leak = audit_split(chunks, split_level)
    control = "" if seed is None else f"labels permuted (split.permute_labels = {seed}): a control, not a result"
    used = recordings[recordings["recording"].isin(chunks["recording"])]
    warned = list(filter(None, [control, leak, explain_unknown(chunks, split_level), explain_same_start(used)]))
    uncalibrated = " ".join(explain_inner_folds(chunks, split_level, score)).strip()
    for text in filter(None, [*warned, uncalibrated]):
        warnings.warn(text, stacklevel=1)
    verdict = {"split_level": split_level, "score": score, "leaky": int(bool(leak)), "warning": "; ".join(warned)}
    with fresh_folder(out) as folder:
        write_table(folder / "chunks.csv", chunks)
        own = params.model_dump(exclude={"baseline"})
        sections = read_json(array / "params.json") | {"split": own, "features": {"baseline": params.baseline}}
        write_json(folder / "split.json", {**verdict, "params": sections})
    set_aside = without | {name: str(why) for name, why in too_short.items()}
    write_json(metrics, {**_count(chunks), **verdict, "set_aside": set_aside})
    divided = f"split by {split_level} into {folds} folds"
    print_line(f"{len(chunks)} chunks of {chunks['recording'].nunique()} recordings, {divided}: {out}")


def _count(chunks: pd.DataFrame) -> dict:
    counts = {name: chunks[name].value_counts().sort_index() for name in ("label", "fold")}
    return {
        "folds": len(counts["fold"]),
        "recordings": chunks["recording"].nunique(),
        "chunks": {
            "all": len(chunks),
            "labels": counts["label"].to_dict(),
            "folds": {f"fold_{number}": count for number, count in counts["fold"].items()},
        },
    }


if __name__ == "__main__":
    run_command(split, Params, array="data/array", out="data/split", metrics="metrics/split.json")
