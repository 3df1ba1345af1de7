"""The model card: what a classifier was trained on, how good it is, and what it is not for.

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
from mea.statistics.scores import METRICS
from mea.training.classifier import Classifier

LIBRARIES = ("torch", "scikit-learn", "numpy", "scipy", "h5py")
INTENDED_USE = (
    "To distinguish the classes listed here in recordings of the same kind: same rig, layout, sampling rate and "
    "protocol, cultures of the same kind and age. For research; not for decisions about patients."
)
LEAKY_USE = (
    "None: its metrics are not honest (see above). It is for comparison with earlier work that was scored the same way."
)
LIMITS = (
    "The metrics hold for new groups like those in the training data. They may not hold for a new rig, laboratory, "
    "cell line or age: record some cultures of each class there, and check.",
    "A recording of a class that is not listed gets one of the listed labels, or is rejected.",
    "A confidence is a frequency among recordings like these, not a certainty about one culture.",
    "The classifier is the mean of the folds' models; the metrics are of the single models, each on its test fold.",
    "The audit of metadata sees what is in the files. Medium, operator, incubator and the like are not.",
)


def write_card(
    folder: Path,
    classifier: Classifier,
    limits: list[str],
    metrics: dict[str, Any],
    chunks: pd.DataFrame,
    rules: Rules,
    evaluate: dict,
) -> None:
    """Write ``card.json``, and the same as text, ``card.md``.

    Parameters
    ----------
    folder
        Of the classifier.
    classifier
        As it was trained.
    limits
        What is approximated in its models.
    metrics
        As in ``metrics/evaluate.json``.
    chunks
        What it was trained and scored on.
    rules
        Learned from all held-out recordings.
    evaluate
        Parameters of the evaluation.
    """
    parameters = classifier.params | {"evaluate": evaluate}
    card = {
        "model": classifier.model,
        "classes": classifier.labels,
        "leaky": classifier.leaky,
        "doubts": metrics["warning"],
        "choose": evaluate["choose"],
        "chosen_among": evaluate["models"],
        "intended_use": LEAKY_USE if classifier.leaky else INTENDED_USE,
        "limits": [*LIMITS, *(f"Approximated: {limit}." for limit in limits)],
        "data": _summarise_data(classifier, chunks),
        "metrics": metrics,
        "confidence": {
            "calibration": rules.calibrator.to_dict(),
            "prior": dict(zip(rules.labels, rules.prior)),
            "flags": list(rules.flags),
            "threshold": rules.threshold,
            "target_error": rules.target_error,
            "predicted": _format_selection(rules),
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
    parts = [_format_head(card, confidence_level), _format_data(card["data"])]
    parts += [_format_metrics(metrics, confidence_level), _format_checks(metrics)]
    parts += [_format_confidence(card["confidence"]), _format_making(card)]
    text = "\n".join(line for part in parts for line in part)
    (folder / "card.md").write_text(text, encoding="utf-8", newline="\n")


def _summarise_data(classifier: Classifier, chunks: pd.DataFrame) -> dict[str, Any]:
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


def _format_selection(rules: Rules) -> str:
    if np.isnan(rules.confidence_threshold):
        return f"none: {rules.too_few}"
    if rules.confidence_threshold == 0:
        return f"all: {rules.too_few or 'no more of the held-out recordings were wrong than is acceptable'}"
    percent = f"{100 * rules.target_error:.3g} %"
    return f"those with a confidence of {_show(rules.threshold)} or more, for at most {percent} wrong predictions"


def _spell_null(value: Any) -> Any:
    """As in ``params.yaml``, where null is a word."""
    if isinstance(value, dict):
        return {name: _spell_null(item) for name, item in value.items()}
    return "null" if value is None else value


def _format_head(card: dict[str, Any], confidence_level: float) -> list[str]:
    scores, doubts = card["metrics"]["recording"], card["doubts"]
    lines = [f"# Model card: {' or '.join(escape_markdown(label) for label in card['classes'])}", ""]
    if card["leaky"]:
        lines += [
            "> **Leaky: the classifier had seen what it was scored on, or similar recordings, so the metrics are too "
            "good.**",
            ">",
        ]
    if doubts:
        lines += [f"> **Warning.** {escape_markdown(doubts[0].upper() + doubts[1:])}.", ""]
    how = "scored" if card["leaky"] else "each held out with its whole group"
    low, high = (_show_percent(scores[f"accuracy_{side}"]) for side in ("low", "high"))
    interval = f"{100 * confidence_level:.4g} % interval: {low} to {high}"
    lines += [
        f"Model `{card['model']}`. Of {scores['count']} recordings, {how}, it classified "
        f"**{_show_percent(scores['accuracy'])}** correctly ({interval}).",
        "",
    ]
    if len(card["chosen_among"]) > 1:
        among, how = ", ".join(f"`{name}`" for name in card["chosen_among"]), card["choose"]
        lines += [
            f"Chosen among {among} (`evaluate.choose: {how}`). The metrics are of the choice in each fold.",
            "",
        ]
    limits = [f"- {limit}" for limit in card["limits"]]
    return [*lines, "## Intended use", "", card["intended_use"], "", "## Limits", "", *limits, ""]


def _format_data(data: dict[str, Any]) -> list[str]:
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


def _format_metrics(metrics: dict[str, Any], confidence_level: float) -> list[str]:
    rows = []
    for name, metric in METRICS.items():
        cells = [metric.description]
        for part in ("recording", "chunk"):
            bounds = [metrics[part].get(f"{name}_{side}", "") for side in ("low", "high")]
            cells += [_show(metrics[part][name]), " to ".join(_show(bound) for bound in bounds if bound != "")]
        rows.append(cells)
    interval = f"{100 * confidence_level:.4g} % interval"
    return ["## Metrics", "", *draw_markdown(["metric", "by recording", interval, "by chunk", interval], rows), ""]


def _format_checks(metrics: dict[str, Any]) -> list[str]:
    baseline, identity, selective = metrics["baseline"], metrics["identity"], metrics["selective"]
    rows = [
        ("majority class: accuracy", baseline["majority"]["accuracy"]),
        ("firing rate alone: accuracy", baseline["rate"]["accuracy"]),
        ("metadata alone: accuracy", baseline["metadata"]["accuracy"]),
        ("metadata alone: p-value", baseline["metadata"]["p_value"]),
        ("labels permuted between groups: p-value", metrics["permutation"]["p_value"]),
        (
            "smallest p-value that is possible here (about)",
            metrics["permutation"]["min_attainable_p"],
        ),
        ("optimism of a split by chunk: accuracy gained", metrics["optimism"]["gap"]),
        ("chunks whose recording a probe identifies from the features", identity["recording_accuracy"]),
        ("the same by chance", identity["chance"]),
        ("coverage: recordings with enough confidence for a prediction", selective["coverage"]),
        ("error among them", selective["error"]),
        ("prediction sets that hold the actual class", metrics["conformal"]["coverage"]),
    ]
    words = "What each of them means, and what it cannot show: `docs/honesty.md`."
    table = draw_markdown(["metric", "value"], [(name, _show(value)) for name, value in rows])
    return ["## Baselines and checks", "", *table, "", words, ""]


def _format_confidence(confidence: dict[str, Any]) -> list[str]:
    kind = {
        "none": "the model's raw probabilities are used; no calibration did better on held-out groups",
        "temperature": "the model's raw probabilities are scaled by one temperature",
        "platt": "the model's raw probabilities are scaled by one temperature, and each class gets a bias",
    }[confidence["calibration"]["method"]]
    shares = ", ".join(f"{label} {_show_percent(share)}" for label, share in confidence["prior"].items())
    sets = confidence["too_few_for_prediction_sets"] or "enough recordings and groups in each class"
    return [
        "## Confidence",
        "",
        f"Learned from {confidence['learned_from_recordings']} held-out recordings:",
        "",
        f"- Calibration: {kind}.",
        f"- Prior: the probabilities hold where the classes have these shares: {escape_markdown(shares)}. "
        "`mea classify --prior` applies others.",
        *(f"- Every prediction is flagged: {escape_markdown(flag)}." for flag in confidence["flags"]),
        f"- Recordings that get a prediction: {escape_markdown(confidence['predicted'])}.",
        f"- Prediction sets: {escape_markdown(sets)}.",
        "",
    ]


def _format_making(card: dict[str, Any]) -> list[str]:
    made = {f"version of {name}": number for name, number in card["versions"].items()}
    made |= {name: card["training"][name] for name in ("device", "threads", "processes") if name in card["training"]}
    for name, value in flatten(card["parameters"]).items():
        made[name] = ", ".join(map(str, value)) if isinstance(value, list | tuple) else value
    return ["## Versions and parameters", "", *draw_markdown(["name", "value"], made.items()), ""]


def _show(value: float) -> str:
    return "undefined" if value != value else f"{value:.3g}"


def _show_percent(value: float) -> str:
    return "undefined" if value != value else f"{100 * value:.3g} %"
