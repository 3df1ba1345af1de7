"""The recordings together: what they are, whether an honest split is possible, how small an effect they could show."""

import warnings
from collections.abc import Sequence
from itertools import product

import numpy as np
import pandas as pd

from mea.doctor.files import PROPOSE, Examined
from mea.doctor.findings import DOUBTFUL, FINE, WRONG, Finding
from mea.doctor.power import (
    ASSUMED_CORRELATION,
    EXAMPLE,
    POWER,
    Power,
    find_groups_needed,
    measure_power,
)
from mea.doctor.settings import Settings
from mea.evaluation.confounds import audit_confounds, explain_confounds, tabulate_metadata
from mea.recordings.catalogue import check_classes
from mea.recordings.labels import explain_odd_groups
from mea.recordings.plates import find_reused_plates
from mea.recordings.recording import LabelledRecording, format_pauses
from mea.runtime.errors import MeaError
from mea.splitting.audit import audit_split
from mea.splitting.chunks import cut_chunks, explain_too_short
from mea.splitting.duplicates import explain_same_start
from mea.splitting.folds import (
    AUTO,
    CHANGE_SEED,
    MOST_AUTO,
    assign_folds,
    count_folds,
    explain_inner_folds,
    find_obstacle,
)
from mea.splitting.groups import SPLIT_LEVELS, choose_split_level, explain_unknown, group_recordings
from mea.statistics.permutation import SIGNIFICANCE, run_permutation_test
from mea.statistics.sample_size import (
    APART,
    PAIRED,
    UNKNOWN,
    assume_variances,
    count_batches,
    find_design,
)

WHERE = "data set"
LARGE = 0.9  # an experiment that shows nothing below this accuracy is a small one


def list_recordings(examined: Sequence[Examined], settings: Settings) -> pd.DataFrame:
    """The recordings the pipeline would learn from, one row each, as its catalogue describes them."""
    sampling_rate_hz = settings.array.sampling_rate_hz
    rows = [
        {
            **{name: getattr(recording, name) for name in ("recording", "label", "culture", "batch")},
            "sampling_rate_hz": sampling_rate_hz,
            "recorded_sampling_rate_hz": recording.source.sampling_rate_hz,
            "duration_s": recording.source.duration_s,
            "pauses_s": format_pauses(recording.source),
            "electrodes": recording.source.n_electrodes,
            "places": one.places,
            "start": recording.source.start,
            "noise_uv": one.noise_uv,
            "grid": f"{recording.source.rows} x {recording.source.cols}",
        }
        for one in examined
        if one.used and isinstance(recording := one.result, LabelledRecording)
    ]
    columns = (
        "recording label culture batch sampling_rate_hz recorded_sampling_rate_hz duration_s pauses_s "
        "electrodes places start noise_uv grid"
    )
    return pd.DataFrame(rows, columns=columns.split())


