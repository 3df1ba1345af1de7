"""Parameters of the train stage: what all models share, and a section for each model that has parameters."""

from typing import Any

from pydantic import Field, create_model, field_validator

from mea.models.base import ModelParams
from mea.models.registry import MODELS
from mea.runtime.params import StageParams


class TrainParams(StageParams):
    """What all models share; :func:`add_model_sections` adds the sections of the models."""

    model: str = Field(description=f"what learns: {', '.join(MODELS)}; see docs/models.md")
    inner_folds: int = Field(ge=2, description="folds inside the training set: they choose, and calibrate")
    seed: int = Field(ge=0, description="of the initial weights, the order of the chunks and the inner folds")

    @field_validator("model")
    @classmethod
    def _check_model(cls, model: str) -> str:
        if model not in MODELS:
            raise ValueError(f"must be one of {', '.join(MODELS)}")
        return model

    def of_models(self) -> dict[str, ModelParams]:
        """The parameters of every model, by its name."""
        return {name: getattr(self, name, ModelParams()) for name in MODELS}


def add_model_sections(module: str) -> type[TrainParams]:
    """The parameters of the stage in ``module``: ``train.<model>`` for every registered model that has parameters."""
    sections: dict[str, Any] = {
        name: (model.Params, Field(description=f"a section with {', '.join(model.Params.model_fields)}"))
        for name, model in MODELS.items()
        if model.Params.model_fields
    }
    return create_model("Params", __base__=TrainParams, __module__=module, **sections)
