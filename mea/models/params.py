"""Parameters that several models have, each with its rule and its description."""

from typing import Annotated, Literal

from pydantic import Field

BinMs = Annotated[float, Field(gt=0, description="length of a bin in ms")]
Patience = Annotated[int, Field(ge=1, description="early stopping after so many epochs without gain")]
MinGain = Annotated[float, Field(ge=0, description="smallest fall of the validation loss that is a gain")]
Precision = Annotated[
    Literal["float32", "bfloat16"],
    Field(
        description="in which layers compute; bfloat16: several times faster on recent graphics cards, about 3 digits"
    ),
]
