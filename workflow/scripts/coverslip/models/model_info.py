"""What `model.json` has to hold, as one typed model; more keys may be there (see `model`)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from coverslip.config.sections import Preprocessing, Side
from coverslip.errors import CoverslipError, one_line


class Part(BaseModel):
    """Numbers are finite; keys that are not named here are left alone."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


class Fitted(Part):
    """Numbers of the preprocessing, see `preprocess.fit`."""

    mean: list[float] = []
    standard_deviation: list[float] = []


class Watershed(Part):
    """How objects are made, see `coverslip.models.watershed`."""

    threshold: float = Field(ge=0, le=1)
    seed: float = Field(ge=0, le=1)
    min_area_px: int = Field(ge=0)
    minimum_share: float = Field(default=0.0, ge=0, le=1)


class Member(Part):
    """A member of an ensemble."""

    folder: str
    sha256: dict[Literal["model.keras", "model.json"], str] = {}


class ModelInfo(Part):
    """The keys of `model.json` that predicting needs."""

    format: int
    kind: str
    classes: list[str]
    num_classes: int = Field(ge=1, le=10_000)
    head: Literal["semantic", "instance", "classification"] = "semantic"
    preprocessing: Preprocessing
    fitted: Fitted
    threshold: float | None = Field(ge=0, le=1)
    temperature: float = Field(default=1.0, gt=0)
    instances: Watershed | None = None
    patch: Annotated[list[Side], Field(min_length=2, max_length=2)] | None = None
    channels: int | None = Field(default=None, ge=1)
    large_tiles: bool = False
    diameter_px: float | None = Field(default=None, gt=0)
    confidence: Annotated[list[float], Field(min_length=4, max_length=4)] | None = None
    members: list[Member] = []

    @model_validator(mode="after")
    def _together(self) -> ModelInfo:
        p = self.preprocessing
        channels = 1 if p.channels == "grey" else 3
        scaled = p.input_scaling == "zscore" and self.kind == "network"
        fitted = (len(self.fitted.mean), len(self.fitted.standard_deviation))
        for wrong, what in (
            (scaled and fitted != (channels, channels), f"`fitted` is not of {channels} channels"),
            (any(d < 0 for d in self.fitted.standard_deviation), "a deviation below 0"),
            (self.head != "classification" and self.threshold is None, "no `threshold`"),
            (self.head == "instance" and self.instances is None, "no `instances`"),
            (self.head == "instance" and self.num_classes != 4, "not the 4 classes of `instance`"),
            (
                self.head == "classification" and self.num_classes != len(self.classes),
                "not an output a class",
            ),
        ):
            if wrong:
                raise ValueError(what)
        return self


def check_info(info: dict[str, Any], path: Path) -> ModelInfo:
    """Return the content of a `model.json`, checked.

    Args:
        info: what was read.
        path: the file, for messages.

    Raises:
        CoverslipError: a value is missing, of another type, not finite, or does not fit another.
    """
    try:
        return ModelInfo(**info)
    except (ValidationError, TypeError) as error:
        raise CoverslipError(
            f"{path}: {reason(error)}: restore the file, or train again"
        ) from error


def reason(error: Exception) -> str:
    """Return in one line why values are not valid: of several mistakes the first, with its key."""
    if not isinstance(error, ValidationError):
        return one_line(error)[:200]
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    return one_line(f"`{where}`: {first['msg']}" if where else first["msg"])
