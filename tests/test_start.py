"""What a stage imports before it begins: nothing heavy that it may not need."""

import subprocess
import sys

import pytest
from builders.lab import ROOT

from mea.models.registry import MODELS, find_model, find_params

HEAVY = {
    "numba",
    "torch",
    "lightning",
    "sklearn",
    "scipy.stats",
    "scipy.signal",
    "matplotlib",
    "plotly",
    "skops",
    "dask",
}
MAY_IMPORT = {
    "unzip": set(),
    "h5": set(),
    "array": {"matplotlib"},
    "split": {"sklearn", "scipy.stats"},
    "features": {"scipy.stats", "scipy.signal"},
    "contrast": {"sklearn", "scipy.stats", "matplotlib"},
    "train": {"sklearn", "scipy.stats", "scipy.signal", "matplotlib"},
    "evaluate": {"sklearn", "scipy.stats", "scipy.signal", "matplotlib"},
    "classify": {"sklearn", "scipy.stats", "scipy.signal"},
}


def list_loaded(code: str) -> set[str]:
    show = f"{code}; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", show], cwd=ROOT, capture_output=True, text=True, check=True)
    return HEAVY & set(done.stdout.split())


@pytest.mark.parametrize("stage", MAY_IMPORT)
def test_a_stage_starts_without_what_it_may_not_need(stage):
    assert list_loaded(f"import stages.{stage}") <= MAY_IMPORT[stage]


def test_what_is_imported_is_seen():
    assert list_loaded("import scipy.stats") == {"scipy.stats"}


def test_a_parameter_file_is_checked_without_pytorch():
    """The sections of networks, too."""
    code = (
        "from pathlib import Path; from stages.train import Params; "
        "from mea.runtime.params import load_params, read_section; "
        "read_section(Params, 'train', load_params(Path('params.yaml'))['train'], 'params.yaml').cnn_lstm.epochs"
    )
    assert "torch" not in list_loaded(code)


@pytest.mark.parametrize("name", MODELS)
def test_the_parameters_of_a_model_are_those_of_its_class(name):
    assert find_params(name) is find_model(name).Params
