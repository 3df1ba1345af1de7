"""The model card: what a classifier learned from, how good it is, and what it is not for.

Mitchell et al., "Model cards for model reporting", FAT* 2019, doi:10.1145/3287560.3287596.
"""

import hashlib
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from mea.classifier import Classifier
from mea.files import write_json
from mea.rules import Rules

LIBRARIES = ("torch", "scikit-learn", "numpy", "scipy", "h5py")
INTENDED_USE = (
    "To tell the classes listed here apart in recordings of the same kind: same rig, layout, sampling rate and "
    "protocol, cultures of the same kind and age. For research; not for decisions about patients."
)
LIMITS = (
    "The figures hold for new groups like those learned from. A new rig, laboratory, cell line or age is none of them: "
    "record some of each class there, and look. A class that is not listed is given one of the listed names, or is "
    "refused.",
    "A confidence is a frequency among recordings like these, not a certainty about one culture.",
    "The classifier is the mean of the folds' models; the figures are of single ones, on what each had not seen.",
)


def write_card(
    folder: Path, classifier: Classifier, figures: dict[str, Any], chunks: pd.DataFrame, rules: Rules, evaluate: dict
) -> None:
    """Write ``card.json``, and the same in words as ``card.md``.

    Parameters
    ----------
    folder
        Of the classifier.
    classifier
        As it was trained.
    figures
        As in ``metrics/evaluate.json``.
    chunks
        What it learned from and was scored on.
    rules
        Learned from all recordings that were held out.
    evaluate
        Parameters of the evaluation.
    """
    card = {
        "model": classifier.model,
        "classes": classifier.labels,
        "data": _describe_data(classifier, chunks),
        "figures": figures,
        "confidence": {
            "calibration": rules.calibrator.to_dict(),
            "threshold": rules.threshold,
            "target_error": rules.target_error,
            "too_few_for_a_threshold": rules.too_few,
            "prediction_sets": rules.conformal.to_dict(),
            "too_few_for_prediction_sets": rules.conformal.explain(),
            "learned_from_recordings": rules.recordings,
        },
        "doubts": figures["warning"],
        "intended_use": INTENDED_USE,
        "limits": list(LIMITS),
        "parameters": classifier.params | {"evaluate": evaluate},
        "versions": {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}},
        "training": classifier.facts,
    }
    write_json(folder / "card.json", card)
    (folder / "card.md").write_text(_render(card), encoding="utf-8", newline="\n")


def _describe_data(classifier: Classifier, chunks: pd.DataFrame) -> dict[str, Any]:
    recordings = chunks.drop_duplicates("recording")
    return {
        "format": classifier.format,
        "grid": f"{classifier.rows} x {classifier.cols}",
        "rate_hz": classifier.rate_hz,
        "recordings": len(recordings),
        "cultures": recordings.loc[recordings["culture"] != "", "culture"].nunique(),
        "batches": recordings.loc[recordings["batch"] != "", "batch"].nunique(),
        "chunks": len(chunks),
        "recordings_by_class": recordings["label"].value_counts().sort_index().to_dict(),
        "recordings_by_culture": recordings["culture"].value_counts().sort_index().to_dict(),
        "recordings_by_batch": recordings["batch"].value_counts().sort_index().to_dict(),
        "names_sha256": hashlib.sha256("\n".join(sorted(recordings["recording"])).encode()).hexdigest(),
        "split_sha256": classifier.facts["split_sha256"],
        "events_sha256": classifier.facts.get("events_sha256", "unknown"),
    }


def _render(card: dict[str, Any]) -> str:
    data, figures, confidence = card["data"], card["figures"], card["confidence"]
    recording = figures["recording"]
    lines = [f"# Model card: {' or '.join(card['classes'])}", ""]
    if card["doubts"]:
        lines += [f"> **Warning.** {card['doubts'][0].upper()}{card['doubts'][1:]}.", ""]
    lines += [
        f"Model `{card['model']}`, {recording['count']} recordings held out group by group: "
        f"**{recording['accuracy']:.1%}** called rightly "
        f"(interval {_show(recording['accuracy_low'])} to {_show(recording['accuracy_high'])}).",
        "",
        "## Intended use",
        "",
        card["intended_use"],
        "",
        "## Limits",
        "",
        *(f"- {limit}" for limit in card["limits"]),
        "",
        "## Data",
        "",
        f"{data['recordings']} recordings of {data['cultures']} cultures in {data['batches']} batches; format "
        f"{data['format']}, grid {data['grid']}, {data['rate_hz']} samples per second.",
        "",
        *_table(["class", "recordings"], data["recordings_by_class"].items()),
        "",
        *_table(
            ["batch", "recordings"], [(name or "unknown", count) for name, count in data["recordings_by_batch"].items()]
        ),
        "",
        f"Events (SHA-256 over all recordings): `{data['events_sha256']}`; split: `{data['split_sha256']}`.",
        "",
        "## Figures",
        "",
        *_table(["figure", "value", "low", "high"], _list_figures(figures)),
        "",
        "## Confidence",
        "",
        f"- Calibration: {confidence['calibration']['method']}, learned from {confidence['learned_from_recordings']} "
        "recordings that were held out.",
        f"- A recording is called with a confidence of at least {_show(confidence['threshold'])}, for at most "
        f"{confidence['target_error']:.0%} wrong calls. {confidence['too_few_for_a_threshold']}".rstrip(),
        f"- Prediction sets: {confidence['too_few_for_prediction_sets'] or 'enough recordings in each class'}.",
        "",
        "## Versions and parameters",
        "",
        ", ".join(f"{name} {number}" for name, number in card["versions"].items()) + ".",
        "",
        *_table(["parameter", "value"], _flatten(card["parameters"])),
    ]
    return "\n".join(lines) + "\n"


def _list_figures(figures: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    rows = []
    for part in ("recording", "chunk"):
        scores = figures[part]
        for name in ("accuracy", "balanced_accuracy", "roc_auc", "f1", "log_loss", "brier", "ece"):
            bounds = (_show(scores.get(f"{name}_{side}", "")) for side in ("low", "high"))
            rows.append((f"{part} {name.replace('_', ' ')}", _show(scores[name]), *bounds))
    rate, metadata = figures["baseline"]["rate"], figures["baseline"]["metadata"]
    for name, value in (
        ("majority class accuracy", figures["baseline"]["majority"]["accuracy"]),
        ("firing rate alone, accuracy", rate["accuracy"]),
        ("metadata alone, accuracy", metadata["accuracy"]),
        ("permutation p-value", figures["permutation"]["p_value"]),
        ("optimism gap of a split by chunk", figures["optimism"]["gap"]),
        (
            f"recordings recognised (by guessing {_show(figures['identity']['chance'])})",
            figures["identity"]["recording_accuracy"],
        ),
        ("share called, inner thresholds", figures["selective"]["coverage"]),
        ("wrong among those called", figures["selective"]["error"]),
    ):
        rows.append((name, _show(value), "", ""))
    return rows


def _table(head: list[str], rows) -> list[str]:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return lines + [f"| {' | '.join(str(cell) for cell in row)} |" for row in rows]


def _flatten(values: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows = []
    for name, value in values.items():
        if isinstance(value, dict):
            rows += _flatten(value, f"{prefix}{name}.")
        else:
            rows.append((f"`{prefix}{name}`", f"`{value}`"))
    return rows


def _show(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "undefined" if value != value else f"{value:.3g}"
