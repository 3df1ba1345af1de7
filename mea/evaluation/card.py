"""The model card: what a classifier learned from, how good it is, and what it is not for.

Mitchell et al., "Model cards for model reporting", FAT* 2019, doi:10.1145/3287560.3287596.
"""

import hashlib
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mea.evaluation.rules import Rules
from mea.runtime.files import write_json
from mea.runtime.tables import draw_markdown, escape_markdown, flatten
from mea.training.classifier import Classifier

LIBRARIES = ("torch", "scikit-learn", "numpy", "scipy", "h5py")
INTENDED_USE = (
    "To tell the classes listed here apart in recordings of the same kind: same rig, layout, sampling rate and "
    "protocol, cultures of the same kind and age. For research; not for decisions about patients."
)
LEAKY_USE = (
    "None: its figures are not honest (see above). It is for comparison with earlier work that was scored the same way."
)
LIMITS = (
    "The figures hold for new groups like those learned from. A new rig, laboratory, cell line or age is none of them: "
    "record some of each class there, and look.",
    "A recording of a class that is not listed is given one of the listed names, or is refused.",
    "A confidence is a frequency among recordings like these, not a certainty about one culture.",
    "The classifier is the mean of the folds' models; the figures are of single ones, on what each had not seen.",
    "The audit of metadata sees what stands in the files. Medium, operator, incubator and the like do not.",
)
SCORES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "f1": "F1",
    "roc_auc": "area under the ROC curve",
    "log_loss": "log loss",
    "brier": "Brier score",
    "ece": "expected calibration error",
}


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
    parameters = classifier.params | {"evaluate": evaluate}
    card = {
        "model": classifier.model,
        "classes": classifier.labels,
        "leaky": classifier.leaky,
        "doubts": figures["warning"],
        "intended_use": LEAKY_USE if classifier.leaky else INTENDED_USE,
        "limits": list(LIMITS),
        "data": _describe_data(classifier, chunks),
        "figures": figures,
        "confidence": {
            "calibration": rules.calibrator.to_dict(),
            "threshold": rules.threshold,
            "target_error": rules.target_error,
            "called": _describe_calls(rules),
            "prediction_sets": rules.conformal.to_dict(),
            "too_few_for_prediction_sets": rules.conformal.explain(),
            "learned_from_recordings": rules.recordings,
        },
        "versions": {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}},
        "training": _spell_null(classifier.facts),
        "parameters": _spell_null(parameters),
    }
    write_json(folder / "card.json", card)
    confidence_level = evaluate["confidence_level"]
    parts = [_open(card, confidence_level), _tell_data(card["data"]), _tell_figures(card["figures"], confidence_level)]
    parts += [_tell_worth(card["figures"]), _tell_confidence(card["confidence"]), _tell_making(card)]
    text = "\n".join(line for part in parts for line in part)
    (folder / "card.md").write_text(text, encoding="utf-8", newline="\n")


def _describe_data(classifier: Classifier, chunks: pd.DataFrame) -> dict[str, Any]:
    recordings = chunks.drop_duplicates("recording")
    return {
        "format": classifier.format,
        "grid": f"{classifier.rows} x {classifier.cols}",
        "sampling_rate_hz": classifier.sampling_rate_hz,
        "recordings": len(recordings),
        "cultures": recordings.loc[recordings["culture"] != "", "culture"].nunique(),
        "batches": recordings.loc[recordings["batch"] != "", "batch"].nunique(),
        "chunks": len(chunks),
        "recordings_by_class": recordings["label"].value_counts().sort_index().to_dict(),
        "recordings_by_culture": recordings["culture"].replace("", "unknown").value_counts().sort_index().to_dict(),
        "recordings_by_batch": recordings["batch"].replace("", "unknown").value_counts().sort_index().to_dict(),
        "names_sha256": hashlib.sha256("\n".join(sorted(recordings["recording"])).encode()).hexdigest(),
        "split_sha256": classifier.facts["split_sha256"],
        "events_sha256": classifier.facts.get("events_sha256", "unknown"),
    }


def _describe_calls(rules: Rules) -> str:
    if np.isnan(rules.confidence_threshold):
        return f"none: {rules.too_few}"
    if rules.confidence_threshold == 0:
        return f"all: {rules.too_few or 'no more of the recordings held out were wrong than is acceptable'}"
    percent = f"{100 * rules.target_error:.3g} %"
    return f"those with a confidence of {_show(rules.threshold)} or more, for at most {percent} wrong calls"


def _spell_null(value: Any) -> Any:
    """As in ``params.yaml``, where null is a word."""
    if isinstance(value, dict):
        return {name: _spell_null(item) for name, item in value.items()}
    return "null" if value is None else value


