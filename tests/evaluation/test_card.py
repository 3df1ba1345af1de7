"""The model card: doubts first, every number that of the metrics, whatever signs names and parameters hold."""

import ast
import copy
import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from builders.lab import ROOT

from mea.evaluation.card import INTENDED_USE, LEAKY_USE, write_card
from mea.evaluation.rules import Rules
from mea.statistics.calibration import Calibrator
from mea.statistics.conformal import ConformalSets
from mea.statistics.scores import METRICS
from mea.training.classifier import Classifier

BOUNDS = ("accuracy_low", "accuracy_high")
EVALUATE = {
    "models": ["features"],
    "choose": "best",
    "bins": 10,
    "confidence_level": 0.95,
    "target_error": 0.05,
    "permutations": 1000,
    "seed": 0,
}
SETS = ConformalSets(0.95, ("a", "b"), (0.61, 0.32), (25, 27), (21, 22))
RULES = Rules(52, Calibrator("temperature", 1.37, (0.0, 0.0)), (0.5, 0.5), "", 0.05, 0.7113, "", SETS)
WORTH = {
    "majority class: accuracy": ("baseline", "majority", "accuracy"),
    "firing rate alone: accuracy": ("baseline", "rate", "accuracy"),
    "metadata alone: accuracy": ("baseline", "metadata", "accuracy"),
    "metadata alone: p-value": ("baseline", "metadata", "p_value"),
    "labels permuted between groups: p-value": ("permutation", "p_value"),
    "smallest p-value that is possible here (about)": ("permutation", "min_attainable_p"),
    "optimism of a split by chunk: accuracy gained": ("optimism", "gap"),
    "chunks whose recording a probe identifies from the features": ("identity", "recording_accuracy"),
    "the same by chance": ("identity", "chance"),
    "coverage: recordings with enough confidence for a prediction": ("selective", "coverage"),
    "error among them": ("selective", "error"),
    "prediction sets that hold the actual class": ("conformal", "coverage"),
}


def make_metrics():
    """As in metrics/evaluate.json, no two numbers alike."""
    numbers = iter(np.linspace(0.1234, 0.9876, 60))
    metrics = {
        part: {name: float(next(numbers)) for name in METRICS}
        | {f"{name}_{side}": float(next(numbers)) for name in ("accuracy", "roc_auc") for side in ("low", "high")}
        for part in ("recording", "chunk")
    }
    for path in WORTH.values():
        place = metrics
        for name in path[:-1]:
            place = place.setdefault(name, {})
        place[path[-1]] = float(next(numbers))
    metrics["recording"]["count"] = 52
    return metrics | {"leaky": 0, "warning": ""}


def make_classifier(folder, **changed):
    params = {"h5": {"labels": {"a": ["x", "y"]}, "culture": ""}, "split": {"by": "batch", "first_s": None}}
    facts = {"split_sha256": "5" * 64, "events_sha256": "e" * 64, "device": "cpu", "threads": 2}
    classifier = Classifier(
        folder, {"features": 1.0}, ["a", "b"], 12, 10, 25_000, "mcs", 1.2, None, [0, 1], 0, "", params, facts
    )
    return replace(classifier, **changed)


def make_chunks(labels=("a", "b"), batches=("x", "y")):
    """Two chunks of each of two cultures of every class in every batch."""
    rows = [
        (f"{batch}-{label}{culture}", label, f"{batch}{label}{culture}", batch)
        for batch in batches
        for label in labels
        for culture in range(2)
        for _ in range(2)
    ]
    return pd.DataFrame(rows, columns=["recording", "label", "culture", "batch"])


def write(folder, metrics=None, chunks=None, rules=RULES, evaluate=EVALUATE, limits=(), **changed):
    """The card in words, and as JSON."""
    folder.mkdir(exist_ok=True)
    chunks = make_chunks() if chunks is None else chunks
    write_card(folder, make_classifier(folder, **changed), limits, metrics or make_metrics(), chunks, rules, evaluate)
    return (folder / "card.md").read_text(encoding="utf-8"), json.loads((folder / "card.json").read_text("utf-8"))