def tabulate_design(recordings: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Header and rows: of each batch, how many recordings of how many cultures there are in each class."""
    labels = sorted(set(recordings["label"]))
    rows = [
        [batch or "unknown", *(_count(part[part["label"] == label]) for label in labels), _count(part)]
        for batch, part in recordings.groupby("batch")
    ]
    rows.append(["all", *(_count(recordings[recordings["label"] == label]) for label in labels), _count(recordings)])
    return ["batch", *labels, "all"], rows


def _count(part: pd.DataFrame) -> str:
    if part.empty:
        return "-"
    cultures = set(part["culture"])
    shown = "?" if "" in cultures else str(len(cultures))
    return f"{len(part)} ({shown})"


def check_dataset(examined: Sequence[Examined], settings: Settings) -> list[Finding]:
    """Findings about all recordings together."""
    used = [one.result for one in examined if one.used and isinstance(one.result, LabelledRecording)]
    if not used:
        return [Finding(WRONG, WHERE, "no recording can be used.", _explain_unused(examined))]
    try:
        check_classes(used)
    except MeaError as error:
        return [Finding(WRONG, WHERE, str(error))]
    recordings = list_recordings(examined, settings)
    split_level = choose_split_level(recordings, settings.split.by)
    return [
        *(Finding(DOUBTFUL, WHERE, sentence) for sentence in explain_odd_groups(used)),
        *_check_plates(used),
        *_check_likeness(recordings),
        *_check_split(recordings, split_level, settings),
        *_check_power(recordings, split_level, settings),
    ]


def _check_plates(used: Sequence[LabelledRecording]) -> list[Finding]:
    """Whether one plate stands at several dates: it was used again, or one plating was recorded on several days."""
    remedy = (
        "They are taken as different platings, and their wells as different cultures. If these are days of one "
        "plating, state culture and batch in plates.csv."
    )
    return [
        Finding(DOUBTFUL, WHERE, f"the plate {name!r} has files of {len(dates)} dates: {', '.join(dates)}", remedy)
        for name, dates in find_reused_plates({one.source.plate for one in used if one.source.well}).items()
    ]


def _explain_unused(examined: Sequence[Examined]) -> str:
    """What to do where no recording can be used."""
    readable = [one.result for one in examined if isinstance(one.result, LabelledRecording)]
    if readable and not any(recording.label for recording in readable):
        return f"The files can be read, but no recording has a label. {PROPOSE}"
    return "First correct what is wrong with the files."


def _check_likeness(recordings: pd.DataFrame) -> list[Finding]:
    """Whether one classifier can be trained on all recordings, and what is known of their groups."""
    findings = []
    grids = recordings["grid"].value_counts()
    if len(grids) > 1:
        shown = ", ".join(f"{grid} ({count} recordings)" for grid, count in grids.items())
        remedy = "A classifier takes one grid: keep the others in a folder of their own."
        findings.append(Finding(WRONG, WHERE, f"recordings of different grids: {shown}", remedy))
    if (recordings[["culture", "batch"]] == "").to_numpy().all():
        remedy = f"State culture and batch in recordings.csv. {PROPOSE}"
        what = "neither culture nor batch of any recording is known, so each counts as independent of all others"
        findings.append(Finding(DOUBTFUL, WHERE, what, remedy))
    same = explain_same_start(recordings)
    return findings + ([Finding(DOUBTFUL, WHERE, same)] if same else [])


def _check_split(recordings: pd.DataFrame, split_level: str, settings: Settings) -> list[Finding]:
    """What the split stage would report."""
    try:
        chunks, too_short = cut_chunks(recordings, settings.split.chunk_s, settings.split.first_s)
    except MeaError as error:
        return [Finding(WRONG, WHERE, str(error))]
    findings = [Finding(WRONG, WHERE, explain_too_short(too_short))] if too_short else []
    if chunks.empty:
        return findings
    folds = count_folds(chunks, split_level, settings.split.folds, settings.split.seed)
    obstacle, chunks = _try_folds(chunks, split_level, folds, settings)
    if obstacle:
        remedy = "" if obstacle.endswith(CHANGE_SEED) else _advise(chunks, settings)
        return [*findings, Finding(WRONG, WHERE, obstacle, remedy)]
    groups = group_recordings(recordings, split_level).max() + 1 if split_level != "chunk" else len(chunks)
    what = f"can be split by {split_level}: {folds} folds, {groups} groups, every class on both sides"
    findings.append(Finding(FINE, WHERE, what))
    score = list(range(folds)) if settings.split.score == "all" else sorted(set(settings.split.score))
    uncalibrated, remedy = explain_inner_folds(chunks, split_level, score)
    if uncalibrated:
        findings.append(Finding(DOUBTFUL, WHERE, uncalibrated, remedy))
    leak, unknown = audit_split(chunks, split_level), explain_unknown(chunks, split_level)
    if leak:
        findings.append(
            Finding(DOUBTFUL, WHERE, leak, "Set split.by: auto; otherwise every metric is marked as leaky.")
        )
    return (
        findings + [Finding(DOUBTFUL, WHERE, unknown)] * bool(unknown) + _check_confounds(chunks, recordings, settings)
    )


def _try_folds(chunks: pd.DataFrame, split_level: str, folds: int, settings: Settings) -> tuple[str, pd.DataFrame]:
    """Why so many folds are not possible (what to do is said by the caller), or nothing; and the chunks with a fold."""
    obstacle, _ = find_obstacle(chunks, split_level, folds)
    if obstacle:
        return obstacle, chunks
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn's, of classes with fewer groups than folds: the table shows them
        try:
            chunks = chunks.assign(fold=assign_folds(chunks, split_level, folds, settings.split.seed))
        except MeaError as error:
            return str(error), chunks
    return "", chunks


def _advise(chunks: pd.DataFrame, settings: Settings) -> str:
    """The most folds that are possible at each level, and whether that split would be leaky."""
    possible: dict[str, str] = {}
    honest = False
    most = MOST_AUTO if settings.split.folds == AUTO else int(settings.split.folds)
    for split_level, folds in product(SPLIT_LEVELS[:-1], range(most, 1, -1)):
        known = split_level == "recording" or (chunks[split_level] != "").any()
        if not known or split_level in possible:
            continue
        obstacle, divided = _try_folds(chunks, split_level, folds, settings)
        if not obstacle:
            leaky = " (leaky)" if audit_split(divided, split_level) else ""
            honest = honest or not leaky
            possible[split_level] = f"split.by: {split_level} with split.folds: {folds}{leaky}"
    record = "No honest split is possible at any level: record every class in more cultures and batches."
    if not possible:
        return record
    finer = "The finer the level, the more similar recordings are in both the training and the test set."
    return f"{'' if honest else f'{record} '}Possible: {' or '.join(possible.values())}. {finer}"


def _check_confounds(chunks: pd.DataFrame, recordings: pd.DataFrame, settings: Settings) -> list[Finding]:
    """Whether the class can be told without looking at any signal, as the evaluate stage will ask."""
    identity = chunks.drop_duplicates("recording").reset_index(drop=True)
    metadata = tabulate_metadata(recordings, identity)
    audit = audit_confounds(metadata, identity, settings.evaluate.permutations, settings.evaluate.seed)
    sentences = explain_confounds(audit, identity)
    remedy = "Record all classes with the same rig, settings and length (split.first_s cuts lengths)."
    if not sentences:
        what = "length, noise, date, and number and places of electrodes do not tell the classes apart"
        return [Finding(FINE, WHERE, what)]
    return [Finding(DOUBTFUL, WHERE, text, remedy if "can be predicted from" in text else "") for text in sentences]


def _check_power(recordings: pd.DataFrame, split_level: str, settings: Settings) -> list[Finding]:
    """How small an effect would be found."""
    groups = group_recordings(recordings, "recording" if split_level == "chunk" else split_level)
    sizes = np.bincount(groups)
    chance = float(recordings["label"].value_counts(normalize=True).max())
    powers = measure_power(sizes, chance)
    if (sizes == 1).all():  # then the correlation plays no part
        powers = powers[:1]
    name = "recording" if split_level == "chunk" else split_level
    what = (
        f"{len(recordings)} recordings in {len(sizes)} groups by {name}; the largest class is {100 * chance:.0f} %. A "
        f"classifier is found to be better than that (p < {SIGNIFICANCE:g}, with a probability of {100 * POWER:.0f} %)"
        + "".join(f"\n{_format_power(power)}" for power in powers)
    )
    needed = find_groups_needed(sizes, chance, EXAMPLE)
    if needed is not None:
        like_these = f"about {needed} groups like these (correlation {ASSUMED_CORRELATION:g})"
        what += f"\nTo find one of {100 * EXAMPLE:.0f} %: {like_these}."
    assumed = next((power for power in powers if power.correlation == ASSUMED_CORRELATION), powers[0])
    weak = not assumed.min_accuracy <= LARGE
    remedy = "Record more groups, with every class in each: more recordings of the same cultures help little."
    found = [Finding(DOUBTFUL if weak else FINE, WHERE, what, remedy if weak else "")]
    return [*found, _count_for_contrast(recordings), _check_permutations(recordings, settings, remedy)]


def _count_for_contrast(recordings: pd.DataFrame) -> Finding:
    """How many batches would show a difference in a feature, before any is measured."""
    a, b = recordings["label"].value_counts().index[-2:]  # the two rarest classes
    units = recordings[recordings["label"].isin([a, b])].drop_duplicates(["label", "culture", "batch"])
    design = find_design(units, (a, b))
    groups = units.groupby("label")["culture" if design == UNKNOWN else "batch"].nunique()
    each = 1 if design == UNKNOWN else max(1, round(len(units) / units.groupby(["batch", "label"]).ngroups))
    needed = count_batches(assume_variances(design, ASSUMED_CORRELATION), 1.0, each)[0]
    many = "more than 100" if np.isnan(needed) else f"{needed:.0f}"
    what = {PAIRED: "batches that hold both", APART: "batches of each", UNKNOWN: "cultures of each"}[design]
    assumed = "" if design == UNKNOWN else f", of {each} culture(s) of a class, if batches hold half of the variance"
    return Finding(
        FINE, WHERE,
        f"{a} and {b}: {many} {what}{assumed}, show a feature that differs by one standard deviation of "
        f"cultures (power {100 * POWER:.0f} %, an assumption); here there are {groups.min()}. Measured, after a run: "
        "metrics/contrast/sample_size.csv",
    )  # fmt: skip


def _format_power(power: Power) -> str:
    meaning = {0.0: "recordings of a group are as good as independent", 1.0: "only groups count"}
    condition = meaning.get(power.correlation, "recordings of a group are that much alike, an assumption")
    least = (
        f"from an accuracy of {100 * power.min_accuracy:.0f} %"
        if np.isfinite(power.min_accuracy)
        else "at no accuracy, not even 100 %"
    )
    return f"- {least}, if {condition} (intraclass correlation {power.correlation:g}: all are worth {power.units})"


def _check_permutations(recordings: pd.DataFrame, settings: Settings, remedy: str) -> Finding:
    faultless = recordings["label"].to_numpy(str)
    test = run_permutation_test(recordings, faultless, settings.evaluate.permutations, settings.evaluate.seed)
    what = f"labels permuted between groups: a classifier without a fault would reach p = {test.min_attainable_p:.2g}"
    if test.min_attainable_p < SIGNIFICANCE:
        return Finding(FINE, WHERE, what)
    return Finding(DOUBTFUL, WHERE, f"{what}, which is not significant", remedy)