def _open(card: dict[str, Any], confidence_level: float) -> list[str]:
    scores, doubts = card["figures"]["recording"], card["doubts"]
    lines = [f"# Model card: {' or '.join(escape_markdown(label) for label in card['classes'])}", ""]
    if card["leaky"]:
        lines += [
            "> **Leaky: the classifier knew what it was scored on, or recordings alike, so the figures are too good.**",
            ">",
        ]
    if doubts:
        lines += [f"> **Warning.** {escape_markdown(doubts[0].upper() + doubts[1:])}.", ""]
    held = "scored" if card["leaky"] else "each held out with its whole group"
    low, high = (_show_percent(scores[f"accuracy_{side}"]) for side in ("low", "high"))
    lines += [
        f"Model `{card['model']}`. Of {scores['count']} recordings, {held}, it named the class of "
        f"**{_show_percent(scores['accuracy'])}** rightly ({100 * confidence_level:.4g} % interval: {low} to {high}).",
        "",
    ]
    limits = [f"- {limit}" for limit in card["limits"]]
    return [*lines, "## Intended use", "", card["intended_use"], "", "## Limits", "", *limits, ""]


def _tell_data(data: dict[str, Any]) -> list[str]:
    return [
        "## Data",
        "",
        f"{data['recordings']} recordings of {data['cultures']} known cultures in {data['batches']} known batches, cut "
        f"into {data['chunks']} chunks; format {data['format']}, grid {data['grid']}, "
        f"{data['sampling_rate_hz']} samples per second. How many of each culture: `card.json`.",
        "",
        *draw_markdown(["class", "recordings"], data["recordings_by_class"].items()),
        "",
        *draw_markdown(["batch", "recordings"], data["recordings_by_batch"].items()),
        "",
        f"SHA-256 of all events: `{data['events_sha256']}`, of the names of the recordings: `{data['names_sha256']}`, "
        f"of the split: `{data['split_sha256']}`.",
        "",
    ]


def _tell_figures(figures: dict[str, Any], confidence_level: float) -> list[str]:
    rows = []
    for name, words in SCORES.items():
        cells = [words]
        for part in ("recording", "chunk"):
            bounds = [figures[part].get(f"{name}_{side}", "") for side in ("low", "high")]
            cells += [_show(figures[part][name]), " to ".join(_show(bound) for bound in bounds if bound != "")]
        rows.append(cells)
    interval = f"{100 * confidence_level:.4g} % interval"
    return ["## Figures", "", *draw_markdown(["figure", "by recording", interval, "by chunk", interval], rows), ""]


def _tell_worth(figures: dict[str, Any]) -> list[str]:
    baseline, identity, selective = figures["baseline"], figures["identity"], figures["selective"]
    rows = [
        ("always saying the commonest class: accuracy", baseline["majority"]["accuracy"]),
        ("firing rate alone: accuracy", baseline["rate"]["accuracy"]),
        ("metadata alone: accuracy", baseline["metadata"]["accuracy"]),
        ("metadata alone: p-value", baseline["metadata"]["p_value"]),
        ("labels permuted between groups: p-value", figures["permutation"]["p_value"]),
        (
            "about the smallest p-value there can be here",
            figures["permutation"]["min_attainable_p"],
        ),
        ("what a split by chunk would add to the accuracy", figures["optimism"]["gap"]),
        ("chunks whose recording the features name", identity["recording_accuracy"]),
        ("the same by guessing", identity["chance"]),
        ("recordings that were sure enough to be called", selective["coverage"]),
        ("wrong calls among them", selective["error"]),
        ("prediction sets that held the actual class", figures["conformal"]["coverage"]),
    ]
    words = "What each of them means, and what it cannot tell: `docs/honesty.md`."
    table = draw_markdown(["figure", "value"], [(name, _show(value)) for name, value in rows])
    return ["## What they are worth", "", *table, "", words, ""]


def _tell_confidence(confidence: dict[str, Any]) -> list[str]:
    kind = {
        "none": "the model's probabilities are taken as they are; nothing else did better on groups held out",
        "temperature": "the model's probabilities are made bolder or shyer by one temperature",
        "platt": "the model's probabilities are made bolder or shyer by one temperature, and each class gets a bias",
    }[confidence["calibration"]["method"]]
    sets = confidence["too_few_for_prediction_sets"] or "enough recordings and groups in each class"
    return [
        "## Confidence",
        "",
        f"Learned from {confidence['learned_from_recordings']} recordings that were held out:",
        "",
        f"- Calibration: {kind}.",
        f"- Recordings that are called: {escape_markdown(confidence['called'])}.",
        f"- Prediction sets: {escape_markdown(sets)}.",
        "",
    ]


def _tell_making(card: dict[str, Any]) -> list[str]:
    made = {f"version of {name}": number for name, number in card["versions"].items()}
    made |= {name: card["training"][name] for name in ("device", "threads", "processes") if name in card["training"]}
    for name, value in flatten(card["parameters"]).items():
        made[name] = ", ".join(map(str, value)) if isinstance(value, list | tuple) else value
    return ["## Versions and parameters", "", *draw_markdown(["name", "value"], made.items()), ""]


def _show(value: float) -> str:
    return "undefined" if value != value else f"{value:.3g}"


def _show_percent(value: float) -> str:
    return "undefined" if value != value else f"{100 * value:.3g} %"
