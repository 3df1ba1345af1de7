"""Parameters of the train stage: what all models share, and a section for each model that has parameters."""

from typing import Any

from pydantic import Field, create_model, field_validator

from mea.models.params import ModelParams
from mea.models.registry import MODELS, find_params
from mea.runtime.params import StageParams


class TrainParams(StageParams):
    """What all models share; :func:`add_model_sections` adds the sections of the models."""

    models: list[str] = Field(min_length=1, description=f"which are trained: {', '.join(MODELS)}; see docs/models.md")
    inner_folds: int = Field(ge=2, description="folds inside the training set: they choose, and calibrate")
    seed: int = Field(ge=0, lt=2**32, description="of the initial weights, the order of the chunks and the inner folds")

    @field_validator("models", mode="before")
    @classmethod
    def _check_models(cls, models: Any) -> list[str]:
        names = [models] if isinstance(models, str) else models
        if not isinstance(names, list) or not all(name in MODELS for name in names):
            raise ValueError(f"must be a list of some of {', '.join(MODELS)}")
        if len(set(names)) < len(names):
            raise ValueError("names a model twice")
        return names

    def of_model(self, name: str) -> ModelParams:
        """The parameters of one model."""
        return getattr(self, name)

    def keep_model(self, name: str) -> dict[str, Any]:
        """All that decides one model, as in ``params.yaml``: what models share, and its own section."""
        return self.model_dump(include={"inner_folds", "seed", name})


def add_model_sections(module: str) -> type[TrainParams]:
    """The parameters of the stage in ``module``: a section ``train.<model>`` for every registered model."""
    sections: dict[str, Any] = {
        name: (params, Field(description=f"a section with {', '.join(params.model_fields) or 'nothing'}"))
        for name, params in {name: find_params(name) for name in MODELS}.items()
    }
    return create_model("Params", __base__=TrainParams, __module__=module, **sections)
