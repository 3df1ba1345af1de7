"""A new model: one file in mea/models and its entry in the registry take it through the whole pipeline."""

import os
import shutil
import subprocess
import sys

import pandas as pd
import pytest
from builders.arrays import plan_recordings
from builders.lab import ROOT
from builders.models import ARRAY_PARAMS, write_lab
from builders.recordings import write_small_mcs

from mea.runtime.files import read_json, write_json

TOY = '''
"""Predicts the class whose training recordings fire as often; knows nothing else."""

import numpy as np
from pydantic import Field

from mea.models.base import Fit, Model
from mea.models.params import ModelParams
from mea.models.rate import measure_rates
from mea.runtime.files import read_json, write_json


class ToyParams(ModelParams):
    sharpness: float = Field(gt=0, description="log odds for each spike per second between the classes")


class ToyModel(Model):
    name = "toy"
    Params = ToyParams

    @classmethod
    def fit(cls, data, params):
        model = cls(data.make_spec(params))
        rates = measure_rates(data.chunks, data.events)
        model.means = [float(rates[data.chunks["label"] == label].mean()) for label in data.labels]
        return Fit(model, data.tabulate_chunk_oof(data.chunks, model.predict_proba(data.chunks, data.events)))

    def predict_proba(self, chunks, events):
        away = abs(self.compute_features(chunks, events) - np.array(self.means)) * self.spec.params.sharpness
        odds = np.exp(-away)
        return odds / odds.sum(1, keepdims=True)

    def compute_features(self, chunks, events):
        return measure_rates(chunks, events)[:, None]

    def save(self, folder):
        write_json(folder / "means.json", {"means": self.means})

    @classmethod
    def load(cls, folder, spec):
        model = cls(spec)
        model.means = read_json(folder / "means.json")["means"]
        return model
'''


@pytest.fixture
def project(tmp_path):
    """A copy of the code with the toy model, its entry and its parameters; and recordings whose class b fires more."""
    for name in ("mea", "stages"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "mea/models/toy.py").write_text(TOY, encoding="utf-8")
    registry = tmp_path / "mea/models/registry.py"
    text = registry.read_text(encoding="utf-8")
    last = "    raise KeyError(name)\n"
    entry = '        case "toy":\n            from mea.models.toy import ToyModel\n\n            return ToyModel\n'
    assert '"grid_lstm")' in text and last in text
    text = text.replace('"grid_lstm")', '"grid_lstm", "toy")').replace(last, entry + last)
    registry.write_text(text, encoding="utf-8")
    params = (
        (ROOT / "params.yaml").read_text(encoding="utf-8").replace("  rate: {}", "  toy: {sharpness: 3}\n  rate: {}")
    )
    (tmp_path / "params.yaml").write_text(params, encoding="utf-8")
    write_lab(tmp_path / "data", plan_recordings(batches=3), duration_s=4.0)
    write_json(
        tmp_path / "data/array/params.json", read_json(tmp_path / "data/array/params.json") | {"array": ARRAY_PARAMS}
    )
    (tmp_path / "new").mkdir()
    write_small_mcs(tmp_path / "new/some.h5")
    return tmp_path


COMMANDS = """
import runpy, sys
settings = ["train.models=[toy]", "split.chunk_s=1", "split.folds=3", "evaluate.permutations=19"]
flags = [word for setting in settings for word in ("--set", setting)]
stored = ["--model", "models/classifier"]
commands = [[f"stages.{stage}", *flags] for stage in ("split", "train", "evaluate")] + [
    ["mea", "classify", "--source", "new", *stored, "--out", "predictions.csv"],
    ["mea", "explain", "r00", *stored, "--array", "data/array", "--split", "data/split", "--out", "plots/explain"],
    ["stages.train", "--set", "train.toy.sharpness=0"],
]
for module, *arguments in commands:
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
"""


def test_a_model_in_one_file_goes_through_the_whole_pipeline(project):
    environment = os.environ | {"MEA_CACHE": str(project / "cache"), "MEA_WORKERS": "1", "MEA_QUIET": "1"}
    command = [sys.executable, "-c", COMMANDS]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert read_json(project / "metrics/evaluate.json")["recording"]["accuracy"] == 1, done.stderr
    classifier = read_json(project / "models/classifier/classifier.json")
    assert classifier["weights"] == {"toy": 1.0} and classifier["params"]["train"]["toy"] == {"sharpness": 3}
    assert pd.read_csv(project / "predictions.csv")["decision"].tolist() == ["rejected"]
    assert set(pd.read_csv(project / "plots/explain/r00.csv")["kind"]) == {"whole", "electrode", "window"}
    assert done.returncode == 1 and "train.toy.sharpness = 0: Input should be greater than 0" in done.stderr
