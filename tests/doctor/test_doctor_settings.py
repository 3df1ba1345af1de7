"""The doctor asks for the stages' parameters, under the stages' rules."""

import importlib

import pytest

from mea.doctor.settings import Settings


@pytest.mark.parametrize("name", Settings.model_fields)
def test_the_doctor_takes_what_the_stage_takes(name):
    stage = importlib.import_module(f"stages.{name}").Params
    for key, field in Settings.model_fields[name].annotation.model_fields.items():
        theirs = stage.model_fields[key]
        assert (field.annotation, repr(field.metadata)) == (theirs.annotation, repr(theirs.metadata)), key
