"""The glossary (``docs/glossary.md``) and the code use the same words, and none of those they replaced."""

import ast
import json
import re
from functools import cache
from itertools import pairwise

import pytest
from builders.lab import ROOT

from mea.runtime.params import load_params

ROW = re.compile(r"^\| \*\*(?P<term>[^*]+)\*\* \| (?P<meaning>.+?) \| (?P<names>.*?) ?\|$", re.MULTILINE)
TEXT = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
ROWS = [hit.groupdict() for hit in ROW.finditer(TEXT)]
SOURCES = sorted([*(ROOT / "mea").rglob("*.py"), *(ROOT / "stages").glob("*.py")])

RETIRED = {  # identifiers, columns and keys as a whole -> what to say
    "Machine": "RecordingSVC", "Judge": "RecordingSVC", "JudgeModel": "RecordingSVC", "JUDGES": "MODELS",
    "Strengths": "SvmParams", "fit_link": "fit_platt", "share_odds": "ovr_proba", "machine": "recording_svc",
    "describers": "feature regression", "describes": "feature regression", "DescriberModel": "FeatureRegression",
    "is_describer": "feature regression", "fit_describer": "FeatureRegression", "Member": "ArchiveEntry",
    "MEMBERS": "BASE_MODELS", "Recipe": "TrainingConfig", "load_inner": "load_oof",
    "gain_experience": "NoveltyDetector.fit", "Experience": "NoveltyDetector", "experience": "novelty detector",
    "save_experience": "NoveltyDetector", "load_experience": "NoveltyDetector", "list_strange": "NoveltyDetector.check",
    "grave": "severity", "foretell_distance": "prediction_limit", "Space": "FeatureSpace",
    "Caller": "Predictor", "load_caller": "load_predictor", "call_recording": "classify_recording",
    "labels_possible": "prediction_set", "least_confidence": "confidence_threshold", "smallest_p": "min_attainable_p",
    "Question": "Occlusion", "ask": "score", "Driver": "Attribution", "drivers": "attributions",
    "Cleaning": "SpikeDetection", "Events": "SpikeEvents", "Source": "RawRecording", "zero": "adc_zero",
    "volts_per_count": "gain_v", "rate_hz": "sampling_rate_hz or firing_rate_hz", "rates_hz": "firing_rates_hz",
    "other_rate": "other_sampling_rate", "find_pulse": "samples per ms", "TOLD_APART": "digest stride",
    "tally": "histogram", "opener": "group start", "stated": "raw_proba", "crowd": "population",
    "company": "coactivity", "views": "binning", "take_mean": "nanmean", "take_spread": "nanstd",
    "take_quantiles": "nanquantile",
}  # fmt: skip
RETIRED_PARTS = {  # any part of a name between underscores -> what to say
    "spread": "std", "lasting": "long_window", "surest": "most_confident", "figures": "metrics or plots",
    "describe": "compute, format, build or key", "judge": "classify or check", "describer": "feature regression",
    "strange": "novel",
}  # fmt: skip
RETIRED_ENDS = {"share": "fraction", "shares": "fractions"}  # the last of these parts
ALLOWED = {"_find_share", "_load_share"}  # a process's part of a batch


def read_names(path, root=ROOT) -> set[str]:
    """Every identifier of a module, and every string that could be a column, a key or a parameter."""
    names = set(path.with_suffix("").relative_to(root).parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name) | ast.alias(name=name):
                names.add(name)
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.AsyncFunctionDef(name=name):
                names.add(name)
            case ast.keyword(arg=str(name)):
                names.add(name)
            case ast.Constant(value=str(text)) if re.fullmatch(r"[A-Za-z_][\w.]*", text):
                names.add(text)
    return names


@cache
def read_all_names() -> set[str]:
    return set().union(*map(read_names, SOURCES))


def find_stranger(name: str) -> str:
    """Why a name of the glossary's last column is not there, or an empty text."""
    pipeline = (ROOT / "dvc.yaml").read_text(encoding="utf-8")
    key, _, value = name.partition(": ")
    if name.split(" ")[-1] in read_all_names():
        return ""
    if "/" in name:
        return "" if name.rstrip("/") in pipeline or (ROOT / name).exists() else "no such file or folder"
    if value:  # a parameter or a column with one of its values
        return find_stranger(key) or ("" if value in read_all_names() else f"no value {value}")
    params = load_params(ROOT / "params.yaml")
    if "." in name and name.split(".")[0] in params:
        return "" if has_entry(params, name) else "no parameter"
    if "." in name:
        return "" if has_entry(json.loads((ROOT / "metrics/evaluate.json").read_text("utf-8")), name) else "no metric"
    if name.endswith("_…"):
        return "" if any(one.startswith(name[:-1]) for one in read_all_names()) else "no name begins like this"
    return "not in mea/ or stages/"


def has_entry(entries, name: str) -> bool:
    """Whether a nested mapping has a key ``a.b``."""
    for part in name.split("."):
        if part not in entries:
            return False
        entries = entries[part]
    return True


def list_retired(names: set[str]) -> list[str]:
    found = [f"{name}: say {RETIRED[name]}" for name in sorted(names & RETIRED.keys())]
    for name in sorted(names - ALLOWED):
        parts = name.lower().strip("_").split("_")
        found += [f"{name}: say {RETIRED_PARTS[part]}" for part in sorted(set(parts) & RETIRED_PARTS.keys())]
        if len(parts) > 1 and parts[-1] in RETIRED_ENDS:
            found.append(f"{name}: say {RETIRED_ENDS[parts[-1]]}")
    return found


def test_terms_are_in_order_and_each_is_explained():
    terms = [row["term"].lower() for row in ROWS]
    assert len(terms) > 60 and len(terms) == TEXT.count("\n| **")
    assert [pair for pair in pairwise(terms) if pair[0] >= pair[1]] == []
    assert [row["term"] for row in ROWS if len(row["meaning"].split()) < 3] == []


@pytest.mark.parametrize("name", sorted({name for row in ROWS for name in re.findall("`([^`]+)`", row["names"])}))
def test_every_name_in_it_exists(name):
    assert not find_stranger(name), f"{name}: {find_stranger(name)}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_code_says_none_of_the_retired_words(path):
    assert not list_retired(read_names(path))


@pytest.mark.parametrize(
    ("name", "why"),
    [("describe_moods", "not in mea/"), ("split.level", "no parameter"), ("selective.certainty", "no metric"),
     ("data/moods/", "no such file"), ("train.models: mood", "no value"), ("moody_…", "no name begins")],
)  # fmt: skip
def test_a_name_that_is_not_there_is_noticed(name, why):
    assert why in find_stranger(name)


def test_a_retired_word_is_noticed(tmp_path):
    path = tmp_path / "module.py"
    path.write_text("class Machine:\n    def weigh(self, log_spread): return table['spread']\n", encoding="utf-8")
    expected = ["Machine: say RecordingSVC", "log_spread: say std", "spread: say std"]
    assert list_retired(read_names(path, tmp_path)) == expected