def read_tables(text):
    """The tables of a card as lists of rows of cells; fails where one is not well-formed."""
    tables = []
    for block in text.split("\n\n"):
        lines = block.strip("\n").split("\n")
        if not any(line.startswith("|") for line in lines):
            continue
        assert all(re.fullmatch(r"\|.*\|", line) for line in lines), block
        rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
        assert len({len(row) for row in rows}) == 1, block
        assert set(rows[1]) == {"---"} and len(rows) > 2, block
        tables.append([rows[0], *rows[2:]])
    return tables


# --- numbers ---------------------------------------------------------------------------------------------------------


def test_every_number_is_that_of_the_metrics(tmp_path):
    metrics = make_metrics()
    text, _ = write(tmp_path, metrics)
    _, _, scores, worth, _ = read_tables(text)
    assert [row[0] for row in scores[1:]] == [metric.description for metric in METRICS.values()]
    for name, row in zip(METRICS, scores[1:]):
        for part, value, interval in (("recording", *row[1:3]), ("chunk", *row[3:5])):
            assert value == f"{metrics[part][name]:.3g}"
            bounds = [metrics[part].get(f"{name}_{side}") for side in ("low", "high")]
            assert interval == ("" if None in bounds else "{:.3g} to {:.3g}".format(*bounds))
    expected = [[name, f"{find(metrics, path):.3g}"] for name, path in WORTH.items()]
    assert worth[1:] == expected
    value, low, high = (f"{100 * metrics['recording'][name]:.3g} %" for name in ("accuracy", *BOUNDS))
    sentence = f"it classified **{value}** correctly (95 % interval: {low} to {high})."
    assert f"Of 52 recordings, each held out with its whole group, {sentence}" in text


def find(metrics, path):
    for name in path:
        metrics = metrics[name]
    return metrics


def test_each_number_shown_follows_the_metrics(tmp_path):
    """Change one metric, and only what tells it changes."""
    before, _ = write(tmp_path)
    paths = [(part, name) for part in ("recording", "chunk") for name in METRICS] + list(WORTH.values())
    for path in paths:
        metrics = make_metrics()
        find(metrics, path[:-1])[path[-1]] = 0.0567
        after, _ = write(tmp_path, metrics)
        lines = [new for old, new in zip(before.split("\n"), after.split("\n")) if old != new]
        assert len(lines) == (2 if path == ("recording", "accuracy") else 1), path
        assert all(" 0.0567 " in line or "**5.67 %**" in line for line in lines), path


def test_what_is_approximated_is_told(tmp_path):
    text, card = write(tmp_path, limits=["features: the kernel is approximated"])
    assert "- Approximated: features: the kernel is approximated.\n" in text
    assert card["limits"][-1] == "Approximated: features: the kernel is approximated."
    assert "Approximated" not in write(tmp_path / "exact")[0]


def test_the_json_holds_all_metrics_as_they_are(tmp_path):
    metrics = make_metrics()
    _, card = write(tmp_path, metrics)
    assert card["metrics"] == json.loads(json.dumps(metrics), parse_float=lambda text: float(f"{float(text):.9g}"))
    assert card["confidence"]["threshold"] == 0.7113 and card["confidence"]["calibration"]["temperature"] == 1.37
    assert card["parameters"]["evaluate"] == EVALUATE and card["parameters"]["split"]["first_s"] == "null"


def test_the_json_holds_numbers_words_and_lists_of_them(tmp_path):
    metrics = make_metrics()
    metrics["permutation"]["p_value"] = float("nan")
    _, card = write(tmp_path, metrics, rules=replace(RULES, threshold=float("nan"), too_few="too few"))

    def check(value):
        assert value is None or (isinstance(value, (dict, list, str, int, float)) and not isinstance(value, bool)), (
            value
        )
        for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else []:
            check(item)

    check(card)
    assert card["metrics"]["permutation"]["p_value"] is None and card["confidence"]["threshold"] is None


