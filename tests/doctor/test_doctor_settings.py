"""The doctor asks for the stages' parameters, under the stages' rules."""

import importlib

import pytest
from builders.lab import ROOT
from pydantic import BaseModel

from mea.doctor.settings import DEFAULTS, Settings, read_settings


def compare_rules(own, stage):
    """The doctor's model of a section against the stage's; sections inside a section, too."""
    for key, field in own.model_fields.items():
        theirs = stage.model_fields[key]
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            compare_rules(field.annotation, theirs.annotation)
        else:
            assert (field.annotation, repr(field.metadata)) == (theirs.annotation, repr(theirs.metadata)), key


@pytest.mark.parametrize("name", Settings.model_fields)
def test_the_doctor_takes_what_the_stage_takes(name):
    compare_rules(Settings.model_fields[name].annotation, importlib.import_module(f"stages.{name}").Params)


def test_defaults_are_the_values_of_the_parameter_file():
    """But where recordings are and what their names tell, which the sample's parameters know of the sample."""
    default, given = read_settings(None, []).model_dump(), read_settings(ROOT / "params.yaml", []).model_dump()
    for values in (default, given):
        del values["unzip"], values["h5"]["labels"]
    assert default == given and DEFAULTS["h5"]["labels"] == {}


def test_overrides_reach_the_defaults_and_do_not_change_them():
    assert read_settings(None, ["split.folds=3"]).split.folds == 3 != DEFAULTS["split"]["folds"]
