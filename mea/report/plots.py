"""The plots of the stages train and evaluate as the report embeds them, each with a title and a caption."""

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mea.report.headline import show_number, show_percent
from mea.report.results import Results
from mea.runtime.errors import MeaError

UNITS = ("recording", "chunk")
VALIDATION = {
    "nested": "recordings of an inner fold, held out of the training side",
    "test_fold": "the test fold itself, as the predecessor did",
}


@dataclass(frozen=True)
class EmbeddedPlot:
    """An image of a stage, inside the page.

    Attributes
    ----------
    name
        Of its file, without ``.png``; unique on the page.
    title
        What it is called in papers.
    caption
        What it says in numbers, for those who see it and for those who cannot.
    source
        The image as a ``data:`` address.
    """

    name: str
    title: str
    caption: str
    source: str


def embed_image(path: Path) -> str:
    """A PNG file as an address that needs no file and no network."""
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"


def list_plots(results: Results) -> dict[str, list[EmbeddedPlot]]:
    """The plots of the report by the heading of their section; a section without plots stays empty.

    Raises
    ------
    MeaError
        If the plots of evaluate or contrast are missing: they always draw ROC curves and the strongest effects.
    """
    for name, stage in (("roc_recording", "evaluate"), ("contrast/forest", "contrast")):
        if name not in results.plots:
            file = name.rpartition("/")[2]
            raise MeaError(f"{file}.png is missing in the plots of the {stage} stage. Run dvc repro {stage}.")
    return {
        "ROC curve and calibration": _embed(results, _caption_units(results)),
        "Risk-coverage curve and prediction sets": _embed(results, _caption_selective(results)),
        "Permutation test and confounds": _embed(results, _caption_honesty(results)),
        "Learning curves": _embed(results, _caption_learning(results)),
        "Models side by side": _embed(results, _caption_models(results)),
        "What differs between the classes": _embed(results, _caption_contrast(results)),
    }


def _embed(results: Results, captions: Iterable[tuple[str, str, str]]) -> list[EmbeddedPlot]:
    """Those that were drawn: a model without epochs has no learning curves, a recording without metadata no audit."""
    return [
        EmbeddedPlot(name, title, caption, embed_image(results.plots[name]))
        for name, title, caption in captions
        if name in results.plots
    ]


def _caption_units(results: Results) -> Iterable[tuple[str, str, str]]:
    for unit in UNITS:
        area = show_number(results.metrics[unit]["roc_auc"])
        caption = f"Area under the curve of {unit}s: {area}; 0.5 is chance, 1 is perfect."
        yield f"roc_{unit}", f"ROC curve, {unit}s", caption
    for unit in UNITS:
        error = show_number(results.metrics[unit]["ece"])
        caption = f"Expected calibration error of {unit}s: {error}. Bars: intervals as if all were independent."
        yield f"reliability_{unit}", f"Calibration, {unit}s", caption


def _caption_selective(results: Results) -> Iterable[tuple[str, str, str]]:
    area, conformal = show_number(results.metrics["selective"]["aurc"]), results.metrics["conformal"]
    caption = (
        f"New recordings that are classified: {results.card['confidence']['predicted']}. Area under the curve: {area}."
    )
    yield "risk_coverage", "Risk-coverage curve", caption
    caption = (
        f"The prediction set contains the label of {show_percent(conformal['coverage'])} of the recordings; "
        f"asked for: {show_percent(results.confidence_level)}."
    )
    yield "conformal", "Prediction sets", caption


def _caption_honesty(results: Results) -> Iterable[tuple[str, str, str]]:
    p_value = show_number(results.metrics["permutation"]["p_value"])
    yield "permutation", "Permutation test", f"Labels permuted between groups: p = {p_value}."
    alone = show_percent(results.metrics["baseline"]["metadata"]["accuracy"])
    yield "confounds", "Confounds", f"Accuracy from the metadata alone, without any signal: {alone}."
    gap = show_number(results.metrics["optimism"]["gap"])
    caption = f"A split by chunk would have added {gap} to the accuracy of a linear probe on the same features."
    yield "optimism", "Optimism gap", caption


def _caption_learning(results: Results) -> Iterable[tuple[str, str, str]]:
    for name in results.metrics["models"]:
        validation = results.card["parameters"]["train"][name].get("validation", "nested")
        caption = f"Mean over each fold's networks. Validation: {VALIDATION[validation]}."
        yield f"{name}/curves", f"Learning curves, {name}", caption


def _caption_contrast(results: Results) -> Iterable[tuple[str, str, str]]:
    yield (
        "contrast/forest",
        "Strongest effects",
        "Differences between cultures, in standard deviations of the cultures.",
    )
    yield (
        "contrast/cultures",
        "Cultures",
        "Each dot is a culture; batches have markers of their own; the bar is the mean.",
    )
    caption = "Of held-out recordings without one family of features, or without the spikes of a part of the array."
    yield "importance", "What the models decide by", caption
    yield "contrast/course", "Course", "A thin line is a culture, in the colour of its batch; the mean is black."
    yield (
        "contrast/heatmap",
        "Heat map",
        "Strongest features of every culture, standardised; alike ones are neighbours.",
    )
    yield "contrast/map", "Map of the cultures", "Principal components of the standardised features."
    enough = "; ".join(f"{name}: {pair['enough']}" for name, pair in results.contrast["pairs"].items())
    yield "contrast/sample_size", "How many are enough", f"For half of the features. {enough}."


def _caption_models(results: Results) -> Iterable[tuple[str, str, str]]:
    models = results.metrics["models"]
    told = "; ".join(f"{name} {show_percent(one['accuracy'])}" for name, one in models.items())
    yield "models", "Accuracy of recordings", f"Each on the same held-out recordings: {told}."
    for name, one in models.items():
        yield (
            f"{name}/confusion_recording",
            f"Confusion matrix, {name}",
            f"{name}: accuracy {show_percent(one['accuracy'])}.",
        )
        area = show_number(one["roc_auc"])
        yield f"{name}/roc_recording", f"ROC curve, {name}", f"{name}: area under the curve {area}; 0.5 is chance."