def test_what_is_undefined_is_said_to_be(tmp_path):
    metrics = make_metrics()
    for name in ("recording", "chunk"):
        metrics[name]["roc_auc"] = metrics[name]["accuracy_low"] = metrics[name]["accuracy_high"] = float("nan")
    metrics["optimism"]["gap"] = float("nan")
    text, _ = write(tmp_path, metrics)
    _, _, scores, worth, _ = read_tables(text)
    rows = {row[0]: row[1:] for row in scores + worth}
    assert rows["area under the ROC curve"][0] == rows["area under the ROC curve"][2] == "undefined"
    assert rows["accuracy"][1] == "undefined to undefined"
    assert rows["optimism of a split by chunk: accuracy gained"] == ["undefined"] and "nan" not in text
    assert "(95 % interval: undefined to undefined)" in text


def test_a_bound_of_zero_is_shown(tmp_path):
    metrics = make_metrics()
    metrics["recording"]["accuracy_low"] = 0.0
    assert "| 0 to " in write(tmp_path, metrics)[0]


# --- doubts ----------------------------------------------------------------------------------------------------------


def test_doubts_come_first(tmp_path):
    metrics = make_metrics() | {"warning": "confounded: by recording length"}
    text, card = write(tmp_path, metrics)
    assert text.startswith("# Model card: a or b\n\n> **Warning.** Confounded: by recording length.\n\nModel ")
    assert card["doubts"] == "confounded: by recording length" and card["intended_use"] == INTENDED_USE
    assert list(card)[:4] == ["model", "classes", "leaky", "doubts"]


def test_no_doubts_no_warning(tmp_path):
    text, card = write(tmp_path)
    assert text.startswith("# Model card: a or b\n\nModel `features`. Of 52 recordings, each held out")
    assert ">" not in text and card["leaky"] == 0


def test_a_leaky_classifier_says_so_at_the_top(tmp_path):
    warning = "leaky: split by chunk, so chunks of the same recording are in the training and the test set"
    text, card = write(tmp_path, make_metrics() | {"leaky": 1, "warning": warning}, leaky=1, warning=warning)
    assert text.split("\n")[2:5] == [
        "> **Leaky: the classifier had seen what it was scored on, or similar recordings, so the metrics are too "
        "good.**",
        ">",
        f"> **Warning.** {warning[0].upper()}{warning[1:]}.",
    ]
    assert "held out with its whole group" not in text
    assert card["leaky"] == 1 and card["intended_use"] == LEAKY_USE and LEAKY_USE in text and INTENDED_USE not in text


# --- confidence ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, "prediction: those with a confidence of 0.711 or more, for at most 5 % wrong predictions.\n"),
        ({"threshold": float("nan"), "too_few": "all wrong"}, "- Recordings that get a prediction: none: all wrong.\n"),
        (
            {"threshold": float("nan"), "too_few": "too few recordings: 9 held out", "recordings": 9},
            "- Recordings that get a prediction: all: too few recordings: 9 held out.\n",
        ),
        ({"calibrator": Calibrator("none", 1.0, (0.0, 0.0))}, "- Calibration: the model's raw probabilities are used"),
        ({"calibrator": Calibrator("platt", 1.2, (0.1, -0.1))}, "one temperature, and each class gets a bias.\n"),
        ({}, "- Calibration: the model's raw probabilities are scaled by one temperature.\n"),
        ({}, "- Prediction sets: enough recordings and groups in each class.\n"),
        ({"conformal": replace(SETS, groups=(3, 22))}, "too few groups for 95 %: the 25 calibration recordings"),
        ({}, "Learned from 52 held-out recordings:\n"),
    ],
)  # fmt: skip
def test_what_its_confidence_rests_on(tmp_path, changed, expected):
    assert expected in write(tmp_path, rules=replace(RULES, **changed))[0]


# --- data ------------------------------------------------------------------------------------------------------------


