"""Shapes of what comes in and goes out about territories."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from tejido_shared.fields import Line
from tejido_shared.pages import PageQuery

Kind = Literal["area", "neighborhood"]


class ShapeProblem(BaseModel):
    """A shape of the file that was not stored, and why."""

    position: int = Field(description="Of the feature in the file, from 1")
    name: str = Field(description="As the file calls it")
    code: str
    reason: str


class LoadOut(BaseModel):
    """What a load did."""

    kind: Kind
    read: int = Field(description="Features in the file")
    stored: int = Field(description="New, or other than what was there")
    unchanged: int
    removed: int = Field(description="No longer in the file; only where the load replaces all")
    missing: list[str] = Field(description="Codes of the jurisdiction's areas that have no shape now")
    problems: list[ShapeProblem]


class AreaOut(BaseModel):
    """An area of the jurisdiction: a district, a localidad."""

    code: str
    name: str
    has_shape: bool = Field(description="Whether it is known which points lie in it")
    neighborhoods: int = Field(description="Barrios that are known to be in it")


class NeighborhoodOut(BaseModel):
    """A barrio. Names repeat within a town; codes do not."""

    model_config = ConfigDict(from_attributes=True)

    code: str
    name: str
    area: str | None = Field(description="Code of the area it is in")


class NeighborhoodQuery(PageQuery):
    area: Line | None = Field(None, description="Code of an area")
    sort: Literal["name", "-name"] = "name"


class Located(BaseModel):
    """What finding the areas anew has come to."""

    looked_at: int
    changed: int
    outside: int = Field(description="Points that lie in no area")