def test_data_are_counted_by_recordings(tmp_path):
    chunks = make_chunks(labels=("a", "b", "c"), batches=("x", "y", ""))
    chunks.loc[chunks["batch"] == "", "culture"] = ""
    text, card = write(tmp_path, chunks=chunks, labels=["a", "b", "c"])
    data = card["data"]
    assert (data["recordings"], data["chunks"], data["cultures"], data["batches"]) == (18, 36, 12, 2)
    assert data["recordings_by_class"] == {"a": 6, "b": 6, "c": 6}
    assert data["recordings_by_batch"] == {"unknown": 6, "x": 6, "y": 6}
    assert data["recordings_by_culture"]["unknown"] == 6 and len(data["recordings_by_culture"]) == 13
    classes, batches, *_ = read_tables(text)
    assert classes == [["class", "recordings"], ["a", "6"], ["b", "6"], ["c", "6"]]
    assert batches == [["batch", "recordings"], ["unknown", "6"], ["x", "6"], ["y", "6"]]
    assert text.startswith("# Model card: a or b or c\n") and "grid 12 x 10, 25000 samples per second" in text
    assert data["split_sha256"] in text and data["events_sha256"] in text and data["names_sha256"] in text


def test_the_names_are_hashed_whatever_their_order(tmp_path):
    chunks = make_chunks()
    one, same, other = (
        write(tmp_path, chunks=table)[1]["data"]["names_sha256"]
        for table in (chunks, chunks[::-1], chunks[chunks["batch"] == "x"])
    )
    assert one == same != other


# --- form ------------------------------------------------------------------------------------------------------------


def test_any_sign_may_stand_in_names_and_parameters(tmp_path):
    """A regular expression with a bar, a class with stars, a batch with a line break: the tables hold."""
    chunks = make_chunks(labels=("a*|*", "b`"), batches=("x\ny", "[z](w)"))
    params = {"h5": {"culture": r"(a|b)\d+", "labels": {"a|*": ["*x*", "<y>"]}}}
    text, card = write(tmp_path, chunks=chunks, labels=["a*|*", "b`"], params=params)
    classes, batches, *_, made = read_tables(text)
    assert classes[1:] == [[r"a\*\|\*", "4"], [r"b\`", "4"]] and batches[1:] == [[r"\[z\](w)", "4"], ["x y", "4"]]
    assert [r"h5.culture", r"(a\|b)\\d+"] in made and [r"h5.labels.a\|\*", r"\*x\*, \<y\>"] in made
    assert card["parameters"]["h5"]["culture"] == r"(a|b)\d+" and card["data"]["recordings_by_batch"]["x\ny"] == 4


def test_every_parameter_and_version_is_told(tmp_path):
    text, card = write(tmp_path)
    made = dict(read_tables(text)[-1][1:])
    assert made["split.first_s"] == "null" and made["h5.labels.a"] == "x, y" and made["evaluate.permutations"] == "1000"
    assert {f"version of {name}" for name in card["versions"]} <= set(made) and made["device"] == "cpu"
    assert len(made) == len(card["versions"]) + 2 + 4 + len(EVALUATE)


def test_the_same_card_twice(tmp_path):
    for name in ("one", "two"):
        write(tmp_path / name, copy.deepcopy(make_metrics()))
    for name in ("card.md", "card.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_no_place_of_this_machine_is_told(tmp_path):
    text, _ = write(tmp_path)
    for content in (text, (tmp_path / "card.json").read_text(encoding="utf-8")):
        assert str(tmp_path) not in content and not re.search(r"(?<![\w.<])/\w", content)
    assert text.endswith("|\n") and "\n\n\n" not in text and "\r" not in text


def test_every_key_of_the_metrics_is_explained():
    """A section of docs/honesty.md for each key that the evaluate stage writes, in its order."""
    tree = ast.parse((ROOT / "mea" / "evaluation" / "metrics.py").read_text(encoding="utf-8"))
    given = [node for node in ast.walk(tree) if isinstance(node, ast.AnnAssign) and node.target.id == "metrics"]
    keys = [key.value for key in given[0].value.keys]
    text = (ROOT / "docs" / "honesty.md").read_text(encoding="utf-8")
    assert re.findall(r"^## `(.+)`$", text, flags=re.MULTILINE) == keys
